"""Tables, progress and messages: coloured on a terminal, plain text in a pipe."""

import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final, TypeVar

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from napari_brain_tumor.errors import BrainTumorError, GridMismatchError, RoleError, SpacingUnknownError
from napari_brain_tumor.io.table import Table
from napari_brain_tumor.labels import Region
from napari_brain_tumor.progress import Job, run_job
from napari_brain_tumor.progress import Progress as Step

if TYPE_CHECKING:
    from napari_brain_tumor.measure.examination import Examination
    from napari_brain_tumor.measure.lesions import Lesion
    from napari_brain_tumor.measure.volumes import VolumeRow, VolumeTable

_PIPE_WIDTH = 160
_LINE_EVERY_S: Final = 30.0
"""Seconds between lines that tell how far a job is where there is no terminal for a bar."""
Result = TypeVar("Result")

_SHELL_HINTS: Final[dict[type[Exception], str]] = {
    RoleError: "In the shell: --roles t1c=FILE,flair=FILE, or for one file of several volumes --roles FLAIR,T1,T1c,T2.",
    GridMismatchError: "In the shell: `brain-tumor prepare`, --resample finest, or --roles t1c=FILE,flair=FILE.",
    SpacingUnknownError: "In the shell: --spacing X,Y,Z.",
}
"""Messages name Python's arguments; these are the options that do the same."""


debugging: Final[ContextVar[bool]] = ContextVar("debugging", default=False)
"""Whether tracebacks are shown, too."""


def prepare_streams() -> None:
    """Let everything be printed: a letter that a console or log cannot encode is shown by its code."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")


def say(text: str) -> None:
    """Print a result or a plain line, as it is."""
    typer.echo(text)


def say_written(*paths: object) -> None:
    """Print which files were written."""
    for path in paths:
        say(f"Wrote {path}")


def note(*texts: str) -> None:
    """Print things that the user should know, apart from the results."""
    for text in texts:
        typer.secho(f"Note: {text}", err=True, fg="yellow")


def progress_line(text: str) -> None:
    """Print how far the work is, on standard error, apart from the results."""
    typer.echo(text, err=True)


def duration(seconds: float) -> str:
    """A time as people read it.

    Examples
    --------
    >>> duration(4.25), duration(75), duration(4000)
    ('4.2 s', '1:15 min', '1:06 h')
    """
    if seconds < 59.95:
        return f"{seconds:.1f} s" if seconds < 9.95 else f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02d} min" if minutes < 60 else f"{minutes // 60}:{minutes % 60:02d} h"


def explain(error: BaseException) -> str:
    """An error in words, also one that nobody thought of."""
    if isinstance(error, BrainTumorError | OSError):
        return str(error)
    if isinstance(error, MemoryError):
        return f"Memory ran out ({error or 'no more is available'}). Close other programs, or use a machine with more."
    return f"Unexpected {type(error).__name__}: {error}. This is a bug in the program; --debug shows where."


def say_error(error: Exception, what: str | None = None, hints: Mapping[type[Exception], str] = _SHELL_HINTS) -> None:
    """Print an error on standard error: perhaps what it is about, its message, and the option that helps."""
    hint = next((hint for kind, hint in hints.items() if isinstance(error, kind)), None)
    if "--series" in str(error):  # it says itself what to do in the shell
        hint = None
    typer.secho("Error: ", err=True, nl=False, fg="red", bold=True)
    text = explain(error)
    typer.echo("\n".join(filter(None, (f"{what}: {text}" if what else text, hint))), err=True)


def print_table(title: str, table: Table) -> None:
    """Print a result's table under its title on standard output, its numbers rounded and aligned to the right."""
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=_PIPE_WIDTH, no_color=True)
    say(title)  # not the table's own title, which would be broken at the table's width
    console.print(table)


def volume_table(volumes: "VolumeTable", dice: Mapping[Region, float] | None = None) -> Table:
    """A table of classes and regions: millilitres where the voxel size is known, voxels, and each region's Dice."""
    from napari_brain_tumor.measure.volumes import REGION_NAMES

    unknown = ({"mL"} if volumes.unit == "voxels" else set()) | ({"Dice"} if dice is None else set())
    columns = tuple(column for column in ("Tissue", "mL", "Voxels", "Dice") if column not in unknown)
    rows = [_volume_cells(row, dice or {}) for row in (*volumes.classes, *volumes.regions)]
    rows += [{"Tissue": f"{REGION_NAMES[key]} ({key})", columns[1]: "not determined"} for key in volumes.undetermined]
    return Table(columns, tuple(rows), {"mL": 2, "Dice": 3}, right=frozenset({"Voxels"}))


def _volume_cells(row: "VolumeRow", dice: Mapping[Region, float]) -> dict[str, Any]:
    score = dice.get(row.key) if isinstance(row.key, str) else None
    name = row.name if row.kind == "class" else f"{row.name} ({row.key})"
    return {"Tissue": name, "mL": row.ml, "Voxels": row.voxels, "Dice": score}


def lesion_table(examination: "Examination") -> Table:
    """A table of lesions: size, side, distance to the midline, diameters in mm, and whether they are measurable."""
    numbers = ("Size", "Midline", "Slice", "Long", "Short", "Product")
    columns = ("Lesion", "Size", "Side", *numbers[1:], "RANO")
    return Table.of_cells(columns, map(_lesion_cells, examination.lesions), right=frozenset(numbers))


def _lesion_cells(lesion: "Lesion") -> list[str]:
    diameters = lesion.diameters
    slice_and_lengths = ["", "", "", ""]
    if diameters is not None:
        lengths = f"{diameters.long_mm:.1f} mm", f"{diameters.short_mm:.1f} mm", f"{diameters.product_mm2:.0f} mm²"
        slice_and_lengths = [str(diameters.index), *lengths]
    side = lesion.side or "not assessable"
    distance = "" if lesion.midline_mm is None else f"{lesion.midline_mm:.0f} mm"
    return [lesion.title, lesion.size, side, distance, *slice_and_lengths, lesion.reason]


def run_shown(job: Job[Result], title: str) -> Result:
    """Run a job with a bar and the remaining time on standard error, or with a line at times if that is no terminal."""
    with progress_shown(title) as show:
        return run_job(job, show)


@contextmanager
def progress_shown(title: str) -> Iterator[Callable[[Step], None]]:
    """A function that shows how far a job is: a bar on a terminal, else a line at times."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield _Lines(title).show
        return
    columns: list[Any] = [TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn()]
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task(title, total=None)

        def show(step: Step) -> None:
            if step.milestone:
                console.print(step.milestone, markup=False, highlight=False)
            text = f"{title}: {step.message}" if step.message else title
            bar.update(task, completed=step.done, total=step.total, description=text)

        yield show


class _Lines:
    """How far a job is, in a line every half minute, and its milestones."""

    def __init__(self, title: str) -> None:
        self.title = title
        self.started = self.last = time.monotonic()

    def show(self, step: Step) -> None:
        if step.milestone:
            progress_line(step.milestone)
        now = time.monotonic()
        if now - self.last < _LINE_EVERY_S:
            return
        self.last = now
        elapsed, share = now - self.started, step.fraction
        rest = f", about {duration(elapsed * (1 - share) / share)} left" if share > 0 else ""
        what = f"{self.title}: {step.message}" if step.message else self.title
        progress_line(f"{what} ({share:.0%}, {duration(elapsed)} elapsed{rest})")
