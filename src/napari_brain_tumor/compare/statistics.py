"""Overall agreement on a region: Dice of all pairs, kappa and volumes."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import numpy.typing as npt

from napari_brain_tumor.compare.kappa import fleiss_kappa
from napari_brain_tumor.compare.raters import Masks, Raters
from napari_brain_tumor.labels import Region
from napari_brain_tumor.metrics.overlap import dice


@dataclass(frozen=True, slots=True, eq=False)
class RegionAgreement:
    """Agreement of all segmentations on a region.

    Parameters
    ----------
    region : {"WT", "TC", "ET"}
    dice : (n, n) array of float
        Dice between all segmentations, in the order of their names; 1 if both are empty.
    mean_dice, least_dice : float
        Over all pairs of different segmentations.
    kappa : float or None
        Fleiss' kappa over the voxels in the bounding box of everything that is marked; including the air around the
        head, on which everyone agrees, would inflate it. None if no voxel of the box is marked, or all are marked by
        everyone.
    by_all, by_any : int
        Number of voxels that all of them, and that any of them, assign to the region.
    """

    region: Region
    dice: npt.NDArray[np.float64]
    mean_dice: float
    least_dice: float
    kappa: float | None
    by_all: int
    by_any: int


@dataclass(frozen=True, slots=True)
class RaterVolume:
    """Size of a region in one segmentation, and its difference from the reference or else from the mean of all.

    Parameters
    ----------
    region : {"WT", "TC", "ET"}
    ml : float or None
        Volume in millilitres; None if the voxel size is unknown.
    difference_voxels : float
        Difference from the size in the reference, or from the mean of all.
    difference_ml : float or None
        The same in millilitres.
    difference_percent : float or None
        The same as a percentage of the reference or mean; None if that is empty.
    """

    name: str
    region: Region
    voxels: int
    ml: float | None
    difference_voxels: float
    difference_ml: float | None
    difference_percent: float | None


def region_agreement(raters: Raters, region: Region) -> RegionAgreement:
    """Compare all segmentations of a region with each other."""
    box = raters.box(region)
    if box is None:
        count = len(raters.names)
        return RegionAgreement(region, np.ones((count, count)), 1.0, 1.0, None, 0, 0)
    masks = raters.masks(region, box)
    matrix = np.eye(len(masks))
    pairs = list(combinations(range(len(masks)), 2))
    for first, second in pairs:
        matrix[first, second] = matrix[second, first] = dice(masks[first], masks[second])
    values = [matrix[pair] for pair in pairs]
    counts = np.bincount(masks.sum(axis=0, dtype=np.uint8).ravel(), minlength=len(masks) + 1)
    return RegionAgreement(
        region=region,
        dice=matrix,
        mean_dice=float(np.mean(values)),
        least_dice=float(np.min(values)),
        kappa=_kappa(counts, masks),
        by_all=int(counts[-1]),
        by_any=int(counts[1:].sum()),
    )


def _kappa(counts: Sequence[int] | npt.NDArray[np.intp], masks: Masks) -> float | None:
    inside = np.arange(len(masks) + 1)
    return fleiss_kappa(np.stack([inside, len(masks) - inside], axis=1), counts)


def volumes_of(raters: Raters, region: Region) -> tuple[RaterVolume, ...]:
    """Return the size of a region in each segmentation."""
    box = raters.box(region)
    masks = raters.masks(region, box)
    sizes = dict(zip(raters.names, [int(np.count_nonzero(mask)) for mask in masks], strict=True))
    base = float(np.mean(list(sizes.values()))) if raters.reference is None else float(sizes[raters.reference])
    voxel_ml = raters.grid.voxel_volume_mm3 / 1000 if raters.grid.unit == "mm" else None
    return tuple(
        RaterVolume(
            name=name,
            region=region,
            voxels=size,
            ml=None if voxel_ml is None else size * voxel_ml,
            difference_voxels=size - base,
            difference_ml=None if voxel_ml is None else (size - base) * voxel_ml,
            difference_percent=100 * (size - base) / base if base else None,
        )
        for name, size in sizes.items()
    )
