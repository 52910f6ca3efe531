"""Deviation of each voxel from healthy tissue in its position, as signed z-scores."""

from collections.abc import Mapping
from typing import Final

import numpy as np

from napari_brain_tumor.classical.scan import Scan
from napari_brain_tumor.classical.template_level import expected, weights_of
from napari_brain_tumor.study import Role
from napari_brain_tumor.types import Float32Array, Float64Array

_SAMPLE: Final = 60_000
_ROUNDS: Final = 10
_LEAST_SHARE: Final = 0.3
"""Smallest share of template brain in a voxel for which an intensity is expected."""
_CLIPPED: Final = 2.5
"""Deviations are clipped to this limit when the spread of a tissue is estimated."""


def departures(scan: Scan, shares: Float32Array) -> Mapping[Role, Float32Array]:
    """Compute signed z-scores `(Z, Y, X)` of each sequence; 0 outside the brain and where the template has none.

    The expected value is the mean of the tissues' brightness weighted by their local shares, and the spread is mixed
    likewise. Both are fitted to the scan itself. Voxels that deviate have little weight, so that even a large tumour is
    not mistaken for normal tissue.

    Parameters
    ----------
    shares : (3, Z, Y, X) float32 array
        Share of each tissue in each voxel, as returned in `TemplateFit`.
    """
    within = scan.brain & (shares.sum(axis=0) > _LEAST_SHARE)
    mixture = shares[:, within] / shares[:, within].sum(axis=0)
    values = np.stack([image[within] for image in scan.channels.values()])
    scores = _scores(mixture, values) if values.shape[1] > _SAMPLE // 1000 else np.zeros_like(values)
    return {role: _put(score, within) for role, score in zip(scan.channels, scores, strict=True)}


def _scores(mixture: Float32Array, values: Float32Array) -> Float32Array:
    thinned = slice(None, None, max(1, values.shape[1] // _SAMPLE))
    some, sample = mixture[:, thinned], values[:, thinned]
    everywhere = np.ones(sample.shape[1], dtype=bool)
    weights = np.ones(sample.shape[1], dtype=np.float32)
    for _ in range(_ROUNDS):
        expectation = expected(some, sample, weights, everywhere)
        rest = sample - expectation.brightness @ some
        weights = weights_of(((rest / expectation.spread[:, None]) ** 2).mean(axis=0).astype(np.float32))
    spreads = _spreads(some, rest, expectation.spread, weights)
    apart = values - expectation.brightness.astype(np.float32) @ mixture
    scores: Float32Array = (apart / np.sqrt(spreads.astype(np.float32) @ mixture)).astype(np.float32)
    return scores


def _spreads(mixture: Float32Array, rest: Float64Array, spread: Float64Array, weights: Float32Array) -> Float64Array:
    """Return the variance `(C, 3)` of each tissue in each sequence, mostly from voxels dominated by it."""
    squares = np.minimum(np.abs(rest), _CLIPPED * spread[:, None]) ** 2
    counted = mixture.astype(np.float64) ** 2 * weights
    means: Float64Array = (squares @ counted.T + 1e-9) / (counted.sum(axis=1) + 1e-9)
    return np.maximum(means, 1e-6)


def _put(values: Float32Array, within: "np.ndarray[tuple[int, ...], np.dtype[np.bool_]]") -> Float32Array:
    image = np.zeros(within.shape, dtype=np.float32)
    image[within] = values
    return image
