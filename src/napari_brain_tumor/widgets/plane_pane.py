"""One plane of a volume in a canvas, with the crosshair and orientation letters."""

from collections.abc import Callable, Iterator
from typing import Any, Final

import numpy as np
from napari.qt import QtViewer
from qtpy.QtCore import QEvent, QObject, Qt, Signal  # type: ignore[attr-defined,unused-ignore]
from qtpy.QtGui import QKeyEvent
from qtpy.QtWidgets import QSizePolicy, QToolButton, QWidget

from napari_brain_tumor.plugin.viewers import camera_of
from napari_brain_tumor.widgets.canvas_marks import CanvasMarks
from napari_brain_tumor.widgets.layer_list_watch import single_shot
from napari_brain_tumor.widgets.navigation import (
    Camera,
    Circle,
    Convention,
    Marks,
    Plane,
    Ring,
    WorldBox,
    lines_in_plane,
    ring_in_plane,
)
from napari_brain_tumor.widgets.parts import column_of, described

_STILL_PIXELS: Final = 3
"""Maximum movement of a press that counts as a click."""
_BUTTON_MARGIN: Final = 4
_STEPS: Final = {Qt.Key.Key_Left: -1, Qt.Key.Key_Right: 1}
_TUMOUR_STEPS: Final = {Qt.Key.Key_Comma: -1, Qt.Key.Key_Period: 1}


class Pane(QWidget):
    """A napari view with marks over its canvas, and a button that enlarges it.

    Parameters
    ----------
    canvas_view : QtViewer
        Shows `model`, and is moved into the pane.
    """

    enlarge_requested = Signal()

    def __init__(self, name: str, canvas_view: QtViewer) -> None:
        super().__init__(canvas_view.parentWidget())  # a canvas that changes windows loses its content
        self.name = name
        self.model: Any = canvas_view.viewer
        self._canvas_view: QtViewer | None = canvas_view
        self._canvas: QWidget | None = canvas_view.canvas.native
        self._box: WorldBox | None = None
        self._fitted_zoom = 0.0
        self._fit_timer = single_shot(self, self.fit)
        self.column = column_of(self, spacing=0)
        self.column.addWidget(canvas_view)
        # Ignore the size hints of its contents: all panes have the same size.
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Ignored)
        self.setMinimumSize(100, 100)
        self.setAccessibleName(f"{name} view")
        assert self._canvas is not None
        self._marks = CanvasMarks(self._canvas, self.marks)
        self._button = self._make_button(self._canvas)
        for watched in (self._canvas, canvas_view):
            watched.installEventFilter(self)
        camera = camera_of(self.model)
        for event in (camera.events.center, camera.events.zoom, camera.events.orientation, camera.events.angles):
            event.connect(self.repaint_marks)

    def _make_button(self, canvas: QWidget) -> QToolButton:
        tip = f"Show the {self.name} view alone, or all four again."
        button = described(QToolButton(canvas), tip, f"Enlarge the {self.name} view")
        button.setText("□")
        button.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        button.setCursor(Qt.CursorShape.ArrowCursor)
        button.setAutoRaise(True)
        button.clicked.connect(self.enlarge_requested)
        button.show()
        return button

    @property
    def canvas(self) -> QWidget | None:
        """The widget that is painted on; None after `dispose`."""
        return self._canvas

    @property
    def canvas_size(self) -> tuple[int, int]:
        """Height and width of the canvas, in pixels."""
        return (self._canvas.height(), self._canvas.width()) if self._canvas is not None else (1, 1)

    def marks(self) -> Marks | None:
        """Return what is drawn over the canvas now."""
        raise NotImplementedError

    def turn(self, convention: Convention) -> None:
        """Show the patient's right on the side given by the convention."""
        raise NotImplementedError

    def follow(self, point: tuple[float, ...]) -> None:
        """Show the crosshair at a world point."""
        raise NotImplementedError

    def repaint_marks(self, event: Any = None) -> None:
        """Repaint the marks."""
        if self._canvas is not None:
            self._marks.update()

    def fit_to(self, box: WorldBox | None) -> None:
        """Fit a world box into the canvas, now and whenever its size changes, until the user zooms."""
        self._box = box
        self.fit()

    def fit(self) -> None:
        """Zoom so that the brain fills the canvas."""
        if self._canvas is None or not self._can_fit():
            return
        if self._box is None:
            self.model.reset_view()
        else:
            self._look_at(self._box)
        self._fitted_zoom = camera_of(self.model).zoom

    def _can_fit(self) -> bool:
        return True

    def _look_at(self, box: WorldBox) -> None:
        raise NotImplementedError

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:
        """Keep the marks as large as the canvas."""
        if event is not None and event.type() == QEvent.Type.Resize and watched is self._canvas:
            self._on_resized()
        return False

    def _on_resized(self) -> None:
        if self._canvas is None:
            return
        self._marks.resize(self._canvas.size())
        self._marks.raise_()
        self._button.adjustSize()
        self._button.move(self._canvas.width() - self._button.width() - _BUTTON_MARGIN, _BUTTON_MARGIN)
        self._button.raise_()
        if camera_of(self.model).zoom == self._fitted_zoom:
            self._fit_timer.start()  # not before napari has registered the new size

    def let_go(self) -> QtViewer | None:
        """Detach everything from the view and its model; return the view, or None if that was done before."""
        view, canvas = self._canvas_view, self._canvas
        if view is None or canvas is None:
            return None
        self._fit_timer.stop()
        for watched in (canvas, view):
            watched.removeEventFilter(self)
        camera = camera_of(self.model)
        for event in (camera.events.center, camera.events.zoom, camera.events.orientation, camera.events.angles):
            event.disconnect(self.repaint_marks)
        self._canvas_view = self._canvas = None
        for part in (self._marks, self._button):
            part.hide()
            part.setParent(None)  # type: ignore[call-overload,unused-ignore]
            part.deleteLater()
        return view

    def dispose(self) -> QtViewer | None:
        """Empty our own view and return it; the pane shows nothing afterwards and should be deleted."""
        if self._canvas_view is not None and self.model.layers:
            self.model.layers.clear()
        return self.let_go()


