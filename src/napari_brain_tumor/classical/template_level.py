"""A brain and the template at one resolution of their registration, both equally blurred."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy import ndimage

from napari_brain_tumor.classical.scan import Scan, Spacing
from napari_brain_tumor.classical.template import tissue_template
from napari_brain_tumor.types import Float32Array, Float64Array, Mask

_SCAN_SHARE: Final = 0.25
"""Smallest share of brain in a voxel whose intensity is used."""
_BLUR: Final = 0.5
"""Blur of the template, in voxels of the level."""
_TURN: Final = 2.5
"""Deviation from the expected value at which the weight of a voxel is one quarter."""
_RIDGE: Final = 1e-4
"""Regularisation that keeps the brightness of an absent tissue finite."""


@dataclass(frozen=True, slots=True, eq=False)
class Level:
    """One resolution of the search.

    Parameters
    ----------
    images : (C, Z, Y, X) float32 array
        Mean of each sequence over the brain's part of the voxels, 0 outside.
    inside : (Z, Y, X) float32 array
        Share of brain in each voxel.
    spacing_mm : tuple of float
        Spacing along Z, Y, X.
    factors : tuple of int
        Number of scan voxels per voxel of this level, along Z, Y, X.
    points : (3, Z, Y, X) float64 array
        Positions of the voxels, in mm along Z, Y, X from the scan's first voxel.
    tissues : (3, z, y, x) float32 array
        Shares of the template's tissues, blurred.
    slopes : (3, 3, z, y, x) float32 array
        Gradient of each share along Z, Y, X, per millimetre of the template.
    """

    images: Float32Array
    inside: Float32Array
    spacing_mm: Spacing
    factors: tuple[int, int, int]
    points: Float64Array
    tissues: Float32Array
    slopes: Float32Array


@dataclass(frozen=True, slots=True, eq=False)
class Expectation:
    """Expected intensities: `brightness` `(C, 3)` of each tissue in each sequence, and `spread` `(C,)` around it."""

    brightness: Float64Array
    spread: Float64Array


def level_of(scan: Scan, size_mm: float) -> Level:
    """Downsample the scan to voxels of about that size; thicker slices are not changed."""
    factors = (1, 1, 1)
    z, y, x = (max(1, round(size_mm / step)) for step in scan.spacing_mm)
    factors = (z, y, x)
    inside = _means(scan.brain.astype(np.float32), factors)
    part = np.maximum(inside, np.float32(1e-3))
    images = [
        np.where(inside > _SCAN_SHARE, _means(np.where(scan.brain, image, np.float32(0)), factors) / part, 0)
        for image in scan.channels.values()
    ]
    axes = [
        np.arange(n) * step * k + (k - 1) / 2 * step
        for n, step, k in zip(inside.shape, scan.spacing_mm, factors, strict=True)
    ]
    template = tissue_template()
    blur = _BLUR * size_mm / template.spacing_mm
    tissues = np.stack([ndimage.gaussian_filter(share, blur) for share in template.shares])
    slopes = np.stack([np.stack(np.gradient(share, template.spacing_mm)) for share in tissues]).astype(np.float32)
    spacing = (scan.spacing_mm[0] * z, scan.spacing_mm[1] * y, scan.spacing_mm[2] * x)
    points = np.stack(np.meshgrid(*axes, indexing="ij"))
    return Level(np.stack(images).astype(np.float32), inside, spacing, factors, points, tissues, slopes)


def sampled(fields: Float32Array, places: Float64Array) -> Float32Array:
    """Sample template fields `(F, z, y, x)` at positions `(3, ...)` in its millimetres; 0 outside the template."""
    voxels = places / tissue_template().spacing_mm
    return np.stack([ndimage.map_coordinates(field, voxels, order=1, prefilter=False) for field in fields])


def weights_of(distances: Float32Array) -> Float32Array:
    """Return weights of voxels from their squared deviation from the expected value (Geman and McClure)."""
    weights: Float32Array = (1 / (1 + distances / np.float32(_TURN**2)) ** 2).astype(np.float32)
    return weights


def expected(shares: Float32Array, images: Float32Array, weights: Float32Array, where: Mask) -> Expectation:
    """Fit the brightness of the tissues by weighted least squares; returns it with the robust spread of the residuals.

    Parameters
    ----------
    shares : (3, ...) float32 array
    images : (C, ...) float32 array
    weights : (...) float32 array
    where : (...) bool array
        Voxels to use.
    """
    mixture, values, weight = shares[:, where].astype(np.float64), images[:, where], weights[where]
    normal = (mixture * weight) @ mixture.T
    normal += _RIDGE * np.trace(normal) / 3 * np.eye(3)
    brightness = np.asarray(np.linalg.solve(normal, (mixture * weight) @ values.T).T, dtype=np.float64)
    rest = np.abs(values - brightness @ mixture)
    return Expectation(brightness, np.asarray(1.4826 * np.median(rest, axis=1) + 1e-6, dtype=np.float64))


def _means(array: Float32Array, factors: tuple[int, int, int]) -> Float32Array:
    """Average over blocks of voxels; those missing from the last blocks count as 0."""
    counts = [-(-n // k) for n, k in zip(array.shape, factors, strict=True)]
    padded = np.pad(array, [(0, m * k - n) for n, m, k in zip(array.shape, counts, factors, strict=True)])
    blocks = padded.reshape(counts[0], factors[0], counts[1], factors[1], counts[2], factors[2])
    means: Float32Array = blocks.mean(axis=(1, 3, 5), dtype=np.float32)
    return means
