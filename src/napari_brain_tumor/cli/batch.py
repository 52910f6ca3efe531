"""Several cases: none stops the others, each leaves a line on the way and a row in a table."""

import contextlib
import os
import traceback
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

from napari_brain_tumor.batch.case_table import CaseRow, CaseTable
from napari_brain_tumor.batch.rows import BatchRows
from napari_brain_tumor.cli.console import (
    debugging,
    duration,
    explain,
    note,
    progress_line,
    progress_shown,
    say,
    say_error,
)
from napari_brain_tumor.errors import BrainTumorError, SaveError
from napari_brain_tumor.executors import Advanced, CaseWork, Executor, Finished, Started

Item = TypeVar("Item")
Result = TypeVar("Result")


def run_batch(
    executor: Executor,
    work: CaseWork[Item, Any, Result],
    items: Sequence[Item],
    names: Sequence[str],
    show: Callable[[int, Result], CaseRow],
    table: CaseTable | None,
    *,
    doing: str,
    past_tense: str,
    quiet: bool = False,
) -> None:
    """Work on all cases, and say at the end what became of them.

    A single case that fails raises its own error.

    Parameters
    ----------
    executor, work, items
        Where and how the cases are computed.
    names : sequence of str
        What they are called on the screen.
    show : callable
        Prints the result of the case of that number, and returns its row.
    table : CaseTable or None
        Is written on the way, so that it holds nearly all cases if the batch is stopped.
    doing, past_tense : str
        The verb, as in `"segmenting"` and `"segmented"`.
    quiet : bool
        Leave standard output to the results: no summary.

    Raises
    ------
    BrainTumorError
        If not every case was done, after the last one.
    """
    rows = BatchRows(len(items), table)
    try:
        for event in _shown(executor, executor.run(work, items), names, doing):
            row = _row(event, names[event.number], show, alone=len(items) == 1)
            with _patient():
                rows.add(event.number, row)
            _tell_end(row, event.number, rows, parallel=executor.parallel)
    finally:
        with _patient():
            rows.write()
        if len(items) > 1 and not quiet:
            _sum_up(rows, past_tense)
    left = [row for row in rows.rows if row.status in ("failed", "exists", "outdated")]
    if left:
        some = ", ".join(row.case for row in left[:10]) + (f" and {len(left) - 10} more" if len(left) > 10 else "")
        msg = f"{len(left)} of {len(items)} cases were not {past_tense}: {some}."
        raise BrainTumorError(msg)


def _shown(executor: Executor, events: Iterator[Any], names: Sequence[str], doing: str) -> Iterator[Finished[Any]]:
    """Show how far the case is, where there is one at a time, and yield the ends of cases."""
    with contextlib.closing(events), contextlib.ExitStack() as shown:  # type: ignore[type-var]
        show: Callable[[Any], None] = lambda _: None  # noqa: E731
        for event in events:
            if isinstance(event, Finished):
                shown.close()
                yield event
            elif executor.parallel:
                continue
            elif isinstance(event, Started):
                if len(names) > 1:
                    with _patient():
                        progress_line(f"[{event.number + 1} of {len(names)}] {names[event.number]}: {doing}")
                show = shown.enter_context(progress_shown(Path(names[event.number]).name))
            elif isinstance(event, Advanced):
                with _patient():
                    show(event.progress)


@contextlib.contextmanager
def _patient() -> Iterator[None]:
    """What is told on the way, or written beside, must not end the work itself: a log on a full disk, a closed pipe."""
    try:
        yield
    except SaveError as error:
        with contextlib.suppress(OSError, ValueError):
            say_error(error)
    except (OSError, ValueError):
        pass


def _row(event: Finished[Any], case: str, show: Callable[[int, Any], CaseRow], *, alone: bool) -> CaseRow:
    if event.error is None:
        try:
            row = show(event.number, event.result)
        except (OSError, ValueError):  # nobody reads it any more
            if alone:
                raise
            row = CaseRow(case, "done")
        return row if row.seconds is not None else row.taking(event.seconds)
    if alone:
        raise event.error
    with _patient():
        say_error(event.error, case)
        if debugging.get():
            progress_line("".join(traceback.format_exception(event.error)))
    return CaseRow(case, "failed", error=explain(event.error), seconds=event.seconds)


def _tell_end(row: CaseRow, number: int, rows: BatchRows, *, parallel: bool) -> None:
    if rows.count == 1:
        return
    took = duration(row.seconds or 0)
    ends = {"done": f"done in {took}", "failed": f"failed after {took}", "skipped": "skipped, it already has a result",
            "outdated": "left unchanged, its result is from other scans"}  # fmt: skip
    what = ends.get(row.status, "its result exists")
    place = f"{sum(rows.states.values()) if parallel else number + 1} of {rows.count}"
    rest = "" if rows.seconds_left is None else f", about {duration(rows.seconds_left)} left"
    with _patient():
        for text in row.notes if parallel else ():
            note(f"{row.case}: {text}")
        progress_line(f"[{place}] {row.case}: {what}; {duration(rows.seconds)} elapsed{rest}")


def _sum_up(rows: BatchRows, past_tense: str) -> None:
    words = {"done": past_tense, "skipped": "skipped", "exists": "left unchanged"}
    words |= {"outdated": "with a result from other scans", "failed": "failed"}
    parts = [f"{rows.states[key]} {word}" for key, word in words.items() if rows.states[key]]
    begun = sum(rows.states.values())
    parts += [f"{rows.count - begun} not finished"] if begun < rows.count else []
    with _patient():
        say(f"{rows.count} cases: {', '.join(parts)}, in {duration(rows.seconds)}.")
        for row in rows.rows:
            if row.status in ("failed", "outdated"):
                say(f"  {row.case}: {row.error}")
        if rows.states["exists"]:
            say(
                "  Existing results were left unchanged. --skip-existing skips them without an error, "
                "--overwrite replaces them."
            )
        if rows.table is not None and rows.table.is_written:
            say(f"Table of all cases: {os.fspath(rows.table.path)}")
