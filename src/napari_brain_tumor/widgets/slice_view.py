"""One plane of a volume in a canvas of its own, with crosshair and the letters of the sides."""

from collections.abc import Callable, Iterator
from typing import Any, Final

import numpy as np
from napari.components import ViewerModel
from napari.qt import QtViewer
from qtpy.QtCore import QEvent, QObject, QPointF, QRectF, Qt, QTimer, Signal  # type: ignore[attr-defined,unused-ignore]
from qtpy.QtGui import QColor, QKeyEvent, QPainter, QPaintEvent, QPen
from qtpy.QtWidgets import QVBoxLayout, QWidget

from napari_brain_tumor.plugin.layers import camera_of
from napari_brain_tumor.widgets.navigation import Camera, Convention, Plane

__all__ = ["SliceView", "click"]

_STILL_PIXELS: Final = 3
"""A press that moves no farther is a click."""
_MARGIN: Final = 4
_GAP: Final = 7
"""Pixels around the crosshair's middle that stay free, so that the place itself is seen."""
_CROSSHAIR: Final = QColor(0, 230, 118, 190)
_LETTER: Final = QColor(255, 236, 130)
_OUTLINE: Final = QColor(0, 0, 0, 220)
_STEPS: Final = {Qt.Key.Key_Left: -1, Qt.Key.Key_Right: 1}
_TUMOUR_STEPS: Final = {Qt.Key.Key_Comma: -1, Qt.Key.Key_Period: 1}


class SliceView(QWidget):
    """Shows one plane. It has no layers of its own: `LinkedLayers` puts them into `model`.

    Parameters
    ----------
    plane : Plane
    convention : {"radiological", "neurological"}
    parent : QWidget, optional
    """

    place_chosen = Signal(object)
    """A world point (as the viewer's `dims.point`) that was clicked, or moved to with Shift held."""
    slice_chosen = Signal()
    """The slider, or a key, chose another slice."""
    tumour_step = Signal(int)
    """A key asked for the next slice with tumour, forwards (1) or back (-1), in this plane."""

    def __init__(self, plane: Plane, convention: Convention = "radiological", parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.plane = plane
        self.model = ViewerModel(title=plane.name)
        self._canvas_view: QtViewer | None = QtViewer(self.model)
        self._canvas: QWidget | None = self._canvas_view.canvas.native
        self._overlay = _Overlay(self, self._canvas)
        self._convention = convention
        self._anatomical = False
        self._fitted_zoom = 0.0
        self._following = False
        self._fit_timer = QTimer(self)
        self._fit_timer.setSingleShot(True)
        self._fit_timer.timeout.connect(self.fit)
        self._build()
        self._connect()

    def _build(self) -> None:
        assert self._canvas_view is not None
        assert self._canvas is not None
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._canvas_view)
        self.setMinimumSize(120, 100)
        self.setAccessibleName(f"{self.plane.name} view")
        self._canvas_view.setAcceptDrops(False)  # a file dropped here would be opened in this view alone
        for watched in (self._canvas, self._canvas_view):
            watched.installEventFilter(self)
        self._turn()

    def _connect(self) -> None:
        self.model.mouse_drag_callbacks.append(self._on_press)
        self.model.mouse_move_callbacks.append(self._on_move)
        self.model.dims.events.point.connect(self._on_point)
        camera = camera_of(self.model)
        for event in (camera.events.center, camera.events.zoom, camera.events.orientation):
            event.connect(self._repaint)

    # What is shown --------------------------------------------------------------------------------------------------

    @property
    def convention(self) -> Convention:
        """Which side of the patient is on the left of the screen."""
        return self._convention

    @convention.setter
    def convention(self, convention: Convention) -> None:
        self._convention = convention
        self._turn()

    def _turn(self) -> None:
        camera_of(self.model).orientation2d = self.plane.orientation(self._convention)
        self._repaint()

    @property
    def anatomical(self) -> bool:
        """Whether the axes are known to be a patient's, so that the sides have letters."""
        return self._anatomical

    @anatomical.setter
    def anatomical(self, known: bool) -> None:
        self._anatomical = known
        self._repaint()

    @property
    def canvas(self) -> QWidget | None:
        """The widget that is painted on; None after `dispose`."""
        return self._canvas

    def follow(self, point: tuple[float, ...]) -> None:
        """Show the slice through a world point, the crosshair on it; pan if it would be out of sight."""
        if len(point) != self.model.dims.ndim or not self.model.layers:
            return
        self._following = True
        self.model.dims.order = self.plane.order(len(point))
        if tuple(self.model.dims.point) != tuple(point):
            self.model.dims.point = point
        self._following = False
        row, column = self._crosshair()
        if not self.camera().sees(row, column):
            camera_of(self.model).center = (row, column)
        self._repaint()

    def fit(self) -> None:
        """Zoom so that the whole slice is seen."""
        if self._canvas is None:
            return
        self.model.reset_view()
        self._fitted_zoom = camera_of(self.model).zoom

    def camera(self) -> Camera:
        """How the canvas shows the plane now."""
        camera = camera_of(self.model)
        vertical, horizontal = (str(direction.value) for direction in camera.orientation2d)
        height, width = (self._canvas.height(), self._canvas.width()) if self._canvas is not None else (1, 1)
        centre = float(camera.center[-2]), float(camera.center[-1])
        return Camera(centre, float(camera.zoom), (vertical, horizontal), (height, width))

    def _crosshair(self) -> tuple[float, float]:
        row, column = (float(self.model.dims.point[axis]) for axis in self.model.dims.order[-2:])
        return row, column

    def _repaint(self, event: Any = None) -> None:
        if self._canvas is not None:
            self._overlay.update()

    # What the user does ---------------------------------------------------------------------------------------------

    def _on_point(self, event: Any = None) -> None:
        if not self._following and self.model.layers:
            self.slice_chosen.emit()
        self._repaint()

    def _on_press(self, model: Any, event: Any) -> Iterator[None]:
        yield from click(model, event, self.place_chosen.emit)

    def _on_move(self, model: Any, event: Any) -> None:
        if "Shift" in event.modifiers and model.layers:
            self.place_chosen.emit(tuple(event.position))

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:
        """Keep the overlay as large as the canvas, and hand keys on to napari's window."""
        if event is None or self._canvas is None:
            return False
        if event.type() == QEvent.Type.Resize and watched is self._canvas:
            self._on_resized()
        elif event.type() in (QEvent.Type.KeyPress, QEvent.Type.KeyRelease):
            return self._on_key(event)  # type: ignore[arg-type,unused-ignore]
        return False

    def _on_resized(self) -> None:
        if self._canvas is None:
            return
        self._overlay.resize(self._canvas.size())
        if camera_of(self.model).zoom == self._fitted_zoom:
            self._fit_timer.start()  # not before napari knows the new size

    def _on_key(self, event: QKeyEvent) -> bool:
        # Ignored, it goes up to the dock and from there to napari's canvas: all keys mean there what they mean
        # everywhere, and undo, modes and labels are those of the layer itself.
        event.ignore()
        if event.modifiers() != Qt.KeyboardModifier.NoModifier or not self.model.layers:
            return True
        key = Qt.Key(event.key())
        if key not in _STEPS and key not in _TUMOUR_STEPS:
            return True
        event.accept()
        if event.type() == QEvent.Type.KeyPress:
            self._step(_STEPS[key]) if key in _STEPS else self.tumour_step.emit(_TUMOUR_STEPS[key])
        return True

    def _step(self, step: int) -> None:
        axis = self.model.dims.order[-3]
        self.model.dims.set_current_step(axis, self.model.dims.current_step[axis] + step)

    # The end --------------------------------------------------------------------------------------------------------

    def dispose(self) -> None:
        """Give the canvas back; the view shows nothing afterwards and should be deleted."""
        if self._canvas_view is None or self._canvas is None:
            return
        for watched in (self._canvas, self._canvas_view):
            watched.removeEventFilter(self)
        self._fit_timer.stop()
        self.model.mouse_drag_callbacks.clear()
        self.model.mouse_move_callbacks.clear()
        if self.model.layers:
            self.model.layers.clear()
        view, self._canvas_view, self._canvas = self._canvas_view, None, None
        view.close()  # stops a playing slider, frees what the canvas holds, and deletes itself


