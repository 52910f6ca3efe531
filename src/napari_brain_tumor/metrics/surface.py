"""Surface distances between two masks.

"HD95" is used for three different numbers, all of which are computed here. They share the underlying distances, from
each surface to the nearest point of the other, but differ in how a surface is defined and how the two directions are
combined:

- **surfel**: DeepMind's surface-distance package (Nikolov 2021, doi:10.2196/26151) and the BraTS challenge of 2023.
  Points lie between voxels and are weighted by the surface area they represent; the larger of the two 95th percentiles.
- **max**: MONAI. Points are the mask's outermost voxels, unweighted; the larger of the two 95th percentiles.
- **pooled**: medpy and panoptica. Points as in MONAI; one 95th percentile of the distances in both directions together.

Two empty masks agree fully: distance 0, surface Dice 1. If only one is empty, no distance is defined; the diagonal of
the volume is used instead, as in the BraTS challenges (373.13 mm for theirs), and surface Dice is 0. NaN is never
returned, because it would drop a missed tumour from a mean and so reward missing it.

Along an axis with only one voxel there is no inside and outside. A single slice is therefore treated as a flat image:
its surfaces are the outlines in its plane, not the two faces of the slice.
"""

from dataclasses import dataclass
from typing import Final, Self

import numpy as np
import numpy.typing as npt
from scipy.spatial import KDTree

from napari_brain_tumor.errors import DimensionError, SpacingUnknownError
from napari_brain_tumor.geometry import bounding_box
from napari_brain_tumor.metrics.overlap import require_same_shape
from napari_brain_tumor.metrics.surfels import neighbour_codes, surfel_areas
from napari_brain_tumor.types import Array

_ROUNDING: Final = 1e-9
"""Tolerance for rounding, so that a distance equal to the tolerance is counted as within it."""

Spacing = tuple[float, float, float]


@dataclass(frozen=True, slots=True, eq=False)
class SurfaceDistances:
    """Distances from every point of each of two surfaces to the nearest point of the other.

    Parameters
    ----------
    from_truth, from_predicted : (N,), (M,) float64 arrays
        Distances in mm, in ascending order. Neither surface is empty.
    truth_weights, predicted_weights : (N,), (M,) float64 arrays
        Weight of each point: its area in mm², or 1.
    """

    from_truth: npt.NDArray[np.float64]
    from_predicted: npt.NDArray[np.float64]
    truth_weights: npt.NDArray[np.float64]
    predicted_weights: npt.NDArray[np.float64]

    @classmethod
    def between(cls, truth: Array, predicted: Array, spacing_mm: Spacing, weights: tuple[Array, Array]) -> Self:
        """Compute the distances between two sets of points `(N, 3)` and `(M, 3)`, given in voxels."""
        there, there_weights = _ascending(_to_nearest(truth, predicted, spacing_mm), weights[0])
        back, back_weights = _ascending(_to_nearest(predicted, truth, spacing_mm), weights[1])
        return cls(there, back, there_weights, back_weights)

    @property
    def hausdorff(self) -> float:
        """The largest distance (Huttenlocher 1993, doi:10.1109/34.232073)."""
        return max(float(self.from_truth[-1]), float(self.from_predicted[-1]))

    @property
    def average(self) -> float:
        """Mean of all distances in both directions together, unweighted."""
        total = float(self.from_truth.sum()) + float(self.from_predicted.sum())
        return total / (self.from_truth.size + self.from_predicted.size)

    def weighted_percentile(self, percent: float) -> float:
        """Return the larger of both directions' distances within which that percentage of the surface's weight lies."""
        return max(
            _weighted_percentile(self.from_truth, self.truth_weights, percent),
            _weighted_percentile(self.from_predicted, self.predicted_weights, percent),
        )

    def larger_percentile(self, percent: float) -> float:
        """Return the larger of both directions' percentiles of the points, interpolated."""
        return float(max(np.percentile(self.from_truth, percent), np.percentile(self.from_predicted, percent)))

    def pooled_percentile(self, percent: float) -> float:
        """Return the percentile of the points of both directions together, interpolated."""
        return float(np.percentile(np.concatenate([self.from_truth, self.from_predicted]), percent))

    def surface_dice(self, tolerance_mm: float) -> float:
        """Return the fraction of both surfaces' weight that lies within the tolerance of the other surface."""
        within = tolerance_mm + _ROUNDING
        near = self.truth_weights[self.from_truth <= within].sum()
        near += self.predicted_weights[self.from_predicted <= within].sum()
        return float(near / (self.truth_weights.sum() + self.predicted_weights.sum()))


