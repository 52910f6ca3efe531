"""Remove islands, fill holes and smooth the margins of a region, without looking at the scans."""

from typing import Final

import numpy as np
from scipy import ndimage

from napari_brain_tumor.errors import PromptError
from napari_brain_tumor.geometry import Grid, bounding_box
from napari_brain_tumor.interactive.interpolation import with_region
from napari_brain_tumor.interactive.prompts import FillHoles, KeepLargest, RemoveIsland, SmoothMargin
from napari_brain_tumor.labels import REGIONS, Region, region_mask
from napari_brain_tumor.types import Labels, Mask

Tidying = RemoveIsland | KeepLargest | FillHoles | SmoothMargin

_TOUCHING: Final = ndimage.generate_binary_structure(3, 3)
_SAME_WIDTH: Final = 0.5
"""Standard deviation of the Gaussian that smooths a margin, as a share of the requested width."""


def tidied(labels: Labels, said: Labels, grid: Grid, step: Tidying) -> Labels:
    """Return labels after removing islands of a region, filling its holes, or smoothing its margin.

    Parameters
    ----------
    labels : (X, Y, Z) uint8 array
        Classes.
    said : (X, Y, Z) uint8 array
        What prompts settled, a bit for each class still possible, 0 where nothing was settled. Only removing a clicked
        island overrides it.
    grid : Grid
    step : RemoveIsland, KeepLargest, FillHoles or SmoothMargin

    Returns
    -------
    (X, Y, Z) uint8 array
        Voxels that a region loses get the class around it; voxels that it gains get its outermost class.

    Raises
    ------
    PromptError
        If there is no such island, or the region is absent.
    """
    mask = region_mask(labels, step.region)
    if not mask.any():
        msg = f"There is no {_name_of(step)} in these labels, so there is nothing to change. Choose another region."
        raise PromptError(msg)
    match step:
        case RemoveIsland():
            return with_region(labels, mask & ~_island(mask, grid, step), step.region)
        case KeepLargest():
            after = _largest(mask, said, step.region)
        case FillHoles():
            after = ndimage.binary_fill_holes(mask)
        case SmoothMargin():
            after = _smooth(mask, grid, step.mm)
    return with_region(labels, np.where(said == 0, after, mask), step.region)


def _name_of(step: Tidying) -> str:
    return "enhancing tumour" if step.label == "enhancing" else step.label


def _island(mask: Mask, grid: Grid, step: RemoveIsland) -> Mask:
    """Return the connected part at a position, or else the one touching its voxel."""
    at = np.rint(grid.voxels(np.array(step.at))).astype(int)
    near = tuple(slice(max(0, c - 1), c + 2) for c in at)
    parts, _ = ndimage.label(mask, _TOUCHING)
    inside = bool(((at >= 0) & (at < mask.shape)).all())
    own = int(parts[tuple(at)]) if inside else 0
    if not own:
        beside = parts[near][parts[near] > 0]
        own = int(np.bincount(beside).argmax()) if beside.size else 0
    if not own:
        place = ", ".join(f"{c:g}" for c in step.at)
        msg = f"There is no {_name_of(step)} at ({place}), so no island was removed. Click on the island to be removed."
        raise PromptError(msg)
    return np.asarray(parts == own)


def _largest(mask: Mask, said: Labels, region: Region) -> Mask:
    """Return the largest connected part, and those that a prompt settled as part of the region."""
    parts, count = ndimage.label(mask, _TOUCHING)
    keep = np.zeros(count + 1, bool)
    keep[np.bincount(parts.ravel())[1:].argmax() + 1] = True
    bits = np.uint8(sum(1 << value for value in REGIONS[region]))
    keep[np.unique(parts[mask & (said != 0) & (said & ~bits == 0)])] = True
    keep[0] = False
    return np.asarray(keep[parts])


def _smooth(mask: Mask, grid: Grid, mm: float) -> Mask:
    """Remove details narrower than `mm` from the mask, keeping its volume about the same."""
    box = bounding_box(mask)
    assert box is not None
    sigma = [mm * _SAME_WIDTH / s for s in grid.spacing]
    spare = [int(np.ceil(3 * s)) + 1 for s in sigma]
    at = tuple(
        slice(max(0, a - n), min(size, b + n))
        for a, b, n, size in zip(box.start, box.stop, spare, mask.shape, strict=True)
    )
    blurred = ndimage.gaussian_filter(mask[at].astype(np.float32), sigma, truncate=3, mode="nearest")
    after = mask.copy()
    after[at] = blurred > 0.5
    return after
