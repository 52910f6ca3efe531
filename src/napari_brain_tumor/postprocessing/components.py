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
    """Remove connected parts of the whole tumour that are smaller than a given volume.

    Parameters
    ----------
    classes : (Z, Y, X) uint8 array
        Label array with the package's class numbers; parts are 26-connected across all classes.
    min_volume_mm3 : float
        Parts with less than this volume are set to 0.
    voxel_volume_mm3 : float
        Volume of one voxel.
    min_share : float
        Parts smaller than this fraction (0 to 1) of the largest part are also set to 0; needs no voxel size.
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
    """Relabel enhancing voxels as non-enhancing if their total volume is less than a given volume.

    Many low-grade tumours do not enhance, and a few voxels labelled as enhancing are then false positives. This rule is
    from the winner of BraTS 2020 (Isensee 2020, arXiv:2011.00848).

    Parameters
    ----------
    classes : array of uint8
        Label array with the package's class numbers.
    min_volume_mm3 : float
        With 0, nothing is changed.
    voxel_volume_mm3 : float
        Volume of one voxel.
    """
    enhancing = classes == ENHANCING
    if enhancing.sum() * voxel_volume_mm3 >= min_volume_mm3:
        return classes
    return np.where(enhancing, np.uint8(NON_ENHANCING), classes)


def count_parts(classes: npt.NDArray[np.uint8]) -> int:
    """Count the 26-connected parts of all classes combined."""
    return int(ndimage.label(classes > 0, structure=_ALL_26_NEIGHBOURS)[1])
