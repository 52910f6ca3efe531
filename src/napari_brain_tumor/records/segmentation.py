"""Compute a recorded segmentation again and compare it with what was recorded."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch

from napari_brain_tumor.catalogue import Baseline, ModelInfo, find_model, list_models
from napari_brain_tumor.errors import BrainTumorError, DeviceError, RecordError
from napari_brain_tumor.inference.device import check_bfloat16, resolve_device
from napari_brain_tumor.io import open_segmentation, open_sources
from napari_brain_tumor.label_schemas import LabelSchema, schema_named
from napari_brain_tumor.labels import class_names_of, labels_sha256
from napari_brain_tumor.postprocessing.region_probabilities import RegionProbabilities
from napari_brain_tumor.preparation.prepared import restore_labels
from napari_brain_tumor.progress import Job, Progress, part_of
from napari_brain_tumor.records.agreement import Agreement, agreement_of, tolerance_of
from napari_brain_tumor.records.brain import brain_choice, changed_brain
from napari_brain_tumor.records.correction import corrected_job, find_start, spacing_for, uses_probabilities
from napari_brain_tumor.records.places import Places, find_sources
from napari_brain_tumor.records.preparation import prepared_again_job
from napari_brain_tumor.records.records import CorrectionRecord, ModelRecord, SegmentRecord, SidecarRecord
from napari_brain_tumor.records.report import Replay
from napari_brain_tumor.requests.segment import SegmentRequest
from napari_brain_tumor.study import Role, Segmentation, Source, Study
from napari_brain_tumor.workflow import Rules, requested_segmentation_job, versions

_OF_THE_CARD: Final[dict[str, Callable[[ModelInfo], Any]]] = {
    "min_enhancing_mm3": lambda model: model.card.min_enhancing_mm3,
    "min_sure_enhancing": lambda model: model.card.min_sure_enhancing,
    "min_sure_tumor": lambda model: model.card.min_sure_tumor,
    "min_lesion_share": lambda model: model.card.min_lesion_share,
    "temperatures": lambda model: {region: model.card.temperature(region) for region in model.regions},
}
"""Settings that are not options of `segment` but come from the model card."""


def replay_segmentation_job(
    record: SidecarRecord, places: Places, *, model: str | PathLike[str] | None = None, device: str | None = None
) -> Job[Replay]:
    """Compute a recorded segmentation again, as a job that returns the `Replay`.

    Parameters
    ----------
    places : Places
        Where to look for its files.
    model : str or path, optional
        The model, if it is not in the list of models; its weights must match the record.
    device : str, optional
        Device to use instead of the recorded one.

    Raises
    ------
    RecordError
        If a scan or the model has changed, or the record has a setting that this version does not know.
    """
    yield Progress(0, 1, "checking the scans")
    recorded = record.provenance
    sources = find_sources(recorded.inputs, places, recorded.case)
    notes: list[str] = []
    if isinstance(recorded, SegmentRecord):
        job = _segmented(recorded, sources, model, device, notes, places)
        state = yield from part_of(job, 0.1, 0.9 if recorded.refined else 0.95)
    else:
        state = _opened(recorded, sources, places)
    result = state.segmentation
    if recorded.refined:
        result = yield from part_of(corrected_job(recorded, state.study, result, state.maps, notes), 0.9, 0.95)
    yield Progress(0.95, 1, "comparing")
    assert result is not None
    agreement, exact, told = _compared(record, result, _tolerance(recorded, result))
    return Replay(
        kind="segment",
        record=record.path,
        same_labels=exact,
        agreement=agreement,
        notes=(*notes, *told, *_changes(recorded, result)),
        used={role: source.path for role, source in sources.items()},
        model=state.model,
        device=str(result.provenance.get("device", "cpu")),
        segmentation=result,
        schema=record.label_schema,
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Begun:
    """A segmentation before correction by prompts; `segmentation` is None if the correction started from scratch."""

    study: Study
    segmentation: Segmentation | None
    maps: RegionProbabilities | None = None
    model: str = ""


def _segmented(
    recorded: SegmentRecord,
    sources: Mapping[Role, Source],
    model: str | PathLike[str] | None,
    device: str | None,
    notes: list[str],
    places: Places,
) -> Job[_Begun]:
    """Run the recorded model or method again."""
    yield Progress(0, 1, "checking the model")
    method = find_recorded_model(_with_folder(recorded.model, places.beside), model)
    used_device = _device(recorded, device, method, notes)
    where = method.folder if isinstance(method, ModelInfo) else method.name
    options = {"model": where, "device": used_device, "brain": brain_choice(recorded, places)}
    request = _request(recorded, method, used_device, notes).with_options(**options)
    if recorded.preparation is None:
        study = _study(recorded, sources)
    else:
        study = yield from part_of(prepared_again_job(recorded.preparation, sources, places, used_device), 0, 0.3)
    with _threads(recorded.threads if used_device == "cpu" else None):
        segmentation, maps = yield from requested_segmentation_job(study, request, _rules(recorded))
    notes += changed_brain(recorded, segmentation)
    if recorded.preparation is not None and recorded.restored is not None:
        segmentation = restore_labels(
            segmentation, recorded.preparation.places[recorded.restored.onto].place(recorded.restored.onto)
        )
    return _Begun(study, segmentation, maps if uses_probabilities(recorded) else None, method.name)


def _with_folder(recorded: ModelRecord, beside: Path) -> ModelRecord:
    """Return the record with the model's folder resolved relative to the folder of the record."""
    return recorded if recorded.folder is None else recorded.model_copy(update={"folder": beside / recorded.folder})


