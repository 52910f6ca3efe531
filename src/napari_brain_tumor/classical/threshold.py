"""Whole tumour by Otsu's threshold.

Otsu 1979 (doi:10.1109/TSMC.1979.4310076) for two classes, Liao 2001 (J. Inf. Sci. Eng. 17:713) for several.
"""

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
from skimage.filters import threshold_multiotsu, threshold_otsu

from napari_brain_tumor.classical.candidate import Candidate, find_candidate
from napari_brain_tumor.classical.enhancing import with_enhancing
from napari_brain_tumor.classical.parts import opened_part
from napari_brain_tumor.classical.scan import Scan, Voxel
from napari_brain_tumor.labels import Region
from napari_brain_tumor.types import Mask

_CLASSES: Final = 4
"""Number of classes: fluid, white matter, grey matter and tumour."""
_LEVELS: Final = (1.0, 2.5)
"""Range of the threshold in robust deviations; without it, Otsu's method would split even homogeneous tissue."""
_BRIDGE_MM: Final = 2.0
_SAMPLE: Final = 400_000


def find_regions(scan: Scan, seeds: Sequence[Voxel] = ()) -> Mapping[Region, Mask]:
    """Find voxels of FLAIR above Otsu's threshold that belong to the brightest asymmetric region."""
    candidate = find_candidate(scan)
    if candidate is None:
        return with_enhancing(scan, np.zeros_like(scan.brain))
    above = scan.brain & (candidate.bright > otsu_level(candidate, scan.brain))
    return with_enhancing(scan, opened_part(above, candidate.seed, scan.spacing_mm, _BRIDGE_MM))


def otsu_level(candidate: Candidate, brain: Mask) -> float:
    """Return the higher of two thresholds: the uppermost of four classes of the brain, and that of its brighter half.

    A small tumour does not form a class of its own besides three normal tissues, and a large one is more than the
    brightest part of the brighter half; the higher threshold is correct in both cases.
    """
    values = candidate.bright[brain]
    values = values[:: max(1, values.size // _SAMPLE)]
    levels = []
    for part, classes in ((values, _CLASSES), (values[values > 0], 2)):
        if np.unique(part).size > classes:
            levels.append(threshold_otsu(part) if classes == 2 else threshold_multiotsu(part, classes)[-1])
    return float(np.clip(max(levels, default=_LEVELS[1]), *_LEVELS))
