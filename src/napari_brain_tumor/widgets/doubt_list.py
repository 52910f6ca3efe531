"""The doubtful places of a result as a list: where, how large, why; one that is chosen comes into sight."""

import weakref
from collections.abc import Sequence
from typing import Any, Final

from napari.layers import Labels
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QAbstractItemView, QTableWidget, QTableWidgetItem

from napari_brain_tumor.geometry import Grid
from napari_brain_tumor.measure.doubt import DoubtfulPlace, place_in_words
from napari_brain_tumor.plugin.layers import KEY
from napari_brain_tumor.widgets import doubt
from napari_brain_tumor.widgets.stored_maps import stored_maps_of

__all__ = ["DoubtList", "doubt_rows"]

_COLUMNS: Final = ("Where", "Size", "Why")
_ROWS_IN_SIGHT: Final = 5


def doubt_rows(places: Sequence[DoubtfulPlace], grid: Grid) -> list[tuple[str, str, str]]:
    """Where each place lies, how large it is, and why it is doubtful."""
    return [(place_in_words(place.centre, grid), place.size, place.reason) for place in places]


class DoubtList(QTableWidget):
    """Lists the doubtful places of one result, the largest first.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
    """

    def __init__(self, viewer: Any) -> None:
        super().__init__(0, len(_COLUMNS))
        self._viewer = viewer
        self._layer: weakref.ref[Labels] | None = None  # a result that was removed must not be kept for a list of it
        self.setHorizontalHeaderLabels(list(_COLUMNS))
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setTabKeyNavigation(False)
        self.setAccessibleName("Doubtful places")
        self.setToolTip("Choose a place to bring it into sight in all planes, with a ring around it.")
        header, numbers = self.horizontalHeader(), self.verticalHeader()
        if header is not None and numbers is not None:
            header.setStretchLastSection(True)
            self.setFixedHeight(header.sizeHint().height() + _ROWS_IN_SIGHT * numbers.defaultSectionSize() + 4)
        self.itemSelectionChanged.connect(self._on_selected)
        doubt.doubt_steps.place_chosen.connect(self._on_place_chosen)

    def show_places_of(self, layer: Labels | None) -> None:
        """List the places of a result, or none."""
        stored = stored_maps_of(layer)
        self._layer = weakref.ref(layer) if stored is not None and layer is not None else None
        rows = doubt_rows(stored.places, layer.metadata[KEY].grid) if stored is not None and layer is not None else []
        self.blockSignals(True)
        self.clearSelection()
        self.setRowCount(len(rows))
        for at, texts in enumerate(rows):
            for column, text in enumerate(texts):
                item = QTableWidgetItem(text)
                item.setToolTip(text)
                if column == 1:
                    item.setTextAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
                self.setItem(at, column, item)
        self.resizeColumnsToContents()
        self.blockSignals(False)

    @property
    def layer(self) -> Labels | None:
        """Whose places are listed."""
        return None if self._layer is None else self._layer()

    def _on_selected(self) -> None:
        at, layer = self.currentRow(), self.layer
        if layer is not None and 0 <= at < self.rowCount():
            doubt.go_to_doubtful_place(self._viewer, layer, at)

    def _on_place_chosen(self, layer: Labels, at: int) -> None:
        if layer is not self.layer or at >= self.rowCount():
            return
        self.blockSignals(True)
        self.selectRow(at)
        self.blockSignals(False)
