"""Go from one doubtful place of a result to the next, by keys or buttons."""

from typing import Any, Final
from weakref import WeakKeyDictionary

import napari.viewer
import numpy as np
from napari.layers import Labels
from qtpy.QtCore import QObject, Signal  # type: ignore[attr-defined,unused-ignore]

from napari_brain_tumor.measure.doubt import DoubtfulPlace
from napari_brain_tumor.plugin.display import Display
from napari_brain_tumor.plugin.layers import KEY, camera_of
from napari_brain_tumor.widgets.kept_probabilities import Kept, kept_of
from napari_brain_tumor.widgets.look import Look, labels_in_view
from napari_brain_tumor.widgets.worker import notify

__all__ = ["KEYS", "doubt_steps", "next_doubtful_place", "previous_doubtful_place"]

_NOTHING_KEPT: Final = (
    "There is no result whose probabilities are known: run a trained model, or select the layer of such a result. "
    "They stay in memory with the layer and are not saved."
)
_at: WeakKeyDictionary[Labels, tuple[Kept, int]] = WeakKeyDictionary()
"""Where each layer was looked at last."""


class _DoubtSteps(QObject):
    """A Qt object, for its connections end with the panels that made them."""

    gone = Signal(str)
    """What is doubtful at the place that was gone to."""


doubt_steps: Final = _DoubtSteps()
"""The one of this session."""


def next_doubtful_place(viewer: napari.viewer.Viewer, step: int = 1) -> None:
    """Bring the next doubtful place of a result into sight in all planes, the largest first, and say what it is.

    Parameters
    ----------
    viewer : napari.Viewer
    step : {1, -1}
    """
    layer = _layer(viewer)
    kept = kept_of(layer)
    if layer is None or kept is None:
        notify(_NOTHING_KEPT)
        return
    if not kept.places:
        _tell(viewer, f"Nothing in {layer.name} is in doubt: no place of 20 mm³ has a probability near its threshold.")
        return
    at = _next(layer, kept, step)
    _at[layer] = kept, at
    _go(viewer, layer, kept.places[at])
    _tell(viewer, f"{at + 1} of {len(kept.places)}: {kept.places[at].sentence}")


def previous_doubtful_place(viewer: napari.viewer.Viewer) -> None:
    """Bring the previous doubtful place of a result into sight."""
    next_doubtful_place(viewer, -1)


KEYS: Final = (
    Look(
        "Shift+N",
        "Next doubtful place",
        "Next doubtful place",
        "Go to the next place where the probability lies near the threshold, the largest first, in all planes.",
        next_doubtful_place,
    ),
    Look(
        "Shift+B",
        "Previous doubtful place",
        "Previous",
        "Go back to the doubtful place before.",
        previous_doubtful_place,
    ),
)
"""None of the keys is napari's own, for any kind of layer, nor one of another panel of ours."""


def _layer(viewer: Any) -> Labels | None:
    """The labels in view if their probabilities are kept, else the uppermost for which they are."""
    seen = labels_in_view(viewer)
    if kept_of(seen) is not None:
        return seen
    return next((layer for layer in reversed(viewer.layers) if kept_of(layer) is not None), None)


def _next(layer: Labels, kept: Kept, step: int) -> int:
    before, at = _at.get(layer, (None, 0))
    if before is not kept:
        return 0 if step > 0 else len(kept.places) - 1
    return (at + step) % len(kept.places)


def _go(viewer: Any, layer: Labels, place: DoubtfulPlace) -> None:
    shown = Display.of(layer.metadata[KEY].grid).shown
    point = np.asarray(layer.data_to_world(shown.voxels(place.centre)[::-1]))[-3:]
    first = viewer.dims.ndim - 3
    viewer.dims.set_point(range(first, first + 3), [float(one) for one in point])
    if viewer.dims.ndisplay == 2:
        camera_of(viewer).center = tuple(viewer.dims.point[axis] for axis in viewer.dims.displayed)


def _tell(viewer: Any, text: str) -> None:
    viewer.status = text
    doubt_steps.gone.emit(text)
