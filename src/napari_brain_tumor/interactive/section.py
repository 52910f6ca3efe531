"""What was drawn on one slice, and what that says of the slices beside it: shapes, distances, tissue, the network.

A section is drawn around a region on a slice of the scan. Its border's distance to the border that was there is carried
to the slices on both sides, ever less with distance and never past what other prompts settled; between two outlined
slices that is shape-based interpolation (Raya and Udupa 1990, doi:10.1109/42.52991) with what the labels before knew
beyond it. Beside the scans, the labels and the prompts, that is what `OutlineNetwork` sees.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import ceil
from typing import Final

import numpy as np
from scipy import ndimage

from napari_brain_tumor.geometry import Box, bounding_box
from napari_brain_tumor.interactive.evidence import Block, some_of
from napari_brain_tumor.interactive.interpolation import shapes_between
from napari_brain_tumor.interactive.outline_network import CHANNELS
from napari_brain_tumor.interactive.tissue import NEAR_MM, Plane, learned_logits
from napari_brain_tumor.labels import REGIONS, Region
from napari_brain_tumor.types import Array, Float32Array, Mask

REACH_MM: Final = 40.0
"""Slices further from the drawn one than this never change."""

_FAR: Final = 20.0
"""Distances in millimetres are cut here: what is further from a border than this is simply far."""

_LEAST_MM: Final = 3.0
"""Radius of the smallest error on a slice, as far as its reach goes."""
_RADII: Final = 6.0
_RADII_AWAY: Final = 1.0
"""How many of its radii an error on a slice reaches; what a lasso takes away is as deep as it is wide."""
_LEAST_DEPTH_MM: Final = 2.0
_BESIDE_MM: Final = 3.0
_NARROWS: Final = 0.05
"""Tumour goes on other slices where it went on the drawn one, up to so far beside that, and where what went is deep
enough: by so much for every millimetre away from the slice. Less far, and what is too large everywhere takes many
outlines; without any limit one outline of 160, on eight training gliomas, cost .07 of the whole tumour's Dice."""
_DETAIL_MM: Final = 0.5
_DETAIL: Final = 0.5
"""How far, in millimetres and for every millimetre away from what was drawn, the labels of before may be more detailed
between two outlined slices than the shapes that were drawn; not where the scans tell nothing, and up to ten times as
far, the more of them was right on the slice: a share of `_USELESS` wrong counts as nothing right. The square of the
distance over `_LOOSE_MM` comes to that: two outlines far apart know little of the bulge between them."""
_USELESS: Final = 0.4
_LOOSE_MM: Final = 20.0
_STATIONS_MM: Final = 20.0
"""Outlined slices further apart say nothing of what lies between: the tumour may be larger there than on both."""
_APART: Final = 0.5
"""How far inside and outside must lie apart in the scans (squared, in deviations) for these to be fully heard."""
_SLICE_APART_MM: Final = 1e4
"""Spacing at which the slices of a distance transform are computed each by itself."""
_FEW: Final = 3
"""Fewer examples of either kind tell nothing."""


@dataclass(frozen=True, slots=True, eq=False)
class Section:
    """A region on one slice of a block, as it was drawn.

    Parameters
    ----------
    region : {"WT", "TC", "ET"}
    axis, index : int
        The slice of the block.
    inside : (U, V) bool array
        The region on the whole slice: where nothing was drawn, as it was.
    told : (U, V) bool array
        Where the drawing decides.
    border : bool
        Whether the line is where the region ends.
    """

    region: Region
    axis: int
    index: int
    inside: Mask
    told: Mask
    border: bool

    @property
    def adds(self) -> bool:
        """Whether something of what was drawn is the region."""
        return bool(self.inside[self.told].any())


def may_leave(gone: Mask, away: Array, spacing: Sequence[float]) -> Mask:
    """Where a region may end on other slices `(N, U, V)`, after a part of it went on one.

    Parameters
    ----------
    gone : (U, V) bool array
        What went on the slice.
    away : (N,) array
        Distances of all slices from it, in millimetres.
    spacing : (2,) sequence of float
        Of the slice's pixels, in millimetres.
    """
    may: Mask = _flat(gone, spacing)[None] >= _NARROWS * away[:, None, None] - _BESIDE_MM
    return may


