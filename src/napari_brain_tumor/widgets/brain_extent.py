"""Where the brain lies in the viewer's world: views are fitted to it, and 3D views show it around the tumour."""

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
"""Approximate number of voxels to examine; more would not make a visible difference."""


def reference_scan(viewer: Any) -> Layer | None:
    """Return the scan whose brain is used: the first of the study in view; None if it is not a volume."""
    return next((scan for scan in scans_in_view(viewer) if is_volume(scan)), None)


def coarse_brain(volume: Array) -> tuple[Mask, int]:
    """Return a mask of the brain (or of the head) in every n-th voxel of a volume `(Z, Y, X)`, and n."""
    step = max(1, ceil((volume.size / _VOXELS) ** (1 / 3)))
    return foreground_mask([np.nan_to_num(volume[::step, ::step, ::step])]), step


def extent_of_brain(layer: Layer, point: tuple[float, ...]) -> WorldBox:
    """Return the world box that contains the brain of a scan, or the whole scan if nothing stands out from air.

    Parameters
    ----------
    point : tuple of float
        Current position in the viewer; for a time series it selects the volume.
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
    """Return the volume `(Z, Y, X)` of a layer at a position in the viewer; the axes before it may be time."""
    at = np.rint(layer.world_to_data(np.asarray(point)[-layer.ndim :])).astype(int)[:-3]
    index = tuple(int(i) for i in np.clip(at, 0, np.asarray(layer.data.shape[:-3]) - 1))
    return np.asarray(layer.data[index])
