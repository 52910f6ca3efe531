"""The two diameters of a lesion after RANO: the longest line in a slice, and the longest perpendicular to it.

What is measured, exactly. Slices are planes of the scan's own grid; lengths and angles are taken in the world, so that
pixels may be longer than wide and the grid tilted. The outline runs through the lesion's outermost voxels, a quarter of
a voxel outside their centres: between the centres (as rano2.0-assist and AutoRANO take them) what has straight sides
comes out a voxel short, between the faces what is round comes out a voxel long, and this way both are right to half a
voxel. The longest line within the outline comes first, then the longest line that crosses it at a right angle; of all
slices the one with the largest product counts. Each line lies wholly in the lesion, so that a cyst, a resection cavity
or a necrotic middle is not measured with it (Wen 2010, doi:10.1200/JCO.2009.26.3541; Ellingson 2017,
doi:10.1007/s13311-016-0507-6), unless cavities are asked to count: then holes within a slice are filled first.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from scipy.spatial.distance import pdist
from skimage.measure import find_contours

from napari_brain_tumor.geometry import Grid, to_ras
from napari_brain_tumor.types import Array, Mask

Point = tuple[float, float, float]
Plane = Literal["acquisition", "axial", "coronal", "sagittal"]

PLANES: Final[tuple[Plane, ...]] = ("acquisition", "axial", "coronal", "sagittal")
"""In which diameters can be measured."""

_OUTLINE: Final = 0.75
"""Value of the linearly interpolated mask where lines end: a quarter of a voxel outside the centres."""
_INSIDE: Final = 0.43
"""Least value along a line: the straight outline at a half between two diagonal neighbours dips to 7/16."""
_THICK: Final = 1.25
"""How much farther apart slices lie than voxels within them, where there is a plane of acquisition at all."""
_SHORTEST_STEP: Final = 0.25
"""Between samples along lines, in pixels."""
_PAIRS_AT_FIRST: Final = 32
_PAIRS_AT_ONCE: Final = 16384
_DIRECTIONS: Final = 36
"""Of a half turn, in which widths are taken."""


@dataclass(frozen=True, slots=True)
class Line:
    """A straight line between two points of the world, in RAS+ mm."""

    start: Point
    stop: Point

    @property
    def vector(self) -> npt.NDArray[np.float64]:
        """From start to stop, `(3,)` in mm."""
        return np.subtract(self.stop, self.start)

    @property
    def length_mm(self) -> float:
        return float(np.linalg.norm(self.vector))


@dataclass(frozen=True, slots=True)
class Bidimensional:
    """Two diameters of a lesion on one slice.

    Parameters
    ----------
    axis, index : int
        The slice: which axis of the grid, in file order, is cut, and where.
    long, short : Line
        The longest diameter and the one across it.
    by_hand : bool
        Whether a person moved an end.
    """

    axis: int
    index: int
    long: Line
    short: Line
    by_hand: bool = False

    @property
    def long_mm(self) -> float:
        """Length of the longer line, whichever it is once ends were moved."""
        return max(self.long.length_mm, self.short.length_mm)

    @property
    def short_mm(self) -> float:
        """Length of the shorter line."""
        return min(self.long.length_mm, self.short.length_mm)

    @property
    def product_mm2(self) -> float:
        """Product of both lengths."""
        return self.long_mm * self.short_mm

    @property
    def angle_degrees(self) -> float:
        """Between both lines, from 0 to 90; 90 where one of them has no length."""
        lengths = self.long.length_mm * self.short.length_mm
        if lengths == 0:
            return 90.0
        cosine = abs(float(self.long.vector @ self.short.vector)) / lengths
        return float(np.degrees(np.arccos(min(1.0, cosine))))


def measuring_axis(grid: Grid, plane: Plane = "acquisition") -> int:
    """The axis of the grid, in file order, that is cut by the plane in which diameters are measured.

    The plane of acquisition is that of the thick slices; where no axis has voxels that lie clearly farther apart than
    along the other two, it is the one closest to axial.
    """
    order = np.argsort(grid.spacing)
    if plane == "acquisition":
        if grid.spacing[order[2]] > _THICK * grid.spacing[order[1]]:
            return int(order[2])
        plane = "axial"
    return to_ras(grid).axes[("sagittal", "coronal", "axial").index(plane)]


def largest_diameters(mask: Mask, grid: Grid, axis: int, *, fill_cavities: bool = False) -> Bidimensional | None:
    """The longest diameter and the longest perpendicular to it, on the slice where their product is largest.

    Parameters
    ----------
    mask : (X, Y, Z) bool array
        One lesion, in file order; a crop with its own grid is quicker than the whole volume.
    grid : Grid
        Of the mask, in millimetres.
    axis : int
        Which axis the slices cut; see `measuring_axis`.
    fill_cavities : bool
        Count what the lesion encloses within a slice as part of it.

    Returns
    -------
    Bidimensional or None
        None for an empty mask. The index is that of the mask's slice.
    """
    best: tuple[float, int, _Cross] | None = None
    basis = _Basis.of(grid, axis)
    for index, bound in _slices_by_bound(mask, axis, basis):
        if best is not None and bound <= best[0]:
            break
        pixels = np.take(mask, index, axis=axis)
        if fill_cavities:
            pixels = ndimage.binary_fill_holes(pixels)
        cross = _cross(pixels, basis, 0.0 if best is None else best[0])
        if cross is not None and (best is None or cross.product > best[0]):
            best = (cross.product, index, cross)
    if best is None:
        return None
    _, index, cross = best
    return Bidimensional(axis, index, _line(cross.long, grid, axis, index), _line(cross.short, grid, axis, index))


@dataclass(frozen=True, slots=True, eq=False)
class _Basis:
    """Millimetres `(2,)` in the plane of a slice = matrix @ pixels `(2,)`, in whatever way the slice is tilted."""

    matrix: npt.NDArray[np.float64]

    @classmethod
    def of(cls, grid: Grid, axis: int) -> "_Basis":
        columns = np.delete(grid.affine[:3, :3], axis, axis=1)
        return cls(np.linalg.qr(columns)[1])

    def mm(self, pixels: Array) -> Array:
        points: Array = pixels @ self.matrix.T
        return points

    def pixels(self, mm: Array) -> Array:
        points: Array = mm @ np.linalg.inv(self.matrix).T
        return points

    @property
    def pixel_mm(self) -> float:
        """Length of the pixel's shorter side."""
        return float(np.linalg.norm(self.matrix, axis=0).min())


