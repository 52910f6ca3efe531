"""The table of cases of a curated data set; to stay fast with a thousand cases, it reads only visible rows."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from qtpy.QtCore import QAbstractTableModel, QModelIndex, QSortFilterProxyModel, Qt, Signal  # type: ignore[attr-defined,unused-ignore]
from qtpy.QtWidgets import QAbstractItemView, QHeaderView, QTableView, QWidget

from napari_brain_tumor.labels import CLASS_NAMES, Region
from napari_brain_tumor.widgets.case_rows import STATE_NAMES, CaseRow

Value = str | float | None

_MEASURED_ROWS: Final = 50
"""Number of rows whose contents determine the column widths."""


@dataclass(frozen=True, slots=True)
class Column:
    """A table column: title, explanation, and its value and text for a row."""

    title: str
    tip: str
    value: Callable[[CaseRow], Value]
    digits: int = 0

    def text(self, row: CaseRow) -> str:
        """Return the displayed text; empty if the value is unknown."""
        value = self.value(row)
        if value is None:
            return ""
        return value if isinstance(value, str) else f"{value:.{self.digits}f}"

    def sort_key(self, row: CaseRow) -> tuple[float, str]:
        """Return a sort key: numbers by value with unknown ones first, text case-insensitively."""
        value = self.value(row)
        return (0.0, value.lower()) if isinstance(value, str) else (float("-inf") if value is None else value, "")


def _name(row: CaseRow) -> str:
    return f"✎ {row.id}" if row.has_draft else row.id


def _class_column(value: int, name: str) -> Column:
    return Column(f"{name} mL", f"Volume of class {value}, {name}.", lambda row: row.class_ml.get(value), 1)


def _dice_column(region: Region) -> Column:
    tip = f"Dice of the chosen model for {region}, against the label as it is now. Empty until it is computed."
    return Column(f"Dice {region}", tip, lambda row: row.dice.get(region), 3)


COLUMNS: Final = (
    Column("Case", "Id of the case; ✎ marks unsaved work.", _name),
    Column("State", "What was decided about the label.", lambda row: STATE_NAMES[row.state]),
    Column("WT mL", "Volume of the whole tumour among the known voxels.", lambda row: row.whole_ml, 1),
    _dice_column("WT"),
    Column(
        "Unsure",
        "Uncertainty of the selected model along the tumour's border: entropy in bits, 0 to 1.",
        lambda row: row.unsure,
        2,
    ),
    Column("Side", "The patient's side of the split, which never changes.", lambda row: row.split),
    Column("Patient", "The patient.", lambda row: row.patient),
    _dice_column("TC"),
    _dice_column("ET"),
    *(_class_column(value, name) for value, name in CLASS_NAMES.items()),
    Column("Truth", "Whether every voxel's truth is known.", lambda row: "complete" if row.complete else "partial"),
)


class CaseTable(QTableView):
    """Shows `CaseRow`s with a sort order that the user can change; a click requests that a case be opened."""

    open_requested = Signal(str)
    """ID of the case."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._cases = _Cases(self)
        self._sorted = _Sorted(self)
        self._sorted.setSourceModel(self._cases)
        self.setModel(self._sorted)
        self._build_headers()
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setTabKeyNavigation(False)  # Tab leaves the table instead of walking through its cells
        self.setWordWrap(False)
        self.setTextElideMode(Qt.TextElideMode.ElideMiddle)  # IDs from one source start alike
        self.setMinimumHeight(130)
        self.setAccessibleName("Cases")
        self.setToolTip("Cases of the data set. Click one to open it, a heading to sort.")
        self.clicked.connect(self._on_cell)
        self.activated.connect(self._on_cell)

    def _build_headers(self) -> None:
        header, numbers = QHeaderView(Qt.Orientation.Horizontal, self), QHeaderView(Qt.Orientation.Vertical, self)
        self.setHorizontalHeader(header)
        self.setVerticalHeader(numbers)
        numbers.hide()
        numbers.setDefaultSectionSize(numbers.minimumSectionSize() + 4)
        header.setResizeContentsPrecision(_MEASURED_ROWS)
        header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        header.setSectionResizeMode(0, QHeaderView.ResizeMode.Interactive)  # IDs may be long
        header.resizeSection(0, 112)
        header.setSectionsClickable(True)
        header.setSortIndicator(-1, Qt.SortOrder.AscendingOrder)  # unsorted, before sorting is enabled
        self.setSortingEnabled(True)

    def show_rows(self, rows: Sequence[CaseRow], current: str | None) -> None:
        """Show these rows and select the current case; keep the sort order."""
        self._cases.show_rows(rows)
        self.select(current)

    def select(self, case_id: str | None) -> None:
        self.clearSelection()
        at = self._cases.position_of(case_id)
        if at is not None:
            self.selectRow(self._sorted.mapFromSource(self._cases.index(at, 0)).row())

    @property
    def rows(self) -> list[CaseRow]:
        """The rows in the displayed order."""
        count = self._sorted.rowCount()
        return [self._cases.rows[self._sorted.mapToSource(self._sorted.index(at, 0)).row()] for at in range(count)]

    def texts(self) -> list[list[str]]:
        """The displayed text, row by row."""
        return [[column.text(row) for column in COLUMNS] for row in self.rows]

    def _on_cell(self, cell: QModelIndex) -> None:
        self.open_requested.emit(self._cases.rows[self._sorted.mapToSource(cell).row()].id)


