"""Score methods on cases: open each case once, segment it method by method, compare with its truth."""

import json
import logging
import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar, Unpack

import numpy as np

from napari_brain_tumor.catalogue import find_model
from napari_brain_tumor.errors import (
    BrainTumorError,
    CancelledError,
    ModelNotFoundError,
    OptionError,
    UnreadableFileError,
    attempted,
)
from napari_brain_tumor.evaluation.cases import Case, find_cases, match_by_name
from napari_brain_tumor.evaluation.result import Evaluation, Refused, outcomes_of
from napari_brain_tumor.evaluation.unfinished import FinishedCase, Unfinished
from napari_brain_tumor.evaluation.views import view_of
from napari_brain_tumor.executors import Advanced, Executor, Finished, SerialExecutor, open_executor
from napari_brain_tumor.io import open_segmentation, open_sources, open_study, open_truth, save_segmentation
from napari_brain_tumor.io.given_roles import Roles
from napari_brain_tumor.io.reading import AnyPath, Spacing, existing
from napari_brain_tumor.io.source_files import describe_sources, file_sha256, labels_files_sha256
from napari_brain_tumor.labels import CLASS_NAMES, REGIONS
from napari_brain_tumor.metrics.compare import CaseScores, differences, summarise
from napari_brain_tumor.metrics.one_grid import on_grid
from napari_brain_tumor.metrics.scores import score_segmentations
from napari_brain_tumor.progress import Job, Progress, action, part_of
from napari_brain_tumor.requests.request import takes
from napari_brain_tumor.requests.segment import SegmentOptions, SegmentRequest
from napari_brain_tumor.study import Segmentation, Study
from napari_brain_tumor.workflow import segment_job, versions

if TYPE_CHECKING:
    from distributed import Client

logger = logging.getLogger(__name__)

Models = Iterable[AnyPath] | Mapping[str, AnyPath]
Opened = TypeVar("Opened", Study, Segmentation, Segmentation | None)

_FORMAT: Final = 1
"""Changed whenever scores of unfinished evaluations no longer mean the same."""


@dataclass(frozen=True, slots=True)
class _Method:
    """What is compared under a name: a model to run, or a folder of segmentations."""

    name: str
    model: str | None = None
    folder: Path | None = None

    def absolute(self) -> "_Method":
        """Return the same for a process that runs in another folder."""
        folder = None if self.folder is None else self.folder.absolute()
        model = self.model
        return replace(self, folder=folder, model=os.path.abspath(model) if model and os.path.isdir(model) else model)


@dataclass(frozen=True, slots=True)
class _Settings:
    """What is done alike with every case."""

    schema: str | None
    predictions_schema: str | None
    roles: Roles
    spacing_mm: Spacing | None
    save_predictions: Path | None
    request: SegmentRequest
    """How models segment."""

    def recorded(self) -> dict[str, Any]:
        """As JSON, with the options of `segment` beside the others."""
        own = {field.name: getattr(self, field.name) for field in fields(self) if field.name != "request"}
        brain = self.request.brain if isinstance(self.request.brain, str) else str(self.request.brain)
        return own | self.request.recorded() | {"device": self.request.device, "brain": brain}


