"""An area drawn on one slice, and what it implies for the neighbouring slices: shapes, distances, tissue, channels.

A section is a region as drawn on one slice of the scan. The change in signed distance to the region's border is carried
to the slices on both sides; it fades with distance and never passes anything that other prompts have settled. Between
two outlined slices this becomes shape-based interpolation (Raya and Udupa 1990, doi:10.1109/42.52991), combined with
the details of the earlier labels. Together with the scans, the labels and the prompts, these are the inputs of
`OutlineNetwork`.
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
"""Slices further than this from the drawn one never change."""

_FAR: Final = 20.0
"""Distances to a border, in millimetres, are clipped to this value."""

_LEAST_MM: Final = 3.0
"""Even the smallest error on a slice is taken to have this radius when its reach is computed."""
_RADII: Final = 6.0
_RADII_AWAY: Final = 1.0
"""How far an error on a slice reaches, in multiples of its radius; `_RADII_AWAY` for what a lasso removes."""
_LEAST_DEPTH_MM: Final = 2.0
_BESIDE_MM: Final = 3.0
_NARROWS: Final = 0.05
"""On other slices tumour is removed where it was removed on the drawn slice, and up to `_BESIDE_MM` beyond that; for
every millimetre away from the slice this limit moves inwards by `_NARROWS`. With a tighter limit, labels that are too
large everywhere need many outlines; without any limit, one outline out of 160, on eight training gliomas, cost .07 of
the whole tumour's Dice."""
_DETAIL_MM: Final = 0.5
_DETAIL: Final = 0.5
"""How far, in millimetres, the border between two outlined slices may deviate from the interpolated shape towards the
shape of the earlier labels: `_DETAIL_MM`, plus `_DETAIL` for every millimetre to the drawn slice or the nearest settled
voxel, plus the square of this distance over `_LOOSE_MM`, because two outlines far apart say little about a bulge
between them. The limit shrinks if the scans hardly distinguish inside from outside, and grows, up to tenfold, the more
of the earlier labels was right on the slice; it does not grow if a share of `_USELESS` or more was wrong."""
_USELESS: Final = 0.4
_LOOSE_MM: Final = 20.0
_STATIONS_MM: Final = 20.0
"""Outlined slices further apart than this are not interpolated: the tumour may be larger between them than on both."""
_APART: Final = 0.5
"""Squared distance between inside and outside, in standard deviations, from which the scans have their full weight."""
_SLICE_APART_MM: Final = 1e4
"""Slice spacing that makes a 3D distance transform treat each slice separately."""
_FEW: Final = 3
"""With fewer examples than this, inside or outside, the discriminant is not fitted."""


@dataclass(frozen=True, slots=True, eq=False)
class Section:
    """A region on one slice of a block, as drawn.

    Parameters
    ----------
    region : {"WT", "TC", "ET"}
    axis, index : int
        Axis and number of the slice in the block.
    inside : (U, V) bool array
        The region on the whole slice; as before where nothing was drawn.
    told : (U, V) bool array
        Pixels that the drawing determines.
    border : bool
        Whether the line is the border of the region.
    """

    region: Region
    axis: int
    index: int
    inside: Mask
    told: Mask
    border: bool

    @property
    def adds(self) -> bool:
        """Whether any of the drawn area belongs to the region."""
        return bool(self.inside[self.told].any())


def may_leave(gone: Mask, away: Array, spacing: Sequence[float]) -> Mask:
    """Return where a region may be removed on other slices `(N, U, V)`, after a part was removed on one slice.

    Parameters
    ----------
    gone : (U, V) bool array
        The part removed on the slice.
    away : (N,) array
        Distances of all slices from this one, in millimetres.
    spacing : (2,) sequence of float
        Pixel spacing of the slice, in millimetres.
    """
    may: Mask = _flat(gone, spacing)[None] >= _NARROWS * away[:, None, None] - _BESIDE_MM
    return may