class _Cases(QAbstractTableModel):
    """The rows in their original order."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.rows: Sequence[CaseRow] = ()
        self._positions: dict[str, int] = {}

    def show_rows(self, rows: Sequence[CaseRow]) -> None:
        """Replace the rows; if the cases are the same, the scroll position is kept."""
        positions = {row.id: at for at, row in enumerate(rows)}
        if rows and list(positions) == list(self._positions):
            self.rows = rows
            self.dataChanged.emit(self.index(0, 0), self.index(len(rows) - 1, len(COLUMNS) - 1))
            return
        self.beginResetModel()
        self.rows, self._positions = rows, positions
        self.endResetModel()

    def position_of(self, case_id: str | None) -> int | None:
        """Return the row of a case."""
        return None if case_id is None else self._positions.get(case_id)

    def rowCount(self, parent: QModelIndex | None = None) -> int:
        """Number of cases."""
        return 0 if parent is not None and parent.isValid() else len(self.rows)

    def columnCount(self, parent: QModelIndex | None = None) -> int:
        """Number of columns."""
        return 0 if parent is not None and parent.isValid() else len(COLUMNS)

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Column titles and explanations."""
        if orientation != Qt.Orientation.Horizontal:
            return None
        if role == Qt.ItemDataRole.DisplayRole:
            return COLUMNS[section].title
        return COLUMNS[section].tip if role == Qt.ItemDataRole.ToolTipRole else None

    def data(self, index: QModelIndex, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Content of a cell."""
        row, column = self.rows[index.row()], COLUMNS[index.column()]
        if role == Qt.ItemDataRole.DisplayRole:
            return column.text(row)
        if role == Qt.ItemDataRole.ToolTipRole:
            return f"{row.id}, {STATE_NAMES[row.state]}: {column.tip}"
        if role == Qt.ItemDataRole.TextAlignmentRole and not isinstance(column.value(row), str):
            return Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
        return None


class _Sorted(QSortFilterProxyModel):
    """The rows, sorted by the values of a column."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.setDynamicSortFilter(True)

    def lessThan(self, left: QModelIndex, right: QModelIndex) -> bool:
        """Return whether one value comes before another."""
        column, cases = COLUMNS[left.column()], self.sourceModel()
        assert isinstance(cases, _Cases)
        return column.sort_key(cases.rows[left.row()]) < column.sort_key(cases.rows[right.row()])
