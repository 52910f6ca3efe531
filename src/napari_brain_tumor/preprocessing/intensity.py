"""Which voxels are head or brain, and intensities standardised within them."""

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from napari_brain_tumor.types import Array, Mask

Scaling = Literal["zscore", "unit"]

_STATISTICS_SAMPLE = 400_000
"""Voxels that percentiles are taken from; more change them by less than a grey level."""


_OUTSIDE_SHARE = 0.15
"""Least share of voxels outside the head or brain."""

_AIR = 0.1
"""Brightness up to which a voxel is air, as a share of bright tissue."""


def is_skull_stripped(volume: Array) -> bool:
    """Whether the outside of the brain was set to one value.

    A masked image has a large share of voxels at one value, mostly its minimum, and hardly any just above it; the air
    around a head that was not masked is noise, which fills the values just above the minimum.
    """
    return background_value(volume) is not None


def foreground_mask(volumes: Sequence[Array]) -> Mask:
    """Voxels of the brain where the skull was removed, of the head where it was not.

    Parameters
    ----------
    volumes : sequence of (Z, Y, X) array
        The sequences of one study, Z from foot to head.

    Returns
    -------
    (Z, Y, X) bool array
        Without holes within any slice; one connected body for a head. Everything where no body can be told from air.
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
    """The value that the outside of the brain was set to, or None where the outside is air.

    It is the minimum, or, in an image that was standardised within the brain, the value in the corners.
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
    """Intensities of air and of bright tissue: air is 0 unless the image has negative values or an offset."""
    sample = _sample(volume)
    low, bright = (float(value) for value in np.percentile(sample, (1, 99)))
    has_offset = low > _AIR * bright and float(np.mean(sample < low + _AIR * (bright - low))) > _OUTSIDE_SHARE
    return (low if low < 0 or has_offset else 0.0), bright


def standardise(
    volume: Array, mask: Mask, clip_percentiles: tuple[float, float], scaling: Scaling = "zscore"
) -> npt.NDArray[np.float32]:
    """Clip to percentiles of the masked voxels, subtract their mean, divide by their deviation; outside is 0.

    Parameters
    ----------
    volume : (Z, Y, X) array
        Intensities of one sequence.
    mask : (Z, Y, X) bool array
        Voxels that the statistics are taken from; all voxels if it is empty.
    clip_percentiles : tuple of float
        Lower and upper percentile.
    scaling : {"zscore", "unit"}
        With `"unit"` the percentiles become 0 and 1 instead.

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
    """Values between two limits; in float32 from the start, which costs a third of clipping integers to fractions."""
    clipped = values.astype(np.float32)
    return np.clip(clipped, np.float32(low), np.float32(high), out=clipped)


def _sample(values: Array) -> Array:
    step = max(1, values.size // _STATISTICS_SAMPLE)
    if step == 1 or values.flags.c_contiguous:
        return values.reshape(-1)[::step]
    # The same voxels in the same order; reshaping would copy a scan as it is read, in Fortran order, as a whole.
    return np.asarray(values[np.unravel_index(np.arange(0, values.size, step), values.shape)])


def largest_component(mask: Mask, touching: Mask | None = None) -> Mask:
    """The largest part of a mask, whose voxels touch by their faces or as `touching` says; empty where the mask is."""
    labelled, count = ndimage.label(mask, touching)
    if count <= 1:
        return mask
    sizes = np.bincount(labelled.ravel())
    sizes[0] = 0
    return np.asarray(labelled == sizes.argmax())
