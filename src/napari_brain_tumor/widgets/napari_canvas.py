"""Where napari's own canvas stands in its window, and how it is taken out and put back.

All that is known here of how napari builds its window: the view of a viewer is a `QtViewer` somewhere below a main
window, in a layout, and `canvas.native` is the widget that it paints on. Nothing that napari calls private is used.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from napari.qt import QtViewer
from qtpy.QtWidgets import QApplication, QBoxLayout, QMainWindow, QWidget

from napari_brain_tumor.plugin.viewers import camera_of


def bare(viewer: Any) -> Any:
    """The viewer itself; napari hands plugins' commands a proxy that lives as long as the call."""
    return getattr(viewer, "__wrapped__", viewer)


def canvas_view_of(viewer: Any) -> QtViewer | None:
    """The view that shows a viewer in napari's window; None of one without a window."""
    model = bare(viewer)
    for window in QApplication.topLevelWidgets():
        if isinstance(window, QMainWindow):
            view = next((view for view in window.findChildren(QtViewer) if view.viewer is model), None)
            if view is not None:
                return view
    return None


class CanvasPlace:
    """The place of napari's view in its window."""

    def __init__(self, view: QtViewer) -> None:
        parent = view.parentWidget()
        layout = parent.layout() if parent is not None else None
        if not isinstance(layout, QBoxLayout):
            msg = "This version of napari builds its window in a way that is not known here: its canvas has no layout."
            raise RuntimeError(msg)
        self._layout = layout
        self._at = layout.indexOf(view)

    def give_to(self, widget: QWidget) -> None:
        """Put another widget in the view's place; the view must have been moved elsewhere in the same window."""
        self._layout.insertWidget(self._at, widget)

    def take_back(self, view: QtViewer, widget: QWidget) -> None:
        """Put the view in its place again, instead of that widget."""
        self._layout.removeWidget(widget)
        widget.hide()
        self._layout.insertWidget(self._at, view)
        view.show()


@dataclass(frozen=True, slots=True, eq=False)
class CanvasState:
    """How a viewer showed its layers: what has to be set for it to look the same again."""

    order: tuple[int, ...]
    ndisplay: int
    extent: Any
    orientation: tuple[Any, ...]
    camera: Mapping[str, Any]

    @classmethod
    def of(cls, viewer: Any) -> "CanvasState":
        """The state now."""
        camera = camera_of(viewer)
        return cls(
            tuple(viewer.dims.order),
            int(viewer.dims.ndisplay),
            viewer.layers.extent.world,
            tuple(camera.orientation),
            {name: getattr(camera, name) for name in ("center", "zoom", "angles", "perspective")},
        )

    def put_back(self, viewer: Any) -> None:
        """Show the layers so again; of layers that lie elsewhere meanwhile, all of them."""
        camera, dims = camera_of(viewer), viewer.dims
        dims.order = self.order if len(self.order) == dims.ndim else tuple(range(dims.ndim))
        dims.ndisplay = self.ndisplay
        camera.orientation = self.orientation
        extent = viewer.layers.extent.world
        if extent.shape != self.extent.shape or not (extent == self.extent).all():
            viewer.reset_view()
            return
        for name, value in self.camera.items():
            setattr(camera, name, value)
