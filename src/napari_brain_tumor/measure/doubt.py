"""Where a segmentation is in doubt: connected places whose probability lies near the threshold."""

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
"""Of each axis of the world, from its low end to its high one."""
_MIDDLE: Final = 0.1
"""Of a scan's width, on each side of its middle."""
_MARGIN: Final = 0.15
_LEAST_MM3: Final = 20.0
_LEAST_VOXELS: Final = 20
"""Where the size of a voxel is not known."""
_MOST: Final = 50


@dataclass(frozen=True, slots=True)
class DoubtfulPlace:
    """A connected place where it is not certain whether a region reaches there.

    Parameters
    ----------
    region : {"WT", "TC", "ET"}
    centre : (x, y, z)
        World coordinates of the voxel that lies deepest within the place.
    voxels : int
        Voxels of the grid on which it was looked for.
    ml : float or None
        Their volume in millilitres; None where the voxel size is not known.
    low, high : float
        Least and largest probability there.
    """

    region: Region
    centre: tuple[float, float, float]
    voxels: int
    ml: float | None
    low: float
    high: float

    @property
    def sentence(self) -> str:
        """What is doubtful there: region, size and probability."""
        return f"{REGION_NAMES[self.region]}, {self.size}, probability {self.low:.2f} to {self.high:.2f}"

    @property
    def size(self) -> str:
        """How large it is, with its unit."""
        return f"{self.voxels} voxels" if self.ml is None else f"{self.ml:.2g} mL"

    @property
    def reason(self) -> str:
        """Why it is doubtful."""
        return f"{REGION_NAMES[self.region]} or not: probability {self.low:.2f} to {self.high:.2f}"

    @property
    def radius(self) -> float:
        """Of a ball as large, in millimetres, or in voxels where their size is not known."""
        volume = self.voxels if self.ml is None else 1000 * self.ml
        return float((3 * volume / (4 * np.pi)) ** (1 / 3))


def place_in_words(point: Sequence[float], grid: Grid) -> str:
    """Where a point lies within a scan, as readers say it: `"left, anterior, superior"`.

    A point nearer to the middle than a tenth of the scan is called by that: midline, middle.

    Parameters
    ----------
    point : (x, y, z)
        World coordinates, RAS+.
    grid : Grid
        Of the scan. Where its voxel size is not known its axes are not either, and the slice is told.
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
    """Places whose probability lies within a margin of its region's threshold, the largest first.

    Voxels belong to one place if they touch by their faces: the thin rim of doubt around every outline falls apart
    where it is less than a voxel thick, and what is thick stays. Places of less than 20 mm3 (20 voxels where the voxel
    size is not known) are left out, and of the others all but the 50 largest.

    Parameters
    ----------
    probabilities : mapping of region to (X, Y, Z) array
    grid : Grid
        Where the probabilities lie.
    margin : float
        Largest distance to the threshold.
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
    # Beyond its own box there is nothing of the place, so the distance to the border of the box counts too.
    depth = ndimage.distance_transform_edt(np.pad(inside, 1), sampling=grid.spacing)[1:-1, 1:-1, 1:-1]
    deepest = np.argwhere(depth >= depth.max() - 1e-6)
    centre = deepest[np.square(deepest - deepest.mean(axis=0)).sum(axis=1).argmin()] + start
    block = Box(tuple(start.tolist()), tuple((start + inside.shape).tolist()))
    inside_values = values[block.slices][inside]
    voxels = int(inside.sum())
    ml = voxels * grid.voxel_volume_mm3 / 1000 if grid.unit == "mm" else None
    world = cast("tuple[float, float, float]", tuple(grid.world(centre).tolist()))
    return DoubtfulPlace(region, world, voxels, ml, float(inside_values.min()), float(inside_values.max()))
