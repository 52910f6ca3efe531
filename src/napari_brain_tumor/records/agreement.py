"""Whether two results are the same: to the voxel, within what another processor may change, or not."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

import numpy as np

from napari_brain_tumor.metrics.overlap import dice, require_same_shape
from napari_brain_tumor.types import Labels

Verdict = Literal["identical", "within precision", "different"]

TOLERANCES: Final[Mapping[str, float]] = {"float32": 0.001, "float16": 0.001, "bfloat16": 0.005}
"""Share of the tumour's voxels that may change with processor, number of threads and versions, by precision: what
`segment` promises of its precisions."""


@dataclass(frozen=True, slots=True)
class Agreement:
    """How far labels agree.

    Parameters
    ----------
    voxels, tumour, differing : int
        Voxels of the grid; those that are tumour in either result; those whose label differs.
    tolerance : float
        Share of the tumour's voxels that may differ.
    dice : mapping of str to float
        Of every class by name; 1 where it is in neither.
    """

    voxels: int
    tumour: int
    differing: int
    tolerance: float
    dice: Mapping[str, float] = field(default_factory=dict)

    @property
    def share(self) -> float:
        """Differing voxels over those of the tumour; 0 where both are without tumour."""
        return self.differing / self.tumour if self.tumour else 0.0

    @property
    def verdict(self) -> Verdict:
        """Whether it came out the same."""
        if not self.differing:
            return "identical"
        return "within precision" if self.share <= self.tolerance else "different"


def agreement_of(
    recorded: Labels, recomputed: Labels, class_names: Mapping[int, str], tolerance: float = TOLERANCES["float32"]
) -> Agreement:
    """Compare labels voxel by voxel.

    Parameters
    ----------
    recorded, found : (X, Y, Z) uint8 arrays
        Our classes on one grid.
    class_names : mapping of int to str
        Of the classes that are compared.
    tolerance : float
        Share of the tumour's voxels that may differ.

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
    """The larger tolerance of the precisions of two runs; methods without weights have none: 0."""
    precisions = [str(entry["precision"]) for entry in (settings, other) if "precision" in entry]
    return max((TOLERANCES.get(entry, TOLERANCES["float32"]) for entry in precisions), default=0.0)
