"""The network's working grid: axial slices in RAS orientation, at the network's spacing."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from napari_brain_tumor.geometry import Box, Grid, Reorientation, resample, to_ras
from napari_brain_tumor.types import Array

_SPACING_TOLERANCE = 0.15
"""Relative deviation from the network's spacing that is tolerated; augmentation in training varied the scale more."""


@dataclass(frozen=True, slots=True)
class WorkingGrid:
    """Conversion between a study's grid and the network's `(Z, Y, X)` slices.

    `to_work` and `labels_to_source` are inverse to each other, exactly so if the spacing is unchanged.
    """

    reorientation: Reorientation
    grid: Grid
    """RAS grid of the slices, with axes in the order `(X, Y, Z)`."""

    @property
    def resampled(self) -> bool:
        """Whether the spacing of the study has to be changed."""
        return self.grid.shape != self.reorientation.target.shape

    def to_work(self, array: Array) -> Array:
        """Convert an `(X, Y, Z)` source array to a `(Z, Y, X)` working array, interpolating linearly if resampled."""
        turned = self.reorientation.apply(array)
        if self.resampled:
            # The outermost centres can lie up to half a voxel outside the source: filling with 0 would be wrong.
            turned = resample(turned, self.reorientation.target, self.grid, fill=None)
        return turned.transpose(2, 1, 0)

    def labels_to_work(self, labels: Array) -> Array:
        """Convert `(X, Y, Z)` source labels to `(Z, Y, X)` working labels, by nearest neighbour if resampled."""
        turned = self.reorientation.apply(labels)
        if self.resampled:
            turned = resample(turned, self.reorientation.target, self.grid, nearest=True)
        return turned.transpose(2, 1, 0)

    def labels_to_source(self, labels: Array, box: Box) -> Array:
        """Convert working labels that cover `box` of the `(Z, Y, X)` working array to `(X, Y, Z)` source labels."""
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
    """Fill an array of different size in place with the nearest values; voxels outside their extent are unchanged.

    Parameters
    ----------
    result, values : (X, Y, Z) array
    matrix : (4, 4) array
        Maps voxels of `result` to voxels of `values`; without rotation or shear.
    """
    inside, nearest = [], []
    for axis, (side, own) in enumerate(zip(result.shape, values.shape, strict=True)):
        index = np.floor(matrix[axis, axis] * np.arange(side) + matrix[axis, 3] + 0.5).astype(np.intp)
        # Both grids run in the same direction, so the part inside is contiguous.
        first, last = np.searchsorted(index, [0, own])
        inside.append(slice(int(first), int(last)))
        nearest.append(index[first:last])
    part = result[tuple(inside)]
    for plane, x in enumerate(nearest[0]):  # plane by plane, to avoid a second array the size of the scan
        part[plane] = values[x][np.ix_(nearest[1], nearest[2])]


def working_grid(grid: Grid, plane_spacing_mm: float, slice_spacing_mm: float | None = None) -> WorkingGrid:
    """Return the working grid of a study: RAS, with the spacing that the network needs.

    If the study's spacing is unknown, its sampling is not changed.

    Parameters
    ----------
    grid : Grid
        Grid of the study.
    plane_spacing_mm : float
        In-plane spacing of the network's slices, along x and y.
    slice_spacing_mm : float, optional
        Distance between slices; if not given, the slices are not resampled.
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
