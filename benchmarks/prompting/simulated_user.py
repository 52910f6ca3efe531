"""A simulated user who knows the truth and corrects the largest error with each prompt, to measure their benefit."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from skimage.measure import find_contours
from skimage.morphology import skeletonize

from napari_brain_tumor.geometry import Box, Grid, bounding_box
from napari_brain_tumor.interactive.prompts import Lasso, Point, Prompt, PromptLabel, Stroke
from napari_brain_tumor.labels import Region, region_mask
from napari_brain_tumor.types import Array, Labels

Habit = Literal["point", "stroke", "lasso", "outline"]
"""Kind of prompt that a simulated user gives."""

Measure = Literal["share", "voxels"]
"""How the size of an error is measured: as a share of its region (of truth and labels together), or in voxels."""

_SAID: Final[dict[Region, PromptLabel]] = {"WT": "whole tumour", "TC": "tumour core", "ET": "enhancing"}
_TOUCHING: Final = ndimage.generate_binary_structure(3, 3)

_RING: Final = 7
"""Width in pixels of the margin around a region that is certain to be outside an outline."""

_HOLES: Final = 0.05
"""Share of an outlined area that may belong to something else."""


@dataclass(frozen=True, slots=True, eq=False)
class LargestError:
    """A connected part of voxels that are missing from a region, or wrongly included in it.

    Parameters
    ----------
    region : {"WT", "TC", "ET"}
    missed : bool
        Whether the voxels are missing from the region.
    box : Box
        Bounding box of the part.
    mask : (X, Y, Z) bool array
        Voxels of the part within that box.
    middle : (x, y, z)
        The voxel furthest from the part's border, on the whole grid; if there are several, the one nearest its centre.
    """

    region: Region
    missed: bool
    box: Box
    mask: npt.NDArray[np.bool_]
    middle: tuple[int, int, int]

    @property
    def voxels(self) -> int:
        """Number of wrong voxels."""
        return int(self.mask.sum())


def largest_error(
    labels: Labels,
    truth: Labels,
    grid: Grid,
    regions: Sequence[Region] = ("WT", "TC", "ET"),
    measure: Measure = "share",
) -> LargestError | None:
    """Return the largest connected part of voxels missing from or wrong in a region; None if there are no errors.

    Parameters
    ----------
    labels, truth : (X, Y, Z) uint8 array
        The package's classes. Voxels are connected by faces, edges and corners.
    grid : Grid
        Its spacing determines the middle of the part.
    regions : sequence of {"WT", "TC", "ET"}
        Regions that the truth distinguishes.
    measure : {"share", "voxels"}
    """
    best: tuple[float, Region, bool, Box, Array] | None = None
    for region in regions:
        mine, true = region_mask(labels, region), region_mask(truth, region)
        weight = 1.0 if measure == "voxels" else 1 / max(1, int((mine | true).sum()))
        for missed in (True, False):
            part = _largest_part(true & ~mine if missed else mine & ~true)
            if part is not None and (best is None or part[1].sum() * weight > best[0]):
                best = float(part[1].sum() * weight), region, missed, *part
    if best is None:
        return None
    _, region, missed, box, mask = best
    depth = ndimage.distance_transform_edt(np.pad(mask, 1), sampling=grid.spacing)[1:-1, 1:-1, 1:-1]
    deepest = np.argwhere(depth >= depth.max() - 1e-6)
    from_centre = np.linalg.norm((deepest - np.argwhere(mask).mean(axis=0)) * grid.spacing, axis=1)
    x, y, z = (int(v) for v in deepest[from_centre.argmin()] + box.start)
    return LargestError(region, missed, box, mask, (x, y, z))


def _largest_part(wrong: Array) -> tuple[Box, Array] | None:
    around = bounding_box(wrong)
    if around is None:
        return None
    parts, _ = ndimage.label(wrong[around.slices], _TOUCHING)
    number = int(np.bincount(parts.ravel())[1:].argmax()) + 1
    inside = parts == number
    own = bounding_box(inside)
    assert own is not None
    start = np.array(own.start) + around.start
    stop = start + own.shape
    return Box(tuple(start.tolist()), tuple(stop.tolist())), inside[own.slices]


def next_prompt(
    labels: Labels,
    truth: Labels,
    grid: Grid,
    habit: Habit = "outline",
    regions: Sequence[Region] = ("WT", "TC", "ET"),
    measure: Measure = "share",
) -> Prompt | None:
    """Return the next prompt of the simulated user; None if nothing is wrong.

    The prompt is placed in the middle of the largest error, on that of the three slices through it on which the error
    is largest. A point is set there; a stroke follows the middle line of the error, with a brush that stays inside it;
    a lasso encloses the error; an outline encloses all parts of the region as they should be on that slice, with their
    holes. A lasso that would enclose holes is replaced by a stroke. If there is nothing to outline, or the excess is
    further away than an outline has any effect, the outline is replaced by a lasso around the error.

    Parameters
    ----------
    labels, truth : (X, Y, Z) uint8 array
    grid : Grid
    habit : {"point", "stroke", "lasso", "outline"}
    regions, measure
        As in `largest_error`.
    """
    error = largest_error(labels, truth, grid, regions, measure)
    if error is None:
        return None
    label, add = _SAID[error.region], error.missed
    axis, section = _best_section(error, grid)
    if habit == "outline":
        true = region_mask(np.take(truth, error.middle[axis], axis), error.region)
        beside = ndimage.binary_dilation(true, iterations=_RING)
        if true.any() and (error.missed or (_on_slice(error, axis, section, true.shape) & beside).any()):
            first, *others = (_to_world(line, axis, error.middle[axis], (0, 0), grid) for line in _lines(true))
            return Lasso(label=label, points=first, rings=others, border=True)
    start = tuple(np.delete(error.box.start, axis).tolist())
    if habit in ("lasso", "outline"):
        outline = _outline(section)
        if outline is not None:
            return Lasso(label=label, add=add, points=_to_world(outline, axis, error.middle[axis], start, grid))
    if habit == "point":
        x, y, z = grid.world(error.middle).tolist()
        return Point(label=label, add=add, at=(x, y, z))
    line, radius = _middle_line(error, axis, section, grid)
    return Stroke(label=label, add=add, points=_to_world(line, axis, error.middle[axis], start, grid), radius=radius)


def _on_slice(error: LargestError, axis: int, section: Array, shape: tuple[int, ...]) -> Array:
    """Return the error's section as a mask of the whole slice."""
    whole = np.zeros(shape, bool)
    row, column = np.delete(error.box.start, axis)
    whole[row : row + section.shape[0], column : column + section.shape[1]] = section
    return whole


