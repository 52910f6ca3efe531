"""Show one Shapes layer in several viewers: what is drawn in any of them becomes a shape of that layer."""

from collections.abc import Sequence
from typing import Any

from napari.layers import Shapes
from qtpy.QtCore import QObject

from napari_brain_tumor.widgets.layer_list_watch import single_shot
from napari_brain_tumor.widgets.links import is_finished


class LinkedShapes(QObject):
    """Keeps copies of a Shapes layer in step, and adds what is drawn in one of them to the original."""

    def __init__(self, layer: Shapes, copies: Sequence[Shapes], parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._layer, self._copies = layer, list(copies)
        self._writing = False
        self._drawn: list[Shapes] = []
        # Not immediately: napari is still in the middle of changing the layer.
        self._timer = single_shot(self, self._match)
        self._layer.events.data.connect(self._on_data)
        self._listeners = [(copy, self._listener(copy)) for copy in self._copies]
        for copy, listener in self._listeners:
            copy.events.data.connect(listener)
        self._match()

    def stop(self) -> None:
        """Disconnect from the layers."""
        self._timer.stop()
        self._layer.events.data.disconnect(self._on_data)
        for copy, listener in self._listeners:
            copy.events.data.disconnect(listener)
        self._listeners.clear()
        self.deleteLater()

    def _on_data(self, event: Any) -> None:
        if is_finished(event):
            self._timer.start(0)

    def _listener(self, copy: Shapes) -> Any:
        def on_drawn(event: Any) -> None:
            if not self._writing and is_finished(event):
                self._drawn.append(copy)
                self._timer.start(0)

        return on_drawn

    def _match(self) -> None:
        drawn, self._drawn = self._drawn, []
        for copy in drawn:
            for at in range(len(self._layer.data), len(copy.data)):
                self._layer.add(
                    [copy.data[at]],
                    shape_type=[copy.shape_type[at]],
                    edge_width=[copy.edge_width[at]],
                    edge_color=copy.edge_color[at : at + 1],
                    face_color=copy.face_color[at : at + 1],
                )
        self._writing = True
        for copy in self._copies:
            if not getattr(copy, "_is_creating", False):  # otherwise once the user has finished drawing
                _show(self._layer, copy)
        self._writing = False


def _show(layer: Shapes, copy: Shapes) -> None:
    copy.selected_data = set()
    if not len(layer.data) and not len(copy.data):
        return
    copy.data = []
    if len(layer.data):
        copy.add(
            list(layer.data),
            shape_type=list(layer.shape_type),
            edge_width=list(layer.edge_width),
            edge_color=layer.edge_color,
            face_color=layer.face_color,
        )
