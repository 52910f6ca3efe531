"""Run all preflight checks of a case."""

from collections.abc import Sequence
from dataclasses import replace
from math import prod
from os import PathLike
from typing import Unpack

from napari_brain_tumor import catalogue
from napari_brain_tumor.catalogue import Method, ModelInfo
from napari_brain_tumor.errors import BrainTumorError
from napari_brain_tumor.inference.device_list import list_memory
from napari_brain_tumor.inference.memory import DeviceMemory
from napari_brain_tumor.io import Sequences, open_segmentation, open_sequences, open_study
from napari_brain_tumor.preflight import questions
from napari_brain_tumor.preflight.costs import Expected, expected_cost, known_costs, slowdown_now
from napari_brain_tumor.preflight.rows import Fix, Row
from napari_brain_tumor.preflight.scans import BrainPlan, Facts, Scans, facts_of, with_outline
from napari_brain_tumor.preprocessing.grid import working_grid
from napari_brain_tumor.preprocessing.pipeline import PreprocessingSpec
from napari_brain_tumor.requests.opening import OpenOptions
from napari_brain_tumor.requests.request import takes
from napari_brain_tumor.requests.segment import BrainChoice, SegmentOptions, SegmentRequest
from napari_brain_tumor.study import Segmentation, Study

AnyPath = str | PathLike[str]


@takes(SegmentRequest, "model", "device")
def check_study(
    study: Study,
    model: Method | AnyPath | None = None,
    device: str = "auto",
    segmentation: Segmentation | None = None,
    **options: Unpack[SegmentOptions],
) -> tuple[Row, ...]:
    """Check a study before it is segmented.

    Parameters
    ----------
    study : Study
    model : str, path or Method, optional
        As for `segment`; if not given, the default that suits the study.
    device : str
        As for `segment`.
    segmentation : Segmentation, optional
        Labels of the same case, which are checked too.
    {options}

    With `brain="auto"`, the brain of a whole head is extracted and its size reported.

    Returns
    -------
    tuple of Row
        One row for each question, with its verdict, `"pass"`, `"warn"` or `"fail"`, and the finding in words.

    Raises
    ------
    ModelNotFoundError, CheckpointError
        If there is no such model, or its files are invalid.

    Examples
    --------
    >>> from napari_brain_tumor import check_study, open_study
    >>> from napari_brain_tumor.sample import sample_case_folder
    >>> rows = check_study(open_study(sample_case_folder()), device="cpu")
    >>> [row.question for row in rows if row.verdict == "fail"]
    []
    """
    return check_scans(Scans.of_study(study), model, device, segmentation, **options)


def check_scans(
    scans: Scans,
    model: Method | AnyPath | None = None,
    device: str = "auto",
    segmentation: Segmentation | BrainTumorError | None = None,
    *,
    devices: Sequence[DeviceMemory] | None = None,
    models: Sequence[Method] | None = None,
    **options: Unpack[SegmentOptions],
) -> tuple[Row, ...]:
    """Run `check_study` on sequences that may not be valid as a study.

    Parameters
    ----------
    model, device, **options
        As for `check_study`.
    segmentation : Segmentation or BrainTumorError, optional
        Labels of the same case, or the error raised when opening them.
    devices : sequence of DeviceMemory, optional
        The available devices, beginning with the one that `"auto"` selects; if not given, they are determined, which
        loads torch.
    models : sequence of Method, optional
        Models that can be suggested instead; all installed ones if not given.
    """
    request = SegmentRequest(device=device, **options)
    facts = facts_of(scans)
    if plan_of(request.brain) == "auto":
        facts = with_outline(facts, device)
    if facts.reference is not None and not isinstance(model, Method):
        model = catalogue.find_model(model, facts.traits)
    method = model if isinstance(model, Method) else None
    return check_facts(facts, method, request, segmentation, devices=devices, models=models)


def plan_of(brain: BrainChoice) -> BrainPlan:
    """Return what a brain choice means for a whole head."""
    return brain if isinstance(brain, str) and brain in ("auto", "keep") else "mask"  # type: ignore[return-value]


