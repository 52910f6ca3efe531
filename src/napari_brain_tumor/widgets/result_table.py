"""A result table in the window: a model for its rows, and a view that is as high as they are."""

from typing import Any, Final

from qtpy.QtCore import QAbstractTableModel, QModelIndex, Qt, Signal  # type: ignore[attr-defined,unused-ignore]
from qtpy.QtWidgets import QAbstractItemView, QHeaderView, QTableView, QWidget

from napari_brain_tumor.io.table import Table

_MOST_ROWS: Final = 9
_NARROWEST: Final = 70
_WIDEST_NAME: Final = 130


class _Rows(QAbstractTableModel):
    """The cells of a `Table` as displayed text, repeated in tooltips; numbers are right-aligned."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.table = Table((), ())

    def replace(self, table: Table) -> None:
        self.beginResetModel()
        self.table = table
        self.endResetModel()

    def rowCount(self, parent: QModelIndex | None = None) -> int:
        """Number of rows."""
        return 0 if parent is not None and parent.isValid() else len(self.table.rows)

    def columnCount(self, parent: QModelIndex | None = None) -> int:
        """Number of columns."""
        return 0 if parent is not None and parent.isValid() else len(self.table.columns)

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Column titles with units."""
        is_title = orientation == Qt.Orientation.Horizontal and role == Qt.ItemDataRole.DisplayRole
        return self.table.titles[section] if is_title else None

    def data(self, index: QModelIndex, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """A cell's text or alignment."""
        column = self.table.columns[index.column()]
        if role in (Qt.ItemDataRole.DisplayRole, Qt.ItemDataRole.ToolTipRole):
            return self.table.printed(self.table.rows[index.row()], column)
        if role == Qt.ItemDataRole.TextAlignmentRole and self.table.is_number(column):
            return Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
        return None


class ResultTable(QTableView):
    """Shows a `Table`: as high as its rows up to a limit, beyond which it scrolls; hidden while it is empty.

    Parameters
    ----------
    name, tip : str
        Accessible name and tooltip.
    """

    row_chosen = Signal(int)
    """A row that was clicked, or selected with the keyboard."""

    def __init__(self, name: str, tip: str) -> None:
        super().__init__()
        self._rows = _Rows(self)
        self.setModel(self._rows)
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
        selection = self.selectionModel()
        assert selection is not None
        selection.selectionChanged.connect(lambda *_: self._choose())
        self.clicked.connect(lambda _: self._choose())
        self.activated.connect(lambda _: self._choose())
        self.hide()

    def show_table(self, table: Table) -> None:
        """Show this table; keep the selection if there is still a row with the same name."""
        selected = self.selected_name
        self._rows.replace(table)
        names = self.names
        if selected in names:
            self.select(names.index(selected))
        self._fit()
        self.setVisible(bool(table.rows))

    def texts(self) -> list[list[str]]:
        """The displayed text, row by row."""
        table = self._rows.table
        return [[table.printed(row, column) for column in table.columns] for row in table.rows]

    @property
    def names(self) -> list[str]:
        """Texts in the first column."""
        return [row[0] for row in self.texts()]

    @property
    def selected_row(self) -> int:
        """The selected row; -1 if none is selected."""
        selection = self.selectionModel()
        rows = selection.selectedRows() if selection is not None else []
        return int(rows[0].row()) if rows else -1

    @property
    def selected_name(self) -> str:
        """Text in the first column of the selected row; empty if none is selected."""
        return self.names[self.selected_row] if self.selected_row >= 0 else ""

    def select(self, row: int) -> None:
        """Select a row without emitting a signal."""
        self.blockSignals(True)
        self.selectRow(row)
        self.blockSignals(False)
        self.scrollTo(self._rows.index(row, 0))

    def _choose(self) -> None:
        if self.selected_row >= 0:
            self.row_chosen.emit(self.selected_row)

    def _fit(self) -> None:
        self.resizeColumnsToContents()
        self._header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        self._header.setMinimumSectionSize(30)
        if self._rows.columnCount():
            self._header.setSectionResizeMode(0, QHeaderView.ResizeMode.Interactive)
            self.setColumnWidth(0, min(max(_NARROWEST, self.sizeHintForColumn(0) + 12), _WIDEST_NAME))
        self._header.setStretchLastSection(True)
        self.resizeRowsToContents()
        rows = min(self._rows.rowCount(), _MOST_ROWS)
        height = self._header.sizeHint().height() + sum(self.rowHeight(at) for at in range(rows))
        bar = self.horizontalScrollBar()
        self.setFixedHeight(height + 2 * self.frameWidth() + 2 + (bar.sizeHint().height() if bar is not None else 0))
