"""The tables of the Visits panel: the list of visits, and their sizes over time."""

from collections.abc import Sequence

from qtpy.QtCore import QSignalBlocker, Qt, Signal  # type: ignore[attr-defined,unused-ignore]
from qtpy.QtWidgets import QAbstractItemView, QHeaderView, QTableWidget, QTableWidgetItem

from napari_brain_tumor.widgets.visit_entries import Entry

_MOST_ROWS = 6
_TIPS = (
    "Ticked visits are compared. Double-click to rename.",
    "Date of the examination: year-month-day. Double-click to edit. Empty: not known; the order of the list then "
    "counts.",
    "Tick the visit to compare with: the first after radiotherapy, or the last before a new treatment.",
    "Whether the visit is registered on the baseline. Select it and press Register.",
)


class VisitList(QTableWidget):
    """Shows the entries; the user's changes are requested through signals, with the row as first argument."""

    used_changed = Signal(int, bool)
    renamed = Signal(int, str)
    date_told = Signal(int, str)
    baseline_chosen = Signal(int, bool)

    def __init__(self) -> None:
        super().__init__(0, 4)
        self.setHorizontalHeaderLabels(["Visit", "Date", "Base", "Registered"])
        header = self.horizontalHeader()
        assert header is not None
        header.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        for column in (1, 2, 3):
            header.setSectionResizeMode(column, QHeaderView.ResizeMode.ResizeToContents)
        numbers = self.verticalHeader()
        assert numbers is not None
        numbers.hide()
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setTabKeyNavigation(False)
        self.setAccessibleName("Visits")
        self.setToolTip("The examinations of the patient, the earliest first.")
        self.itemChanged.connect(self._on_item_changed)
        self.show_entries(())

    def show_entries(self, entries: Sequence[Entry]) -> None:
        """Show these entries; keep the selected row."""
        current = self.currentRow()
        with QSignalBlocker(self):
            self.setRowCount(len(entries))
            for row, entry in enumerate(entries):
                cells = (entry.name, entry.date_text, "", entry.place_text)
                for column, text in enumerate(cells):
                    self.setItem(row, column, _cell(text, column, entry))
            if entries:
                self.setCurrentCell(min(max(current, 0), len(entries) - 1), 0)
        rows = min(max(len(entries), 1), _MOST_ROWS)
        header = self.horizontalHeader()
        height = self.rowHeight(0) if entries else self.fontMetrics().height() + 8
        self.setFixedHeight((header.sizeHint().height() if header else 24) + rows * height + 4)

    def _on_item_changed(self, item: QTableWidgetItem) -> None:
        row, checked = item.row(), item.checkState() == Qt.CheckState.Checked
        if item.column() == 0:
            self.renamed.emit(row, item.text().strip())
            self.used_changed.emit(row, checked)
        elif item.column() == 1:
            self.date_told.emit(row, item.text())
        elif item.column() == 2:
            self.baseline_chosen.emit(row, checked)


def _cell(text: str, column: int, entry: Entry) -> QTableWidgetItem:
    item = QTableWidgetItem(text)
    flags = Qt.ItemFlag.ItemIsEnabled | Qt.ItemFlag.ItemIsSelectable
    if column in (0, 1):
        flags |= Qt.ItemFlag.ItemIsEditable
    if column in (0, 2):
        flags |= Qt.ItemFlag.ItemIsUserCheckable
        on = entry.used if column == 0 else entry.facts.baseline
        item.setCheckState(Qt.CheckState.Checked if on else Qt.CheckState.Unchecked)
    item.setFlags(flags)
    origin = f"\nDate from {entry.date.told_by}." if column == 1 and entry.date is not None else ""
    item.setToolTip((f"{entry.name}\n" if column == 0 else "") + _TIPS[column] + origin)
    return item
