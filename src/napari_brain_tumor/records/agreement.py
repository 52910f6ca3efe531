"""Compare two results: identical, equal within numerical precision, or different."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

import numpy as np

from napari_brain_tumor.metrics.overlap import dice, require_same_shape
from napari_brain_tumor.types import Labels

Verdict = Literal["identical", "within precision", "different"]

TOLERANCES: Final[Mapping[str, float]] = {"float32": 0.001, "float16": 0.001, "bfloat16": 0.005}
"""Share of the tumour's voxels that may change between processors, thread counts and versions, for each precision,
as documented for `segment`."""


@dataclass(frozen=True, slots=True)
class Agreement:
    """Agreement between two label arrays.

    Parameters
    ----------
    voxels, tumour, differing : int
        Number of voxels in the grid, voxels labelled as tumour in either result, and voxels whose labels differ.
    tolerance : float
        Share of the tumour's voxels that is allowed to differ.
    dice : mapping of str to float
        Dice of each class by name; 1 if the class is absent from both.
    """

    voxels: int
    tumour: int
    differing: int
    tolerance: float
    dice: Mapping[str, float] = field(default_factory=dict)

    @property
    def share(self) -> float:
        """Differing voxels divided by tumour voxels; 0 if neither result contains tumour."""
        return self.differing / self.tumour if self.tumour else 0.0

    @property
    def verdict(self) -> Verdict:
        """Whether the two results are identical, equal within precision, or different."""
        if not self.differing:
            return "identical"
        return "within precision" if self.share <= self.tolerance else "different"


def agreement_of(
    recorded: Labels, recomputed: Labels, class_names: Mapping[int, str], tolerance: float = TOLERANCES["float32"]
) -> Agreement:
    """Compare labels voxel by voxel.

    Parameters
    ----------
    recorded, recomputed : (X, Y, Z) uint8 arrays
        Label arrays with the package's class numbers, on the same grid.
    class_names : mapping of int to str
        Names of the classes to compare.
    tolerance : float
        Share of the tumour's voxels that is allowed to differ.

    Raises
    ------
    GridMismatchError
        If the shapes differ.
    """
    require_same_shape(recorded, recomputed)
    return Agreement(
        voxels=recorded.size,
        tumour=int(np.count_nonzero(recorded | recomputed)),
        differing=int(np.count_nonzero(recorded != recomputed)),
        tolerance=tolerance,
        dice={name: dice(recorded == value, recomputed == value) for value, name in class_names.items()},
    )


def tolerance_of(settings: Mapping[str, Any], other: Mapping[str, Any]) -> float:
    """Return the larger tolerance of the two runs' precisions; 0 for methods without weights."""
    precisions = [str(entry["precision"]) for entry in (settings, other) if "precision" in entry]
    return max((TOLERANCES.get(entry, TOLERANCES["float32"]) for entry in precisions), default=0.0)
