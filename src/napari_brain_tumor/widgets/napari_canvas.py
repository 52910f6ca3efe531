"""Find napari's own canvas in its window, take it out and put it back.

All assumptions about napari's window are in this module: the view of a viewer is a `QtViewer` somewhere below a main
window, in a layout, and `canvas.native` is the widget that it paints on. None of napari's private names are used.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from napari.qt import QtViewer
from qtpy.QtWidgets import QApplication, QBoxLayout, QMainWindow, QWidget

from napari_brain_tumor.plugin.viewers import camera_of


def bare(viewer: Any) -> Any:
    """Return the viewer itself; napari passes a proxy to plugins' commands, which lives only as long as the call."""
    return getattr(viewer, "__wrapped__", viewer)


def canvas_view_of(viewer: Any) -> QtViewer | None:
    """Return the view that shows a viewer in napari's window; None for a viewer without a window."""
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
        """Put the view back in its place, instead of that widget."""
        self._layout.removeWidget(widget)
        widget.hide()
        self._layout.insertWidget(self._at, view)
        view.show()


@dataclass(frozen=True, slots=True, eq=False)
class CanvasState:
    """How a viewer displayed its layers: everything that has to be set to restore the same view."""

    order: tuple[int, ...]
    ndisplay: int
    extent: Any
    orientation: tuple[Any, ...]
    camera: Mapping[str, Any]

    @classmethod
    def of(cls, viewer: Any) -> "CanvasState":
        """Return the current state."""
        camera = camera_of(viewer)
        return cls(
            tuple(viewer.dims.order),
            int(viewer.dims.ndisplay),
            viewer.layers.extent.world,
            tuple(camera.orientation),
            {name: getattr(camera, name) for name in ("center", "zoom", "angles", "perspective")},
        )

    def put_back(self, viewer: Any) -> None:
        """Restore this view; if the extent of the layers has changed since, show all of them."""
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
