"""Carry an outline to the neighbouring slices with the network shipped with the package."""

from collections.abc import Mapping
from typing import Final

import numpy as np
from scipy import ndimage

from napari_brain_tumor.geometry import Box, bounding_box
from napari_brain_tumor.interactive.outline_network import MULTIPLE, shipped_outline_network
from napari_brain_tumor.interactive.section import Surroundings
from napari_brain_tumor.labels import Region
from napari_brain_tumor.types import Float32Array, Mask

_MARGIN: Final = 8
"""Margin, in voxels, around what may change that the network sees too."""
_PIXEL_MM: Final = 1.0
"""Voxel size of the scans that the network was trained on; finer scans are averaged to about this."""


def follow(around: Surroundings, masks: Mapping[Region, Mask]) -> Float32Array:
    """Return the logits `(N, U, V)` of a section's region; 0 far from where something may change.

    Parameters
    ----------
    around : Surroundings
    masks : mapping of region to (X, Y, Z) bool array
        All regions before the drawing.
    """
    could = around.candidates
    where = could.copy()
    where[around.section.index] |= around.section.inside
    box = bounding_box(where) or Box((0, 0, 0), (1, 1, 1))
    seen = box.grown((_MARGIN, _MARGIN, _MARGIN), could.shape)
    logits = np.zeros(could.shape, np.float32)
    logits[seen.slices] = _predicted(around, masks, seen)
    return logits


def _predicted(around: Surroundings, masks: Mapping[Region, Mask], seen: Box) -> Float32Array:
    sides = seen.shape
    finer = tuple(max(1, round(_PIXEL_MM / side)) for side in around.spacing)
    used = tuple(-(-side // factor) for side, factor in zip(sides, finer, strict=True))
    whole = [factor * (n + -n % MULTIPLE) for n, factor in zip(used, finer, strict=True)]
    filled = around.channels(masks, seen, whole)
    if max(finer) > 1:
        (d, h, w), (a, b, c) = (n // factor for n, factor in zip(whole, finer, strict=True)), finer
        filled = filled.reshape(-1, d, a, h, b, w, c).mean(axis=(2, 4, 6))
    logits = shipped_outline_network()(filled, around.facts)
    if max(finer) > 1:
        places = np.meshgrid(
            *((np.arange(side) + 0.5) / factor - 0.5 for side, factor in zip(sides, finer, strict=True)),
            indexing="ij",
            sparse=True,
        )
        return np.asarray(ndimage.map_coordinates(logits, np.broadcast_arrays(*places), order=1, mode="nearest"))
    return logits[: sides[0], : sides[1], : sides[2]]
