"""How thick the enhancing rim around a non-enhancing core is."""

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
"""Up to which voxels are cut."""
_TOUCHING: Final = np.ones((3, 3, 3), dtype=bool)


@dataclass(frozen=True, slots=True)
class RimThickness:
    """Thickness of the enhancing tissue around the non-enhancing core, in the middle of the rim.

    Parameters
    ----------
    mean_mm, median_mm, max_mm : float
        Over the voxels of the rim's middle.
    voxels : int
        How many these are.
    covered_fraction : float
        How much of the core's surface, from 0 to 1, has enhancing tissue on it.
    """

    mean_mm: float
    median_mm: float
    max_mm: float
    voxels: int
    covered_fraction: float

    @property
    def sentence(self) -> str:
        """All of it in words."""
        return (
            f"Enhancing rim: mean {self.mean_mm:.1f} mm, median {self.median_mm:.1f} mm, at most {self.max_mm:.1f} mm; "
            f"on {self.covered_fraction:.0%} of the core's surface."
        )


def rim_thickness(classes: npt.NDArray[np.uint8], grid: Grid) -> RimThickness | None:
    """Thickness of the enhancing rim: from the core within it to what lies outside, by two distance transforms.

    At each enhancing voxel the distance to the nearest voxel of the core and that to the nearest voxel outside the
    tumour core are added. Both end in the middle of a voxel, half of one beyond the border of the rim, so a voxel's
    step along the way is taken off. Only the middle of the rim counts, where both distances are alike within a step,
    so that thick parts do not count for more than thin ones. Enhancing tissue that does not touch a core, or hangs
    together with none, is no rim.

    Parameters
    ----------
    classes : (X, Y, Z) uint8 array
        Our classes.
    grid : Grid
        Of the classes, in millimetres and with axes at right angles.

    Returns
    -------
    RimThickness or None
        None where no enhancing tissue surrounds a core.
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
    """The 26-connected parts of the whole that hold any of the core."""
    parts, _ = ndimage.label(whole, structure=_TOUCHING)
    with_core = np.unique(parts[core])
    joined: Array = np.isin(parts, with_core[with_core > 0])
    return joined


def _thickness(core: Array, rim: Array, grid: Grid) -> Array:
    """Thickness in mm at the voxels of the rim's middle, of voxels cut until they are about as thick as wide."""
    cuts = _cuts(grid.spacing, core.size)
    spacing = np.asarray(grid.spacing) / cuts
    # Beyond the array there is no tumour either.
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
    """Into how many parts voxels are cut along each axis."""
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
    """Share of the core's surface, in mm2 of voxel faces, beyond which lies the rim."""
    around, covered = 0.0, 0.0
    outer, enhancing = np.pad(core, 1), np.pad(rim, 1)
    for axis, spacing in enumerate(grid.spacing):
        area = float(np.prod(grid.spacing)) / spacing
        for step in (1, -1):
            beyond = np.roll(outer, step, axis) & ~outer
            around += area * float(beyond.sum())
            covered += area * float((beyond & enhancing).sum())
    return covered / around
