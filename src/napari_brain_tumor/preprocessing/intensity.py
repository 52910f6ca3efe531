"""Find the voxels of the head or brain, and standardise the intensities within them."""

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from napari_brain_tumor.types import Array, Mask

Scaling = Literal["zscore", "unit"]

_STATISTICS_SAMPLE = 400_000
"""Number of voxels from which percentiles are estimated; more would change them by less than a grey level."""


_OUTSIDE_SHARE = 0.15
"""Smallest share of voxels outside the head or brain."""

_AIR = 0.1
"""Brightness up to which a voxel is considered air, as a fraction of bright tissue."""


def is_skull_stripped(volume: Array) -> bool:
    """Whether everything outside the brain was set to one value.

    In a masked image, many voxels have the same value, usually the minimum, and hardly any are just above it.
    In an unmasked head, the noise of the surrounding air fills the values just above the minimum.
    """
    return background_value(volume) is not None


def foreground_mask(volumes: Sequence[Array]) -> Mask:
    """Return a mask of the brain if the skull was removed, otherwise of the head.

    Parameters
    ----------
    volumes : sequence of (Z, Y, X) array
        The sequences of one study, with Z from foot to head.

    Returns
    -------
    (Z, Y, X) bool array
        Mask without holes in any slice, and for a head a single connected body. All True if no body stands out from
        the air.
    """
    backgrounds = [background_value(volume) for volume in volumes]
    if all(value is not None for value in backgrounds):
        mask = np.zeros(volumes[0].shape, dtype=bool)
        for volume, value in zip(volumes, backgrounds, strict=True):
            np.logical_or(mask, volume != value, out=mask)
        return mask
    brightness = np.zeros(volumes[0].shape, dtype=np.float32)
    for volume in volumes:
        dark, bright = _air_and_tissue(volume)
        brightness += (volume - np.float32(dark)) * np.float32(1 / (max(bright - dark, 1e-6) * len(volumes)))
    body = largest_component(brightness > _AIR)
    if not body.any():
        return np.ones_like(body)
    return np.stack([ndimage.binary_fill_holes(plane) for plane in body])


def background_value(volume: Array) -> Any:
    """Return the value that voxels outside the brain were set to, or None if the outside is air.

    It is the minimum or, in an image standardised within the brain, the value in the corners.
    """
    sample = _sample(volume)
    floor = sample.min()
    span = 0.05 * (np.percentile(sample, 99) - floor)
    at_floor = float(np.mean(sample == floor))
    just_above = float(np.mean((sample > floor) & (sample < floor + span)))
    if at_floor > _OUTSIDE_SHARE and just_above < 0.1 * at_floor:
        return floor
    corners, counts = np.unique(
        volume[:: volume.shape[0] - 1 or 1, :: volume.shape[1] - 1 or 1, [0, -1]], return_counts=True
    )
    corner = corners[counts.argmax()]
    same = counts.max() >= 0.75 * counts.sum() and float(np.mean(sample == corner)) > _OUTSIDE_SHARE
    return corner if same and corner > floor + span else None


def _air_and_tissue(volume: Array) -> tuple[float, float]:
    """Estimate the intensities of air and of bright tissue; air is 0 unless there are negative values or an offset."""
    sample = _sample(volume)
    low, bright = (float(value) for value in np.percentile(sample, (1, 99)))
    has_offset = low > _AIR * bright and float(np.mean(sample < low + _AIR * (bright - low))) > _OUTSIDE_SHARE
    return (low if low < 0 or has_offset else 0.0), bright


def standardise(
    volume: Array, mask: Mask, clip_percentiles: tuple[float, float], scaling: Scaling = "zscore"
) -> npt.NDArray[np.float32]:
    """Clip to percentiles of the masked voxels, then standardise by their mean and deviation; voxels outside become 0.

    Parameters
    ----------
    volume : (Z, Y, X) array
        Intensities of one sequence.
    mask : (Z, Y, X) bool array
        Voxels from which the statistics are computed; all voxels if it is empty.
    clip_percentiles : tuple of float
        Lower and upper percentile.
    scaling : {"zscore", "unit"}
        With `"unit"`, the percentiles are mapped to 0 and 1 instead.

    Returns
    -------
    (Z, Y, X) float32 array
    """
    inside = volume[mask] if mask.any() else volume.reshape(-1)
    low, high = np.percentile(_sample(inside), clip_percentiles)
    origin, span = float(low), float(high - low)
    if scaling == "zscore":
        clipped = _clipped(inside, low, high)
        origin, span = float(clipped.mean(dtype=np.float64)), float(clipped.std(dtype=np.float64))
    result = _clipped(volume, low, high)
    result -= np.float32(origin)
    result *= np.float32(1 / span if span > 0 else 1.0)
    np.copyto(result, 0, where=~mask)
    return result


def _clipped(values: Array, low: float, high: float) -> npt.NDArray[np.float32]:
    """Clip values in float32 throughout, which takes a third of the time of clipping integers with float limits."""
    clipped = values.astype(np.float32)
    return np.clip(clipped, np.float32(low), np.float32(high), out=clipped)


def _sample(values: Array) -> Array:
    step = max(1, values.size // _STATISTICS_SAMPLE)
    if step == 1 or values.flags.c_contiguous:
        return values.reshape(-1)[::step]
    # Picks the same voxels as ravel()[::step], but does not copy the whole array if it is in Fortran order.
    return np.asarray(values[np.unravel_index(np.arange(0, values.size, step), values.shape)])


def largest_component(mask: Mask, touching: Mask | None = None) -> Mask:
    """Return the largest connected part of a mask, by faces or by `touching`; empty if the mask is."""
    labelled, count = ndimage.label(mask, touching)
    if count <= 1:
        return mask
    sizes = np.bincount(labelled.ravel())
    sizes[0] = 0
    return np.asarray(labelled == sizes.argmax())
