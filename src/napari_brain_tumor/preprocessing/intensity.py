"""Which voxels are head or brain, and intensities standardised within them."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

__all__ = ["foreground_mask", "is_skull_stripped", "standardise"]

Array = npt.NDArray[Any]
Mask = npt.NDArray[np.bool_]

_STATISTICS_SAMPLE = 400_000
"""Voxels that percentiles are taken from; more change them by less than a grey level."""


def is_skull_stripped(volume: Array) -> bool:
    """Whether the outside of the brain was set to one value.

    A masked image has a large share of voxels at its minimum and hardly any just above it; the air around a
    head that was not masked is noise, which fills the values just above the minimum.
    """
    sample = _sample(volume)
    floor = sample.min()
    bright = np.percentile(sample, 99)
    at_floor = float(np.mean(sample == floor))
    just_above = float(np.mean((sample > floor) & (sample < floor + 0.05 * (bright - floor))))
    return at_floor > 0.15 and just_above < 0.1 * at_floor


def foreground_mask(volumes: Sequence[Array]) -> Mask:
    """Voxels of the brain where the skull was removed, of the head where it was not.

    Parameters
    ----------
    volumes : sequence of (Z, Y, X) array
        The sequences of one study, Z from foot to head.

    Returns
    -------
    (Z, Y, X) bool array
        Without holes within any slice; one connected body for a head.
    """
    if all(is_skull_stripped(volume) for volume in volumes):
        mask = np.zeros(volumes[0].shape, dtype=bool)
        for volume in volumes:
            np.logical_or(mask, volume > volume.min(), out=mask)
        return mask
    brightness = np.zeros(volumes[0].shape, dtype=np.float32)
    for volume in volumes:
        bright = float(np.percentile(_sample(volume), 99))
        brightness += volume * np.float32(1 / (max(bright, 1e-6) * len(volumes)))
    body = _largest_component(brightness > 0.1)
    return np.stack([ndimage.binary_fill_holes(plane) for plane in body])


def standardise(volume: Array, mask: Mask, clip_percentiles: tuple[float, float]) -> npt.NDArray[np.float32]:
    """Clip to percentiles of the masked voxels, subtract their mean, divide by their deviation; outside is 0.

    Parameters
    ----------
    volume : (Z, Y, X) array
        Intensities of one sequence.
    mask : (Z, Y, X) bool array
        Voxels that the statistics are taken from; all voxels if it is empty.
    clip_percentiles : tuple of float
        Lower and upper percentile.

    Returns
    -------
    (Z, Y, X) float32 array
    """
    inside = volume[mask] if mask.any() else volume.reshape(-1)
    low, high = np.percentile(_sample(inside), clip_percentiles)
    clipped = np.clip(inside, low, high).astype(np.float32)
    mean, deviation = float(clipped.mean(dtype=np.float64)), float(clipped.std(dtype=np.float64))
    scale = 1 / deviation if deviation > 0 else 1.0
    result = np.clip(volume, low, high).astype(np.float32)
    result -= np.float32(mean)
    result *= np.float32(scale)
    result[~mask] = 0
    return result


def _sample(values: Array) -> Array:
    flat = values.reshape(-1)
    return flat[:: max(1, flat.size // _STATISTICS_SAMPLE)]


def _largest_component(mask: Mask) -> Mask:
    labelled, count = ndimage.label(mask)
    if count <= 1:
        return mask
    sizes = np.bincount(labelled.ravel())
    sizes[0] = 0
    return np.asarray(labelled == sizes.argmax())