def click(model: Any, event: Any, choose: Callable[[Any], None]) -> Iterator[None]:
    """Tell where the left button was clicked without moving, while the mouse has nothing else to do than to pan."""
    active = model.layers.selection.active
    panning = active is None or str(active.mode) == "pan_zoom"
    if event.button != 1 or event.modifiers or not panning:
        return
    start, still = np.asarray(event.pos), True
    yield
    while event.type == "mouse_move":
        still = still and float(np.abs(np.asarray(event.pos) - start).max()) <= _STILL_PIXELS
        yield
    if still:
        choose(tuple(event.position))


class _Overlay(QWidget):
    """Crosshair and letters over a canvas; the mouse does not notice it."""

    def __init__(self, view: SliceView, canvas: QWidget) -> None:
        super().__init__(canvas)
        self._view = view
        self.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self.setAttribute(Qt.WidgetAttribute.WA_NoSystemBackground)
        self.setStyleSheet("background: transparent")
        self.resize(canvas.size())

    def paintEvent(self, event: QPaintEvent | None) -> None:
        """Draw them."""
        if not self._view.model.layers or self._view.canvas is None:
            return
        painter = QPainter(self)
        self._draw_crosshair(painter)
        self._draw_words(painter)
        painter.end()

    def _draw_crosshair(self, painter: QPainter) -> None:
        x, y = self._view.camera().pixel(*self._view._crosshair())
        painter.setPen(QPen(_CROSSHAIR, 1))
        for start, end in (
            ((0.0, y), (x - _GAP, y)),
            ((x + _GAP, y), (float(self.width()), y)),
            ((x, 0.0), (x, y - _GAP)),
            ((x, y + _GAP), (x, float(self.height()))),
        ):
            painter.drawLine(QPointF(*start), QPointF(*end))

    def _draw_words(self, painter: QPainter) -> None:
        box = QRectF(self.rect()).adjusted(_MARGIN, _MARGIN, -_MARGIN, -_MARGIN)
        centred, middle = Qt.AlignmentFlag.AlignHCenter, Qt.AlignmentFlag.AlignVCenter
        left, right = Qt.AlignmentFlag.AlignLeft, Qt.AlignmentFlag.AlignRight
        top, bottom = Qt.AlignmentFlag.AlignTop, Qt.AlignmentFlag.AlignBottom
        write = _writer(painter, box)
        write(left | top, self._view.plane.name)
        if self._view.anatomical:
            letters = self._view.plane.letters(self._view.convention)
            write(left | middle, letters.left)
            write(right | middle, letters.right)
            write(centred | top, letters.top)
            write(centred | bottom, letters.bottom)


def _writer(painter: QPainter, box: QRectF) -> Callable[[Any, str], None]:
    def write(where: Any, text: str) -> None:
        # Outlined, to be readable on dark and on bright tissue and on a white canvas.
        painter.setPen(_OUTLINE)
        for x, y in ((-1.0, 0.0), (1.0, 0.0), (0.0, -1.0), (0.0, 1.0), (1.0, 1.0)):
            painter.drawText(box.translated(x, y), where.value, text)
        painter.setPen(_LETTER)
        painter.drawText(box, where.value, text)

    return write
