"""The table of lesions in the Measure panel."""

from collections.abc import Sequence

from qtpy.QtCore import Qt, Signal  # type: ignore[attr-defined,unused-ignore]
from qtpy.QtWidgets import QAbstractItemView, QHeaderView, QTableWidget, QTableWidgetItem, QWidget

__all__ = ["LesionTable"]

_MOST_ROWS = 9


class LesionTable(QTableWidget):
    """One row a lesion; a row that is chosen, by mouse or keys, asks to be looked at.

    Parameters
    ----------
    columns : sequence of str
        Names of the columns; the first one tells the lesion's title.
    parent : QWidget, optional
    """

    lesion_chosen = Signal(str)
    """Its title."""

    def __init__(self, columns: Sequence[str], parent: QWidget | None = None) -> None:
        super().__init__(0, len(columns), parent)
        self.setHorizontalHeaderLabels(list(columns))
        header = QHeaderView(Qt.Orientation.Horizontal, self)
        self.setHorizontalHeader(header)
        header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        numbers = QHeaderView(Qt.Orientation.Vertical, self)
        numbers.hide()
        self.setVerticalHeader(numbers)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setTabKeyNavigation(False)  # Tab leaves the table instead of walking through its cells
        self.setAccessibleName("Lesions")
        self.setToolTip(
            "Each lesion: volume, diameters after RANO 2.0, their product, side, and whether it is measurable.\n"
            "Choose one to go to its slice; ✎ stands for lines drawn by hand."
        )
        self.itemSelectionChanged.connect(self._on_selection_changed)
        self.cellClicked.connect(lambda *_: self._on_selection_changed())
        self.show_rows([])

    @property
    def selected_title(self) -> str:
        """The title of the chosen lesion; empty where none is."""
        rows = {item.row() for item in self.selectedItems()}
        return self._text(rows.pop(), 0) if rows else ""

    def show_rows(self, rows: Sequence[Sequence[str]]) -> None:
        """Show these cells; the lesion that was chosen stays chosen."""
        selected = self.selected_title
        self.blockSignals(True)
        self.setRowCount(len(rows))
        for at, cells in enumerate(rows):
            for column, text in enumerate(cells):
                self.setItem(at, column, QTableWidgetItem(text))
            if cells[0] == selected:
                self.selectRow(at)
        self.blockSignals(False)
        self.resizeRowsToContents()
        self.setVisible(bool(rows))
        header = self.horizontalHeader()
        height = header.sizeHint().height() if header is not None else 0
        height += sum(self.rowHeight(at) for at in range(min(len(rows), _MOST_ROWS)))
        bar = self.horizontalScrollBar()
        self.setFixedHeight(height + (bar.sizeHint().height() if bar is not None else 0) + 2 * self.frameWidth() + 2)

    def choose_first(self) -> None:
        """Choose the first lesion, as a click on it does."""
        if self.rowCount():
            self.selectRow(0)

    def texts(self) -> list[list[str]]:
        """What is shown, row by row."""
        return [[self._text(at, column) for column in range(self.columnCount())] for at in range(self.rowCount())]

    def _text(self, row: int, column: int) -> str:
        item = self.item(row, column)
        return item.text() if item is not None else ""

    def _on_selection_changed(self) -> None:
        if self.selected_title:
            self.lesion_chosen.emit(self.selected_title)
