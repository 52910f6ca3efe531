"""One case from end to end: what the window, a script and the shell all call."""

import hashlib
import logging
import platform
import time
from datetime import UTC, datetime
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from os import PathLike
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch

from napari_brain_tumor.errors import MissingRolesError
from napari_brain_tumor.inference.device import check_bfloat16, fast_dtype, resolve_device
from napari_brain_tumor.inference.engine import Engine
from napari_brain_tumor.labels import REGIONS, class_names_of, classes_from_known
from napari_brain_tumor.models.cards import Card, ModelInfo, find_model
from napari_brain_tumor.models.checkpoint import load_network
from napari_brain_tumor.postprocessing.components import relabel_small_enhancing, remove_small_lesions
from napari_brain_tumor.preprocessing.pipeline import Prepared, prepare, restore
from napari_brain_tumor.progress import Job, Progress, part_of, run_job
from napari_brain_tumor.study import Segmentation, Source, Study

__all__ = ["Precision", "segment", "segment_job", "versions"]

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
) -> Segmentation:
    """Segment the tumour of a study.

    Parameters
    ----------
    study : Study
        With any of the roles that the model takes.
    model : str or path, optional
        Name of an installed model (`list_models()`), or a checkpoint folder; the default model if not given.
    device : str
        `"auto"`, `"cpu"`, `"cuda"`, `"cuda:1"` or `"mps"`.
    flips : bool
        Average over mirrored inputs: a little better, four (2D) or eight (3D) times slower.
    min_lesion_mm3 : float, optional
        Remove connected parts smaller than this; by default what the model's card says. A study of unknown
        voxel size is not filtered.
    precision : {"auto", "float32", "bfloat16"}
        `"auto"` is the quickest whose labels agree with float32. `"bfloat16"`, on processors and GPUs that have it, is
        quicker and changes up to half a percent of the tumour's labels, at their borders.

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

    Examples
    --------
    >>> from napari_brain_tumor import open_study, segment
    >>> from napari_brain_tumor.sample import sample_case_folder
    >>> segmentation = segment(open_study(sample_case_folder()), device="cpu")
    >>> segmentation.data.shape == segmentation.grid.shape
    True
    """
    job = segment_job(study, model, device, flips=flips, min_lesion_mm3=min_lesion_mm3, precision=precision)
    return run_job(job)


def segment_job(
    study: Study,
    model: ModelName = None,
    device: str = "auto",
    *,
    flips: bool = False,
    min_lesion_mm3: float | None = None,
    precision: Precision = "auto",
) -> Job[Segmentation]:
    """`segment` as a job: yields `Progress`, returns the `Segmentation`. Takes the same parameters."""
    started = time.monotonic()
    info = find_model(model)
    check_roles(study, info.card)
    yield Progress(0, 1, f"loading {info.name}")
    engine = _engine(info, resolve_device(device), precision)
    loaded = time.monotonic()
    yield Progress(0.05, 1, "finding the brain")
    prepared = prepare(study, info.roles, info.card.preprocessing)
    ready = time.monotonic()
    probabilities = yield from part_of(engine.probabilities(prepared.channels, flips=flips), 0.15, 0.95)
    inferred = time.monotonic()
    yield Progress(0.95, 1, "putting the result on the scan's grid")
    smallest = info.card.min_lesion_mm3 if min_lesion_mm3 is None else min_lesion_mm3
    labels = _labels(probabilities, info.card, prepared, smallest)
    data = restore(labels, prepared)
    finished = time.monotonic()
    settings = {
        "flips": flips,
        "min_lesion_mm3": smallest,
        "min_enhancing_mm3": info.card.min_enhancing_mm3,
        "precision": str(engine.dtype).removeprefix("torch."),
    }
    seconds = {
        "load": loaded - started,
        "prepare": ready - loaded,
        "network": inferred - ready,
        "finish": finished - inferred,
    }
    yield Progress(1, 1, "done")
    return Segmentation(
        data,
        study.grid,
        name=study.name,
        class_names=class_names_of(info.card.regions),
        known_regions=tuple(region for region in REGIONS if region in info.card.regions),
        layout=study.layout,
        provenance=_provenance(study, info, engine.device, settings, seconds),
    )


