"""The small grid of the brain network: about 2 mm in-plane and 3 mm between slices, whatever the scan's own grid.

This is fine enough for the outline of the brain, and a small network is fast on so few pixels. If the files do not
state the spacing, it is estimated from the size of the head.
"""

from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np

from napari_brain_tumor.geometry import Grid, Reorientation, bounding_box, to_ras
from napari_brain_tumor.preprocessing.intensity import foreground_mask
from napari_brain_tumor.study import Study
from napari_brain_tumor.types import Array, Float32Array

SMALL_PIXEL_MM: Final = 2.0
"""Pixel size of the small grid."""

_SLICE_MM: Final = 3.0
"""Thinner slices are averaged to about this thickness."""

_ALREADY_THICK: Final = 0.75
"""Slices of at least this fraction of `_SLICE_MM` are not averaged."""

_SIDE: Final = 128
"""Pixels along the longer side when a head of unknown spacing is first measured."""

_HEAD_MM: Final = 205.0
"""Length from the nose to the back of the head, which is the longer side of axial slices."""

_MOST_SLICES: Final = 64
"""Largest number of slices for a scan of unknown spacing; more are averaged down to this number."""


@dataclass(frozen=True, slots=True, eq=False)
class SmallGrid:
    """The conversion from a study's grid to the small one and back.

    Parameters
    ----------
    reorientation : Reorientation
        Reorientation from the study's grid to RAS.
    grid : Grid
        The small grid, in RAS orientation. If the study does not state its spacing, this is in millimetres estimated
        from the size of the head, for use by the network only.
    """

    reorientation: Reorientation
    grid: Grid

    def averaged(self, array: Array) -> Float32Array:
        """Average an array on the study's grid over small voxels `(X, Y, Z)`; interpolates if these are finer."""
        turned = np.asarray(self.reorientation.apply(array))
        # Start with the third axis: this shrinks the array at once, and its values are contiguous in most files.
        for axis in (2, 1, 0):
            turned = _along(turned, _averaging(turned.shape[axis], self.grid.shape[axis]), axis)
        return np.ascontiguousarray(turned, dtype=np.float32)

    def interpolated(self, values: Array) -> Float32Array:
        """Interpolate values `(X, Y, Z)` of the small grid linearly onto the study's grid."""
        turned = np.asarray(values, dtype=np.float32)
        shape = self.reorientation.target.shape
        for axis in (0, 1, 2):
            turned = _along(turned, _interpolation(shape[axis], turned.shape[axis]), axis)
        return np.asarray(self.reorientation.undo(turned), dtype=np.float32)


def small_grid(study: Study) -> SmallGrid:
    reorientation = to_ras(study.grid)
    ras = reorientation.target
    if ras.unit == "mm":
        shape = _counts(ras.shape, ras.spacing)
        spacing = [s * n / m for s, n, m in zip(ras.spacing, ras.shape, shape, strict=True)]
        return SmallGrid(reorientation, _grid(shape, spacing))
    return _of_unknown_spacing(study, reorientation)


def small_study(study: Study, small: SmallGrid | None = None) -> Study:
    """Return the study on its small grid: float32 sequences in RAS orientation."""
    small = small or small_grid(study)
    sequences = {role: small.averaged(volume) for role, volume in study.sequences.items()}
    return replace(study, sequences=sequences, grid=small.grid, layout=None)


def _of_unknown_spacing(study: Study, reorientation: Reorientation) -> SmallGrid:
    """Choose a pixel size for which the head has the usual length; the slices are only counted."""
    width, height, depth = reorientation.target.shape
    slices = min(depth, _MOST_SLICES)
    factor = max(width, height) / _SIDE
    first = SmallGrid(reorientation, _grid((_count(width, factor), _count(height, factor), slices), (1.0, 1.0, 1.0)))
    head = bounding_box(foreground_mask([first.averaged(v).transpose(2, 1, 0) for v in study.sequences.values()]))
    longest = max(head.shape[1:]) * factor if head else max(width, height)
    factor = longest * SMALL_PIXEL_MM / _HEAD_MM
    shape = (_count(width, factor), _count(height, factor), slices)
    return SmallGrid(reorientation, _grid(shape, (SMALL_PIXEL_MM, SMALL_PIXEL_MM, _SLICE_MM)))


def _counts(shape: tuple[int, int, int], spacing: tuple[float, float, float]) -> tuple[int, int, int]:
    """Return the number of voxels of the small grid along each axis, for a grid in millimetres."""
    width, height, depth = shape
    thin = spacing[2] < _ALREADY_THICK * _SLICE_MM
    slices = _count(depth, _SLICE_MM / spacing[2]) if thin else depth
    return _count(width, SMALL_PIXEL_MM / spacing[0]), _count(height, SMALL_PIXEL_MM / spacing[1]), slices


def _count(number: int, factor: float) -> int:
    return max(1, round(number / factor))


def _grid(shape: tuple[int, int, int], spacing: Any) -> Grid:
    return Grid(shape, np.diag([*spacing, 1.0]))


def _along(array: Array, weights: Float32Array, axis: int) -> Float32Array:
    """Apply weights `(new, old)` along one axis."""
    if len(weights) == array.shape[axis] and np.array_equal(weights, np.eye(len(weights), dtype=np.float32)):
        return np.asarray(array, dtype=np.float32)
    moved = np.tensordot(np.asarray(array, dtype=np.float32), weights, axes=(axis, 1))
    back: Float32Array = np.moveaxis(moved, -1, axis)
    return back


def _averaging(old: int, new: int) -> Float32Array:
    """Return weights `(new, old)` that average old voxels by overlap; they interpolate if new voxels are smaller."""
    if new >= old:
        return _interpolation(new, old)
    edges = np.arange(new + 1) * (old / new)
    starts = np.arange(old)
    overlap = np.minimum(edges[1:, None], starts + 1) - np.maximum(edges[:-1, None], starts)
    return np.asarray(np.clip(overlap, 0, None) * (new / old), dtype=np.float32)


def _interpolation(new: int, old: int) -> Float32Array:
    """Return weights `(new, old)` of linear interpolation between voxel centres, constant beyond the outermost ones."""
    at = np.clip((np.arange(new) + 0.5) * (old / new) - 0.5, 0, old - 1)
    low = np.minimum(at.astype(int), max(old - 2, 0))
    weights = np.zeros((new, old), dtype=np.float32)
    rows = np.arange(new)
    weights[rows, low] = 1 - (at - low)
    if old > 1:
        weights[rows, low + 1] = at - low
    return weights
