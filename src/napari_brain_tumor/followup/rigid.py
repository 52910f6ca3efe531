"""Rigid transforms of world coordinates, and resampling of arrays through them."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from napari_brain_tumor.errors import RegistrationError
from napari_brain_tumor.geometry import Grid, resample
from napari_brain_tumor.types import Array

Matrix = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class RigidTransform:
    """A rotation and translation: `matrix` maps a point of the fixed world to the moving one (RAS+ mm)."""

    matrix: Matrix

    def __post_init__(self) -> None:
        matrix = np.array(self.matrix, dtype=np.float64)
        rotation = matrix[:3, :3]
        proper = np.allclose(rotation @ rotation.T, np.eye(3), atol=1e-6) and np.linalg.det(rotation) > 0
        if matrix.shape != (4, 4) or not proper:
            raise RegistrationError(f"A rigid transform is a 4x4 matrix with a proper rotation, got {matrix.tolist()}.")
        matrix.setflags(write=False)
        object.__setattr__(self, "matrix", matrix)

    @property
    def inverse(self) -> "RigidTransform":
        """The inverse transform, from the moving world to the fixed one."""
        return RigidTransform(np.linalg.inv(self.matrix).astype(np.float64))

    @property
    def angle_degrees(self) -> float:
        """Total rotation angle."""
        cosine = (np.trace(self.matrix[:3, :3]) - 1) / 2
        return float(np.degrees(np.arccos(np.clip(cosine, -1, 1))))

    def apply(self, world: npt.ArrayLike) -> Matrix:
        """Map points `(..., 3)` from the fixed world to the moving one."""
        points: Matrix = np.asarray(world, dtype=np.float64) @ self.matrix[:3, :3].T + self.matrix[:3, 3]
        return points

    def shift_mm(self, centre: npt.ArrayLike) -> float:
        """Return the distance by which a point of the fixed world moves."""
        return float(np.linalg.norm(self.apply(centre) - np.asarray(centre)))


def resample_moved(
    array: Array, source: Grid, target: Grid, transform: RigidTransform, *, nearest: bool = False
) -> Array:
    """Resample a visit's array onto the baseline's grid, with linear or nearest-neighbour interpolation."""
    return resample(array, moved_grid(source, transform), target, nearest=nearest)


def moved_grid(grid: Grid, transform: RigidTransform) -> Grid:
    """Return the visit's grid in the baseline's world coordinates."""
    return Grid(grid.shape, transform.inverse.matrix @ grid.affine, grid.unit)
