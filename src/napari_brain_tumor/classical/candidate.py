"""Find the probable position of a tumour: the brightest region without a bright mirror image."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from napari_brain_tumor.classical.scan import Scan, Voxel, clipped_brightness, smooth
from napari_brain_tumor.classical.symmetry import find_mirror_plane
from napari_brain_tumor.types import Float32Array

_NOISE_MM: Final = 1.5
_REGION_MM: Final = 5.0
"""Standard deviation of the Gaussian used for finding regions; it suppresses small veins and the cortical rim."""
_LEAST_PEAK: Final = 1.25
"""Smallest peak, in robust deviations, below which no tumour is visible."""


@dataclass(frozen=True, slots=True, eq=False)
class Candidate:
    """The brightest asymmetric region.

    Parameters
    ----------
    bright : (Z, Y, X) float32 array
        Smoothed brightness in robust deviations from normal tissue, 0 outside the brain.
    excess : (Z, Y, X) float32 array
        Difference from the brightness at the mirrored position.
    seed : tuple of int
        Voxel `(z, y, x)` in the centre of the region.
    peak : float
        Brightness of the region around the seed.
    """

    bright: Float32Array
    excess: Float32Array
    seed: Voxel
    peak: float


def find_candidate(scan: Scan) -> Candidate | None:
    """Find the brightest asymmetric region of FLAIR (or else of T2), or None if nothing stands out.

    A position is rated by its brightness or its excess over the mirrored position, whichever is smaller: normal bright
    structures are symmetric, and a dark region on the other side does not make normal tissue bright.
    """
    if not scan.brain.any():
        return None
    level = clipped_brightness(scan.bright, scan.brain)
    plane = find_mirror_plane(level, scan.brain, scan.spacing_mm)
    bright = smooth(level, scan.brain, scan.spacing_mm, _NOISE_MM)
    excess = bright - plane.mirror(bright, scan.spacing_mm)
    excess[~scan.brain] = 0
    # Not normalised by the brain mask, so that its rim, where mirroring is least accurate, has less influence.
    height = smooth(np.minimum(bright, excess), np.ones_like(scan.brain), scan.spacing_mm, _REGION_MM)
    height[~scan.brain] = -np.inf
    z, y, x = (int(i) for i in np.unravel_index(int(height.argmax()), height.shape))
    peak = float(height[z, y, x])
    return Candidate(bright, excess, (z, y, x), peak) if peak >= _LEAST_PEAK else None


def half_height(candidate: Candidate) -> float:
    """Return the value half way between normal tissue (0) and the region, between 1 and 2.5 robust deviations."""
    return float(np.clip(candidate.peak / 2, 1.0, 2.5))
