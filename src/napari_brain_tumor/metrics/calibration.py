"""Calibration of probabilities: reliability, calibration error, and the temperature that corrects it."""

import math
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize_scalar

_LARGEST: Final = 30.0
"""Logits are clipped to this magnitude, a probability within 1e-13 of 0 or 1."""
_STEP: Final = 0.05
_BINS: Final = round(2 * _LARGEST / _STEP)
_CENTRES: Final = (np.arange(_BINS) + 0.5) * _STEP - _LARGEST
_TEMPERATURES: Final = (0.1, 20.0)


@dataclass(frozen=True, slots=True, eq=False)
class Reliability:
    """Reliability diagram: predicted and observed frequency in equal bins of probability, without empty bins.

    Parameters
    ----------
    probability : (B,) array
        Mean probability of the bin's voxels.
    observed : (B,) array
        Fraction of the bin's voxels that belong to the region.
    voxels : (B,) array of int
    """

    probability: npt.NDArray[np.float64]
    observed: npt.NDArray[np.float64]
    voxels: npt.NDArray[np.int64]

    @property
    def error(self) -> float:
        """Expected calibration error: voxel-weighted mean gap of predicted and observed (Guo 2017, eq. 3)."""
        return float(np.average(np.abs(self.probability - self.observed), weights=self.voxels))


@dataclass(frozen=True, slots=True, eq=False)
class LogitCounts:
    """Histogram of voxels by logit, in steps of 0.05, separately inside and outside the region.

    A few kilobytes contain all that calibration needs; histograms of several volumes are added with `+`.

    Parameters
    ----------
    counts : (2, B) array of int
        Number of voxels outside the region (row 0) and inside it (row 1).
    """

    counts: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros((2, _BINS), dtype=np.int64))

    @classmethod
    def of(cls, logits: npt.NDArray[Any], truth: npt.NDArray[np.bool_]) -> "LogitCounts":
        """Count voxels by logit; those in `truth` belong to the region."""
        places = np.clip(np.floor((logits + _LARGEST) / _STEP).astype(np.int64), 0, _BINS - 1)
        return cls(np.stack([np.bincount(places[selected], minlength=_BINS) for selected in (~truth, truth)]))

    def __add__(self, other: "LogitCounts") -> "LogitCounts":
        return LogitCounts(self.counts + other.counts)

    @property
    def voxels(self) -> int:
        """Total number of voxels."""
        return int(self.counts.sum())

    def best_temperature(self) -> float | None:
        """Return the temperature between 0.1 and 20 with the smallest negative log-likelihood.

        None if all voxels are outside the region, or all inside: any degree of certainty then seems right.
        """
        if not self.counts.any(axis=1).all():
            return None
        low, high = (math.log(limit) for limit in _TEMPERATURES)
        minimum = minimize_scalar(lambda t: self._surprise(math.exp(t)), bounds=(low, high), method="bounded")
        return math.exp(minimum.x)

    def reliability(self, temperature: float = 1.0, bins: int = 15) -> Reliability:
        """Compare probabilities with the truth after dividing the logits by a temperature.

        Raises
        ------
        ValueError
            If there are no voxels.
        """
        if not self.voxels:
            raise ValueError("Reliability needs voxels, but none were counted. Count those of at least one case.")
        probabilities = 1 / (1 + np.exp(-_CENTRES / temperature))
        bin_of = np.minimum((probabilities * bins).astype(int), bins - 1)
        total = self.counts.sum(axis=0)
        voxels, inside, mass = (
            np.bincount(bin_of, weights, bins) for weights in (total, self.counts[1], total * probabilities)
        )
        some = voxels > 0
        return Reliability(mass[some] / voxels[some], inside[some] / voxels[some], voxels[some].astype(np.int64))

    def _surprise(self, temperature: float) -> float:
        scaled = _CENTRES / temperature
        outside, inside = self.counts
        return float(outside @ np.logaddexp(0, scaled) + inside @ np.logaddexp(0, -scaled)) / self.voxels
