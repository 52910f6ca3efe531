"""The grid that a network looks at: axial slices of a RAS grid, at the network's spacing, within the head's box."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from napari_brain_tumor.geometry import Box, Grid, Reorientation, resample, to_ras
from napari_brain_tumor.types import Array

_SPACING_TOLERANCE = 0.15
"""Relative difference to the network's spacing that is left alone: training varied the scale by more."""


@dataclass(frozen=True, slots=True)
class WorkingGrid:
    """How voxels get from a study's grid to `(Z, Y, X)` slices of the network, and back.

    `to_work` and `labels_to_source` are each other's inverse: where spacing is left alone, exactly.
    """

    reorientation: Reorientation
    grid: Grid
    """The RAS grid that the slices are cut from, as `(X, Y, Z)`."""

    @property
    def resampled(self) -> bool:
        """Whether the spacing of the study had to be changed."""
        return self.grid.shape != self.reorientation.target.shape

    def to_work(self, array: Array) -> Array:
        """`(Z, Y, X)` working array of an `(X, Y, Z)` source array; linear interpolation where resampled."""
        turned = self.reorientation.apply(array)
        if self.resampled:
            # The outermost centres lie up to half a voxel beyond those of the source: 0 there would be false tissue.
            turned = resample(turned, self.reorientation.target, self.grid, fill=None)
        return turned.transpose(2, 1, 0)

    def labels_to_work(self, labels: Array) -> Array:
        """`(Z, Y, X)` working labels of `(X, Y, Z)` source labels; the nearest label where resampled."""
        turned = self.reorientation.apply(labels)
        if self.resampled:
            turned = resample(turned, self.reorientation.target, self.grid, nearest=True)
        return turned.transpose(2, 1, 0)

    def labels_to_source(self, labels: Array, box: Box) -> Array:
        """`(X, Y, Z)` source labels of working labels that cover `box` of the `(Z, Y, X)` working array."""
        x_first, block = labels.transpose(2, 1, 0), Box(box.start[::-1], box.stop[::-1])
        result = np.zeros(self.reorientation.source.shape, dtype=labels.dtype)
        turned = self.reorientation.apply(result)
        if self.resampled:
            to_block = np.linalg.inv(self.grid.cropped(block).affine)
            _put_nearest(turned, x_first, to_block @ self.reorientation.target.affine)
        else:
            turned[block.slices] = x_first
        return result


def _put_nearest(result: Array, values: Array, matrix: npt.NDArray[np.float64]) -> None:
    """Fill a larger or smaller array in place with the nearest values; voxels beyond them stay as they are.

    Parameters
    ----------
    result, values : (X, Y, Z) array
    matrix : (4, 4) array
        From voxels of `result` to those of `values`; along the axes alone.
    """
    inside, nearest = [], []
    for axis, (side, own) in enumerate(zip(result.shape, values.shape, strict=True)):
        index = np.floor(matrix[axis, axis] * np.arange(side) + matrix[axis, 3] + 0.5).astype(np.intp)
        # Both grids run the same way, so that what lies inside is one piece.
        first, last = np.searchsorted(index, [0, own])
        inside.append(slice(int(first), int(last)))
        nearest.append(index[first:last])
    part = result[tuple(inside)]
    for plane, x in enumerate(nearest[0]):  # no second array of the size of the scan
        part[plane] = values[x][np.ix_(nearest[1], nearest[2])]


def working_grid(grid: Grid, plane_spacing_mm: float, slice_spacing_mm: float | None = None) -> WorkingGrid:
    """The working grid of a study: RAS, with the spacing that the network wants.

    A study of unknown spacing is left at its own sampling.

    Parameters
    ----------
    grid : Grid
        Of the study.
    plane_spacing_mm : float
        Spacing of the network's slices along x and y.
    slice_spacing_mm : float, optional
        Distance between its slices; without it they are left where they are.
    """
    reorientation = to_ras(grid)
    ras = reorientation.target
    if ras.unit == "voxel":
        return WorkingGrid(reorientation, ras)
    across = ras.spacing[2] if slice_spacing_mm is None else slice_spacing_mm
    factors = [s / target for s, target in zip(ras.spacing, (plane_spacing_mm, plane_spacing_mm, across), strict=True)]
    if all(abs(factor - 1) <= _SPACING_TOLERANCE for factor in factors):
        return WorkingGrid(reorientation, ras)
    x, y, z = (max(1, round(n * factor)) for n, factor in zip(ras.shape, factors, strict=True))
    shape = (x, y, z)
    steps = np.array([n / m for n, m in zip(ras.shape, shape, strict=True)])
    affine = ras.affine @ np.diag([*steps, 1.0])
    affine[:3, 3] = ras.world((steps - 1) / 2)
    return WorkingGrid(reorientation, Grid(shape, affine, ras.unit))