def _opened(recorded: CorrectionRecord, sources: Mapping[Role, Source], places: Places) -> _Begun:
    """Open the segmentation that was corrected, if there was one."""
    study = _study(recorded, sources)
    return _Begun(study, None if recorded.start is None else find_start(recorded, study, places))


def find_recorded_model(recorded: ModelRecord, given: str | PathLike[str] | None = None) -> ModelInfo | Baseline:
    """Return the installed model with the recorded weights, whatever its name, or the recorded method without weights.

    Raises
    ------
    RecordError
        If only other weights, or none, are available.
    ModelNotFoundError, CheckpointError
        If the given model does not exist or is damaged.
    """
    if recorded.weights_sha256 is None:
        return find_model(recorded.name if given is None else given)
    present = _present(recorded.folder) if given is None else [find_model(given)]
    fitting = [m for m in present if isinstance(m, ModelInfo) and m.card.weights_sha256 == recorded.weights_sha256]
    if fitting:
        return next((m for m in fitting if m.name == recorded.name), fitting[0])
    raise RecordError(_no_model(recorded, present))


def _present(folder: Path | None) -> list[ModelInfo | Baseline]:
    """Return the installed models, and the one in the recorded folder if it still exists."""
    listed = list_models()
    with suppress(BrainTumorError):
        if folder is not None and folder.is_dir():
            listed.append(find_model(folder))
    return listed


def _no_model(recorded: ModelRecord, present: Sequence[ModelInfo | Baseline]) -> str:
    needed = f"{recorded.name} with weights {(recorded.weights_sha256 or '')[:12]}"
    other = [m for m in present if isinstance(m, ModelInfo) and (m.name == recorded.name or len(present) == 1)]
    installed = (
        f"{other[0].name} has other weights, {other[0].card.weights_sha256[:12]}" if other else "it is not installed"
    )
    return (
        f"The result was made by {needed}; {installed}. Install that version beside the others "
        "(brain-tumor models import FILE.zip --name ...), or name its folder: --model FOLDER (model=FOLDER). To use "
        "the present model instead, segment the case again."
    )


