"""One case from end to end: what the window, a script and the shell all call."""

import logging
import platform
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from os import PathLike
from pathlib import Path
from typing import Any, Final, Unpack

import numpy as np
import numpy.typing as npt
import torch
from scipy import ndimage

from napari_brain_tumor.brain.extraction import ExtractedBrain, chosen_brain_job
from napari_brain_tumor.catalogue import Baseline, find_model
from napari_brain_tumor.classical.run import find_regions_job, scan_of, seeds_in_scan
from napari_brain_tumor.errors import BoxError, MissingRolesError, ProbabilityError, SeedError
from napari_brain_tumor.geometry import Box, bounding_box
from napari_brain_tumor.inference.device import resolve_device
from napari_brain_tumor.inference.engine import Engine
from napari_brain_tumor.inference.precision import engine_in
from napari_brain_tumor.io.source_files import changes_since_read, describe_sources
from napari_brain_tumor.labels import REGIONS, Region, class_names_of, labels_sha256
from napari_brain_tumor.models import cards
from napari_brain_tumor.models.cards import ModelInfo
from napari_brain_tumor.models.checkpoint import load_network
from napari_brain_tumor.postprocessing.plausibility import doubts_about
from napari_brain_tumor.postprocessing.region_probabilities import (
    SURE,
    RegionProbabilities,
    SizeRules,
    check_thresholds,
    labels_from_masks,
    sure_share,
)
from napari_brain_tumor.preprocessing.pipeline import Prepared, PreprocessingSpec, prepare, restore
from napari_brain_tumor.preprocessing.traits import traits_of
from napari_brain_tumor.preprocessing.world_box import WorldBox, check_box, inside_box
from napari_brain_tumor.progress import Job, Progress, action, part_of
from napari_brain_tumor.requests.request import takes
from napari_brain_tumor.requests.segment import SegmentOptions, SegmentRequest
from napari_brain_tumor.study import ROLES, Segmentation, Study

__all__ = [
    "Outcome",
    "outcome_job",
    "requested_segmentation_job",
    "segment",
    "segment_job",
    "segment_with_probabilities",
    "segment_with_probabilities_job",
    "versions",
]

logger = logging.getLogger(__name__)

ModelName = str | PathLike[str] | None

_THIN_MM: Final = 1.25
"""Distance between slices up to which neighbours show nearly the same."""


@dataclass(frozen=True, slots=True)
class Rules:
    """What this version does that earlier ones did not; a record from before is repeated without it.

    Parameters
    ----------
    skips_thin_slices : bool
        Whether of thin slices every second one is computed whole, and of the others only what is suspect.
    decides_enhancing : bool
        Whether a tumour may be taken not to enhance at all, by the card's `min_sure_enhancing`.
    decides_tumor : bool
        Whether there may be taken to be no tumour, by the card's `min_sure_tumor`.
    """

    skips_thin_slices: bool = True
    decides_enhancing: bool = True
    decides_tumor: bool = True


NOT_FOR_CLINICAL_USE = "For research only. Not a medical device, not for clinical use."


