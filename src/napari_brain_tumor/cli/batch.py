"""Several cases one after the other: none stops the others, each leaves a line on the way and a row in a table."""

import contextlib
import os
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Sequence

from napari_brain_tumor.cli.case_table import CaseRow, CaseTable
from napari_brain_tumor.cli.console import debugging, duration, explain, progress_line, say, say_error
from napari_brain_tumor.errors import BrainTumorError, SaveError

__all__ = ["run_batch"]

Work = Callable[[int], CaseRow]


def run_batch(
    cases: Sequence[str], work: Work, table: CaseTable | None, *, doing: str, past_tense: str, quiet: bool = False
) -> None:
    """Work on one case after the other, and tell at the end what became of all of them.

    A single case that fails raises its own error.

    Parameters
    ----------
    cases : sequence of str
        What they are called on the screen.
    work : callable
        Does the case of that number and returns its row. Whatever it raises is the case's own affair, but for Ctrl-C.
    table : CaseTable or None
        Is written after every case, so that it holds them if the batch is stopped.
    doing, done : str
        The verb, as in `"segmenting"` and `"segmented"`.
    quiet : bool
        Leave standard output to the results: no summary.

    Raises
    ------
    BrainTumorError
        If not every case was done, after the last one.
    """
    started = time.monotonic()
    rows: list[CaseRow] = []
    try:
        for number, case in enumerate(cases):
            row = _run_case(number, case, len(cases), work, doing)
            rows.append(row)
            with _patient():
                if table is not None:
                    table.write(rows)
            _tell_end(row, number, len(cases), rows, time.monotonic() - started)
    finally:
        if len(cases) > 1 and not quiet:
            _sum_up(rows, len(cases), table, past_tense, time.monotonic() - started)
    left = [row for row in rows if row.status in ("failed", "exists")]
    if left:
        names = ", ".join(row.case for row in left)
        msg = f"{len(left)} of {len(cases)} cases were not {past_tense}: {names}."
        raise BrainTumorError(msg)


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


def _run_case(number: int, case: str, count: int, work: Work, doing: str) -> CaseRow:
    began = time.monotonic()
    if count > 1:
        with _patient():
            progress_line(f"[{number + 1} of {count}] {case}: {doing}")
    try:
        row = work(number)
    except Exception as error:
        if count == 1:
            raise
        with _patient():
            say_error(error, case)
            if debugging.get():
                progress_line("".join(traceback.format_exception(error)))
        return CaseRow(case, "failed", error=explain(error), seconds=time.monotonic() - began)
    return row if row.seconds is not None else row.taking(time.monotonic() - began)


def _tell_end(row: CaseRow, number: int, count: int, rows: Sequence[CaseRow], elapsed: float) -> None:
    if count == 1:
        return
    took = duration(row.seconds or 0)
    statements = {"done": f"done in {took}", "failed": f"failed after {took}", "skipped": "skipped, its result exists"}
    what = statements.get(row.status, "its result exists")
    worked = [finished.seconds or 0 for finished in rows if finished.status in ("done", "failed")]
    left = count - number - 1
    rest = f", about {duration(left * sum(worked) / len(worked))} left" if worked and left else ""
    with _patient():
        progress_line(f"[{number + 1} of {count}] {row.case}: {what}; {duration(elapsed)} elapsed{rest}")


def _sum_up(rows: Sequence[CaseRow], count: int, table: CaseTable | None, past_tense: str, elapsed: float) -> None:
    states = Counter[str](row.status for row in rows)
    words = {"done": past_tense, "skipped": "skipped", "exists": "left as they were", "failed": "failed"}
    parts = [f"{states[key]} {word}" for key, word in words.items() if states[key]]
    parts += [f"{count - len(rows)} not begun"] if len(rows) < count else []
    with _patient():
        say(f"{count} cases: {', '.join(parts)}, in {duration(elapsed)}.")
        for row in rows:
            if row.status == "failed":
                say(f"  {row.case}: {row.error}")
        if states["exists"]:
            say(
                "  Results that exist already were left as they are. --skip-existing passes over them without an "
                "error, --overwrite replaces them."
            )
        if table is not None and table.is_written:
            say(f"Table of all cases: {os.fspath(table.path)}")