def _device(recorded: SegmentRecord, given: str | None, method: ModelInfo | Baseline, notes: list[str]) -> str:
    """Choose the device: the given one, else the recorded one, or the best available if that does not exist here."""
    if isinstance(method, Baseline):
        return "cpu"
    try:
        return str(resolve_device(given or recorded.device))
    except DeviceError:
        if given is not None:
            raise
        instead = str(resolve_device("auto"))
        notes.append(f"Computed on {instead}: the {recorded.device} of the record is not available on this machine.")
        return instead


def _request(recorded: SegmentRecord, method: ModelInfo | Baseline, device: str, notes: list[str]) -> SegmentRequest:
    """Return the recorded request, after checking settings from the model card against the present card."""
    known = {*SegmentRequest.model_fields, "skips_thin_slices"}
    others = {key: value for key, value in recorded.settings.items() if key not in known}
    for key in _OF_THE_CARD:
        if key in others and isinstance(method, ModelInfo):
            _check_card(key, others.pop(key), method)
    if others:
        raise RecordError(
            f"The record has settings that this version does not know: {', '.join(sorted(others))}. "
            f"Install the version that made it: {recorded.versions.get('napari-brain-tumor', 'a newer one')}."
        )
    request = SegmentRequest.recorded_in(recorded.settings)
    return request.with_options(precision=_precision(request.precision, device, notes))


def _rules(recorded: SegmentRecord) -> Rules:
    """Return which of today's processing rules were in effect when the record was made."""
    skips = bool(recorded.settings.get("skips_thin_slices", False))
    return Rules(
        skips_thin_slices=skips,
        decides_enhancing="min_sure_enhancing" in recorded.settings,
        decides_tumor="min_sure_tumor" in recorded.settings,
    )


def _check_card(key: str, recorded: Any, model: ModelInfo) -> None:
    now = _OF_THE_CARD[key](model)
    # A recorded 0 means that the card's value was not used: small parts were kept, or a sequence was missing.
    unused = key in {"min_lesion_share", "min_sure_enhancing", "min_sure_tumor"} and not recorded
    if now != recorded and not unused:
        raise RecordError(
            f"The card of {model.name} has {key} {now}; the record {recorded}. The weights are the same but the card "
            "was changed: put that back, or segment the case again."
        )


def _precision(recorded: str, device: str, notes: list[str]) -> str:
    """Return the `precision` option for the recorded precision, or "auto" if the device does not support it."""
    if recorded == "bfloat16":
        try:
            check_bfloat16(torch.device(device))
        except DeviceError as error:
            notes.append(f"Computed in the usual precision: {error}")
            return "auto"
    return recorded


def _study(recorded: SegmentRecord | CorrectionRecord, sources: Mapping[Role, Source]) -> Study:
    grid = recorded.grid.grid
    if recorded.resampled:
        return open_sources(sources, recorded.case, onto=grid)
    study = open_sources(sources, recorded.case)
    if study.grid.unit == "voxel" and grid.unit == "mm":
        x, y, z = np.divide(grid.spacing, study.grid.spacing).tolist()
        study = open_sources(sources, recorded.case, spacing_mm=(x, y, z))
    if not study.grid.same_place(grid):
        raise RecordError(
            f"The scans of {recorded.case} lie on {study.grid.describe()}; the record says {grid.describe()}. They "
            "were moved or resampled before they were segmented: save them so, and segment the saved files."
        )
    return replace(study, name=recorded.case)


@contextmanager
def _threads(count: int | None) -> Iterator[None]:
    """Compute with the recorded number of threads, because sums depend on how they are split."""
    before = torch.get_num_threads()
    try:
        if count is not None:
            torch.set_num_threads(count)
        yield
    finally:
        torch.set_num_threads(before)


def _tolerance(recorded: SegmentRecord | CorrectionRecord, result: Segmentation) -> float:
    if not isinstance(recorded, SegmentRecord):
        return 0.0
    return tolerance_of(recorded.settings, result.provenance["settings"])