@action
@takes(SegmentRequest, "model", "device")
def segment(
    study: Study, model: ModelName = None, device: str = "auto", **options: Unpack[SegmentOptions]
) -> Job[Segmentation]:
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
    {options}

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
    ProbabilityError
        If a threshold is not between 0 and 1 or not of a region of the model, or the method has no probabilities.
    BoxError
        If the box is not six numbers, or holds nothing of the brain.
    BrainMaskError
        If the brain mask that was given is not on the study's grid, is empty or covers everything.
    OptionError
        If there is no such option, or it cannot take that value.

    Notes
    -----
    Within a box voxels get the labels that a run over the whole gives them, as far as parts that are too small are
    judged within the box: the network sees the same surroundings as then, whole slices in 2D and whole windows in 3D,
    but no slice or window that does not reach into the box.

    Examples
    --------
    >>> from napari_brain_tumor import open_study, segment
    >>> from napari_brain_tumor.sample import sample_case_folder
    >>> segmentation = segment(open_study(sample_case_folder()), device="cpu")
    >>> segmentation.data.shape == segmentation.grid.shape
    True
    """
    segmentation, _ = yield from requested_segmentation_job(study, _request(model, device, options))
    return segmentation


segment_job = segment.job
"""`segment` as a job: yields `Progress`, returns what it returns. Takes the same parameters."""


@action
@takes(SegmentRequest, "model", "device")
def segment_with_probabilities(
    study: Study, model: ModelName = None, device: str = "auto", **options: Unpack[SegmentOptions]
) -> Job[tuple[Segmentation, RegionProbabilities]]:
    """`segment` with a trained model, and the probabilities behind the labels.

    Takes the parameters of `segment` but seeds, and raises what it raises; `ProbabilityError` for a method without
    weights.

    Returns
    -------
    Segmentation, RegionProbabilities
        `probabilities["WT"]` is a float16 array on the study's own grid, 0 outside the brain or head and outside the
        box; `probabilities.uncertainty()` its entropy in bits; `probabilities.with_thresholds({"ET": 0.3}).labels()`
        are the labels that other thresholds give, without running again.

    Examples
    --------
    >>> from napari_brain_tumor import open_study, segment_with_probabilities
    >>> from napari_brain_tumor.sample import sample_case_folder
    >>> study = open_study(sample_case_folder())
    >>> segmentation, probabilities = segment_with_probabilities(study, device="cpu")
    >>> probabilities["ET"].shape == segmentation.data.shape
    True
    """
    request = _request(model, device, options)
    if request.seeds:
        raise SeedError(_no_seeds(find_model(model)))
    outcome = yield from outcome_job(study, request)
    return outcome.segmentation, outcome.maps


segment_with_probabilities_job = segment_with_probabilities.job
"""`segment_with_probabilities` as a job: yields `Progress`, returns what it returns. Takes the same parameters."""


@dataclass(frozen=True, slots=True, eq=False)
class Outcome:
    """A segmentation with what it was made from.

    Parameters
    ----------
    segmentation : Segmentation
        On the study's own grid.
    maps : RegionProbabilities
        What the labels were made of.
    prepared : Prepared
        The study as the network saw it.
    """

    segmentation: Segmentation
    maps: RegionProbabilities
    prepared: Prepared

    @property
    def probabilities(self) -> npt.NDArray[np.float16]:
        """Of the model's regions, `(R, Z, Y, X)` in the box of `prepared`."""
        return self.maps.values


def outcome_job(study: Study, request: SegmentRequest) -> Job[Outcome]:
    """Segment with a trained model as a job; returns its `Outcome`.

    Raises
    ------
    ProbabilityError
        For a method without weights.
    """
    extracted = yield from _extracted(study, request)
    info = find_model(request.model, traits_of(extracted.study))
    if isinstance(info, Baseline):
        raise ProbabilityError(_no_probabilities(info))
    return (yield from _outcome_job(extracted, info, request))


def requested_segmentation_job(
    study: Study, request: SegmentRequest, rules: Rules = Rules()
) -> Job[tuple[Segmentation, RegionProbabilities | None]]:
    """What the request asks for, as a job: the segmentation, and the probabilities of a model that has any."""
    if request.model is not None:
        _check_fits(find_model(request.model), request)  # before the brain is looked for
    extracted = yield from _extracted(study, request)
    info = find_model(request.model, traits_of(extracted.study))
    _check_fits(info, request)
    if isinstance(info, ModelInfo):
        outcome = yield from _outcome_job(extracted, info, request, rules)
        return outcome.segmentation, outcome.maps
    _check_roles(study, info)
    return (yield from _baseline_job(extracted, info, request)), None


def _request(model: ModelName, device: str, options: SegmentOptions) -> SegmentRequest:
    return SegmentRequest(model=model, device=device, **options)


def _check_fits(info: ModelInfo | Baseline, request: SegmentRequest) -> None:
    if request.seeds and not info.takes_seeds:
        raise SeedError(_no_seeds(info))
    if request.thresholds and isinstance(info, Baseline):
        raise ProbabilityError(_no_probabilities(info))


def _extracted(study: Study, request: SegmentRequest) -> Job[ExtractedBrain]:
    clock = _Clock()
    extracted = yield from part_of(chosen_brain_job(study, request.brain, request.device), 0, 0.1)
    clock.lap("brain")
    return replace(extracted, seconds=clock.seconds) if extracted.record else extracted


