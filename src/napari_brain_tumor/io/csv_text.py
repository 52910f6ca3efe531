"""Tables as CSV text that no spreadsheet runs: the one writer for all of them, and its reader.

A cell that begins with `=`, `+`, `-`, `@`, a tab or a line break is a formula to a spreadsheet, and names of cases,
files and patients come from elsewhere. Such a text gets an apostrophe in front, which spreadsheets take for "this is
text"; numbers are written as they are. Reading takes the apostrophe away again. Cells with any character at which
some spreadsheet begins a new cell are quoted: where `;` is usual, `a;=1` would be two cells, the second a formula.
Bytes of file names that are no text are shown by their codes.
"""

import csv
import io
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

_BEGINS_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r", "\n", "\N{FULLWIDTH EQUALS SIGN}", "\N{FULLWIDTH PLUS SIGN}")
_UNSEEN: Final = ("Zs", "Zl", "Zp", "Cc", "Cf")
_APOSTROPHE: Final = "'"
_ENDS_CELL: Final = re.compile(r'[",;|\t\r\n\v\f\x85\u2028\u2029]')
_EMPTY_LINE: Final = '""'
"""A single empty cell: a line without anything would be no row."""


def csv_text(columns: Sequence[str], rows: Iterable[Mapping[str, Any]], *, separator: str = ",") -> str:
    """A table as CSV text under a line of names; a cell that a row lacks, or that is None, is empty.

    Parameters
    ----------
    columns : sequence of str
        Names of the columns, in order.
    rows : iterable of mapping
        From column to value; a key that is no column is an error.
    separator : str
        Between the cells; with tabs a spreadsheet takes the text from the clipboard.
    """
    lines: list[list[Any]] = [list(columns)]
    for row in rows:
        if unknown := [key for key in row if key not in columns]:
            raise ValueError(f"{unknown} are not columns of the table")
        lines.append([row.get(column) for column in columns])
    return "".join(f"{separator.join(map(_cell, line)) or _EMPTY_LINE}\n" for line in lines)


def _cell(value: Any) -> str:
    safe = formula_safe(value)
    text = "" if safe is None else str(safe)
    return '"' + text.replace('"', '""') + '"' if _ENDS_CELL.search(text) else text


def read_csv_text(text: str) -> tuple[tuple[str, ...], list[dict[str, str]]]:
    """Columns and rows of what `csv_text` wrote, as they were; raises `ValueError` for what is no CSV."""
    reader = csv.DictReader(io.StringIO(text, newline=""))
    try:
        columns = tuple(map(plain_text, reader.fieldnames or ()))
        rows = [{plain_text(key): plain_text(value or "") for key, value in row.items() if key} for row in reader]
    except csv.Error as error:
        raise ValueError(f"it is not CSV text: {error}") from error
    return columns, rows


def formula_safe(value: Any) -> Any:
    """A cell's value with an apostrophe in front where a spreadsheet would run it; numbers stay as they are.

    Examples
    --------
    >>> formula_safe("=1+1"), formula_safe("-0.5"), formula_safe(-0.5), formula_safe("P-1")
    ("'=1+1", '-0.5', -0.5, 'P-1')
    """
    if not isinstance(value, str) or _is_number(value):
        return value
    # Bytes of file names that are no text are shown by their codes; as they are they could not be written.
    value = value.encode("utf-8", errors="backslashreplace").decode()
    is_formula = _is_formula(value)
    # A text that looks like one that was made safe gets another apostrophe, so that it reads back as it was.
    return f"{_APOSTROPHE}{value}" if is_formula or _was_made_safe(value) else value


def one_line(text: str) -> str:
    """The text with every run of blanks and line breaks as one blank, and bytes that are no text by their codes."""
    return " ".join(text.split()).encode("utf-8", errors="backslashreplace").decode()


def plain_text(cell: str) -> str:
    """The text of a cell that `formula_safe` may have made safe."""
    return cell[1:] if _was_made_safe(cell) else cell


def _was_made_safe(cell: str) -> bool:
    return cell.startswith(_APOSTROPHE) and _is_formula(cell.lstrip(_APOSTROPHE))


def _is_formula(text: str) -> bool:
    """Whether a spreadsheet may run a text; what is not seen before it (blanks, marks, NUL) may be dropped."""
    for letter in text:
        if letter in _BEGINS_FORMULA:
            return True
        if unicodedata.category(letter) not in _UNSEEN:
            return False
    return False


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
