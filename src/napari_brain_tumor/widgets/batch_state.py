"""Logic of the batch window, without Qt."""

from collections import Counter, deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from napari_brain_tumor.batch import CaseProgress, CaseRow, CaseTable
from napari_brain_tumor.catalogue import Method
from napari_brain_tumor.errors import BrainTumorError, RecordError, UnreadableFileError
from napari_brain_tumor.inference.worker_process import WorkerProcess
from napari_brain_tumor.io.case_folders import case_folders
from napari_brain_tumor.io.case_names import distinct_names
from napari_brain_tumor.plugin import reader
from napari_brain_tumor.plugin.layers import LayerData
from napari_brain_tumor.preflight.costs import known_costs, slowdown_now, usual_cost
from napari_brain_tumor.progress import Job
from napari_brain_tumor.requests.actions import segment_many_lines
from napari_brain_tumor.requests.lines import CommandLines
from napari_brain_tumor.requests.segment import SegmentRequest
from napari_brain_tumor.widgets.worker import Expectation, Stop

COLUMNS: Final[Mapping[str, str]] = {
    "case": "Case",
    "state": "State",
    "WT_ml": "WT mL",
    "TC_ml": "TC mL",
    "ET_ml": "ET mL",
    "note": "Note",
}
"""Columns of the table, by the key of a row."""
TABLE: Final = "segmentation_results.csv"
_TARGET: Final = "napari_brain_tumor.batch:segment_many_job"
_STATES: Final[Mapping[str, str]] = {
    "done": "done",
    "failed": "failed",
    "skipped": "skipped, has a result",
    "exists": "not replaced, a result exists",
    "outdated": "not replaced, its result is from other scans",
}


@dataclass(frozen=True, slots=True)
class BatchSettings:
    """Settings of the Segment tab: how and with which model cases are segmented, and which measurements are written."""

    request: SegmentRequest
    method: Method | None = None
    schema: str = "MSD"


@dataclass(frozen=True, slots=True)
class Batch:
    """Cases of a folder, and their outcomes so far.

    Parameters
    ----------
    names : tuple of str
        Names that distinguish the cases.
    rows : mapping of int to CaseRow
        Rows of the finished cases, by case number.
    current : int or None
        The case that is being processed.
    """

    cases: tuple[Path, ...] = ()
    names: tuple[str, ...] = ()
    rows: Mapping[int, CaseRow] = field(default_factory=dict)
    current: int | None = None

    @classmethod
    def of(cls, cases: Sequence[Path]) -> "Batch":
        """Return a batch with nothing done yet."""
        return cls(tuple(cases), tuple(distinct_names(cases)))

    def after(self, steps: Sequence[CaseProgress]) -> "Batch":
        """Return the batch after these progress reports of a job."""
        rows = {**self.rows, **{step.number: step.row for step in steps if step.row is not None}}
        return replace(self, rows=rows, current=steps[-1].number if steps else self.current)


def request_for_many(request: SegmentRequest, method: Method | None) -> SegmentRequest:
    """Return the request for all cases: without points, box and mask, which are positions in a single case."""
    brain = request.brain if isinstance(request.brain, str) else "auto"
    unused = SegmentRequest.of_networks() if method is not None and method.is_baseline else ()
    usual = {name: SegmentRequest.model_fields[name].default for name in unused}
    model = None if method is None else method.name
    return request.with_options(**usual, model=model, seeds=(), box=None, brain=brain)


def cases_in(folder: Path) -> tuple[Path, ...]:
    """Return the cases of a folder; raises `UnreadableFileError` if there are none."""
    cases = tuple(case.path for case in case_folders(folder))
    if not cases:
        msg = f"{folder} holds no case. Expected are folders with one file per sequence, DICOM, BIDS or Decathlon data."
        raise UnreadableFileError(msg)
    return cases


