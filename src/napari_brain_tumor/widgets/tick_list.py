"""A list whose lines can be ticked."""

from collections.abc import Iterable
from typing import Any

from qtpy.QtCore import QSignalBlocker, Qt, Signal  # type: ignore[attr-defined,unused-ignore]
from qtpy.QtWidgets import QListWidget, QListWidgetItem

from napari_brain_tumor.widgets.parts import described


class TickList(QListWidget):
    """Lines to tick, each with what it stands for.

    Parameters
    ----------
    tip, name : str
        On hover, and for screen readers.
    """

    ticks_changed = Signal()

    def __init__(self, tip: str, name: str) -> None:
        super().__init__()
        described(self, tip, name)
        self.itemChanged.connect(lambda _: self.ticks_changed.emit())

    def show_lines(self, lines: Iterable[tuple[str, Any, bool]]) -> None:
        """Show these texts, each with what it stands for and whether it is ticked; silently."""
        with QSignalBlocker(self):
            self.clear()
            for text, data, is_ticked in lines:
                item = QListWidgetItem(text)
                item.setData(Qt.ItemDataRole.UserRole, data)
                item.setFlags(item.flags() | Qt.ItemFlag.ItemIsUserCheckable)
                item.setCheckState(_state(is_ticked))
                self.addItem(item)

    def tick(self, wanted: Iterable[Any]) -> None:
        """Tick the lines that stand for these, and no others."""
        ticked = list(wanted)
        for item in self._items:
            item.setCheckState(_state(item.data(Qt.ItemDataRole.UserRole) in ticked))

    @property
    def ticked(self) -> list[Any]:
        """What the ticked lines stand for, in order."""
        checked = [item for item in self._items if item.checkState() == Qt.CheckState.Checked]
        return [item.data(Qt.ItemDataRole.UserRole) for item in checked]

    @property
    def _items(self) -> list[QListWidgetItem]:
        return [item for row in range(self.count()) if (item := self.item(row)) is not None]


def fit_lines(listed: QListWidget, least: int, most: int) -> None:
    """Make a list as high as its lines, within so many of them."""
    rows = min(max(least, listed.count()), most)
    listed.setFixedHeight(rows * max(18, listed.sizeHintForRow(0)) + 2 * listed.frameWidth() + 2)


def _state(is_ticked: bool) -> Qt.CheckState:
    return Qt.CheckState.Checked if is_ticked else Qt.CheckState.Unchecked
