"""Write and read CSV text that spreadsheets cannot interpret as formulas.

Spreadsheets treat a cell that begins with `=`, `+`, `-`, `@`, a tab or a line break as a formula, and the names of
cases, files and patients come from untrusted sources. Such text is prefixed with an apostrophe, which spreadsheets
take to mean "this is text"; numbers are written unchanged. Reading removes the apostrophe again. Cells that contain a
character used as a separator by some spreadsheet are quoted: where `;` separates cells, `a;=1` would be two cells, the
second a formula. Bytes in file names that cannot be decoded are written as escape codes.
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
"""A single empty cell; an empty line would not count as a row."""


def csv_text(columns: Sequence[str], rows: Iterable[Mapping[str, Any]], *, separator: str = ",") -> str:
    """Return a table as CSV text with a header line; missing and None values become empty cells.

    Parameters
    ----------
    columns : sequence of str
        Column names, in order.
    rows : iterable of mapping
        Each maps column names to values; a key that is not a column is an error.
    separator : str
        Character between cells; use a tab for text pasted into a spreadsheet from the clipboard.
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
    """Return the columns and rows of text written by `csv_text`; raises `ValueError` if it is not valid CSV."""
    reader = csv.DictReader(io.StringIO(text, newline=""))
    try:
        columns = tuple(map(plain_text, reader.fieldnames or ()))
        rows = [{plain_text(key): plain_text(value or "") for key, value in row.items() if key} for row in reader]
    except csv.Error as error:
        raise ValueError(f"it is not CSV text: {error}") from error
    return columns, rows


def formula_safe(value: Any) -> Any:
    """Prefix text that a spreadsheet would run as a formula with an apostrophe; other values are unchanged.

    Examples
    --------
    >>> formula_safe("=1+1"), formula_safe("-0.5"), formula_safe(-0.5), formula_safe("P-1")
    ("'=1+1", '-0.5', -0.5, 'P-1')
    """
    if not isinstance(value, str) or _is_number(value):
        return value
    # Undecodable bytes in file names are written as escape codes, because they could not be encoded.
    value = value.encode("utf-8", errors="backslashreplace").decode()
    is_formula = _is_formula(value)
    # Text that already looks escaped gets another apostrophe, so that it reads back unchanged.
    return f"{_APOSTROPHE}{value}" if is_formula or _was_made_safe(value) else value


def one_line(text: str) -> str:
    """Collapse each run of white space and line breaks into one space, and escape undecodable bytes."""
    return " ".join(text.split()).encode("utf-8", errors="backslashreplace").decode()


def plain_text(cell: str) -> str:
    """Return the original text of a cell that `formula_safe` may have escaped."""
    return cell[1:] if _was_made_safe(cell) else cell


def _was_made_safe(cell: str) -> bool:
    return cell.startswith(_APOSTROPHE) and _is_formula(cell.lstrip(_APOSTROPHE))


def _is_formula(text: str) -> bool:
    """Whether a spreadsheet may run a text, as it may drop invisible leading characters (spaces, marks, NUL)."""
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
