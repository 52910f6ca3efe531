"""The four-pane layout of a viewer, in place of its canvas: toggled by keys, commands and the dock."""

from functools import partial
from typing import Any, Final
from weakref import WeakKeyDictionary

from qtpy.QtCore import QObject, Signal  # type: ignore[attr-defined,unused-ignore]

from napari_brain_tumor.widgets.four_panes import FourPanes
from napari_brain_tumor.widgets.napari_canvas import bare, canvas_view_of
from napari_brain_tumor.widgets.view_actions import ViewAction
from napari_brain_tumor.widgets.worker import notify

_NO_WINDOW: Final = "The 2x2 layout takes the place of napari's canvas: it needs a viewer in a window."


class _Layouts(QObject):
    """A Qt object, so that its connections end with the panels that made them."""

    toggled = Signal(object, bool)
    """A viewer, and whether the layout is now shown in place of its canvas."""


layouts: Final = _Layouts()
"""The instance of this session."""
_open: Final[WeakKeyDictionary[Any, FourPanes]] = WeakKeyDictionary()


def layout_of(viewer: Any) -> FourPanes | None:
    """Return the layout that is shown in place of a viewer's canvas, if any."""
    return _open.get(bare(viewer))


def toggle_layout(viewer: Any) -> bool:
    """Show a case in four panes in place of napari's canvas, or restore that canvas exactly as it was.

    Parameters
    ----------
    viewer : napari.viewer.Viewer

    Returns
    -------
    bool
        Whether the layout is shown now.
    """
    model = bare(viewer)
    panes = _open.get(model)
    if panes is not None:
        panes.close_layout()
        return False
    canvas_view = canvas_view_of(model)
    if canvas_view is None:
        notify(_NO_WINDOW)
        return False
    panes = FourPanes(model, canvas_view)
    panes.closed.connect(partial(_forget, model))
    _open[model] = panes
    layouts.toggled.emit(model, True)
    return True


def _forget(model: Any) -> None:
    if _open.pop(model, None) is not None:
        layouts.toggled.emit(model, False)


def toggle_surfaces(viewer: Any) -> None:
    """Show only the labels as surfaces in 3D, within the brain, or restore the previous view."""
    panes = layout_of(viewer)
    if panes is not None and panes.enlarged is panes.surfaces:
        if panes.opened_for_surfaces:
            panes.close_layout()
        else:
            panes.enlarge(None)
        return
    opened = panes is None
    if opened and not toggle_layout(viewer):
        return
    panes = layout_of(viewer)
    if panes is not None:
        panes.opened_for_surfaces = opened
        panes.enlarge(panes.surfaces)


KEYS: Final = (
    ViewAction(
        "Shift+F",
        "2x2 layout",
        "Show axial, coronal, sagittal and 3D in place of the canvas, or the canvas again as it was.",
        toggle_layout,
    ),
    ViewAction(
        "Shift+D",
        "Surfaces in 3D",
        "Show the labels as surfaces within the brain, filling the window, or go back to slices.",
        toggle_surfaces,
    ),
)
"""None of the keys is used by napari, for any kind of layer, or by another panel of this plugin."""