def check_facts(
    facts: Facts,
    method: Method | None,
    request: SegmentRequest,
    segmentation: Segmentation | BrainTumorError | None = None,
    *,
    devices: Sequence[DeviceMemory] | None = None,
    models: Sequence[Method] | None = None,
) -> tuple[Row, ...]:
    """Run `check_scans` on sequences that have already been examined, for a method and request."""
    facts = replace(facts, brain=plan_of(request.brain))
    if facts.reference is None:
        return (questions.sequences(facts),)
    others = catalogue.list_models() if models is None else models
    method = catalogue.find_model(None, facts.traits) if method is None else method
    return (
        questions.sequences(facts),
        questions.grids(facts),
        questions.fit(facts),
        questions.coverage(facts),
        questions.spacing(facts, method, others),
        questions.orientation(facts),
        questions.brain_or_head(facts, method, others),
        questions.intensities(facts),
        questions.missing_sequences(facts, method, others),
        _cost_row(facts, method, request, list_memory() if devices is None else devices),
        *_label_rows(facts, segmentation),
    )


def check_case(
    path: AnyPath,
    model: AnyPath | None = None,
    device: str = "auto",
    segmentation: AnyPath | None = None,
    *,
    opening: OpenOptions | None = None,
    schema: str | None = None,
    **options: Unpack[SegmentOptions],
) -> tuple[Row, ...]:
    """Run `check_study` on files that may not be valid as a study; errors become rows with the verdict `"fail"`.

    Parameters
    ----------
    path : path-like
    opening : OpenOptions, optional
        Options for opening the path.
    model, device, **options
        As for `segment`.
    segmentation, schema
        As for `open_segmentation`, if there is a segmentation.

    Raises
    ------
    ModelNotFoundError, CheckpointError
        If there is no such model, or its files are invalid.
    """
    try:
        scans = _opened(path, opening or OpenOptions())
    except BrainTumorError as error:
        return (Row("Sequences", "fail", str(error), Fix("roles", "Choose roles")),)
    spacing_mm = None if opening is None else opening.spacing_mm
    labels = _opened_labels(segmentation, schema, spacing_mm) if segmentation is not None else None
    return check_scans(scans, model, device, labels, **options)


def _opened(path: AnyPath, opening: OpenOptions) -> Scans:
    options = opening.changed()
    if opening.resample is not None:
        return Scans.of_study(open_study(path, **options))
    opened: Sequences = open_sequences(path, **options)
    return Scans.of_opened(opened)


def _opened_labels(
    path: AnyPath, schema: str | None, spacing_mm: tuple[float, float, float] | None
) -> Segmentation | BrainTumorError:
    try:
        return open_segmentation(path, schema, spacing_mm=spacing_mm)
    except BrainTumorError as error:
        return error


def _label_rows(facts: Facts, segmentation: Segmentation | BrainTumorError | None) -> tuple[Row, ...]:
    if segmentation is None:
        return ()
    if isinstance(segmentation, BrainTumorError):
        return (questions.refused_labels(segmentation),)
    return (questions.labels(segmentation, facts.grid),)


def _cost_row(facts: Facts, method: Method | None, request: SegmentRequest, devices: Sequence[DeviceMemory]) -> Row:
    if method is not None and method.is_baseline:
        request = request.with_options(device="cpu")
    return questions.time_and_memory(expected_of(facts, method, request, devices), request.device, devices)


def expected_of(
    facts: Facts, method: Method | None, request: SegmentRequest, devices: Sequence[DeviceMemory]
) -> Expected | None:
    """Estimate the cost of segmenting these scans; None if nothing comparable was measured.

    Parameters
    ----------
    devices : sequence of DeviceMemory
        As for `check_scans`.
    """
    device = request.device
    baseline = method is not None and method.is_baseline
    name = "cpu" if baseline else devices[0].name if device == "auto" and devices else device
    if method is None or facts.head_mm is None:
        return None
    known = known_costs(slowdown=slowdown_now())
    return expected_cost(method, name, _working_voxels(facts, method), known, request)


def _working_voxels(facts: Facts, method: Method) -> int:
    """Return the number of voxels of the network's grid within the head's bounding box."""
    assert facts.head_mm is not None
    spec = method.card.preprocessing if isinstance(method, ModelInfo) else PreprocessingSpec()
    ras = working_grid(facts.grid, spec.plane_spacing_mm, spec.slice_spacing_mm).grid
    margins = (2 * spec.margin_voxels, 2 * spec.margin_voxels, 0)
    sides = [
        min(n, round(mm / step) + margin)
        for mm, step, n, margin in zip(facts.head_mm, ras.spacing, ras.shape, margins, strict=True)
    ]
    return max(1, prod(sides))
