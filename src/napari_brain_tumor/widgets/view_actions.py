"""Keys for looking around a case: one scan at a time, slices with tumour, centre of the tumour, labels on and off."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

import napari.viewer
import numpy as np
from napari.layers import Image, Labels, Layer

from napari_brain_tumor.plugin.layers import is_prompt_layer, segmentation_tag, sequence_tag
from napari_brain_tumor.plugin.viewers import show_point
from napari_brain_tumor.widgets.navigation import centre_of_largest_part, next_of, next_slice
from napari_brain_tumor.widgets.worker import notify

_NO_LABELS = "There are no labels to go to. Run a segmentation, or open or paint labels first."


# Scans --------------------------------------------------------------------------------------------------------------


def next_scan(viewer: napari.viewer.Viewer, step: int = 1) -> None:
    """Show the study's next scan and hide its others; labels and all other layers are not changed."""
    scans = scans_in_view(viewer)
    at = next_of([scan.visible for scan in scans], step)
    if at is None:
        notify("There is no scan to show. Open a case first.")
        return
    target = scans[at]
    target.visible = True
    for layer in viewer.layers:
        if layer is not target and (layer in scans or sequence_tag(layer) is not None):
            layer.visible = False
    if isinstance(viewer.layers.selection.active, Image):
        viewer.layers.selection.active = target
    viewer.status = target.name


def previous_scan(viewer: napari.viewer.Viewer) -> None:
    """Show the study's previous scan and hide its others."""
    next_scan(viewer, -1)


def scans_in_view(viewer: Any) -> list[Layer]:
    """Return the scans of the current study, or those opened one by one; all volumes if none is from this plugin."""
    own = [layer for layer in viewer.layers if sequence_tag(layer) is not None]
    if not own:
        return [layer for layer in viewer.layers if isinstance(layer, Image) and not layer.rgb]
    case = _case(viewer.layers.selection.active) or next((_case(scan) for scan in own if scan.visible), None)
    of_case = [layer for layer in own if _case(layer) == case]
    if len(of_case) == 1:
        counts = Counter(map(_case, own))
        of_case = [layer for layer in own if counts[_case(layer)] == 1]
    return of_case or own


def _case(layer: Layer | None) -> str | None:
    tag = sequence_tag(layer) or segmentation_tag(layer)
    return tag.case if tag is not None else None


# Labels -------------------------------------------------------------------------------------------------------------


def labels_in_view(viewer: napari.viewer.Viewer) -> Labels | None:
    """Return the current labels: the selected layer, else the topmost visible one, else the topmost one."""
    labels_layers = [
        layer for layer in viewer.layers if isinstance(layer, Labels) and layer.ndim >= 3 and not is_prompt_layer(layer)
    ]
    active = viewer.layers.selection.active
    if active in labels_layers:
        return active
    return next(
        (layer for layer in reversed(labels_layers) if layer.visible), labels_layers[-1] if labels_layers else None
    )


def next_tumour_slice(viewer: napari.viewer.Viewer, step: int = 1, axis: int | None = None) -> None:
    """Go to the next slice with labels.

    Parameters
    ----------
    step : {1, -1}
    axis : {0, 1, 2}, optional
        Axis of Z, Y, X that is cut; by default, that of the viewer's canvas.
    """
    layer = labels_in_view(viewer)
    cut = axis if axis is not None else int(viewer.dims.order[-3]) - (viewer.dims.ndim - 3)
    here = list(_voxel(viewer, layer)[-3:]) if layer is not None else []
    at = next_slice(_volume(viewer, layer), cut, here[cut], step) if layer is not None else None
    if layer is None or at is None:
        notify(_NO_LABELS)
        return
    here[cut] = at
    point = layer.data_to_world((*_voxel(viewer, layer)[:-3], *here))[-3:]
    viewer.dims.set_point(viewer.dims.ndim - 3 + cut, float(point[cut]))


def previous_tumour_slice(viewer: napari.viewer.Viewer) -> None:
    """Go to the previous slice with labels."""
    next_tumour_slice(viewer, -1)


