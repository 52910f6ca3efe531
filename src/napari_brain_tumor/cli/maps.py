"""Probabilities and uncertainty, beside the labels that `brain-tumor segment` writes."""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from napari_brain_tumor.catalogue import Method
from napari_brain_tumor.cli.console import run_shown
from napari_brain_tumor.cli.outputs import Task
from napari_brain_tumor.errors import ProbabilityError, SaveError
from napari_brain_tumor.io.maps import map_path, save_maps
from napari_brain_tumor.postprocessing.region_probabilities import RegionProbabilities
from napari_brain_tumor.study import Segmentation, Study

__all__ = ["check_maps", "segment_shown", "write_maps"]

_UNCERTAINTY = "uncertainty"


def check_maps(tasks: Sequence[Task], method: Method, maps: Collection[str], *, overwrite: bool) -> None:
    """Settle before anything is computed that the maps can be made and written.

    Parameters
    ----------
    tasks : sequence of Task
    method : Method
        One without a given name may yet be replaced by another default, which has probabilities too.
    maps : collection of str
        Of `"probabilities"` and `"uncertainty"`.
    overwrite : bool
        Whether earlier files may be replaced.

    Raises
    ------
    ProbabilityError
        If the method has no probabilities.
    SaveError
        If a file is there already.
    """
    if maps and method.is_baseline:
        msg = f"{method.name} is a method without weights and tells no probabilities. Choose a trained model."
        raise ProbabilityError(msg)
    names = _file_names(method, maps)
    there = [path for task in tasks for path in (map_path(task.target, name) for name in names) if path.exists()]
    if there and not overwrite:
        msg = f"{there[0]} exists already. Give --overwrite to replace it, or another name with -o."
        raise SaveError(msg)


def _file_names(method: Method, maps: Collection[str]) -> list[str]:
    regions = [f"probability_{region}" for region in method.regions] if "probabilities" in maps else []
    return [*regions, *([_UNCERTAINTY] if _UNCERTAINTY in maps else [])]


def segment_shown(
    study: Study, model: str | None, device: str, settings: Mapping[str, Any], with_maps: bool
) -> tuple[Segmentation, RegionProbabilities | None]:
    """Segment while the terminal shows how far it is; the probabilities too where they are wanted."""
    from napari_brain_tumor import workflow  # loads torch, for seconds

    if with_maps:
        return run_shown(workflow.segment_with_probabilities_job(study, model, device, **settings), study.name)
    return run_shown(workflow.segment_job(study, model, device, **settings), study.name), None


def write_maps(found: RegionProbabilities, maps: Collection[str], target: Path, study: Study) -> list[Path]:
    """Write the wanted maps beside the result, and tell which files they are."""
    wanted: dict[str, Any] = {}
    if "probabilities" in maps:
        wanted = {f"probability_{region}": found[region] for region in found.regions}
    if _UNCERTAINTY in maps:
        wanted[_UNCERTAINTY] = found.uncertainty()
    return save_maps(wanted, target, study.grid, study.layout)
