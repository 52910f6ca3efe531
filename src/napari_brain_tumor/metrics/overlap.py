"""How well two segmentations overlap."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_brain_tumor.errors import GridMismatchError
from napari_brain_tumor.labels import REGIONS, Region, region_mask
from napari_brain_tumor.study import Segmentation


@dataclass(frozen=True, slots=True)
class Confusion:
    """How many voxels of two masks agree and differ, and every overlap score that follows from it.

    A fraction whose denominator is empty says nothing and is None, with one exception: Dice and IoU of two empty
    masks are 1, for a tumour that is not there and was not found is a full agreement, as the BraTS challenges count it.

    Parameters
    ----------
    both, missed, false, neither : int
        Voxels inside both masks, in the truth alone, in the prediction alone, in none: true positives, false
        negatives, false positives and true negatives.
    """

    both: int
    missed: int
    false: int
    neither: int

    @property
    def truth(self) -> int:
        """Voxels of the truth."""
        return self.both + self.missed

    @property
    def predicted(self) -> int:
        """Voxels of the prediction."""
        return self.both + self.false

    @property
    def dice(self) -> float:
        r""":math:`2\,|A \cap B| / (|A| + |B|)` (Dice 1945, doi:10.2307/1932409); 1 where both are empty."""
        total = self.truth + self.predicted
        return 2 * self.both / total if total else 1.0

    @property
    def iou(self) -> float:
        r""":math:`|A \cap B| / |A \cup B|` (doi:10.1111/j.1469-8137.1912.tb05611.x); 1 where both are empty."""
        union = self.both + self.missed + self.false
        return self.both / union if union else 1.0

    @property
    def sensitivity(self) -> float | None:
        """Part of the truth that was found; None where the truth is empty."""
        return _fraction(self.both, self.truth)

    @property
    def specificity(self) -> float | None:
        """Part of the voxels outside the truth that was left out, over the whole array; None where there is no outside.

        It depends on how much air the array holds: almost any tumour in a whole head reaches 0.99.
        """
        return _fraction(self.neither, self.neither + self.false)

    @property
    def precision(self) -> float | None:
        """Part of the prediction that is true; None where the prediction is empty."""
        return _fraction(self.both, self.predicted)

    @property
    def relative_volume_difference(self) -> float | None:
        """Predicted minus true volume over true volume, negative for too little; None where the truth is empty."""
        return _fraction(self.predicted - self.truth, self.truth)


def confusion(truth: npt.NDArray[Any], predicted: npt.NDArray[Any]) -> Confusion:
    """Count where two masks agree and differ, over all voxels of the arrays.

    Parameters
    ----------
    truth, predicted : array of bool
        Masks of the same shape; anything but zero counts as inside.

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
    """Dice overlap of two masks of one shape; 1 where both are empty, 0 where one alone is.

    Parameters
    ----------
    truth, predicted : array of bool
        Masks of the same shape; anything but zero counts as inside.

    Raises
    ------
    GridMismatchError
        If the shapes differ.
    """
    return confusion(truth, predicted).dice


def region_dice(truth: Segmentation, predicted: Segmentation) -> dict[Region, float]:
    """Dice of every region that both segmentations tell, in the order WT, TC, ET.

    Each region is scored over the whole volume, once per case (the BraTS challenges' definition until 2022, not the
    lesion-wise one of 2023).

    Parameters
    ----------
    truth, predicted : Segmentation
        On the same grid.

    Raises
    ------
    GridMismatchError
        If their grids differ by more than a fraction of a voxel.
    """
    require_same_grid(truth, predicted)
    known = [region for region in REGIONS if region in truth.known_regions and region in predicted.known_regions]
    return {region: dice(region_mask(truth.data, region), region_mask(predicted.data, region)) for region in known}


def require_same_grid(truth: Segmentation, predicted: Segmentation) -> None:
    """Raise `GridMismatchError` where two segmentations differ by more than a fraction of a voxel in place."""
    if not truth.grid.same_place(predicted.grid):
        raise GridMismatchError(
            f"{truth.name} lies on {truth.grid.describe()}; {predicted.name} on {predicted.grid.describe()}. "
            "They can only be compared on the same grid: resample one of them onto the other's."
        )


def require_same_shape(truth: npt.NDArray[Any], predicted: npt.NDArray[Any]) -> None:
    """Raise `GridMismatchError` where two masks differ in shape."""
    if truth.shape != predicted.shape:
        raise GridMismatchError(
            f"The truth has shape {truth.shape}, the prediction {predicted.shape}. "
            "Masks of one shape are needed: resample one of them onto the other's grid."
        )


def _fraction(part: int, whole: int) -> float | None:
    return part / whole if whole else None