@action
@takes(SegmentRequest, "model", "device")
def evaluate(
    cases: AnyPath | Iterable[AnyPath],
    models: Models = (),
    *,
    predictions: Mapping[str, AnyPath] | None = None,
    truth: AnyPath | None = None,
    split: AnyPath | None = None,
    side: str | None = None,
    schema: str | None = None,
    predictions_schema: str | None = None,
    roles: Roles = None,
    spacing_mm: Spacing | None = None,
    save_predictions: AnyPath | None = None,
    unfinished: AnyPath | None = None,
    device: str = "auto",
    jobs: int = 1,
    client: "Client | None" = None,
    executor: Executor | None = None,
    **options: Unpack[SegmentOptions],
) -> Job[Evaluation]:
    """Compare methods on cases whose truth is known.

    Parameters
    ----------
    cases : path-like or iterable of path-like
        Case folders or files, folders of case folders, or Medical Decathlon folders, each with its truth inside.
    models : iterable of str or path, or mapping of str to them
        Names of models and methods (`list_models()`) or checkpoint folders; a mapping gives them names of your own.
    predictions : mapping of str to path-like, optional
        Segmentations of any tool: a name for it, and the folder that holds one file for each case, named after it.
    truth : path-like, optional
        Where the truth is elsewhere: a segmentation, or a folder with one for each case, named after it.
    split : path-like, optional
        CSV with the columns case and patient, and perhaps dataset and split. Cases of one patient count together.
    side : str, optional
        Keep the cases with this word in the column split, such as `"val"`; a curated data set needs no table.
    schema, predictions_schema : str, optional
        What the integers of truth and predictions mean, where the files leave a doubt.
    roles : mapping or sequence, optional
        Which volumes are which sequence, as for `open_study`.
    spacing_mm : (x, y, z), optional
        Voxel size of the cases whose files do not state it; without it they get no score in millimetres.
    save_predictions : path-like, optional
        Folder for the segmentations, `<model>/[<dataset>/]<case>_segmentation.nii.gz`.
    unfinished : path-like, optional
        Folder that keeps finished cases until the end. With the same folder and settings an evaluation that was cut
        off goes on.
    device : str
        As for `segment`.
    jobs : int
        Processes on this machine; 1 works in this one, 0 takes as many as cores and memory allow.
    client : distributed.Client, optional
        Of a dask cluster, whose workers have this package and see the files under the same paths.
    executor : Executor, optional
        Where the cases are computed, instead of `jobs` and `client`.
    {options}

    Returns
    -------
    Evaluation
        A case that is refused does not stop the others; `refused` tells which and why.

    Raises
    ------
    ModelNotFoundError, CheckpointError, UnreadableFileError
        If a model, a folder or the table is not there or not right: before anything is computed.
    BrainTumorError
        If no case at all could be scored.

    Examples
    --------
    >>> from napari_brain_tumor import evaluate
    >>> from napari_brain_tumor.sample import sample_case_folder
    >>> found = evaluate(sample_case_folder(), ["unet"], device="cpu")  # doctest: +SKIP
    >>> found.rows[0].region, found.rows[0].scores.dice > 0.8  # doctest: +SKIP
    ('WT', True)
    """
    methods = _methods(models, predictions or {})
    listed = find_cases(cases, truth=truth, split=split, side=side)
    folder = None if save_predictions is None else Path(save_predictions)
    request = SegmentRequest(device=device, **options)
    _check_fits(methods, request)
    settings = _Settings(schema, predictions_schema, roles, spacing_mm, folder, request)
    store = None if unfinished is None else Unfinished(Path(unfinished), _fingerprint(methods, settings))
    table: dict[str, str | None] | None = None if side is None else {"side": side}
    if split is not None:
        table = {"file": str(split), "sha256": file_sha256(Path(split)), "side": side}
    if executor is not None:
        return (yield from _cases_job(listed, methods, settings, store, table, executor))
    with open_executor(jobs, client=client) as own:
        return (yield from _cases_job(listed, methods, settings, store, table, own))


evaluate_job = evaluate.job
"""`evaluate` as a job: yields `Progress`, returns what it returns. Takes the same parameters."""


def score_cases_job(
    cases: Sequence[Case],
    models: Mapping[str, AnyPath],
    predictions: Mapping[str, AnyPath],
    *,
    order: Sequence[str],
    schema: str | None = None,
    predictions_schema: str | None = None,
    roles: Roles = None,
    spacing_mm: Spacing | None = None,
    request: SegmentRequest | None = None,
) -> Job[Evaluation]:
    """`evaluate_job` for cases that were found already, methods in the given order of names."""
    by_name = {method.name: method for method in _methods(models, predictions)}
    settings = _Settings(schema, predictions_schema, roles, spacing_mm, None, request or SegmentRequest())
    ordered = tuple(by_name[name] for name in order)
    return (yield from _cases_job(cases, ordered, settings, None, None, SerialExecutor()))