def look_at_largest_part(viewer: napari.viewer.Viewer) -> None:
    """Show the centre of the largest connected part in all planes."""
    layer = labels_in_view(viewer)
    voxel = centre_of_largest_part(_volume(viewer, layer), layer.scale[-3:]) if layer is not None else None
    if layer is None or voxel is None:
        notify(_NO_LABELS)
        return
    point = layer.data_to_world((*_voxel(viewer, layer)[:-3], *voxel))[-3:]
    show_point(viewer, point, centre=True)


def toggle_labels(viewer: napari.viewer.Viewer) -> None:
    """Hide the labels, or show them again."""
    layer = labels_in_view(viewer)
    if layer is None:
        notify("There are no labels to show or hide.")
        return
    layer.visible = not layer.visible


def _volume(viewer: napari.viewer.Viewer, layer: Labels) -> Any:
    return np.asarray(layer.data[_voxel(viewer, layer)[:-3]])


def _voxel(viewer: napari.viewer.Viewer, layer: Layer) -> tuple[int, ...]:
    """Return the current position of the viewer in the layer's array; axes before the volume may be time."""
    at = layer.world_to_data(np.asarray(viewer.dims.point)[-layer.ndim :])
    last = np.asarray(layer.data.shape) - 1
    return tuple(int(index) for index in np.clip(np.rint(at), 0, last))


# Keys ---------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ViewAction:
    """An action that can be bound to a key.

    Parameters
    ----------
    key : str
        In the form that `viewer.bind_key` takes.
    name, tip : str
        Name and description.
    act : callable
        Applies the action to a viewer.
    """

    key: str
    name: str
    tip: str
    act: Callable[[Any], object]


KEYS: Final[Sequence[ViewAction]] = (
    ViewAction("J", "Next scan", "Show the next scan of the study and hide its others.", next_scan),
    ViewAction("Shift+J", "Previous scan", "Show the previous scan of the study and hide its others.", previous_scan),
    ViewAction(".", "Next tumour slice", "Go to the next slice with labels.", next_tumour_slice),
    ViewAction(",", "Previous tumour slice", "Go to the previous slice with labels.", previous_tumour_slice),
    ViewAction("Shift+G", "Largest part", "Go to the middle of the largest part of the labels.", look_at_largest_part),
    ViewAction("Shift+H", "Labels on or off", "Hide the labels, or show them again.", toggle_labels),
)
"""None of the keys is used by napari, for any kind of layer, or by the Curate panel."""


def key_text(key: str) -> str:
    """Format a key for buttons and tooltips."""
    return {".": ". (dot)", ",": ", (comma)"}.get(key, key)


def bind_keys(viewer: napari.viewer.Viewer, actions: Sequence[ViewAction] = KEYS) -> None:
    """Bind these keys in the viewer, once; keys bound by the user or another plugin keep their meaning.

    Parameters
    ----------
    actions : sequence of ViewAction
        Actions to bind; by default, those of this module.
    """
    for action in actions:
        try:
            viewer.bind_key(action.key, _without_result(action.act))
        except ValueError:
            continue  # already bound, by us or elsewhere


def _without_result(act: Callable[[Any], object]) -> Callable[[Any], None]:
    def on_key(viewer: Any) -> None:  # napari treats a key's return value as a generator
        act(viewer)

    return on_key


def pressed(act: Callable[[], object]) -> Callable[[Any], None]:
    """Return the callback for a key press, which napari calls with the bound object; it ignores destroyed owners."""

    def on_key(_: Any) -> None:
        with suppress(RuntimeError):
            act()

    return on_key


class ViewerKeys:
    """Keys that are bound in a viewer until released; existing bindings are not changed.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
    actions : mapping
        Action of each key.
    """

    def __init__(self, viewer: Any, actions: Mapping[str, Callable[[], None]]) -> None:
        self._viewer = viewer
        self._bound: dict[str, Callable[[Any], None]] = {}
        for key, act in actions.items():
            handler = pressed(act)
            with suppress(ValueError):  # bound elsewhere
                viewer.bind_key(key, handler)
                self._bound[key] = handler

    def release(self) -> None:
        """Unbind the keys, except those that have been rebound since."""
        for key, handler in self._bound.items():
            current = self._viewer.bind_key(key, None)
            if current is not None and current is not handler:
                self._viewer.bind_key(key, current)
        self._bound.clear()
