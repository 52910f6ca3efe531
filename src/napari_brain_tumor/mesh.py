"""Triangle meshes of labels for three-dimensional display."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from scipy import ndimage, sparse
from skimage.measure import marching_cubes

from napari_brain_tumor.errors import DimensionError
from napari_brain_tumor.geometry import bounding_box
from napari_brain_tumor.types import Array, Mask

_MAX_FACES: Final = 150_000
"""Approximate limit of triangles per label; larger surfaces are sampled at every second or third voxel."""
_SMOOTHING_ROUNDS: Final = 8
_SHRINK, _GROW = 0.5, -0.53
"""Weights of the two passes of Taubin smoothing (1995, doi:10.1145/218380.218473), which together keep the volume."""


@dataclass(frozen=True, slots=True, eq=False)
class Mesh:
    """A closed surface.

    Parameters
    ----------
    vertices : (N, 3) float32 array
        In voxels along the axes of the source array; voxel centres have integer coordinates.
    faces : (M, 3) int32 array
        Three vertex indices for each triangle.
    """

    vertices: npt.NDArray[np.float32]
    faces: npt.NDArray[np.int32]


def label_mesh(
    labels: Array, value: int, spacing_mm: Sequence[float] = (1.0, 1.0, 1.0), *, max_faces: int = _MAX_FACES
) -> Mesh | None:
    """Return the outer surface of one label, lightly smoothed; None if the label is absent.

    Enclosed holes, such as the core within the edema, are filled, so that there is no second wall.

    Parameters
    ----------
    labels : (Z, Y, X) integer array
    value : int
        The label.
    spacing_mm : three floats
        Spacing along the array's axes; smoothing has the same width along all of them.
    max_faces : int
        For a larger surface, only every second or third voxel is used.

    Raises
    ------
    DimensionError
        If the array does not have three axes.
    """
    if labels.ndim != 3:
        msg = f"The labels have {labels.ndim} axes; a surface needs a volume (Z, Y, X). Choose the labels of a volume."
        raise DimensionError(msg)
    return mask_mesh(labels == value, spacing_mm, fill=True, max_faces=max_faces)


def mask_mesh(
    mask: Mask,
    spacing_mm: Sequence[float] = (1.0, 1.0, 1.0),
    *,
    fill: bool = False,
    max_faces: int | None = None,
) -> Mesh | None:
    """Return the surface of a mask, lightly smoothed; None if the mask is empty.

    Parameters
    ----------
    mask : (A, B, C) bool array
    spacing_mm : three floats
        Spacing along the array's axes; smoothing has the same width along all of them.
    fill : bool
        Whether to fill holes; otherwise they have walls of their own, and the surface encloses exactly the volume of
        the mask.
    max_faces : int, optional
        For a larger surface, only every second or third voxel is used.
    """
    box = bounding_box(mask)
    if box is None:
        return None
    filled = ndimage.binary_fill_holes(mask[box.slices]) if fill else mask[box.slices]
    step = 1 if max_faces is None else _step(filled, max_faces)
    corner = np.array([side.start for side in box.slices], dtype=np.float32) - step
    vertices, faces, *_ = marching_cubes(np.pad(filled, step).astype(np.float32), 0.5, step_size=step)
    scale = np.asarray(spacing_mm, dtype=np.float64)
    smooth = _smoothed(vertices * scale, faces) / scale
    return Mesh((smooth + corner).astype(np.float32), faces.astype(np.int32))


def vertex_normals(mesh: Mesh, spacing_mm: Sequence[float] = (1.0, 1.0, 1.0)) -> npt.NDArray[np.float64]:
    """Return outward unit vectors `(N, 3)` at the vertices, along the array's axes, averaged over their triangles."""
    corners = _corners(mesh, spacing_mm)
    of_faces = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    if _signed_volume(corners) < 0:
        of_faces = -of_faces
    vertices = mesh.faces.ravel()
    summed = [np.bincount(vertices, np.repeat(of_faces[:, axis], 3), len(mesh.vertices)) for axis in range(3)]
    normals = np.stack(summed, axis=1)
    unit: npt.NDArray[np.float64] = normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)
    return unit


def _corners(mesh: Mesh, spacing_mm: Sequence[float]) -> npt.NDArray[np.float64]:
    """Return the corners `(M, 3 corners, 3 axes)` of the triangles, in mm."""
    corners: npt.NDArray[np.float64] = (mesh.vertices.astype(np.float64) * np.asarray(spacing_mm))[mesh.faces]
    return corners


def _signed_volume(corners: npt.NDArray[np.float64]) -> float:
    first, second, third = corners[:, 0], corners[:, 1], corners[:, 2]
    return float(np.einsum("ij,ij->i", first, np.cross(second, third)).sum() / 6)


def _step(mask: Mask, max_faces: int) -> int:
    walls = sum(int(np.count_nonzero(np.diff(mask, axis=axis))) for axis in range(3))
    # Each wall between voxels gives about two triangles; a step of n reduces their number by a factor of n squared.
    return next((step for step in (1, 2) if 2 * walls / step**2 <= max_faces), 3)


def _smoothed(points: Array, faces: Array) -> Array:
    average = _averaging(len(points), faces)
    for _ in range(_SMOOTHING_ROUNDS):
        for weight in (_SHRINK, _GROW):
            points = points + weight * (average @ points - points)
    return points


def _averaging(count: int, faces: Array) -> Any:
    """Return the sparse matrix that replaces each point by the mean of its neighbours."""
    rows = faces[:, [0, 1, 2, 1, 2, 0]].ravel()
    columns = faces[:, [1, 2, 0, 0, 1, 2]].ravel()
    links = sparse.csr_array((np.ones(rows.size), (rows, columns)), shape=(count, count))
    links.data[:] = 1.0  # edges shared by two triangles were counted twice
    degrees = np.maximum(links.sum(axis=1), 1)
    return sparse.diags_array(1 / degrees) @ links