@dataclass(frozen=True, slots=True)
class _Recorded:
    """What is left of the recorded labels: their hashes as computed and as saved, and the file if it is readable."""

    computed: str | None
    saved: str | None
    file: Segmentation | None
    touched: bool
    """Whether the file contains something other than the computed labels."""


def _compared(
    record: SidecarRecord, result: Segmentation, tolerance: float
) -> tuple[Agreement | None, bool | None, list[str]]:
    """Return the agreement with the saved file, whether the labels match the record exactly, and explanatory notes."""
    schema = schema_named(record.label_schema)
    notes: list[str] = []
    recorded = _recorded(record, schema, notes)
    exact = None
    if recorded.computed is not None:
        exact = recorded.computed == labels_sha256(result.data)
    elif recorded.saved is not None:
        exact = recorded.saved == labels_sha256(schema.encode(result.data))
    if recorded.touched and exact is None:
        notes.append("There is no hash of the labels as the model gave them; the edited ones are compared.")
    if recorded.file is None or (recorded.touched and exact is not None):
        if exact is False:
            notes.append("Their hash shows that they are not exactly the same, but not how far they differ.")
        return None, exact, notes
    as_saved = schema.decode(schema.encode(result.data))  # classes as they survive saving in that label schema
    if not recorded.file.grid.same_place(result.grid):
        raise RecordError(
            f"{record.result} lies on {recorded.file.grid.describe()}; the new result on {result.grid.describe()}. "
            "The saved file was moved or resampled: restore the original."
        )
    names = schema.class_names if len(schema.known_regions) == 1 else class_names_of(result.known_regions)
    return agreement_of(recorded.file.data, as_saved, names, tolerance), exact, notes


def _recorded(record: SidecarRecord, schema: LabelSchema, notes: list[str]) -> _Recorded:
    provenance, file = record.provenance, _saved_file(record, notes)
    changed = False
    if file is not None and record.labels_sha256 is not None:
        changed = labels_sha256(schema.encode(file.data)) != record.labels_sha256
    if changed:
        notes.append(f"{record.file} was changed after it was saved; the result is compared with what was recorded.")
    if provenance.edited_by_hand:
        own = "the model's own" if not provenance.refined else "what the prompts gave"
        notes.append(f"The saved labels were edited by hand; {own} are what was computed again.")
    saved = None if provenance.edited_by_hand else record.labels_sha256
    return _Recorded(provenance.labels_sha256, saved, file, changed or provenance.edited_by_hand)


def _saved_file(record: SidecarRecord, notes: list[str]) -> Segmentation | None:
    if not record.result.exists():
        notes.append(f"{record.file} is not beside its record, so only the recorded hash can be compared.")
        return None
    spacing_mm = spacing_for(record.result, record.provenance.grid.grid)
    try:
        return open_segmentation(record.result, record.label_schema, spacing_mm=spacing_mm)
    except BrainTumorError as error:
        notes.append(f"{record.file} cannot be read, so only the recorded hash can be compared: {error}")
        return None


def changed_versions(recorded: Mapping[str, str]) -> list[str]:
    """Return a sentence listing the package versions that differ from the record, or an empty list."""
    now = versions()
    differing = [
        f"{name} {recorded[name]} then, {now[name]} now"
        for name in recorded
        if name in now and now[name] != recorded[name]
    ]
    return [f"Other versions: {'; '.join(differing)}."] if differing else []


def _changes(recorded: SegmentRecord | CorrectionRecord, result: Segmentation) -> list[str]:
    """Return changes since the record was written that may explain a difference."""
    if not isinstance(recorded, SegmentRecord):
        return changed_versions(recorded.versions)
    device = str(result.provenance["device"])
    other = [f"Another device: {recorded.device} then, {device} now."] if device != recorded.device else []
    return [*other, *changed_versions(recorded.versions)]
