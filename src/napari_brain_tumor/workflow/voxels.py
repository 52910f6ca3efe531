"""Which voxels may be labelled, how small a labelled part may be, and how outlines are smoothed."""

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from napari_brain_tumor.catalogue import Baseline
from napari_brain_tumor.errors import BoxError
from napari_brain_tumor.geometry import Box, bounding_box
from napari_brain_tumor.models.cards import ModelInfo
from napari_brain_tumor.preprocessing.pipeline import Prepared
from napari_brain_tumor.preprocessing.world_box import WorldBox, inside_box
from napari_brain_tumor.requests.segment import SegmentRequest


def smallest_part(info: ModelInfo | Baseline, request: SegmentRequest) -> float:
    """Return the size in mm3 below which parts are removed."""
    return info.min_lesion_mm3 if request.min_lesion_mm3 is None else request.min_lesion_mm3


def allowed_voxels(prepared: Prepared, box: WorldBox | None) -> tuple[npt.NDArray[np.bool_], Box | None]:
    """Return the voxels `(Z, Y, X)` that may be labelled, and their bounding box if `box` is given.

    Raises
    ------
    BoxError
        If the box contains no part of the brain or head.
    """
    if box is None:
        return prepared.mask, None
    x_first = Box(prepared.box.start[::-1], prepared.box.stop[::-1])
    inside = inside_box(prepared.work.grid.cropped(x_first), box).T
    if prepared.work.resampled:
        # On a resampled grid, scan voxels at the edge of the box may be nearest to network voxels just outside it.
        inside = ndimage.binary_dilation(inside, np.ones((3, 3, 3), dtype=bool))
    mask = prepared.mask & inside
    within = bounding_box(mask)
    if within is None:
        raise BoxError(
            f"The box {','.join(f'{end:g}' for end in box)} contains no part of the brain, and tumours are only "
            "searched for there. Draw it over the brain; its numbers are x0,x1,y0,y1,z0,z1."
        )
    return mask, within


def smoothed(
    values: npt.NDArray[Any], inside: npt.NDArray[np.bool_], prepared: Prepared, width_mm: float
) -> npt.NDArray[np.float32]:
    """Smooth values `(Z, Y, X)` with a Gaussian of standard deviation `width_mm` (in voxels if their size is unknown).

    Only voxels in `inside` contribute, so an outline along the edge of the brain stays where it is.
    """
    grid = prepared.work.grid
    sigma = [width_mm / step for step in reversed(grid.spacing)] if grid.unit == "mm" else width_mm
    known = ndimage.gaussian_filter(inside.astype(np.float32), sigma)
    smooth = ndimage.gaussian_filter(values.astype(np.float32) * inside, sigma)
    return np.divide(smooth, known, out=np.zeros_like(smooth), where=inside)