def _no_probabilities(info: Baseline) -> str:
    return (
        f"{info.name} is a method without weights: it gives no probabilities, so none can be given or put a threshold "
        "on. Leave thresholds and probabilities out, or choose a trained model."
    )


def _no_seeds(info: ModelInfo | Baseline) -> str:
    return f"{info.name} finds the tumour by itself and takes no seeds. Leave them out, or choose region_growing."


def _check_roles(study: Study, info: ModelInfo | Baseline) -> None:
    obstacle = info.obstacle(study.roles)
    if obstacle:
        msg = f"{study.name} has {', '.join(study.roles)}; {obstacle}"
        raise MissingRolesError(msg)


def _outcome_job(
    extracted: ExtractedBrain, info: ModelInfo, request: SegmentRequest, rules: Rules = Rules()
) -> Job[Outcome]:
    study = extracted.study
    _check_roles(study, info)
    thresholds = check_thresholds(request.thresholds, {r: info.card.threshold(r) for r in info.regions})
    box = None if request.box is None else check_box(request.box, study.grid)
    clock = _Clock()
    yield Progress(0.1, 1, f"loading {info.name}")
    engine = _engine(info, resolve_device(request.device), request.precision)
    clock.lap("load")
    yield Progress(0.12, 1, "finding the brain")
    prepared = prepare(study, info.roles, info.card.preprocessing)
    mask, within = _allowed_voxels(prepared, box)
    clock.lap("prepare")
    grid = prepared.work.grid
    thin = rules.skips_thin_slices and grid.unit == "mm" and grid.spacing[2] <= _THIN_MM
    network = engine.probabilities(prepared.channels, flips=request.flips, within=within, thin=thin)
    values = yield from part_of(network, 0.15, 0.95)
    clock.lap("network")
    yield Progress(0.95, 1, "putting the result on the scan's grid")
    np.copyto(values, 0, where=~mask)
    sizes = _size_rules(info, request, study, thresholds, rules)
    maps = RegionProbabilities(info.regions, values, prepared.box, prepared.work, thresholds, sizes, box, study.brain)
    maps = maps.with_presence()
    uncertain = _uncertainty_note(maps)
    if request.smooth_mm:
        for value in values:
            value[...] = _smoothed(value, mask, prepared, request.smooth_mm)
    data = maps.labels()
    clock.lap("finish")
    yield Progress(0.98, 1, "noting how it was made")
    settings = _network_settings(request, info, maps, engine) | _brain_setting(extracted)
    settings["skips_thin_slices"] = thin
    provenance: dict[str, Any] = {"model": _model_record(info), "device": str(engine.device), "settings": settings}
    # Sums depend on how they are split.
    provenance |= {"threads": torch.get_num_threads(), "seconds": {**extracted.seconds, **clock.seconds}}
    provenance["working_shape"] = list(prepared.mask.shape)
    provenance |= _brain_record(extracted)
    traits = traits_of(study)
    reason = cards.why_default(cards.list_models(), traits) if request.model is None else ""
    notes = [
        *extracted.notes,
        *filter(None, [reason, uncertain]),
        *info.notes_without(study.roles, traits),
        *info.notes_on(traits),
        *info.card.notes,
    ]
    return Outcome(_segmentation(study, data, info.regions, provenance, notes), maps, prepared)


def _size_rules(
    info: ModelInfo, request: SegmentRequest, study: Study, thresholds: Mapping[Region, float], rules: Rules
) -> SizeRules:
    """The card's rules, as far as they hold for what was asked."""
    card, smallest = info.card, _smallest(info, request)
    # The shares were found with T1c, and with FLAIR; a threshold or box of one's own says that there is something.
    own = {region for region in info.regions if thresholds[region] != card.threshold(region)}
    enhancing = rules.decides_enhancing and "T1c" in study.sequences and "ET" not in own
    tumor = rules.decides_tumor and "FLAIR" in study.sequences
    tumor = tumor and "WT" not in own and request.box is None
    return SizeRules(
        smallest,
        card.min_lesion_share if smallest > 0 else 0.0,
        card.min_enhancing_mm3,
        card.min_sure_enhancing if enhancing else 0.0,
        card.min_sure_tumor if tumor else 0.0,
    )


