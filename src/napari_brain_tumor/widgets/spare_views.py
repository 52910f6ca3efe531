"""Views of napari's that wait, out of sight, until a layout needs them again.

All canvases of a process share their graphics memory, and what one of them put there stays when it is deleted: three or
four megabytes each time the layout was opened and closed. A canvas that goes to another window is set up anew, so these
wait in the one that they are shown in.

Two things of vispy are mended here, for napari's own canvas too. What it has queued for a canvas, as when a layer is
removed, it may carry out while OpenGL draws on another one. Numbers of buffers are those of the other canvas then: the
wrong ones are deleted, and the process crashes when they are drawn. And it takes the canvas that was drawn last for the
current one even after Qt has deleted it, and fails: napari's canvas hears of no removed layer any more, and keeps them.
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
    """Those beside napari's own view, in its window."""
    window: Any = canvas_view.window()
    spares: SpareViews | None = window.findChild(SpareViews)
    return spares or SpareViews(window, canvas_view)


class SpareViews(QWidget):
    """Holds views by name, with empty models; they are closed when napari closes its own view.

    Parameters
    ----------
    canvas_view : QtViewer
        Napari's own.
    """

    def __init__(self, window: QWidget, canvas_view: QtViewer) -> None:
        super().__init__(window)
        self._views: dict[str, QtViewer] = {}
        self._own_canvas = weakref.ref(_scene_canvas(canvas_view))
        _draw_on_own_canvas(canvas_view)
        self.hide()
        canvas_view.installEventFilter(self)

    def take(self, name: str, ndisplay: int = 2) -> QtViewer:
        """The view of that name, without layers; a new one where none is there."""
        view = self._views.pop(name, None)
        if view is not None:
            return view
        view = QtViewer(ViewerModel(title=name, ndisplay=ndisplay))
        _draw_on_own_canvas(view)
        view.setAcceptDrops(False)  # a file dropped here goes to whoever is around it
        return view

    def give_back(self, name: str, view: QtViewer) -> None:
        """Keep a view for the next `take` of that name."""
        view.dims.stop()  # type: ignore[call-arg,unused-ignore]
        view.setParent(self)  # which hides it
        self._views[name] = view
        self._return_to_own()

    def close_all(self) -> None:
        """Close all that are here."""
        views, self._views = self._views, {}
        for view in views.values():
            context.forget_canvas(_scene_canvas(view))
            view.close()  # frees what the canvas holds, and deletes itself
        self._return_to_own()

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:
        """Close them with napari's own view, which is closed before its window."""
        if event is not None and event.type() == QEvent.Type.Close and isinstance(watched, QtViewer):
            self.close_all()
            context.forget_canvas(_scene_canvas(watched))
        return False

    def _return_to_own(self) -> None:
        canvas = self._own_canvas()
        if canvas is not None:
            context.set_current_canvas(canvas)


def _draw_on_own_canvas(view: QtViewer) -> None:
    """Let what is queued for a canvas be carried out while OpenGL draws on that one."""
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
