"""Views of napari's that wait, out of sight, until a layout needs them again.

All canvases of a process share their graphics memory, and what one of them put there stays when it is deleted: three or
four megabytes each time the layout was opened and closed. A canvas that goes to another window is set up anew, so these
wait in the one that they are shown in.
"""

from typing import Any

from napari.components import ViewerModel
from napari.qt import QtViewer
from qtpy.QtCore import QEvent, QObject
from qtpy.QtWidgets import QWidget

__all__ = ["SpareViews", "spare_views"]


def spare_views(canvas_view: QtViewer) -> "SpareViews":
    """Those beside napari's own view, in its window."""
    window: Any = canvas_view.window()
    spares: SpareViews | None = window.findChild(SpareViews)
    return spares or SpareViews(window, canvas_view)


class SpareViews(QWidget):
    """Holds views by name, with empty models; they are closed when napari closes its own view.

    Parameters
    ----------
    window : QWidget
    canvas_view : QtViewer
        Napari's own.
    """

    def __init__(self, window: QWidget, canvas_view: QtViewer) -> None:
        super().__init__(window)
        self._views: dict[str, QtViewer] = {}
        self.hide()
        canvas_view.installEventFilter(self)

    def take(self, name: str, ndisplay: int = 2) -> QtViewer:
        """The view of that name, without layers; a new one where none is there."""
        view = self._views.pop(name, None)
        if view is not None:
            return view
        view = QtViewer(ViewerModel(title=name, ndisplay=ndisplay))
        view.setAcceptDrops(False)  # a file dropped here goes to whoever is around it
        return view

    def give_back(self, name: str, view: QtViewer) -> None:
        """Keep a view for the next `take` of that name."""
        view.dims.stop()  # type: ignore[call-arg,unused-ignore]
        view.setParent(self)  # which hides it
        self._views[name] = view

    def close_all(self) -> None:
        """Close all that are here."""
        views, self._views = self._views, {}
        for view in views.values():
            view.close()  # frees what the canvas holds, and deletes itself

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:
        """Close them with napari's own view, which is closed before its window."""
        if event is not None and event.type() == QEvent.Type.Close and isinstance(watched, QtViewer):
            self.close_all()
        return False
