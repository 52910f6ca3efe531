"""Registration of the template to a brain: an affine map, then a smooth deformation robust against tumours.

Both minimise the squared difference between the scan and the intensities expected from the template's tissues, in all
sequences and the brain's outline together. The brightness of the tissues is fitted again in every step. Voxels that
deviate more have less weight, so that a tumour neither stretches the template nor changes what is expected. The affine
map is found by Gauss-Newton steps (after Ashburner 1997, doi:10.1006/nimg.1997.0290). The deformation is found by such
steps in Gaussian windows (Lucas and Kanade 1981, IJCAI 81:674), and does not follow structures smaller than these.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from typing import Final

import numpy as np
from scipy import ndimage

from napari_brain_tumor.classical.scan import Scan
from napari_brain_tumor.classical.template import tissue_template
from napari_brain_tumor.classical.template_level import Expectation, Level, expected, level_of, sampled, weights_of
from napari_brain_tumor.progress import Job, Progress
from napari_brain_tumor.types import Float32Array, Float64Array, Mask

LEAST_OVERLAP: Final = 0.9
"""Smallest Dice of the brain and the template's brain for the fit to be trusted; 23 brains reached .944 to .972."""

_COARSE_MM, _FINE_MM = 6.0, 3.0
_COARSE_STEPS, _FINE_STEPS, _WARP_STEPS = 25, 15, 12
_NODS: Final = (-0.25, 0.0, 0.25)
"""Starting angles of nodding, in radians."""
_SHIFTS_MM: Final = (-30.0, -15.0, 0.0, 15.0, 30.0)
"""Starting shifts along Z for a scan of part of the brain."""
_CUT: Final = 0.3
"""Relative area of the first or last slice from which the brain is assumed to extend beyond the scan."""
_OUTLINE: Final = 40.0
"""Weight of the brain's outline relative to all sequences together."""
_DAMPING: Final = 1e-3
_STILL_MM, _STILL = 0.02, 2e-4
"""Step sizes at which the search ends."""
_FEWEST_VOXELS: Final = 50
_WINDOW_MM: Final = 10.0
_STIFF: Final = 0.05
"""Regularisation where the template has no edges, as a fraction of the usual steepness."""
_SMOOTH_MM: Final = 3.0
_STEP_MM, _FARTHEST_MM = 4.0, 15.0
"""Largest displacement by the deformation, in one step and in total."""


@dataclass(frozen=True, slots=True, eq=False)
class TemplateFit:
    """The template registered to a brain.

    Parameters
    ----------
    shares : (3, Z, Y, X) float32 array
        Shares of the template's tissues in the voxels of the scan's brain; 0 where the template has no brain.
    overlap : float
        Dice of the brain and the template's brain within the scan, before the deformation.
    """

    shares: Float32Array
    overlap: float

    @property
    def trusted(self) -> bool:
        """Whether the template and the brain overlap sufficiently."""
        return self.overlap >= LEAST_OVERLAP


@dataclass(frozen=True, slots=True, eq=False)
class _Affine:
    """Map from points of the scan to positions in the template in mm: `matrix @ (point - centre) + shift`."""

    matrix: Float64Array
    shift: Float64Array
    centre: Float64Array

    def apply(self, points: Float64Array) -> Float64Array:
        flat = points.reshape(3, -1)
        places: Float64Array = self.matrix @ (flat - self.centre[:, None]) + self.shift[:, None]
        return places.reshape(points.shape)

    def moved(self, step: Float64Array) -> "_Affine":
        """Return a copy with a `(3, 4)` step added to matrix and shift."""
        return _Affine(self.matrix + step[:, :3], self.shift + step[:, 3], self.centre)


@dataclass(frozen=True, slots=True, eq=False)
class _Comparison:
    """Scan and template at one placement: residuals of outline and images, and weights of the voxels."""

    shares: Float32Array
    core: Mask
    outline: Float32Array
    rest: Float32Array
    distances: Float32Array
    expectation: Expectation


def fit_template_job(scan: Scan) -> Job[TemplateFit | None]:
    """Register the template to a brain, as a job; None if there is too little brain.

    Parameters
    ----------
    scan : Scan
        A brain, or part of one with its complete outline in the slices; in any sequences.
    """
    coarse, fine = level_of(scan, _COARSE_MM), level_of(scan, _FINE_MM)
    starts = list(_beginnings(coarse)) if scan.brain.any() else []
    placements = []
    for number, start in enumerate(starts):
        yield Progress(0.3 * number / len(starts), 1, "registering the template to the brain")
        placements.append(_aligned(coarse, start, _COARSE_STEPS))
    cost, best = min(placements, key=lambda pair: pair[0], default=(np.inf, None))
    if best is None or not np.isfinite(cost):
        return None
    yield Progress(0.3, 1, "registering the template to the brain")
    _, best = _aligned(fine, best, _FINE_STEPS)
    overlap = _overlap(fine, best)
    warp = np.zeros_like(fine.points)
    weights = np.ones(fine.inside.shape, dtype=np.float32)
    for step in range(_WARP_STEPS):
        yield Progress(0.4 + 0.5 * step / _WARP_STEPS, 1, "deforming the template to the brain")
        warp, weights = _warped(fine, best, warp, weights)
    yield Progress(0.9, 1, "deforming the template to the brain")
    return TemplateFit(_shares_on(scan, fine, best, warp), overlap)


