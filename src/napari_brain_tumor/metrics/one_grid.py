"""Bring a segmentation onto the grid on which it is compared."""

from dataclasses import replace

import numpy as np

from napari_brain_tumor.errors import GridMismatchError, SpacingUnknownError
from napari_brain_tumor.geometry import Grid, resample, to_ras
from napari_brain_tumor.study import Segmentation


def on_grid(segmentation: Segmentation, grid: Grid, *, whose: str = "the scans") -> Segmentation:
    """Reorient a segmentation to the axes of a grid, without resampling.

    Parameters
    ----------
    whose : str
        What lies on that grid, for the error message.

    Raises
    ------
    GridMismatchError
        If its voxels do not coincide with the grid's.
    SpacingUnknownError
        If one of the two is in millimetres and the other in voxels.
    """
    if segmentation.grid.same_place(grid):
        return segmentation
    _require_same_unit(segmentation, grid, whose)
    own, other = to_ras(segmentation.grid), to_ras(grid)
    if not own.target.same_place(other.target):
        raise GridMismatchError(
            f"{segmentation.name} lies on {segmentation.grid.describe()}; {whose} on {grid.describe()}. They can only "
            f"be compared on the same grid: resample the segmentation onto {whose}."
        )
    turned = np.ascontiguousarray(other.undo(own.apply(segmentation.data)))
    return replace(segmentation, data=turned, grid=grid)


def resampled_onto(segmentation: Segmentation, grid: Grid, *, whose: str = "the scans") -> Segmentation:
    """Bring a segmentation onto another grid: reorient it if that is enough, otherwise resample by nearest neighbour.

    Parameters
    ----------
    segmentation, grid, whose
        As for `on_grid`.

    Raises
    ------
    GridMismatchError
        If it contains labels but none of them lies on the grid.
    SpacingUnknownError
        If one of the two is in millimetres and the other in voxels.
    """
    try:
        return on_grid(segmentation, grid, whose=whose)
    except GridMismatchError:
        moved = resample(segmentation.data, segmentation.grid, grid, nearest=True)
    if segmentation.data.any() and not moved.any():
        raise GridMismatchError(
            f"No label of {segmentation.name} ({segmentation.grid.describe()}) lies on the grid of {whose} "
            f"({grid.describe()}). Are they from the same examination? Register it first, or leave it out."
        )
    return replace(segmentation, data=moved, grid=grid)


def _require_same_unit(segmentation: Segmentation, grid: Grid, whose: str) -> None:
    if segmentation.grid.unit != grid.unit:
        raise SpacingUnknownError(
            f"{segmentation.name} lies on {segmentation.grid.describe()}; {whose} on {grid.describe()}. Give the "
            "voxel size of the cases that do not state it: spacing_mm=(x, y, z)."
        )
