"""Uncertain areas of a segmentation: connected parts whose probability is close to the threshold."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Final, cast

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from napari_brain_tumor.geometry import Box, Grid, bounding_box
from napari_brain_tumor.labels import Region
from napari_brain_tumor.measure.volumes import REGION_NAMES
from napari_brain_tumor.types import Array

_WORDS: Final = (
    ("left", "midline", "right"),
    ("posterior", "middle", "anterior"),
    ("inferior", "central", "superior"),
)
"""Names of the two ends of each world axis, low end first."""
_MIDDLE: Final = 0.1
"""Half-width of the middle zone, as a fraction of the scan's width."""
_MARGIN: Final = 0.15
_LEAST_MM3: Final = 20.0
_LEAST_VOXELS: Final = 20
"""Smallest size in voxels, used if the voxel size is unknown."""
_MOST: Final = 50


@dataclass(frozen=True, slots=True)
class DoubtfulPlace:
    """A connected part of the scan where it is uncertain whether it belongs to a region.

    Parameters
    ----------
    region : {"WT", "TC", "ET"}
    centre : (x, y, z)
        World coordinates of the voxel deepest inside the part.
    voxels : int
        Number of voxels, on the grid of the probabilities.
    ml : float or None
        Volume in millilitres; None if the voxel size is unknown.
    low, high : float
        Lowest and highest probability in the part.
    """

    region: Region
    centre: tuple[float, float, float]
    voxels: int
    ml: float | None
    low: float
    high: float

    @property
    def sentence(self) -> str:
        """Description of the part: region, size and range of probabilities."""
        return f"{REGION_NAMES[self.region]}, {self.size}, probability {self.low:.2f} to {self.high:.2f}"

    @property
    def size(self) -> str:
        """Size of the part, with its unit."""
        return f"{self.voxels} voxels" if self.ml is None else f"{self.ml:.2g} mL"

    @property
    def reason(self) -> str:
        """Why the part is uncertain."""
        return f"{REGION_NAMES[self.region]} or not: probability {self.low:.2f} to {self.high:.2f}"

    @property
    def radius(self) -> float:
        """Radius of a sphere of the same volume, in millimetres, or in voxels if their size is unknown."""
        volume = self.voxels if self.ml is None else 1000 * self.ml
        return float((3 * volume / (4 * np.pi)) ** (1 / 3))


def place_in_words(point: Sequence[float], grid: Grid) -> str:
    """Describe the position of a point within a scan as radiologists do: `"left, anterior, superior"`.

    Within a tenth of the scan's width from its centre, a point is described as midline or middle.

    Parameters
    ----------
    point : (x, y, z)
        World coordinates, RAS+.
    grid : Grid
        Grid of the scan. If its voxel size is unknown, so are its axes, and the slice is given instead.
    """
    if grid.unit != "mm":
        return f"slice {round(float(grid.voxels(np.asarray(point, dtype=float))[2]))}"
    corners = grid.world(np.array(list(product(*((0, side - 1) for side in grid.shape))), dtype=float))
    low, high = corners.min(axis=0), corners.max(axis=0)
    shares = (np.asarray(point, dtype=float) - (low + high) / 2) / np.maximum(high - low, 1e-9)
    thirds = 1 + np.where(np.abs(shares) > _MIDDLE, np.sign(shares), 0).astype(int)
    return ", ".join(words[third] for words, third in zip(_WORDS, thirds, strict=True))


def doubtful_places(
    probabilities: Mapping[Region, Array], thresholds: Mapping[Region, float], grid: Grid, *, margin: float = _MARGIN
) -> list[DoubtfulPlace]:
    """Find parts whose probability lies within a margin of its region's threshold, largest first.

    Voxels are joined if they share a face: the rim of uncertainty around every outline falls apart where it is less
    than a voxel thick, and only thick parts remain. Parts smaller than 20 mm3 (20 voxels if the voxel size is unknown)
    are dropped, and at most the 50 largest are returned.

    Parameters
    ----------
    probabilities : mapping of region to (X, Y, Z) array
    grid : Grid
        Grid of the probabilities.
    margin : float
        Largest distance from the threshold.
    """
    places = [
        place
        for region, values in probabilities.items()
        for place in _places_of(region, values, thresholds[region], grid, margin)
    ]
    return sorted(places, key=lambda place: -place.voxels)[:_MOST]


def _places_of(region: Region, values: Array, threshold: float, grid: Grid, margin: float) -> Iterator[DoubtfulPlace]:
    near = (values >= max(threshold - margin, 1e-3)) & (values <= threshold + margin)
    block = bounding_box(near)
    if block is None:
        return
    parts, count = ndimage.label(near[block.slices])
    sizes = np.bincount(parts.ravel())[1:]
    boxes = ndimage.find_objects(parts, count)
    for at in np.argsort(-sizes, kind="stable")[:_MOST]:
        if sizes[at] < _least_voxels(grid):
            return
        inside = parts[boxes[at]] == at + 1
        start = np.array(block.start) + [box_slice.start for box_slice in boxes[at]]
        yield _place(region, values, inside, start, grid)


def _least_voxels(grid: Grid) -> float:
    return _LEAST_MM3 / grid.voxel_volume_mm3 if grid.unit == "mm" else _LEAST_VOXELS


def _place(region: Region, values: Array, inside: npt.NDArray[np.bool_], start: Array, grid: Grid) -> DoubtfulPlace:
    # Outside its bounding box there is nothing of the part, so the distance to the edge of the box counts too.
    depth = ndimage.distance_transform_edt(np.pad(inside, 1), sampling=grid.spacing)[1:-1, 1:-1, 1:-1]
    deepest = np.argwhere(depth >= depth.max() - 1e-6)
    centre = deepest[np.square(deepest - deepest.mean(axis=0)).sum(axis=1).argmin()] + start
    block = Box(tuple(start.tolist()), tuple((start + inside.shape).tolist()))
    inside_values = values[block.slices][inside]
    voxels = int(inside.sum())
    ml = voxels * grid.voxel_volume_mm3 / 1000 if grid.unit == "mm" else None
    world = cast("tuple[float, float, float]", tuple(grid.world(centre).tolist()))
    return DoubtfulPlace(region, world, voxels, ml, float(inside_values.min()), float(inside_values.max()))
