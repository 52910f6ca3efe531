"""Enhancing tumour: the part of the whole tumour that became bright with contrast agent."""

from collections.abc import Mapping
from typing import Final

import numpy as np
from skimage.filters import threshold_otsu

from napari_brain_tumor.classical.scan import Scan, brightness, smooth
from napari_brain_tumor.labels import Region
from napari_brain_tumor.types import Float32Array, Mask

_NOISE_MM: Final = 0.7
_LEAST: Final = 3.0
"""Smallest enhancement, in robust deviations of T1c minus T1 over the brain."""


def with_enhancing(scan: Scan, whole: Mask) -> Mapping[Region, Mask]:
    """Return the whole tumour, and its enhancing part if T1 and T1c are present.

    The threshold is Otsu's (Otsu 1979, doi:10.1109/TSMC.1979.4310076) for the enhancement within the whole tumour, but
    at least three robust deviations over the brain: otherwise noise would be split in tumours that do not enhance.

    Parameters
    ----------
    whole : (Z, Y, X) bool array
        The whole tumour.
    """
    if not {"T1", "T1c"} <= set(scan.channels):
        return {"WT": whole}
    gain = enhancement(scan)
    values = gain[whole]
    level = max(_LEAST, float(threshold_otsu(values))) if np.unique(values).size > 1 else _LEAST
    bright = whole & (gain > level)
    return {"WT": whole, "ET": bright}


def enhancement(scan: Scan) -> Float32Array:
    """Return T1c minus T1 `(Z, Y, X)`, in robust deviations of the brain, rescaled to those of the difference."""
    before, after = (brightness(scan.channels[role], scan.brain) for role in ("T1", "T1c"))
    difference = smooth(np.clip(after, -4, 12) - np.clip(before, -4, 12), scan.brain, scan.spacing_mm, _NOISE_MM)
    return brightness(difference, scan.brain)
