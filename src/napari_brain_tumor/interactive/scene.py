"""What the scans and the network say, block by block, in the form that prompts are compared with."""

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
"""Voxels from which a sequence's mean and deviation are taken."""


class Scene:
    """The sequences of a study, standardised within the brain or head, and the prior that a network gave.

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
        """Of the study."""
        return self._study.grid

    @property
    def roles(self) -> tuple[Role, ...]:
        """Sequences that are there."""
        return self._study.roles

    @cached_property
    def spacing(self) -> tuple[float, float, float]:
        """Distances between voxels in millimetres; where the files do not tell them, guessed from the head's shape."""
        grid = self._study.grid
        return grid.spacing_mm if grid.unit == "mm" else _guessed_spacing(self.brain)

    @cached_property
    def brain(self) -> npt.NDArray[np.bool_]:
        """Voxels `(X, Y, Z)` of the brain, or of the head where the skull is there and was never removed."""
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
        """Standardised intensities `(4, X, Y, Z)` of a block, in the order of `ROLES`; 0 where a sequence is absent."""
        intensities = np.zeros((len(ROLES), *box.shape), np.float32)
        brain = self.brain[box.slices]
        for at, role in enumerate(ROLES):
            if role in self._scales:
                mean, deviation = self._scales[role]
                values = (self._study.sequences[role][box.slices].astype(np.float32) - mean) / deviation
                intensities[at] = np.clip(values, -5, 8) * brain
        return intensities

    def prior(self, region: Region, box: Box) -> npt.NDArray[np.float32] | None:
        """The network's probability `(X, Y, Z)` of a region in a block; None where there is none."""
        maps = self._probabilities
        if maps is None or region not in maps.regions:
            return None
        if self._priors is None:
            self._priors = {known: maps[known] for known in maps.regions}
        return self._priors[region][box.slices].astype(np.float32)


def _guessed_spacing(brain: npt.NDArray[np.bool_]) -> tuple[float, float, float]:
    """Millimetres between voxels if the mask is a head of usual size; only ratios between distances depend on it.

    A head is about as high as it is wide. Distances that prompts spread over are taken from this where files tell no
    spacing; nothing that is measured is.
    """
    extents = [int(brain.any(axis=tuple(a for a in range(3) if a != axis)).sum()) or 1 for axis in range(3)]
    x, y, z = (min(8.0, max(0.4, size / n)) for size, n in zip((150, 190, 150), extents, strict=True))
    return x, y, z
