"""Logic of the Prepare panel, without Qt."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from napari_brain_tumor.errors import BrainTumorError, RecordError
from napari_brain_tumor.inference.worker_process import WorkerProcess
from napari_brain_tumor.preparation import Candidate, select
from napari_brain_tumor.preparation.choice import LEAVE_OUT
from napari_brain_tumor.preparation.pipeline import PreparationReport
from napari_brain_tumor.progress import Job
from napari_brain_tumor.requests.actions import prepare_lines
from napari_brain_tumor.requests.lines import CommandLines
from napari_brain_tumor.requests.prepare import PrepareRequest
from napari_brain_tumor.study import ROLES
from napari_brain_tumor.widgets.worker import Stop

COLUMNS: Final[dict[str, str]] = {
    "name": "Series",
    "plane": "Plane",
    "size": "Size",
    "agent": "Agent",
    "scanned": "Scanned",
    "why": "Why",
}
"""Columns of the table, by the key of a row."""
_TARGET: Final = "napari_brain_tumor.preparation.pipeline:prepare_folder_job"


@dataclass(frozen=True, slots=True)
class SeriesView:
    """The series table as displayed: rows of text, and why nothing can be prepared (empty if it can)."""

    rows: tuple[Mapping[str, str], ...] = ()
    problem: str = ""


def view_of(candidates: Sequence[Candidate], series: Mapping[str, str]) -> SeriesView:
    """Return the rows of the table for these choices."""
    try:
        rows = select(candidates, series).rows()
    except BrainTumorError as error:
        plain = ({"number": one.number, "name": one.name, "role": "", "why": one.reason} for one in candidates)
        empty = dict.fromkeys(COLUMNS, "")
        return SeriesView(tuple(empty | row for row in plain), str(error).split("\n")[0])
    return SeriesView(rows)


def after_choosing(view: SeriesView, number: str, role: str) -> dict[str, str]:
    """Return the complete choices after a role was assigned to a series, or removed from it.

    Parameters
    ----------
    view : SeriesView
        The table before the change.
    number : str
        Number of the series.
    role : str
        Empty for no role.
    """
    uses = {row["role"]: row["number"] for row in view.rows if row["role"] and row["number"] != number}
    if role:
        uses[role] = number
    return {each: uses.get(each, LEAVE_OUT) for each in ROLES}


def free_folder(path: Path) -> Path:
    """Return the default folder of the prepared study: beside the examination, under an unused name."""
    plain = path.with_name(f"{path.name}_study")
    numbered = (plain.with_name(f"{plain.name}_{number}") for number in range(2, 1000))
    return plain if not plain.exists() else next(one for one in numbered if not one.exists())


def prepare_job(worker: WorkerProcess, stop: Stop, request: PrepareRequest, output: Path) -> Job[PreparationReport]:
    """Prepare the study in the worker process."""
    options = request.changed()
    report: PreparationReport = yield from stop.guard(
        worker.run(_TARGET, str(options.pop("path")), str(output), options)
    )
    return report


def report_text(report: PreparationReport) -> str:
    """Describe what was done, one line for each step."""
    lines = [
        f"{role}: turned by {degrees:.1f}°, moved by {distance:.1f} mm; heads overlap by {overlap:.0%}, edges agree by "
        f"{detail:.2f}"
        for role, degrees, distance, overlap, detail in report.motions
    ]
    return "\n".join([f"Registered to {report.reference}.", *lines, f"Saved in {report.folder}."])


def lines_of(request: PrepareRequest, output: Path) -> CommandLines:
    """Return code for Prepare; raises `RecordError` if no examination is chosen."""
    if not request.path.exists() or request.path == Path():
        msg = "Choose an examination first."
        raise RecordError(msg)
    return prepare_lines(request, output)
