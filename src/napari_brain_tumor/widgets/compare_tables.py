"""The tables of the Compare panel."""

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QAbstractItemView, QHeaderView, QTableWidget, QTableWidgetItem

from napari_brain_tumor.widgets.compare_state import Cells

__all__ = ["CellTable"]

_MOST_ROWS = 8
_NARROWEST = 70


class CellTable(QTableWidget):
    """Shows `Cells`: the first column is text, the others are numbers; nothing can be edited.

    As high as its rows up to a few, and scrolls beyond; hidden while it is empty.

    Parameters
    ----------
    name, tip : str
        For screen readers, and on hover.
    """

    def __init__(self, name: str, tip: str) -> None:
        super().__init__(0, 0)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setTabKeyNavigation(False)  # Tab leaves the table instead of walking through its cells
        self.setHorizontalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.setWordWrap(False)
        numbers = QHeaderView(Qt.Orientation.Vertical, self)
        numbers.hide()
        self.setVerticalHeader(numbers)
        self._header = QHeaderView(Qt.Orientation.Horizontal, self)
        self._header.setSectionsClickable(False)
        self.setHorizontalHeader(self._header)
        self.setAccessibleName(name)
        self.setToolTip(tip)
        self.setMinimumWidth(120)
        self.hide()

    def show_cells(self, cells: Cells) -> None:
        """Show these texts."""
        self.blockSignals(True)
        self.clearSelection()
        self.setColumnCount(len(cells.columns))
        self.setRowCount(len(cells.rows))
        self.setHorizontalHeaderLabels(list(cells.columns))
        for at, row in enumerate(cells.rows):
            for column, text in enumerate(row):
                self.setItem(at, column, _item(text, is_name=column == 0))
        self._fit()
        self.blockSignals(False)
        self.setVisible(bool(cells.rows))

    def texts(self) -> list[list[str]]:
        """What is shown, row by row."""
        items = [[self.item(row, column) for column in range(self.columnCount())] for row in range(self.rowCount())]
        return [[item.text() if item is not None else "" for item in row] for row in items]

    def select(self, row: int) -> None:
        """Mark a row without telling of it."""
        self.blockSignals(True)
        self.selectRow(row)
        self.blockSignals(False)
        item = self.item(row, 0)
        if item is not None:
            self.scrollToItem(item)

    def _fit(self) -> None:
        self.resizeColumnsToContents()
        self._header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        self._header.setMinimumSectionSize(30)
        if self.columnCount():
            self._header.setSectionResizeMode(0, QHeaderView.ResizeMode.Interactive)
            self.setColumnWidth(0, min(max(_NARROWEST, self.sizeHintForColumn(0) + 12), 130))
        self._header.setStretchLastSection(True)
        self.resizeRowsToContents()
        rows = min(self.rowCount(), _MOST_ROWS)
        height = self._header.sizeHint().height() + sum(self.rowHeight(at) for at in range(rows))
        bar = self.horizontalScrollBar()
        self.setFixedHeight(height + 2 * self.frameWidth() + 2 + (bar.sizeHint().height() if bar is not None else 0))


def _item(text: str, *, is_name: bool) -> QTableWidgetItem:
    item = QTableWidgetItem(text)
    if is_name:
        item.setToolTip(text)  # the column may be too narrow for it
    else:
        item.setTextAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
    return item
