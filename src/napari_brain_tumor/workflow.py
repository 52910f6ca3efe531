"""One case from end to end: what the window, a script and the shell all call."""

import logging
import platform
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from os import PathLike
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch

from napari_brain_tumor.catalogue import Baseline, find_model
from napari_brain_tumor.classical.run import Seed, find_regions, scan_of, seeds_in_scan
from napari_brain_tumor.errors import MissingRolesError, SeedError
from napari_brain_tumor.inference.device import check_bfloat16, fast_dtype, resolve_device
from napari_brain_tumor.inference.engine import Engine
from napari_brain_tumor.io.source_files import describe_sources
from napari_brain_tumor.labels import REGIONS, Region, class_names_of, classes_from_known, labels_sha256
from napari_brain_tumor.models import cards
from napari_brain_tumor.models.cards import ModelInfo
from napari_brain_tumor.models.checkpoint import load_network
from napari_brain_tumor.postprocessing.components import relabel_small_enhancing, remove_small_lesions
from napari_brain_tumor.preprocessing.pipeline import Prepared, PreprocessingSpec, prepare, restore
from napari_brain_tumor.preprocessing.traits import Traits, traits_of
from napari_brain_tumor.progress import Job, Progress, part_of, run_job
from napari_brain_tumor.study import ROLES, Segmentation, Study

__all__ = ["Outcome", "Precision", "outcome_job", "segment", "segment_job", "versions"]

logger = logging.getLogger(__name__)

Precision = Literal["auto", "float32", "bfloat16"]
ModelName = str | PathLike[str] | None

NOT_FOR_CLINICAL_USE = "For research only. Not a medical device, not for clinical use."


def segment(
    study: Study,
    model: ModelName = None,
    device: str = "auto",
    *,
    flips: bool = False,
    min_lesion_mm3: float | None = None,
    precision: Precision = "auto",
    seeds: Sequence[Seed] = (),
) -> Segmentation:
    """Segment the tumour of a study.

    Parameters
    ----------
    study : Study
        With any of the roles that the model takes.
    model : str or path, optional
        Name of an installed model or of a method without weights (`list_models()`), or a checkpoint folder; if not
        given, the default that suits the study.
    device : str
        `"auto"`, `"cpu"`, `"cuda"`, `"cuda:1"` or `"mps"`. Methods without weights run on the CPU.
    flips : bool
        Average over mirrored inputs: a little better, four (2D) or eight (3D) times slower.
    min_lesion_mm3 : float, optional
        Remove connected parts smaller than this; by default what the model's card says, which can also remove parts
        that are small beside the largest one. With 0 everything is kept. Where the voxel size is not known only the
        latter is done.
    precision : {"auto", "float32", "bfloat16"}
        `"auto"` is the quickest whose labels agree with float32. `"bfloat16"`, on processors and GPUs that have it, is
        quicker and changes up to half a percent of the tumour's labels, at their borders.
    seeds : sequence of (x, y, z)
        Points within the tumour for `"region_growing"`: RAS+ millimetres, or voxels where the files do not tell the
        spacing. Without any it begins in the brightest asymmetric place.

    Returns
    -------
    Segmentation
        On the study's own grid.

    Raises
    ------
    ModelNotFoundError, CheckpointError
        If there is no such model or its files are not right.
    MissingRolesError
        If the model was not trained for the sequences of the study.
    DeviceError
        If the device is not present, or has no bfloat16 where that was asked for.
    OutOfMemoryError
        If memory runs out at the smallest settings.
    SeedError
        If a seed lies outside the brain, or the model takes none.

    Examples
    --------
    >>> from napari_brain_tumor import open_study, segment
    >>> from napari_brain_tumor.sample import sample_case_folder
    >>> segmentation = segment(open_study(sample_case_folder()), device="cpu")
    >>> segmentation.data.shape == segmentation.grid.shape
    True
    """
    return run_job(
        segment_job(study, model, device, flips=flips, min_lesion_mm3=min_lesion_mm3, precision=precision, seeds=seeds)
    )


@dataclass(frozen=True, slots=True, eq=False)
class Outcome:
    """A segmentation with what it was made from.

    Parameters
    ----------
    segmentation : Segmentation
        On the study's own grid.
    probabilities : (R, Z, Y, X) array
        Of the model's regions, in the box of `prepared`.
    prepared : Prepared
        The study as the network saw it.
    """

    segmentation: Segmentation
    probabilities: npt.NDArray[Any]
    prepared: Prepared