class Surroundings:
    """The surroundings of a drawn section; all arrays have the section's axis first.

    Parameters
    ----------
    block : Block
    section : Section
    before : (X, Y, Z) bool array
        The region in the block before the drawing.
    is_in, is_out : (X, Y, Z) bool array
        Where earlier prompts settled that the region is present, and that it is absent.
    planes : sequence of (axis, index)
        All slices on which the region was outlined, as numbers in the block; includes the section's own if outlined.
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
        share = float(self.wrong.sum()) / max(1, int((section.inside | was).sum()))  # of the region before or after
        doubt = float(np.clip(share / _USELESS, 0.1, 1))
        detail = (_DETAIL_MM + _DETAIL * self.nearest + self.nearest**2 / _LOOSE_MM) * self.trust / doubt
        interpolated = self.between + np.clip(self.shape - self.between, -detail, detail)
        self.base = np.where(self.is_between[:, None, None], interpolated, self._cautious(was, self.weight))

    def _weight(self, settled: Mask) -> Float32Array:
        """Return the weight of the slice's change at every voxel: 1 on the slice, 0 at settled voxels.

        It is also 0 behind other outlined slices, and in the shadow of other prompts.
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
        """Return shapes for an error that is assumed to be as deep as it is wide, and to end at twice its radius."""
        # Where there was no region, its border is taken to be no further away than the drawn region is deep.
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
        """Interpolate between the outlined slices nearest on both sides, and return which slices this applies to."""
        index = self.section.index
        others = [at for at in self.others if self.away[at] <= _STATIONS_MM]
        found, known = self.shape.copy(), np.zeros(len(self.before), bool)
        if not self.section.border:  # not outlined, so the undrawn part of the slice is unknown
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
        """Voxels that the section may change: near its shapes and not settled by any prompt."""
        close = (np.abs(self.shape) < _FAR) | (np.abs(self.between) < _FAR)
        brain = np.moveaxis(self.block.brain, self.section.axis, 0) | self.before
        reached = self.is_between[:, None, None] | self.near_error
        could: Mask = (self.weight > 0.02) & ~(self.said_in | self.said_out) & brain & close & reached
        could[self.section.index] = False
        return could

    @cached_property
    def near_error(self) -> Mask:
        """Voxels within a few radii of the error on the slice; a small error says little about the rest."""
        radii = _RADII if self.section.border or self.section.adds else _RADII_AWAY
        if not self.wrong.any():
            return np.zeros(self.before.shape, bool)
        beside = ndimage.distance_transform_edt(~self.wrong, sampling=self.spacing[1:])
        distance: Float32Array = np.hypot(self.away[:, None, None], beside.astype(np.float32))
        return distance <= radii * self.error

    def channels(self, masks: Mapping[Region, Mask], box: Box, sides: Sequence[int] | None = None) -> Float32Array:
        """Return the input `(C, N, U, V)` of `OutlineNetwork` for a part of the block, in the order of `CHANNELS`.

        Parameters
        ----------
        masks : mapping of region to (X, Y, Z) bool array
            All regions before the drawing.
        box : Box
            The part, with the section's axis first.
        sides : sequence of int, optional
            Sides of the array if it should be larger than the part; it is padded with zeros.
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
        """The `FACTS` numbers that `OutlineNetwork` receives for the whole block."""
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
        """Logits of the region learned from the outlined slices, where something may change; None if there are none."""
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
        """The discriminant at every voxel, clipped to -8 to 8."""
        score = np.full(self._seen[0].shape, -self._offset, np.float32)
        for image, weight in zip(self._seen, self._direction, strict=True):
            score += weight * image
        return np.clip(score, -8, 8)

    def _examples(self) -> tuple[tuple[Array, ...], tuple[Array, ...]]:
        """Return voxels known to be inside, and outside near the border, from the slice and from other prompts."""
        section = self.section
        known_in, known_out = self.said_in.copy(), self.said_out.copy()
        brain = np.moveaxis(self.block.brain, section.axis, 0)
        known_in[section.index] |= section.inside
        known_out[section.index] |= ~section.inside & (self.drawn > -_FAR * 0.75)
        return some_of(known_in & brain), some_of(known_out & brain)

    def _fit(self) -> None:
        """Fit the discriminant between inside and outside."""
        axis = self.section.axis
        self._seen = [np.moveaxis(image, axis, 0) for image in self.block.views(self.section.region)]
        values = [np.stack([image[at] for image in self._seen], axis=1) for at in self._examples()]
        self._direction, self._offset, self.trust = np.zeros(len(self._seen), np.float32), 0.0, 0.0
        if min(map(len, values)) < _FEW:
            return
        self._direction, self._offset, apart = _discriminant(*values)
        self.trust = min(1.0, apart / _APART)


def resembles(views: Sequence[Array], inside: Mask, outside: Mask) -> Mask:
    """Return where a slice looks more like the inside than the outside; nowhere if there are too few examples.

    Parameters
    ----------
    views : sequence of (U, V) array
        Views of the slice, as from `Block.views`.
    inside, outside : (U, V) bool array
        Example pixels.
    """
    seen = np.stack(views, axis=-1)
    if min(inside.sum(), outside.sum()) < _FEW:
        return np.zeros(inside.shape, bool)
    direction, offset, _ = _discriminant(seen[inside], seen[outside])
    alike: Mask = seen @ direction > offset
    return alike


def _discriminant(inside: Array, outside: Array) -> tuple[Float32Array, float, float]:
    """Fit Fisher's discriminant (1936, doi:10.1111/j.1469-1809.1936.tb02137.x) to `(N, F)` examples, with a ridge.

    Returns the direction, the offset, and the squared distance between both kinds in standard deviations.
    """
    spread = sum(0.5 * np.cov(part.T, bias=True) for part in (inside, outside)) + 0.3 * np.eye(inside.shape[1])
    middles = inside.mean(axis=0), outside.mean(axis=0)
    direction = np.linalg.solve(spread, middles[0] - middles[1]).astype(np.float32)
    return direction, float(direction @ (middles[0] + middles[1]) / 2), float(direction @ (middles[0] - middles[1]))


def _flat(mask: Mask, spacing: Sequence[float]) -> Float32Array:
    """Return the signed distance to a mask's border within its slice, positive inside, clipped to -20 to 20 mm."""
    if not mask.any():
        return np.full(mask.shape, -_FAR, np.float32)
    padded = np.pad(mask, 1)
    inside = ndimage.distance_transform_edt(padded, sampling=spacing)[1:-1, 1:-1]
    outside = ndimage.distance_transform_edt(~mask, sampling=spacing)
    half = min(spacing) / 2
    return np.clip(np.where(mask, inside - half, half - outside), -_FAR, _FAR).astype(np.float32)


def _signed(mask: Mask, spacing: Sequence[float]) -> Float32Array:
    """Return the signed distance to a mask's border, per slice inside and in 3D outside; clipped as in `_flat`."""
    if not mask.any():
        return np.full(mask.shape, -_FAR, np.float32)
    half = min(spacing[1:]) / 2
    distance = np.full(mask.shape, -_FAR, np.float32)
    box = bounding_box(mask)
    assert box is not None
    n, u, v = (ceil((_FAR + half) / side) for side in spacing)
    around = box.grown((n, u, v), mask.shape)  # all voxels beyond it are clipped
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
