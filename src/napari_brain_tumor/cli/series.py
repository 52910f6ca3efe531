"""`brain-tumor series`: which DICOM series an examination has, to pick from."""

import json
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from napari_brain_tumor.cli.console import note, print_table, say
from napari_brain_tumor.io import list_series
from napari_brain_tumor.io.dicom import size_words, slice_words, time_words
from napari_brain_tumor.io.table import Table

if TYPE_CHECKING:
    from napari_brain_tumor.io import Series


def series(
    case: Annotated[Path, typer.Argument(metavar="FOLDER", help="Folder of an examination, or one of its files.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print the list as JSON.")] = False,
) -> None:
    """List the DICOM series of an examination: what each is, and the number with which `--series` picks it."""
    listed = list_series(case)
    if as_json:
        say(json.dumps([_plain(entry) for entry in listed], indent=2))
        return
    if not listed:
        say(f"{case} holds no DICOM series.")
        return
    print_table(f"{case}: {len(listed)} series. Pick with --series T1c=NUMBER, or by description.", _table(listed))
    for entry in listed:
        if entry.problem:
            note(f"{entry.title} cannot be opened: {entry.problem}")


def _table(listed: "list[Series]") -> "Table":
    titles = ("Number", "Description", "Plane", "Pixels", "Slices", "Agent", "Times", "Type", "Scanned", "Role")
    rows = (
        (
            entry.number,
            entry.description,
            entry.plane if entry.modality in ("MR", "") else f"{entry.plane} {entry.modality}",
            size_words(entry),
            slice_words(entry),
            entry.contrast_agent,
            time_words(entry),
            "\\".join(entry.image_type),
            entry.acquired or entry.study_date,
            "cannot be opened" if entry.problem else entry.role or f"- ({entry.reason})",
        )
        for entry in listed
    )
    return Table.of_cells(titles, rows)


def _plain(entry: "Series") -> dict[str, Any]:
    values = {each.name: getattr(entry, each.name) for each in fields(entry) if each.repr}
    return values | {"folder": str(entry.folder), "files": [str(path) for path in entry.files]}
