"""A read-only table of text."""

from collections.abc import Iterable, Sequence

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QAbstractItemView, QHeaderView, QTableWidget, QTableWidgetItem

from napari_brain_tumor.widgets.parts import described


class CellTable(QTableWidget):
    """Shows text in cells, repeated in tooltips.

    Parameters
    ----------
    titles : iterable of str
        Column titles.
    tip, name : str
        Tooltip and accessible name.
    height : int
        Minimum height in pixels.
    """

    def __init__(self, titles: Iterable[str], tip: str, name: str, height: int) -> None:
        columns = list(titles)
        super().__init__(0, len(columns))
        self.setHorizontalHeaderLabels(columns)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setTabKeyNavigation(False)  # Tab leaves the table instead of walking through its cells
        self.setMinimumHeight(height)
        described(self, tip, name)

    def fit_columns(self) -> None:
        """Fit the column widths to their contents; in a long table, only the first rows count."""
        header = QHeaderView(Qt.Orientation.Horizontal, self)
        header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        header.setResizeContentsPrecision(50)
        self.setHorizontalHeader(header)

    def show_cells(
        self, row: int, texts: Sequence[str], *, first: int = 0, tip: str = "", numbers: Iterable[int] = ()
    ) -> None:
        """Show texts in a row, starting at column `first`; numbers are right-aligned."""
        for column, text in enumerate(texts, first):
            item = QTableWidgetItem(text)
            item.setToolTip(tip or text)
            if column in numbers:
                item.setTextAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
            self.setItem(row, column, item)
