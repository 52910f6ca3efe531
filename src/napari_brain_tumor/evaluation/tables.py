"""The tidy table of scores: write it as CSV and read it back."""

from collections.abc import Iterable, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, Final, get_args, get_type_hints

from napari_brain_tumor.errors import UnreadableFileError
from napari_brain_tumor.io.csv_text import read_csv_text
from napari_brain_tumor.io.regular_file import read_regular
from napari_brain_tumor.io.table import Table, units_of
from napari_brain_tumor.metrics.compare import CaseScores
from napari_brain_tumor.metrics.scores import MaskScores

_SCORES: Final = tuple(field.name for field in fields(MaskScores))
_TEXTS: Final = ("dataset", "case", "patient", "model", "region")
_NUMBERS: Final = ("truth_voxels", "predicted_voxels", "seconds")
COLUMNS: Final = (*_TEXTS, *_NUMBERS, *_SCORES)
"""Columns of the CSV: what a row is about, followed by one column for each score."""


def scores_table(rows: Iterable[CaseScores]) -> Table:
    """Return one row for each case, method and region; an undefined score is None."""
    return Table(COLUMNS, tuple(map(_cells, rows)), units=units_of(COLUMNS))


def scores_csv(rows: Iterable[CaseScores]) -> str:
    """Return the table of scores as CSV, with numbers that are read back exactly."""
    return scores_table(rows).to_csv()


def read_scores(path: Path) -> tuple[CaseScores, ...]:
    """Read a table of scores written by `evaluate`.

    Raises
    ------
    UnreadableFileError
        If the file cannot be read, or is not such a table.
    """
    try:
        return rows_of(read_regular(path).decode("utf-8"))
    except (OSError, ValueError, TypeError) as error:
        msg = f"{path} is not a table of scores: {error}. Give the scores.csv of an evaluation."
        raise UnreadableFileError(msg) from error


def rows_of(text: str) -> tuple[CaseScores, ...]:
    """Parse the output of `scores_csv`; raises `ValueError` for any other text."""
    columns, rows = read_csv_text(text)
    if columns != COLUMNS:
        raise ValueError(f"its columns are {', '.join(columns) or 'none'}")
    return tuple(map(_row, rows))


def _cells(row: CaseScores) -> dict[str, Any]:
    cells = {name: getattr(row, name) for name in (*_TEXTS, *_NUMBERS)}
    return cells | {name: getattr(row.scores, name) for name in _SCORES}


def _row(cells: Mapping[str, str]) -> CaseScores:
    kinds = get_type_hints(MaskScores)
    scores: dict[str, Any] = {name: _number(cells[name], kinds[name]) for name in _SCORES}
    return CaseScores(
        **{name: cells[name] for name in _TEXTS},
        scores=MaskScores(**scores),
        truth_voxels=int(cells["truth_voxels"]),
        predicted_voxels=int(cells["predicted_voxels"]),
        seconds=float(cells["seconds"]) if cells["seconds"] else None,
    )


def _number(text: str, kind: Any) -> float | int | None:
    if not text:
        return None
    return int(text) if int in (kind, *get_args(kind)) else float(text)
