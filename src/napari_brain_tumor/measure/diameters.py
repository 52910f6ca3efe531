"""Bidimensional diameters after RANO: the longest line within a slice, and the longest line perpendicular to it.

Slices are planes of the scan's own grid; lengths and angles are computed in world coordinates, so anisotropic pixels
and tilted grids are handled. The outline runs a quarter of a voxel outside the centres of the lesion's outermost
voxels. Outlines through the centres (as in rano2.0-assist and AutoRANO) make straight-sided shapes a voxel too short,
and outlines along the outer voxel faces make round shapes a voxel too long; with this one both are correct to within
half a voxel. In each slice the longest line within the outline is found first, then the longest line that crosses it
at a right angle; the slice with the largest product is reported. Both lines lie entirely within the lesion, so cysts,
resection cavities and necrotic centres are not measured (Wen 2010, doi:10.1200/JCO.2009.26.3541; Ellingson 2017,
doi:10.1007/s13311-016-0507-6), unless cavities are to be included: then holes within a slice are filled first.
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
"""Planes in which diameters can be measured."""

_OUTLINE: Final = 0.75
"""Value of the linearly interpolated mask at which lines end: a quarter of a voxel outside the centres."""
_INSIDE: Final = 0.43
"""Smallest value allowed along a line; a straight outline at 0.5 between two diagonal neighbours dips to 7/16."""
_THICK: Final = 1.25
"""Ratio of slice spacing to in-plane spacing above which an acquisition plane can be identified."""
_SHORTEST_STEP: Final = 0.25
"""Distance between samples along lines, in pixels."""
_PAIRS_AT_FIRST: Final = 32
_PAIRS_AT_ONCE: Final = 16384
_DIRECTIONS: Final = 36
"""Number of directions, within a half turn, in which widths are measured."""


@dataclass(frozen=True, slots=True)
class Line:
    """A straight line between two points in world coordinates, RAS+ mm."""

    start: Point
    stop: Point

    @property
    def vector(self) -> npt.NDArray[np.float64]:
        """Vector from start to stop, `(3,)`, in mm."""
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
        Grid axis, in file order, that is perpendicular to the slice, and the index of the slice along it.
    long, short : Line
        The longest diameter and the one perpendicular to it.
    by_hand : bool
        Whether an end point was moved by a user.
    """

    axis: int
    index: int
    long: Line
    short: Line
    by_hand: bool = False

    @property
    def long_mm(self) -> float:
        """Length of the longer line, which may be either line after end points were moved."""
        return max(self.long.length_mm, self.short.length_mm)

    @property
    def short_mm(self) -> float:
        """Length of the shorter line."""
        return min(self.long.length_mm, self.short.length_mm)

    @property
    def product_mm2(self) -> float:
        """Product of the two lengths."""
        return self.long_mm * self.short_mm

    @property
    def angle_degrees(self) -> float:
        """Angle between the two lines, from 0 to 90; 90 if one of them has zero length."""
        lengths = self.long.length_mm * self.short.length_mm
        if lengths == 0:
            return 90.0
        cosine = abs(float(self.long.vector @ self.short.vector)) / lengths
        return float(np.degrees(np.arccos(min(1.0, cosine))))


def measuring_axis(grid: Grid, plane: Plane = "acquisition") -> int:
    """Return the grid axis, in file order, perpendicular to the plane in which diameters are measured.

    The acquisition plane is that of the thick slices; if no axis has clearly larger voxel spacing than the other two,
    it is the grid plane closest to axial.
    """
    order = np.argsort(grid.spacing)
    if plane == "acquisition":
        if grid.spacing[order[2]] > _THICK * grid.spacing[order[1]]:
            return int(order[2])
        plane = "axial"
    return to_ras(grid).axes[("sagittal", "coronal", "axial").index(plane)]


