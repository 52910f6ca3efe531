"""Brain extraction without a network: scalp, skull and face are removed by thresholding and morphology."""

from collections.abc import Mapping

import numpy as np
from scipy import ndimage

from napari_brain_tumor.classical.parts import depth_in_slices, distance_in_slices, fill_slices
from napari_brain_tumor.classical.scan import Spacing
from napari_brain_tumor.preprocessing.intensity import largest_component
from napari_brain_tumor.study import Role
from napari_brain_tumor.types import Float32Array, Mask

_HALFWAY = 0.5
"""Brightness between air (0) and brain (1) above which a voxel may be brain."""
_FAT = 1.6
"""Upper limit on T1 on the same scale, above which there is fat, but neither brain nor tumour."""
_BRIDGE_MM = 5.0
"""Half the width of connections between brain and scalp, such as nerves and veins, that are cut."""
_SCALP_MM = 9.0
"""Smallest depth in the head at which brain is expected."""
_DEEP_MM = 30.0
"""Depth in the head beyond which there is mostly brain."""


def brain_in_head(channels: Mapping[Role, Float32Array], head: Mask, spacing_mm: Spacing) -> Mask:
    """Find the voxels of the brain within a head that is not skull-stripped.

    The dark skull separates scalp and brain. Remaining connections are cut by an erosion, and the largest part is kept
    and grown back (after Brummer 1993, IEEE TMI 12:153). Distances are measured within slices, so that thick slices are
    treated like thin ones.

    Parameters
    ----------
    channels : mapping of role to (Z, Y, X) float32 array
        FLAIR is used if present, otherwise the last one; T1 is used as well to recognise fat.
    head : (Z, Y, X) bool array
    spacing_mm : tuple of float
        Along Z, Y, X.

    Returns
    -------
    (Z, Y, X) bool array
        Without holes within slices; the whole head if no brain was found in it.
    """
    depth = depth_in_slices(head, spacing_mm)
    deep = depth >= min(_DEEP_MM, 0.6 * float(depth.max(initial=0)))
    if not head.any() or not deep.any():
        return head
    image = channels["FLAIR"] if "FLAIR" in channels else list(channels.values())[-1]
    tissue = head & (_between_air_and_brain(image, head, deep) > _HALFWAY)
    if "T1" in channels:
        tissue &= _between_air_and_brain(channels["T1"], head, deep) < _FAT
    tissue = ndimage.median_filter(tissue.view(np.uint8), (1, 3, 3)).astype(bool)  # fills dark noise voxels
    core = largest_component((depth_in_slices(tissue, spacing_mm) > _BRIDGE_MM) & (depth > _SCALP_MM))
    grown = tissue & (distance_in_slices(core, spacing_mm) <= _BRIDGE_MM + 1)
    brain = fill_slices(grown | core)
    return brain if brain.any() else head


def _between_air_and_brain(image: Float32Array, head: Mask, deep: Mask) -> Float32Array:
    """Scale brightness so that air is 0 and most of the brain 1."""
    air, brain = float(np.percentile(image[head], 1)), float(np.median(image[deep]))
    scaled: Float32Array = (image - np.float32(air)) / np.float32(max(brain - air, 1e-6))
    return scaled