# Affine --------------------------------------------------------------------------------------------------------------


def _beginnings(level: Level) -> Iterator[_Affine]:
    """Yield starting positions with aligned centres and extents, several nods, and shifts if the brain is cut off."""
    template = tissue_template()
    places = np.indices(template.shares.shape[1:], dtype=np.float64) * template.spacing_mm
    centre, extent = _moments(level.inside, level.points)
    shift, extents = _moments(template.shares.sum(axis=0), places)
    scale = extents / extent
    areas = level.inside.sum(axis=(1, 2))
    cut = bool(max(areas[0], areas[-1]) > _CUT * areas.max())
    if cut:
        scale[0] = np.sqrt(scale[1] * scale[2])
    for nod, along in product(_NODS, _SHIFTS_MM if cut else (0.0,)):
        turn = np.array([[np.cos(nod), -np.sin(nod), 0], [np.sin(nod), np.cos(nod), 0], [0, 0, 1]])
        yield _Affine(np.diag(scale) @ turn, shift + np.array([along, 0, 0]), centre)


def _moments(mass: Float32Array, points: Float64Array) -> tuple[Float64Array, Float64Array]:
    """Return the centre of mass and the standard deviations around it along Z, Y, X."""
    total = float(mass.sum())
    centre = (points * mass).sum(axis=(1, 2, 3)) / total
    spread = (((points - centre[:, None, None, None]) ** 2) * mass).sum(axis=(1, 2, 3)) / total
    return centre, np.sqrt(np.maximum(spread, 1.0))


def _aligned(level: Level, affine: _Affine, steps: int) -> tuple[float, _Affine]:
    """Run Gauss-Newton steps from a starting position; returns final cost (infinite without overlap) and map."""
    weights = np.ones(level.inside.shape, dtype=np.float32)
    cost = np.inf
    for _ in range(steps):
        places = affine.apply(level.points)
        comparison = _compared(level, places, weights)
        if comparison is None:
            return np.inf, affine
        weights = np.where(comparison.core, weights_of(comparison.distances), np.float32(0))
        cost = _cost(level, comparison)
        step = _affine_step(level, affine, places, comparison, weights)
        affine = affine.moved(step)
        if np.abs(step[:, 3]).max() < _STILL_MM and np.abs(step[:, :3]).max() < _STILL:
            break
    return cost, affine


def _compared(level: Level, places: Float64Array, weights: Float32Array) -> _Comparison | None:
    """Compare scan and template at positions `(3, Z, Y, X)`; None if they hardly overlap."""
    shares = sampled(level.tissues, places)
    brain = shares.sum(axis=0)
    core = (level.inside > 0.5) & (brain > 0.5)
    if core.sum() < _FEWEST_VOXELS:
        return None
    expectation = expected(shares, level.images, weights, core)
    rest = (level.images - np.tensordot(expectation.brightness, shares, 1)).astype(np.float32)
    spread = expectation.spread[:, None, None, None].astype(np.float32)
    distances = ((rest / spread) ** 2).mean(axis=0)
    return _Comparison(shares, core, level.inside - brain, rest, distances, expectation)


def _cost(level: Level, comparison: _Comparison) -> float:
    apart = comparison.distances[comparison.core]
    robust = float((apart / (1 + apart / 6.25)).sum())
    return (_OUTLINE * float((comparison.outline**2).sum()) + robust) / float((level.inside > 0.5).sum())


def _affine_step(
    level: Level, affine: _Affine, places: Float64Array, comparison: _Comparison, weights: Float32Array
) -> Float64Array:
    near = (level.inside > 0) | (comparison.shares.sum(axis=0) > 0.02)
    slopes = _slopes_at(level, places[:, near])
    offsets = level.points[:, near] - affine.centre[:, None]
    arms = np.vstack([offsets, np.ones(offsets.shape[1])])
    hessian, gradient = np.zeros((12, 12)), np.zeros(12)
    for rest, slope, weight in _terms(comparison, slopes, weights, near):
        directions = (slope[:, None, :] * arms[None]).reshape(12, -1)
        hessian += (directions * weight) @ directions.T
        gradient += (directions * weight) @ rest
    hessian += np.diag(np.diag(hessian)) * _DAMPING + np.eye(12) * 1e-6 * np.trace(hessian) / 12
    step: Float64Array = np.asarray(np.linalg.solve(hessian, gradient), dtype=np.float64).reshape(3, 4)
    return step


