"""Segment with a trained network."""

import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import torch

from napari_brain_tumor.brain.extraction import ExtractedBrain
from napari_brain_tumor.inference.device import resolve_device
from napari_brain_tumor.inference.engine import Engine
from napari_brain_tumor.inference.precision import engine_in
from napari_brain_tumor.labels import Region
from napari_brain_tumor.models import cards
from napari_brain_tumor.models.cards import ModelInfo
from napari_brain_tumor.models.checkpoint import load_network
from napari_brain_tumor.postprocessing.region_probabilities import (
    SURE,
    RegionProbabilities,
    SizeRules,
    check_thresholds,
    sure_share,
)
from napari_brain_tumor.preprocessing.pipeline import Prepared, prepare
from napari_brain_tumor.preprocessing.traits import traits_of
from napari_brain_tumor.preprocessing.world_box import check_box
from napari_brain_tumor.progress import Job, Progress, part_of
from napari_brain_tumor.requests.segment import SegmentRequest
from napari_brain_tumor.study import Segmentation, Study
from napari_brain_tumor.workflow.provenance import Clock, recorded_segmentation
from napari_brain_tumor.workflow.voxels import allowed_voxels, smallest_part, smoothed

logger = logging.getLogger(__name__)

_THIN_MM: Final = 1.25
"""Slice spacing up to which neighbouring slices show nearly the same anatomy."""


@dataclass(frozen=True, slots=True)
class Rules:
    """Processing rules that earlier versions lacked; a result recorded without a rule is reproduced without it.

    Parameters
    ----------
    skips_thin_slices : bool
        Whether, in stacks of thin slices, only every second slice is fully predicted and, of the slices in
        between, only suspicious areas.
    decides_enhancing : bool
        Whether a tumour may be judged not to enhance at all, according to the model card's `min_sure_enhancing`.
    decides_tumor : bool
        Whether a scan may be judged to show no tumour, according to the model card's `min_sure_tumor`.
    """

    skips_thin_slices: bool = True
    decides_enhancing: bool = True
    decides_tumor: bool = True


CURRENT_RULES: Final = Rules()


@dataclass(frozen=True, slots=True, eq=False)
class Outcome:
    """A segmentation together with the data it was derived from.

    Parameters
    ----------
    segmentation : Segmentation
        The labels on the study's own grid.
    maps : RegionProbabilities
        Probability maps and the rules by which labels are derived from them.
    prepared : Prepared
        The preprocessed study, as the network received it.
    """

    segmentation: Segmentation
    maps: RegionProbabilities
    prepared: Prepared

    @property
    def probabilities(self) -> npt.NDArray[np.float16]:
        """Probabilities of the model's regions, `(R, Z, Y, X)`, in the box of `prepared`."""
        return self.maps.values


def network_job(
    extracted: ExtractedBrain, info: ModelInfo, request: SegmentRequest, rules: Rules = CURRENT_RULES
) -> Job[Outcome]:
    """Segment a study with a trained network, as a job; the study must have the sequences it needs."""
    study = extracted.study
    thresholds = check_thresholds(request.thresholds, {r: info.card.threshold(r) for r in info.regions})
    box = None if request.box is None else check_box(request.box, study.grid)
    clock = Clock()
    yield Progress(0.1, 1, f"loading {info.name}")
    engine = _engine(info, resolve_device(request.device), request.precision)
    clock.lap("load")
    yield Progress(0.12, 1, "finding the brain")
    prepared = prepare(study, info.roles, info.card.preprocessing)
    mask, within = allowed_voxels(prepared, box)
    clock.lap("prepare")
    grid = prepared.work.grid
    thin = rules.skips_thin_slices and grid.unit == "mm" and grid.spacing[2] <= _THIN_MM
    network = engine.probabilities(prepared.channels, flips=request.flips, within=within, thin=thin)
    values = yield from part_of(network, 0.15, 0.95)
    clock.lap("network")
    yield Progress(0.95, 1, "resampling the result to the scan's grid")
    np.copyto(values, 0, where=~mask)
    sizes = _size_rules(info, request, study, thresholds, rules)
    maps = RegionProbabilities(info.regions, values, prepared.box, prepared.work, thresholds, sizes, box, study.brain)
    maps = maps.with_presence()
    uncertain = _uncertainty_note(maps)
    if request.smooth_mm:
        for value in values:
            value[...] = smoothed(value, mask, prepared, request.smooth_mm)
    data = maps.labels()
    clock.lap("finish")
    yield Progress(0.98, 1, "recording how it was made")
    # Recorded because floating-point sums depend on how the work is split between threads.
    record = {"model": _model_record(info), "device": str(engine.device), "threads": torch.get_num_threads()}
    settings = _network_settings(request, info, maps, engine) | {"skips_thin_slices": thin}
    traits = traits_of(study)
    reason = cards.why_default(cards.list_models(), traits) if request.model is None else ""
    notes = [
        *filter(None, [reason, uncertain]),
        *info.notes_without(study.roles, traits),
        *info.notes_on(traits),
        *info.card.notes,
    ]
    segmentation = recorded_segmentation(
        extracted,
        prepared,
        data,
        info.regions,
        record=record,
        settings=settings,
        box=box,
        seconds=clock.seconds,
        notes=notes,
    )
    return Outcome(segmentation, maps, prepared)


def _size_rules(
    info: ModelInfo, request: SegmentRequest, study: Study, thresholds: Mapping[Region, float], rules: Rules
) -> SizeRules:
    """Return the card's size rules, leaving out those that do not apply to this request."""
    card, smallest = info.card, smallest_part(info, request)
    # The shares were calibrated with T1c and FLAIR present; a user's own threshold or box implies that there is tumour.
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
    """Describe a decision that there is no tumour or no enhancement; empty if there was no such decision."""
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
        f"{sure_share(values, threshold):.0%} of it, and {least:.0%} is needed. Another threshold of {region}, for "
        f"example {threshold - 0.01:g}, labels it."
    )


def _network_settings(
    request: SegmentRequest, info: ModelInfo, maps: RegionProbabilities, engine: Engine
) -> dict[str, Any]:
    """Return the requested settings, with the card's or device's values where the request left them open."""
    return request.recorded() | {
        **asdict(maps.rules),
        "thresholds": dict(maps.thresholds),
        "temperatures": {region: info.card.temperature(region) for region in info.regions},
        "precision": str(engine.dtype).removeprefix("torch."),
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
