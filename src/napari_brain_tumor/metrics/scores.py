"""All scores of a segmentation against a reference, with a one-sentence definition of each."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt

from napari_brain_tumor.labels import REGIONS, Region
from napari_brain_tumor.metrics.lesionwise import score_lesions
from napari_brain_tumor.metrics.overlap import confusion, require_same_grid
from napari_brain_tumor.metrics.surface import score_surfaces
from napari_brain_tumor.study import Segmentation

TumourClass = Literal["edema", "non-enhancing", "enhancing"]

_TARGETS: Final[dict[Region | TumourClass, tuple[int, ...]]] = {
    "WT": REGIONS["WT"],
    "TC": REGIONS["TC"],
    "ET": REGIONS["ET"],
    "edema": (1,),
    "non-enhancing": (2,),
    "enhancing": (3,),
}
"""The regions and classes that are scored, and the labels each consists of."""

_NEEDED: Final[dict[Region | TumourClass, frozenset[Region]]] = {
    "WT": frozenset({"WT"}),
    "TC": frozenset({"TC"}),
    "ET": frozenset({"ET"}),
    "edema": frozenset({"WT", "TC"}),
    "non-enhancing": frozenset({"TC", "ET"}),
    "enhancing": frozenset({"ET"}),
}
"""Regions that a segmentation must define for a region or class to be known; edema, for example, is WT without TC."""

_TOLERANCE_MM: Final = 2.0


@dataclass(frozen=True, slots=True)
class MaskScores:
    """All scores of a predicted mask against the reference mask; see `DEFINITIONS` for each field.

    Undefined scores are None, never NaN. This includes ratios with a zero denominator and, if the voxel size is
    unknown, all scores in mm or mL and the surface and lesion-wise scores, whose tolerance and threshold are in mm.
    """

    dice: float
    iou: float
    sensitivity: float | None
    specificity: float | None
    precision: float | None
    volume_truth_ml: float | None
    volume_predicted_ml: float | None
    volume_error_ml: float | None
    volume_error_relative: float | None
    hd95_mm: float | None
    hd95_pooled_mm: float | None
    hd95_max_mm: float | None
    hd_mm: float | None
    nsd_2mm: float | None
    assd_mm: float | None
    lesionwise_dice: float | None
    lesionwise_hd95_mm: float | None
    lesions_truth: int | None
    lesions_found: int | None
    lesions_missed: int | None
    lesions_false: int | None


_EMPTY_DISTANCE = "Both empty 0, one empty the diagonal of the volume."

DEFINITIONS: Final[Mapping[str, str]] = {
    "dice": "2|A∩B|/(|A|+|B|) over all voxels of the case (Dice 1945). Both empty 1, one empty 0.",
    "iou": "|A∩B|/|A∪B| over all voxels of the case (Jaccard 1912). Both empty 1, one empty 0.",
    "sensitivity": "Fraction of the true voxels that was found (recall). None where the truth is empty.",
    "specificity": "Fraction of all voxels outside the truth, in the whole volume including air, that was left out. "
    "None where the truth fills the volume.",
    "precision": "Fraction of the predicted voxels that is true. None where the prediction is empty.",
    "volume_truth_ml": "True volume in mL: voxels times |det(affine)|. None without a voxel size.",
    "volume_predicted_ml": "Predicted volume in mL: voxels times |det(affine)|. None without a voxel size.",
    "volume_error_ml": "|predicted - true volume| in mL. None without a voxel size.",
    "volume_error_relative": "(predicted - true volume)/true volume, signed: -0.1 means 10 % too small. "
    "None where the truth is empty.",
    "hd95_mm": "95 % Hausdorff distance in mm, the larger of both directions' percentiles weighted by surface area "
    f"(DeepMind surface-distance, BraTS 2023). {_EMPTY_DISTANCE}",
    "hd95_pooled_mm": "95 % Hausdorff distance in mm, percentile of both directions' distances between outermost "
    f"voxels together (medpy, panoptica). {_EMPTY_DISTANCE}",
    "hd95_max_mm": "95 % Hausdorff distance in mm, the larger of both directions' percentiles between outermost "
    f"voxels (MONAI). {_EMPTY_DISTANCE}",
    "hd_mm": f"Hausdorff distance in mm: the largest between outermost voxels. {_EMPTY_DISTANCE}",
    "nsd_2mm": "Surface Dice at 2 mm: fraction of the area of both surfaces within 2 mm of the other "
    "(DeepMind surface-distance). Both empty 1, one empty 0.",
    "assd_mm": "Average symmetric surface distance in mm: mean over the outermost voxels of both (medpy, MONAI). "
    f"{_EMPTY_DISTANCE}",
    "lesionwise_dice": "BraTS 2023: sum of the Dice of each true lesion above 50 mm³ over their number plus that of "
    "false lesions; a missed one adds 0. No lesion on either side 1.",
    "lesionwise_hd95_mm": "BraTS 2023: mean of the HD95 (by area) of each true lesion above 50 mm³ and 374 mm for each "
    "missed or false one. No lesion on either side 0.",
    "lesions_truth": "True lesions above 50 mm³; parts that meet when grown by 3 voxels are one lesion (BraTS 2023).",
    "lesions_found": "True lesions above 50 mm³ that a predicted part touches, within 3 voxels (BraTS 2023).",
    "lesions_missed": "True lesions above 50 mm³ that no predicted part touches (BraTS 2023).",
    "lesions_false": "Predicted parts of any size that touch no true lesion of any size (BraTS 2023).",
}
"""Definition, source, unit and handling of empty masks for each field of `MaskScores`."""


def score_masks(
    truth: npt.NDArray[Any],
    predicted: npt.NDArray[Any],
    spacing_mm: tuple[float, float, float] | None,
    voxel_volume_mm3: float | None = None,
) -> MaskScores:
    """Score a predicted mask against the reference mask.

    Parameters
    ----------
    truth, predicted : (X, Y, Z) bool arrays
        Masks; any non-zero value counts as inside.
    spacing_mm : (dx, dy, dz), optional
        Distance between neighbouring voxels along each axis. If it is None (unknown), all scores in mm or mL are
        None.
    voxel_volume_mm3 : float, optional
        Needed if it is not the product of the spacings, as on a sheared grid.

    Raises
    ------
    GridMismatchError
        If the shapes differ.
    DimensionError
        If the arrays do not have three axes.
    SpacingUnknownError
        If a spacing is given but is not three positive numbers.
    """
    counts = confusion(truth, predicted)
    overlap: dict[str, Any] = {
        "dice": counts.dice,
        "iou": counts.iou,
        "sensitivity": counts.sensitivity,
        "specificity": counts.specificity,
        "precision": counts.precision,
        "volume_error_relative": counts.relative_volume_difference,
    }
    undefined: dict[str, Any] = dict.fromkeys(MaskScores.__dataclass_fields__)
    if spacing_mm is None:
        return MaskScores(**(undefined | overlap))
    surface = score_surfaces(truth, predicted, spacing_mm, _TOLERANCE_MM)
    lesions = score_lesions(truth, predicted, spacing_mm)
    voxel_ml = (float(np.prod(spacing_mm)) if voxel_volume_mm3 is None else voxel_volume_mm3) / 1000
    return MaskScores(
        **overlap,
        volume_truth_ml=counts.truth * voxel_ml,
        volume_predicted_ml=counts.predicted * voxel_ml,
        volume_error_ml=abs(counts.predicted - counts.truth) * voxel_ml,
        hd95_mm=surface.hd95_mm,
        hd95_pooled_mm=surface.hd95_pooled_mm,
        hd95_max_mm=surface.hd95_max_mm,
        hd_mm=surface.hd_mm,
        nsd_2mm=surface.nsd,
        assd_mm=surface.assd_mm,
        lesionwise_dice=lesions.dice,
        lesionwise_hd95_mm=lesions.hd95_mm,
        lesions_truth=lesions.truth,
        lesions_found=lesions.detected,
        lesions_missed=lesions.missed,
        lesions_false=lesions.false,
    )


def score_segmentations(truth: Segmentation, predicted: Segmentation) -> dict[Region | TumourClass, MaskScores]:
    """Score all regions and classes that both segmentations define: WT, TC, ET, edema, non-enhancing, enhancing.

    Parameters
    ----------
    truth, predicted : Segmentation
        On the same grid, in any orientation. If the voxel size is unknown, all scores in mm or mL are None.

    Raises
    ------
    GridMismatchError
        If their grids differ by more than a fraction of a voxel.
    """
    require_same_grid(truth, predicted)
    known = set(truth.known_regions) & set(predicted.known_regions)
    grid = truth.grid
    size = (grid.spacing_mm, grid.voxel_volume_mm3) if grid.unit == "mm" else (None, None)
    by_labels: dict[tuple[int, ...], MaskScores] = {}  # ET and the enhancing class are the same voxels
    scores: dict[Region | TumourClass, MaskScores] = {}
    for target, labels in _TARGETS.items():
        if _NEEDED[target] <= known:
            if labels not in by_labels:
                by_labels[labels] = score_masks(np.isin(truth.data, labels), np.isin(predicted.data, labels), *size)
            scores[target] = by_labels[labels]
    return scores


def target_labels(target: Region | TumourClass) -> tuple[int, ...]:
    """Return the labels of which a region or class consists."""
    return _TARGETS[target]
