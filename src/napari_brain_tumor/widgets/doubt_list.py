"""The doubtful places of a result as a list with position, size and reason; selecting one shows it."""

import weakref
from typing import Any, Final

from napari.layers import Labels

from napari_brain_tumor.io.table import Table
from napari_brain_tumor.measure.doubt import place_in_words
from napari_brain_tumor.plugin.layers import KEY
from napari_brain_tumor.widgets import doubt
from napari_brain_tumor.widgets.result_table import ResultTable
from napari_brain_tumor.widgets.stored_maps import stored_maps_of

_COLUMNS: Final = ("Where", "Size", "Why")


class DoubtList(ResultTable):
    """Lists the doubtful places of one result, the largest first.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
    """

    def __init__(self, viewer: Any) -> None:
        super().__init__("Doubtful places", "Choose a place to show it in all planes, with a ring around it.")
        self._viewer = viewer
        self._layer: weakref.ref[Labels] | None = None  # weak, so that a removed result can be freed
        self.row_chosen.connect(self._go_to)
        doubt.doubt_steps.place_chosen.connect(self._on_place_chosen)

    def show_places_of(self, layer: Labels | None) -> None:
        """List the places of a result, or none."""
        stored = stored_maps_of(layer)
        self._layer = weakref.ref(layer) if stored is not None and layer is not None else None
        rows = []
        if stored is not None and layer is not None:
            grid = layer.metadata[KEY].grid
            rows = [(place_in_words(place.centre, grid), place.size, place.reason) for place in stored.places]
        self.clearSelection()
        self.show_table(Table.of_cells(_COLUMNS, rows, right=frozenset({"Size"})))

    @property
    def layer(self) -> Labels | None:
        """The result whose places are listed."""
        return None if self._layer is None else self._layer()

    def _go_to(self, at: int) -> None:
        if self.layer is not None:
            doubt.go_to_doubtful_place(self._viewer, self.layer, at)

    def _on_place_chosen(self, layer: Labels, at: int) -> None:
        if layer is self.layer and at < len(self.names):
            self.select(at)
