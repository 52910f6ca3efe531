"""Carry out a segmentation request with a network or with a method without weights."""

from dataclasses import replace
from os import PathLike
from typing import Unpack

from napari_brain_tumor.brain.extraction import ExtractedBrain, chosen_brain_job
from napari_brain_tumor.catalogue import Baseline, find_model
from napari_brain_tumor.errors import MissingRolesError, ProbabilityError, SeedError
from napari_brain_tumor.models.cards import ModelInfo
from napari_brain_tumor.postprocessing.region_probabilities import RegionProbabilities
from napari_brain_tumor.preprocessing.traits import traits_of
from napari_brain_tumor.progress import Job, action, part_of
from napari_brain_tumor.requests.request import takes
from napari_brain_tumor.requests.segment import SegmentOptions, SegmentRequest
from napari_brain_tumor.study import Segmentation, Study
from napari_brain_tumor.workflow.baseline import baseline_job
from napari_brain_tumor.workflow.network import CURRENT_RULES, Outcome, Rules, network_job
from napari_brain_tumor.workflow.provenance import Clock

ModelName = str | PathLike[str] | None


@action
@takes(SegmentRequest, "model", "device")
def segment(
    study: Study, model: ModelName = None, device: str = "auto", **options: Unpack[SegmentOptions]
) -> Job[Segmentation]:
    """Segment the tumour of a study.

    Parameters
    ----------
    study : Study
        A study with sequences that the model accepts.
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
        If there is no such model, or its files are invalid.
    MissingRolesError
        If the model was not trained for the sequences that the study has.
    DeviceError
        If the device is not available, or does not support bfloat16 although it was requested.
    OutOfMemoryError
        If memory runs out even with the smallest settings.
    SeedError
        If a seed lies outside the brain, or the model does not accept seeds.
    ProbabilityError
        If a threshold is not between 0 and 1, its region is not one of the model's, or the method has no probabilities.
    BoxError
        If the box is not six numbers, or contains no part of the brain.
    BrainMaskError
        If the given brain mask is not on the study's grid, is empty or covers everything.
    OptionError
        If there is no such option, or its value is invalid.

    Notes
    -----
    Voxels within a box get the same labels as in a run on the whole scan, except that small parts are judged by their
    size within the box. The network sees the same surroundings (whole slices in 2D, whole windows in 3D), but slices
    and windows that do not reach into the box are skipped.

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
"""`segment` as a job: yields `Progress` and returns the same result. Takes the same parameters."""


@action
@takes(SegmentRequest, "model", "device")
def segment_with_probabilities(
    study: Study, model: ModelName = None, device: str = "auto", **options: Unpack[SegmentOptions]
) -> Job[tuple[Segmentation, RegionProbabilities]]:
    """Segment the tumour of a study with a trained model, and return the probabilities behind the labels.

    Takes the parameters of `segment` except seeds, and raises the same errors, plus `ProbabilityError` for a method
    without weights.

    Returns
    -------
    Segmentation, RegionProbabilities
        `probabilities["WT"]` is a float16 array on the study's own grid, 0 outside the brain or head and outside the
        box. `probabilities.uncertainty()` is its entropy in bits. `probabilities.with_thresholds({"ET": 0.3}).labels()`
        gives the labels for other thresholds without running the model again.

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
"""`segment_with_probabilities` as a job: yields `Progress` and returns the same result. Takes the same parameters."""


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
    _check_roles(extracted.study, info)
    return (yield from network_job(extracted, info, request))


def requested_segmentation_job(
    study: Study, request: SegmentRequest, rules: Rules = CURRENT_RULES
) -> Job[tuple[Segmentation, RegionProbabilities | None]]:
    """Carry out a request as a job; returns the segmentation, and the probabilities if the model predicts any."""
    if request.model is not None:
        _check_fits(find_model(request.model), request)  # fail early, before the brain is extracted
    extracted = yield from _extracted(study, request)
    info = find_model(request.model, traits_of(extracted.study))
    _check_fits(info, request)
    _check_roles(extracted.study, info)
    if isinstance(info, ModelInfo):
        outcome = yield from network_job(extracted, info, request, rules)
        return outcome.segmentation, outcome.maps
    return (yield from baseline_job(extracted, info, request)), None


def _request(model: ModelName, device: str, options: SegmentOptions) -> SegmentRequest:
    return SegmentRequest(model=model, device=device, **options)


def _check_fits(info: ModelInfo | Baseline, request: SegmentRequest) -> None:
    if request.seeds and not info.takes_seeds:
        raise SeedError(_no_seeds(info))
    if request.thresholds and isinstance(info, Baseline):
        raise ProbabilityError(_no_probabilities(info))


def _extracted(study: Study, request: SegmentRequest) -> Job[ExtractedBrain]:
    clock = Clock()
    extracted = yield from part_of(chosen_brain_job(study, request.brain, request.device), 0, 0.1)
    clock.lap("brain")
    return replace(extracted, seconds=clock.seconds) if extracted.record else extracted


def _no_probabilities(info: Baseline) -> str:
    return (
        f"{info.name} is a method without weights: it predicts no probabilities, so none can be saved or thresholded. "
        "Leave thresholds and probabilities out, or choose a trained model."
    )


def _no_seeds(info: ModelInfo | Baseline) -> str:
    return f"{info.name} finds the tumour by itself and takes no seeds. Leave them out, or choose region_growing."


def _check_roles(study: Study, info: ModelInfo | Baseline) -> None:
    obstacle = info.obstacle(study.roles)
    if obstacle:
        raise MissingRolesError(f"{study.name} has {', '.join(study.roles)}; {obstacle}")
