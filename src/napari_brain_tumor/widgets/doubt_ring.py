"""A ring around the current doubtful place, drawn over the canvases and not as a layer."""

import weakref
from contextlib import suppress
from typing import Any, Final
from weakref import WeakKeyDictionary

from qtpy.QtCore import QEvent, QObject, Signal  # type: ignore[attr-defined,unused-ignore]
from qtpy.QtWidgets import QWidget

from napari_brain_tumor.plugin.viewers import camera_of
from napari_brain_tumor.widgets.canvas_marks import CanvasMarks
from napari_brain_tumor.widgets.napari_canvas import bare, canvas_view_of
from napari_brain_tumor.widgets.navigation import Camera, Marks, Ring, ring_in_plane


class _Rings(QObject):
    """A Qt object, so that its connections end with the panes that made them."""

    changed = Signal(object)
    """The viewer whose ring has changed."""


rings: Final = _Rings()
"""The instance of this session."""
_shown: Final[WeakKeyDictionary[Any, Ring]] = WeakKeyDictionary()
_overlays: Final[WeakKeyDictionary[Any, "_Overlay"]] = WeakKeyDictionary()


def ring_of(viewer: Any) -> Ring | None:
    return _shown.get(bare(viewer))


def show_ring(viewer: Any, ring: Ring | None) -> None:
    """Draw a ring over the canvases of a viewer instead of the previous one, or None to remove it.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
        A viewer without a window shows no ring.
    """
    model = bare(viewer)
    if ring is None:
        _shown.pop(model, None)
    else:
        _shown[model] = ring
        view = canvas_view_of(model)
        if view is not None and model not in _overlays:
            _overlays[model] = _Overlay(model, view.canvas.native)
    if model in _overlays:
        _overlays[model].repaint()
    rings.changed.emit(model)


def ring_marks(model: Any, ring: Ring | None, canvas: QWidget) -> Marks | None:
    """Return the marks for a ring over a canvas that shows a model in 2D; None if nothing is to be drawn."""
    dims = model.dims
    if ring is None or dims.ndisplay != 2 or dims.ndim < 3:
        return None
    camera = camera_of(model)
    vertical, horizontal = (str(direction.value) for direction in camera.orientation2d)
    centre = float(camera.center[-2]), float(camera.center[-1])
    view = Camera(centre, float(camera.zoom), (vertical, horizontal), (canvas.height(), canvas.width()))
    before = dims.ndim - 3
    axes = [axis - before for axis in dims.order[-3:]]
    if sorted(axes) != [0, 1, 2]:
        return None  # the view shows time, or another axis before the volume
    circle = ring_in_plane(ring, view, axes, float(dims.point[dims.order[-3]]))
    return None if circle is None else Marks("", circles=(circle,))


class _Overlay(QObject):
    """Draws the ring over napari's own canvas."""

    def __init__(self, model: Any, canvas: QWidget) -> None:
        super().__init__(canvas)
        # Not stored: a reference kept elsewhere would stop the viewer from being freed when napari closes it.
        self._model, self._canvas = weakref.ref(model), canvas
        self._marks = CanvasMarks(canvas, self._now)
        canvas.installEventFilter(self)
        camera = camera_of(model)
        for event in (
            *(camera.events.center, camera.events.zoom, camera.events.orientation),
            *(model.dims.events.point, model.dims.events.order, model.dims.events.ndisplay),
        ):
            event.connect(self.repaint)

    def _now(self) -> Marks | None:
        model = self._model()
        return None if model is None else ring_marks(model, _shown.get(model), self._canvas)

    def repaint(self, event: Any = None) -> None:
        """Repaint the ring."""
        with suppress(RuntimeError):  # the window has been destroyed
            self._marks.update()

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:
        """Keep the marks as large as the canvas."""
        if event is not None and event.type() == QEvent.Type.Resize:
            self._marks.resize(self._canvas.size())
        return False
