"""Refinement of the brain's mirror plane.

`classical.symmetry` searches on a coarse voxel grid. Planes along the grid axes map this grid onto itself without
interpolation blur, so that search favours them. Here the image is compared with its mirror image at points off the
grid, so that rotated and shifted planes are treated equally.
"""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from scipy import ndimage, optimize

from napari_brain_tumor.classical.scan import Spacing
from napari_brain_tumor.classical.symmetry import MirrorPlane
from napari_brain_tumor.types import Float32Array, Float64Array, Mask

_STEP_MM: Final = 4.0
"""Spacing of the points at which the image is compared, and width of the preceding blur."""
_DARK, _BRIGHT = -3.0, 0.5
"""Range of brightness that is compared; bright parts are clipped, lest a tumour be matched with its mirror image."""
_UNITS: Final = np.array([10.0, 0.1, 0.1])
"""Step sizes of the search: millimetres, slope, slope."""
_SIMPLEX: Final = np.array([[0, 0, 0], [0.4, 0, 0], [0, 0.6, 0], [0, 0, 0.6]])
_SEED: Final = 0


@dataclass(frozen=True, slots=True, eq=False)
class _Coarse:
    """Blurred brightness and brain `(Z, Y, X)`, zero outside, and sample points `(N, 3)` in mm from the middle."""

    tissue: Float32Array
    brain: Float32Array
    steps: Float64Array
    points: Float64Array

    def at(self, image: Float32Array, points: Float64Array) -> npt.NDArray[np.float32]:
        """Interpolate one of the two images at points in mm from the middle."""
        voxels = points / self.steps + (np.array(image.shape) - 1) / 2
        values: npt.NDArray[np.float32] = ndimage.map_coordinates(image, voxels.T, order=1, prefilter=False)
        return values


def fit_mirror_plane(image: Float32Array, brain: Mask, spacing_mm: Spacing, first: MirrorPlane) -> MirrorPlane:
    """Refine a mirror plane: find the nearby plane in which the brain is most like its mirror image.

    Maximises the overlap of the brain with its mirror image and their correlation, with the simplex method of Nelder
    and Mead (1965, doi:10.1093/comjnl/7.4.308). Tilting a scan moved the plane by at most 0.2 degrees and 0.1 mm.

    Parameters
    ----------
    image : (Z, Y, X) float32 array
        Brightness in robust standard deviations of the brain.
    brain : (Z, Y, X) bool array
    first : MirrorPlane
        Result of `find_mirror_plane`.
    """
    coarse = _coarse(image, brain, spacing_mm)
    tissue, inside = coarse.at(coarse.tissue, coarse.points), coarse.at(coarse.brain, coarse.points)
    if tissue.size == 0 or tissue.std() == 0:
        return first  # there is nothing to compare

    def unlikeness(parameters: Float64Array) -> float:
        mirrored = _mirrored(coarse.points, MirrorPlane(*map(float, parameters * _UNITS)))
        other, other_inside = coarse.at(coarse.tissue, mirrored), coarse.at(coarse.brain, mirrored)
        if other.std() == 0:
            return 2.0  # the plane does not pass through the brain
        overlap = 2 * float(np.minimum(inside, other_inside).sum()) / float(inside.sum() + other_inside.sum())
        return 1 - overlap + 1 - float(np.corrcoef(tissue, other)[0, 1])

    start = np.array([first.offset_mm, first.turn, first.tilt]) / _UNITS
    options: Any = {"initial_simplex": start + _SIMPLEX, "xatol": 0.01, "fatol": 1e-5, "maxiter": 200}
    minimum = optimize.minimize(unlikeness, start, method="Nelder-Mead", options=options)
    return MirrorPlane(*map(float, minimum.x * _UNITS))


def _coarse(image: Float32Array, brain: Mask, spacing_mm: Spacing) -> _Coarse:
    inside = brain.astype(np.float32)
    tissue = _small((np.clip(image, _DARK, _BRIGHT) - np.float32(_DARK)) * inside, spacing_mm)
    small = _small(inside, spacing_mm)
    steps = np.array([step * n / m for step, n, m in zip(spacing_mm, image.shape, small.shape, strict=True)])
    middle = (np.array(small.shape) - 1) / 2
    voxels = np.argwhere(small > 0.05)
    aside = np.random.default_rng(_SEED).uniform(-0.5, 0.5, voxels.shape)
    return _Coarse(tissue, small, steps, (voxels + aside - middle) * steps)


def _small(image: Float32Array, spacing_mm: Spacing) -> Float32Array:
    sigmas = [_STEP_MM / step if step < 2 * _STEP_MM else 0.0 for step in spacing_mm]
    factors = [max(min(1.0, step / _STEP_MM), 1 / n) for step, n in zip(spacing_mm, image.shape, strict=True)]
    blurred = ndimage.gaussian_filter(image, sigmas, truncate=2)
    small: Float32Array = ndimage.zoom(blurred, factors, order=1, mode="nearest", grid_mode=True)
    return small


def _mirrored(points: Float64Array, plane: MirrorPlane) -> Float64Array:
    """Reflect points `(N, 3)` along Z, Y, X in the plane."""
    normal = np.array([-plane.tilt, -plane.turn, 1.0])
    length = np.linalg.norm(normal)
    normal, offset = normal / length, plane.offset_mm / length
    reflected: Float64Array = points - 2 * (points @ normal - offset)[:, np.newaxis] * normal
    return reflected
