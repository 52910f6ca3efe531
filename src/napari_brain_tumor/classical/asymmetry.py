"""Whole tumour by asymmetry between the two halves of the brain.

The brain is mirrored in its mid-sagittal plane; tissue that is brighter than normal and brighter than its mirror image
is labelled as tumour (Khotanlou 2009, Fuzzy Sets and Systems 160:1457).
"""

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np

from napari_brain_tumor.classical.candidate import find_candidate, half_height
from napari_brain_tumor.classical.enhancing import with_enhancing
from napari_brain_tumor.classical.parts import opened_part
from napari_brain_tumor.classical.scan import Scan, Voxel, smooth
from napari_brain_tumor.labels import Region
from napari_brain_tumor.types import Mask

_TOLERANCE_MM: Final = 3.0
"""Distance by which structures in the two halves of a healthy brain may be displaced."""
_BRIDGE_MM: Final = 2.0


def find_regions(scan: Scan, seeds: Sequence[Voxel] = ()) -> Mapping[Region, Mask]:
    """Find voxels that are bright and, averaged over a few millimetres, brighter than the mirrored position."""
    candidate = find_candidate(scan)
    if candidate is None:
        return with_enhancing(scan, np.zeros_like(scan.brain))
    level = half_height(candidate)
    excess = smooth(candidate.excess, scan.brain, scan.spacing_mm, _TOLERANCE_MM)
    tumour = scan.brain & (candidate.bright > level) & (excess > level / 2)
    return with_enhancing(scan, opened_part(tumour, candidate.seed, scan.spacing_mm, _BRIDGE_MM))
