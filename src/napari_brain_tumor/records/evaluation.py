"""Score the cases of a recorded evaluation again and compare the scores."""

from dataclasses import replace
from pathlib import Path

from napari_brain_tumor.catalogue import ModelInfo
from napari_brain_tumor.errors import RecordError
from napari_brain_tumor.evaluation.cases import Case
from napari_brain_tumor.evaluation.scoring import score_cases_job
from napari_brain_tumor.evaluation.tables import read_scores
from napari_brain_tumor.io.source_files import labels_files_sha256
from napari_brain_tumor.progress import Job, Progress, part_of
from napari_brain_tumor.records.places import Places, find_sources
from napari_brain_tumor.records.records import EvaluatedCase, EvaluatedMethod, EvaluationRecord, ModelRecord
from napari_brain_tumor.records.report import Replay
from napari_brain_tumor.records.score_table import compare_scores
from napari_brain_tumor.records.segmentation import changed_versions, find_recorded_model


def replay_evaluation_job(record: EvaluationRecord, places: Places, *, device: str | None = None) -> Job[Replay]:
    """Score the cases of a recorded evaluation again with the same methods, as a job that returns the `Replay`.

    Raises
    ------
    RecordError
        If a scan, a reference segmentation, a prediction or a model has changed.
    UnreadableFileError
        If the table of scores is not next to the record.
    """
    yield Progress(0, 1, "checking scans and models")
    recorded = read_scores(record.table)
    notes = _unproven(record)
    models = {entry.name: _model(entry) for entry in record.methods if entry.folder is None}
    folders = {entry.name: _folder(entry, places) for entry in record.methods if entry.folder is not None}
    cases = [_case(entry, places) for entry in record.cases]
    for method in record.methods:
        if method.folder is not None:
            _check_predictions(method, folders[method.name], record)
    settings = record.settings
    job = score_cases_job(
        cases,
        models,
        folders,
        order=[entry.name for entry in record.methods],
        schema=settings.label_schema,
        predictions_schema=settings.predictions_schema,
        roles=settings.roles,
        spacing_mm=settings.spacing_mm,
        request=settings.request.with_options(device=device or settings.device),
    )
    replayed = yield from part_of(job, 0.05, 1)
    refused = [f"{entry.what} could not be scored: {entry.error}" for entry in replayed.refused]
    return Replay(
        kind="evaluate",
        record=record.path,
        scores=compare_scores(recorded, replayed.rows),
        notes=(*notes, *refused, *changed_versions(record.versions)),
        used={case.name: case.path for case in cases},
        model=", ".join(entry.name for entry in record.methods),
        device=device or settings.device,
    )


def _unproven(record: EvaluationRecord) -> list[str]:
    if all(case.inputs for case in record.cases):
        return []
    return [
        "The record is of an earlier version and has no hashes of the scans: it is not proven that they are the same."
    ]


def _model(method: EvaluatedMethod) -> str:
    text = method.model or method.name
    folder = Path(text) if Path(text).is_dir() else None
    model = find_recorded_model(ModelRecord(name=text, weights_sha256=method.weights_sha256 or None, folder=folder))
    return str(model.folder) if isinstance(model, ModelInfo) else model.name


def _folder(method: EvaluatedMethod, places: Places) -> Path:
    assert method.folder is not None
    there = [place for place in places.candidates(method.folder) if place.is_dir()]
    if not there:
        raise RecordError(
            f"The segmentations of {method.name} are missing: {method.folder} is not there. Restore the folder, or "
            "name one that holds it: --data FOLDER (data=FOLDER)."
        )
    return there[0]


def _case(recorded: EvaluatedCase, places: Places) -> Case:
    case = Case(recorded.path, recorded.case, recorded.dataset, recorded.patient)
    truth = places.labels(recorded.truth.path, recorded.truth.sha256, f"The truth of {recorded.case}")
    if recorded.inputs:
        sources = find_sources(recorded.inputs, places, recorded.case)
        return replace(case, path=next(iter(sources.values())).path, truth=truth, sources=sources)
    place = next(places.candidates(recorded.path), None)
    if place is None:
        msg = f"{recorded.path} is not there. Name the folder that holds it now: --data FOLDER (data=FOLDER)."
        raise RecordError(msg)
    return replace(case, path=place, truth=truth)


def _check_predictions(method: EvaluatedMethod, folder: Path, record: EvaluationRecord) -> None:
    """Raise `RecordError` if a segmentation made by another tool has changed."""
    for case in record.cases:
        result = case.methods.get(method.name)
        if result is None or result.path is None or result.sha256 is None:
            continue
        now = _moved(result.path, method.folder, folder)
        if not now.exists() or labels_files_sha256(now) != result.sha256:
            state = "was changed" if now.exists() else "is missing"
            msg = f"The segmentation of {case.case} by {method.name} {state}: {now}. Restore the original."
            raise RecordError(msg)


def _moved(path: Path, before: Path | None, now: Path) -> Path:
    if before is not None and path.is_relative_to(before):
        return now / path.relative_to(before)
    return now / path.name
