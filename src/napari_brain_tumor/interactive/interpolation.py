"""Slices between corrected slices: shape-based interpolation."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from napari_brain_tumor.geometry import Grid
from napari_brain_tumor.labels import REGIONS, classes_from_regions, region_mask

__all__ = ["interpolate_slices"]


def interpolate_slices(
    labels: npt.NDArray[np.uint8], grid: Grid, axis: int, slices: Sequence[int]
) -> npt.NDArray[np.uint8]:
    """Labels in which the slices between the given ones follow their shapes (provisional)."""
    found = np.moveaxis(labels.copy(), axis, 0)
    spacing = [s for a, s in enumerate(grid.spacing) if a != axis]
    for low, high in zip(sorted(slices)[:-1], sorted(slices)[1:], strict=True):
        ends = [[_signed(region_mask(found[at], region), spacing) for region in REGIONS] for at in (low, high)]
        for at in range(low + 1, high):
            share = (at - low) / (high - low)
            masks = [(1 - share) * a + share * b > 0 for a, b in zip(*ends, strict=True)]
            found[at] = classes_from_regions(np.stack(masks))
    return np.moveaxis(found, 0, axis)


def _signed(mask: Any, spacing: Sequence[float]) -> Any:
    far = float(np.hypot(*mask.shape))
    inside = ndimage.distance_transform_edt(mask, sampling=spacing) if mask.any() else np.zeros(mask.shape)
    outside = ndimage.distance_transform_edt(~mask, sampling=spacing) if mask.any() else np.full(mask.shape, far)
    return inside - outside
