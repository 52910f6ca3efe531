"""Probability and uncertainty maps, saved next to the labels of a case."""

from collections.abc import Collection
from pathlib import Path
from typing import Any

from napari_brain_tumor.catalogue import Method
from napari_brain_tumor.io.maps import map_path, save_maps
from napari_brain_tumor.postprocessing.region_probabilities import RegionProbabilities
from napari_brain_tumor.study import Study

_UNCERTAINTY = "uncertainty"


def existing_maps(target: Path, method: Method, maps: Collection[str]) -> list[Path]:
    """List maps of the case that already exist.

    Parameters
    ----------
    target : Path
        The label file.
    method : Method
        The method; one that was not given by name may still be replaced by another default, also with probabilities.
    maps : collection of str
        Any of `"probabilities"` and `"uncertainty"`.
    """
    paths = (map_path(target, name) for name in _file_names(method, maps))
    return [path for path in paths if path.exists()]


def _file_names(method: Method, maps: Collection[str]) -> list[str]:
    regions = [f"probability_{region}" for region in method.regions] if "probabilities" in maps else []
    return [*regions, *([_UNCERTAINTY] if _UNCERTAINTY in maps else [])]


def write_maps(
    probabilities: RegionProbabilities, maps: Collection[str], target: Path, study: Study, *, overwrite: bool
) -> list[Path]:
    """Save the requested maps next to the result; returns the files."""
    arrays: dict[str, Any] = {}
    if "probabilities" in maps:
        arrays = {f"probability_{region}": probabilities[region] for region in probabilities.regions}
    if _UNCERTAINTY in maps:
        arrays[_UNCERTAINTY] = probabilities.uncertainty()
    return save_maps(arrays, target, study.grid, study.layout, overwrite=overwrite)
