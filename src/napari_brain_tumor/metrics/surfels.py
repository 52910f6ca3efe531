"""Area of the surface within each 2x2x2 block of voxels.

A block is a cube with a voxel centre at each corner. The marching-cubes surface (Lorensen & Cline 1987,
doi:10.1145/37401.37422) crosses the edges between corners inside and outside the mask at their middle. Its pieces,
called surfels, weight the distances in DeepMind's surface metrics (Nikolov 2021, doi:10.2196/26151), which the BraTS
challenge of 2023 uses; without weights, surfaces oblique to the voxel grid would count more.

Marching cubes leaves two choices open. Corners that touch only across the diagonal of a face are separated, on the side
that has fewer corners. An outline that is not flat is filled with the triangles of largest total area. With these
choices, the areas are those of DeepMind's table for all 256 blocks.
"""

from collections.abc import Iterator
from functools import cache
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from napari_brain_tumor.types import Array

_CORNERS: Final = np.array(list(np.ndindex(2, 2, 2)))
_MOST_TRIANGLES: Final = 4


def neighbour_codes(mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.uint8]:
    """Encode which corners of each block are inside: bit `4 i + 2 j + k` for the corner at offset `(i, j, k)`.

    Parameters
    ----------
    mask : (X, Y, Z) bool array

    Returns
    -------
    (X - 1, Y - 1, Z - 1) uint8 array
    """
    x, y, z = (n - 1 for n in mask.shape)
    voxels = mask.view(np.uint8)
    codes: npt.NDArray[np.uint8] = np.zeros((x, y, z), dtype=np.uint8)
    for bit, (i, j, k) in enumerate(_CORNERS):
        codes |= voxels[i : i + x, j : j + y, k : k + z] << bit
    return codes


def surfel_areas(spacing_mm: tuple[float, float, float]) -> npt.NDArray[np.float64]:
    """Return the surface area in mm² for each of the 256 block codes, `(256,)`, for voxels of the given spacing."""
    dx, dy, dz = spacing_mm
    areas: npt.NDArray[np.float64] = np.linalg.norm(_triangles() * (dy * dz, dx * dz, dx * dy), axis=2).sum(axis=1)
    return areas


@cache
def _triangles() -> npt.NDArray[np.float64]:
    """Return area vectors `(256, 4, 3)` of the triangles in each block, for a cube of side 1; unused ones are zero."""
    vectors = np.zeros((256, _MOST_TRIANGLES, 3))
    for code in range(256):
        inside = (code >> np.arange(8) & 1).reshape(2, 2, 2).astype(bool)
        triangles = [triangle for outline in _outlines(inside) for triangle in _widest_filling(outline)]
        if triangles:
            vectors[code, : len(triangles)] = triangles
    return vectors


def _outlines(inside: npt.NDArray[np.bool_]) -> Iterator[Array]:
    """Yield the outline of the surface around every group of corners, `(points, 3)`, ordered along the outline."""
    fewer = inside if np.count_nonzero(inside) <= 4 else ~inside
    groups, count = ndimage.label(fewer)
    for number in range(1, count + 1):
        yield _outline(groups == number)


def _outline(group: npt.NDArray[np.bool_]) -> Array:
    corners = np.argwhere(group)
    neighbours = np.abs(corners[:, None] - np.eye(3, dtype=int))  # across each of a corner's three edges
    leaving = ~group[tuple(np.moveaxis(neighbours, -1, 0))]
    outward = (neighbours - corners[:, None])[leaving]
    points = (corners[:, None] + neighbours)[leaving] / 2
    ordered: Array = points[np.argsort(_angles(points, outward.sum(axis=0)))]
    return ordered


def _angles(points: Array, axis: Array) -> Array:
    """Return the angle of each point around an axis through their mean."""
    spokes = points - points.mean(axis=0)
    side = np.cross(axis, spokes[0])
    angles: Array = np.arctan2(spokes @ np.cross(side, axis) / np.linalg.norm(axis), spokes @ side)
    return angles


def _widest_filling(outline: Array) -> list[Array]:
    """Return area vectors of the triangulation of an outline with the largest total area."""
    last = len(outline) - 1
    fillings = (
        [_area_vector(outline[[0, k, last]]), *_widest_filling(outline[: k + 1]), *_widest_filling(outline[k:])]
        for k in range(1, last)
    )
    return max(fillings, key=lambda filling: sum(float(np.linalg.norm(vector)) for vector in filling), default=[])


def _area_vector(triangle: Array) -> Array:
    a, b, c = triangle
    vector: Array = np.cross(b - a, c - a) / 2
    return vector
