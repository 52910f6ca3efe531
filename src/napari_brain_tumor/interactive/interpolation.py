"""Shape-based interpolation of labels between corrected slices.

Each region's outline is converted to a signed distance in millimetres, and the distances are interpolated instead of
the labels (Raya and Udupa 1990, doi:10.1109/42.52991). Beyond the paper, connected parts are paired from slice to slice
and moved onto each other where they would otherwise not overlap, and with three or more slices the distances follow a
monotone cubic (PCHIP, Fritsch and Butland 1984, doi:10.1137/0905021) instead of a straight line.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np
from scipy import ndimage
from scipy.interpolate import PchipInterpolator
from scipy.optimize import linear_sum_assignment
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from napari_brain_tumor.errors import PromptError
from napari_brain_tumor.geometry import Grid
from napari_brain_tumor.labels import REGIONS, RESECTION_CAVITY, Region, classes_from_regions, region_mask
from napari_brain_tumor.types import Array, Labels, Mask

_NEIGHBOURS: Final = np.ones((3, 3), dtype=bool)
_STEEPEST: Final = 3.0
"""How far a part may move sideways between two slices, per millimetre of their distance, to count as the same part; the
sizes of both parts are added."""


def interpolate_slices(
    labels: Labels, grid: Grid, axis: int, slices: Sequence[int], region: Region | None = None
) -> Labels:
    """Interpolate the slices strictly between the given ones; no other voxel changes.

    Parameters
    ----------
    labels : (X, Y, Z) uint8 array
        Classes. Those between the given slices are replaced, except resection cavities outside the new tumour.
    grid : Grid
        Defines the distances; if the voxel size is unknown, voxels are taken to be cubes.
    axis : int
        Array axis along which slices are counted.
    slices : sequence of int
        At least two slice numbers, in any order.
    region : {"WT", "TC", "ET"}, optional
        Interpolate only the border of this region; labels inside and outside it are kept as far as possible. All three
        regions if not given.

    Returns
    -------
    (X, Y, Z) uint8 array

    Raises
    ------
    PromptError
        If fewer than two different slices are given, or one does not exist.

    Notes
    -----
    Between two slices a border moves linearly; with more slices its path is smooth and never overshoots. A part that is
    absent on one of two slices tapers to a point on that slice. Parts that overlap on neighbouring slices count as one,
    so parts can split and merge. A part that overlaps nothing is paired with the nearest such part on the other slice
    if that is close enough (sideways at most three times the distance between the slices, plus the sizes of the parts),
    and moves there. Before interpolation, a paired part is moved onto its partner if that increases their overlap, so
    slanted parts keep their width.
    """
    order = _checked(labels.shape, axis, slices)
    filled = np.moveaxis(labels.copy(), axis, 0)
    in_plane = [s for a, s in enumerate(grid.spacing) if a != axis]
    places = np.asarray(order) * grid.spacing[axis]
    followed = REGIONS if region is None else (region,)
    per_region = [
        _Chain([region_mask(filled[at], followed_region) for at in order], places, in_plane)
        for followed_region in followed
    ]
    for nth, (low, high) in enumerate(pairwise(order)):
        if high - low < 2:
            continue
        between = np.arange(low + 1, high)
        masks = np.stack([chain.between(nth, between * grid.spacing[axis]) for chain in per_region])
        if region is not None:
            filled[between] = with_region(filled[between], masks[0], region)
            continue
        classes = classes_from_regions(masks)
        cavity = (filled[between] == RESECTION_CAVITY) & (classes == 0)
        filled[between] = np.where(cavity, np.uint8(RESECTION_CAVITY), classes)
    return np.moveaxis(filled, 0, axis)


def shapes_between(masks: Sequence[Mask], places: Array, spacing: Sequence[float], nth: int, positions: Array) -> Mask:
    """Interpolate a region between two of the slices on which it is known, as `interpolate_slices` does.

    Parameters
    ----------
    masks : sequence of (A, B) bool array
        The region on the known slices, in order.
    places : (N,) array
        Positions of these slices along the axis, in the unit of the spacing.
    spacing : sequence of float
        Pixel spacing within the slices.
    nth : int
        Interpolate between the known slices `nth` and `nth + 1`.
    positions : (M,) array
        Positions at which the region is interpolated.

    Returns
    -------
    (M, A, B) bool array
    """
    if not len(positions):
        return np.zeros((0, *masks[0].shape), bool)
    return _Chain(masks, places, spacing).between(nth, positions)


def with_region(labels: Labels, inside: Mask, region: Region) -> Labels:
    """Return labels with this region; added voxels get its outermost class, removed ones the class around it."""
    outermost = REGIONS[region][0]
    before = region_mask(labels, region)
    changed = labels.copy()
    changed[inside & ~before] = outermost
    changed[before & ~inside] = outermost - 1
    return changed


def signed_distance(mask: Mask, spacing: Sequence[float] | Array) -> Array:
    """Return the signed distance of voxel centres to the mask's border, positive inside; the border is between voxels.

    Parameters
    ----------
    mask : (A, B) bool array
        Must not be empty.
    spacing : sequence of float
        Pixel spacing of the mask.
    """
    if mask.all():
        return np.full(mask.shape, float(np.dot(mask.shape, spacing)))
    half = min(spacing) / 2
    inside = ndimage.distance_transform_edt(mask, sampling=spacing)
    outside = ndimage.distance_transform_edt(~mask, sampling=spacing)
    distance: Array = np.where(mask, inside - half, half - outside)
    return distance


def _checked(shape: Sequence[int], axis: int, slices: Sequence[int]) -> list[int]:
    order = sorted({int(at) for at in slices})
    if len(order) < 2:
        msg = f"Only slices {list(slices)} are given; interpolation needs at least two different slices. Add another."
        raise PromptError(msg)
    if order[0] < 0 or order[-1] >= shape[axis]:
        wrong = order[0] if order[0] < 0 else order[-1]
        msg = f"There is no slice {wrong} along axis {axis}; the scan has 0 to {shape[axis] - 1}. Choose one of them."
        raise PromptError(msg)
    return order


@dataclass(frozen=True, slots=True, eq=False)
class _Link:
    """Parts of one slice and the parts of the next slice that they become; one side may be empty.

    `shift` is the displacement, in voxels, that moves the first onto the second.
    """

    first: frozenset[int]
    second: frozenset[int]
    shift: Array


class _Chain:
    """One region on all given slices, and the links between its parts from slice to slice."""

    def __init__(self, masks: Sequence[Mask], places: Array, spacing: Sequence[float]) -> None:
        self._shape = masks[0].shape
        self._places = places
        self._spacing = np.asarray(spacing)
        self._parts = [ndimage.label(mask, _NEIGHBOURS)[0] for mask in masks]
        gaps = np.diff(places)
        self._links = [
            _links(a, b, self._spacing, gap) for (a, b), gap in zip(pairwise(self._parts), gaps, strict=True)
        ]

    def between(self, nth: int, places: Array) -> Mask:
        """Return masks `(N, A, B)` at positions between the given slices `nth` and `nth + 1`."""
        masks = np.zeros((len(places), *self._shape), dtype=bool)
        for link in self._links[nth]:
            self._draw(nth, link, places, masks)
        return masks

    def _draw(self, nth: int, link: _Link, places: Array, masks: Mask) -> None:
        """Add the interpolated parts of one link to the masks, computing only the block around them."""
        known = dict(self._stations(nth, link))
        block = _block([mask for mask, _ in known.values()], [shift for _, shift in known.values()], self._shape)
        distances = {}
        for at, (mask, shift) in known.items():
            if mask.any():
                distances[at] = _moved(signed_distance(mask[block], self._spacing), -shift)
        _taper(known, distances, nth)
        stations = sorted(distances)
        values = np.stack([distances[at] for at in stations])
        shares = (places - self._places[nth]) / (self._places[nth + 1] - self._places[nth])
        curves = PchipInterpolator(self._places[stations], values, axis=0)(places)
        for at, (share, curve) in enumerate(zip(shares, curves, strict=True)):
            masks[(at, *block)] |= _moved(curve, share * link.shift) > 0

    def _stations(self, nth: int, link: _Link) -> Iterator[tuple[int, tuple[Mask, Array]]]:
        """Yield the parts of a link on its two slices and on the slices before and after: masks and displacements.

        Displacements, in voxels, are relative to the link's first parts.
        """
        if nth > 0:
            before = [neighbour for neighbour in self._links[nth - 1] if neighbour.second & link.first]
            shift = before[0].shift if len(before) == 1 else np.zeros(2)
            yield nth - 1, (self._mask(nth - 1, (neighbour.first for neighbour in before)), -shift)
        yield nth, (self._mask(nth, [link.first]), np.zeros(2))
        yield nth + 1, (self._mask(nth + 1, [link.second]), link.shift)
        if nth + 1 < len(self._links):
            after = [neighbour for neighbour in self._links[nth + 1] if neighbour.first & link.second]
            shift = after[0].shift if len(after) == 1 else np.zeros(2)
            yield nth + 2, (self._mask(nth + 2, (neighbour.second for neighbour in after)), link.shift + shift)

    def _mask(self, nth: int, parts: Iterable[frozenset[int]]) -> Mask:
        return np.isin(self._parts[nth], [number for numbers in parts for number in numbers])


def _moved(distance: Array, shift: Array) -> Array:
    if not shift.any():
        return distance
    moved: Array = ndimage.shift(distance, shift, order=1, mode="nearest")
    return moved


def _taper(known: dict[int, tuple[Mask, Array]], distances: dict[int, Array], nth: int) -> None:
    """Where parts are absent next to a slice with them, add distances that let them shrink to a point there."""
    present = [at for at in (nth, nth + 1) if at in distances]
    for at in known:
        beside = [other for other in present if abs(other - at) == 1]
        if at not in distances and beside:
            distances[at] = distances[beside[0]] - distances[beside[0]].max()


def _links(first: Array, second: Array, spacing: Array, gap: float) -> list[_Link]:
    """Determine which parts of a slice continue in which parts of the next."""
    counts = int(first.max()), int(second.max())
    both = (first > 0) & (second > 0)
    rows, columns = first[both] - 1, second[both] - 1 + counts[0]
    size = sum(counts)
    if not size:
        return []
    graph = coo_array((np.ones(rows.size), (rows, columns)), shape=(size, size))
    _, group = connected_components(graph, directed=False)
    sides = [
        (_numbers(group[: counts[0]] == group_number), _numbers(group[counts[0] :] == group_number))
        for group_number in range(int(group.max()) + 1)
    ]
    lost = [a for a, b in sides if not b]
    new = [b for a, b in sides if not a]
    met = [pair for pair in sides if all(pair)] + list(_nearest(lost, new, first, second, spacing, gap))
    linked = [{part for pair in met for part in pair[side]} for side in (0, 1)]
    met += [(a, frozenset[int]()) for a in lost if not a <= linked[0]]
    met += [(frozenset[int](), b) for b in new if not b <= linked[1]]
    return [_Link(a, b, _shift(np.isin(first, list(a)), np.isin(second, list(b)))) for a, b in met]


def _numbers(parts: Mask) -> frozenset[int]:
    return frozenset(int(at) + 1 for at in np.flatnonzero(parts))


def _nearest(
    lost: Sequence[frozenset[int]],
    new: Sequence[frozenset[int]],
    first: Array,
    second: Array,
    spacing: Array,
    gap: float,
) -> Iterator[tuple[frozenset[int], frozenset[int]]]:
    """Yield pairs of single parts without overlap, chosen to minimise the total movement."""
    if not lost or not new:
        return
    ends = [_middles_and_sizes(parts, numbers, spacing) for parts, numbers in ((first, lost), (second, new))]
    (middles, sizes), (others, other_sizes) = ends
    aside = np.linalg.norm(middles[:, None] - others[None], axis=2)
    reach = _STEEPEST * gap + sizes[:, None] + other_sizes[None]
    rows, columns = linear_sum_assignment(aside)
    for a, b in zip(rows.tolist(), columns.tolist(), strict=True):
        if aside[a, b] <= reach[a, b]:
            yield lost[a], new[b]


def _middles_and_sizes(parts: Array, numbers: Sequence[frozenset[int]], spacing: Array) -> tuple[Array, Array]:
    """Return the centres `(N, 2)` of parts, and the radii of discs of the same area."""
    which = [next(iter(part_numbers)) for part_numbers in numbers]
    middles = np.asarray(ndimage.center_of_mass(parts > 0, parts, which)) * spacing
    areas = np.asarray(ndimage.sum_labels(np.ones(parts.shape), parts, which)) * spacing.prod()
    return middles, np.sqrt(areas / np.pi)


def _shift(first: Mask, second: Mask) -> Array:
    """Return the displacement between the centres, in voxels, if it increases the overlap; zero otherwise."""
    if not first.any() or not second.any():
        return np.zeros(2)
    shift = np.subtract(ndimage.center_of_mass(second), ndimage.center_of_mass(first))
    whole = np.rint(shift).astype(int)
    if not whole.any():
        return np.zeros(2)
    inside = np.argwhere(first) + whole
    inside = inside[((inside >= 0) & (inside < first.shape)).all(axis=1)]
    better = int(second[tuple(inside.T)].sum()) > int((first & second).sum())
    return shift if better else np.zeros(2)


def _block(masks: Sequence[Mask], shifts: Sequence[Array], shape: Sequence[int]) -> tuple[slice, slice]:
    """Return the block around the masks, with room for their displacement and a margin of background."""
    spare = int(np.ceil(max(np.abs(shift).max() for shift in shifts))) + 2
    any_of = np.any(masks, axis=0)
    ends = []
    for axis, size in enumerate(shape):
        hits = np.flatnonzero(any_of.any(axis=1 - axis))
        ends.append(slice(max(0, int(hits[0]) - spare), min(size, int(hits[-1]) + 1 + spare)))
    return ends[0], ends[1]
