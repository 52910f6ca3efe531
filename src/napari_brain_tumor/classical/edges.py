"""Whole tumour by its edge: a watershed on the gradient of FLAIR, from markers inside and outside.

Meyer 1994, doi:10.1016/0165-1684(94)90060-4.
"""

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
from scipy import ndimage
from skimage.segmentation import watershed

from napari_brain_tumor.classical.candidate import Candidate, find_candidate, half_height
from napari_brain_tumor.classical.enhancing import with_enhancing
from napari_brain_tumor.classical.parts import fill_slices, opened_part
from napari_brain_tumor.classical.scan import Scan, Voxel
from napari_brain_tumor.geometry import Box, bounding_box
from napari_brain_tumor.labels import Region
from napari_brain_tumor.types import Mask

_INSIDE: Final = 1.3
"""Brightness, relative to the half height, above which voxels connected to the seed are certainly tumour."""
_OUTSIDE: Final = 0.6
"""Brightness, relative to the half height, below which a voxel is certainly not tumour."""
_REACH_MM: Final = 20.0
"""Distance from the inner marker's box beyond which there is no tumour."""
_BRIDGE_MM: Final = 2.0
_SIGMA: Final = 0.7
"""Width of the Gaussian gradient in voxels; small, because the image has already been smoothed."""


def find_regions(scan: Scan, seeds: Sequence[Voxel] = ()) -> Mapping[Region, Mask]:
    """Find voxels that the watershed assigns to the bright region rather than to normal tissue."""
    candidate = find_candidate(scan)
    whole = np.zeros_like(scan.brain)
    if candidate is not None:
        above = scan.brain & (candidate.bright > _INSIDE * half_height(candidate))
        inside = opened_part(above, candidate.seed, scan.spacing_mm, _BRIDGE_MM)
        box = _around(inside, scan)
        whole[box.slices] = _flooded(candidate, inside, scan.brain, box)
    return with_enhancing(scan, whole)


def _around(inside: Mask, scan: Scan) -> Box:
    box = bounding_box(inside) or Box.whole(inside.shape)
    z, y, x = (int(np.ceil(_REACH_MM / step)) for step in scan.spacing_mm)
    return box.grown((z, y, x), inside.shape)


def _flooded(candidate: Candidate, inside: Mask, brain: Mask, box: Box) -> Mask:
    bright, allowed = candidate.bright[box.slices], brain[box.slices]
    outside = ~allowed | (bright < _OUTSIDE * half_height(candidate))
    slope = ndimage.gaussian_gradient_magnitude(bright, _SIGMA)
    markers = np.where(inside[box.slices], 1, np.where(outside, 2, 0)).astype(np.int32)
    return fill_slices(watershed(slope, markers) == 1) & allowed
