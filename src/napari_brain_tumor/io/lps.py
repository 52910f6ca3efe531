"""Matrices of formats that count towards the patient's left and back, as DICOM and ITK do; ours is RAS+."""

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from napari_brain_tumor.errors import BrainTumorError, DimensionError, UnreadableFileError
from napari_brain_tumor.geometry import Grid, LengthUnit

Matrix = npt.NDArray[np.float64]

LPS_TO_RAS: Final[Matrix] = np.diag([-1.0, -1.0, 1.0])
"""Both ways."""


def grid_of_header(
    shape: tuple[int, int, int], axes: npt.ArrayLike, origin: npt.ArrayLike, unit: LengthUnit, name: str
) -> Grid:
    """The grid with these axes, one a column, and first voxel, both in RAS+.

    Raises
    ------
    UnreadableFileError
        If that is no grid.
    """
    affine = np.eye(4)
    affine[:3, :3], affine[:3, 3] = axes, origin
    try:
        return Grid(shape, affine, unit)
    except BrainTumorError as error:
        raise UnreadableFileError(f"{name} has a damaged header: {error} Convert it again from its source.") from error


def matrix_in_lps(grid: Grid) -> tuple[Matrix, Matrix]:
    """The axes of a grid, one a column and as long as a voxel, and the place of its first voxel, in LPS+."""
    axes: Any = LPS_TO_RAS @ grid.affine[:3, :3]
    origin: Any = LPS_TO_RAS @ grid.affine[:3, 3]
    return axes, origin


def right_angled(directions: Matrix) -> Matrix:
    """Unit vectors, one a column, after making sure that they are at right angles.

    Raises
    ------
    DimensionError
        If they are not, which not every format can express.
    """
    if not np.allclose(directions.T @ directions, np.eye(3), atol=1e-4):
        raise DimensionError("The axes of this grid are not at right angles, which MHA cannot store. Save as .nii.gz.")
    return directions
