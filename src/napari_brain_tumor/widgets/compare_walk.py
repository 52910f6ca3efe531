"""Step through the slices where segmentations differ, with keys or buttons, the worst first."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final
from weakref import WeakKeyDictionary

import napari.viewer
from qtpy.QtCore import QObject, Signal  # type: ignore[attr-defined,unused-ignore]

from napari_brain_tumor.compare import SliceRow
from napari_brain_tumor.geometry import ViewerWorld
from napari_brain_tumor.plugin.drawing import in_viewer
from napari_brain_tumor.plugin.viewers import show_point
from napari_brain_tumor.widgets.navigation import PLANES
from napari_brain_tumor.widgets.view_actions import ViewAction
from napari_brain_tumor.widgets.worker import notify

_NOTHING: Final = "There are no differing slices to go to: compare labels in the Compare tab first."


@dataclass(slots=True)
class _Walk:
    rows: Sequence[SliceRow]
    world: ViewerWorld = "RAS"
    at: int = -1


_walks: "WeakKeyDictionary[Any, _Walk]" = WeakKeyDictionary()
"""For each viewer, the slices that its Compare panel lists, and the current position."""


class _SliceSteps(QObject):
    """A Qt object, so that its connections end with the panels that made them."""

    gone = Signal(object, int)
    """The viewer, and the row of the slice that is now shown."""


slice_steps: Final = _SliceSteps()
"""The instance of this session."""


def start_walk(viewer: Any, rows: Sequence[SliceRow], world: ViewerWorld = "RAS") -> None:
    """Let the keys of a viewer step through these slices from now on; through none if the list is empty.

    Parameters
    ----------
    viewer : napari.Viewer
    world : {"RAS", "LPS"}
        World convention of the grid of the compared labels.
    """
    _walks[viewer] = _Walk(tuple(rows), world)


def next_differing_slice(viewer: napari.viewer.Viewer, step: int = 1) -> None:
    """Show the slice that differs most, then the next one; the last is followed by the first.

    Parameters
    ----------
    step : {1, -1}
    """
    walk = _walks.get(viewer)
    if walk is None or not walk.rows:
        notify(_NOTHING)
        return
    at = (walk.at + step) % len(walk.rows) if walk.at >= 0 or step > 0 else len(walk.rows) - 1
    go_to(viewer, at)


def previous_differing_slice(viewer: napari.viewer.Viewer) -> None:
    """Show the previous differing slice."""
    next_differing_slice(viewer, -1)


def go_to(viewer: Any, at: int) -> None:
    """Show a slice from the list in its own plane, centred on the difference."""
    walk = _walks.get(viewer)
    if walk is None or not 0 <= at < len(walk.rows):
        return
    walk.at = at
    row = walk.rows[at]
    if viewer.dims.ndim >= 3:
        _show_plane(viewer, row)
        show_point(viewer, in_viewer(row.centre, walk.world), centre=True)
    viewer.status = f"{at + 1} of {len(walk.rows)}: {row.region} differs in {row.differing} voxels, Dice {row.dice:.3f}"
    slice_steps.gone.emit(viewer, at)


def _show_plane(viewer: Any, row: SliceRow) -> None:
    plane = next(candidate for candidate in PLANES if candidate.name == row.axis)
    order = plane.order(viewer.dims.ndim)
    if viewer.dims.ndisplay == 2 and tuple(viewer.dims.order) != order:
        viewer.dims.order = order


KEYS: Final = (
    ViewAction(
        "Shift+X",
        "Next differing slice",
        "Go to the slice where the compared labels differ most, then to the next one.",
        next_differing_slice,
    ),
    ViewAction(
        "Shift+Z", "Previous differing slice", "Go back to the previous differing slice.", previous_differing_slice
    ),
)
"""None of the keys is used by napari, for any kind of layer, or by another panel of this plugin."""
