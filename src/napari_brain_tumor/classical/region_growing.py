"""Whole tumour by region growing from seed points, in all sequences together.

This is the confidence-connected scheme of ITK (Adams 1994, doi:10.1109/34.295913; ITK Software Guide, section 4.1.3):
connected voxels with a small Mahalanobis distance to the region's mean are added, then mean and covariance are updated.
ITK's own vector filter has two drawbacks: it defines a seed's neighbourhood in voxels, which includes distant tissue if
slices are thick, and it stalls in saturated regions, whose covariance is zero. Here the neighbourhood is defined in
millimetres, and the covariance is at least that of noise. SimpleITK finds the connected region. The distance is raised
until the region leaks into normal tissue and its volume explodes, in the way that Mori 2000 (IEEE TMI 19:103) found
the largest bronchial tree.
"""

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
import SimpleITK as sitk

from napari_brain_tumor.classical.candidate import find_candidate
from napari_brain_tumor.classical.enhancing import with_enhancing
from napari_brain_tumor.classical.parts import fill_slices, opened_part
from napari_brain_tumor.classical.scan import Scan, Voxel, clipped_brightness, smooth
from napari_brain_tumor.labels import Region
from napari_brain_tumor.study import Role
from napari_brain_tumor.types import Float32Array, Mask

_SEQUENCES: Final[tuple[Role, ...]] = ("FLAIR", "T2", "T1")
"""T1c is left out, because it separates the enhancing rim from the rest of the tumour, which should be one region."""
_DISTANCES: Final = (1.5, 1.75, 2.0, 2.25, 2.5, 2.75, 3.0)
"""Limits of the Mahalanobis distance, tried in this order; ITK's default is 2.5."""
_EXPLOSION: Final = 2.0
"""Factor of growth in volume from one limit to the next that indicates leakage."""
_ITERATIONS: Final = 4
_RADIUS_MM: Final = 4.0
"""Radius of the neighbourhood of a seed from which the initial mean is computed."""
_LEAST_DEVIATION: Final = 0.5
"""Smallest standard deviation of a region in each sequence, in robust deviations of the brain."""
_NOISE_MM: Final = 1.5
_BRIDGE_MM: Final = 2.0


def find_regions(scan: Scan, seeds: Sequence[Voxel] = ()) -> Mapping[Region, Mask]:
    """Grow regions from the seeds `(z, y, x)`; without seeds, from the brightest asymmetric region."""
    start = list(seeds)
    if not start:
        candidate = find_candidate(scan)
        start = [candidate.seed] if candidate is not None else []
    whole = np.zeros_like(scan.brain)
    for seed in start:
        grown = grow(scan, seed)
        whole |= opened_part(grown, seed, scan.spacing_mm, _BRIDGE_MM)
    return with_enhancing(scan, fill_slices(whole) & scan.brain)


def grow(scan: Scan, seed: Voxel) -> Mask:
    """Return the largest region `(Z, Y, X)` that grows from the seed without leaking into normal tissue."""
    images = np.stack([_values(scan, role) for role in _SEQUENCES if role in scan.channels])
    start = _neighbourhood(scan, seed)
    largest = start
    for distance in _DISTANCES:
        region = _grown(images, scan.brain, start, distance)
        if largest is not start and np.count_nonzero(region) > _EXPLOSION * np.count_nonzero(largest):
            break
        largest = region
    return largest


def _values(scan: Scan, role: Role) -> Float32Array:
    """Return the smoothed brightness of the brain's voxels, `(N,)`."""
    bright = clipped_brightness(scan.channels[role], scan.brain)
    return smooth(bright, scan.brain, scan.spacing_mm, _NOISE_MM)[scan.brain]


def _neighbourhood(scan: Scan, seed: Voxel) -> Mask:
    """Return the brain voxels within a few millimetres of the seed."""
    away = [
        ((np.arange(n) - at) * step) ** 2 for n, at, step in zip(scan.brain.shape, seed, scan.spacing_mm, strict=True)
    ]
    z, y, x = np.ix_(*away)
    return np.asarray(scan.brain & (z + y + x <= _RADIUS_MM**2))


def _grown(images: Float32Array, brain: Mask, start: Mask, limit: float) -> Mask:
    """Grow the region within a limit, updating its mean and covariance a few times."""
    distance = np.full(brain.shape, np.inf, dtype=np.float32)
    points = [tuple(int(i) for i in voxel[::-1]) for voxel in np.argwhere(start)]
    region = start
    for _ in range(_ITERATIONS):
        distance[brain] = _mahalanobis(images, region[brain])
        connected = sitk.ConnectedThreshold(sitk.GetImageFromArray(distance), points, lower=0.0, upper=limit)
        region = region | (sitk.GetArrayFromImage(connected) > 0)
    return region


def _mahalanobis(values: Float32Array, region: Mask) -> Float32Array:
    """Return the Mahalanobis distances `(N,)` of values `(C, N)` to the region's mean."""
    inside = values[:, region].astype(np.float64)
    mean = inside.mean(axis=1, keepdims=True)
    covariance = np.atleast_2d(np.cov(inside, bias=True)) + _LEAST_DEVIATION**2 * np.eye(len(mean))
    whiten = np.linalg.cholesky(np.linalg.inv(covariance)).T.astype(np.float32)
    offsets: Float32Array = whiten @ (values - mean.astype(np.float32))
    distances: Float32Array = np.linalg.norm(offsets, axis=0)
    return distances
