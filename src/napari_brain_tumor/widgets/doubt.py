"""Step through the doubtful places of a result, with keys or buttons."""

from typing import Any, Final
from weakref import WeakKeyDictionary

import napari.viewer
import numpy as np
from napari.layers import Labels
from qtpy.QtCore import QObject, Signal  # type: ignore[attr-defined,unused-ignore]

from napari_brain_tumor.measure.doubt import DoubtfulPlace
from napari_brain_tumor.plugin.display import Display
from napari_brain_tumor.plugin.layers import KEY
from napari_brain_tumor.plugin.viewers import show_point
from napari_brain_tumor.widgets.doubt_ring import show_ring
from napari_brain_tumor.widgets.navigation import Ring
from napari_brain_tumor.widgets.stored_maps import StoredMaps, stored_maps_of
from napari_brain_tumor.widgets.view_actions import ViewAction, labels_in_view
from napari_brain_tumor.widgets.worker import notify

_ROOM: Final = 1.6
"""Radius of the ring relative to a ball of the same volume as the place."""

_NOTHING_KEPT: Final = (
    "There is no result whose probabilities are known: run a trained model, or select the layer of such a result. "
    "They stay in memory with the layer and are not saved."
)
_at: WeakKeyDictionary[Labels, tuple[StoredMaps, int]] = WeakKeyDictionary()
"""The place that was last looked at in each layer."""


class _DoubtSteps(QObject):
    """A Qt object, so that its connections end with the panels that made them."""

    gone = Signal(str)
    """Why the place that is now shown is doubtful."""
    place_chosen = Signal(object, int)
    """The layer, and the number of the place."""


doubt_steps: Final = _DoubtSteps()
"""The instance of this session."""


def next_doubtful_place(viewer: napari.viewer.Viewer, step: int = 1) -> None:
    """Show the next doubtful place of a result in all planes, the largest first, and say why it is doubtful.

    Parameters
    ----------
    step : {1, -1}
    """
    layer = _layer(viewer)
    maps_and_places = stored_maps_of(layer)
    if layer is None or maps_and_places is None:
        notify(_NOTHING_KEPT)
        return
    if not maps_and_places.places:
        _tell(viewer, f"Nothing in {layer.name} is in doubt: no place of 20 mm³ has a probability near its threshold.")
        return
    go_to_doubtful_place(viewer, layer, _next(layer, maps_and_places, step))


def go_to_doubtful_place(viewer: napari.viewer.Viewer, layer: Labels, at: int) -> None:
    """Show a doubtful place of a result in all planes, with a ring around it, and say why it is doubtful.

    Parameters
    ----------
    layer : Labels
        The result.
    at : int
        Number of the place, from 0.
    """
    maps_and_places = stored_maps_of(layer)
    if maps_and_places is None or not 0 <= at < len(maps_and_places.places):
        return
    _at[layer] = maps_and_places, at
    place = maps_and_places.places[at]
    _go(viewer, layer, place)
    _tell(viewer, f"{at + 1} of {len(maps_and_places.places)}: {place.sentence}")
    doubt_steps.place_chosen.emit(layer, at)


def previous_doubtful_place(viewer: napari.viewer.Viewer) -> None:
    """Show the previous doubtful place of a result."""
    next_doubtful_place(viewer, -1)


KEYS: Final = (
    ViewAction(
        "Shift+N",
        "Next doubtful place",
        "Go to the next place where the probability lies near the threshold, the largest first, in all planes.",
        next_doubtful_place,
    ),
    ViewAction(
        "Shift+B", "Previous doubtful place", "Go back to the previous doubtful place.", previous_doubtful_place
    ),
)
"""None of the keys is used by napari, for any kind of layer, or by another panel of this plugin."""


def _layer(viewer: Any) -> Labels | None:
    """Return the labels in view if their probabilities are kept, else the topmost labels for which they are."""
    labels = labels_in_view(viewer)
    if stored_maps_of(labels) is not None:
        return labels
    return next((layer for layer in reversed(viewer.layers) if stored_maps_of(layer) is not None), None)


def _next(layer: Labels, maps_and_places: StoredMaps, step: int) -> int:
    before, at = _at.get(layer, (None, 0))
    if before is not maps_and_places:
        return 0 if step > 0 else len(maps_and_places.places) - 1
    return (at + step) % len(maps_and_places.places)


def _go(viewer: Any, layer: Labels, place: DoubtfulPlace) -> None:
    viewer_grid = Display.of(layer.metadata[KEY].grid).viewer_grid
    point = np.asarray(layer.data_to_world(viewer_grid.voxels(place.centre)[::-1]))[-3:]
    show_ring(viewer, Ring((float(point[0]), float(point[1]), float(point[2])), _ROOM * place.radius))
    show_point(viewer, point, centre=True)


def _tell(viewer: Any, text: str) -> None:
    viewer.status = text
    doubt_steps.gone.emit(text)