class Surroundings:
    """A region around a drawn section: everything with the section's axis first.

    Parameters
    ----------
    block : Block
    section : Section
    before : (X, Y, Z) bool array
        The region in the block before.
    is_in, is_out : (X, Y, Z) bool array
        What earlier prompts settled of the region.
    planes : sequence of (axis, index)
        All slices on which the region was outlined, a drawn outline's own too, in the block's numbers.
    """

    def __init__(
        self, block: Block, section: Section, before: Mask, is_in: Mask, is_out: Mask, planes: Sequence[Plane]
    ) -> None:
        self.block, self.section, self.planes = block, section, planes
        axis = section.axis
        self.others = [at for other, at in planes if other == axis and at != section.index]
        self.spacing = (block.spacing[axis], *(s for a, s in enumerate(block.spacing) if a != axis))
        self.before = np.moveaxis(before, axis, 0)
        self.said_in, self.said_out = np.moveaxis(is_in, axis, 0), np.moveaxis(is_out, axis, 0)
        settled = self.said_in | self.said_out
        self.away = (np.abs(np.arange(len(settled)) - section.index) * self.spacing[0]).astype(np.float32)
        self.to_said = _far_from(settled, self.spacing)
        self.weight = self._weight(settled)
        self.distance = _signed(self.before, self.spacing)
        self.drawn = _flat(section.inside, self.spacing[1:])
        was = self.before[section.index]
        self.change = self.drawn - _flat(was, self.spacing[1:])
        self.change[(self.drawn < 0) & ~was] = 0
        self.shape = np.clip(self.distance + self.weight * self.change, -_FAR, _FAR)
        self.shape[section.index] = self.drawn
        self._fit()
        self.between, self.is_between = self._between()
        self.wrong = section.inside != was
        changed = float(self.wrong.sum()) * self.spacing[1] * self.spacing[2]
        self.error = max(float(np.sqrt(changed / np.pi)), _LEAST_MM)
        self.nearest = np.minimum(self.away[:, None, None], self.to_said)
        share = float(self.wrong.sum()) / max(1, int((section.inside | was).sum()))  # of what is the region or was
        doubt = float(np.clip(share / _USELESS, 0.1, 1))
        detail = (_DETAIL_MM + _DETAIL * self.nearest + self.nearest**2 / _LOOSE_MM) * self.trust / doubt
        interpolated = self.between + np.clip(self.shape - self.between, -detail, detail)
        self.base = np.where(self.is_between[:, None, None], interpolated, self._cautious(was, self.weight))

    def _weight(self, settled: Mask) -> Float32Array:
        """How much of the change on the slice comes to every voxel: 1 there, 0 at what was said, and behind it.

        Behind a slice that was outlined nothing comes, behind other prompts nothing in their shadow.
        """
        index = self.section.index
        behind = settled.copy()
        for other in self.others:
            behind[other] = True
        behind[index] = False
        behind[index:] = np.logical_or.accumulate(behind[index:], axis=0)
        behind[: index + 1] = np.logical_or.accumulate(behind[index::-1], axis=0)[::-1]
        away = self.away[:, None, None]
        share = self.to_said / np.maximum(self.to_said + away, 1e-3)
        weight: Float32Array = np.where(behind, 0, share * np.maximum(0, 1 - away / REACH_MM)).astype(np.float32)
        return weight

    def _cautious(self, was: Mask, weight: Float32Array) -> Float32Array:
        """Shapes as an error suggests that is as deep as it is wide, and ends at twice its radius."""
        # Where nothing was, it is no further to what is drawn than that is deep.
        floor = -max(float(self.drawn.max()), _LEAST_MM)
        earlier = np.maximum(self.drawn - self.change, floor)
        depth = np.maximum(np.abs(earlier), _LEAST_DEPTH_MM) + 1
        change = np.clip(self.drawn, -depth, depth) - earlier
        change[(self.drawn < 0) & ~was] = 0
        away = self.away[:, None, None]
        share = weight / np.maximum(1 - away / REACH_MM, 1e-3)
        share = share * np.maximum(0, 1 - away / min(2 * self.error, REACH_MM))
        base: Float32Array = (np.maximum(self.distance, floor) + share * change).astype(np.float32)
        base[self.section.index] = self.drawn
        return base

    def _between(self) -> tuple[Float32Array, Mask]:
        """Shape-based interpolation with the nearest outlined slices on both sides, and where there are such nearby."""
        index = self.section.index
        others = [at for at in self.others if self.away[at] <= _STATIONS_MM]
        found, known = self.shape.copy(), np.zeros(len(self.before), bool)
        if not self.section.border:  # the slice was not outlined: what was not drawn on it is not known
            return found, known
        stations = sorted({*others, index})
        masks = [self.section.inside if at == index else self.before[at] for at in stations]
        own = stations.index(index)
        for nth in (own - 1, own):
            if not 0 <= nth < len(stations) - 1:
                continue
            between = np.arange(stations[nth] + 1, stations[nth + 1])
            shapes = shapes_between(
                masks, np.array(stations) * self.spacing[0], self.spacing[1:], nth, between * self.spacing[0]
            )
            for at, shape in zip(between, shapes, strict=True):
                found[at], known[at] = _flat(shape, self.spacing[1:]), True
        return found, known

    @cached_property
    def candidates(self) -> Mask:
        """Voxels that the section says something of, and that nobody spoke of."""
        close = (np.abs(self.shape) < _FAR) | (np.abs(self.between) < _FAR)
        brain = np.moveaxis(self.block.brain, self.section.axis, 0) | self.before
        reached = self.is_between[:, None, None] | self.near_error
        could: Mask = (self.weight > 0.02) & ~(self.said_in | self.said_out) & brain & close & reached
        could[self.section.index] = False
        return could

    @cached_property
    def near_error(self) -> Mask:
        """What is no further from the error on the slice than some of its radii: a small one tells of little."""
        radii = _RADII if self.section.border or self.section.adds else _RADII_AWAY
        if not self.wrong.any():
            return np.zeros(self.before.shape, bool)
        beside = ndimage.distance_transform_edt(~self.wrong, sampling=self.spacing[1:])
        distance: Float32Array = np.hypot(self.away[:, None, None], beside.astype(np.float32))
        return distance <= radii * self.error

    def channels(self, masks: Mapping[Region, Mask], box: Box, sides: Sequence[int] | None = None) -> Float32Array:
        """What `OutlineNetwork` sees `(C, N, U, V)` of a part of the block, in the order of its `CHANNELS`.

        Parameters
        ----------
        masks : mapping of region to (X, Y, Z) bool array
            All regions before.
        box : Box
            The part, the section's axis first.
        sides : sequence of int, optional
            Of the array, where it is to be larger than the part: zeros beyond it.
        """
        seen = np.zeros((len(CHANNELS), *(sides or box.shape)), np.float32)
        part = tuple(slice(side) for side in box.shape)
        for channel, values in zip(seen, self._volumes(masks), strict=True):
            if values is not None:
                channel[part] = np.broadcast_to(values, self.before.shape)[box.slices]
        seen[:4] /= 2
        seen[CHANNELS.index("model logit")] /= 3
        seen[CHANNELS.index("tissue score")] /= 4
        seen[CHANNELS.index("learned from outlined slices")] /= 2
        return seen

    def _volumes(self, masks: Mapping[Region, Mask]) -> Iterator[Array | None]:
        section, axis = self.section, self.section.axis
        order = list(REGIONS)
        at = order.index(section.region)
        logit = self.block.logit(section.region)
        yield from (np.moveaxis(image, axis, 0) for image in self.block.raw)
        yield self.before
        yield None if logit is None else np.moveaxis(logit, axis, 0)
        for other in (at - 1, at + 1):
            yield np.moveaxis(masks[order[other]], axis, 0) if 0 <= other < len(order) else None
        for settled, drawn in ((self.said_in, section.inside), (self.said_out, ~section.inside)):
            with_drawing = settled.copy()
            with_drawing[section.index] |= section.told & drawn
            yield with_drawing
        yield np.clip(self.base, -_FAR, _FAR) / 10
        yield self.nearest / 20
        yield self.is_between[:, None, None]
        yield self.weight
        yield self.score
        yield self.drawn / 10
        yield np.minimum(self.away / 20, 3)[:, None, None]
        yield self.learned

    @property
    def facts(self) -> Float32Array:
        """What `OutlineNetwork` is told of the whole block: its `FACTS` numbers."""
        section = self.section
        adds = 1.0 if section.adds else -1.0
        known = self.block.logit(section.region) is not None
        flags = (known, section.border, adds, self.before.any(), float(np.log(self.spacing[0])), self.trust)
        lessons = len(self.planes) / (len(self.planes) + 1)
        return np.array(
            [*(region == section.region for region in REGIONS), *self.block.present, *flags, lessons], np.float32
        )

    @cached_property
    def learned(self) -> Float32Array | None:
        """Logits of the region by what the outlined slices teach, where something may change; None without any."""
        if not self.planes:
            return None
        axis = self.section.axis
        mask = self.before.copy()
        mask[self.section.index] = self.section.inside
        from_drawn = np.hypot(self.away[:, None, None], np.minimum(self.drawn, 0))
        near = (self.distance > -NEAR_MM) | (from_drawn < NEAR_MM)
        masks = (np.moveaxis(part, 0, axis) for part in (mask, near, self.candidates))
        logits = learned_logits(self.block, self.section.region, self.planes, *masks)
        return None if logits is None else np.moveaxis(logits, axis, 0)

    @cached_property
    def score(self) -> Float32Array:
        """The discriminant of every voxel, cut at 8 on both sides."""
        score = np.full(self._seen[0].shape, -self._offset, np.float32)
        for image, weight in zip(self._seen, self._direction, strict=True):
            score += weight * image
        return np.clip(score, -8, 8)

    def _examples(self) -> tuple[tuple[Array, ...], tuple[Array, ...]]:
        """Voxels known to be inside, and outside close to the border: on the slice, and where prompts said so."""
        section = self.section
        known_in, known_out = self.said_in.copy(), self.said_out.copy()
        brain = np.moveaxis(self.block.brain, section.axis, 0)
        known_in[section.index] |= section.inside
        known_out[section.index] |= ~section.inside & (self.drawn > -_FAR * 0.75)
        return some_of(known_in & brain), some_of(known_out & brain)

    def _fit(self) -> None:
        """Fit the discriminant of what is inside and outside."""
        axis = self.section.axis
        self._seen = [np.moveaxis(image, axis, 0) for image in self.block.views(self.section.region)]
        values = [np.stack([image[at] for image in self._seen], axis=1) for at in self._examples()]
        self._direction, self._offset, self.trust = np.zeros(len(self._seen), np.float32), 0.0, 0.0
        if min(map(len, values)) < _FEW:
            return
        self._direction, self._offset, apart = _discriminant(*values)
        self.trust = min(1.0, apart / _APART)


