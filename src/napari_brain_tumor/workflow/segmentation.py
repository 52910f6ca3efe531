"""What is asked for, carried out by a network or by a method without weights."""

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
    """What the request asks for, as a job: the segmentation, and the probabilities of a model that has any."""
    if request.model is not None:
        _check_fits(find_model(request.model), request)  # before the brain is looked for
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
