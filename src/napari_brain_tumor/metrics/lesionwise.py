"""Lesion-wise scores: how well each single lesion was detected, as ranked by the BraTS challenge since 2023.

This follows the challenge's own code (github.com/rachitsaluja/BraTS-2023-Metrics at 43c9052, metrics.py; Moawad 2023,
arXiv:2306.00838). True lesions are the 26-connected parts of the reference; parts that meet when dilated by three
voxels are one lesion. Every predicted part that touches a dilated lesion is assigned to it, and all parts assigned to a
lesion are scored together against the lesion before dilation. A lesion that no part touches gets Dice 0 and HD95
374 mm, and so does a predicted part that touches no lesion. The score of a case is the mean of all these.

Some consequences may be surprising. True lesions of 50 mm³ or less are left out of the mean, but predicted parts that
touch them do not count as false. False parts count at any size, so a single false voxel next to one perfectly segmented
lesion halves the score of the case. One predicted part may be assigned to several lesions. A part three voxels away
from a lesion counts as detecting it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from napari_brain_tumor.geometry import Box, bounding_box
from napari_brain_tumor.metrics.overlap import dice
from napari_brain_tumor.metrics.surface import check_masks, hd95
from napari_brain_tumor.types import Array

MISSED_HD95_MM: Final = 374.0
"""HD95 that the challenge assigns to missed and false lesions: about the diagonal of its volumes."""

_TOUCHING: Final = ndimage.generate_binary_structure(3, 3)
_GROWING: Final = ndimage.generate_binary_structure(3, 2)

Slices = tuple[slice, ...]


@dataclass(frozen=True, slots=True)
class LesionScores:
    """Lesion-wise scores of two masks.

    Parameters
    ----------
    dice, hd95_mm : float
        Means over true lesions above the threshold and false ones; 1 and 0 if there are neither.
    truth : int
        Number of true lesions above the threshold.
    detected, missed : int
        Number of these lesions that a predicted part touches, and of those that none touches.
    false : int
        Number of predicted parts, of any size, that touch no true lesion.
    """

    dice: float
    hd95_mm: float
    truth: int
    detected: int
    missed: int
    false: int


@dataclass(frozen=True, slots=True, eq=False)
class _Parts:
    """Numbered lesions and predicted parts in one box, and the assignment of parts to lesions."""

    lesions: Array
    predicted: Array
    lesion_slices: list[Slices]
    predicted_slices: list[Slices]
    pairs: Array

    def of(self, lesion: int) -> Array:
        """Return the numbers of the predicted parts assigned to a lesion."""
        numbers: Array = self.pairs[self.pairs[:, 0] == lesion, 1]
        return numbers


def score_lesions(
    truth: Array,
    predicted: Array,
    spacing_mm: tuple[float, float, float],
    *,
    dilation_voxels: int = 3,
    threshold_mm3: float = 50.0,
) -> LesionScores:
    """Score each true lesion, and each false one, as in the BraTS challenge of 2023.

    Parameters
    ----------
    truth, predicted : (X, Y, Z) bool arrays
        Masks; any non-zero value counts as inside.
    spacing_mm : (dx, dy, dz)
        Distance between neighbouring voxels along each axis.
    dilation_voxels : int
        Number of voxels by which lesions are dilated before they are separated: 3 for gliomas, 1 for meningiomas and
        metastases.
    threshold_mm3 : float
        True lesions up to this volume are ignored: 50 for gliomas, 2 for metastases.

    Raises
    ------
    GridMismatchError
        If the shapes differ.
    DimensionError
        If the arrays do not have three axes.
    SpacingUnknownError
        If the spacing is not three positive numbers.
    """
    check_masks(truth, predicted, spacing_mm)
    parts = _parts(truth.astype(bool, copy=False), predicted.astype(bool, copy=False), dilation_voxels)
    volumes = np.bincount(parts.lesions.ravel())[1:] * np.prod(spacing_mm)
    lesions = (np.flatnonzero(volumes > threshold_mm3) + 1).tolist()
    scores = [_score(parts, lesion, spacing_mm) for lesion in lesions]
    false = len(parts.predicted_slices) - len(set(parts.pairs[:, 1].tolist()))
    detected = sum(parts.of(lesion).size > 0 for lesion in lesions)
    counted = len(lesions) + false
    return LesionScores(
        dice=sum(overlap for overlap, _ in scores) / counted if counted else 1.0,
        hd95_mm=(sum(distance for _, distance in scores) + false * MISSED_HD95_MM) / counted if counted else 0.0,
        truth=len(lesions),
        detected=detected,
        missed=len(lesions) - detected,
        false=false,
    )


def _parts(truth: npt.NDArray[np.bool_], predicted: npt.NDArray[np.bool_], dilation: int) -> _Parts:
    box = bounding_box(truth | predicted)
    if box is None:
        empty = np.zeros((1, 1, 1), dtype=np.int32)
        return _Parts(empty, empty, [], [], np.zeros((0, 2), dtype=np.int64))
    margin = max(dilation, 1)
    inside = box.grown((margin, margin, margin), truth.shape).slices
    grown = ndimage.binary_dilation(truth[inside], _GROWING, iterations=dilation) if dilation else truth[inside]
    grown_lesions, _ = ndimage.label(grown, _TOUCHING)
    lesions = grown_lesions * truth[inside]
    numbered, _ = ndimage.label(predicted[inside], _TOUCHING)
    pairs = _pairs(grown_lesions, numbered)
    return _Parts(lesions, numbered, ndimage.find_objects(lesions), ndimage.find_objects(numbered), pairs)


def _pairs(first: Array, second: Array) -> Array:
    """Return the distinct pairs `(N, 2)` of numbers found at the same voxel in two arrays, without background."""
    shared = (first > 0) & (second > 0)
    base = int(second.max()) + 1
    # Each pair is encoded as one integer, because sorting two-column rows would take ten times as long.
    codes = np.unique(first[shared].astype(np.int64) * base + second[shared])
    return np.stack(np.divmod(codes, base), axis=1)


def _score(parts: _Parts, lesion: int, spacing_mm: tuple[float, float, float]) -> tuple[float, float]:
    """Compute Dice and HD95 of one lesion against the predicted parts assigned to it."""
    belonging = parts.of(lesion)
    if belonging.size == 0:
        return 0.0, MISSED_HD95_MM
    # A margin of one voxel, so that a lesion one voxel thick is not mistaken for a single-slice volume.
    near = [parts.lesion_slices[lesion - 1], *(parts.predicted_slices[part - 1] for part in belonging)]
    inside = _joined(near).grown((1, 1, 1), parts.lesions.shape).slices
    truth, predicted = parts.lesions[inside] == lesion, np.isin(parts.predicted[inside], belonging)
    return dice(truth, predicted), hd95(truth, predicted, spacing_mm)


def _joined(boxes: Sequence[Slices]) -> Box:
    """Return the smallest box around all boxes."""
    start = [min(box[axis].start for box in boxes) for axis in range(3)]
    stop = [max(box[axis].stop for box in boxes) for axis in range(3)]
    return Box((start[0], start[1], start[2]), (stop[0], stop[1], stop[2]))