def segment_job(
    study: Study,
    model: ModelName = None,
    device: str = "auto",
    *,
    flips: bool = False,
    min_lesion_mm3: float | None = None,
    precision: Precision = "auto",
    seeds: Sequence[Seed] = (),
) -> Job[Segmentation]:
    """`segment` as a job: yields `Progress`, returns the `Segmentation`. Takes the same parameters."""
    traits = traits_of(study)
    info = find_model(model, traits)
    _check_roles(study, info)
    if seeds and not info.takes_seeds:
        msg = f"{info.name} finds the tumour by itself and takes no seeds. Leave them out, or choose region_growing."
        raise SeedError(msg)
    smallest = info.min_lesion_mm3 if min_lesion_mm3 is None else min_lesion_mm3
    if isinstance(info, ModelInfo):
        job = _network_job(study, traits, info, device, precision, flips=flips, min_lesion_mm3=smallest)
        return (yield from job).segmentation
    return (yield from _baseline_job(study, info, seeds, smallest))


def outcome_job(
    study: Study,
    model: ModelName = None,
    device: str = "auto",
    *,
    flips: bool = False,
    min_lesion_mm3: float | None = None,
    precision: Precision = "auto",
) -> Job[Outcome]:
    """`segment_job` of a trained model, with the probabilities behind the labels: returns an `Outcome`."""
    traits = traits_of(study)
    info = cards.find_model(model, traits)
    _check_roles(study, info)
    smallest = info.min_lesion_mm3 if min_lesion_mm3 is None else min_lesion_mm3
    return (yield from _network_job(study, traits, info, device, precision, flips=flips, min_lesion_mm3=smallest))


def _check_roles(study: Study, info: ModelInfo | Baseline) -> None:
    obstacle = info.obstacle(study.roles)
    if obstacle:
        msg = f"{study.name} has {', '.join(study.roles)}; {obstacle}"
        raise MissingRolesError(msg)


def _network_job(
    study: Study,
    traits: Traits,
    info: ModelInfo,
    device: str,
    precision: Precision,
    *,
    flips: bool,
    min_lesion_mm3: float,
) -> Job[Outcome]:
    clock = _Clock()
    yield Progress(0, 1, f"loading {info.name}")
    engine = _engine(info, resolve_device(device), precision)
    clock.lap("load")
    yield Progress(0.05, 1, "finding the brain")
    prepared = prepare(study, info.roles, info.card.preprocessing)
    clock.lap("prepare")
    probabilities = yield from part_of(engine.probabilities(prepared.channels, flips=flips), 0.15, 0.95)
    clock.lap("network")
    yield Progress(0.95, 1, "putting the result on the scan's grid")
    masks = {region: probabilities[i] >= info.card.threshold(region) for i, region in enumerate(info.regions)}
    share = info.card.min_lesion_share if min_lesion_mm3 > 0 else 0.0
    data = restore(_labels(masks, prepared, min_lesion_mm3, info.card.min_enhancing_mm3, share), prepared)
    clock.lap("finish")
    yield Progress(1, 1, "done")
    settings = {
        "flips": flips,
        "min_lesion_mm3": min_lesion_mm3,
        "min_lesion_share": share,
        "min_enhancing_mm3": info.card.min_enhancing_mm3,
        "thresholds": {region: info.card.threshold(region) for region in info.regions},
        "temperatures": {region: info.card.temperature(region) for region in info.regions},
        "precision": str(engine.dtype).removeprefix("torch."),
    }
    model = {
        "name": info.name,
        "architecture": info.card.architecture,
        "weights_sha256": info.card.weights_sha256,
        "licence": info.card.licence,
    }
    if not info.bundled:
        model["folder"] = str(info.folder)
    notes = [*info.notes_without(study.roles), *info.notes_on(traits), *info.card.notes]
    made: dict[str, Any] = {"model": model, "device": str(engine.device), "settings": settings}
    made |= {"threads": torch.get_num_threads(), "seconds": clock.seconds}  # sums depend on how they are split
    made["working_shape"] = list(prepared.mask.shape)
    return Outcome(_segmentation(study, data, info.regions, made, notes), probabilities, prepared)