def _cases_job(
    listed: Sequence[Case],
    methods: Sequence[_Method],
    settings: _Settings,
    store: Unfinished | None,
    table: Mapping[str, Any] | None,
    executor: Executor,
) -> Job[Evaluation]:
    work = _ScoringWork(tuple(methods), settings, store)
    if executor.parallel:  # other processes may run in another folder
        work, listed = work.absolute(), [case.absolute() for case in listed]
    scored: dict[int, _Scored] = {}
    started = time.monotonic()
    for event in executor.run(work, listed):
        case = listed[event.number]
        title = f"{case.name} ({event.number + 1} of {len(listed)})"
        if isinstance(event, Finished):
            outcome = event.result if event.result is not None else _Scored(None, (_refused(case, None, event.error),))
            scored[event.number] = outcome
            line = _milestone(case, len(scored), len(listed), outcome.refused, event.seconds, started)
            yield Progress(len(scored) / len(listed), 1, title, line)
        elif isinstance(event, Advanced):
            under_way = 0 if executor.parallel else event.progress.fraction
            message = ": ".join(filter(None, (title, event.progress.message)))
            yield Progress((len(scored) + under_way) / len(listed), 1, message)
        elif not executor.parallel:
            line = f"[{event.number + 1} of {len(listed)}] {case.name}: scoring"
            yield Progress(event.number / len(listed), 1, title, line)
    yield Progress(1, 1, "comparing")
    results = [scored[number] for number in range(len(listed))]
    finished = [scored.finished for scored in results if scored.finished is not None]
    refused = [reason for scored in results for reason in scored.refused]
    _raise_if_nothing(finished, refused)
    names = [method.name for method in methods]
    rows = tuple(row for scored in finished for row in scored.rows)
    return Evaluation(
        rows=rows,
        summary=summarise(rows),
        differences=differences(rows, methods[0].name),
        refused=tuple(refused),
        models=tuple(names),
        views={scored.rows[0].case_key: scored.view for scored in finished},
        about=_about(finished, methods, settings, table),
        outcomes=tuple(
            outcome
            for case, scored in zip(listed, results, strict=True)
            for outcome in outcomes_of(case.name, case.dataset, names, scored.finished, scored.refused)
        ),
    )


def _milestone(case: Case, done: int, count: int, refused: Sequence[Refused], seconds: float, started: float) -> str:
    """A line of the log: how the case went, the time so far and, if it goes on like that, the time that is left."""
    elapsed, left = time.monotonic() - started, count - done
    rest = f", about {elapsed / done * left:.0f} s left" if left else ""
    how = "scored" if not refused else f"not scored ({'; '.join(refusal.reason for refusal in refused)})"
    return f"[{done} of {count}] {case.name}: {how} in {seconds:.0f} s; {elapsed:.0f} s elapsed{rest}"


def _methods(models: Models, predictions: Mapping[str, AnyPath]) -> tuple[_Method, ...]:
    pairs = models.items() if isinstance(models, Mapping) else [(None, where) for where in models]
    methods = [_Method(name or find_model(where).name, model=os.fspath(where)) for name, where in pairs]
    methods += [_Method(name, folder=_folder(where)) for name, where in predictions.items()]
    for method in methods:
        _weights(method)  # raises now where a model is missing, not after the first case
    names = [method.name for method in methods]
    if not methods:
        msg = "There is nothing to evaluate. Name models, or folders of predictions."
        raise ModelNotFoundError(msg)
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        msg = f"Several models are called {', '.join(twice)}. Give them names of their own, for example new=FOLDER."
        raise ModelNotFoundError(msg)
    return tuple(methods)


def _check_fits(methods: Sequence[_Method], request: SegmentRequest) -> None:
    """Raise `OptionError` for options that none of the methods takes."""
    for name in ("seeds", "thresholds"):
        value = getattr(request, name)
        if value and not any(getattr(_fitting(method, request), name) for method in methods if method.model):
            msg = f"None of {', '.join(method.name for method in methods)} takes {name}. Leave them out."
            raise OptionError(msg)


def _fitting(method: _Method, request: SegmentRequest) -> SegmentRequest:
    """The request without what the method does not take: of several that are compared each gets its own options."""
    if not (request.seeds or request.thresholds):
        return request
    info = find_model(method.model)
    seeds = request.seeds if info.takes_seeds else ()
    return request.with_options(seeds=seeds, thresholds=None if info.is_baseline else request.thresholds)


def _folder(where: AnyPath) -> Path:
    place = existing(where)
    if not place.is_dir():
        msg = f"{place} is a file. Predictions are a folder with one segmentation for each case, named after it."
        raise UnreadableFileError(msg)
    return place


def _fingerprint(methods: Sequence[_Method], settings: _Settings) -> str:
    """What the scores depend on: methods with the hash of their weights, and settings."""
    known = [_weights(method) for method in methods]
    return json.dumps([_FORMAT, versions(), [asdict(m) for m in methods], known, settings.recorded()], default=str)


def _weights(method: _Method) -> str:
    card = None if method.model is None else getattr(find_model(method.model), "card", None)
    return getattr(card, "weights_sha256", "")


@dataclass(frozen=True, slots=True, eq=False)
class _Scored:
    """What became of a case: its scores, if it has any, and what was refused of it."""

    finished: FinishedCase | None
    refused: Sequence[Refused] = ()


