"""Connected parts of a segmentation."""

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from napari_brain_tumor.geometry import bounding_box
from napari_brain_tumor.labels import ENHANCING, NON_ENHANCING

_ALL_26_NEIGHBOURS = np.ones((3, 3, 3), dtype=bool)


def remove_small_lesions(
    classes: npt.NDArray[np.uint8], min_volume_mm3: float, voxel_volume_mm3: float, min_share: float = 0.0
) -> npt.NDArray[np.uint8]:
    """Classes without the connected parts of the whole tumour that are smaller than a volume.

    Parameters
    ----------
    classes : (Z, Y, X) uint8 array
        Our classes; parts are 26-connected over all of them.
    min_volume_mm3 : float
        Parts of less than this are set to 0.
    voxel_volume_mm3 : float
        Of one voxel.
    min_share : float
        So are parts of less than this share of the largest part, from 0 to 1; it needs no voxel size.
    """
    box = bounding_box(classes > 0)
    if max(min_volume_mm3, min_share) <= 0 or box is None:
        return classes
    inside = classes[box.slices]
    parts, _ = ndimage.label(inside, structure=_ALL_26_NEIGHBOURS)
    volumes = np.bincount(parts.ravel()) * voxel_volume_mm3
    volumes[0] = 0
    keep = volumes >= max(min_volume_mm3, min_share * volumes.max())
    keep[0] = False
    result = classes.copy()
    result[box.slices] = inside * keep[parts]
    return result


def relabel_small_enhancing(
    classes: npt.NDArray[np.uint8], min_volume_mm3: float, voxel_volume_mm3: float
) -> npt.NDArray[np.uint8]:
    """Classes with the enhancing voxels made non-enhancing if all of them together are less than a volume.

    A tumour that enhances nowhere is common among low grades; a few voxels called enhancing are then false. The rule
    is that of the BraTS 2020 winner (Isensee 2020, arXiv:2011.00848).

    Parameters
    ----------
    classes : array of uint8
        Our classes.
    min_volume_mm3 : float
        With 0 nothing changes.
    voxel_volume_mm3 : float
        Of one voxel.
    """
    enhancing = classes == ENHANCING
    if enhancing.sum() * voxel_volume_mm3 >= min_volume_mm3:
        return classes
    return np.where(enhancing, np.uint8(NON_ENHANCING), classes)


def count_parts(classes: npt.NDArray[np.uint8]) -> int:
    """Number of 26-connected parts of all classes together."""
    return int(ndimage.label(classes > 0, structure=_ALL_26_NEIGHBOURS)[1])
