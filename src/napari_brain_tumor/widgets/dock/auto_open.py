"""Opens the dock with the first case, and again with a later one where it was closed."""

from functools import partial
from typing import Any, Final

from qtpy.QtCore import QObject
from qtpy.QtWidgets import QWidget

from napari_brain_tumor.plugin.layers import KEY, SequenceTag
from napari_brain_tumor.plugin.preferences import PLUGIN, read_preferences
from napari_brain_tumor.widgets.closing import when_gone
from napari_brain_tumor.widgets.layer_list_watch import single_shot

TITLE: Final = "Brain Tumor"
"""Of the dock, in the manifest and so in the menu."""


def open_dock(viewer: Any) -> Any:
    """Open the dock of a viewer, or bring it to the front; returns the widget that napari docks."""
    dock, widget = viewer.window.add_plugin_dock_widget(PLUGIN, TITLE)
    dock.show()
    dock.raise_()
    return widget


def open_with_cases(viewer: Any) -> None:
    """Open the dock whenever a case is opened in this viewer, as far as the user wants that; again does nothing.

    Parameters
    ----------
    viewer : napari.Viewer
        One without a window is left alone.
    """
    window = getattr(getattr(viewer, "window", None), "_qt_window", None)
    if window is not None and window.findChild(_Watch) is None:
        _Watch(viewer, window)


class _Watch(QObject):
    def __init__(self, viewer: Any, window: QWidget) -> None:
        super().__init__(window)
        # Its window is not kept: PySide would keep both for ever, since a window keeps what belongs to it.
        self._viewer = viewer
        self._timer = single_shot(self, self._open)
        viewer.layers.events.inserted.connect(self._on_inserted)
        when_gone(window, partial(viewer.layers.events.inserted.disconnect, self._on_inserted))
        if any(_is_scan(layer) for layer in viewer.layers):
            self._timer.start(0)

    def _on_inserted(self, event: Any) -> None:
        if _is_scan(event.value):
            self._timer.start(0)  # once, after all layers of the case

    def _open(self) -> None:
        if self._viewer.window._qt_window.isVisible() and read_preferences().opening.open_dock:
            open_dock(self._viewer)


def _is_scan(layer: Any) -> bool:
    return isinstance(layer.metadata.get(KEY), SequenceTag)
