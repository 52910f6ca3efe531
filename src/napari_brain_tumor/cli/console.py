"""Tables, progress and messages: coloured on a terminal, plain text in a pipe."""

import sys
from collections.abc import Mapping
from typing import Any, Final, TypeVar

import typer
from rich import box
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.table import Table

from napari_brain_tumor.errors import GridMismatchError, RoleError, SpacingUnknownError
from napari_brain_tumor.labels import Region
from napari_brain_tumor.measure.examination import Examination
from napari_brain_tumor.measure.lesions import Lesion
from napari_brain_tumor.measure.volumes import VolumeRow, VolumeTable
from napari_brain_tumor.progress import Job, run_job
from napari_brain_tumor.progress import Progress as Step

__all__ = ["lesion_table", "new_table", "note", "print_table", "run_shown", "say", "say_error", "volume_table"]

_PIPE_WIDTH = 160
Result = TypeVar("Result")

_SHELL_HINTS: Final[dict[type[Exception], str]] = {
    RoleError: "In the shell: --roles t1c=FILE,flair=FILE, or for one file of several volumes --roles FLAIR,T1,T1c,T2.",
    GridMismatchError: "In the shell: --resample finest, or --roles t1c=FILE,flair=FILE.",
    SpacingUnknownError: "In the shell: --spacing X,Y,Z.",
}
"""Messages name Python's arguments; these are the options that do the same."""


def say(text: str) -> None:
    """Print a result or a plain line, as it is."""
    typer.echo(text)


def note(text: str) -> None:
    """Print something the user should know, apart from the results."""
    typer.secho(f"Note: {text}", err=True, fg="yellow")


def say_error(error: Exception, what: str | None = None, hints: Mapping[type[Exception], str] = _SHELL_HINTS) -> None:
    """Print an error on standard error: perhaps what it is about, its message, and the option that helps."""
    hint = next((hint for kind, hint in hints.items() if isinstance(error, kind)), None)
    if "--series" in str(error):  # it says itself what to do in the shell
        hint = None
    typer.secho("Error: ", err=True, nl=False, fg="red", bold=True)
    typer.echo("\n".join(filter(None, (f"{what}: {error}" if what else str(error), hint))), err=True)


def new_table(*columns: str, right: tuple[str, ...] = ()) -> Table:
    """A table with those columns, the ones in `right` aligned to the right."""
    plain = not sys.stdout.isatty()
    table = Table(box=None if plain else box.SIMPLE_HEAD, pad_edge=not plain)
    for column in columns:
        table.add_column(column, justify="right" if column in right else "left")
    return table


def print_table(title: str, table: Table) -> None:
    """Print a table under its title on standard output."""
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=_PIPE_WIDTH, no_color=True)
    say(title)  # not the table's own title, which would be broken at the table's width
    console.print(table)


def volume_table(volumes: VolumeTable, dice: Mapping[Region, float] | None = None) -> Table:
    """A table of classes and regions: millilitres where the voxel size is known, voxels, and each region's Dice."""
    columns = ["Tissue", "mL", "Voxels", "Dice"]
    unknown = {"mL"} if volumes.unit == "voxels" else set()
    unknown |= {"Dice"} if dice is None else set()
    shown = [column for column in columns if column not in unknown]
    table = new_table(*shown, right=("mL", "Voxels", "Dice"))
    for rows in (volumes.classes, volumes.regions):
        for row in rows:
            cells = _volume_cells(row, dice or {})
            table.add_row(*(cells[column] for column in shown))
        table.add_section()
    return table


def _volume_cells(row: VolumeRow, dice: Mapping[Region, float]) -> dict[str, str]:
    score = dice.get(row.key) if isinstance(row.key, str) else None
    return {
        "Tissue": row.name if row.kind == "class" else f"{row.name} ({row.key})",
        "mL": "" if row.ml is None else f"{row.ml:.2f}",
        "Voxels": str(row.voxels),
        "Dice": "" if score is None else f"{score:.3f}",
    }


def lesion_table(examination: Examination) -> Table:
    """A table of lesions: size, side, distance to the midline, diameters in mm, and whether they are measurable."""
    numbers = ("Size", "Midline", "Slice", "Long", "Short", "Product")
    table = new_table("Lesion", "Size", "Side", *numbers[1:], "RANO", right=numbers)
    for lesion in examination.lesions:
        table.add_row(*_lesion_cells(lesion))
    return table


def _lesion_cells(lesion: Lesion) -> list[str]:
    found = lesion.diameters
    slice_and_lengths = ["", "", "", ""]
    if found is not None:
        lengths = f"{found.long_mm:.1f} mm", f"{found.short_mm:.1f} mm", f"{found.product_mm2:.0f} mm²"
        slice_and_lengths = [str(found.index), *lengths]
    side = lesion.side or "not assessable"
    distance = "" if lesion.midline_mm is None else f"{lesion.midline_mm:.0f} mm"
    return [lesion.title, lesion.size, side, distance, *slice_and_lengths, lesion.reason]


def run_shown(job: Job[Result], title: str) -> Result:
    """Run a job with a bar and the remaining time on standard error; silently where that is not a terminal."""
    console = Console(stderr=True)
    columns: list[Any] = [TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn()]
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(title, total=None)

        def show(step: Step) -> None:
            text = f"{title}: {step.message}" if step.message else title
            bar.update(task, completed=step.done, total=step.total, description=text)

        return run_job(job, show)