def check_roles(study: Study, card: Card) -> None:
    """Raise `MissingRolesError` if the model cannot take the sequences that the study has."""
    roles = list(dict.fromkeys(card.roles))
    wanted = ", ".join(roles)
    present = [role for role in roles if role in study.sequences]
    if not present:
        msg = f"{study.name} has {', '.join(study.roles)}; {card.name} needs at least one of {wanted}."
        raise MissingRolesError(msg)
    missing = [role for role in roles if role not in study.sequences]
    if missing and not card.optional_roles:
        msg = f"{study.name} lacks {', '.join(missing)}; {card.name} was trained for {wanted} together only."
        raise MissingRolesError(msg)


@lru_cache(maxsize=2)
def _cached_engine(folder: Path, weights_sha256: str, device: torch.device, precision: Precision) -> Engine:
    info = find_model(folder)
    if precision == "bfloat16":
        check_bfloat16(device)
    dtype = fast_dtype(device) if precision == "auto" else getattr(torch, precision)
    logger.debug("Loading %s (%s) for %s in %s.", folder, weights_sha256[:12], device, dtype)
    return Engine.prepare(load_network(info), info.card.dims, device, dtype)


def _engine(info: ModelInfo, device: torch.device, precision: Precision) -> Engine:
    return _cached_engine(info.folder, info.card.weights_sha256, device, precision)


def _labels(
    probabilities: npt.NDArray[Any], card: Card, prepared: Prepared, min_lesion_mm3: float
) -> npt.NDArray[np.uint8]:
    labels = classes_from_known(
        {region: probabilities[i] >= card.threshold(region) for i, region in enumerate(card.regions)}
    )
    labels *= prepared.mask
    grid = prepared.work.grid
    if grid.unit != "mm":
        return labels
    labels = remove_small_lesions(labels, min_lesion_mm3, grid.voxel_volume_mm3)
    return relabel_small_enhancing(labels, card.min_enhancing_mm3, grid.voxel_volume_mm3)


def _provenance(
    study: Study, info: ModelInfo, device: torch.device, settings: dict[str, Any], seconds: dict[str, float]
) -> dict[str, Any]:
    return {
        "task": "segment",
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "case": study.name,
        "inputs": {role: _described(source) for role, source in study.sources.items()},
        "roles": list(study.roles),
        "grid": {"shape": list(study.grid.shape), "affine": study.grid.affine.tolist(), "unit": study.grid.unit},
        "model": {
            "name": info.name,
            "architecture": info.card.architecture,
            "weights_sha256": info.card.weights_sha256,
            "licence": info.card.licence,
        },
        "device": str(device),
        "settings": settings,
        "seconds": {name: round(value, 3) for name, value in seconds.items()},
        "versions": versions(),
        "notes": [*study.notes, *info.card.notes_without(study.roles), *info.card.notes],
        "warning": NOT_FOR_CLINICAL_USE,
    }


def _described(source: Source) -> dict[str, Any]:
    files = [source.path] if source.path.is_file() else sorted(p for p in source.path.rglob("*") if p.is_file())
    digest = hashlib.sha256()
    for path in files:
        digest.update(hashlib.sha256(path.read_bytes()).digest() if len(files) > 1 else path.read_bytes())
    described: dict[str, Any] = {"path": str(source.path)}
    if files:
        described["sha256"] = digest.hexdigest()
    if source.channel is not None:
        described["channel"] = source.channel
    return described


def versions() -> dict[str, str]:
    """Versions of this package, Python and what the numbers depend on, for provenance."""
    found = {"python": platform.python_version()}
    for name in ("napari-brain-tumor", "torch", "numpy", "nibabel", "SimpleITK", "tifffile"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