@dataclass(frozen=True, slots=True)
class SurfaceScores:
    """All surface scores of two masks; distances in mm.

    Parameters
    ----------
    hd95_mm, hd95_pooled_mm, hd95_max_mm : float
        95 % Hausdorff distance according to the definitions "surfel", "pooled" and "max" of this module.
    hd_mm : float
        Hausdorff distance between the outermost voxels.
    nsd, nsd_voxels : float
        Surface Dice at the tolerance, by area of surfels (DeepMind) and by count of outermost voxels (MONAI's default).
    assd_mm : float
        Average symmetric surface distance: mean over the outermost voxels of both masks (medpy, MONAI).
    """

    hd95_mm: float
    hd95_pooled_mm: float
    hd95_max_mm: float
    hd_mm: float
    nsd: float
    nsd_voxels: float
    assd_mm: float


def score_surfaces(truth: Array, predicted: Array, spacing_mm: Spacing, tolerance_mm: float = 2.0) -> SurfaceScores:
    """Score how close the surfaces of two masks are, by all common definitions.

    Parameters
    ----------
    truth, predicted : (X, Y, Z) bool arrays
        Masks; any non-zero value counts as inside.
    spacing_mm : (dx, dy, dz)
        Distance between neighbouring voxels along each axis.
    tolerance_mm : float
        Distance up to which a surface counts as correct in surface Dice.

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
    if not (truth.any() and predicted.any()):
        distance, overlap = _without_surface(truth, predicted, spacing_mm)
        return SurfaceScores(distance, distance, distance, distance, overlap, overlap, distance)
    masks = _padded_crops(truth, predicted)
    surfels, voxels = _surfel_distances(*masks, spacing_mm), _voxel_distances(*masks, spacing_mm)
    return SurfaceScores(
        hd95_mm=surfels.weighted_percentile(95),
        hd95_pooled_mm=voxels.pooled_percentile(95),
        hd95_max_mm=voxels.larger_percentile(95),
        hd_mm=voxels.hausdorff,
        nsd=surfels.surface_dice(tolerance_mm),
        nsd_voxels=voxels.surface_dice(tolerance_mm),
        assd_mm=voxels.average,
    )


def hd95(truth: Array, predicted: Array, spacing_mm: Spacing) -> float:
    """Compute the 95 % Hausdorff distance in mm by surfels, as in DeepMind and BraTS 2023; see `score_surfaces`."""
    check_masks(truth, predicted, spacing_mm)
    if not (truth.any() and predicted.any()):
        return _without_surface(truth, predicted, spacing_mm)[0]
    return surfel_distances(truth, predicted, spacing_mm).weighted_percentile(95)


def surfel_distances(truth: Array, predicted: Array, spacing_mm: Spacing) -> SurfaceDistances:
    """Compute the area-weighted distances between the surfels of two masks `(X, Y, Z)`, neither of them empty."""
    return _surfel_distances(*_padded_crops(truth, predicted), spacing_mm)


def _surfel_distances(truth: Array, predicted: Array, spacing_mm: Spacing) -> SurfaceDistances:
    areas = surfel_areas(spacing_mm)
    codes = [neighbour_codes(mask) for mask in (truth, predicted)]
    surfaces = [(code != 0) & (code != 255) for code in codes]
    weights = areas[codes[0][surfaces[0]]], areas[codes[1][surfaces[1]]]
    return SurfaceDistances.between(np.argwhere(surfaces[0]), np.argwhere(surfaces[1]), spacing_mm, weights)


def _voxel_distances(truth: Array, predicted: Array, spacing_mm: Spacing) -> SurfaceDistances:
    points = _outermost(truth), _outermost(predicted)
    weights = np.ones(len(points[0])), np.ones(len(points[1]))
    return SurfaceDistances.between(*points, spacing_mm, weights)


def _outermost(padded: npt.NDArray[np.bool_]) -> Array:
    """Return the voxels `(N, 3)` of a mask, padded by one voxel, with at least one of six neighbours outside."""
    inner = padded[1:-1, 1:-1, 1:-1]
    enclosed = inner.copy()
    for axis in range(3):
        for neighbour in (slice(None, -2), slice(2, None)):
            enclosed &= padded[tuple(neighbour if axis == a else slice(1, -1) for a in range(3))]
    return np.argwhere(inner & ~enclosed)


def _padded_crops(truth: Array, predicted: Array) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Crop both masks to their common box and pad by one voxel: with outside, or by repetition along flat axes."""
    inside, other = truth.astype(bool, copy=False), predicted.astype(bool, copy=False)
    box = bounding_box(inside | other)
    assert box is not None, "masks without surface are answered before"
    flat = [n == 1 for n in truth.shape]
    outside = [(0, 0) if is_flat else (1, 1) for is_flat in flat]
    same = [(1, 1) if is_flat else (0, 0) for is_flat in flat]
    first, second = (np.pad(np.pad(mask[box.slices], outside), same, mode="edge") for mask in (inside, other))
    return first, second


