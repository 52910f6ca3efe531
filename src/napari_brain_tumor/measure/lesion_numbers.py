"""Additional measurements of each lesion besides volume and diameters, one entry each."""

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
    """A measurement of a lesion, shown in tables, JSON, the report and the panel.

    Parameters
    ----------
    title : str
        Displayed name.
    digits : int
        Decimal places shown; files contain the full precision.
    measure : callable
        Function of the lesion's mask `(X, Y, Z)` and the mask's grid in mm.
    """

    title: str
    unit: str
    digits: int
    measure: Callable[[Mask, Grid], float]

    def text(self, value: float) -> str:
        """Format the value for display."""
        return f"{value:.{self.digits}f} {self.unit}"


def _longest_line_mm(inside: Mask, grid: Grid) -> float:
    """Return the largest distance between two voxel centres of the lesion, in any direction."""
    points = grid.world(np.argwhere(inside))
    if len(points) > 4:
        points = points[ConvexHull(points, qhull_options="QJ").vertices]  # QJ handles lesions within one slice
    return float(pdist(points).max()) if len(points) > 1 else 0.0


LESION_NUMBERS: Final[dict[str, LesionNumber]] = {
    "longest_3d_mm": LesionNumber("Longest in 3D", "mm", 1, _longest_line_mm),
    "surface_mm2": LesionNumber("Surface", "mm²", 0, surface_area_mm2),
}
"""Measurements by column name; to add one, only its function and an entry here are needed."""


def numbers_of(inside: Mask, grid: Grid) -> dict[str, float]:
    """Compute all measurements of a lesion; empty if the voxel size is unknown.

    Parameters
    ----------
    inside : (X, Y, Z) bool array
    grid : Grid
        Grid of the mask.
    """
    if grid.unit != "mm":
        return {}
    return {name: number.measure(inside, grid) for name, number in LESION_NUMBERS.items()}
