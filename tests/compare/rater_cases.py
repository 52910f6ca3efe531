"""Segmentations with a known truth, as raters of known quality would draw them."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from napari_brain_tumor.geometry import Grid
from napari_brain_tumor.study import Segmentation
from phantoms import affine, ball

SHAPE = (42, 41, 40)
CENTRE = (20, 20, 20)
GRID = Grid(SHAPE, affine(spacing=(1.0, 2.0, 3.0)))
TRUTH = ball(SHAPE, CENTRE, 12)
NEAR = ball(SHAPE, CENTRE, 16)
"""Where raters mark too much: around the truth, as people do."""


def block(
    start: Sequence[int], stop: Sequence[int], label: int = 3, grid: Grid = GRID, **fields: object
) -> Segmentation:
    """A box of one label."""
    labels = np.zeros(grid.shape, np.uint8)
    labels[tuple(slice(a, b) for a, b in zip(start, stop, strict=True))] = label
    return Segmentation(labels, grid, **fields)


def drawn(sensitivity: float, specificity: float, seed: int) -> npt.NDArray[np.bool_]:
    """The truth as such a rater marks it; specificity is that within `NEAR`, where alone too much is marked."""
    random = np.random.default_rng(seed)
    found, spared = random.random(SHAPE) < sensitivity, random.random(SHAPE) < specificity
    return np.where(TRUTH, found, NEAR & ~spared)


def whole_tumour(mask: npt.NDArray[np.bool_]) -> Segmentation:
    """A mask as a segmentation that tells WT alone."""
    return Segmentation(mask.astype(np.uint8), GRID, known_regions=("WT",))
