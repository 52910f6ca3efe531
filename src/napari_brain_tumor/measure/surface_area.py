"""How large the outer surface of a lesion is."""

import numpy as np

from napari_brain_tumor.geometry import Grid
from napari_brain_tumor.mesh import label_mesh
from napari_brain_tumor.types import Mask


def surface_area_mm2(inside: Mask, grid: Grid) -> float:
    """Area of the outer outline of a lesion in mm2; cavities that it encloses have no wall of their own.

    The outline is that of marching cubes (Lorensen 1987, doi:10.1145/37402.37422), smoothed as Taubin (1995,
    doi:10.1145/218380.218473) does, for the steps between voxels are no surface.

    Parameters
    ----------
    inside : (X, Y, Z) bool array
    grid : Grid
        Of the mask, in mm.
    """
    mesh = label_mesh(inside, True, grid.spacing)
    if mesh is None:
        return 0.0
    corners = (mesh.vertices.astype(np.float64) * np.asarray(grid.spacing))[mesh.faces]
    across = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    return float(np.linalg.norm(across, axis=1).sum() / 2)
