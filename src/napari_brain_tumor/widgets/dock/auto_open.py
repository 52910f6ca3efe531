"""Open the dock with the first case, and reopen it when a later case is opened while it is closed."""

from typing import Any, Final

from napari_brain_tumor.plugin.layers import sequence_tag
from napari_brain_tumor.plugin.preferences import PLUGIN, read_preferences
from napari_brain_tumor.plugin.viewers import window_of
from napari_brain_tumor.widgets.case_watch import CaseWatch, watch_cases

TITLE: Final = "Brain Tumor"
"""Title of the dock, as in the manifest and thus in the menu."""


def open_dock(viewer: Any) -> Any:
    """Open the dock of a viewer, or bring it to the front; return the widget that napari docks."""
    dock, widget = viewer.window.add_plugin_dock_widget(PLUGIN, TITLE)
    dock.show()
    dock.raise_()
    return widget


def open_with_cases(viewer: Any) -> None:
    """Open the dock whenever a case is opened in this viewer, if the user wants that; repeated calls do nothing.

    Parameters
    ----------
    viewer : napari.Viewer
        A viewer without a window is ignored.
    """
    watch_cases(viewer, "open the dock", lambda layer: sequence_tag(layer) is not None, _open)


def _open(watch: CaseWatch) -> None:
    if window_of(watch.viewer).isVisible() and read_preferences().opening.open_dock:
        open_dock(watch.viewer)