def _slopes_at(level: Level, places: Float64Array) -> Float32Array:
    """Return the gradients `(3 tissues, 3 axes, ...)` of the template's shares at the given positions."""
    return np.stack([sampled(slopes, places) for slopes in level.slopes])


def _terms(
    comparison: _Comparison, slopes: Float32Array, weights: Float32Array, where: Mask
) -> Iterator[tuple[Float32Array, Float32Array, Float32Array]]:
    """Yield residual, its gradient along the template's axes and its weight, for the outline and each sequence."""
    outline = comparison.outline[where]
    yield outline, slopes.sum(axis=0), np.full_like(outline, _OUTLINE)
    expectation, sequences = comparison.expectation, len(comparison.rest)
    for rest, brightness, spread in zip(comparison.rest, expectation.brightness, expectation.spread, strict=True):
        slope = np.tensordot(brightness.astype(np.float32), slopes, 1)
        yield rest[where], slope, weights[where] / np.float32(spread**2 * sequences)


def _overlap(level: Level, affine: _Affine) -> float:
    """Return the Dice of brain and template within the scan."""
    other = sampled(level.tissues, affine.apply(level.points)).sum(axis=0)
    both = np.minimum(level.inside, other).sum()
    return float(2 * both / (level.inside.sum() + other.sum()))


# Deformation ---------------------------------------------------------------------------------------------------------


def _warped(
    level: Level, affine: _Affine, warp: Float64Array, weights: Float32Array
) -> tuple[Float64Array, Float32Array]:
    """Take one step of the deformation `(3, Z, Y, X)` in the template's mm; returns it and the weights for the next."""
    places = affine.apply(level.points) + warp
    comparison = _compared(level, places, weights)
    if comparison is None:
        return warp, weights
    weights = np.where(comparison.core, weights_of(comparison.distances), np.float32(0))
    everywhere = np.ones(level.inside.shape, dtype=bool)
    slopes = _slopes_at(level, places[:, everywhere])
    pull, steepness = np.zeros((3, everywhere.size)), np.zeros((3, 3, everywhere.size))
    for rest, slope, weight in _terms(comparison, slopes, weights, everywhere):
        pull += weight * rest * slope
        steepness += weight * slope[:, None] * slope[None]
    step = _solved(_in_windows(pull, level), _in_windows(steepness, level), comparison.core)
    warp = warp + np.clip(step, -_STEP_MM, _STEP_MM)
    warp = np.stack([ndimage.gaussian_filter(part, _sigmas(level, _SMOOTH_MM)) for part in warp])
    length = np.sqrt((warp**2).sum(axis=0))
    return warp * np.minimum(1, _FARTHEST_MM / np.maximum(length, 1e-6)), weights


def _in_windows(fields: Float64Array, level: Level) -> Float64Array:
    """Return Gaussian means of fields `(..., voxels)` over the window, as `(..., Z, Y, X)`."""
    shaped = fields.reshape(*fields.shape[:-1], *level.inside.shape)
    sigmas = (0,) * (shaped.ndim - 3) + tuple(_sigmas(level, _WINDOW_MM))
    means: Float64Array = ndimage.gaussian_filter(shaped, sigmas, truncate=3)
    return means


def _solved(pull: Float64Array, steepness: Float64Array, core: Mask) -> Float64Array:
    usual = float(np.median(np.trace(steepness)[core]))
    matrices = np.moveaxis(steepness, (0, 1), (-2, -1)) + (_STIFF * usual + 1e-9) * np.eye(3)
    steps = np.asarray(np.linalg.solve(matrices, np.moveaxis(pull, 0, -1)[..., None])[..., 0], dtype=np.float64)
    return np.moveaxis(steps, -1, 0)


def _sigmas(level: Level, size_mm: float) -> list[float]:
    return [size_mm / step for step in level.spacing_mm]


def _shares_on(scan: Scan, level: Level, affine: _Affine, warp: Float64Array) -> Float32Array:
    """Resample the template's shares to the voxels of the scan's brain."""
    voxels = np.stack(np.nonzero(scan.brain)).astype(np.float64)
    factors = np.array(level.factors)[:, None]
    small = (voxels - (factors - 1) / 2) / factors
    moved = np.stack([ndimage.map_coordinates(part, small, order=1, mode="nearest") for part in warp])
    places = affine.apply(voxels * np.array(scan.spacing_mm)[:, None]) + moved
    shares = np.zeros((3, *scan.brain.shape), dtype=np.float32)
    shares[:, scan.brain] = sampled(tissue_template().shares, places)
    return shares
