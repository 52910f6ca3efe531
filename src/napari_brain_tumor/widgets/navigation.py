"""Where to look next, without Qt and napari: planes and their letters, steps through scans and slices."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from scipy import ndimage

from napari_brain_tumor.geometry import bounding_box
from napari_brain_tumor.types import Array

__all__ = [
    "PLANES",
    "Camera",
    "Convention",
    "Letters",
    "Plane",
    "arrangement",
    "centre_of_largest_part",
    "next_of",
    "next_slice",
    "place_text",
]

Convention = Literal["radiological", "neurological"]
Arrangement = Literal["column", "square", "row"]

_ALL_26_NEIGHBOURS: Final = np.ones((3, 3, 3), dtype=bool)


@dataclass(frozen=True, slots=True)
class Letters:
    """What is written at the four sides of a view."""

    left: str
    right: str
    top: str
    bottom: str


@dataclass(frozen=True, slots=True)
class Plane:
    """A way to look at a volume (Z, Y, X) on an RAS grid.

    Parameters
    ----------
    name : str
    axis : int
        The axis that is cut, of Z, Y, X.
    """

    name: str
    axis: Literal[0, 1, 2]

    @property
    def picture_axes(self) -> tuple[int, int]:
        """The axes that run along rows (downwards or upwards) and columns."""
        first, second = (axis for axis in range(3) if axis != self.axis)
        return first, second

    def order(self, ndim: int) -> tuple[int, ...]:
        """The order of a viewer's axes: those before the volume, the one that is cut, rows, columns."""
        before = ndim - 3
        return (*range(before), *(before + axis for axis in (self.axis, *self.picture_axes)))

    def horizontal(self, convention: Convention) -> Literal["left", "right"]:
        """Whither columns' coordinates grow; in sagittal views the front is left in both conventions."""
        return "right" if convention == "neurological" and self.name != "sagittal" else "left"

    def orientation(self, convention: Convention) -> tuple[str, str]:
        """Whither rows' and columns' coordinates grow on the screen, in napari's words; head or front are up."""
        return "up", self.horizontal(convention)

    def letters(self, convention: Convention) -> Letters:
        """Directions at the sides of the view: R, A, S are where coordinates grow."""
        ends = {0: ("I", "S"), 1: ("P", "A"), 2: ("L", "R")}
        row, column = self.picture_axes
        bottom, top = ends[row]
        low, high = ends[column]
        left, right = (low, high) if self.horizontal(convention) == "right" else (high, low)
        return Letters(left, right, top, bottom)


PLANES: Final = (Plane("axial", 0), Plane("coronal", 1), Plane("sagittal", 2))


@dataclass(frozen=True, slots=True)
class Camera:
    """How a canvas shows a plane.

    Parameters
    ----------
    centre : (row, column)
        World coordinates in the middle of the canvas.
    zoom : float
        Pixels of the canvas per world unit.
    orientation : (vertical, horizontal)
        Whither coordinates grow: up or down, left or right.
    size : (height, width)
        Of the canvas, in pixels.
    """

    centre: tuple[float, float]
    zoom: float
    orientation: tuple[str, str]
    size: tuple[float, float]

    def pixel(self, row: float, column: float) -> tuple[float, float]:
        """Where on the canvas a world point is seen: (x, y), from the upper left corner."""
        down = -1 if self.orientation[0] == "up" else 1
        rightwards = -1 if self.orientation[1] == "left" else 1
        y = self.size[0] / 2 + down * (row - self.centre[0]) * self.zoom
        x = self.size[1] / 2 + rightwards * (column - self.centre[1]) * self.zoom
        return x, y

    def sees(self, row: float, column: float) -> bool:
        """Whether a world point lies within the canvas."""
        x, y = self.pixel(row, column)
        return 0 <= x < self.size[1] and 0 <= y < self.size[0]


def arrangement(width: int, height: int) -> Arrangement:
    """How three views and a box of buttons fit best into a panel of that size."""
    if width > 1.8 * height:
        return "row"
    return "square" if width > 0.62 * height else "column"


def next_of(visibility: Sequence[bool], step: int) -> int | None:
    """Which one to show alone, after the last that is shown; the first or last where none is; None of nothing."""
    if not visibility:
        return None
    visible = [at for at, is_visible in enumerate(visibility) if is_visible]
    if not visible:
        return 0 if step > 0 else len(visibility) - 1
    return (visible[-1 if step > 0 else 0] + step) % len(visibility)


def next_slice(labels: Array, axis: int, current: int, step: int) -> int | None:
    """The next slice with any label, in that direction; around the end it goes on at the other; None without labels.

    Parameters
    ----------
    labels : integer array
    axis : int
        The axis that is cut.
    current : int
        Slice that is shown now; it may lie outside.
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
    """The voxel of the largest connected part that lies nearest to the part's centre; None without labels.

    Parameters
    ----------
    labels : (Z, Y, X) integer array
        Parts are 26-connected over all labels.
    spacing : three floats
        Along the array's axes.
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
    """A point (z, y, x) as it is read out: `R 12.0  A 3.5  S 40.0 mm`."""
    if not anatomical:
        return "  ".join(f"{coordinate:.1f}" for coordinate in point) + (f" {unit}" if unit else "")
    z, y, x = point
    words = [
        f"{positive if value >= 0 else negative} {abs(value):.1f}"
        for value, positive, negative in ((x, "R", "L"), (y, "A", "P"), (z, "S", "I"))
    ]
    return "  ".join(words) + (f" {unit}" if unit else "")
