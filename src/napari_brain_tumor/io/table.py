"""The rows of a result as one value: what its CSV, its data frame, the printed tables and the reports show."""

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
"""What the last word of a column's name says of its numbers."""


def units_of(columns: Sequence[str]) -> dict[str, str]:
    """The units of the columns whose names end with one.

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
        Names, in order.
    rows : tuple of mapping
        From column to value; a value that is not known is None or left out.
    digits : mapping of str to int
        Decimals of a column where it is printed; CSV and data frame hold the numbers as they are.
    units : mapping of str to str
        Unit of a column's numbers, such as `"mm"`.
    right : frozenset of str
        Columns of text that are aligned to the right, as those with digits or units are.
    title, note : str
        What stands above and below it where it is shown.
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
        """A table of rows that are sequences, in the order of the columns; the other fields by name."""
        return cls(tuple(columns), tuple(dict(zip(columns, row, strict=True)) for row in rows), **words)

    def to_csv(self, path: str | PathLike[str] | None = None, *, separator: str = ",") -> str:
        """The table as CSV text under a line of names; written to a file too if one is named.

        Numbers read back exactly, and no text of a cell is run by a spreadsheet.

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
        """The table as a `pandas.DataFrame`; units are in its `attrs["units"]`."""
        import pandas

        frame = pandas.DataFrame([[row.get(column) for column in self.columns] for row in self.rows])
        frame = frame.reindex(columns=range(len(self.columns))).set_axis(list(self.columns), axis=1)
        frame.attrs["units"] = dict(self.units)
        return frame

    def to_html(self) -> str:
        """The table as an HTML element, its first column as the names of the rows; title and note are left out."""
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
    """What a notebook shows."""

    def __rich_console__(self, console: "Console", _: "ConsoleOptions") -> "Iterator[RichTable]":
        """What rich prints: ruled on a terminal, plain in a pipe; nothing is cut off. Title and note are left out."""
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
        """Whether the column is aligned to the right."""
        return column in self.right or column in self.digits or column in self.units

    def printed(self, row: Mapping[str, Any], column: str) -> str:
        """A cell as people read it: rounded, and empty where the value is not known."""
        value = row.get(column)
        if value is None:
            return ""
        digits = self.digits.get(column)
        return str(value) if digits is None or isinstance(value, str) else f"{value:.{digits}f}"

    @property
    def titles(self) -> tuple[str, ...]:
        """Columns with their units, as people read them."""
        return tuple(f"{name} ({self.units[name]})" if name in self.units else name for name in self.columns)
