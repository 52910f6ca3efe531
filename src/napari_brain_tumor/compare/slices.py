"""Find the slices in which segmentations differ most."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any, Final, Literal, cast

import numpy as np
import numpy.typing as npt

from napari_brain_tumor.compare.maps import check_region
from napari_brain_tumor.compare.raters import Raters
from napari_brain_tumor.errors import ComparisonError
from napari_brain_tumor.geometry import Box, Grid, to_ras
from napari_brain_tumor.labels import Region

Axis = Literal["axial", "coronal", "sagittal"]
AXES: Final[dict[Axis, int]] = {"sagittal": 0, "coronal": 1, "axial": 2}
"""World axis (right, anterior, superior) that is perpendicular to each kind of slice."""

Masks = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class SliceRow:
    """Disagreement of the segmentations of a region in one slice.

    Parameters
    ----------
    region : {"WT", "TC", "ET"}
    axis : {"axial", "coronal", "sagittal"}
        On an oblique grid, the closest slice orientation.
    index : int
        Index of the slice in the file, from 0.
    differing : int
        Number of voxels that some but not all assign to the region.
    area_mm2 : float or None
        Area of these voxels; None if the voxel size is unknown.
    dice : float
        Dice within the slice, averaged over the compared pairs.
    centre : (x, y, z)
        World coordinates of the differing voxel nearest to their centre, for navigation.
    """

    region: Region
    axis: Axis
    index: int
    differing: int
    area_mm2: float | None
    dice: float
    centre: tuple[float, float, float]


def slice_table(
    raters: Raters, region: Region, axis: Axis = "axial", names: Sequence[str] | None = None
) -> tuple[SliceRow, ...]:
    """Return the slices in which segmentations differ, those with most differing voxels first, then by lower Dice.

    Parameters
    ----------
    region : {"WT", "TC", "ET"}
    axis : {"axial", "coronal", "sagittal"}
    names : sequence of str, optional
        Segmentations to consider; all if not given.

    Raises
    ------
    ComparisonError
        If not all of them define the region, there is no such axis, or a name is unknown.
    """
    check_region(raters, region)
    indices = _indices(raters, names)
    if axis not in AXES:
        raise ComparisonError(f"There are no {axis!r} slices. Ask for one of: {', '.join(AXES)}.")
    box = raters.box(region)
    if box is None:
        return ()
    masks = raters.masks(region, box)[indices]
    across = to_ras(raters.grid).axes[AXES[axis]]
    rows = _rows(masks, box, raters.grid, across, _pairs(raters, indices))
    return tuple(
        sorted((SliceRow(region, axis, *row) for row in rows), key=lambda row: (-row.differing, row.dice, row.index))
    )


def _indices(raters: Raters, names: Sequence[str] | None) -> list[int]:
    selection = raters.names if names is None else tuple(names)
    unknown = [name for name in selection if name not in raters.names]
    if unknown or len(set(selection)) < 2:
        msg = f"Asked for {', '.join(selection) or 'none'}. Name two or more of: {', '.join(raters.names)}."
        raise ComparisonError(msg)
    return [raters.names.index(name) for name in selection]


def _pairs(raters: Raters, indices: Sequence[int]) -> list[tuple[int, int]]:
    """Return the pairs of chosen segmentations to score: the reference with every other one, or else all pairs."""
    places = range(len(indices))
    if raters.reference is None or raters.names.index(raters.reference) not in indices:
        return list(combinations(places, 2))
    truth = list(indices).index(raters.names.index(raters.reference))
    return [(truth, place) for place in places if place != truth]


def _rows(
    masks: Masks, box: Box, grid: Grid, across: int, pairs: Sequence[tuple[int, int]]
) -> Iterator[tuple[int, int, float | None, float, tuple[float, float, float]]]:
    differs = masks.any(axis=0) & ~masks.all(axis=0)
    within = tuple(axis for axis in range(3) if axis != across)
    dice = _dice_by_slice(masks, within, pairs)
    pixel_mm2 = _pixel_mm2(grid, within)
    counts = np.count_nonzero(differs, axis=within)
    for place in np.flatnonzero(counts).tolist():
        count = int(counts[place])
        area = None if pixel_mm2 is None else count * pixel_mm2
        centre = _centre(np.take(differs, place, axis=across), box, across, place, grid)
        yield place + box.start[across], count, area, float(dice[place]), centre


def _dice_by_slice(masks: Masks, within: tuple[int, ...], pairs: Sequence[tuple[int, int]]) -> npt.NDArray[Any]:
    sizes = [np.count_nonzero(mask, axis=within) for mask in masks]
    by_pair = []
    for first, second in pairs:
        total = sizes[first] + sizes[second]
        both = np.count_nonzero(masks[first] & masks[second], axis=within)
        by_pair.append(np.where(total > 0, 2 * both / np.maximum(total, 1), 1.0))
    mean: npt.NDArray[Any] = np.mean(by_pair, axis=0)
    return mean


def _pixel_mm2(grid: Grid, within: tuple[int, ...]) -> float | None:
    if grid.unit != "mm":
        return None
    first, second = (grid.affine[:3, axis] for axis in within)
    return float(np.linalg.norm(np.cross(first, second)))


def _centre(plane: Masks, box: Box, across: int, place: int, grid: Grid) -> tuple[float, float, float]:
    """Return the world coordinates of the voxel in a slice mask `(2 axes)` nearest to the mask's centre."""
    voxels = np.argwhere(plane)
    middle = voxels[np.square(voxels - voxels.mean(axis=0)).sum(axis=1).argmin()]
    voxel = np.insert(middle, across, place) + box.start
    return cast("tuple[float, float, float]", tuple(grid.world(voxel).tolist()))
