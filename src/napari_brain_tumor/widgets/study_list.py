"""The list of the studies that are open, of which several can be segmented in a row."""

from collections.abc import Sequence

from qtpy.QtCore import Qt, Signal  # type: ignore[attr-defined,unused-ignore]
from qtpy.QtWidgets import QListWidget, QListWidgetItem, QWidget

from napari_brain_tumor.widgets.parts import add_to, column_of, wrapped
from napari_brain_tumor.widgets.study_queue import OpenStudy

_MOST_ROWS = 5


class StudyList(QWidget):
    """Studies with a box to tick each; not to be seen while there are fewer than two."""

    changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self._studies: list[OpenStudy] = []
        column = column_of(self)
        self.list = QListWidget()
        self.list.setToolTip(
            "Tick studies to segment them one after the other, with the same model and settings, each into a layer of\n"
            "its own. One that is refused does not stop the others. Space ticks the selected one."
        )
        self.list.setAccessibleName("Studies to segment in a row")
        self.list.itemChanged.connect(lambda _: self.changed.emit())
        add_to(column, wrapped("Several in a row (without any tick: the scans above)"), self.list)
        self.hide()

    @property
    def ticked(self) -> list[OpenStudy]:
        """The studies that are wanted, in order."""
        return [study for row, study in enumerate(self._studies) if self._is_ticked(row)]

    def _is_ticked(self, row: int) -> bool:
        item = self.list.item(row)
        return item is not None and item.checkState() == Qt.CheckState.Checked

    def show_studies(self, studies: Sequence[OpenStudy]) -> None:
        """Offer these studies; those that were ticked stay so."""
        ticked = {id(layer) for study in self.ticked for layer in study.sequences.values()}
        had_ticks = bool(ticked)
        self.list.blockSignals(True)
        self.list.clear()
        self._studies = list(studies)
        for study in studies:
            item = QListWidgetItem(f"{study.name} ({', '.join(study.sequences)})")
            item.setFlags(item.flags() | Qt.ItemFlag.ItemIsUserCheckable)
            stays = any(id(layer) in ticked for layer in study.sequences.values())
            item.setCheckState(Qt.CheckState.Checked if stays else Qt.CheckState.Unchecked)
            self.list.addItem(item)
        self.list.blockSignals(False)
        rows = min(len(studies), _MOST_ROWS)
        self.list.setFixedHeight(rows * max(18, self.list.sizeHintForRow(0)) + 2 * self.list.frameWidth() + 2)
        self.setVisible(len(studies) > 1)
        if len(studies) < 2:
            self._studies = []
            self.list.clear()
        if had_ticks:
            self.changed.emit()
