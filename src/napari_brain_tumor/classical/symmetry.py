"""The mid-sagittal plane of the brain, and mirroring of images in it."""

from dataclasses import dataclass
from typing import Any, Final, cast

import numpy as np
import numpy.typing as npt
from scipy import ndimage, optimize

from napari_brain_tumor.classical.scan import Spacing
from napari_brain_tumor.types import Float32Array, Mask

_COARSE_MM: Final = 8.0
"""Voxel size at which the plane is searched for."""
_LARGEST_SLOPE: Final = 0.25
"""Largest slope against Y and Z, by which a head may be turned or tilted."""
_WEIGHT: Final = 0.3
"""Weight of the tissue relative to the outline; low, because a large tumour changes the tissue more."""
_UNITS: Final = np.array([10.0, 0.1, 0.1])
"""Step sizes of the search: millimetres, slope, slope."""


@dataclass(frozen=True, slots=True)
class MirrorPlane:
    """The mid-sagittal plane x = offset + turn * y + tilt * z, in millimetres from the middle of the array.

    Parameters
    ----------
    offset_mm : float
        Offset along X.
    turn, tilt : float
        Slopes against Y (head turned) and against Z (head tilted towards a shoulder).
    """

    offset_mm: float
    turn: float
    tilt: float

    def mirror(self, image: npt.NDArray[Any], spacing_mm: Spacing) -> Float32Array:
        """Reflect the image `(Z, Y, X)` in the plane, with linear interpolation; 0 if nothing lies opposite."""
        matrix, shift = self._voxel_map(image.shape, spacing_mm)
        reflected: Float32Array = ndimage.affine_transform(image.astype(np.float32, copy=False), matrix, shift, order=1)
        return reflected

    def side(self, shape: tuple[int, ...], spacing_mm: Spacing) -> Float32Array:
        """Return the signed distance in mm along X from the plane to each voxel of a `(Z, Y, X)` array."""
        axes = [(np.arange(n) - (n - 1) / 2) * step for n, step in zip(shape, spacing_mm, strict=True)]
        z, y, x = np.ix_(*axes)
        beyond: Float32Array = (x - self.offset_mm - self.turn * y - self.tilt * z).astype(np.float32)
        return beyond

    def _voxel_map(
        self, shape: tuple[int, ...], spacing_mm: Spacing
    ) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        normal = np.array([-self.tilt, -self.turn, 1.0])
        length = np.linalg.norm(normal)
        normal, offset = normal / length, self.offset_mm / length
        steps = np.asarray(spacing_mm)
        reflect = np.eye(3) - 2 * np.outer(normal, normal)
        matrix = reflect * steps / steps[:, np.newaxis]
        middle = (np.asarray(shape) - 1) / 2
        return matrix, middle - matrix @ middle + 2 * offset * normal / steps


def find_mirror_plane(image: Float32Array, brain: Mask, spacing_mm: Spacing) -> MirrorPlane:
    """Find the plane in which the brain is most like its mirror image.

    Maximises the overlap of the brain with its mirror image plus the correlation of their intensities, minus the
    squared slopes, at a coarse voxel size (after Ardekani 1997, IEEE TMI 16:947).

    Parameters
    ----------
    image : (Z, Y, X) float32 array
        Any sequence, in robust standard deviations of the brain.
    brain : (Z, Y, X) bool array
    """
    inside = _coarse(brain.astype(np.float32), spacing_mm)
    # Bright parts are clipped, so that a tumour is not matched with its own mirror image.
    tissue = _coarse(np.where(brain, np.clip(image, -3, 0.5), np.float32(0)), spacing_mm)
    ratios = zip(spacing_mm, brain.shape, inside.shape, strict=True)
    steps = cast("Spacing", tuple(step * full / few for step, full, few in ratios))

    def unlikeness(parameters: npt.NDArray[np.float64]) -> float:
        return _unlikeness(MirrorPlane(*map(float, parameters * _UNITS)), inside, tissue, steps)

    minimum = optimize.minimize(
        unlikeness,
        np.array([_middle_of_mass(inside, steps), 0.0, 0.0]) / _UNITS,
        method="Powell",
        options={"xtol": 0.02, "ftol": 1e-4},
    )
    return MirrorPlane(*map(float, minimum.x * _UNITS))


def _unlikeness(plane: MirrorPlane, inside: Float32Array, tissue: Float32Array, spacing_mm: Spacing) -> float:
    """Return how different a brain is from its mirror image; planes with large slopes count as entirely different."""
    if max(abs(plane.turn), abs(plane.tilt)) > _LARGEST_SLOPE:
        return 1.0
    other_inside, other = plane.mirror(inside, spacing_mm), plane.mirror(tissue, spacing_mm)
    likeness = _overlap(inside, other_inside) + _WEIGHT * _correlation(tissue, other, inside * other_inside)
    return 1.0 - likeness + plane.turn**2 + plane.tilt**2


def _coarse(image: Float32Array, spacing_mm: Spacing) -> Float32Array:
    # A slab thinner than half a coarse voxel keeps one voxel.
    factors = [max(min(1.0, step / _COARSE_MM), 1 / n) for step, n in zip(spacing_mm, image.shape, strict=True)]
    sigmas = [0.5 / factor if factor < 1 else 0.0 for factor in factors]
    blurred = ndimage.gaussian_filter(image, sigmas)
    small: Float32Array = ndimage.zoom(blurred, factors, order=1, mode="nearest", grid_mode=True)
    return small


def _middle_of_mass(inside: Float32Array, spacing_mm: Spacing) -> float:
    across = inside.sum(axis=(0, 1))
    total = float(across.sum())
    positions = (np.arange(across.size) - (across.size - 1) / 2) * spacing_mm[2]
    return float((across * positions).sum() / total) if total > 0 else 0.0


def _overlap(first: Float32Array, second: Float32Array) -> float:
    total = float(first.sum() + second.sum())
    return 2 * float(np.minimum(first, second).sum()) / total if total > 0 else 0.0


def _correlation(first: Float32Array, second: Float32Array, weight: Float32Array) -> float:
    total = float(weight.sum())
    if total <= 0:
        return 0.0
    a = first - float((weight * first).sum()) / total
    b = second - float((weight * second).sum()) / total
    scale = float(np.sqrt((weight * a * a).sum() * (weight * b * b).sum()))
    return float((weight * a * b).sum()) / scale if scale > 0 else 0.0
