"""Outer surface area of a lesion."""

import numpy as np

from napari_brain_tumor.geometry import Grid
from napari_brain_tumor.mesh import label_mesh
from napari_brain_tumor.types import Mask


def surface_area_mm2(inside: Mask, grid: Grid) -> float:
    """Compute the area of a lesion's outer surface in mm2; the walls of enclosed cavities are not included.

    The surface is found by marching cubes (Lorensen 1987, doi:10.1145/37402.37422) and smoothed with Taubin's method
    (1995, doi:10.1145/218380.218473), because the steps between voxels would inflate the area.

    Parameters
    ----------
    inside : (X, Y, Z) bool array
    grid : Grid
        Grid of the mask, in mm.
    """
    mesh = label_mesh(inside, True, grid.spacing)
    if mesh is None:
        return 0.0
    corners = (mesh.vertices.astype(np.float64) * np.asarray(grid.spacing))[mesh.faces]
    across = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    return float(np.linalg.norm(across, axis=1).sum() / 2)
