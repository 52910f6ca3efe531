"""Depths and connected parts of masks, in 2D within slices if slices are thick."""

import numpy as np
from scipy import ndimage

from napari_brain_tumor.classical.scan import Spacing, Voxel
from napari_brain_tumor.geometry import bounding_box
from napari_brain_tumor.types import Float32Array, Mask


def depth_in_slices(mask: Mask, spacing_mm: Spacing) -> Float32Array:
    """Return the distance in mm from each voxel of the mask to the nearest voxel outside it in the same slice.

    Everything beyond the border of the array counts as outside.
    """
    planes = [ndimage.distance_transform_edt(np.pad(p, 1), sampling=spacing_mm[1:])[1:-1, 1:-1] for p in mask]
    return np.asarray(planes, dtype=np.float32).reshape(mask.shape)


def distance_in_slices(mask: Mask, spacing_mm: Spacing) -> Float32Array:
    """Return the distance in mm from each voxel to the mask within its slice; infinite in slices without mask."""
    distances = np.full(mask.shape, np.inf, dtype=np.float32)
    for z in np.flatnonzero(mask.any(axis=(1, 2))):
        distances[z] = ndimage.distance_transform_edt(~mask[z], sampling=spacing_mm[1:])
    return distances


def fill_slices(mask: Mask) -> Mask:
    """Fill holes of the mask within its slices."""
    return np.asarray([ndimage.binary_fill_holes(plane) for plane in mask], dtype=bool).reshape(mask.shape)


def part_at(mask: Mask, voxel: Voxel) -> Mask:
    """Return the connected part that contains a voxel; empty if the voxel is not in the mask."""
    if not mask[voxel]:
        return np.zeros_like(mask)
    parts, _ = ndimage.label(mask)
    return np.asarray(parts == parts[voxel])


def opened_part(mask: Mask, voxel: Voxel, spacing_mm: Spacing, half_width_mm: float) -> Mask:
    """Return the part that contains a voxel, with narrow bridges cut and holes in slices filled.

    Parameters
    ----------
    mask : (Z, Y, X) bool array
    voxel : tuple of int
        Voxel in the mask; otherwise the result is empty.
    half_width_mm : float
        Bridges up to twice as wide are cut. Parts that are nowhere wider than that are left unchanged.
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
    """Return the mask's voxel that is nearest to a given voxel."""
    voxels = np.argwhere(mask)
    distances = (((voxels - voxel) * spacing_mm) ** 2).sum(axis=1)
    z, y, x = voxels[distances.argmin()]
    return int(z), int(y), int(x)
