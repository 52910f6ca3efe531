"""Random fields in millimetres: a draw looks the same on any grid, so a case keeps its shape at any resolution."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from napari_brain_tumor.geometry import Grid
from napari_brain_tumor.types import Mask

__all__ = ["Mask"]

Field = npt.NDArray[np.float32]

_WORLD_BOX: Final = ((-110.0, 110.0), (-145.0, 115.0), (-95.0, 110.0))
"""Box in millimetres (x, y, z) that contains any head after scaling, rotating and warping the template."""


def axis_coordinates(grid: Grid) -> tuple[Field, Field, Field]:
    """Return the world coordinates in mm along the three axes of a grid aligned with the world in RAS order."""
    x, y, z = (
        (grid.affine[axis, 3] + grid.affine[axis, axis] * np.arange(size)).astype(np.float32)
        for axis, size in enumerate(grid.shape)
    )
    return x, y, z


@dataclass(frozen=True, slots=True, eq=False)
class BandNoise:
    """Gaussian noise of unit variance and smoothness `sigma_mm`, defined everywhere in the head.

    The field is a sum of Gaussian bumps on a lattice with a spacing equal to their width. It is evaluated axis by axis
    with three small matrix products, which is fast on large grids.

    Parameters
    ----------
    weights : (I, J, K) float32 array
        Height of each bump.
    sigma_mm : float
        Width of a bump, and distance between neighbouring bumps.
    """

    weights: Field
    sigma_mm: float

    @classmethod
    def draw(cls, rng: np.random.Generator, sigma_mm: float) -> "BandNoise":
        """Draw a new field; how many numbers are taken from `rng` depends only on `sigma_mm`."""
        shape = tuple(len(_lattice(axis, sigma_mm)) for axis in range(3))
        return cls(rng.standard_normal(shape, dtype=np.float32), sigma_mm)

    def on(self, grid: Grid) -> Field:
        """Return the values `(X, Y, Z)` at the voxels of a RAS grid."""
        x, y, z = (self._basis(axis, at) for axis, at in enumerate(axis_coordinates(grid)))
        partly = np.tensordot(x, self.weights, axes=(1, 0))
        partly = np.matmul(y, partly)
        return np.asarray(np.matmul(partly, z.T), dtype=np.float32)

    def _basis(self, axis: int, at: Field) -> Field:
        distance = (at[:, None] - _lattice(axis, self.sigma_mm)[None, :]) / self.sigma_mm
        bumps = np.exp(-0.5 * distance**2)
        norm: Field = np.sqrt((bumps**2).sum(axis=1, keepdims=True)) + np.float32(1e-12)
        return np.asarray(bumps / norm, dtype=np.float32)


def on_grid(field: Field, source: Grid, target: Grid) -> Field:
    """Interpolate a field linearly from one RAS grid to another, continuing its border values outside."""
    partly = field
    for axis, at in enumerate(axis_coordinates(target)):
        partly = _interpolate_axis(partly, axis, (at - source.affine[axis, 3]) / source.affine[axis, axis])
    return partly


def _interpolate_axis(field: Field, axis: int, at: npt.NDArray[np.floating]) -> Field:
    last = field.shape[axis] - 1
    inside = np.clip(at, 0, last)
    low = np.minimum(inside.astype(np.intp), max(last - 1, 0))
    share = (inside - low).astype(np.float32).reshape([-1 if a == axis else 1 for a in range(field.ndim)])
    below, above = np.take(field, low, axis=axis), np.take(field, np.minimum(low + 1, last), axis=axis)
    return np.asarray(below + share * (above - below), dtype=np.float32)


def _lattice(axis: int, sigma_mm: float) -> Field:
    low, high = _WORLD_BOX[axis]
    return np.arange(low - sigma_mm, high + 2 * sigma_mm, sigma_mm, dtype=np.float32)
