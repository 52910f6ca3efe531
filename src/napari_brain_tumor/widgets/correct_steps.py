"""The part of the Correct panel for work between slices, and the list of steps."""

import re
from collections.abc import Sequence
from typing import Any

from qtpy.QtCore import QSignalBlocker, Qt, Signal  # type: ignore[attr-defined,unused-ignore]
from qtpy.QtWidgets import QHBoxLayout, QLayout, QListWidget, QListWidgetItem, QWidget

from napari_brain_tumor.labels import Region
from napari_brain_tumor.measure.volumes import REGION_NAMES
from napari_brain_tumor.widgets.correct_entries import PLANE_NAMES, Entry, slices_in_words
from napari_brain_tumor.widgets.parts import add_to, button, column_of, described, enable, flow, text_field, wrapped
from napari_brain_tumor.widgets.tick_list import fit_lines

_MOST_ROWS = 7


class SliceSteps(QWidget):
    """Fill between outlined slices, and propagate the current one."""

    fill_requested = Signal(object)
    """A list of slices of the current view."""
    carry_requested = Signal(int)
    """Direction: 1 towards higher slices, -1 towards lower ones."""
    stop_requested = Signal()

    def __init__(self) -> None:
        super().__init__()
        column = column_of(self, spacing=4)
        self.label = wrapped("")
        row = QHBoxLayout()
        self.slices_edit = text_field(
            "none yet",
            "Slices of this view on which you outlined the region; change the numbers to use others.\n"
            "Slices with only strokes, points, lassos or boxes are not listed.",
            "Outlined slices",
        )
        self.fill_button = button(
            "&Fill between",
            "Fill the region on the slices between from its outlines on the slices in the line. What you drew or\n"
            "painted on slices between stays as it is. Undone in one step.",
        )
        row.addWidget(self.slices_edit, 1)
        row.addWidget(self.fill_button)
        add_to(column, self.label, row)
        column.addLayout(self._build_carry())
        self.slices_edit.returnPressed.connect(self._on_fill)
        self.fill_button.clicked.connect(self._on_fill)

    def _build_carry(self) -> QLayout:
        row = flow()
        tip = (
            "Propagate the labels of this slice to the {} ones, slice by slice, until you press Stop or Escape or "
            "nothing is left. Undone in one step."
        )
        self.down_button = button("Propagate ▼", tip.format("lower"))
        self.down_button.setAccessibleName("Propagate to lower slices")
        self.up_button = button("Propagate ▲", tip.format("higher"))
        self.up_button.setAccessibleName("Propagate to higher slices")
        self.stop_button = button("S&top", "Stop here and keep what was propagated so far.\nKey: Escape")
        self.stop_button.setEnabled(False)
        for step_button in (self.down_button, self.up_button, self.stop_button):
            step_button.setFocusPolicy(Qt.FocusPolicy.TabFocus)
            row.addWidget(step_button)
        self.down_button.clicked.connect(lambda _: self.carry_requested.emit(-1))
        self.up_button.clicked.connect(lambda _: self.carry_requested.emit(1))
        self.stop_button.clicked.connect(lambda _: self.stop_requested.emit())
        return row

    def show_slices(
        self,
        axis: int,
        slices: Sequence[int],
        *,
        region: Region | None = None,
        carrying: bool = False,
        obstacle: str = "",
    ) -> None:
        """Show which slices of the current view were outlined, unless the user has typed others.

        Parameters
        ----------
        axis : int
            Axis of the layer across which the view is sliced.
        region : {"WT", "TC", "ET"}, optional
            Region that the outlines enclose.
        carrying : bool
            Whether a slice is being propagated.
        obstacle : str
            Why nothing can be filled or propagated; empty if it can.
        """
        what = f" of the {REGION_NAMES[region]}" if region is not None else ""
        self.label.setText(obstacle or f"Outlined {PLANE_NAMES[axis]} slices{what}")
        if not self.slices_edit.isModified():
            self.slices_edit.setText(slices_in_words(slices))
        self.slices_edit.setEnabled(not obstacle)
        enable(not obstacle and not carrying, self.fill_button, self.down_button, self.up_button)
        self.stop_button.setEnabled(carrying)

    def _on_fill(self) -> None:
        if self.fill_button.isEnabled():
            self.slices_edit.setModified(False)
            self.fill_requested.emit([int(number) for number in re.findall(r"\d+", self.slices_edit.text())])


class StepList(QWidget):
    """The steps of the correction, in order."""

    chosen = Signal(object)
    """The `Entry` to show."""
    removal_requested = Signal(object)
    """The `Entry` to remove."""

    def __init__(self) -> None:
        super().__init__()
        self._entries: list[Entry] = []
        column = column_of(self, spacing=4)
        self.label = wrapped("Nothing has been done yet.")
        tip = "What was done, in order; steps still being computed are greyed. Click one to go there."
        self.list = described(QListWidget(), tip, "What was done")
        self.remove_button = button(
            "&Remove from list",
            "Replay everything from the beginning without the selected step. Undone in one step.",
        )
        self.remove_button.setEnabled(False)
        add_to(column, self.label, self.list, self.remove_button)
        for clicked in (self.list.itemClicked, self.list.itemActivated):
            clicked.connect(lambda _: self._hand_on(self.chosen))
        self.list.currentRowChanged.connect(self._on_row)
        self.remove_button.clicked.connect(lambda: self._hand_on(self.removal_requested))
        self.show_entries((), ())

    def show_entries(self, applied: Sequence[Entry], pending: Sequence[Entry]) -> None:
        """Show the applied and pending entries; keep the selection while its entry exists."""
        selected = self._selected()
        self._entries = [*applied, *pending]
        with QSignalBlocker(self.list):
            self.list.clear()
            for number, entry in enumerate(self._entries, 1):
                item = QListWidgetItem(f"{number}  {entry_text(entry)}")
                if number > len(applied):
                    item.setForeground(self.palette().brush(self.palette().ColorRole.PlaceholderText))
                self.list.addItem(item)
            if selected in self._entries:
                self.list.setCurrentRow(self._entries.index(selected))
            else:
                self.list.scrollToBottom()
        self.label.setVisible(not self._entries)
        self.list.setVisible(bool(self._entries))
        self.remove_button.setVisible(bool(self._entries))
        fit_lines(self.list, 2, _MOST_ROWS)
        self._on_row(self.list.currentRow())

    def texts(self) -> list[str]:
        """The displayed text, line by line."""
        return [item.text() for row in range(self.list.count()) if (item := self.list.item(row)) is not None]

    def _selected(self) -> Entry | None:
        row = self.list.currentRow()
        return self._entries[row] if 0 <= row < len(self._entries) else None

    def _on_row(self, row: int) -> None:
        self.remove_button.setEnabled(0 <= row < len(self._entries))

    def _hand_on(self, signal: Any) -> None:
        entry = self._selected()
        if entry is not None:
            signal.emit(entry)


def entry_text(entry: Entry) -> str:
    """Describe an entry and its place: `stroke · edema · axial 62`."""
    if entry.extent is None:
        return entry.text
    on = [(PLANE_NAMES[axis], entry.extent.slice_along(axis)) for axis in range(3)]
    flat = [f"{name} {index}" for name, index in on if index is not None]
    return f"{entry.text} · {flat[0]}" if flat else entry.text
