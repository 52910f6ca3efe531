"""Agreement of two scans: overlap of the heads, mutual information, and agreement of edges."""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk
from scipy import ndimage

from napari_brain_tumor.followup.rigid import Matrix, RigidTransform, moved_grid
from napari_brain_tumor.geometry import Grid, orthogonal_grid, resample, to_ras
from napari_brain_tumor.study import Role, Study
from napari_brain_tumor.types import Array

_IS_FINE_MM: Final = 1.6
_BELOW_BRAIN_MM: Final = 5.0
"""Margin around the brain mask that is included, because the edge of the brain is most informative."""
LPS: Final = np.diag([-1.0, -1.0, 1.0, 1.0])
_JUDGED_MM: Final = 2.0
_RIM_MM: Final = 8.0
"""Distance from the outline of the head that is left out, because outlines of different heads agree as well."""
_FEWEST_VOXELS: Final = 500
_EDGE_QUANTILE: Final = 0.6


@dataclass(frozen=True, slots=True)
class Agreement:
    """Agreement of two scans.

    Parameters
    ----------
    mutual_information : float
        In nats, within the brains if both are known, otherwise within the heads.
    overlap : float
        Overlap of the heads, as a fraction of the smaller one.
    detail : float
        Agreement of edge directions in the same area: 0 by chance, 1 if they are identical.
    """

    mutual_information: float
    overlap: float
    detail: float


@dataclass(frozen=True, slots=True, eq=False)
class Scan:
    """A scan to compare: values `(X, Y, Z)`, their grid, and the brain mask if it is known."""

    array: Array
    grid: Grid
    brain: npt.NDArray[np.bool_] | None = None

    @property
    def is_fine(self) -> bool:
        return max(self.grid.spacing) <= _IS_FINE_MM

    def coarse(self, size_mm: float) -> "Scan":
        """Downsample to voxels of at least that size, without the brain mask, so that everything is compared."""
        return Scan(*coarse_scan(self.array, self.grid, size_mm))

    def image(self, size_mm: float) -> Any:
        """Return a SimpleITK image with voxels of at least that size."""
        return as_itk(*coarse_scan(self.array, self.grid, size_mm))

    def brain_image(self, size_mm: float) -> Any:
        """Return the brain with a margin as a mask on the grid of `image`; None if it is unknown."""
        if self.brain is None:
            return None
        target = coarser_grid(to_ras(self.grid).target, size_mm)
        away = ndimage.distance_transform_edt(~self.brain, sampling=self.grid.spacing)
        near = resample((away <= _BELOW_BRAIN_MM).astype(np.float32), self.grid, target) > 0.5
        return as_itk(near.astype(np.uint8), target)

    @property
    def centre(self) -> Matrix:
        """World coordinates of the centre of the brain, or of the head."""
        inside = foreground(self.array) if self.brain is None else self.brain
        voxels = np.argwhere(inside).mean(axis=0) if inside.any() else (np.asarray(self.grid.shape) - 1) / 2
        return self.grid.world(voxels)


Scans = tuple[Scan, Scan]
"""The moving scan and the fixed scan."""


def scans_of(moving: Study, moving_role: Role, fixed: Study, fixed_role: Role) -> Scans:
    return (
        Scan(moving.sequences[moving_role], moving.grid, moving.brain),
        Scan(fixed.sequences[fixed_role], fixed.grid, fixed.brain),
    )


def coarse_scan(array: Array, grid: Grid, size_mm: float = 3.0) -> tuple[npt.NDArray[np.float32], Grid]:
    """Downsample a scan to voxels of at least that size, for `find_misfit`.

    The scan's own axes are kept, so that oblique thick slices are interpolated only when a transform is applied.
    """
    target = coarser_grid(to_ras(grid).target, size_mm)
    return np.asarray(resample(_blurred(array, grid, size_mm / 2), grid, target), np.float32), target


def agreement_at_rest(moving: tuple[Array, Grid], fixed: tuple[Array, Grid]) -> Agreement:
    """Compute the agreement of two scans in their current positions; each as returned by `coarse_scan`."""
    return agreement_of((Scan(*moving), Scan(*fixed)), RigidTransform(np.eye(4)))


def as_itk(values: Array, grid: Grid) -> Any:
    """Create a SimpleITK image from values on a grid."""
    image = sitk.GetImageFromArray(np.ascontiguousarray(values.transpose(2, 1, 0)))
    placed, spacing = LPS @ grid.affine, np.asarray(grid.spacing)
    image.SetSpacing(spacing.tolist())
    image.SetDirection((placed[:3, :3] / spacing).ravel().tolist())
    image.SetOrigin(placed[:3, 3].tolist())
    return image


