"""How well two segmentations overlap."""

from typing import Any

import numpy as np
import numpy.typing as npt

from napari_brain_tumor.errors import GridMismatchError
from napari_brain_tumor.labels import REGIONS, Region, region_mask
from napari_brain_tumor.study import Segmentation

__all__ = ["dice", "region_dice"]


def dice(truth: npt.NDArray[Any], predicted: npt.NDArray[Any]) -> float:
    r"""Dice overlap of two masks of one shape.

    :math:`2\,|A \cap B| / (|A| + |B|)` (Dice 1945, doi:10.2307/1932409), over all voxels of the arrays. Where both
    masks are empty it is 1: a tumour that is not there and was not found is a full agreement, as the BraTS
    challenges count it. Where one alone is empty it is 0.

    Parameters
    ----------
    truth, predicted : array of bool
        Masks of the same shape; anything but zero counts as inside.

    Raises
    ------
    GridMismatchError
        If the shapes differ.
    """
    if truth.shape != predicted.shape:
        msg = f"The truth has shape {truth.shape}, the prediction {predicted.shape}. Dice needs two masks of one shape."
        raise GridMismatchError(msg)
    inside, found = truth.astype(bool, copy=False), predicted.astype(bool, copy=False)
    total = int(np.count_nonzero(inside)) + int(np.count_nonzero(found))
    return 2 * int(np.count_nonzero(inside & found)) / total if total else 1.0


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
    if not truth.grid.same_place(predicted.grid):
        msg = (
            f"{truth.name} lies on {truth.grid.describe()}; {predicted.name} on {predicted.grid.describe()}. "
            "They can be compared on one grid only: resample one of them onto the other's."
        )
        raise GridMismatchError(msg)
    known = [region for region in REGIONS if region in truth.known_regions and region in predicted.known_regions]
    return {region: dice(region_mask(truth.data, region), region_mask(predicted.data, region)) for region in known}
