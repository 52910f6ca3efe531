"""Numbers that are told of every lesion beside its volume and diameters: one entry each."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy.spatial import ConvexHull
from scipy.spatial.distance import pdist

from napari_brain_tumor.geometry import Grid
from napari_brain_tumor.measure.surface_area import surface_area_mm2
from napari_brain_tumor.types import Mask


@dataclass(frozen=True, slots=True)
class LesionNumber:
    """A number of a lesion, for tables, JSON, the report and the panel.

    Parameters
    ----------
    title : str
        For people.
    digits : int
        Behind the point, where it is shown; files have all.
    measure : callable
        Of the lesion's mask `(X, Y, Z)` and the grid of that mask, in mm.
    """

    title: str
    unit: str
    digits: int
    measure: Callable[[Mask, Grid], float]

    def text(self, value: float) -> str:
        """The number as people read it."""
        return f"{value:.{self.digits}f} {self.unit}"


def _longest_line_mm(inside: Mask, grid: Grid) -> float:
    """Between the two voxel centres of the lesion that lie farthest apart, in any direction."""
    points = grid.world(np.argwhere(inside))
    if len(points) > 4:
        points = points[ConvexHull(points, qhull_options="QJ").vertices]  # QJ: also of lesions within one slice
    return float(pdist(points).max()) if len(points) > 1 else 0.0


LESION_NUMBERS: Final[dict[str, LesionNumber]] = {
    "longest_3d_mm": LesionNumber("Longest in 3D", "mm", 1, _longest_line_mm),
    "surface_mm2": LesionNumber("Surface", "mm²", 0, surface_area_mm2),
}
"""By the name of its column. The entry is all that a new number needs beside its function."""


def numbers_of(inside: Mask, grid: Grid) -> dict[str, float]:
    """Every number of a lesion; none where the voxel size is not known.

    Parameters
    ----------
    inside : (X, Y, Z) bool array
    grid : Grid
        Of the mask.
    """
    if grid.unit != "mm":
        return {}
    return {name: number.measure(inside, grid) for name, number in LESION_NUMBERS.items()}
