"""Starting segmentations with many kinds of errors, for training the outline network."""

from typing import Final

import numpy as np
from scipy import ndimage

from napari_brain_tumor.geometry import Grid, bounding_box
from napari_brain_tumor.labels import REGIONS, Region, classes_from_regions, region_mask
from napari_brain_tumor.types import Array, Float32Array, Labels, Mask
from prompting.verdict import Start

_MOST_ERRORS_MM: Final = 7.0


def uneven_start(truth: Labels, grid: Grid, random: np.random.Generator) -> Start:
    """Return the truth with uneven margins, missing and false parts, and probabilities with the same errors.

    Parameters
    ----------
    truth : (X, Y, Z) uint8 array
    grid : Grid
    random : Generator
    """
    box = bounding_box(truth > 0)
    at = tuple(slice(None) for _ in range(3)) if box is None else box.grown((20, 20, 20), grid.shape).slices
    near = truth[at]
    most = random.uniform(1.5, _MOST_ERRORS_MM)
    alike = _noise(near.shape, grid, random.uniform(4, 10), random)
    masks: list[Mask] = []
    maps: dict[Region, Float32Array] = {}
    for region in REGIONS:
        errors = 0.7 * alike + 0.7 * _noise(near.shape, grid, random.uniform(2, 6), random)
        depth = _depth(region_mask(near, region), grid) + most * errors + random.normal(0, 1.5)
        masks.append(depth > 0)
        maps[region] = np.zeros(truth.shape, np.float32)
        maps[region][at] = 1 / (1 + np.exp(-np.clip(random.uniform(0.4, 1.5) * depth, -9, 9)))
    labels = np.zeros_like(truth)
    labels[at] = classes_from_regions(np.stack(masks))
    return Start(labels, Maps(maps))  # type: ignore[arg-type]


class Maps:
    """Probability maps with the interface that corrections expect of a network's probabilities."""

    def __init__(self, arrays: dict[Region, Float32Array]) -> None:
        self._arrays = arrays
        self.regions = tuple(arrays)

    def __getitem__(self, region: Region) -> Float32Array:
        return self._arrays[region]


def _noise(shape: tuple[int, ...], grid: Grid, width_mm: float, random: np.random.Generator) -> Array:
    smooth = ndimage.gaussian_filter(random.standard_normal(shape), [width_mm / s for s in grid.spacing])
    return np.asarray(smooth / smooth.std())


def _depth(mask: Mask, grid: Grid) -> Array:
    if not mask.any():
        return np.full(mask.shape, -20.0)
    inside = ndimage.distance_transform_edt(mask, sampling=grid.spacing)
    return np.asarray(inside - ndimage.distance_transform_edt(~mask, sampling=grid.spacing))
