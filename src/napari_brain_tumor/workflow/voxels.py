"""Which voxels may get labels, how small a part of them may be, and how their outlines are smoothed."""

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
    """Size in mm3 below which parts are removed."""
    return info.min_lesion_mm3 if request.min_lesion_mm3 is None else request.min_lesion_mm3


def allowed_voxels(prepared: Prepared, box: WorldBox | None) -> tuple[npt.NDArray[np.bool_], Box | None]:
    """Voxels `(Z, Y, X)` of the prepared block that may get labels, and the block of them where a box was given.

    Raises
    ------
    BoxError
        If nothing of the brain or head lies in the box.
    """
    if box is None:
        return prepared.mask, None
    x_first = Box(prepared.box.start[::-1], prepared.box.stop[::-1])
    inside = inside_box(prepared.work.grid.cropped(x_first), box).T
    if prepared.work.resampled:
        # The scan's voxels at its border may be nearest to the next ones of the network.
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
    """Values `(Z, Y, X)` after a Gaussian of that standard deviation in mm (voxels where their size is not known).

    Only what lies within counts, so that an outline along the brain's border stays where it is.
    """
    grid = prepared.work.grid
    sigma = [width_mm / step for step in reversed(grid.spacing)] if grid.unit == "mm" else width_mm
    known = ndimage.gaussian_filter(inside.astype(np.float32), sigma)
    smooth = ndimage.gaussian_filter(values.astype(np.float32) * inside, sigma)
    return np.divide(smooth, known, out=np.zeros_like(smooth), where=inside)