def _best_section(error: LargestError, grid: Grid) -> tuple[int, Array]:
    """Return the axis and `(U, V)` mask of the slice through the middle on which the error has the largest area."""
    local = np.array(error.middle) - error.box.start
    areas, sections = [], []
    for axis in range(3):
        parts, _ = ndimage.label(np.take(error.mask, local[axis], axis), np.ones((3, 3)))
        own = parts == parts[tuple(np.delete(local, axis))]
        sections.append(own)
        areas.append(own.sum() * np.prod(np.delete(grid.spacing, axis)))
    axis = int(np.argmax(areas))
    return axis, sections[axis]


def _lines(section: Array) -> list[Array]:
    """Return closed lines around all parts of a section and all holes in it."""
    return [line[:-1] - 1 for line in find_contours(np.pad(section, 1).astype(float), 0.5)]


def _outline(section: Array) -> Array | None:
    filled = ndimage.binary_fill_holes(section)
    if section.sum() < 5 or filled.sum() > (1 + _HOLES) * section.sum():
        return None
    return max(_lines(filled), key=len)


def _middle_line(error: LargestError, axis: int, section: Array, grid: Grid) -> tuple[Array, float]:
    """Return pixels along the middle of the section, and the radius of a round brush that stays inside the error."""
    flat = [s for at, s in enumerate(grid.spacing) if at != axis]
    depth = ndimage.distance_transform_edt(np.pad(section, 1), sampling=flat)[1:-1, 1:-1]
    lines = skeletonize(section) & (depth >= 0.5 * depth.max())
    lines[np.unravel_index(int(depth.argmax()), depth.shape)] = True
    points = np.argwhere(_largest(lines))
    path = points[_along(points)]
    whole = ndimage.distance_transform_edt(np.pad(error.mask, 1), sampling=grid.spacing)[1:-1, 1:-1, 1:-1]
    room = np.take(whole, error.middle[axis] - error.box.start[axis], axis)[tuple(path.T)]
    radius = max(0.0, 0.5 * float(room.min()) - 0.5 * min(grid.spacing))
    return path, round(min(radius, 4.0), 2)


def _largest(mask: Array) -> Array:
    parts, _ = ndimage.label(mask, np.ones((3, 3)))
    sizes = np.bincount(parts.ravel())
    sizes[0] = 0
    return np.asarray(parts == sizes.argmax())


def _along(points: Array) -> Array:
    """Return pixel indices along the longest of the shortest paths between touching pixels, from end to end."""
    near = (np.abs(points[:, None] - points[None]).max(axis=2) == 1).tolist()
    neighbours = [[j for j, close in enumerate(row) if close] for row in near]
    start = _walk(neighbours, 0)[-1]
    return np.array(_path(neighbours, start))


def _walk(neighbours: list[list[int]], start: int) -> list[int]:
    return list(_reached(neighbours, start))


def _reached(neighbours: list[list[int]], start: int) -> Iterator[int]:
    visited, edge = {start}, [start]
    while edge:
        yield from edge
        ahead = dict.fromkeys(j for i in edge for j in neighbours[i] if j not in visited)
        visited.update(ahead)
        edge = list(ahead)


def _path(neighbours: list[list[int]], start: int) -> list[int]:
    came: dict[int, int] = {start: start}
    last = start
    for last in _reached(neighbours, start):
        for j in neighbours[last]:
            came.setdefault(j, last)
    path = [last]
    while path[-1] != start:
        path.append(came[path[-1]])
    return path


def _to_world(
    flat: Array, axis: int, index: int, start: tuple[int, ...], grid: Grid
) -> tuple[tuple[float, float, float], ...]:
    voxels = np.insert(flat + np.array(start, float), axis, index, axis=1)
    return tuple((round(float(x), 3), round(float(y), 3), round(float(z), 3)) for x, y, z in grid.world(voxels))
