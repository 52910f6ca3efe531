"""The table of the cases of a curated data set."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from qtpy.QtCore import Qt, Signal  # type: ignore[attr-defined,unused-ignore]
from qtpy.QtWidgets import QAbstractItemView, QHeaderView, QTableWidget, QTableWidgetItem, QWidget

from napari_brain_tumor.labels import CLASS_NAMES, Region
from napari_brain_tumor.widgets.curate_state import STATE_NAMES, CaseRow

__all__ = ["COLUMNS", "CaseTable"]

Value = str | float | None


@dataclass(frozen=True, slots=True)
class Column:
    """One column: its title, what it means, and its value and text for a row."""

    title: str
    tip: str
    value: Callable[[CaseRow], Value]
    digits: int = 0

    def text(self, row: CaseRow) -> str:
        """As it is shown; empty where it is not known."""
        value = self.value(row)
        if value is None:
            return ""
        return value if isinstance(value, str) else f"{value:.{self.digits}f}"


def _name(row: CaseRow) -> str:
    return f"✎ {row.id}" if row.has_draft else row.id


def _class_column(value: int, name: str) -> Column:
    return Column(f"{name} mL", f"Volume of the class {value} {name}.", lambda row: row.class_ml.get(value), 1)


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
    Column("Truth", "Whether every voxel's truth is known.", lambda row: "whole" if row.complete else "in part"),
)


class CaseTable(QTableWidget):
    """Shows `CaseRow`s, sorted as the user likes; a click asks to open a case."""

    open_requested = Signal(str)
    """Id of the case."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(0, len(COLUMNS), parent)
        self._rows: dict[str, CaseRow] = {}
        self._header = QHeaderView(Qt.Orientation.Horizontal, self)
        self.setHorizontalHeader(self._header)
        numbers = QHeaderView(Qt.Orientation.Vertical, self)
        numbers.hide()
        self.setVerticalHeader(numbers)
        self._build_header()
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setTabKeyNavigation(False)  # Tab leaves the table instead of walking through its cells
        self.setWordWrap(False)
        self.setTextElideMode(Qt.TextElideMode.ElideMiddle)  # ids of one source begin alike
        self.setMinimumHeight(130)
        self.setAccessibleName("Cases")
        self.setToolTip("Cases of the data set. Click one to open it, a heading to sort.")
        self.cellClicked.connect(self._on_cell)
        self.cellActivated.connect(self._on_cell)

    def _build_header(self) -> None:
        for at, column in enumerate(COLUMNS):
            item = QTableWidgetItem(column.title)
            item.setToolTip(column.tip)
            self.setHorizontalHeaderItem(at, item)
        self._header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        self._header.setSectionResizeMode(0, QHeaderView.ResizeMode.Interactive)  # ids may be long
        self._header.resizeSection(0, 112)
        self._header.setSectionsClickable(True)
        self._header.setSortIndicatorShown(True)
        self._header.setSortIndicator(-1, Qt.SortOrder.AscendingOrder)

    def show_rows(self, rows: Sequence[CaseRow], current: str | None) -> None:
        """Show these rows, the current case selected, sorted as before."""
        self._rows = {row.id: row for row in rows}
        self.setSortingEnabled(False)  # else cells would move while they are filled
        self.setRowCount(len(rows))
        for at, row in enumerate(rows):
            for position, column in enumerate(COLUMNS):
                self.setItem(at, position, _Item(column, row))
        self.setSortingEnabled(True)
        self.select(current)

    def select(self, case_id: str | None) -> None:
        """Select the row of a case, or none."""
        self.clearSelection()
        for at in range(self.rowCount()):
            if case_id is not None and self._id(at) == case_id:
                self.selectRow(at)

    @property
    def rows(self) -> list[CaseRow]:
        """The rows in the order in which they are shown."""
        return [self._rows[self._id(at)] for at in range(self.rowCount())]

    def texts(self) -> list[list[str]]:
        """What is shown, row by row."""
        return [[column.text(row) for column in COLUMNS] for row in self.rows]

    def _id(self, at: int) -> str:
        item = self.item(at, 0)
        return str(item.data(Qt.ItemDataRole.UserRole)) if item is not None else ""

    def _on_cell(self, at: int, column: int) -> None:
        self.open_requested.emit(self._id(at))


class _Item(QTableWidgetItem):
    """A cell that sorts numbers as numbers, those that are not known first."""

    def __init__(self, column: Column, row: CaseRow) -> None:
        super().__init__(column.text(row))
        self._value = column.value(row)
        self.setData(Qt.ItemDataRole.UserRole, row.id)
        self.setToolTip(f"{row.id}, {STATE_NAMES[row.state]}: {column.tip}")
        if not isinstance(self._value, str):
            self.setTextAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)

    def __lt__(self, other: QTableWidgetItem) -> bool:
        if not isinstance(other, _Item):
            return super().__lt__(other)
        own_value, other_value = self._value, other._value
        if isinstance(own_value, str) and isinstance(other_value, str):
            return own_value.lower() < other_value.lower()
        return _number(own_value) < _number(other_value)


def _number(value: Value) -> float:
    return value if isinstance(value, float) else float("-inf")
