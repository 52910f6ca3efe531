"""Geometry for navigation, without Qt and napari: planes, cameras, marks drawn over them, stepping through slices."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from scipy import ndimage

from napari_brain_tumor.geometry import bounding_box
from napari_brain_tumor.types import Array

Convention = Literal["radiological", "neurological"]
Segment = tuple[tuple[float, float], tuple[float, float]]
"""A line on a canvas: both ends as (x, y) in pixels from the upper left corner."""

Circle = tuple[float, float, float]
"""Centre (x, y) and radius, in pixels."""

_LEAST_RING: Final = 9.0
"""Minimum radius in pixels, so that small places are visible within their ring."""
_GAP: Final = 7.0
"""Gap in pixels around the centre of a crosshair, so that the place itself is visible."""
_FILLED: Final = 0.94
"""Share of a canvas that the brain fills."""
_ALL_26_NEIGHBOURS: Final = np.ones((3, 3, 3), dtype=bool)


@dataclass(frozen=True, slots=True)
class Letters:
    """The letters at the four sides of a view."""

    left: str
    right: str
    top: str
    bottom: str


@dataclass(frozen=True, slots=True)
class Plane:
    """A way to look at a volume (Z, Y, X) on an RAS grid.

    Parameters
    ----------
    axis : int
        The axis that is cut, of Z, Y, X.
    """

    name: str
    axis: Literal[0, 1, 2]

    @property
    def picture_axes(self) -> tuple[int, int]:
        """The axes that run along the rows (downwards or upwards) and the columns."""
        first, second = (axis for axis in range(3) if axis != self.axis)
        return first, second

    def order(self, ndim: int) -> tuple[int, ...]:
        """Return the order of a viewer's axes: those before the volume, the one that is cut, rows, columns."""
        before = ndim - 3
        return (*range(before), *(before + axis for axis in (self.axis, *self.picture_axes)))

    def horizontal(self, convention: Convention) -> Literal["left", "right"]:
        """Return in which direction column coordinates grow; sagittal views have anterior left in both conventions."""
        return "right" if convention == "neurological" and self.name != "sagittal" else "left"

    def orientation(self, convention: Convention) -> tuple[str, str]:
        """Return in which directions the coordinates grow on the screen, in napari's terms; head or front are up."""
        return "up", self.horizontal(convention)

    def letters(self, orientation: tuple[str, str]) -> Letters:
        """Return the letters at the sides of a canvas with this orientation; coordinates grow towards R, A and S."""
        ends = {0: ("I", "S"), 1: ("P", "A"), 2: ("L", "R")}
        row, column = self.picture_axes
        top, bottom = ends[row] if orientation[0] == "down" else ends[row][::-1]
        left, right = ends[column] if orientation[1] == "right" else ends[column][::-1]
        return Letters(left, right, top, bottom)


PLANES: Final = (Plane("axial", 0), Plane("coronal", 1), Plane("sagittal", 2))


@dataclass(frozen=True, slots=True)
class Camera:
    """How a canvas shows a plane.

    Parameters
    ----------
    centre : (row, column)
        World coordinates of the centre of the canvas.
    zoom : float
        Canvas pixels per world unit.
    orientation : (vertical, horizontal)
        Directions in which coordinates grow: up or down, left or right.
    size : (height, width)
        Size of the canvas in pixels.
    """

    centre: tuple[float, float]
    zoom: float
    orientation: tuple[str, str]
    size: tuple[float, float]

    def pixel(self, row: float, column: float) -> tuple[float, float]:
        """Return the canvas position (x, y) of a world point, from the upper left corner."""
        down = -1 if self.orientation[0] == "up" else 1
        rightwards = -1 if self.orientation[1] == "left" else 1
        y = self.size[0] / 2 + down * (row - self.centre[0]) * self.zoom
        x = self.size[1] / 2 + rightwards * (column - self.centre[1]) * self.zoom
        return x, y

    def sees(self, row: float, column: float) -> bool:
        """Return whether a world point lies within the canvas."""
        x, y = self.pixel(row, column)
        return 0 <= x < self.size[1] and 0 <= y < self.size[0]


@dataclass(frozen=True, slots=True)
class WorldBox:
    """A box in the world with axes Z, Y, X; `low` and `high` are the outer faces of its voxels."""

    low: tuple[float, float, float]
    high: tuple[float, float, float]

    @property
    def centre(self) -> tuple[float, float, float]:
        """The centre of the box."""
        z, y, x = ((a + b) / 2 for a, b in zip(self.low, self.high, strict=True))
        return z, y, x

    @property
    def size(self) -> tuple[float, float, float]:
        """The edge lengths of the box."""
        z, y, x = (b - a for a, b in zip(self.low, self.high, strict=True))
        return z, y, x

    def zoom(self, axes: Sequence[int], canvas: tuple[float, float]) -> float:
        """Return the zoom, in pixels per world unit, at which its section along (row, column) axes fills a canvas."""
        return min(_FILLED * room / max(self.size[axis], 1e-6) for axis, room in zip(axes, canvas, strict=True))


@dataclass(frozen=True, slots=True)
class Marks:
    """What is drawn over a canvas: its name, the crosshair, the letters of the sides, a message, circles."""

    title: str
    lines: tuple[Segment, ...] = ()
    letters: Letters | None = None
    note: str = ""
    circles: tuple[Circle, ...] = ()


@dataclass(frozen=True, slots=True)
class Ring:
    """A ball in the world that is marked with a ring.

    Parameters
    ----------
    centre : (z, y, x)
        In the viewer's world coordinates.
    """

    centre: tuple[float, float, float]
    radius: float