def _uncertainty_note(maps: RegionProbabilities) -> str:
    """What is said where there is taken to be no tumour, or one that does not enhance; empty where neither is so."""
    if maps.without_tumor:
        return _unsure(maps, "WT", "No tumour is labelled", "be tumour", maps.rules.min_sure_tumor)
    if maps.without_enhancing:
        return _unsure(maps, "ET", "No enhancing tumour is labelled", "enhance", maps.rules.min_sure_enhancing)
    return ""


def _unsure(maps: RegionProbabilities, region: Region, what: str, doing: str, least: float) -> str:
    values, threshold, grid = maps.values[maps.regions.index(region)], maps.thresholds[region], maps.work.grid
    called = int((values >= threshold).sum())
    amount = f"{called * grid.voxel_volume_mm3 / 1000:.1f} mL" if grid.unit == "mm" else f"{called} voxels"
    return (
        f"{what}: {amount} might {doing}, but the model is sure (probability {SURE:g} or more) of only "
        f"{sure_share(values, threshold):.0%} of it, and {least:.0%} are needed. Another threshold of {region}, such "
        f"as {threshold - 0.01:g}, labels it."
    )


def _smallest(info: ModelInfo | Baseline, request: SegmentRequest) -> float:
    """Size in mm3 below which parts are removed."""
    return info.min_lesion_mm3 if request.min_lesion_mm3 is None else request.min_lesion_mm3


def _network_settings(
    request: SegmentRequest, info: ModelInfo, maps: RegionProbabilities, engine: Engine
) -> dict[str, Any]:
    """What was asked for, with the values that were used where the request left them to the card or the device."""
    return request.recorded() | {
        "min_lesion_mm3": maps.rules.min_lesion_mm3,
        "min_lesion_share": maps.rules.min_lesion_share,
        "min_enhancing_mm3": maps.rules.min_enhancing_mm3,
        "min_sure_enhancing": maps.rules.min_sure_enhancing,
        "min_sure_tumor": maps.rules.min_sure_tumor,
        "thresholds": dict(maps.thresholds),
        "temperatures": {region: info.card.temperature(region) for region in info.regions},
        "precision": str(engine.dtype).removeprefix("torch."),
        **_box_setting(maps.box),
    }


def _model_record(info: ModelInfo) -> dict[str, str]:
    model = {
        "name": info.name,
        "architecture": info.card.architecture,
        "weights_sha256": info.card.weights_sha256,
        "licence": info.card.licence,
    }
    if not info.bundled:
        model["folder"] = str(info.folder)
    return model


def _brain_setting(extracted: ExtractedBrain) -> dict[str, str]:
    return {} if extracted.setting is None else {"brain": extracted.setting}


def _brain_record(extracted: ExtractedBrain) -> dict[str, Any]:
    return {"brain": dict(extracted.record)} if extracted.record else {}


def _box_setting(box: WorldBox | None) -> dict[str, list[float]]:
    return {} if box is None else {"box": list(box)}


def _allowed_voxels(prepared: Prepared, box: WorldBox | None) -> tuple[npt.NDArray[np.bool_], Box | None]:
    """Voxels `(Z, Y, X)` of the prepared block that may get labels, and the block of them where a box was given.

    Raises
    ------
    BoxError
        If nothing of the brain or head lies in the box.
    """
    if box is None:
        return prepared.mask, None
    x_first = Box(prepared.box.start[::-1], prepared.box.stop[::-1])
    inside = inside_box(prepared.work.grid.cropped(x_first), box).T
    if prepared.work.resampled:
        # The scan's voxels at its border may be nearest to the next ones of the network.
        inside = ndimage.binary_dilation(inside, np.ones((3, 3, 3), dtype=bool))
    mask = prepared.mask & inside
    within = bounding_box(mask)
    if within is None:
        msg = (
            f"The box {','.join(f'{end:g}' for end in box)} holds nothing of the brain, where alone tumours are looked "
            "for. Draw it over the brain; its numbers are x0,x1,y0,y1,z0,z1."
        )
        raise BoxError(msg)
    return mask, within


