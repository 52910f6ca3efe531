"""A box in world coordinates to which labelling is restricted."""

from collections.abc import Sequence
from itertools import product
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from napari_brain_tumor.errors import BoxError
from napari_brain_tumor.geometry import Box, Grid

WorldBox = tuple[float, float, float, float, float, float]
"""World coordinates (x0, x1, y0, y1, z0, z1): RAS+ millimetres, or voxels if the files do not state the spacing.

A voxel is inside if its centre is; the limits are inclusive.
"""


def check_box(box: Sequence[float], grid: Grid) -> WorldBox:
    """Return the box with its limits in ascending order.

    Raises
    ------
    BoxError
        If it is not six finite numbers, or contains no voxel of the grid.
    """
    ends = np.asarray(box, dtype=np.float64)
    if ends.shape != (6,) or not np.isfinite(ends).all():
        raise BoxError(f"A box is six world coordinates x0, x1, y0, y1, z0, z1; got {box}.")
    ordered = cast("WorldBox", tuple(float(end) for end in np.sort(ends.reshape(3, 2), axis=1).ravel()))
    if not inside_box(grid, ordered).any():
        raise BoxError(_outside(ordered, grid))
    return ordered


def voxels_of_box(grid: Grid, box: WorldBox) -> Box | None:
    """Return the smallest block of voxels that covers the part of a box on the grid; None if there is none."""
    corners = grid.voxels(np.array(list(product(*np.reshape(box, (3, 2))))))
    # A voxel centre may lie exactly on a face of the box and must not be lost by rounding.
    low = np.maximum(np.ceil(corners.min(axis=0) - 1e-6), 0).astype(int)
    high = np.minimum(np.floor(corners.max(axis=0) + 1e-6) + 1, grid.shape).astype(int)
    if (low >= high).any():
        return None
    return Box(tuple(low.tolist()), tuple(high.tolist()))


def inside_box(grid: Grid, box: WorldBox) -> npt.NDArray[np.bool_]:
    """Return a mask `(X, Y, Z)` of the voxels of a grid that lie in a box."""
    inside = np.zeros(grid.shape, dtype=bool)
    block = voxels_of_box(grid, box)
    if block is not None:
        inside[block.slices] = _centres_inside(grid.cropped(block), box)
    return inside


def _centres_inside(grid: Grid, box: WorldBox) -> npt.NDArray[np.bool_]:
    steps = np.ogrid[tuple(slice(n) for n in grid.shape)]
    near = 1e-6 * min(grid.spacing)
    inside = np.ones(grid.shape, dtype=bool)
    for axis, (low, high) in enumerate(np.reshape(box, (3, 2))):
        place: Any = grid.affine[axis, 3]
        for step, factor in zip(steps, grid.affine[axis, :3], strict=True):
            place = place + step * factor
        inside &= (place >= low - near) & (place <= high + near)
    return inside


def _outside(box: WorldBox, grid: Grid) -> str:
    ends = grid.world(np.array(list(product(*((0, n - 1) for n in grid.shape)))))
    low, high = ends.min(axis=0), ends.max(axis=0)
    reach = ", ".join(f"{name} {a:.0f} to {b:.0f}" for name, a, b in zip("xyz", low, high, strict=True))
    unit = "mm (RAS)" if grid.unit == "mm" else "voxels, as the files do not state the spacing"
    coordinates = ",".join(f"{end:g}" for end in box)
    return (
        f"No voxel of the scan lies in the box {coordinates}; the scan reaches over {reach}. A box is "
        "x0,x1,y0,y1,z0,z1 in "
        f"{unit}."
    )
