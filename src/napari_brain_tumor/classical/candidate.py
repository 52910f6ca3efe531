"""Where a tumour probably is: the brightest region that has no bright mirror image."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from napari_brain_tumor.classical.scan import Scan, Voxel, clipped_brightness, smooth
from napari_brain_tumor.classical.symmetry import find_mirror_plane
from napari_brain_tumor.types import Float32Array

_NOISE_MM: Final = 1.5
_REGION_MM: Final = 5.0
"""Deviation of the Gaussian over which a region is sought: small veins and the rim of the cortex do not count."""
_LEAST_PEAK: Final = 1.25
"""Height of the peak, in robust deviations, below which there is no tumour to be seen."""


@dataclass(frozen=True, slots=True, eq=False)
class Candidate:
    """The brightest asymmetric region.

    Parameters
    ----------
    bright : (Z, Y, X) float32 array
        Smoothed brightness in robust deviations from normal tissue, 0 outside the brain.
    excess : (Z, Y, X) float32 array
        By how much that is more than at the mirrored place.
    seed : tuple of int
        Voxel `(z, y, x)` in the middle of the region.
    peak : float
        Brightness of the region around the seed.
    """

    bright: Float32Array
    excess: Float32Array
    seed: Voxel
    peak: float


def find_candidate(scan: Scan) -> Candidate | None:
    """The brightest asymmetric region of FLAIR (T2 without it), or None where nothing stands out.

    A place counts by the smaller of its brightness and its excess over the mirrored place: normal bright structures
    are symmetric, and a dark region opposite does not make normal tissue bright.
    """
    if not scan.brain.any():
        return None
    level = clipped_brightness(scan.bright, scan.brain)
    plane = find_mirror_plane(level, scan.brain, scan.spacing_mm)
    bright = smooth(level, scan.brain, scan.spacing_mm, _NOISE_MM)
    excess = bright - plane.mirror(bright, scan.spacing_mm)
    excess[~scan.brain] = 0
    # Not weighted by the brain: its rim, where mirroring is least exact, shall count less.
    height = smooth(np.minimum(bright, excess), np.ones_like(scan.brain), scan.spacing_mm, _REGION_MM)
    height[~scan.brain] = -np.inf
    z, y, x = (int(i) for i in np.unravel_index(int(height.argmax()), height.shape))
    peak = float(height[z, y, x])
    return Candidate(bright, excess, (z, y, x), peak) if peak >= _LEAST_PEAK else None


def half_height(candidate: Candidate) -> float:
    """Brightness half way between normal tissue (0) and the region, between 1 and 2.5 robust deviations."""
    return float(np.clip(candidate.peak / 2, 1.0, 2.5))
