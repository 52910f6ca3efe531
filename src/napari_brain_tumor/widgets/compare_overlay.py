"""The layers of the Compare panel that show where labels agree."""

from typing import Any
from weakref import WeakSet

from napari.layers import Layer
from qtpy.QtCore import QObject, Signal  # type: ignore[attr-defined,unused-ignore]

from napari_brain_tumor.labels import Region
from napari_brain_tumor.plugin import layers, to_layers
from napari_brain_tumor.plugin.layers import CODES_KEY
from napari_brain_tumor.widgets import compare_state as state
from napari_brain_tumor.widgets.worker import JobRunner


class AgreementLayers(QObject):
    """An agreement layer for a pair, and a count layer for all raters; at most one of them is visible.

    The compared labels are hidden meanwhile, because their colours would mix.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
    """

    legend_changed = Signal(str)
    """The legend of the visible colours as HTML; empty if no such layer is shown any more."""
    failed = Signal(object)
    """Why a layer could not be made."""

    def __init__(self, viewer: Any, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self.compared: tuple[Layer, ...] = ()
        """The compared layers, which are hidden while the agreement is shown."""
        self._codes: dict[str, state.Codes] = {}
        self._covered: WeakSet[Layer] = WeakSet()
        self.pair: tuple[str, str] | None = None
        """The pair that was shown last; None for all."""
        self.runner = JobRunner(self, finished=self._on_made, failed=self.failed)

    @property
    def in_sight(self) -> bool:
        """Whether one of these layers is visible."""
        return any(layer.visible and CODES_KEY in layer.metadata for layer in self._viewer.layers)

    def show(self, comparison: state.Comparison, region: Region, pair: tuple[str, str] | None) -> None:
        """Show for a region where a pair differs or, without a pair, how many raters mark each voxel."""
        self.pair = pair
        kind = "count" if pair is None else "pair"
        overlay, codes = self._layer_of(kind), self._codes.get(kind)
        if overlay is not None and codes is not None and codes.shows(comparison, region, pair):
            self.show_alone(overlay)
        else:
            self.runner.call(state.codes_of, comparison, region, pair)

    def _layer_of(self, kind: str) -> Layer | None:
        return next((layer for layer in self._viewer.layers if layer.metadata.get(CODES_KEY) == kind), None)

    def _on_made(self, codes: state.Codes) -> None:
        kind = codes.layer[1]["metadata"][CODES_KEY]
        layer = self._layer_of(kind)
        if layer is None or not to_layers.put_codes(layer, codes.layer):
            active = self._viewer.layers.selection.active
            if layer is not None:
                self._viewer.layers.remove(layer)
            layer = self._viewer.add_layer(layers.layer_of(codes.layer))
            self._viewer.layers.selection.active = active if active in self._viewer.layers else None
        self._codes[kind] = codes
        self.show_alone(layer)

    def show_alone(self, layer: Layer | None) -> None:
        """Show one of the layers and hide what would mix with its colours; None shows none of them."""
        for other in self._viewer.layers:
            if other is not layer and (CODES_KEY in other.metadata or other in self.compared):
                if other.visible and other in self.compared:
                    self._covered.add(other)
                other.visible = False
        if layer is not None:
            layer.visible = True
        self.legend_changed.emit(state.legend_html(layer) if layer is not None else "")

    def remove(self) -> None:
        """Remove the layers from the viewer, and show again what they had covered."""
        self.runner.cancel()
        for layer in [layer for layer in self._viewer.layers if CODES_KEY in layer.metadata]:
            self._viewer.layers.remove(layer)
        self._codes.clear()
        self.legend_changed.emit("")
        for layer in self._covered:
            layer.visible = True
        self._covered.clear()