def resembles(views: Sequence[Array], inside: Mask, outside: Mask) -> Mask:
    """Where a slice looks more like what is inside than like what is outside; nowhere if either is hardly there.

    Parameters
    ----------
    views : sequence of (U, V) array
        Of the slice, as of `Block.views`.
    inside, outside : (U, V) bool array
        Examples.
    """
    seen = np.stack(views, axis=-1)
    if min(inside.sum(), outside.sum()) < _FEW:
        return np.zeros(inside.shape, bool)
    direction, offset, _ = _discriminant(seen[inside], seen[outside])
    alike: Mask = seen @ direction > offset
    return alike


def _discriminant(inside: Array, outside: Array) -> tuple[Float32Array, float, float]:
    """Fisher's discriminant (1936, doi:10.1111/j.1469-1809.1936.tb02137.x) of `(N, F)` examples, with a ridge.

    Direction, offset, and how far apart both kinds are, squared, in deviations.
    """
    spread = sum(0.5 * np.cov(part.T, bias=True) for part in (inside, outside)) + 0.3 * np.eye(inside.shape[1])
    middles = inside.mean(axis=0), outside.mean(axis=0)
    direction = np.linalg.solve(spread, middles[0] - middles[1]).astype(np.float32)
    return direction, float(direction @ (middles[0] + middles[1]) / 2), float(direction @ (middles[0] - middles[1]))


