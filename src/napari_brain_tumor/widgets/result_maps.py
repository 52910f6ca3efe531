"""Use the probabilities behind a result: other thresholds, maps and the doubtful places."""

from collections.abc import Sequence
from typing import Any

from napari.layers import Layer
from qtpy.QtCore import Signal  # type: ignore[attr-defined,unused-ignore]
from qtpy.QtWidgets import QVBoxLayout, QWidget

from napari_brain_tumor.errors import BrainTumorError
from napari_brain_tumor.plugin import layers
from napari_brain_tumor.plugin.layers import LayerData
from napari_brain_tumor.widgets import doubt
from napari_brain_tumor.widgets import segment_state as state
from napari_brain_tumor.widgets.doubt_list import DoubtList
from napari_brain_tumor.widgets.doubt_ring import show_ring
from napari_brain_tumor.widgets.key_buttons import key_button
from napari_brain_tumor.widgets.more_settings import MoreSettings
from napari_brain_tumor.widgets.parts import Fold, add_to, flow, wrapped
from napari_brain_tumor.widgets.results import applied_text, put_into
from napari_brain_tumor.widgets.stored_maps import map_layers, relabel, stored_maps_of
from napari_brain_tumor.widgets.view_actions import bind_keys, key_text
from napari_brain_tumor.widgets.worker import JobRunner, notify, notify_error


class ResultMaps(QWidget):
    """The doubtful places of the current result, and the settings in `MoreSettings` that use its probabilities.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
    """

    message = Signal(str)
    """A message for the status line."""

    def __init__(self, viewer: Any, more: MoreSettings) -> None:
        super().__init__()
        self._viewer, self._more = viewer, more
        self._layer: Layer | None = None
        self._relabelled: Layer | None = None
        self.relabel_runner = JobRunner(self, finished=self._on_relabelled, failed=notify_error)
        self.runner = JobRunner(self, finished=self._on_maps_made, failed=notify_error)
        self._build()
        bind_keys(viewer, doubt.KEYS)
        doubt.doubt_steps.gone.connect(self.show_doubt)
        more.thresholds_applied.connect(self._on_thresholds_applied)
        more.maps_changed.connect(self.show_maps)

    def _build(self) -> None:
        column, row = QVBoxLayout(self), flow()
        column.setContentsMargins(0, 0, 0, 0)
        self.doubt_buttons = [
            key_button(self._viewer, doubt.KEYS[0], doubt.KEYS[0].name),
            key_button(self._viewer, doubt.KEYS[1], "Previous"),
        ]
        row.addWidget(self.doubt_buttons[0])
        tip = "Every doubtful place: where, how large, why."
        self.doubt_fold = Fold("All doubtful places", tip, "List of doubtful places")
        self.doubt_list = DoubtList(self._viewer)
        self.doubt_fold.column.addWidget(self.doubt_list)
        self.doubt_fold.column.addWidget(self.doubt_buttons[1])
        self.doubt_label = wrapped("", "What is doubtful here")
        self.doubt_label.hide()
        add_to(column, row, self.doubt_fold, self.doubt_label)

    def show_result(self, layer: Layer | None) -> None:
        """Offer what can be done with the probabilities of a result, if they are kept."""
        self._layer = layer
        stored = stored_maps_of(layer)
        self._more.apply_button.setEnabled(stored is not None)
        for doubt_button in self.doubt_buttons:
            doubt_button.setEnabled(stored is not None)
        self.doubt_fold.setEnabled(stored is not None and bool(stored.places))
        self.doubt_list.show_places_of(layer)
        next_text = f"{len(stored.places)} doubtful places" if stored is not None else doubt.KEYS[0].name
        self.doubt_buttons[0].setText(f"{next_text} ({key_text(doubt.KEYS[0].key)})")
        if stored is None:
            self.doubt_label.hide()
            show_ring(self._viewer, None)

    def show_doubt(self, text: str) -> None:
        """Show why the current place is doubtful."""
        self.doubt_label.setText(text)
        self.doubt_label.show()

    def _on_thresholds_applied(self) -> None:
        layer, stored = self._layer, stored_maps_of(self._layer)
        if layer is None or stored is None:
            notify("Run a trained model first, or select the layer of its result: its probabilities are needed.")
            return
        thresholds = {region: self._more.threshold_boxes[region].value() for region in stored.maps.regions}
        tag = layer.metadata[layers.KEY]
        self._relabelled = layer
        self.relabel_runner.call(relabel, tag, stored, thresholds)

    def _on_relabelled(self, data: LayerData) -> None:
        layer = self._relabelled
        if layer is None or layer not in self._viewer.layers:
            return
        try:
            self.message.emit(applied_text(layer, put_into(self._viewer, layer, data)))
        except BrainTumorError as error:
            notify_error(error)
        self.show_result(self._layer)

    def show_maps(self) -> None:
        """Show the ticked maps of the current result, and remove the others."""
        layer, stored = self._layer, stored_maps_of(self._layer)
        kinds = self._more.maps
        for other in list(self._viewer.layers):
            if other.metadata.get(layers.MAP_KEY) not in (None, *kinds):
                self._viewer.layers.remove(other)
        if layer is None or stored is None or not kinds:
            return
        name = layer.name
        self.runner.call(lambda: [entry for w in kinds for entry in map_layers(name, stored, w)])

    def _on_maps_made(self, map_data: Sequence[LayerData]) -> None:
        active = self._viewer.layers.selection.active
        for data in map_data:
            name = data[1]["name"]
            if name in self._viewer.layers:
                self._viewer.layers.remove(name)  # from an earlier state of the same result
            # Below the labels, whose colours would be hidden under it.
            self._viewer.layers.insert(self._below(active), layers.layer_of(data))
        if active in self._viewer.layers:
            self._viewer.layers.selection = {active}

    def _below(self, layer: Layer | None) -> int:
        reference = layer if state.is_result(layer) and layer in self._viewer.layers else self._layer
        return self._viewer.layers.index(reference) if reference in self._viewer.layers else len(self._viewer.layers)
