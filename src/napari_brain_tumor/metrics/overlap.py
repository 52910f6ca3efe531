"""Overlap metrics of two segmentations."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_brain_tumor.errors import GridMismatchError
from napari_brain_tumor.labels import REGIONS, Region, region_mask
from napari_brain_tumor.study import Segmentation


@dataclass(frozen=True, slots=True)
class Confusion:
    """Voxel counts of agreement and disagreement of two masks, and the overlap metrics derived from them.

    A ratio whose denominator is zero is undefined and given as None. The exception is Dice and IoU of two empty masks,
    which are 1 as in the BraTS challenges: a tumour that is absent and was not predicted is full agreement.

    Parameters
    ----------
    both, missed, false, neither : int
        Voxels in both masks, only in the reference, only in the prediction, and in neither: true positives, false
        negatives, false positives and true negatives.
    """

    both: int
    missed: int
    false: int
    neither: int

    @property
    def truth(self) -> int:
        """Number of voxels in the reference."""
        return self.both + self.missed

    @property
    def predicted(self) -> int:
        """Number of voxels in the prediction."""
        return self.both + self.false

    @property
    def dice(self) -> float:
        r""":math:`2\,|A \cap B| / (|A| + |B|)` (Dice 1945, doi:10.2307/1932409); 1 if both are empty."""
        total = self.truth + self.predicted
        return 2 * self.both / total if total else 1.0

    @property
    def iou(self) -> float:
        r""":math:`|A \cap B| / |A \cup B|` (doi:10.1111/j.1469-8137.1912.tb05611.x); 1 if both are empty."""
        union = self.both + self.missed + self.false
        return self.both / union if union else 1.0

    @property
    def sensitivity(self) -> float | None:
        """Fraction of the reference that was found; None if the reference is empty."""
        return _fraction(self.both, self.truth)

    @property
    def specificity(self) -> float | None:
        """Fraction of the voxels outside the reference that are outside the prediction; None if there are none.

        It is computed over the whole array and depends on how much air that contains: in a whole head, almost any
        prediction reaches 0.99.
        """
        return _fraction(self.neither, self.neither + self.false)

    @property
    def precision(self) -> float | None:
        """Fraction of the prediction that is correct; None if the prediction is empty."""
        return _fraction(self.both, self.predicted)

    @property
    def relative_volume_difference(self) -> float | None:
        """Predicted minus true volume divided by true volume, negative if too small; None if the reference is empty."""
        return _fraction(self.predicted - self.truth, self.truth)


def confusion(truth: npt.NDArray[Any], predicted: npt.NDArray[Any]) -> Confusion:
    """Count where two masks agree and disagree, over all voxels of the arrays.

    Parameters
    ----------
    truth, predicted : array of bool
        Masks of the same shape; any non-zero value counts as inside.

    Raises
    ------
    GridMismatchError
        If the shapes differ.
    """
    require_same_shape(truth, predicted)
    inside, predicted = truth.astype(bool, copy=False), predicted.astype(bool, copy=False)
    both = int(np.count_nonzero(inside & predicted))
    missed = int(np.count_nonzero(inside)) - both
    false = int(np.count_nonzero(predicted)) - both
    return Confusion(both, missed, false, inside.size - both - missed - false)


def dice(truth: npt.NDArray[Any], predicted: npt.NDArray[Any]) -> float:
    """Compute the Dice overlap of two masks of the same shape; 1 if both are empty, 0 if only one is.

    Parameters
    ----------
    truth, predicted : array of bool
        Masks of the same shape; any non-zero value counts as inside.

    Raises
    ------
    GridMismatchError
        If the shapes differ.
    """
    return confusion(truth, predicted).dice


def region_dice(truth: Segmentation, predicted: Segmentation) -> dict[Region, float]:
    """Compute the Dice of every region that both segmentations define, in the order WT, TC, ET.

    Each region is scored once over the whole volume of a case (the BraTS challenges' definition until 2022, not the
    lesion-wise one of 2023).

    Parameters
    ----------
    truth, predicted : Segmentation
        Segmentations on the same grid.

    Raises
    ------
    GridMismatchError
        If their grids differ by more than a fraction of a voxel.
    """
    require_same_grid(truth, predicted)
    known = [region for region in REGIONS if region in truth.known_regions and region in predicted.known_regions]
    return {region: dice(region_mask(truth.data, region), region_mask(predicted.data, region)) for region in known}


def require_same_grid(truth: Segmentation, predicted: Segmentation) -> None:
    """Raise `GridMismatchError` if the grids of two segmentations differ by more than a fraction of a voxel."""
    if not truth.grid.same_place(predicted.grid):
        raise GridMismatchError(
            f"{truth.name} lies on {truth.grid.describe()}; {predicted.name} on {predicted.grid.describe()}. "
            "They can only be compared on the same grid: resample one of them onto the other's."
        )


def require_same_shape(truth: npt.NDArray[Any], predicted: npt.NDArray[Any]) -> None:
    """Raise `GridMismatchError` if two masks differ in shape."""
    if truth.shape != predicted.shape:
        raise GridMismatchError(
            f"The truth has shape {truth.shape}, the prediction {predicted.shape}. "
            "Masks of one shape are needed: resample one of them onto the other's grid."
        )


def _fraction(part: int, whole: int) -> float | None:
    return part / whole if whole else None
