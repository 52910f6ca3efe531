"""Convert prompts from world coordinates to voxels of the scan's grid, for any axis order and oblique grids."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from napari_brain_tumor.errors import PromptError
from napari_brain_tumor.geometry import Box, Grid
from napari_brain_tumor.interactive.prompts import Box3D, Lasso, Painted, Point, Prompt, Stroke
from napari_brain_tumor.types import Array, Indices

_ROUNDING: Final = 1e-6
"""Tolerance, as a share of a voxel, within which two positions count as equal."""
_AT_ONCE: Final = 2_000_000
"""Number of distances that are computed in one go."""


@dataclass(frozen=True, slots=True, eq=False)
class Touched:
    """Voxels that a prompt touches.

    Parameters
    ----------
    inside : (N, 3) intp array
        Voxels that the prompt labels.
    around : (M, 3) intp array
        Voxels that it implies to be something else: a margin around an outline or box. Empty for strokes and points.
    sure : bool
        Whether every voxel of `inside` is certain to be what the prompt says; for a box, only its middle is.
    """

    inside: Indices
    around: Indices
    sure: bool = True

    def box(self) -> Box:
        """Return the bounding box of `inside`."""
        low, high = self.inside.min(axis=0), self.inside.max(axis=0) + 1
        return Box(tuple(int(v) for v in low), tuple(int(v) for v in high))  # type: ignore[arg-type]


def rasterise(prompt: Prompt, grid: Grid) -> Touched:
    """Return the voxels `(x, y, z)` of the grid that a prompt touches.

    Parameters
    ----------
    prompt : Prompt
        Prompt in world coordinates, in the grid's unit.
    grid : Grid
        Grid of the scan.

    Raises
    ------
    PromptError
        If no voxel of the grid is touched.
    """
    match prompt:
        case Point():
            inside, around = _nearest(np.array([prompt.at]), grid), _nothing()
        case Painted():
            inside, around = _nearest(np.array(prompt.points), grid), _nothing()
        case Stroke():
            inside, around = _along(np.array(prompt.points), prompt.radius, grid), _nothing()
        case Lasso():
            width = _border_width(grid) if prompt.border else _ring_width(grid)
            lines = [np.array(line) for line in (prompt.points, *prompt.rings)]
            inside, around = _within_lines(lines, grid, width)
        case Box3D():
            inside, around = _within_box(np.array(prompt.corners), grid)
    if not len(inside):
        msg = (
            f"The {prompt.kind} ({prompt.label}) touches no voxel of the scan: {grid.describe()}. "
            "Prompts are given in world coordinates of the scan they were drawn on; check that it is the same case."
        )
        raise PromptError(msg)
    return Touched(inside, around, sure=prompt.kind != "box")


def _nothing() -> Indices:
    return np.empty((0, 3), np.intp)


def _within(voxels: Array, grid: Grid) -> npt.NDArray[np.bool_]:
    inside = (voxels >= 0) & (voxels < grid.shape)
    return np.asarray(inside.all(axis=-1), bool)


def _once(voxels: Array, grid: Grid) -> Indices:
    """Return the unique integer voxels in the grid's order, without those outside the grid."""
    whole = voxels[_within(voxels, grid)]
    places = np.unique(np.ravel_multi_index(tuple(whole.T), grid.shape))
    return np.stack(np.unravel_index(places, grid.shape), axis=-1)


def _nearest(points: Array, grid: Grid) -> Indices:
    return _once(np.rint(grid.voxels(points)).astype(np.intp), grid)


def _block(low: Array, high: Array, grid: Grid) -> Indices:
    """Return all voxels of the grid between two positions in voxels, which may be fractional or outside the grid."""
    first = np.maximum(np.floor(low), 0).astype(int)
    stop = np.minimum(np.ceil(high) + 1, grid.shape).astype(int)
    if (stop <= first).any():
        return _nothing()
    return np.stack(np.meshgrid(*map(np.arange, first, stop), indexing="ij"), axis=-1).reshape(-1, 3)


# Lines --------------------------------------------------------------------------------------------------------------


def _along(points: Array, radius: float, grid: Grid) -> Indices:
    runs = _run_through(points, grid)
    return runs if radius <= 0 else _once(np.concatenate([runs, _near_line(points, radius, grid)]), grid)


def _run_through(points: Array, grid: Grid) -> Indices:
    """Return the voxels that the line through `points` passes through."""
    return _nearest(_dense(points, min(grid.spacing) / 2), grid)


