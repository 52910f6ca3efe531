"""Unused napari views that are kept, hidden, until a layout needs them again.

All canvases of a process share their graphics memory, and what a canvas allocates there is not freed when it is
deleted: three or four megabytes each time the layout was opened and closed. A canvas that moves to another window is
initialised again, so the views are kept in the window in which they are shown.

This module also works around two problems in vispy, for napari's own canvas too. First, commands that vispy has queued
for a canvas, such as when a layer is removed, may be executed while OpenGL draws on another canvas. Buffer numbers then
refer to the other canvas: the wrong buffers are deleted, and the process crashes when they are drawn. Second, vispy
treats the canvas that was drawn last as the current one even after Qt has deleted it, and fails: napari's canvas then
misses the removal of layers, and keeps them.
"""

import weakref
from typing import Any

from napari.components import ViewerModel
from napari.qt import QtViewer
from qtpy.QtCore import QEvent, QObject
from qtpy.QtGui import QOpenGLContext
from qtpy.QtWidgets import QWidget
from vispy.gloo import context


def spare_views(canvas_view: QtViewer) -> "SpareViews":
    """Return the spare views in the window of napari's own view."""
    window: Any = canvas_view.window()
    spares: SpareViews | None = window.findChild(SpareViews)
    return spares or SpareViews(window, canvas_view)


class SpareViews(QWidget):
    """Keeps views by name, with empty models; they are closed when napari closes its own view.

    Parameters
    ----------
    canvas_view : QtViewer
        napari's own view.
    """

    def __init__(self, window: QWidget, canvas_view: QtViewer) -> None:
        super().__init__(window)
        self._views: dict[str, QtViewer] = {}
        self._own_canvas = weakref.ref(_scene_canvas(canvas_view))
        _draw_on_own_canvas(canvas_view)
        self.hide()
        canvas_view.installEventFilter(self)

    def take(self, name: str, ndisplay: int = 2) -> QtViewer:
        """Return the view of that name, without layers; create it if necessary."""
        view = self._views.pop(name, None)
        if view is not None:
            return view
        view = QtViewer(ViewerModel(title=name, ndisplay=ndisplay))
        _draw_on_own_canvas(view)
        view.setAcceptDrops(False)  # a file dropped here is handled by the surrounding widget
        return view

    def give_back(self, name: str, view: QtViewer) -> None:
        """Keep a view for the next `take` with that name."""
        view.dims.stop()  # type: ignore[call-arg,unused-ignore]
        view.setParent(self)  # this also hides it
        self._views[name] = view
        self._return_to_own()

    def close_all(self) -> None:
        """Close all views that are kept here."""
        views, self._views = self._views, {}
        for view in views.values():
            context.forget_canvas(_scene_canvas(view))
            view.close()  # frees the canvas's resources, and the view deletes itself
        self._return_to_own()

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:
        """Close the views together with napari's own view, which is closed before its window."""
        if event is not None and event.type() == QEvent.Type.Close and isinstance(watched, QtViewer):
            self.close_all()
            context.forget_canvas(_scene_canvas(watched))
        return False

    def _return_to_own(self) -> None:
        canvas = self._own_canvas()
        if canvas is not None:
            context.set_current_canvas(canvas)


def _draw_on_own_canvas(view: QtViewer) -> None:
    """Have commands queued for a canvas executed only while OpenGL draws on that canvas."""
    reference = weakref.ref(_scene_canvas(view))

    def flush_here(event: Any = None) -> None:
        canvas = reference()
        if canvas is None:
            return
        own = canvas._backend.context()
        if own is not None and QOpenGLContext.currentContext() != own:
            canvas._backend.makeCurrent()
            context.set_current_canvas(canvas)
        context.GLContext.flush_commands(canvas.context, event)

    _scene_canvas(view).context.flush_commands = flush_here


def _scene_canvas(view: QtViewer) -> Any:
    return view.canvas._scene_canvas