def _flat(mask: Mask, spacing: Sequence[float]) -> Float32Array:
    """Signed distance to a mask's border on its slice, positive inside, between -20 and 20 mm."""
    if not mask.any():
        return np.full(mask.shape, -_FAR, np.float32)
    padded = np.pad(mask, 1)
    inside = ndimage.distance_transform_edt(padded, sampling=spacing)[1:-1, 1:-1]
    outside = ndimage.distance_transform_edt(~mask, sampling=spacing)
    half = min(spacing) / 2
    return np.clip(np.where(mask, inside - half, half - outside), -_FAR, _FAR).astype(np.float32)


def _signed(mask: Mask, spacing: Sequence[float]) -> Float32Array:
    """Signed distance to a mask's border: inside on each slice of its own, outside in space; cut as by `_flat`."""
    if not mask.any():
        return np.full(mask.shape, -_FAR, np.float32)
    half = min(spacing[1:]) / 2
    distance = np.full(mask.shape, -_FAR, np.float32)
    box = bounding_box(mask)
    assert box is not None
    n, u, v = (ceil((_FAR + half) / side) for side in spacing)
    around = box.grown((n, u, v), mask.shape)  # beyond it all is far
    outside = ndimage.distance_transform_edt(~mask[around.slices], sampling=spacing).astype(np.float32)
    distance[around.slices] = np.maximum(half - outside, -_FAR)
    own, alone = mask[box.slices], (_SLICE_APART_MM, *spacing[1:])
    inside = ndimage.distance_transform_edt(np.pad(own, ((0, 0), (1, 1), (1, 1))), sampling=alone)[:, 1:-1, 1:-1]
    distance[box.slices][own] = np.minimum(inside[own] - half, _FAR)
    return distance


def _far_from(mask: Mask, spacing: Sequence[float]) -> Float32Array:
    if not mask.any():
        return np.full(mask.shape, 2 * REACH_MM, np.float32)
    distance = ndimage.distance_transform_edt(~mask, sampling=spacing)
    near: Float32Array = np.minimum(distance, 2 * REACH_MM).astype(np.float32)
    return near
