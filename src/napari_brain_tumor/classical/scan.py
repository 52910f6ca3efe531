"""The input of methods without weights: standardised sequences, the brain mask and the voxel size."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from napari_brain_tumor.errors import MissingRolesError
from napari_brain_tumor.study import Role
from napari_brain_tumor.types import Float32Array, Mask

Spacing = tuple[float, float, float]
Voxel = tuple[int, int, int]

BRIGHT_ROLES: tuple[Role, ...] = ("FLAIR", "T2")
"""Sequences in which the whole tumour is bright, better one first: on T2 the ventricles are bright as well."""

_RANGE = (np.float32(-4), np.float32(6))


@dataclass(frozen=True, slots=True, eq=False)
class Scan:
    """The sequences of a study, as the methods receive them.

    Parameters
    ----------
    channels : mapping of role to (Z, Y, X) float32 array
        Only roles that are present; Z runs from foot to head, Y to the front, X to the patient's right.
    brain : (Z, Y, X) bool array
        Voxels that may be tumour: the brain without scalp and skull.
    spacing_mm : tuple of float
        Distance between voxels along Z, Y, X; an estimate if the files do not state it.
    """

    channels: Mapping[Role, Float32Array]
    brain: Mask
    spacing_mm: tuple[float, float, float]

    @property
    def bright(self) -> Float32Array:
        """The sequence in which the whole tumour is bright; raises `MissingRolesError` if there is none."""
        for role in BRIGHT_ROLES:
            if role in self.channels:
                return self.channels[role]
        msg = f"A method without weights needs FLAIR or T2, on which tumour is bright; got {', '.join(self.channels)}."
        raise MissingRolesError(msg)


def brightness(image: Float32Array, brain: Mask) -> Float32Array:
    """Return the difference from the brain's median in units of its spread, 0 outside the brain.

    Median and median absolute deviation (times 1.4826, to estimate the standard deviation of normal tissue) are
    affected little by a tumour, unlike mean and standard deviation
    (Rousseeuw 1993, doi:10.1080/01621459.1993.10476408).
    """
    inside = image[brain]
    middle = np.median(inside) if inside.size else 0.0
    spread = 1.4826 * np.median(np.abs(inside - middle)) if inside.size else 1.0
    result = (image - np.float32(middle)) / np.float32(max(spread, 1e-6))
    result[~brain] = 0
    return result.astype(np.float32, copy=False)


def clipped_brightness(image: Float32Array, brain: Mask) -> Float32Array:
    """Return brightness clipped to a range, so that a few very bright voxels do not dominate a region."""
    return np.clip(brightness(image, brain), *_RANGE)


def smooth(image: Float32Array, brain: Mask, spacing_mm: tuple[float, float, float], sigma_mm: float) -> Float32Array:
    """Smooth with a Gaussian over brain voxels only, so that air and skull do not darken the brain's rim."""
    sigmas = [sigma_mm / step if step < 2 * sigma_mm else 0.0 for step in spacing_mm]  # thick slices are not mixed
    weight = ndimage.gaussian_filter(brain.astype(np.float32), sigmas, truncate=3)
    total = ndimage.gaussian_filter(np.where(brain, image, np.float32(0)), sigmas, truncate=3)
    mean: Float32Array = np.where(brain, total / np.maximum(weight, np.float32(1e-3)), np.float32(0))
    return mean
