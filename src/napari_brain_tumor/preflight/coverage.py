"""Whether each sequence shows the whole brain that the others show, or ends within it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy import ndimage

from napari_brain_tumor.geometry import bounding_box
from napari_brain_tumor.study import Role
from napari_brain_tumor.types import Array, Mask

_LEAST_SHARE: Final = 0.02
"""Of the brain; masks that were drawn sequence by sequence differ by less."""
_LEAST_FILL: Final = 0.005
"""Of all voxels: where no value is as frequent nothing was filled in."""
_THIN_MM: Final = 8.0
"""Between masks there are differences as thin as that."""
_PLACES: Final = (("lowest", "uppermost"), ("rear", "front"), ("left", "right"))
"""Of a volume (Z, Y, X) whose axes run to the head, the front and the right."""


@dataclass(frozen=True, slots=True)
class Gap:
    """Where a sequence shows nothing although there is brain.

    Parameters
    ----------
    share : float
        Of the brain.
    place : str
        Where it is, for people.
    """

    share: float
    place: str


def gaps_in(samples: Mapping[Role, Array], head: Mask, spacing: tuple[float, float, float]) -> dict[Role, Gap]:
    """The sequences whose field of view ends within the brain or head.

    Parameters
    ----------
    samples : mapping of role to (Z, Y, X) array
        On one grid, its axes running to the head, the front and the right.
    head : (Z, Y, X) bool array
        Brain or head in any of them.
    spacing : (z, y, x)
        Between the voxels of the samples.
    """
    gaps = {role: _gap(sample, head, spacing) for role, sample in samples.items()} if len(samples) > 1 else {}
    return {role: gap for role, gap in gaps.items() if gap is not None}


def _gap(sample: Array, head: Mask, spacing: tuple[float, float, float]) -> Gap | None:
    missing = head & _filled(sample)
    if missing.sum() < _LEAST_SHARE * head.sum():
        return None
    # Within its slices, that a single thick slice is not taken for a difference of masks.
    width = max(1, round(_THIN_MM / (2 * max(spacing[1:]))))
    solid = ndimage.binary_opening(missing, np.ones((1, 3, 3), bool), iterations=width)
    solid &= missing
    share = float(_reaching_outside(solid, head).sum() / head.sum())
    return Gap(share, _place(solid, head)) if share >= _LEAST_SHARE else None


def _filled(sample: Array) -> Mask:
    """Voxels of the value that a place gets which was not scanned: the most frequent one, where one is frequent."""
    few = sample[::2, ::2, ::2] if min(sample.shape) > 1 else sample
    values, counts = np.unique(few, return_counts=True)
    if counts.max() < _LEAST_FILL * few.size:
        return np.zeros(sample.shape, bool)
    return np.asarray(sample == values[counts.argmax()])


def _reaching_outside(solid: Mask, head: Mask) -> Mask:
    """The parts that touch the outside of the head or of the volume, which ventricles do not."""
    parts, count = ndimage.label(solid)
    if not count:
        return solid
    inner = ndimage.binary_erosion(head)
    touching = np.unique(parts[solid & ~inner])
    return np.asarray(np.isin(parts, touching[touching > 0]))


def _place(solid: Mask, head: Mask) -> str:
    box = bounding_box(head)
    assert box is not None
    centre = np.argwhere(solid).mean(axis=0)
    offsets = (centre - np.array(box.start)) / np.maximum(1, np.array(box.shape) - 1) - 0.5
    axis = int(np.abs(offsets).argmax())
    return _PLACES[axis][int(offsets[axis] > 0)]