@dataclass(frozen=True, slots=True)
class _ScoringWork:
    """Scores a case by every method; see `executors.CaseWork`."""

    methods: tuple[_Method, ...]
    settings: _Settings
    kept: Unfinished | None

    def absolute(self) -> "_ScoringWork":
        """Return the same for a process that runs in another folder."""
        kept = None if self.kept is None else replace(self.kept, folder=self.kept.folder.absolute())
        place = self.settings.save_predictions
        settings = replace(self.settings, save_predictions=None if place is None else place.absolute())
        return _ScoringWork(tuple(method.absolute() for method in self.methods), settings, kept)

    def place(self, case: Case) -> Path:
        """Return where the case is."""
        return case.path

    def read(self, case: Case) -> FinishedCase | tuple[Study, Segmentation]:
        """Open the case and its truth, unless it was finished before."""
        if self.kept is not None and (earlier := self.kept.load(_stamp(case, self.methods))) is not None:
            return earlier
        study = _opened(lambda spacing: _study(case, self.settings, spacing), self.settings)
        return study, on_grid(_truth(case, self.settings), study.grid)

    def compute(self, case: Case, opened: FinishedCase | tuple[Study, Segmentation]) -> Job[_Scored]:
        """Run every method and compare with the truth; one that is refused does not stop the others."""
        if isinstance(opened, FinishedCase):
            return _Scored(opened)
        key = _stamp(case, self.methods)
        scored = yield from _scored_job(case, *opened, self.methods, self.settings)
        if self.kept is not None and scored.finished is not None and not scored.refused:
            self.kept.keep(key, scored.finished)
        return scored


def _stamp(case: Case, methods: Sequence[_Method]) -> str:
    """What tells a case as it is now: its path, and time and size of every file that its scores come from."""
    truth = [] if case.truth is None else [case.truth]
    predicted = [path for method in methods if method.folder and (path := _matching(case, method.folder))]
    places = [case.path, *truth, *predicted]
    files = [file for place in places for file in ([place] if place.is_file() else sorted(place.rglob("*")))]
    stamps = [(str(file), status.st_mtime_ns, status.st_size) for file in files if (status := file.stat())]
    return json.dumps([str(case.path.resolve()), stamps])


def _scored_job(
    case: Case, study: Study, truth: Segmentation, methods: Sequence[_Method], settings: _Settings
) -> Job[_Scored]:
    rows: list[CaseScores] = []
    results: dict[str, Segmentation] = {}
    refused: list[Refused] = []
    for number, method in enumerate(methods):
        with attempted() as attempt:
            job = _predicted_job(case, study, method, settings)
            predicted, seconds = yield from part_of(
                job, number / len(methods), (number + 1) / len(methods), method.name
            )
            results[method.name] = on_grid(predicted, study.grid)
            rows += scores_of_case(case, method.name, truth, results[method.name], seconds)
        if attempt.error is not None:
            refused.append(_refused(case, method, attempt.error))
    if not rows:
        return _Scored(None, refused)
    about = _about_case(case, study, truth, results)
    return _Scored(FinishedCase(tuple(rows), view_of(study, truth, results), about), refused)


def _predicted_job(
    case: Case, study: Study, method: _Method, settings: _Settings
) -> Job[tuple[Segmentation, float | None]]:
    """The method's segmentation, and the seconds that it took without loading the model."""
    if method.folder is not None:
        return _prediction_of(case, method.folder, settings.predictions_schema, settings), None
    started = time.monotonic()
    request = _fitting(method, settings.request)
    segmentation = yield from segment_job(study, method.model, request.device, **request.options())
    seconds = time.monotonic() - started - segmentation.provenance.get("seconds", {}).get("load", 0.0)
    if settings.save_predictions is not None:
        folder = settings.save_predictions / method.name / (case.dataset or "")
        target = folder / f"{case.name}_segmentation.nii.gz"
        target.parent.mkdir(parents=True, exist_ok=True)
        save_segmentation(segmentation, target, overwrite=True)
    return segmentation, seconds


def _study(case: Case, settings: _Settings, spacing_mm: Spacing | None) -> Study:
    if case.sources is not None:
        return open_sources(case.sources, case.name, spacing_mm=spacing_mm)
    return open_study(case.path, settings.roles, spacing_mm=spacing_mm)


def _truth(case: Case, settings: _Settings) -> Segmentation:
    if case.truth is not None:
        return _prediction_of(case, case.truth, settings.schema or case.schema, settings)
    truth = _opened(lambda spacing: open_truth(case.path, settings.schema, spacing_mm=spacing), settings)
    if truth is None:
        msg = (
            f"No truth lies with {case.name}. Put its segmentation beside its scans (<case>_seg.nii.gz), "
            "or name the file or folder that holds it: truth=, in the shell --truth."
        )
        raise UnreadableFileError(msg)
    return truth