@dataclass(frozen=True, slots=True, eq=False)
class _Cross:
    """Two lines of one slice, each `(2 ends, 2)` in pixels, and the product of their lengths in mm2."""

    long: Array
    short: Array
    product: float


def _slices_by_bound(mask: Mask, axis: int, basis: _Basis) -> Iterator[tuple[int, float]]:
    """Slices that hold any of the mask with what their product cannot exceed, the largest first."""
    occupied = np.flatnonzero(mask.any(axis=tuple(a for a in range(3) if a != axis)))
    bounds = [_bound(np.take(mask, index, axis=axis), basis) for index in occupied]
    for at in np.argsort(-np.array(bounds), kind="stable"):
        yield int(occupied[at]), bounds[at]


def _bound(pixels: Mask, basis: _Basis) -> float:
    """What the product of two perpendicular lines in a slice cannot exceed: its widths in two such directions."""
    angles = np.arange(_DIRECTIONS) * np.pi / _DIRECTIONS
    along = basis.mm(_outline(pixels)) @ np.stack([np.cos(angles), np.sin(angles)])
    width = along.max(axis=0) - along.min(axis=0)
    crosswise = np.roll(width, _DIRECTIONS // 2)
    # Between two of the directions a width is at most this.
    widest = width + np.sin(np.pi / _DIRECTIONS / 2) * crosswise
    return float((widest * np.roll(widest, _DIRECTIONS // 2)).max())


def _outline(pixels: Mask) -> Array:
    """Points `(N, 2)` of the outlines of a slice, holes included, in pixels."""
    contours = find_contours(np.pad(pixels, 1).astype(np.float64), _OUTLINE)
    return np.unique(np.concatenate(contours), axis=0) - 1 if contours else np.empty((0, 2))


def _cross(pixels: Mask, basis: _Basis, least_product: float) -> _Cross | None:
    """The longest line of a slice and the longest across it; None if their product cannot exceed the least one."""
    soft = np.pad(pixels, 2).astype(np.float32)
    long = _longest(soft, _outline(pixels) + 2, basis, float(np.sqrt(least_product)))
    if long is None:
        return None
    short = _longest_across(soft, long, basis)
    lengths = [float(np.linalg.norm(basis.mm(line[1] - line[0]))) for line in (long, short)]
    return _Cross(long - 2, short - 2, lengths[0] * lengths[1])


def _longest(soft: Array, points: Array, basis: _Basis, least_mm: float) -> Array | None:
    """The longest line `(2, 2)` between two points of the outline that stays within it, if longer than that."""
    lengths = pdist(basis.mm(points))
    first, second = np.triu_indices(len(points), 1)
    worth = np.flatnonzero(lengths > least_mm)
    order = worth[np.argsort(-lengths[worth], kind="stable")]
    for pairs in _growing_parts(order):
        inside = _first_inside(soft, points[first[pairs]], points[second[pairs]])
        if inside is not None:
            return np.stack([points[first[pairs[inside]]], points[second[pairs[inside]]]])
    return None


def _growing_parts(order: Array) -> Iterator[Array]:
    """Parts of an array, each twice the one before: of a compact lesion one of the first pairs is it."""
    begin, size = 0, _PAIRS_AT_FIRST
    while begin < len(order):
        yield order[begin : begin + size]
        begin, size = begin + size, min(2 * size, _PAIRS_AT_ONCE)


def _first_inside(soft: Array, starts: Array, stops: Array) -> int | None:
    """Which of the lines is the first that stays inside; the middle of each is looked at first, then the quarters."""
    left = np.arange(len(starts))
    longest = float(np.abs(stops - starts).max())
    halvings = max(1, int(np.ceil(np.log2(longest / _SHORTEST_STEP))))
    for level in range(1, halvings + 1):
        fractions = np.arange(1, 2**level, 2) / 2**level
        for some in np.array_split(fractions, max(1, fractions.size // 16)):
            at = starts[left, None] + some[:, None] * (stops - starts)[left, None]
            left = left[(_values(soft, at) >= _INSIDE).all(axis=1)]
            if not left.size:
                return None
    return int(left[0])


def _longest_across(soft: Array, long: Array, basis: _Basis) -> Array:
    """The longest line `(2, 2)` inside that crosses another at a right angle, in pixels."""
    ends = basis.mm(long)
    along = (ends[1] - ends[0]) / np.linalg.norm(ends[1] - ends[0])
    across = np.array([-along[1], along[0]])
    step = _SHORTEST_STEP * basis.pixel_mm
    length = float(np.linalg.norm(ends[1] - ends[0]))
    feet = ends[0] + np.linspace(0, length, max(3, int(length / step) + 1))[:, None] * along
    reach = [_reach(soft, feet, sign * across, basis, length, step) for sign in (1.0, -1.0)]
    at = int(np.argmax(reach[0] + reach[1]))
    return basis.pixels(np.stack([feet[at] + reach[0][at] * across, feet[at] - reach[1][at] * across]))


def _reach(soft: Array, feet: Array, direction: Array, basis: _Basis, longest: float, step: float) -> Array:
    """How far, in mm, one gets from each foot in a direction before leaving the outline."""
    distances = np.arange(0, longest + 2 * step, step)
    values = _values(soft, basis.pixels(feet[:, None] + distances[:, None] * direction))
    outside = values < _INSIDE
    outside[:, -1] = True
    leaves = outside.argmax(axis=1)
    within = (np.arange(distances.size) < leaves[:, None]) & (values >= _OUTLINE)
    last = np.where(within.any(axis=1), distances.size - 1 - within[:, ::-1].argmax(axis=1), 0)
    rows = np.arange(len(feet))
    here, beyond = values[rows, last], values[rows, np.minimum(last + 1, distances.size - 1)]
    fall = np.where(here > beyond, here - beyond, 1.0)
    reached: Array = distances[last] + step * np.clip((here - _OUTLINE) / fall, 0, 1) * within.any(axis=1)
    return reached


def _values(soft: Array, points: Array) -> Array:
    """The mask between its pixels, at points `(..., 2)` in pixels."""
    values: Array = ndimage.map_coordinates(soft, np.moveaxis(points, -1, 0), order=1, prefilter=False)
    return values


def _line(ends: Array, grid: Grid, axis: int, index: int) -> Line:
    start, stop = (tuple(point.tolist()) for point in grid.world(np.insert(ends, axis, index, axis=1)))
    return Line(start, stop)