def ring_in_plane(ring: Ring, camera: Camera, axes: Sequence[int], position: float) -> Circle | None:
    """Return the circle in which a slice cuts a ring's ball; None if it does not.

    Parameters
    ----------
    camera : Camera
        Camera of the canvas that shows the slice.
    axes : (cut, row, column)
        Indices among Z, Y, X: the axis that is cut, and those along rows and columns.
    position : float
        World coordinate of the slice along the cut axis.
    """
    cut, row, column = axes
    left = ring.radius**2 - (position - ring.centre[cut]) ** 2
    if left <= 0:
        return None
    x, y = camera.pixel(ring.centre[row], ring.centre[column])
    return x, y, max(_LEAST_RING, left**0.5 * camera.zoom)


def lines_in_plane(camera: Camera, row: float, column: float) -> tuple[Segment, ...]:
    """Return the crosshair through a world point of the plane, across the whole canvas, with a gap in the middle."""
    x, y = camera.pixel(row, column)
    height, width = camera.size
    return (
        ((0.0, y), (x - _GAP, y)),
        ((x + _GAP, y), (width, y)),
        ((x, 0.0), (x, y - _GAP)),
        ((x, y + _GAP), (x, height)),
    )


@dataclass(frozen=True, slots=True)
class Camera3D:
    """How a canvas shows a volume in 3D, without perspective.

    Parameters
    ----------
    centre : (z, y, x)
        World point at the centre of the canvas.
    zoom : float
        Canvas pixels per world unit.
    right, up : (z, y, x)
        Unit vectors that point right and up on the canvas.
    size : (height, width)
        Size of the canvas in pixels.
    """

    centre: tuple[float, float, float]
    zoom: float
    right: tuple[float, float, float]
    up: tuple[float, float, float]
    size: tuple[float, float]

    def pixel(self, point: Sequence[float]) -> tuple[float, float]:
        """Return the canvas position (x, y) of a world point (z, y, x), from the upper left corner."""
        away = np.subtract(point, self.centre) * self.zoom
        x = self.size[1] / 2 + float(away @ np.asarray(self.right))
        y = self.size[0] / 2 - float(away @ np.asarray(self.up))
        return x, y


def lines_in_3d(camera: Camera3D, point: Sequence[float], box: WorldBox) -> tuple[Segment, ...]:
    """Return the crosshair through a world point (z, y, x): one line along each axis, through the box."""
    lines = []
    for axis in range(3):
        first, last = list(point), list(point)
        first[axis], last[axis] = box.low[axis], box.high[axis]
        lines.append((camera.pixel(first), camera.pixel(last)))
    return tuple(lines)


def nearest_steps(point: Sequence[float], ranges: Sequence[tuple[float, float, float]]) -> tuple[float, ...]:
    """Return the nearest point that the sliders can reach; `ranges` are start, stop and step of each axis."""
    return tuple(
        start + min(max(round((at - start) / step), 0), int((stop - start) / step + 1e-9)) * step
        for at, (start, stop, step) in zip(point, ranges, strict=True)
    )


def next_of(visibility: Sequence[bool], step: int) -> int | None:
    """Return which one to show next: after the last visible one, or the first or last if none is; None if empty."""
    if not visibility:
        return None
    visible = [at for at, is_visible in enumerate(visibility) if is_visible]
    if not visible:
        return 0 if step > 0 else len(visibility) - 1
    return (visible[-1 if step > 0 else 0] + step) % len(visibility)


def next_slice(labels: Array, axis: int, current: int, step: int) -> int | None:
    """Return the next slice with any label in that direction, wrapping around at the end; None without labels.

    Parameters
    ----------
    axis : int
        The axis that is cut.
    current : int
        The current slice; it may lie outside the volume.
    step : {1, -1}
    """
    others = tuple(other for other in range(labels.ndim) if other != axis)
    filled = np.flatnonzero(labels.any(axis=others))
    if not filled.size:
        return None
    ahead = filled[filled > current] if step > 0 else filled[filled < current][::-1]
    around = filled if step > 0 else filled[::-1]
    return int(ahead[0] if ahead.size else around[0])


def centre_of_largest_part(labels: Array, spacing: Sequence[float]) -> tuple[int, int, int] | None:
    """Return the voxel of the largest connected part that is nearest to the part's centre; None without labels.

    Parameters
    ----------
    labels : (Z, Y, X) integer array
        Parts are 26-connected, regardless of label.
    spacing : three floats
        Voxel size along the array's axes.
    """
    box = bounding_box(labels != 0)
    if box is None:
        return None
    parts, _ = ndimage.label(labels[box.slices], structure=_ALL_26_NEIGHBOURS)
    sizes = np.bincount(parts.ravel())
    sizes[0] = 0
    voxels = np.argwhere(parts == sizes.argmax())
    away = (voxels - voxels.mean(axis=0)) * np.asarray(spacing)
    nearest = voxels[np.square(away).sum(axis=1).argmin()]
    z, y, x = (int(at) + side.start for at, side in zip(nearest, box.slices, strict=True))
    return z, y, x


def place_text(point: Sequence[float], *, anatomical: bool, unit: str) -> str:
    """Format a point (z, y, x) for display: `R 12.0  A 3.5  S 40.0 mm`."""
    if not anatomical:
        return "  ".join(f"{coordinate:.1f}" for coordinate in point) + (f" {unit}" if unit else "")
    z, y, x = point
    words = [
        f"{positive if value >= 0 else negative} {abs(value):.1f}"
        for value, positive, negative in ((x, "R", "L"), (y, "A", "P"), (z, "S", "I"))
    ]
    return "  ".join(words) + (f" {unit}" if unit else "")
