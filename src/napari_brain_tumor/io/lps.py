"""Conversion between RAS+, used in this package, and LPS+ (patient's left and back), used by DICOM and ITK."""

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from napari_brain_tumor.errors import BrainTumorError, DimensionError, UnreadableFileError
from napari_brain_tumor.geometry import Grid, LengthUnit

Matrix = npt.NDArray[np.float64]

LPS_TO_RAS: Final[Matrix] = np.diag([-1.0, -1.0, 1.0])
"""Converts in both directions."""


def grid_of_header(
    shape: tuple[int, int, int], axes: npt.ArrayLike, origin: npt.ArrayLike, unit: LengthUnit, name: str
) -> Grid:
    """Return the grid with these axes, one per column, and this position of the first voxel, both in RAS+.

    Raises
    ------
    UnreadableFileError
        If they do not form a valid grid.
    """
    affine = np.eye(4)
    affine[:3, :3], affine[:3, 3] = axes, origin
    try:
        return Grid(shape, affine, unit)
    except BrainTumorError as error:
        raise UnreadableFileError(f"{name} has a damaged header: {error} Convert it again from its source.") from error


def matrix_in_lps(grid: Grid) -> tuple[Matrix, Matrix]:
    """Return a grid's axes, one per column and as long as a voxel, and the position of its first voxel, in LPS+."""
    axes: Any = LPS_TO_RAS @ grid.affine[:3, :3]
    origin: Any = LPS_TO_RAS @ grid.affine[:3, 3]
    return axes, origin


def right_angled(directions: Matrix) -> Matrix:
    """Return unit vectors, one per column, after checking that they are at right angles.

    Raises
    ------
    DimensionError
        If they are not at right angles, which not every format can represent.
    """
    if not np.allclose(directions.T @ directions, np.eye(3), atol=1e-4):
        raise DimensionError("The axes of this grid are not at right angles, which MHA cannot store. Save as .nii.gz.")
    return directions
