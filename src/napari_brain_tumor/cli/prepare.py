"""`brain-tumor prepare`: from the raw series of an examination to a study on one grid."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from napari_brain_tumor.requests.prepare import PrepareRequest

if TYPE_CHECKING:
    from napari_brain_tumor.preparation import PreparedStudy

__all__ = ["prepare", "show_prepared"]


def prepare(
    request: PrepareRequest,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FOLDER", help="Folder for the study. Without it only the table."),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an earlier prepared study.")] = False,
) -> None:
    """Choose the best series of each sequence, register them, extract the brain, and save a study on one grid.

    Without -o the table of series is shown, with what each would be used as and why, and nothing is computed.
    """
    from napari_brain_tumor.cli.console import run_shown, say
    from napari_brain_tumor.preparation import candidates_of, prepare_job, select

    case = request.path
    if output is None:
        offered = candidates_of(case, request.roles, spacing_mm=request.spacing_mm)
        _show_table(case, select(offered, request.series).rows())
        say("Nothing was prepared: give -o FOLDER for that, and --series ROLE=NUMBER to take another one.")
        return
    options = {name: value for name, value in request.changed().items() if name != "path"}
    prepared = run_shown(prepare_job(case, **options, output=output, overwrite=overwrite), case.name)
    _show_table(case, prepared.table)
    show_prepared(prepared)
    say(f"Wrote {output}")


def show_prepared(prepared: "PreparedStudy") -> None:
    """Print what was done: the motions as a table, the notes below."""
    from napari_brain_tumor.cli.console import new_table, note, print_table

    numbers = ("Turned", "Moved", "Heads overlap", "Edges agree")
    table = new_table("Sequence", *numbers, right=numbers)
    for role, place in prepared.places.items():
        after = place.registration.get("after", {})
        motion = f"{place.angle_degrees:.1f}°", f"{place.distance_mm:.1f} mm"
        judged = f"{after.get('overlap', 1):.0%}", f"{after.get('detail', 1):.2f}"
        is_reference = role == prepared.reference
        table.add_row(role, *(("reference", "", "", "") if is_reference else (*motion, *judged)))
    print_table(f"{prepared.study.name}, registered to {prepared.reference}", table)
    for text in prepared.notes:
        note(text)


def _show_table(case: Path, rows: Sequence[Mapping[str, str]]) -> None:
    from napari_brain_tumor.cli.console import new_table, print_table

    columns = {
        "number": "Number",
        "name": "Series",
        "plane": "Plane",
        "size": "Size",
        "agent": "Agent",
        "scanned": "Scanned",
        "role": "Used as",
        "why": "Why",
    }
    shown = {key: title for key, title in columns.items() if any(row[key] for row in rows)}
    table = new_table(*shown.values())
    for column in table.columns:
        column.overflow = "fold"
    for row in rows:
        table.add_row(*(row[key] or "-" for key in shown))
    print_table(f"{case}: {len(rows)} series", table)