def _baseline_job(study: Study, baseline: Baseline, seeds: Sequence[Seed], min_lesion_mm3: float) -> Job[Segmentation]:
    clock = _Clock()
    yield Progress(0, 1, "finding the brain")
    prepared = prepare(study, ROLES, PreprocessingSpec())
    scan = scan_of(study, prepared)
    voxels = seeds_in_scan(seeds, prepared, scan)
    clock.lap("prepare")
    yield Progress(0.3, 1, f"running {baseline.name}")
    masks = find_regions(baseline, scan, voxels)
    clock.lap("method")
    yield Progress(0.95, 1, "putting the result on the scan's grid")
    data = restore(_labels(masks, prepared, min_lesion_mm3, 0.0), prepared)
    clock.lap("finish")
    yield Progress(1, 1, "done")
    settings = {"min_lesion_mm3": min_lesion_mm3, "seeds": [list(map(float, seed)) for seed in seeds]}
    model = {"name": baseline.name, "method": baseline.summary, "source": baseline.source}
    made = {"model": model, "device": "cpu", "settings": settings, "seconds": clock.seconds}
    made["working_shape"] = list(prepared.mask.shape)
    return _segmentation(study, data, tuple(masks), made, baseline.notes_without(study.roles))


class _Clock:
    """Seconds of one step after another, for provenance."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._last = time.monotonic()

    def lap(self, step: str) -> None:
        """The step that ends now."""
        now = time.monotonic()
        self.seconds[step] = round(now - self._last, 3)
        self._last = now


def _segmentation(
    study: Study,
    data: npt.NDArray[np.uint8],
    regions: Collection[Region],
    made: dict[str, Any],
    notes: Sequence[str],
) -> Segmentation:
    """The result with its provenance; `made` tells model, device, settings and seconds."""
    return Segmentation(
        data,
        study.grid,
        name=study.name,
        class_names=class_names_of(regions),
        known_regions=tuple(region for region in REGIONS if region in regions),
        layout=study.layout,
        provenance={
            "task": "segment",
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
            "case": study.name,
            "inputs": describe_sources(study.sources),
            "roles": list(study.roles),
            **({"resampled": list(study.resampled)} if study.resampled else {}),
            "grid": {"shape": list(study.grid.shape), "affine": study.grid.affine.tolist(), "unit": study.grid.unit},
            **made,
            "labels_sha256": labels_sha256(data),
            "versions": versions(),
            "notes": [*study.notes, *notes],
            "warning": NOT_FOR_CLINICAL_USE,
        },
    )


@lru_cache(maxsize=2)
def _cached_engine(
    folder: Path, weights_sha256: str, temperatures: tuple[float, ...], device: torch.device, precision: Precision
) -> Engine:
    info = cards.find_model(folder)
    if precision == "bfloat16":
        check_bfloat16(device)
    dtype = fast_dtype(device) if precision == "auto" else getattr(torch, precision)
    logger.debug("Loading %s (%s) for %s in %s.", folder, weights_sha256[:12], device, dtype)
    return Engine.prepare(load_network(info), info.card.dims, device, dtype)


def _engine(info: ModelInfo, device: torch.device, precision: Precision) -> Engine:
    temperatures = tuple(info.card.temperature(region) for region in info.regions)
    return _cached_engine(info.folder, info.card.weights_sha256, temperatures, device, precision)


def _labels(
    masks: Mapping[Region, npt.NDArray[np.bool_]],
    prepared: Prepared,
    min_lesion_mm3: float,
    min_enhancing_mm3: float,
    min_lesion_share: float = 0.0,
) -> npt.NDArray[np.uint8]:
    labels = classes_from_known(masks)
    labels *= prepared.mask
    grid = prepared.work.grid
    if grid.unit != "mm":
        return remove_small_lesions(labels, 0.0, 1.0, min_lesion_share)
    labels = remove_small_lesions(labels, min_lesion_mm3, grid.voxel_volume_mm3, min_lesion_share)
    return relabel_small_enhancing(labels, min_enhancing_mm3, grid.voxel_volume_mm3)


def versions() -> dict[str, str]:
    """Versions of this package, Python and what the numbers depend on, for provenance."""
    found = {"python": platform.python_version()}
    for name in ("napari-brain-tumor", "torch", "numpy", "nibabel", "SimpleITK", "tifffile"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
