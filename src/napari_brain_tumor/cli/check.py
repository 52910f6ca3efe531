"""`brain-tumor check`: what to know before a case is segmented."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from napari_brain_tumor.cli.arguments import SchemaOption
from napari_brain_tumor.cli.console import print_table, say
from napari_brain_tumor.io.table import Table
from napari_brain_tumor.requests.opening import OpenOptions
from napari_brain_tumor.requests.segment import SegmentRequest

if TYPE_CHECKING:
    from napari_brain_tumor.preflight import Fix, FixKind, Row

_OPTIONS: Final[dict["FixKind", str]] = {
    "resample": "--resample {}",
    "roles": "--roles t1c=FILE,flair=FILE",
    "model": "--model {}",
    "device": "--device {}",
    "brain": "--brain auto|keep|MASK",
}
"""The option that does what a fix says."""


def check(
    case: Annotated[Path, typer.Argument(metavar="CASE", help="Folder or file of an examination.")],
    opening: OpenOptions,
    request: SegmentRequest,
    segmentation: Annotated[Path | None, typer.Option(help="Labels of the case, to check as well.")] = None,
    schema: SchemaOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the table as JSON.")] = False,
) -> None:
    """Check a case before it is segmented; the exit code is 1 if something would stop or spoil the result."""
    from napari_brain_tumor.preflight import check_case, worst

    rows = check_case(
        case,
        request.model,
        request.device,
        segmentation,
        opening=opening.beside(case),
        schema=schema,
        **request.options(),
    )
    if as_json:
        say(json.dumps([asdict(row) for row in rows], indent=2))
    else:
        print_table(f"{case}", _table(rows))
    if worst(rows) == "fail":
        raise typer.Exit(1)


def _table(rows: "tuple[Row, ...]") -> "Table":
    cells = ((row.verdict, row.question, row.words, _option(row.fix)) for row in rows)
    return Table.of_cells(("", "Question", "What was found", "Option"), cells)


def _option(fix: "Fix | None") -> str:
    return "" if fix is None else _OPTIONS[fix.kind].format(fix.value)
