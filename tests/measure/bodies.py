"""Bodies with known measures, sampled on any grid: a voxel belongs to a body if its centre does."""

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from napari_brain_tumor.geometry import Grid

Body = Callable[[npt.NDArray[np.float64]], npt.NDArray[np.bool_]]

CENTRE = np.array([12.0, -7.0, 31.0])
"""Where bodies lie in the world, in mm."""


def grid_around(
    spacing: Sequence[float],
    reach_mm: float = 32.0,
    directions: npt.ArrayLike = ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
    shift: float = 0.0,
) -> Grid:
    """A grid of odd shape whose middle voxel lies at the bodies' centre, or that share of a voxel beside it."""
    shape = tuple(2 * int(np.ceil(reach_mm / step)) + 1 for step in spacing)
    affine = np.eye(4)
    affine[:3, :3] = np.asarray(directions) * np.asarray(spacing)
    affine[:3, 3] = CENTRE - affine[:3, :3] @ (np.array(shape) // 2 + shift)
    return Grid(shape, affine)


def sampled(body: Body, grid: Grid) -> npt.NDArray[np.bool_]:
    """The body as a mask `(X, Y, Z)`; it is asked with mm from the centre, along the grid's own axes."""
    indices = np.stack(np.meshgrid(*[np.arange(n) for n in grid.shape], indexing="ij"), axis=-1)
    return body((indices - grid.voxels(CENTRE)) * np.asarray(grid.spacing))


def ball(radius: float) -> Body:
    return lambda mm: np.linalg.norm(mm, axis=-1) <= radius


def shell(outer: float, inner: float) -> Body:
    return lambda mm: (np.linalg.norm(mm, axis=-1) <= outer) & (np.linalg.norm(mm, axis=-1) > inner)


def ellipsoid(semiaxes: Sequence[float], degrees: float, axis: int = 2) -> Body:
    """Semi-axes along the grid's axes, turned in the plane that the axis cuts."""
    first, second = (a for a in range(3) if a != axis)
    angle = np.deg2rad(degrees)

    def inside(mm: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
        turned = mm.copy()
        turned[..., first] = np.cos(angle) * mm[..., first] + np.sin(angle) * mm[..., second]
        turned[..., second] = -np.sin(angle) * mm[..., first] + np.cos(angle) * mm[..., second]
        return ((turned / np.asarray(semiaxes)) ** 2).sum(axis=-1) <= 1

    return inside


def tube(outer: float, inner: float, half_length: float, axis: int = 2) -> Body:
    """A ring in every slice that the axis cuts."""

    def inside(mm: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
        radius = np.linalg.norm(np.delete(mm, axis, axis=-1), axis=-1)
        return (radius <= outer) & (radius > inner) & (np.abs(mm[..., axis]) <= half_length)

    return inside
