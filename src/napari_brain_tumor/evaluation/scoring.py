"""Evaluate methods on cases and collect the results."""

import json
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Unpack

from napari_brain_tumor.errors import BrainTumorError
from napari_brain_tumor.evaluation.case_work import ScoredCase, ScoringSettings, ScoringWork, refusal_of
from napari_brain_tumor.evaluation.cases import Case, find_cases
from napari_brain_tumor.evaluation.methods import ComparedMethod, Models, check_fits, compared_methods, weights_of
from napari_brain_tumor.evaluation.result import Evaluation, Refused, outcomes_of
from napari_brain_tumor.evaluation.unfinished import FinishedCase, Unfinished
from napari_brain_tumor.executors import Advanced, Executor, Finished, SerialExecutor, open_executor
from napari_brain_tumor.io.given_roles import Roles
from napari_brain_tumor.io.reading import AnyPath, Spacing
from napari_brain_tumor.io.source_files import file_sha256
from napari_brain_tumor.metrics.compare import differences, summarise
from napari_brain_tumor.progress import Job, Progress, action
from napari_brain_tumor.requests.request import takes
from napari_brain_tumor.requests.segment import SegmentOptions, SegmentRequest
from napari_brain_tumor.workflow import versions

if TYPE_CHECKING:
    from distributed import Client

_FORMAT: Final = 1
"""Increase this whenever the stored scores of unfinished evaluations change in meaning."""


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
    """Compare methods on cases with a reference segmentation.

    Parameters
    ----------
    cases : path-like or iterable of path-like
        Case folders or files, folders of case folders, or Medical Decathlon folders that include the references.
    models : iterable of str or path, or mapping of str to them
        Names of models and methods (`list_models()`) or checkpoint folders; a mapping assigns your own names to them.
    predictions : mapping of str to path-like, optional
        Segmentations made by any tool: its name, and the folder with one file for each case, named after the case.
    truth : path-like, optional
        References stored elsewhere: a segmentation, or a folder with one for each case, named after the case.
    split : path-like, optional
        CSV with the columns case and patient, and optionally dataset and split. Cases of a patient are grouped.
    side : str, optional
        Keep only cases with this value in the split column, such as `"val"`; curated data sets need no table.
    schema, predictions_schema : str, optional
        Label schemas of the references and predictions, if the files leave it ambiguous.
    roles : mapping or sequence, optional
        Which volume is which sequence, as for `open_study`.
    spacing_mm : (x, y, z), optional
        Voxel size of the cases whose files do not state it; without it they get no scores in millimetres.
    save_predictions : path-like, optional
        Folder in which to save the segmentations, as `<model>/[<dataset>/]<case>_segmentation.nii.gz`.
    unfinished : path-like, optional
        Folder that keeps finished cases until the end. With the same folder and settings, an interrupted evaluation
        is resumed.
    device : str
        As for `segment`.
    jobs : int
        Number of processes on this machine; 1 uses the current process, 0 as many as cores and memory allow.
    client : distributed.Client, optional
        Client of a dask cluster whose workers have this package installed and see the files under the same paths.
    executor : Executor, optional
        Where to compute the cases, instead of `jobs` and `client`.
    {options}

    Returns
    -------
    Evaluation
        A case that fails does not stop the others; failures and their reasons are listed in `refused`.

    Raises
    ------
    ModelNotFoundError, CheckpointError, UnreadableFileError
        If a model, a folder or the table is missing or invalid; this is checked before anything is computed.
    BrainTumorError
        If none of the cases could be scored.

    Examples
    --------
    >>> from napari_brain_tumor import evaluate
    >>> from napari_brain_tumor.sample import sample_case_folder
    >>> found = evaluate(sample_case_folder(), ["unet"], device="cpu")  # doctest: +SKIP
    >>> found.rows[0].region, found.rows[0].scores.dice > 0.8  # doctest: +SKIP
    ('WT', True)
    """
    methods = compared_methods(models, predictions or {})
    listed = find_cases(cases, truth=truth, split=split, side=side)
    folder = None if save_predictions is None else Path(save_predictions)
    request = SegmentRequest(device=device, **options)
    check_fits(methods, request)
    settings = ScoringSettings(schema, predictions_schema, roles, spacing_mm, folder, request)
    store = None if unfinished is None else Unfinished(Path(unfinished), _fingerprint(methods, settings))
    table: dict[str, str | None] | None = None if side is None else {"side": side}
    if split is not None:
        table = {"file": str(split), "sha256": file_sha256(Path(split)), "side": side}
    if executor is not None:
        return (yield from _cases_job(listed, methods, settings, store, table, executor))
    with open_executor(jobs, client=client) as own:
        return (yield from _cases_job(listed, methods, settings, store, table, own))


evaluate_job = evaluate.job
"""`evaluate` as a job: yields `Progress` and returns the same result. Takes the same parameters."""


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
    """Run `evaluate_job` for cases that are already known, with methods in the given order of names."""
    by_name = {method.name: method for method in compared_methods(models, predictions)}
    settings = ScoringSettings(schema, predictions_schema, roles, spacing_mm, None, request or SegmentRequest())
    ordered = tuple(by_name[name] for name in order)
    return (yield from _cases_job(cases, ordered, settings, None, None, SerialExecutor()))


def _cases_job(
    listed: Sequence[Case],
    methods: Sequence[ComparedMethod],
    settings: ScoringSettings,
    store: Unfinished | None,
    table: Mapping[str, Any] | None,
    executor: Executor,
) -> Job[Evaluation]:
    work = ScoringWork(tuple(methods), settings, store)
    if executor.parallel:  # other processes may run in another folder
        work, listed = work.absolute(), [case.absolute() for case in listed]
    scored: dict[int, ScoredCase] = {}
    started = time.monotonic()
    for event in executor.run(work, listed):
        case = listed[event.number]
        title = f"{case.name} ({event.number + 1} of {len(listed)})"
        if isinstance(event, Finished):
            outcome = (
                event.result if event.result is not None else ScoredCase(None, (refusal_of(case, None, event.error),))
            )
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
    """Return a log line: how the case went, the elapsed time and an estimate of the time remaining."""
    elapsed, left = time.monotonic() - started, count - done
    rest = f", about {elapsed / done * left:.0f} s left" if left else ""
    how = "scored" if not refused else f"not scored ({'; '.join(refusal.reason for refusal in refused)})"
    return f"[{done} of {count}] {case.name}: {how} in {seconds:.0f} s; {elapsed:.0f} s elapsed{rest}"


def _fingerprint(methods: Sequence[ComparedMethod], settings: ScoringSettings) -> str:
    """Return what the scores depend on: the methods with the hashes of their weights, and the settings."""
    known = [weights_of(method) for method in methods]
    return json.dumps([_FORMAT, versions(), [asdict(m) for m in methods], known, settings.recorded()], default=str)


def _raise_if_nothing(finished: Sequence[FinishedCase], refused: Sequence[Refused]) -> None:
    if finished:
        return
    if len(refused) == 1:
        raise refused[0].error
    reasons = "\n".join(f"{refusal.what}: {refusal.reason}" for refusal in refused)
    raise BrainTumorError(f"Nothing could be scored.\n{reasons}")


def _about(
    finished: Sequence[FinishedCase],
    methods: Sequence[ComparedMethod],
    settings: ScoringSettings,
    table: Mapping[str, Any] | None,
) -> dict[str, Any]:
    return {
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "methods": [asdict(method) | {"weights_sha256": weights_of(method)} for method in methods],
        "settings": settings.recorded(),
        "split": table,
        "versions": versions(),
        "cases": [case.about for case in finished],
    }
