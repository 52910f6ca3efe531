"""Act when a case is opened in a viewer: once for all its layers, including cases that are already open."""

from collections.abc import Callable
from functools import partial
from typing import Any

from napari.layers import Layer
from qtpy.QtCore import QObject

from napari_brain_tumor.plugin.viewers import window_of
from napari_brain_tumor.widgets.closing import when_gone
from napari_brain_tumor.widgets.layer_list_watch import single_shot


class CaseWatch(QObject):
    """Calls a function shortly after layers of a case were added, until `stop`.

    Parameters
    ----------
    window : QObject
        Window of the viewer.
    name : str
        Distinguishes it from other watches of the window.
    is_case : callable
        Returns whether a layer belongs to a case.
    act : callable
        Called with the watch.
    wait_ms : int
        Delay after the last layer.
    """

    def __init__(
        self,
        viewer: Any,
        window: QObject,
        name: str,
        is_case: Callable[[Layer], bool],
        act: Callable[["CaseWatch"], None],
        wait_ms: int = 0,
    ) -> None:
        super().__init__(window)
        self.setObjectName(name)
        # The window is not stored: it owns this object, so with PySide neither would ever be freed.
        self.viewer, self._is_case = viewer, is_case
        self._timer = single_shot(self, lambda: act(self), wait_ms)
        viewer.layers.events.inserted.connect(self._on_inserted)
        when_gone(window, partial(viewer.layers.events.inserted.disconnect, self._on_inserted))
        if any(is_case(layer) for layer in viewer.layers):
            self._timer.start()

    def stop(self) -> None:
        """Stop following the viewer."""
        self.viewer.layers.events.inserted.disconnect(self._on_inserted)

    def _on_inserted(self, event: Any) -> None:
        if self._is_case(event.value):
            self._timer.start()


def watch_cases(
    viewer: Any, name: str, is_case: Callable[[Layer], bool], act: Callable[[CaseWatch], None], wait_ms: int = 0
) -> None:
    """Act when cases are opened in a viewer (see `CaseWatch`); repeated calls, or no window, do nothing."""
    window = window_of(viewer)
    if window is not None and window.findChild(CaseWatch, name) is None:
        CaseWatch(viewer, window, name, is_case, act, wait_ms)
