"""Checkerboards of two scans: edges that continue across fields show that the scans are aligned."""

from collections.abc import Sequence
from typing import Final

import numpy as np

from napari_brain_tumor.followup.registration import unit_range
from napari_brain_tumor.followup.rigid import RigidTransform, resample_moved
from napari_brain_tumor.geometry import Grid, orthogonal_grid, resample
from napari_brain_tumor.types import Array, Float32Array, Labels

_SIDE_MM: Final = 1.0
_FIELD_MM: Final = 28.0
_GAP: Final = 4


def checkerboard_picture(
    moving: tuple[Array, Grid], fixed: tuple[Array, Grid], transform: RigidTransform, centre: Sequence[float]
) -> Labels:
    """Draw axial, coronal and sagittal slices through a point in two rows: as scanned, and registered.

    Parameters
    ----------
    moving, fixed : (array, Grid)
    transform : RigidTransform
        Maps the fixed world to the moving one.
    centre : (x, y, z)
        World coordinates of the point in the fixed scan.

    Returns
    -------
    (rows, columns) uint8 array
        1 mm per pixel, in the radiological convention: the patient's right is on the left.
    """
    above, below = unit_range(moving[0]), unit_range(fixed[0])
    planes = _planes(fixed[1], centre)
    rows = []
    for motion in (RigidTransform(np.eye(4)), transform):
        boards = []
        for grid in planes:
            there = resample_moved(above, moving[1], grid, motion)
            boards.append(_in_turns(there, resample(below, fixed[1], grid)))
        rows.append(_beside(boards))
    gap = np.ones((_GAP, rows[0].shape[1]), np.float32)
    return np.round(255 * np.vstack([rows[0], gap, rows[1]])).astype(np.uint8)


def _planes(grid: Grid, centre: Sequence[float]) -> list[Grid]:
    """Return three slice grids of 1 mm through a point: axial, coronal, sagittal."""
    box = orthogonal_grid(grid)
    shape = [max(1, round(n * side / _SIDE_MM)) for n, side in zip(box.shape, box.spacing, strict=True)]
    corner = box.world((0, 0, 0)) + (_SIDE_MM - np.asarray(box.spacing)) / 2
    planes = []
    for normal in (2, 1, 0):
        affine = np.diag([_SIDE_MM, _SIDE_MM, _SIDE_MM, 1.0])
        affine[:3, 3] = corner
        affine[normal, 3] = centre[normal]
        x, y, z = (1 if axis == normal else n for axis, n in enumerate(shape))
        planes.append(Grid((x, y, z), affine))
    return planes


def _in_turns(above: Array, below: Array) -> Float32Array:
    """Alternate fields of both, with superior up and the patient's right on the left."""
    first, second = (np.squeeze(array).T[::-1, ::-1] for array in (above, below))
    fields = [np.arange(n) * _SIDE_MM // _FIELD_MM for n in first.shape]
    odd = np.add.outer(*fields) % 2 == 1
    return np.where(odd, first, second).astype(np.float32)


def _beside(planes: Sequence[Float32Array]) -> Float32Array:
    height = max(plane.shape[0] for plane in planes)
    padded = [np.pad(plane, ((0, height - plane.shape[0]), (0, _GAP))) for plane in planes]
    return np.hstack(padded).astype(np.float32)
