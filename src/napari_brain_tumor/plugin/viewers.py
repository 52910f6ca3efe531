"""Control what a viewer shows: layers, orientation, slice positions, and notes to the user."""

import sys
from collections.abc import Iterable, Sequence
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from napari.layers import Labels, Layer
from napari.utils.notifications import show_info, show_warning

from napari_brain_tumor.plugin.layers import KEY, LayerData, layer_of


def orient_viewer(viewer: Any) -> None:
    """Show axial slices in radiological convention (front up, patient's right on the left) at the tumour or middle.

    Parameters
    ----------
    viewer : napari.Viewer
        A viewer with or without layers.
    """
    turn_camera(viewer)
    own = [layer for layer in viewer.layers if KEY in layer.metadata]
    if not own:
        return
    labels = [layer for layer in own if isinstance(layer, Labels) and layer.data.any()]
    show_point(viewer, _tumour_point(labels[-1]) if labels else own[-1].extent.world.mean(axis=0))
    viewer.reset_view()


def camera_of(viewer: Any) -> Any:
    """Return the viewer's camera; from napari 0.9 it belongs to the scene, and `viewer.camera` is deprecated."""
    return viewer.scene.camera if hasattr(viewer, "scene") else viewer.camera


def turn_camera(viewer: Any, horizontal: Literal["left", "right"] = "left") -> None:
    """Show RAS volumes upright, with the patient's right on the given side of the screen, and not mirrored in 3D.

    With x growing to the left and y upwards, z must grow away from the observer; napari's default shows a mirror image.
    """
    camera_of(viewer).orientation = ("away" if horizontal == "left" else "towards", "up", horizontal)


def show_tumour(viewer: Any, layer: Labels) -> None:
    """Go to the largest section of the labels across the viewer's slice axis; other planes go to the same point."""
    if layer.ndim < 3 or not layer.data.any():
        return
    first = viewer.dims.ndim - layer.ndim
    cut = int(viewer.dims.order[-3]) - first
    show_point(viewer, _tumour_point(layer, cut if 0 <= cut < layer.ndim else 0))


def show_point(viewer: Any, point: Iterable[float], *, centre: bool = False) -> None:
    """Go to a world point, given along the viewer's last axes, so that every plane passes through it.

    With `centre`, a 2D view is also moved so that the point is in its middle.
    """
    coordinates = [float(coordinate) for coordinate in point]
    ndim = viewer.dims.ndim
    viewer.dims.set_point(range(ndim - len(coordinates), ndim), coordinates)
    if centre and viewer.dims.ndisplay == 2:
        camera_of(viewer).center = tuple(viewer.dims.point[axis] for axis in viewer.dims.displayed)


def _tumour_point(layer: Labels, axis: int = 0) -> npt.NDArray[np.float64]:
    """Return the world position of the labelled voxel nearest to the middle of the largest section across an axis."""
    sections = np.count_nonzero(layer.data, axis=tuple(other for other in range(layer.ndim) if other != axis))
    section = int(sections.argmax())
    voxels = np.argwhere(np.take(layer.data, section, axis))
    nearest = voxels[np.square(voxels - voxels.mean(axis=0)).sum(axis=1).argmin()]
    return np.asarray(layer.data_to_world(np.insert(nearest, axis, section)))


def current_viewer() -> Any:
    """Return the viewer in use; None if there is none."""
    # Readers may be called without a window. In that case napari.viewer, which would open one, must not be imported.
    module = sys.modules.get("napari.viewer")
    return module.current_viewer() if module is not None else None


def window_of(viewer: Any) -> Any:
    """Return the Qt window of a viewer; None if it has none."""
    return getattr(getattr(viewer, "window", None), "_qt_window", None)


def orient_current_viewer(layers: Sequence[LayerData]) -> None:
    """Orient the current viewer if it is still empty, before a reader's layers are added to it."""
    viewer = current_viewer()
    if viewer is None or len(viewer.layers) > 0:
        return
    turn_camera(viewer)
    if any(kind == "labels" for *_, kind in layers):
        _orient_at_last(viewer, len(layers))


def _orient_at_last(viewer: Any, count: int) -> None:
    def on_inserted(event: Any) -> None:
        if len(viewer.layers) >= count:
            viewer.layers.events.inserted.disconnect(on_inserted)
            orient_viewer(viewer)

    viewer.layers.events.inserted.connect(on_inserted)


def current_layers() -> list[Layer]:
    """Return the layers of the viewer in use; none if there is no viewer."""
    viewer = current_viewer()
    return list(viewer.layers) if viewer is not None else []


def add_layers(viewer: Any, layers: Iterable[LayerData]) -> list[Layer]:
    """Add layers to a viewer, and orient the viewer if it was empty."""
    was_empty = len(viewer.layers) == 0
    added = [viewer.add_layer(layer_of(layer_data)) for layer_data in layers]
    if was_empty:
        orient_viewer(viewer)
    return added


def add_unselected(viewer: Any, layer: Layer) -> Layer:
    """Add a layer without changing the selection."""
    active = viewer.layers.selection.active
    viewer.add_layer(layer)
    viewer.layers.selection.active = active
    return layer


def tell(notes: Iterable[str], *, warn: bool = False) -> None:
    """Show notes to the user as napari notifications."""
    for note in notes:
        (show_warning if warn else show_info)(note)
