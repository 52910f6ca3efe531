"""Depths and connected parts of masks, within slices where slices are thick."""

import numpy as np
from scipy import ndimage

from napari_brain_tumor.classical.scan import Spacing, Voxel
from napari_brain_tumor.geometry import bounding_box
from napari_brain_tumor.types import Float32Array, Mask


def depth_in_slices(mask: Mask, spacing_mm: Spacing) -> Float32Array:
    """Distance of each voxel of the mask from what is outside in its slice, in millimetres.

    Beyond the border of the array is outside.
    """
    planes = [ndimage.distance_transform_edt(np.pad(p, 1), sampling=spacing_mm[1:])[1:-1, 1:-1] for p in mask]
    return np.asarray(planes, dtype=np.float32).reshape(mask.shape)


def distance_in_slices(mask: Mask, spacing_mm: Spacing) -> Float32Array:
    """Distance of each voxel from the mask within its slice, in millimetres; infinite in slices without the mask."""
    distances = np.full(mask.shape, np.inf, dtype=np.float32)
    for z in np.flatnonzero(mask.any(axis=(1, 2))):
        distances[z] = ndimage.distance_transform_edt(~mask[z], sampling=spacing_mm[1:])
    return distances


def fill_slices(mask: Mask) -> Mask:
    """The mask without holes within its slices."""
    return np.asarray([ndimage.binary_fill_holes(plane) for plane in mask], dtype=bool).reshape(mask.shape)


def part_at(mask: Mask, voxel: Voxel) -> Mask:
    """The connected part that holds a voxel; empty where the voxel is not in the mask."""
    if not mask[voxel]:
        return np.zeros_like(mask)
    parts, _ = ndimage.label(mask)
    return np.asarray(parts == parts[voxel])


def opened_part(mask: Mask, voxel: Voxel, spacing_mm: Spacing, half_width_mm: float) -> Mask:
    """The part that holds a voxel, bridges to its neighbours cut where they are narrow, without holes in slices.

    Parameters
    ----------
    mask : (Z, Y, X) bool array
    voxel : tuple of int
        Within the mask; else the result is empty.
    half_width_mm : float
        Bridges up to twice as wide are cut. Parts nowhere wider than that are kept as they are.
    """
    whole = part_at(mask, voxel)
    box = bounding_box(whole)
    if box is None:
        return whole
    inside = whole[box.slices]
    core = depth_in_slices(inside, spacing_mm) > half_width_mm
    if core.any():
        nearest = _nearest(core, np.subtract(voxel, box.start), spacing_mm)
        around = distance_in_slices(part_at(core, nearest), spacing_mm) <= half_width_mm + 1
        inside = inside & around
    result = np.zeros_like(mask)
    result[box.slices] = fill_slices(inside)
    return result


def _nearest(mask: Mask, voxel: "np.ndarray[tuple[int], np.dtype[np.intp]]", spacing_mm: Spacing) -> Voxel:
    """The mask's voxel that is nearest to another."""
    voxels = np.argwhere(mask)
    distances = (((voxels - voxel) * spacing_mm) ** 2).sum(axis=1)
    z, y, x = voxels[distances.argmin()]
    return int(z), int(y), int(x)