def _baseline_job(extracted: ExtractedBrain, baseline: Baseline, request: SegmentRequest) -> Job[Segmentation]:
    study = extracted.study
    box = None if request.box is None else check_box(request.box, study.grid)
    clock = _Clock()
    yield Progress(0.1, 1, "finding the brain")
    prepared = prepare(study, ROLES, PreprocessingSpec())
    inside, _ = _allowed_voxels(prepared, box)
    scan = scan_of(study, prepared)
    voxels = seeds_in_scan(request.seeds, prepared, scan)
    clock.lap("prepare")
    yield Progress(0.3, 1, f"running {baseline.name}")
    result = yield from part_of(find_regions_job(baseline, scan, voxels), 0.3, 0.95)
    masks = {region: mask & mask for region, mask in result.masks.items()}
    if request.smooth_mm:
        masks = {r: _smoothed(mask, inside, prepared, request.smooth_mm) >= 0.5 for r, mask in masks.items()}
    clock.lap("method")
    yield Progress(0.95, 1, "putting the result on the scan's grid")
    smallest = _smallest(baseline, request)
    data = restore(labels_from_masks(masks, prepared.work.grid, SizeRules(smallest)), prepared)
    if box is not None:
        data *= inside_box(study.grid, box)
    if study.brain is not None:
        data *= study.brain
    clock.lap("finish")
    yield Progress(0.98, 1, "noting how it was made")
    recorded = {name: value for name, value in request.recorded().items() if name not in SegmentRequest.of_networks()}
    settings = {"seeds": [], **recorded, "min_lesion_mm3": smallest, **_box_setting(box), **_brain_setting(extracted)}
    model = {"name": baseline.name, "method": baseline.summary, "source": baseline.source}
    provenance = {
        "model": model,
        "device": "cpu",
        "settings": settings,
        "seconds": {**extracted.seconds, **clock.seconds},
    }
    provenance["working_shape"] = list(prepared.mask.shape)
    provenance |= _brain_record(extracted)
    notes = [*extracted.notes, *result.notes, *baseline.notes_without(study.roles)]
    return _segmentation(study, data, tuple(masks), provenance, notes)


def _smoothed(
    values: npt.NDArray[Any], inside: npt.NDArray[np.bool_], prepared: Prepared, width_mm: float
) -> npt.NDArray[np.float32]:
    """Values `(Z, Y, X)` after a Gaussian of that standard deviation in mm (voxels where their size is not known).

    Only what lies within counts, so that an outline along the brain's border stays where it is.
    """
    grid = prepared.work.grid
    sigma = [width_mm / step for step in reversed(grid.spacing)] if grid.unit == "mm" else width_mm
    known = ndimage.gaussian_filter(inside.astype(np.float32), sigma)
    smooth = ndimage.gaussian_filter(values.astype(np.float32) * inside, sigma)
    return np.divide(smooth, known, out=np.zeros_like(smooth), where=inside)


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
    provenance: dict[str, Any],
    notes: Sequence[str],
) -> Segmentation:
    """The result with its provenance; `provenance` tells model, device, settings and seconds."""
    doubts = doubts_about(study, data, in_box="box" in provenance["settings"])
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
            **({"preparation": dict(study.preparation)} if study.preparation else {}),
            "grid": {"shape": list(study.grid.shape), "affine": study.grid.affine.tolist(), "unit": study.grid.unit},
            **provenance,
            "labels_sha256": labels_sha256(data),
            "versions": versions(),
            "doubts": doubts,
            "notes": [*doubts, *study.notes, *notes, *changes_since_read(study.sources)],
            "warning": NOT_FOR_CLINICAL_USE,
        },
        notes=study.notes,
    )


@lru_cache(maxsize=2)
def _cached_engine(
    folder: Path, weights_sha256: str, temperatures: tuple[float, ...], device: torch.device, precision: str
) -> Engine:
    info = cards.find_model(folder)
    engine = engine_in(precision, load_network(info), info.card, device)
    logger.debug("Loaded %s (%s) for %s in %s.", folder, weights_sha256[:12], device, engine.dtype)
    return engine


def _engine(info: ModelInfo, device: torch.device, precision: str) -> Engine:
    temperatures = tuple(info.card.temperature(region) for region in info.regions)
    return _cached_engine(info.folder, info.card.weights_sha256, temperatures, device, precision)


def versions() -> dict[str, str]:
    """Versions of this package, Python and what the numbers depend on, for provenance."""
    installed = {"python": platform.python_version()}
    for name in ("napari-brain-tumor", "torch", "numpy", "nibabel", "SimpleITK", "tifffile"):
        try:
            installed[name] = version(name)
        except PackageNotFoundError:
            continue
    return installed