def _blurred(array: Array, grid: Grid, sigma_mm: float) -> npt.NDArray[np.float32]:
    """Blur along the axes with voxels smaller than the blur."""
    sigmas = [sigma_mm / s if s < 2 * sigma_mm else 0.0 for s in grid.spacing]
    blurred: npt.NDArray[np.float32] = ndimage.gaussian_filter(
        np.asarray(array, np.float32), sigmas, mode="nearest", truncate=3
    )
    return blurred


def foreground(array: Array) -> npt.NDArray[np.bool_]:
    """Return a mask of the head: voxels brighter than the noise of air."""
    high = float(np.percentile(array, 99))
    return np.asarray(array > 0.1 * high)


def agreement_of(scans: Scans, transform: RigidTransform) -> Agreement:
    """Measure the agreement of the moving scan with the fixed one, in 2 mm voxels at the fixed scan's position.

    It is limited to the brains if both are known: jaw and neck move, and look different in different sequences.
    """
    grids = scans[0].grid, scans[1].grid
    target = coarser_grid(orthogonal_grid(grids[1]), _JUDGED_MM)
    places = moved_grid(grids[0], transform), grids[1]
    heads = [_on(foreground(scan.array), place, target) for scan, place in zip(scans, places, strict=True)]
    both = heads[0] & heads[1]
    # Parts of the moving head may lie outside the target, so its size is counted on its own grid.
    whole = foreground(scans[0].array).sum() * _cell(grids[0]) / _cell(target)
    smaller = max(1.0, min(float(heads[1].sum()), float(whole)))
    overlap = min(1.0, float(both.sum()) / smaller)
    brains = [_on(s.brain, place, target) for s, place in zip(scans, places, strict=True) if s.brain is not None]
    inside = brains[0] & brains[1] if len(brains) == 2 else both
    core = ndimage.distance_transform_edt(inside, sampling=target.spacing) > _RIM_MM
    if core.sum() < _FEWEST_VOXELS:
        return Agreement(0.0, overlap, 0.0)
    plain = [
        resample(_blurred(scan.array, scan.grid, _JUDGED_MM / 2), place, target)
        for scan, place in zip(scans, places, strict=True)
    ]
    return Agreement(_mutual_information(plain[0][core], plain[1][core]), overlap, _edge_agreement(plain, core))


def _on(mask: npt.NDArray[np.bool_], place: Grid, target: Grid) -> npt.NDArray[np.bool_]:
    return np.asarray(resample(mask, place, target) > 0.5)


def _edge_agreement(images: list[Array], inside: npt.NDArray[np.bool_]) -> float:
    """Compute the mean squared cosine between the scans' gradients where both have edges, with chance (1/3) set to 0.

    The sign is ignored, so that sequences with different contrast can be compared (Haber and Modersitzki 2006,
    10.1007/11866763_89).
    """
    slopes = [np.array(np.gradient(ndimage.gaussian_filter(image, 0.75))) for image in images]
    steep = [np.sqrt((slope**2).sum(axis=0)) for slope in slopes]
    edges = inside & np.logical_and(*(s > np.quantile(s[inside], _EDGE_QUANTILE) for s in steep))
    if not edges.any():
        return 0.0
    cosine = (slopes[0] * slopes[1]).sum(axis=0)[edges] / (steep[0] * steep[1])[edges]
    return float(1.5 * (np.mean(cosine**2) - 1 / 3))


def _cell(grid: Grid) -> float:
    return float(abs(np.linalg.det(grid.affine[:3, :3])))


def coarser_grid(grid: Grid, size_mm: float) -> Grid:
    spacing = np.maximum(np.asarray(grid.spacing), size_mm)
    shape = np.maximum(1, np.round(np.asarray(grid.shape) * grid.spacing / spacing)).astype(int)
    affine = np.eye(4)
    affine[:3, :3] = grid.affine[:3, :3] * (spacing / grid.spacing)
    affine[:3, 3] = grid.world((spacing / grid.spacing - 1) / 2)
    return Grid(tuple(shape.tolist()), affine, grid.unit)


def _mutual_information(first: Array, second: Array) -> float:
    ranks = [np.digitize(image, np.quantile(image, np.linspace(0, 1, 33)[1:-1])) for image in (first, second)]
    joint = np.bincount(32 * ranks[0] + ranks[1], minlength=32 * 32).reshape(32, 32) / first.size
    product = joint.sum(axis=1, keepdims=True) * joint.sum(axis=0, keepdims=True)
    there = joint > 0
    return float((joint[there] * np.log(joint[there] / product[there])).sum())
