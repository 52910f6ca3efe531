"""Properties of a study that determine which model suits it."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_brain_tumor.geometry import Grid, bounding_box
from napari_brain_tumor.preprocessing.intensity import background_value
from napari_brain_tumor.study import Study

_WHOLE_MM = 80.0
"""No side of an adult brain is shorter than this."""


@dataclass(frozen=True, slots=True)
class Traits:
    """Properties of a study that determine which model suits it.

    Parameters
    ----------
    thickness_mm : float or None
        Largest distance between neighbouring voxels, usually the slice spacing; None if unknown.
    whole_head : bool
        Whether any of the sequences still contains the skull.
    extent_mm : float or None
        Shortest side of the bounding box of the scanned brain or head; None if unknown.
    """

    thickness_mm: float | None
    whole_head: bool
    extent_mm: float | None = None

    @property
    def is_whole(self) -> bool:
        """Whether the whole brain was scanned; True if the extent is unknown."""
        return self.extent_mm is None or self.extent_mm >= _WHOLE_MM


def traits_of(study: Study) -> Traits:
    if study.brain is not None:
        return Traits(thickness_of(study.grid), whole_head=False, extent_mm=_extent_within(study.grid, study.brain))
    return traits_of_volumes(study.grid, study.sequences.values())


def traits_of_volumes(grid: Grid, volumes: Iterable[npt.NDArray[Any]]) -> Traits:
    """Return the traits of volumes `(X, Y, Z)` on a common grid."""
    with_outside = [(volume, background_value(volume)) for volume in volumes]
    whole_head = any(outside is None for _, outside in with_outside)
    if whole_head or grid.unit != "mm":
        return Traits(thickness_of(grid), whole_head, extent_of(grid))
    brain = np.zeros(grid.shape, dtype=bool)
    for volume, outside in with_outside:
        np.logical_or(brain, volume != outside, out=brain)
    return Traits(thickness_of(grid), whole_head, _extent_within(grid, brain))


def _extent_within(grid: Grid, brain: npt.NDArray[np.bool_]) -> float | None:
    box = bounding_box(brain)
    return extent_of(grid, None if box is None else box.shape)


def extent_of(grid: Grid, shape: tuple[int, ...] | None = None) -> float | None:
    """Return the shortest side in mm of a block of `shape` voxels, or of the whole grid; None if unknown."""
    if grid.unit != "mm":
        return None
    return min(n * spacing for n, spacing in zip(shape or grid.shape, grid.spacing, strict=True))


def thickness_of(grid: Grid) -> float | None:
    """Return the largest distance between neighbouring voxels in millimetres; None if unknown."""
    return max(grid.spacing) if grid.unit == "mm" else None