def obstacle_of(batch: Batch, folder: str, output: str, settings: BatchSettings) -> str:
    """Return why nothing can be run now; empty if it can."""
    if not batch.cases:
        return "Choose a folder of cases first."
    if not output:
        return "Choose a folder for the results."
    if Path(output).resolve() == Path(folder).resolve():
        return "The results would lie among the scans. Choose another folder, or a new one in it."
    return "" if settings.method is not None else "No model is chosen on the Segment tab."


def expectation_of(settings: BatchSettings, count: int) -> Expectation | None:
    """Estimate the duration of the batch from times measured before; None if there are none."""
    if settings.method is None:
        return None
    known = known_costs(slowdown=slowdown_now())
    usual = usual_cost(settings.method, settings.request.device, known, settings.request)
    return None if usual is None else Expectation(usual.seconds * count)


def batch_job(
    worker: WorkerProcess,
    stop: Stop,
    cases: Sequence[Path],
    output: Path,
    settings: BatchSettings,
    *,
    skip_existing: bool,
    steps: "deque[CaseProgress]",
) -> Job[tuple[CaseRow, ...]]:
    """Segment the cases in the worker process; every step is appended to `steps`, so that the window misses none.

    A cancelled batch writes its table too.
    """
    request = settings.request
    job = stop.guard(
        worker.run(
            _TARGET,
            list(cases),
            output,
            request.model,
            request.device,
            schema=settings.schema,
            skip_existing=skip_existing,
            **request.options(),
        )
    )
    rows: list[CaseRow] = []
    try:
        while True:
            try:
                step = next(job)
            except StopIteration as finished:
                return tuple(finished.value)
            if isinstance(step, CaseProgress):
                steps.append(step)
                rows += [step.row] if step.row is not None else []
            yield step
    finally:
        if stop.requested and rows:
            with suppress(BrainTumorError):  # the results themselves exist
                CaseTable(output / TABLE).write(rows)


def row_texts(batch: Batch, number: int, *, running: bool) -> dict[str, str]:
    """Return the texts of a table row."""
    row = batch.rows.get(number)
    texts = dict.fromkeys(COLUMNS, "") | {"case": batch.names[number]}
    if row is None:
        return texts | {"state": "running…" if running and number == batch.current else ""}
    cells = row.cells
    volumes = {key: _rounded(cells[key]) for key in ("WT_ml", "TC_ml", "ET_ml")}
    return texts | volumes | {"state": _STATES[row.status], "note": row.error or " ".join(row.notes)}


def summary(batch: Batch) -> str:
    """Summarise the outcomes of the cases."""
    counts = Counter[str](row.status for row in batch.rows.values())
    left = len(batch.cases) - len(batch.rows)
    words = {"done": "segmented", "exists": "not replaced"}  # the others are named after their status
    statuses = ("done", "skipped", "exists", "outdated", "failed")
    parts = [f"{counts[status]} {words.get(status, status)}" for status in statuses if counts[status]]
    return ", ".join([*parts, *([f"{left} not started"] if left else [])]) + "."


def open_finished(row: CaseRow | None, case: Path) -> list[LayerData]:
    """Return the layers of a case, with its result if there is one; raises what opening raises."""
    opened = reader.read_path(case)
    output = Path(row.output) if row is not None and row.output else None
    if output is not None and output.exists():
        opened.append(reader.read_segmentation(output))
    return opened


def lines_of(folder: str, output: str, settings: BatchSettings, *, skip_existing: bool) -> CommandLines:
    """Return code for Run; raises `RecordError` if nothing is chosen."""
    if not folder or not output:
        msg = "Choose the folder of the cases and one for the results first."
        raise RecordError(msg)
    return segment_many_lines(
        Path(folder), Path(output), settings.request, settings.schema, skip_existing=skip_existing
    )


def _rounded(cell: str) -> str:
    try:
        return f"{float(cell):.1f}"
    except ValueError:
        return cell
