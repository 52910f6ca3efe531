"""Connected parts of a segmentation."""

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from napari_brain_tumor.geometry import bounding_box

__all__ = ["remove_small_lesions"]

_ALL_26_NEIGHBOURS = np.ones((3, 3, 3), dtype=bool)


def remove_small_lesions(
    classes: npt.NDArray[np.uint8], min_volume_mm3: float, voxel_volume_mm3: float
) -> npt.NDArray[np.uint8]:
    """Classes without the connected parts of the whole tumour that are smaller than a volume.

    Parameters
    ----------
    classes : (Z, Y, X) uint8 array
        Our classes; parts are 26-connected over all of them.
    min_volume_mm3 : float
        Parts of less than this are set to 0; with 0 nothing changes.
    voxel_volume_mm3 : float
        Of one voxel.
    """
    box = bounding_box(classes > 0)
    if min_volume_mm3 <= 0 or box is None:
        return classes
    inside = classes[box.slices]
    parts, _ = ndimage.label(inside, structure=_ALL_26_NEIGHBOURS)
    volumes = np.bincount(parts.ravel()) * voxel_volume_mm3
    keep = volumes >= min_volume_mm3
    keep[0] = False
    result = classes.copy()
    result[box.slices] = inside * keep[parts]
    return result
