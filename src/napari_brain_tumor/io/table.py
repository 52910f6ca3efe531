"""Table of results, used for CSV files, data frames, printed tables and reports alike."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from napari_brain_tumor.io.atomic import write_text
from napari_brain_tumor.io.csv_text import csv_text

if TYPE_CHECKING:
    import pandas
    from rich.console import Console, ConsoleOptions
    from rich.table import Table as RichTable

_UNITS: Final = {"mm": "mm", "mm2": "mm²", "ml": "mL", "degrees": "°", "percent": "%", "seconds": "s"}
"""Units by the last word of a column name."""


def units_of(columns: Sequence[str]) -> dict[str, str]:
    """Return the units of the columns whose names end with one.

    Examples
    --------
    >>> units_of(["dice", "hd95_mm", "seconds"])
    {'hd95_mm': 'mm', 'seconds': 's'}
    """
    last = {column: column.rpartition("_")[2] for column in columns}
    return {column: _UNITS[word] for column, word in last.items() if word in _UNITS}


@dataclass(frozen=True, slots=True, eq=False)
class Table:
    """Rows of plain values under named columns.

    Parameters
    ----------
    columns : tuple of str
        Column names, in order.
    rows : tuple of mapping
        Each maps column names to values; unknown values are None or left out.
    digits : mapping of str to int
        Number of decimals of a column when printed; CSV and data frame contain the full values.
    units : mapping of str to str
        Unit of a column's values, such as `"mm"`.
    right : frozenset of str
        Text columns to align right, like those with digits or units.
    title, note : str
        Text displayed above and below the table.
    """

    columns: tuple[str, ...]
    rows: tuple[Mapping[str, Any], ...]
    digits: Mapping[str, int] = field(default_factory=dict)
    units: Mapping[str, str] = field(default_factory=dict)
    right: frozenset[str] = frozenset()
    title: str = ""
    note: str = ""

    @classmethod
    def of_cells(cls, columns: Sequence[str], rows: Iterable[Sequence[Any]], **words: Any) -> "Table":
        """Make a table from rows given as sequences in column order; other fields are passed by name."""
        return cls(tuple(columns), tuple(dict(zip(columns, row, strict=True)) for row in rows), **words)

    def to_csv(self, path: str | PathLike[str] | None = None, *, separator: str = ",") -> str:
        """Return the table as CSV text with a header line, and also write it to a file if `path` is given.

        Numbers read back exactly, and no text is interpreted as a formula by spreadsheets.

        Raises
        ------
        SaveError
            If the file cannot be written.
        """
        text = csv_text(self.columns, self.rows, separator=separator)
        if path is not None:
            write_text(Path(path), text)
        return text

    def to_dataframe(self) -> "pandas.DataFrame":
        """Return the table as a `pandas.DataFrame` with the units in `attrs["units"]`."""
        import pandas

        frame = pandas.DataFrame([[row.get(column) for column in self.columns] for row in self.rows])
        frame = frame.reindex(columns=range(len(self.columns))).set_axis(list(self.columns), axis=1)
        frame.attrs["units"] = dict(self.units)
        return frame

    def to_html(self) -> str:
        """Return the table as HTML, with the first column as row headers; title and note are left out."""
        classes = [' class="number"' if self.is_number(column) else "" for column in self.columns]
        titles = zip(self.titles, classes, strict=True)
        head = "".join(f'<th scope="col"{name}>{escape(title)}</th>' for title, name in titles)
        lines = ["<table>", f"<thead><tr>{head}</tr></thead>", "<tbody>"]
        for row in self.rows:
            first, *others = (escape(self.printed(row, column)) for column in self.columns)
            cells = "".join(f"<td{name}>{text}</td>" for text, name in zip(others, classes[1:], strict=True))
            lines.append(f'<tr><th scope="row">{first}</th>{cells}</tr>')
        if not self.rows:
            lines.append(f'<tr><td colspan="{len(self.columns)}">None.</td></tr>')
        return "\n".join((*lines, "</tbody>", "</table>"))

    _repr_html_ = to_html
    """Display in notebooks."""

    def __rich_console__(self, console: "Console", _: "ConsoleOptions") -> "Iterator[RichTable]":
        """Display in rich: ruled on a terminal, plain in a pipe, never truncated. Title and note are left out."""
        from rich import box
        from rich.markup import escape
        from rich.table import Table as RichTable

        printed = RichTable(box=box.SIMPLE_HEAD if console.is_terminal else None, pad_edge=console.is_terminal)
        for column, heading in zip(self.columns, self.titles, strict=True):
            printed.add_column(escape(heading), justify="right" if self.is_number(column) else "left", overflow="fold")
        for row in self.rows:
            printed.add_row(*(escape(self.printed(row, column)) for column in self.columns))
        yield printed

    def is_number(self, column: str) -> bool:
        """Whether the column is aligned right."""
        return column in self.right or column in self.digits or column in self.units

    def printed(self, row: Mapping[str, Any], column: str) -> str:
        """Format a cell for display: rounded, and empty if the value is unknown."""
        value = row.get(column)
        if value is None:
            return ""
        digits = self.digits.get(column)
        return str(value) if digits is None or isinstance(value, str) else f"{value:.{digits}f}"

    @property
    def titles(self) -> tuple[str, ...]:
        """Column names with their units, for display."""
        return tuple(f"{name} ({self.units[name]})" if name in self.units else name for name in self.columns)
