"""`brain-tumor series`: which DICOM series an examination has, to pick from."""

import json
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from rich.table import Table

    from napari_brain_tumor.io import Series

__all__ = ["series"]


def series(
    case: Annotated[Path, typer.Argument(metavar="FOLDER", help="Folder of an examination, or one of its files.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print the list as JSON.")] = False,
) -> None:
    """List the DICOM series of an examination: what each is, and the number by which `--series` picks it."""
    from napari_brain_tumor.cli.console import note, print_table, say
    from napari_brain_tumor.io import list_series

    listed = list_series(case)
    if as_json:
        say(json.dumps([_plain(one) for one in listed], indent=2))
        return
    if not listed:
        say(f"{case} holds no DICOM series.")
        return
    print_table(f"{case}: {len(listed)} series. Pick with --series T1c=NUMBER, or by description.", _table(listed))
    for one in listed:
        if one.problem:
            note(f"{one.title} cannot be opened: {one.problem}")


def _table(listed: "list[Series]") -> "Table":
    from napari_brain_tumor.cli.console import new_table
    from napari_brain_tumor.io.dicom import size_words, slice_words, time_words

    titles = ("Number", "Description", "Plane", "Pixels", "Slices", "Agent", "Times", "Type", "Scanned", "Role")
    table = new_table(*titles)
    for column in table.columns:
        column.overflow = "fold"  # nothing may be cut off of what decides
    for one in listed:
        table.add_row(
            one.number,
            one.description,
            one.plane if one.modality in ("MR", "") else f"{one.plane} {one.modality}",
            size_words(one),
            slice_words(one),
            one.contrast_agent,
            time_words(one),
            "\\".join(one.image_type),
            one.acquired or one.study_date,
            "cannot be opened" if one.problem else one.role or f"- ({one.reason})",
        )
    return table


def _plain(one: "Series") -> dict[str, Any]:
    told = {each.name: getattr(one, each.name) for each in fields(one) if each.repr}
    return told | {"folder": str(one.folder), "files": [str(path) for path in one.files]}
