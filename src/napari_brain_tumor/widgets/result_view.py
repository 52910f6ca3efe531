"""The labels that the Segment panel shows: the selected result, with its volumes updated after every edit."""

from typing import Any, Final

from napari.layers import Layer
from qtpy.QtCore import Signal  # type: ignore[attr-defined,unused-ignore]
from qtpy.QtWidgets import QWidget

from napari_brain_tumor.plugin import layers
from napari_brain_tumor.plugin.layers import LayerView
from napari_brain_tumor.widgets import result_files
from napari_brain_tumor.widgets import segment_state as state
from napari_brain_tumor.widgets.label_edits import edit_events
from napari_brain_tumor.widgets.layer_list_watch import single_shot
from napari_brain_tumor.widgets.parts import add_to, column_of, wrapped
from napari_brain_tumor.widgets.volume_table import VolumeView
from napari_brain_tumor.widgets.worker import JobRunner

_REFRESH_MS: Final = 300
_NONE_YET: Final = "Volumes: select a labels layer, or run a segmentation."


class ResultView(QWidget):
    """Follows the selection of results, and shows the volumes.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
    """

    changed = Signal(object)
    """Another layer is shown, or None."""

    def __init__(self, viewer: Any) -> None:
        super().__init__()
        self._viewer = viewer
        self.layer: Layer | None = None
        self._runner = JobRunner(self, finished=self._on_measured, failed=self._on_failed)
        column = column_of(self)
        self.label = wrapped("")
        self.volumes = VolumeView()
        add_to(column, self.label, self.volumes)
        self._timer = single_shot(self, self._measure)

    def follow_selection(self) -> None:
        """Show the selected result; keep the previous one if something else is selected."""
        active = self._viewer.layers.selection.active
        if state.is_result(active) and active is not self.layer:
            self.show_layer(active)
        elif self.layer is None:
            self._show_name()
        else:
            self.forget_if_removed()

    def forget_if_removed(self) -> None:
        """Show nothing if the layer is no longer in the viewer."""
        if self.layer is not None and self.layer not in self._viewer.layers:
            self.show_layer(None)

    def show_layer(self, layer: Layer | None) -> None:
        """Show this result, or None."""
        for event in edit_events(self.layer):
            event.disconnect(self._on_edited)
        self.layer = layer
        for event in edit_events(layer):
            event.connect(self._on_edited)
        self.volumes.show_table(None)
        self._show_name()
        self.changed.emit(layer)
        if layer is not None:
            self._timer.start(0)

    def views(self) -> tuple[LayerView, list[LayerView]]:
        """Return the labels, and the layers from whose position their scan is found."""
        assert self.layer is not None
        return layers.view(self.layer), layers.readable_views(self._viewer.layers)

    def _show_name(self) -> None:
        self.label.setText(f"Volumes of {self.layer.name}" if self.layer is not None else _NONE_YET)

    def _on_edited(self, event: Any = None) -> None:
        self._timer.start(_REFRESH_MS)

    def _measure(self) -> None:
        if self.layer is not None and self.layer in self._viewer.layers:
            labels_view, references = self.views()
            self._runner.call(result_files.measure_layer, labels_view, references)

    def _on_measured(self, table: Any) -> None:
        self._show_name()
        self.volumes.show_table(table)

    def _on_failed(self, error: Exception) -> None:
        self.volumes.show_table(None)
        self.label.setText(str(error))
