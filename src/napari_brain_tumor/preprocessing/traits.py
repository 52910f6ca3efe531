"""What a study is like, as far as it decides which model suits it."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy.typing as npt

from napari_brain_tumor.geometry import Grid
from napari_brain_tumor.preprocessing.intensity import is_skull_stripped
from napari_brain_tumor.study import Study

__all__ = ["Traits", "thickness_of", "traits_of", "traits_of_volumes"]


@dataclass(frozen=True, slots=True)
class Traits:
    """What a study is like.

    Parameters
    ----------
    thickness_mm : float or None
        Largest distance between neighbouring voxels, which is that of the slices; None where it is not known.
    whole_head : bool
        Whether the skull was left in any of the sequences.
    """

    thickness_mm: float | None
    whole_head: bool


def traits_of(study: Study) -> Traits:
    """The traits of a study."""
    return traits_of_volumes(study.grid, study.sequences.values())


def traits_of_volumes(grid: Grid, volumes: Iterable[npt.NDArray[Any]]) -> Traits:
    """The traits of volumes `(X, Y, Z)` or `(Z, Y, X)` that lie on one grid."""
    return Traits(thickness_of(grid), not all(is_skull_stripped(volume) for volume in volumes))


def thickness_of(grid: Grid) -> float | None:
    """Largest distance between neighbouring voxels in millimetres; None where it is not known."""
    return max(grid.spacing) if grid.unit == "mm" else None