def _dense(points: Array, step: float) -> Array:
    """Return points on the line through `points` that are no further apart than `step`."""
    parts = [points[:1]]
    for a, b in pairwise(points):
        count = max(1, int(np.ceil(np.linalg.norm(b - a) / step)))
        parts.append(a + (b - a) * (np.arange(1, count + 1) / count)[:, None])
    return np.concatenate(parts)


def _near_line(points: Array, radius: float, grid: Grid) -> Indices:
    """Return the voxels whose centres are within `radius` of the line through `points`.

    The line is divided into pieces, and only the voxels around each piece are tested.
    """
    places = _dense(points, max(radius, min(grid.spacing)))
    starts, along = (places, np.zeros_like(places)) if len(places) == 1 else (places[:-1], np.diff(places, axis=0))
    offsets = _offsets(radius + float(np.linalg.norm(along, axis=1).max()) / 2, grid)
    several = max(1, _AT_ONCE // len(offsets))
    parts = (slice(at, at + several) for at in range(0, len(starts), several))
    return _once(np.concatenate([_near_pieces(starts[p], along[p], offsets, radius, grid) for p in parts]), grid)


def _offsets(reach: float, grid: Grid) -> Indices:
    """Return the offsets from a voxel to all voxels whose centres can be within `reach` of a point in it."""
    steps = np.linalg.norm(np.linalg.inv(grid.affine[:3, :3]), axis=1) * reach  # extent of a ball along each axis
    spare = np.ceil(steps + 0.5).astype(int)
    block = np.stack(np.meshgrid(*(np.arange(-n, n + 1) for n in spare), indexing="ij"), axis=-1).reshape(-1, 3)
    half = np.abs(grid.affine[:3, :3]).sum(axis=1) / 2
    distance = np.linalg.norm(block @ grid.affine[:3, :3].T, axis=1)
    near: Indices = block[distance <= reach + float(np.linalg.norm(half))]
    return near


def _near_pieces(starts: Array, along: Array, offsets: Indices, radius: float, grid: Grid) -> Indices:
    """Return the voxels within `radius` of any piece of the line, including voxels outside the grid."""
    middles = np.rint(grid.voxels(starts + along / 2)).astype(np.intp)
    ways = offsets @ grid.affine[:3, :3].T
    first = grid.world(middles) - starts
    length = (along**2).sum(axis=1)[:, None]
    # With q from a piece's start to a voxel and t the share of the piece: |q - t a|^2 = |q|^2 - 2 t (q a) + t^2 |a|^2.
    squared = (ways**2).sum(axis=1) + 2 * first @ ways.T + (first**2).sum(axis=1)[:, None]
    forward = along @ ways.T + (first * along).sum(axis=1)[:, None]
    share = np.clip(forward / np.maximum(length, 1e-12), 0, 1)
    squared += share * (share * length - 2 * forward)
    piece, offset = np.nonzero(squared <= radius**2 * (1 + 1e-9) + 1e-12)
    near: Indices = middles[piece] + offsets[offset]
    return near


# Outlines -----------------------------------------------------------------------------------------------------------


def _within_lines(lines: Sequence[Array], grid: Grid, margin: float) -> tuple[Indices, Indices]:
    """Return the voxels enclosed by an odd number of closed lines in one plane, and the voxels around them."""
    points = np.concatenate(lines)
    origin = points.mean(axis=0)
    _, spread, axes = np.linalg.svd(points - origin, full_matrices=False)
    normal = axes[2] * np.sign(axes[2][np.abs(axes[2]).argmax()])
    thickness = _thickness(normal, grid)
    if spread[1] <= _ROUNDING * min(grid.spacing) or np.abs((points - origin) @ normal).max() > thickness:
        msg = (
            f"The lasso's {len(points)} points do not outline an area in one plane. Draw it on one slice: points "
            f"on a straight line, or on slices more than {thickness:.3g} {grid.unit} apart, enclose no area."
        )
        raise PromptError(msg)
    flat = points - ((points - origin) @ normal)[:, None] * normal
    voxels = grid.voxels(flat)
    spare = margin / np.asarray(grid.spacing) + 1
    block = _block(voxels.min(axis=0) - spare, voxels.max(axis=0) + spare, grid)
    offset = grid.world(block) - origin
    layer = _in_layer(offset @ normal, thickness)
    block, offset = block[layer], offset[layer]
    slack = _ROUNDING * min(grid.spacing)
    odd = np.zeros(len(block), bool)
    for line in np.split(flat, np.cumsum([len(line) for line in lines])[:-1]):
        odd ^= _winds_around(offset @ axes[:2].T, (line - origin) @ axes[:2].T, slack)
    inside = block[odd]
    if not len(inside):  # too small or too thin to contain the centre of a voxel
        inside = _run_through(np.concatenate([flat, flat[:1]]), grid)
    return inside, _beside(block, inside, margin, grid)


def _beside(voxels: Indices, inside: Indices, margin: float, grid: Grid) -> Indices:
    """Return those of `voxels` that are not in `inside`, but within `margin` of it."""
    if not len(voxels) or not len(inside):
        return _nothing()
    low = np.minimum(voxels.min(axis=0), inside.min(axis=0))
    empty = np.ones(np.maximum(voxels.max(axis=0), inside.max(axis=0)) - low + 1, dtype=bool)
    empty[tuple((inside - low).T)] = False
    distance = ndimage.distance_transform_edt(empty, sampling=grid.spacing)[tuple((voxels - low).T)]
    near: Indices = voxels[(distance > 0) & (distance <= margin * (1 + _ROUNDING))]
    return near


def _in_layer(height: Array, thickness: float) -> npt.NDArray[np.bool_]:
    """Return which positions belong to the single layer at height 0; of two layers equally near, the higher one."""
    slack = _ROUNDING * thickness
    layer: npt.NDArray[np.bool_] = (height >= slack - thickness / 2) & (height < thickness / 2 + slack)
    return layer if layer.any() else np.abs(height) <= thickness / 2 + slack


def _winds_around(places: Array, corners: Array, slack: float) -> npt.NDArray[np.bool_]:
    """Return which positions `(N, 2)` a closed line through `corners` winds around (once or more) or passes through.

    The winding number is computed from the edges that cross a ray to the right (Hormann and Agathos 2001,
    doi:10.1016/S0925-7721(01)00012-8).
    """
    x, y = places.T
    winding = np.zeros(len(places), np.int64)
    touched = np.zeros(len(places), bool)
    for (ax, ay), (bx, by) in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        left = (bx - ax) * (y - ay) - (x - ax) * (by - ay)
        winding += ((ay <= y) & (by > y) & (left > 0)).astype(np.int64) - ((ay > y) & (by <= y) & (left < 0))
        within = (np.minimum(ax, bx) - slack <= x) & (x <= np.maximum(ax, bx) + slack)
        within &= (np.minimum(ay, by) - slack <= y) & (y <= np.maximum(ay, by) + slack)
        touched |= within & (np.abs(left) <= slack * np.hypot(bx - ax, by - ay))
    return np.asarray((winding != 0) | touched, bool)


def _thickness(normal: Array, grid: Grid) -> float:
    """Return the distance between adjacent layers of voxels in a direction; the spacing, for a plane of the grid."""
    return float(np.abs((grid.affine[:3, :3] * normal[:, None]).sum(axis=0)).max())


def _ring_width(grid: Grid) -> float:
    return 2.0 * float(np.sort(grid.spacing)[1])


def _border_width(grid: Grid) -> float:
    return 8.0 * float(np.sort(grid.spacing)[1])


# Boxes --------------------------------------------------------------------------------------------------------------


def _within_box(corners: Array, grid: Grid) -> tuple[Indices, Indices]:
    """Return the voxels of a box along the world axes, and those around it; a flat box covers a single layer."""
    low, high = corners.min(axis=0), corners.max(axis=0)
    thickness = np.array([_thickness(direction, grid) for direction in np.eye(3)])
    thin = high - low < thickness * (1 - _ROUNDING)
    margin = np.where(thin, 0.0, _ring_width(grid))
    reach = np.array(np.meshgrid(*zip(low - margin - thickness, high + margin + thickness, strict=True)))
    voxels = grid.voxels(reach.reshape(3, -1).T)
    block = _block(voxels.min(axis=0), voxels.max(axis=0), grid)
    world = grid.world(block)
    slack = _ROUNDING * thickness
    flat = np.stack([_in_layer(world[:, a] - (low + high)[a] / 2, thickness[a]) for a in range(3)], axis=1)
    inside = np.where(thin, flat, (world >= low - slack) & (world <= high + slack)).all(axis=1)
    near = np.where(thin, flat, (world >= low - margin - slack) & (world <= high + margin + slack)).all(axis=1)
    return block[inside], block[near & ~inside]