def _prediction_of(case: Case, place: Path, schema: str | None, settings: _Settings) -> Segmentation:
    """The segmentation of a case: the file itself, or the one of its name in a folder."""
    path = _matching(case, place)
    if path is None:
        expected = f"{case.name}.nii.gz or {case.name}_seg.nii.gz"
        msg = f"{place} holds no segmentation of {case.name}. It should be called {expected}."
        raise UnreadableFileError(msg)
    return _opened(lambda spacing: open_segmentation(path, schema, spacing_mm=spacing), settings)


def _matching(case: Case, place: Path) -> Path | None:
    """The file itself, or the one of the case's name in a folder: in that of its data set, if it has one."""
    if place.is_file():
        return place
    own = place / case.dataset
    return (match_by_name(own, case.name) if own.is_dir() else None) or match_by_name(place, case.name)


def _opened(open_with: Callable[[Spacing | None], Opened], settings: _Settings) -> Opened:
    """What opens, with the given voxel size only where the files do not state it."""
    opened = open_with(None)
    if settings.spacing_mm is None or opened is None or opened.grid.unit == "mm":
        return opened
    return open_with(settings.spacing_mm)


def scores_of_case(
    case: Case, method: str, truth: Segmentation, predicted: Segmentation, seconds: float | None
) -> list[CaseScores]:
    """Scores of a method for every region and class that the truth of a case tells."""
    return [
        CaseScores(
            case=case.name,
            model=method,
            region=key,
            scores=scores,
            truth_voxels=_voxels(truth, key),
            predicted_voxels=_voxels(predicted, key),
            seconds=seconds,
            patient=case.patient,
            dataset=case.dataset,
        )
        for key, scores in score_segmentations(truth, predicted).items()
    ]


def _voxels(segmentation: Segmentation, target: str) -> int:
    """Voxels of a region, or of the class of that name."""
    labels = next((classes for region, classes in REGIONS.items() if region == target), None)
    labels = labels or tuple(value for value, name in CLASS_NAMES.items() if name == target)
    return int(np.count_nonzero(np.isin(segmentation.data, labels)))


def _refused(case: Case, method: _Method | None, error: Exception | None) -> Refused:
    assert error is not None
    if isinstance(error, CancelledError):
        raise error
    logger.debug("%s was refused.", case.name, exc_info=error)
    return Refused(case.name, None if method is None else method.name, error)


def _raise_if_nothing(finished: Sequence[FinishedCase], refused: Sequence[Refused]) -> None:
    if finished:
        return
    if len(refused) == 1:
        raise refused[0].error
    reasons = "\n".join(f"{refusal.what}: {refusal.reason}" for refusal in refused)
    msg = f"Nothing could be scored.\n{reasons}"
    raise BrainTumorError(msg)


def _about_case(case: Case, study: Study, truth: Segmentation, results: Mapping[str, Segmentation]) -> dict[str, Any]:
    return {
        "dataset": case.dataset,
        "case": case.name,
        "patient": case.patient,
        "path": str(case.path),
        "inputs": describe_sources(study.sources),
        "truth": _with_hash(truth.provenance),
        "known_regions": list(truth.known_regions),
        "roles": list(study.roles),
        "unit": study.grid.unit,
        "methods": {name: _about_result(result) for name, result in results.items()},
    }


def _about_result(segmentation: Segmentation) -> dict[str, Any]:
    """What is worth keeping of how a prediction was made."""
    recorded = ("model", "device", "settings", "seconds", "path", "schema")
    return _with_hash({key: segmentation.provenance[key] for key in recorded if key in segmentation.provenance})


def _with_hash(facts: Mapping[str, Any]) -> dict[str, Any]:
    """The same with the hash of the file or masks that labels were read from, if they were."""
    return {**facts, "sha256": labels_files_sha256(Path(facts["path"]))} if "path" in facts else dict(facts)


def _about(
    finished: Sequence[FinishedCase],
    methods: Sequence[_Method],
    settings: _Settings,
    table: Mapping[str, Any] | None,
) -> dict[str, Any]:
    return {
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "methods": [asdict(method) | {"weights_sha256": _weights(method)} for method in methods],
        "settings": settings.recorded(),
        "split": table,
        "versions": versions(),
        "cases": [case.about for case in finished],
    }
