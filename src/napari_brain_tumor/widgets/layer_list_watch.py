"""React to changes of a viewer's list of layers: once for changes that come together, until the owner is destroyed."""

from collections.abc import Callable
from typing import Any

from qtpy.QtCore import QObject, QTimer

from napari_brain_tumor.widgets.links import Links


def single_shot(parent: QObject, act: Callable[..., Any], milliseconds: int = 0) -> QTimer:
    """Return a timer that acts once, this long after it was last started; it ends with its parent."""
    timer = QTimer(parent)
    timer.setSingleShot(True)
    timer.setInterval(milliseconds)
    timer.timeout.connect(act)
    return timer


class LayerListWatch(QObject):
    """Acts shortly after layers were added, removed or reordered: once for the four layers of a case.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
    parent : QObject
        Its owner; once that is destroyed, nothing remains connected to the viewer.
    """

    def __init__(self, viewer: Any, parent: QObject, act: Callable[[], None]) -> None:
        super().__init__(parent)
        self._timer = single_shot(self, act)
        self.links = Links()
        """Connections to the viewer's events; others to be cut with them can be added."""
        events = viewer.layers.events
        for event in (events.inserted, events.removed, events.reordered):
            self.links.connect(event, self.act_soon)
        # A bound method: PyQt holds it weakly and notices when its object is destroyed. A partial on an object that
        # Python has collected before Qt deletes it would be called from freed memory.
        self.destroyed.connect(self.links.cut)

    def stop(self) -> None:
        """Stop following the viewer."""
        self._timer.stop()
        self.links.cut()

    def act_soon(self, event: Any = None) -> None:
        """Act when control returns to Qt."""
        self._timer.start()
