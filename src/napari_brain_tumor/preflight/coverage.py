"""Check whether each sequence covers the whole brain that the others show."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy import ndimage

from napari_brain_tumor.geometry import bounding_box
from napari_brain_tumor.study import Role
from napari_brain_tumor.types import Array, Mask

_LEAST_SHARE: Final = 0.02
"""Smallest share of the brain; masks drawn separately for each sequence differ by less."""
_LEAST_FILL: Final = 0.005
"""Smallest share of all voxels with one value for it to be regarded as fill value."""
_THIN_MM: Final = 8.0
"""Thickness up to which a difference is attributed to different masks."""
_PLACES: Final = (("lowest", "uppermost"), ("rear", "front"), ("left", "right"))
"""Names of the two ends of each axis of a volume (Z, Y, X) whose axes run superior, anterior and right."""


@dataclass(frozen=True, slots=True)
class Gap:
    """An area where a sequence was not scanned although there is brain.

    Parameters
    ----------
    share : float
        As a share of the brain.
    place : str
        Description of where it is.
    """

    share: float
    place: str


def gaps_in(samples: Mapping[Role, Array], head: Mask, spacing: tuple[float, float, float]) -> dict[Role, Gap]:
    """Find the sequences whose field of view ends within the brain or head.

    Parameters
    ----------
    samples : mapping of role to (Z, Y, X) array
        On one grid, with axes running superior, anterior and right.
    head : (Z, Y, X) bool array
        Brain or head in any of the sequences.
    spacing : (z, y, x)
        Spacing of the samples.
    """
    gaps = {role: _gap(sample, head, spacing) for role, sample in samples.items()} if len(samples) > 1 else {}
    return {role: gap for role, gap in gaps.items() if gap is not None}


def _gap(sample: Array, head: Mask, spacing: tuple[float, float, float]) -> Gap | None:
    missing = head & _filled(sample)
    if missing.sum() < _LEAST_SHARE * head.sum():
        return None
    # Opened within slices only, so that a single thick slice is not mistaken for a difference between masks.
    width = max(1, round(_THIN_MM / (2 * max(spacing[1:]))))
    solid = ndimage.binary_opening(missing, np.ones((1, 3, 3), bool), iterations=width)
    solid &= missing
    share = float(_reaching_outside(solid, head).sum() / head.sum())
    return Gap(share, _place(solid, head)) if share >= _LEAST_SHARE else None


def _filled(sample: Array) -> Mask:
    """Return the voxels with the fill value of unscanned areas: the most frequent value, if it is frequent enough."""
    few = sample[::2, ::2, ::2] if min(sample.shape) > 1 else sample
    values, counts = np.unique(few, return_counts=True)
    if counts.max() < _LEAST_FILL * few.size:
        return np.zeros(sample.shape, bool)
    return np.asarray(sample == values[counts.argmax()])


def _reaching_outside(solid: Mask, head: Mask) -> Mask:
    """Keep the parts that touch the outside of the head or the volume's border, which ventricles do not."""
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