def _to_nearest(points: Array, others: Array, spacing_mm: Spacing) -> npt.NDArray[np.float64]:
    """Return the distance in mm from each point `(N, 3)` to the nearest of the others `(M, 3)`, all given in voxels.

    Surfaces contain few of the voxels in their box, so a k-d tree of their points is three times as fast as a distance
    transform of the box, with the same result up to rounding.
    """
    # An unbalanced tree is faster to build and, for points on a lattice, just as fast to search.
    tree = KDTree(others * spacing_mm, balanced_tree=False, compact_nodes=False)
    _, nearest = tree.query(points * spacing_mm)
    # Computed from integer steps, so that equal distances are exactly equal everywhere in the volume.
    distances: npt.NDArray[np.float64] = np.linalg.norm((points - others[nearest]) * spacing_mm, axis=1)
    return distances


def _ascending(distances: Array, weights: Array) -> tuple[Array, Array]:
    order = np.argsort(distances, kind="stable")
    return distances[order], weights[order]


def _weighted_percentile(distances: Array, weights: Array, percent: float) -> float:
    cumulative = np.cumsum(weights) / weights.sum()
    index = int(np.searchsorted(cumulative, percent / 100 - _ROUNDING))
    return float(distances[min(index, distances.size - 1)])


def _without_surface(truth: Array, predicted: Array, spacing_mm: Spacing) -> tuple[float, float]:
    """Return the distance and surface Dice if at least one mask is empty."""
    if truth.any() or predicted.any():
        return float(np.linalg.norm(np.multiply(truth.shape, spacing_mm))), 0.0
    return 0.0, 1.0


def check_masks(truth: Array, predicted: Array, spacing_mm: Spacing) -> None:
    require_same_shape(truth, predicted)
    if truth.ndim != 3:
        msg = f"The masks have shape {truth.shape}. Surfaces need three axes; give a single slice as (X, Y, 1)."
        raise DimensionError(msg)
    if len(spacing_mm) != 3 or not all(np.isfinite(step) and step > 0 for step in spacing_mm):
        msg = f"The spacing is {tuple(spacing_mm)}. Surface distances need three positive lengths in mm, one per axis."
        raise SpacingUnknownError(msg)
