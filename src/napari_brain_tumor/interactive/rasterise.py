"""Which voxels a prompt touches: from world coordinates to the scan's own grid, in any order of axes, also oblique."""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from matplotlib.path import Path as Outline

from napari_brain_tumor.errors import PromptError
from napari_brain_tumor.geometry import Box, Grid
from napari_brain_tumor.interactive.prompts import Box3D, Lasso, Painted, Point, Prompt, Stroke

__all__ = ["Touched", "rasterise"]

Array = npt.NDArray[Any]
Voxels = npt.NDArray[np.intp]

_FLAT: Final = 1e-3
"""Thickness, in voxels, below which a box counts as drawn on a slice."""


@dataclass(frozen=True, slots=True, eq=False)
class Touched:
    """Voxels of a prompt.

    Parameters
    ----------
    inside : (N, 3) intp array
        What the prompt speaks of.
    around : (M, 3) intp array
        What it tells to be otherwise: the surroundings of an outline, or of a box. Empty for strokes and points.
    sure : bool
        Whether every voxel of `inside` is what the prompt says; of a box only its middle is.
    """

    inside: Voxels
    around: Voxels
    sure: bool = True

    def box(self) -> Box:
        """The smallest box around `inside`."""
        low, high = self.inside.min(axis=0), self.inside.max(axis=0) + 1
        return Box(tuple(int(v) for v in low), tuple(int(v) for v in high))  # type: ignore[arg-type]


def rasterise(prompt: Prompt, grid: Grid) -> Touched:
    """Voxels `(x, y, z)` of the grid that a prompt speaks of.

    Parameters
    ----------
    prompt : Prompt
        In world coordinates of the grid's unit.
    grid : Grid
        Of the scan.

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
            inside, around = _within_outline(np.array(prompt.points), grid, width)
        case Box3D():
            inside, around = _within_box(np.array(prompt.corners), grid)
    if not len(inside):
        msg = (
            f"The {prompt.kind} ({prompt.label}) touches no voxel of the scan: {grid.describe()}. "
            "Prompts are given in world coordinates of the scan they were drawn on; check that it is the same case."
        )
        raise PromptError(msg)
    return Touched(inside, around, sure=prompt.kind != "box")


def _nothing() -> Voxels:
    return np.empty((0, 3), np.intp)


def _cut(voxels: Array, grid: Grid) -> Voxels:
    whole = np.unique(np.rint(voxels).astype(np.intp), axis=0)
    return whole[((whole >= 0) & (whole < grid.shape)).all(axis=1)]


def _nearest(points: Array, grid: Grid) -> Voxels:
    return _cut(grid.voxels(points), grid)


def _block(points: Array, margin: float, grid: Grid) -> Voxels:
    """Every voxel of the block around world points, with a margin in the grid's unit."""
    voxels = grid.voxels(points)
    reach = margin / np.asarray(grid.spacing) + 1
    low = np.maximum(np.floor(voxels.min(axis=0) - reach), 0).astype(int)
    high = np.minimum(np.ceil(voxels.max(axis=0) + reach) + 1, grid.shape).astype(int)
    if (high <= low).any():
        return _nothing()
    return np.stack(np.meshgrid(*map(np.arange, low, high), indexing="ij"), axis=-1).reshape(-1, 3)


def _along(points: Array, radius: float, grid: Grid) -> Voxels:
    runs = _nearest(_dense(points, min(grid.spacing) / 2), grid)
    if radius <= 0:
        return runs
    block = _block(points, radius, grid)
    distance = _distance_to_line(grid.world(block), points)
    return np.unique(np.concatenate([runs, block[distance <= radius]]), axis=0)


def _dense(points: Array, step: float) -> Array:
    """Points on the line through `points`, no further apart than `step`."""
    parts = [points[:1]]
    for a, b in zip(points[:-1], points[1:], strict=True):
        count = max(1, int(np.ceil(np.linalg.norm(b - a) / step)))
        parts.append(a + (b - a) * (np.arange(1, count + 1) / count)[:, None])
    return np.concatenate(parts)


def _distance_to_line(places: Array, points: Array) -> Array:
    nearest = np.linalg.norm(places - points[0], axis=1)
    for a, b in zip(points[:-1], points[1:], strict=True):
        along = b - a
        share = np.clip((places - a) @ along / max(float(along @ along), 1e-12), 0, 1)
        nearest = np.minimum(nearest, np.linalg.norm(places - a - share[:, None] * along, axis=1))
    return nearest


def _within_outline(points: Array, grid: Grid, margin: float) -> tuple[Voxels, Voxels]:
    origin = points.mean(axis=0)
    _, spread, axes = np.linalg.svd(points - origin, full_matrices=True)
    normal = axes[2]
    thickness = _thickness(normal, grid)
    if spread[1] <= 1e-6 or np.abs((points - origin) @ normal).max() > thickness:
        msg = (
            f"The lasso's {len(points)} points do not outline an area in one plane. Draw it on one slice: points that "
            f"are on one line, or on slices further apart than {thickness:.3g} {grid.unit}, enclose nothing."
        )
        raise PromptError(msg)
    block = _block(points, margin, grid)
    offset = grid.world(block) - origin
    layer = np.abs(offset @ normal) <= thickness / 2 * (1 + 1e-9)
    block, offset = block[layer], offset[layer]
    flat = offset @ axes[:2].T
    corners = (points - origin) @ axes[:2].T
    outline = Outline(np.concatenate([corners, corners[:1]]), closed=True)
    # The sign of the radius depends on the direction in which an outline runs.
    inside = outline.contains_points(flat)
    inside |= (np.linalg.norm(flat[:, None] - corners[None], axis=2) < 1e-6).any(axis=1)
    near = _distance_to_line(flat, np.concatenate([corners, corners[:1]])) <= margin
    return block[inside], block[~inside & near]


def _thickness(normal: Array, grid: Grid) -> float:
    """Distance between neighbouring layers of voxels along a direction: the spacing, for a plane of the grid."""
    return float(np.abs((grid.affine[:3, :3] * normal[:, None]).sum(axis=0)).max())


def _ring_width(grid: Grid) -> float:
    return 2.0 * float(np.sort(grid.spacing)[1])


def _border_width(grid: Grid) -> float:
    return 8.0 * float(np.sort(grid.spacing)[1])


def _within_box(corners: Array, grid: Grid) -> tuple[Voxels, Voxels]:
    voxels = grid.voxels(corners)
    low, high = voxels.min(axis=0), voxels.max(axis=0)
    thin = high - low < 1 + _FLAT
    low = np.where(thin, np.rint((low + high) / 2) - 0.5, low)
    high = np.where(thin, np.rint((low + high) / 2) + 0.5, high)
    block = _block(corners, _ring_width(grid), grid)
    inside = ((block >= low - _FLAT) & (block <= high + _FLAT)).all(axis=1)
    beside = ((block >= low - _FLAT) & (block <= high + _FLAT)) | ~thin
    return block[inside], block[~inside & beside.all(axis=1)]
