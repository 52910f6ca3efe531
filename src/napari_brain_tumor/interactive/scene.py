"""Scans and network probabilities, block by block, in the form in which prompts use them."""

from collections.abc import Mapping
from functools import cached_property
from typing import Final

import numpy as np
import numpy.typing as npt

from napari_brain_tumor.geometry import Box, Grid
from napari_brain_tumor.labels import Region
from napari_brain_tumor.postprocessing.region_probabilities import RegionProbabilities
from napari_brain_tumor.preprocessing.intensity import foreground_mask
from napari_brain_tumor.study import ROLES, Role, Study
from napari_brain_tumor.types import Array

_SAMPLE: Final = 200_000
"""Number of voxels sampled for a sequence's mean and standard deviation."""


class Scene:
    """The sequences of a study, standardised within the brain or head, and the prior given by a network.

    Parameters
    ----------
    study : Study
    probabilities : RegionProbabilities, optional
    """

    def __init__(self, study: Study, probabilities: RegionProbabilities | None = None) -> None:
        self._study = study
        self._probabilities = probabilities
        self._priors: Mapping[Region, Array] | None = None

    @property
    def grid(self) -> Grid:
        """Grid of the study."""
        return self._study.grid

    @property
    def roles(self) -> tuple[Role, ...]:
        """Sequences that the study has."""
        return self._study.roles

    @cached_property
    def spacing(self) -> tuple[float, float, float]:
        """Voxel spacing in millimetres; if the files lack it, estimated from the size of the head."""
        grid = self._study.grid
        return grid.spacing_mm if grid.unit == "mm" else _guessed_spacing(self.brain)

    @cached_property
    def brain(self) -> npt.NDArray[np.bool_]:
        """Voxels `(X, Y, Z)` of the brain, or of the head if the skull was never removed."""
        if self._study.brain is not None:
            return self._study.brain
        return foreground_mask([volume.T for volume in self._study.sequences.values()]).T

    @cached_property
    def _scales(self) -> dict[Role, tuple[float, float]]:
        inside = np.flatnonzero(self.brain)
        inside = inside[:: max(1, inside.size // _SAMPLE)]
        scales: dict[Role, tuple[float, float]] = {}
        for role, volume in self._study.sequences.items():
            values = np.asarray(volume.ravel()[inside], np.float32)
            scales[role] = float(values.mean()), max(float(values.std()), 1e-6)
        return scales

    def intensities(self, box: Box) -> npt.NDArray[np.float32]:
        """Return the standardised intensities `(4, X, Y, Z)` of a block in the order of `ROLES`; 0 for absent ones."""
        intensities = np.zeros((len(ROLES), *box.shape), np.float32)
        brain = self.brain[box.slices]
        for at, role in enumerate(ROLES):
            if role in self._scales:
                mean, deviation = self._scales[role]
                values = (self._study.sequences[role][box.slices].astype(np.float32) - mean) / deviation
                intensities[at] = np.clip(values, -5, 8) * brain
        return intensities

    def prior(self, region: Region, box: Box) -> npt.NDArray[np.float32] | None:
        """Return the network's probability `(X, Y, Z)` of a region in a block; None if there is none."""
        maps = self._probabilities
        if maps is None or region not in maps.regions:
            return None
        if self._priors is None:
            self._priors = {known: maps[known] for known in maps.regions}
        return self._priors[region][box.slices].astype(np.float32)


def _guessed_spacing(brain: npt.NDArray[np.bool_]) -> tuple[float, float, float]:
    """Estimate the voxel spacing in millimetres, assuming that the mask is a head of typical size.

    A head is about as high as it is wide. The estimate is used only for the distances over which prompts spread, never
    for measurements.
    """
    extents = [int(brain.any(axis=tuple(a for a in range(3) if a != axis)).sum()) or 1 for axis in range(3)]
    x, y, z = (min(8.0, max(0.4, size / n)) for size, n in zip((150, 190, 150), extents, strict=True))
    return x, y, z