class PlanePane(Pane):
    """Shows one plane in a given view: napari's own, or that of a `SlicePane`."""

    place_chosen = Signal(object)
    """World point (as in the viewer's `dims.point`) that was clicked, or moved to while holding Shift."""

    def __init__(self, plane: Plane, canvas_view: QtViewer) -> None:
        super().__init__(plane.name, canvas_view)
        self.plane = plane
        self._anatomical = False
        self._point: tuple[float, ...] = ()
        self.ring: Ring | None = None
        """The place marked in this plane, unless something else draws it."""
        self.model.mouse_drag_callbacks.append(self._on_press)
        self.model.mouse_move_callbacks.append(self._on_move)

    def turn(self, convention: Convention) -> None:
        """Show the patient's right on the side given by the convention."""
        camera_of(self.model).orientation2d = self.plane.orientation(convention)

    @property
    def anatomical(self) -> bool:
        """Whether the axes are known to be anatomical, so that the sides have letters."""
        return self._anatomical

    @anatomical.setter
    def anatomical(self, known: bool) -> None:
        self._anatomical = known
        self.repaint_marks()

    def follow(self, point: tuple[float, ...]) -> None:
        """Show the slice through a world point with the crosshair on it; pan if it would be out of view."""
        dims = self.model.dims
        if len(point) != dims.ndim or not self.model.layers or dims.ndisplay != 2:
            return
        if tuple(dims.order) != self.plane.order(dims.ndim):
            dims.order = self.plane.order(dims.ndim)
        self._point = point
        # Only the axes that choose the slice: napari reloads a slice even if the point moves within it.
        cut = dims.order[:-2]
        if any(dims.point[axis] != point[axis] for axis in cut):
            dims.set_point(cut, [point[axis] for axis in cut])
        row, column = self._crosshair()
        if not self.camera().sees(row, column):
            camera_of(self.model).center = (row, column)
        self.repaint_marks()

    def camera(self) -> Camera:
        """Return how the canvas currently shows the plane."""
        camera = camera_of(self.model)
        vertical, horizontal = (str(direction.value) for direction in camera.orientation2d)
        centre = float(camera.center[-2]), float(camera.center[-1])
        return Camera(centre, float(camera.zoom), (vertical, horizontal), self.canvas_size)

    def marks(self) -> Marks | None:
        """Return the crosshair, letters and name of the plane; nothing without layers."""
        dims = self.model.dims
        if not self.model.layers or self.canvas is None or dims.ndim < 3 or len(self._point) != dims.ndim:
            return None
        if dims.ndisplay != 2 or tuple(dims.order) != self.plane.order(dims.ndim):
            return Marks("")  # the user has rotated napari's own canvas
        camera = self.camera()
        letters = self.plane.letters(camera.orientation) if self._anatomical else None
        lines = lines_in_plane(camera, *self._crosshair())
        return Marks(self.plane.name, lines, letters, circles=self._circles(camera))

    def _circles(self, camera: Camera) -> tuple[Circle, ...]:
        if self.ring is None:
            return ()
        axes = (self.plane.axis, *self.plane.picture_axes)
        position = float(self.model.dims.point[self.model.dims.order[-3]])
        circle = ring_in_plane(self.ring, camera, axes, position)
        return () if circle is None else (circle,)

    def _crosshair(self) -> tuple[float, float]:
        row, column = (float(self._point[axis]) for axis in self.model.dims.order[-2:])
        return row, column

    def _can_fit(self) -> bool:
        return bool(self.model.dims.ndisplay == 2)

    def _look_at(self, box: WorldBox) -> None:
        camera = camera_of(self.model)
        row, column = self.plane.picture_axes
        camera.center = box.centre[row], box.centre[column]
        camera.zoom = box.zoom((row, column), self.canvas_size)

    # User actions ---------------------------------------------------------------------------------------------------

    def _on_press(self, model: Any, event: Any) -> Iterator[None]:
        if model.dims.ndisplay == 2:
            yield from click(model, event, self.place_chosen.emit)

    def _on_move(self, model: Any, event: Any) -> None:
        if "Shift" in event.modifiers and model.layers and model.dims.ndisplay == 2:
            self.place_chosen.emit(tuple(event.position))

    def let_go(self) -> QtViewer | None:
        """Detach everything from the view and its model."""
        for callbacks, callback in (
            (self.model.mouse_drag_callbacks, self._on_press),
            (self.model.mouse_move_callbacks, self._on_move),
        ):
            if callback in callbacks:
                callbacks.remove(callback)
        return super().let_go()


