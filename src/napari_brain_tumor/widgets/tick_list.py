"""A list with a tick box on each line."""

from collections.abc import Iterable
from typing import Any

from qtpy.QtCore import QSignalBlocker, Qt, Signal  # type: ignore[attr-defined,unused-ignore]
from qtpy.QtWidgets import QListWidget, QListWidgetItem

from napari_brain_tumor.widgets.parts import described


class TickList(QListWidget):
    """A list with a tick box on each line, and data attached to each.

    Parameters
    ----------
    tip, name : str
        Tooltip and accessible name.
    """

    ticks_changed = Signal()

    def __init__(self, tip: str, name: str) -> None:
        super().__init__()
        described(self, tip, name)
        self.itemChanged.connect(lambda _: self.ticks_changed.emit())

    def show_lines(self, lines: Iterable[tuple[str, Any, bool]]) -> None:
        """Show lines of (text, data, ticked) without emitting signals."""
        with QSignalBlocker(self):
            self.clear()
            for text, data, is_ticked in lines:
                item = QListWidgetItem(text)
                item.setData(Qt.ItemDataRole.UserRole, data)
                item.setFlags(item.flags() | Qt.ItemFlag.ItemIsUserCheckable)
                item.setCheckState(_state(is_ticked))
                self.addItem(item)

    def tick(self, wanted: Iterable[Any]) -> None:
        """Tick the lines that have these data, and untick all others."""
        ticked = list(wanted)
        for item in self._items:
            item.setCheckState(_state(item.data(Qt.ItemDataRole.UserRole) in ticked))

    @property
    def ticked(self) -> list[Any]:
        """Data of the ticked lines, in order."""
        checked = [item for item in self._items if item.checkState() == Qt.CheckState.Checked]
        return [item.data(Qt.ItemDataRole.UserRole) for item in checked]

    @property
    def _items(self) -> list[QListWidgetItem]:
        return [item for row in range(self.count()) if (item := self.item(row)) is not None]


def fit_lines(listed: QListWidget, least: int, most: int) -> None:
    """Fit the height of a list to its number of lines, between the two limits."""
    rows = min(max(least, listed.count()), most)
    listed.setFixedHeight(rows * max(18, listed.sizeHintForRow(0)) + 2 * listed.frameWidth() + 2)


def _state(is_ticked: bool) -> Qt.CheckState:
    return Qt.CheckState.Checked if is_ticked else Qt.CheckState.Unchecked
