"""Thickness of the enhancing rim around a non-enhancing core."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from napari_brain_tumor.geometry import Grid, bounding_box
from napari_brain_tumor.labels import ENHANCING, NON_ENHANCING
from napari_brain_tumor.types import Array

_MOST_VOXELS: Final = 8_000_000
"""Upper limit for the number of voxels after subdivision."""
_TOUCHING: Final = np.ones((3, 3, 3), dtype=bool)


@dataclass(frozen=True, slots=True)
class RimThickness:
    """Thickness of the enhancing tissue around the non-enhancing core, measured along the middle of the rim.

    Parameters
    ----------
    mean_mm, median_mm, max_mm : float
        Statistics over the voxels in the middle of the rim.
    voxels : int
        Number of these voxels.
    covered_fraction : float
        Fraction of the core's surface, from 0 to 1, that is covered by enhancing tissue.
    """

    mean_mm: float
    median_mm: float
    max_mm: float
    voxels: int
    covered_fraction: float

    @property
    def sentence(self) -> str:
        """A sentence with all values."""
        return (
            f"Enhancing rim: mean {self.mean_mm:.1f} mm, median {self.median_mm:.1f} mm, at most {self.max_mm:.1f} mm; "
            f"on {self.covered_fraction:.0%} of the core's surface."
        )


def rim_thickness(classes: npt.NDArray[np.uint8], grid: Grid) -> RimThickness | None:
    """Measure the enhancing rim, from the core inside it to the tissue outside, with two distance transforms.

    For each enhancing voxel, its distances to the nearest voxel of the core and to the nearest voxel outside the tumour
    core are added. Each distance ends at a voxel centre, half a voxel beyond the border of the rim, so one voxel step
    along the path is subtracted. Only the middle of the rim, where the two distances agree within a step, is counted,
    so that thick parts do not outweigh thin ones. Enhancing tissue that neither touches a core nor is connected to
    tissue that does is not part of a rim.

    Parameters
    ----------
    classes : (X, Y, Z) uint8 array
        Label array with the package's class numbers.
    grid : Grid
        Grid of the label array, in millimetres and with orthogonal axes.

    Returns
    -------
    RimThickness or None
        None if no enhancing tissue surrounds a core.
    """
    box = bounding_box((classes == ENHANCING) | (classes == NON_ENHANCING))
    if box is None:
        return None
    inside = classes[box.grown((1, 1, 1), classes.shape).slices]
    core, rim = inside == NON_ENHANCING, inside == ENHANCING
    rim &= _joined_to(core, core | rim)
    if not core.any() or not rim.any():
        return None
    thickness = _thickness(core, rim, grid)
    return RimThickness(
        mean_mm=float(thickness.mean()),
        median_mm=float(np.median(thickness)),
        max_mm=float(thickness.max()),
        voxels=int(thickness.size),
        covered_fraction=_covered(core, rim, grid),
    )


def _joined_to(core: Array, whole: Array) -> Array:
    """Return the 26-connected parts of `whole` that contain any of the core."""
    parts, _ = ndimage.label(whole, structure=_TOUCHING)
    with_core = np.unique(parts[core])
    joined: Array = np.isin(parts, with_core[with_core > 0])
    return joined


def _thickness(core: Array, rim: Array, grid: Grid) -> Array:
    """Return the thickness in mm at voxels in the middle of the rim; voxels are subdivided to be about isotropic."""
    cuts = _cuts(grid.spacing, core.size)
    spacing = np.asarray(grid.spacing) / cuts
    # There is no tumour beyond the array either.
    core, rim = (np.pad(_cut(mask, cuts), 1) for mask in (core, rim))
    inward = ndimage.distance_transform_edt(~core, sampling=spacing)[rim]
    depth, nearest = ndimage.distance_transform_edt(core | rim, sampling=spacing, return_indices=True)
    outward = depth[rim]
    way = np.abs(nearest[:, rim] - np.argwhere(rim).T) * spacing[:, None]
    step = (way * spacing[:, None]).max(axis=0) / outward
    apart = np.abs(inward - outward)
    thickness: Array = np.maximum(inward + outward - step, 0)[apart <= max(apart.min(), float(spacing.max())) + 1e-6]
    return thickness


def _cuts(spacing: Sequence[float], voxels: int) -> tuple[int, ...]:
    """Return the number of parts into which voxels are subdivided along each axis."""
    finest = min(spacing)
    while True:
        cuts = tuple(max(1, round(step / finest)) for step in spacing)
        if voxels * int(np.prod(cuts)) <= _MOST_VOXELS or max(cuts) == 1:
            return cuts
        finest *= 1.25


def _cut(mask: Array, cuts: Sequence[int]) -> Array:
    for axis, count in enumerate(cuts):
        mask = np.repeat(mask, count, axis=axis)
    return mask


def _covered(core: Array, rim: Array, grid: Grid) -> float:
    """Return the fraction of the core's surface, in mm2 of voxel faces, that borders on the rim."""
    around, covered = 0.0, 0.0
    outer, enhancing = np.pad(core, 1), np.pad(rim, 1)
    for axis, spacing in enumerate(grid.spacing):
        area = float(np.prod(grid.spacing)) / spacing
        for step in (1, -1):
            beyond = np.roll(outer, step, axis) & ~outer
            around += area * float(beyond.sum())
            covered += area * float((beyond & enhancing).sum())
    return covered / around
