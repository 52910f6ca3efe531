"""Show a model's labels over the label of a case, or beside it."""

from collections.abc import Sequence
from typing import Any

from napari.layers import Image, Layer

from napari_brain_tumor.plugin import layers


def grid_of(viewer: Any) -> Any:
    """Return the grid of a viewer's canvas; from napari 0.9 on, `viewer.grid` is deprecated in favour of the canvas."""
    return viewer.canvas.grid if hasattr(viewer, "canvas") else viewer.grid


class PredictionView:
    """The layers that show a model's prediction for the case under review.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
    """

    def __init__(self, viewer: Any) -> None:
        self._viewer = viewer
        self._copy: Layer | None = None
        self.layer: Layer | None = None

    @property
    def all_layers(self) -> list[Layer]:
        """The prediction and the copy of a scan below it, if they exist."""
        return [layer for layer in (self.layer, self._copy) if layer is not None]

    @property
    def visible(self) -> bool:
        """Whether the prediction is visible."""
        return self.layer is not None and bool(self.layer.visible)

    def release(self) -> list[Layer]:
        """Forget the layers; return them, as they are still in the viewer."""
        grid_of(self._viewer).enabled = False
        previous = self.all_layers
        self.layer = self._copy = None
        return previous

    def show(self, data: layers.LayerData | None) -> None:
        """Show a prediction instead of the previous one, with the same visibility; None shows nothing."""
        visible = True
        if self.layer is not None and self.layer in self._viewer.layers:
            visible = self.layer.visible
            self._viewer.layers.remove(self.layer)
        self.layer = None
        if data is None:
            return
        active = self._viewer.layers.selection.active
        self.layer = self._viewer.add_layer(layers.layer_of(data))
        self.layer.visible = visible
        self.layer.editable = False
        if active is not None:
            self._viewer.layers.selection = {active}

    def toggle(self) -> bool:
        """Show or hide the prediction; return False if there is none."""
        if self.layer is None or self.layer not in self._viewer.layers:
            return False
        self.layer.visible = not self.layer.visible
        return True

    def arrange(self, case_layers: Sequence[Layer], *, side_by_side: bool) -> None:
        """Arrange one view, or two: the scans with the label, and a copy of the current scan with the prediction."""
        grid = grid_of(self._viewer)
        was_on = grid.enabled
        grid.enabled = False  # first, because the views are taken down while all their layers exist
        self._remove_copy()
        if self.layer is None or self.layer not in self._viewer.layers:
            return
        self.layer.contour = 0 if side_by_side else 1
        self.layer.opacity = 0.6 if side_by_side else 1.0
        scan = _visible_scan(case_layers)
        if side_by_side and scan is not None:
            self._add_copy(scan, self.layer)
            grid.enabled = True
        if side_by_side or was_on:
            self._viewer.reset_view()

    def _add_copy(self, scan: Layer, prediction: Layer) -> None:
        active = self._viewer.layers.selection.active
        data, attributes, kind = scan.as_layer_data_tuple()
        copy = layers.layer_of((data, {**attributes, "name": f"{scan.name} with prediction", "metadata": {}}, kind))
        self._viewer.layers.insert(self._viewer.layers.index(prediction), copy)
        self._viewer.layers.move(self._viewer.layers.index(copy), len(self._viewer.layers))
        self._viewer.layers.move(self._viewer.layers.index(prediction), len(self._viewer.layers))
        self._copy = copy
        grid = grid_of(self._viewer)
        grid.stride, grid.shape = len(self._viewer.layers) - 2, (1, 2)
        if active is not None:
            self._viewer.layers.selection = {active}

    def _remove_copy(self) -> None:
        if self._copy is not None and self._copy in self._viewer.layers:
            self._viewer.layers.remove(self._copy)
        self._copy = None


def _visible_scan(case_layers: Sequence[Layer]) -> Layer | None:
    """Return the topmost visible scan."""
    scans = [layer for layer in case_layers if isinstance(layer, Image) and layer.visible]
    return scans[-1] if scans else None
