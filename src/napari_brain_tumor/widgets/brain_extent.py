"""Where the brain lies in the viewer's world: what views are fitted to, and what the tumour is seen within."""

from math import ceil
from typing import Any, Final

import numpy as np
from napari.layers import Layer

from napari_brain_tumor.geometry import bounding_box
from napari_brain_tumor.preprocessing.intensity import foreground_mask
from napari_brain_tumor.types import Array, Mask
from napari_brain_tumor.widgets.linked_layers import is_volume
from napari_brain_tumor.widgets.navigation import WorldBox
from napari_brain_tumor.widgets.view_actions import scans_in_view

_VOXELS: Final = 1_000_000
"""About how many are looked at: finer is not seen."""


def reference_scan(viewer: Any) -> Layer | None:
    """The scan whose brain is looked at: the first of the study in view; None without a volume."""
    return next((scan for scan in scans_in_view(viewer) if is_volume(scan)), None)


def coarse_brain(volume: Array) -> tuple[Mask, int]:
    """The brain where the skull was removed, else the head, in every n-th voxel of a volume `(Z, Y, X)`; and n."""
    step = max(1, ceil((volume.size / _VOXELS) ** (1 / 3)))
    return foreground_mask([np.nan_to_num(volume[::step, ::step, ::step])]), step


def extent_of_brain(layer: Layer, point: tuple[float, ...]) -> WorldBox:
    """The block of the world that holds the brain of a scan; all of the scan where nothing can be told from air.

    Parameters
    ----------
    point : tuple of float
        The viewer's; of a scan over time it chooses the volume.
    """
    volume = volume_at(layer, point)
    mask, step = coarse_brain(volume)
    box = bounding_box(mask)
    low = np.zeros(3) if box is None else np.asarray(box.start) * step - (step - 1)
    high = np.array(volume.shape) if box is None else (np.asarray(box.stop) - 1) * step + step
    faces = np.clip([low, high], 0, volume.shape) - 0.5
    corners = np.array(np.meshgrid(*faces.T, indexing="ij")).reshape(3, -1).T
    before = np.zeros((len(corners), layer.ndim - 3))
    world = np.array([layer.data_to_world(corner)[-3:] for corner in np.hstack([before, corners])])
    return WorldBox(tuple(world.min(axis=0).tolist()), tuple(world.max(axis=0).tolist()))


def volume_at(layer: Layer, point: tuple[float, ...]) -> Array:
    """The volume `(Z, Y, X)` of a layer at a point of the viewer; axes before it may be time."""
    at = np.rint(layer.world_to_data(np.asarray(point)[-layer.ndim :])).astype(int)[:-3]
    index = tuple(int(i) for i in np.clip(at, 0, np.asarray(layer.data.shape[:-3]) - 1))
    return np.asarray(layer.data[index])