class SlicePane(PlanePane):
    """A plane in one of our own canvases. It has no layers itself: `LinkedLayers` adds them to `model`.

    Parameters
    ----------
    canvas_view : QtViewer
        A view without layers.
    """

    slice_chosen = Signal()
    """Another slice was chosen with the slider or a key."""
    tumour_step = Signal(int)
    """A key requested the next (1) or previous (-1) slice with tumour in this plane."""

    def __init__(self, plane: Plane, canvas_view: QtViewer) -> None:
        super().__init__(plane, canvas_view)
        self._following = False
        self.model.dims.events.point.connect(self._on_point)

    def follow(self, point: tuple[float, ...]) -> None:
        """Show the slice through a world point with the crosshair on it; pan if it would be out of view."""
        self._following = True
        super().follow(point)
        self._following = False

    def _on_point(self, event: Any = None) -> None:
        if not self._following and self.model.layers:
            self.slice_chosen.emit()
        self.repaint_marks()

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:
        """Keep the marks as large as the canvas, and pass keys on to napari's window."""
        if event is not None and event.type() in (QEvent.Type.KeyPress, QEvent.Type.KeyRelease):
            return self._on_key(event)  # type: ignore[arg-type,unused-ignore]
        return super().eventFilter(watched, event)

    def _on_key(self, event: QKeyEvent) -> bool:
        # When ignored, the event goes up to the window and from there to napari's canvas: there, all keys have their
        # usual meaning, and undo, modes and labels are those of the layer itself.
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

    def let_go(self) -> QtViewer | None:
        """Detach everything from the view and its model."""
        if self.canvas is not None:
            self.model.dims.events.point.disconnect(self._on_point)
        return super().let_go()


def click(model: Any, event: Any, choose: Callable[[Any], None]) -> Iterator[None]:
    """Report a left click without movement, while the mouse is in the mode for panning."""
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
