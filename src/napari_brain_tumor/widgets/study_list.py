"""The list of open studies, several of which can be segmented in a row."""

from collections.abc import Sequence

from qtpy.QtCore import Signal  # type: ignore[attr-defined,unused-ignore]
from qtpy.QtWidgets import QWidget

from napari_brain_tumor.widgets.parts import add_to, column_of, wrapped
from napari_brain_tumor.widgets.study_queue import OpenStudy
from napari_brain_tumor.widgets.tick_list import TickList, fit_lines

_MOST_ROWS = 5


class StudyList(QWidget):
    """Open studies with tick boxes; hidden while there are fewer than two."""

    changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        column = column_of(self)
        self.list = TickList(
            "Tick studies to segment them one after the other, with the same model and settings, each into a layer of\n"
            "its own. One that is refused does not stop the others. Space ticks the selected one.",
            "Studies to segment in a row",
        )
        self.list.ticks_changed.connect(self.changed)
        add_to(column, wrapped("Several studies in a row (none ticked: the scans above)"), self.list)
        self.hide()

    @property
    def ticked(self) -> list[OpenStudy]:
        """The ticked studies, in order."""
        return self.list.ticked

    def show_studies(self, studies: Sequence[OpenStudy]) -> None:
        """Offer these studies; ticked ones stay ticked."""
        ticked = {id(layer) for study in self.ticked for layer in study.sequences.values()}
        had_ticks, several = bool(ticked), len(studies) > 1
        self.list.show_lines(
            (
                f"{study.name} ({', '.join(study.sequences)})",
                study,
                bool(ticked & set(map(id, study.sequences.values()))),
            )
            for study in (studies if several else ())
        )
        fit_lines(self.list, 0, _MOST_ROWS)
        self.setVisible(several)
        if had_ticks:
            self.changed.emit()