def largest_diameters(mask: Mask, grid: Grid, axis: int, *, fill_cavities: bool = False) -> Bidimensional | None:
    """Find the longest diameter and the longest perpendicular to it, on the slice where their product is largest.

    Parameters
    ----------
    mask : (X, Y, Z) bool array
        One lesion, in file order; cropping it, with a matching grid, is faster than passing the whole volume.
    grid : Grid
        Grid of the mask, in millimetres.
    axis : int
        Axis perpendicular to the slices; see `measuring_axis`.
    fill_cavities : bool
        Whether to count holes enclosed by the lesion within a slice as part of it.

    Returns
    -------
    Bidimensional or None
        None for an empty mask. The slice index refers to the mask.
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
    """In-plane conversion for any slice orientation: millimetres `(2,)` = matrix @ pixels `(2,)`."""

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
        """Length of the shorter side of a pixel."""
        return float(np.linalg.norm(self.matrix, axis=0).min())


@dataclass(frozen=True, slots=True, eq=False)
class _Cross:
    """Two lines in one slice, each `(2 ends, 2)` in pixels, and the product of their lengths in mm2."""

    long: Array
    short: Array
    product: float


def _slices_by_bound(mask: Mask, axis: int, basis: _Basis) -> Iterator[tuple[int, float]]:
    """Yield the slices that contain part of the mask, each with an upper bound of its product, largest bound first."""
    occupied = np.flatnonzero(mask.any(axis=tuple(a for a in range(3) if a != axis)))
    bounds = [_bound(np.take(mask, index, axis=axis), basis) for index in occupied]
    for at in np.argsort(-np.array(bounds), kind="stable"):
        yield int(occupied[at]), bounds[at]


def _bound(pixels: Mask, basis: _Basis) -> float:
    """Return an upper bound of the product of two perpendicular lines in a slice, from its widths."""
    angles = np.arange(_DIRECTIONS) * np.pi / _DIRECTIONS
    along = basis.mm(_outline(pixels)) @ np.stack([np.cos(angles), np.sin(angles)])
    width = along.max(axis=0) - along.min(axis=0)
    crosswise = np.roll(width, _DIRECTIONS // 2)
    # Upper bound of the width in directions between the sampled ones.
    widest = width + np.sin(np.pi / _DIRECTIONS / 2) * crosswise
    return float((widest * np.roll(widest, _DIRECTIONS // 2)).max())


def _outline(pixels: Mask) -> Array:
    """Return the points `(N, 2)` of the outlines in a slice, including those of holes, in pixels."""
    contours = find_contours(np.pad(pixels, 1).astype(np.float64), _OUTLINE)
    return np.unique(np.concatenate(contours), axis=0) - 1 if contours else np.empty((0, 2))


def _cross(pixels: Mask, basis: _Basis, least_product: float) -> _Cross | None:
    """Find the longest line in a slice and the longest across it; None if their product cannot exceed the least one."""
    soft = np.pad(pixels, 2).astype(np.float32)
    long = _longest(soft, _outline(pixels) + 2, basis, float(np.sqrt(least_product)))
    if long is None:
        return None
    short = _longest_across(soft, long, basis)
    lengths = [float(np.linalg.norm(basis.mm(line[1] - line[0]))) for line in (long, short)]
    return _Cross(long - 2, short - 2, lengths[0] * lengths[1])


def _longest(soft: Array, points: Array, basis: _Basis, least_mm: float) -> Array | None:
    """Find the longest line `(2, 2)` between two outline points that stays inside and exceeds `least_mm`."""
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
    """Yield parts of an array, each twice as long as the last; in compact lesions an early pair is the answer."""
    begin, size = 0, _PAIRS_AT_FIRST
    while begin < len(order):
        yield order[begin : begin + size]
        begin, size = begin + size, min(2 * size, _PAIRS_AT_ONCE)


def _first_inside(soft: Array, starts: Array, stops: Array) -> int | None:
    """Return the index of the first line that stays inside; midpoints are tested first, then quarter points."""
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
    """Find the longest line `(2, 2)` inside the outline that crosses `long` at a right angle, in pixels."""
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
    """Return the distance in mm from each foot, in the given direction, to where it leaves the outline."""
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
    """Interpolate the mask at points `(..., 2)` in pixels."""
    values: Array = ndimage.map_coordinates(soft, np.moveaxis(points, -1, 0), order=1, prefilter=False)
    return values


def _line(ends: Array, grid: Grid, axis: int, index: int) -> Line:
    start, stop = (tuple(point.tolist()) for point in grid.world(np.insert(ends, axis, index, axis=1)))
    return Line(start, stop)
