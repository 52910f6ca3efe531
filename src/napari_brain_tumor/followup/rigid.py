"""Rigid motions of the world, and arrays that are seen through one."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from napari_brain_tumor.errors import RegistrationError
from napari_brain_tumor.geometry import Grid, resample
from napari_brain_tumor.types import Array

Matrix = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class RigidTransform:
    """A rotation and a shift of the world: `matrix` takes a point of the fixed world to the moving one (RAS+ mm)."""

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
        """The way back: from the moving world to the fixed one."""
        return RigidTransform(np.linalg.inv(self.matrix).astype(np.float64))

    @property
    def angle_degrees(self) -> float:
        """By how much it turns, about whichever axis."""
        cosine = (np.trace(self.matrix[:3, :3]) - 1) / 2
        return float(np.degrees(np.arccos(np.clip(cosine, -1, 1))))

    def apply(self, world: npt.ArrayLike) -> Matrix:
        """Points `(..., 3)` of the fixed world, in the moving one."""
        points: Matrix = np.asarray(world, dtype=np.float64) @ self.matrix[:3, :3].T + self.matrix[:3, 3]
        return points

    def shift_mm(self, centre: npt.ArrayLike) -> float:
        """How far a point of the fixed world moves."""
        return float(np.linalg.norm(self.apply(centre) - np.asarray(centre)))


def resample_moved(
    array: Array, source: Grid, target: Grid, transform: RigidTransform, *, nearest: bool = False
) -> Array:
    """Values of a visit's array at the voxels of the baseline's grid: linear, or nearest."""
    return resample(array, moved_grid(source, transform), target, nearest=nearest)


def moved_grid(grid: Grid, transform: RigidTransform) -> Grid:
    """The visit's grid, as it lies in the baseline's world."""
    return Grid(grid.shape, transform.inverse.matrix @ grid.affine, grid.unit)
