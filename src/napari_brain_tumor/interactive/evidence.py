"""Evidence for or against a voxel following a prompt: a vector of numbers per voxel, from which `spread` decides."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from skimage.graph import MCP_Geometric

from napari_brain_tumor.geometry import Box
from napari_brain_tumor.interactive.scene import Scene
from napari_brain_tumor.labels import REGIONS, Region, region_mask
from napari_brain_tumor.study import ROLES
from napari_brain_tumor.types import Array, Float32Array, Labels

Voxels = tuple[Array, ...]

FURTHEST_MM: Final = 40.0
"""Voxels further than this from a prompt never follow it."""

_EDGE: Final = 2.0
"""Added length of a path for each standard deviation per millimetre of intensity change along it."""

_UNLIKELY: Final = -5.0
"""Voxels that the fitted classifier scores below this do not follow, unless they are within `_ANYWAY_MM`. They are half
of all voxels, and about one in eighty of them should follow (measured in sessions on the training patients)."""
_ANYWAY_MM: Final = 5.0

_SURE: Final = 6.0
"""Logits of a prior are clipped here, because networks predict 0.0001 where they mean "no"."""

FEATURES: Final = (
    "has prior",
    "logit",
    "smooth logit",
    "logit beside that of the prompt",
    "distance to what already follows",
    "distance to the prompt",
    "distance to the prompt, logarithm",
    "distance to what was said otherwise",
    "distance to what was said alike earlier",
    "way to the prompt over edges",
    "way to the prompt through unlike tissue",
    "distance out of the prompt's plane",
    *(f"{role} beside the nearest of the prompt" for role in ROLES),
    *(role for role in ROLES),
    *(f"smooth {role}" for role in ROLES),
    "unlike the prompt",
    "fitted",
    "voxels said alike, logarithm",
    "voxels said otherwise, logarithm",
    "share that follows nearby",
    *(f"is class {value}" for value in range(4)),
    *(f"about {region}" for region in REGIONS),
    "adds",
    "extent of the prompt",
    "is an outline",
    *(f"has {role}" for role in ROLES),
)
"""Names of the features, in order."""


@dataclass(frozen=True, slots=True, eq=False)
class Asked:
    """A prompt's request for one region.

    Parameters
    ----------
    region : {"WT", "TC", "ET"}
    inside : bool
        Whether the voxels belong to the region.
    seeds : (N, 3) intp array
        The prompt's voxels in the block.
    """

    region: Region
    inside: bool
    seeds: npt.NDArray[np.intp]


class Block:
    """The scans of one block, at several levels of smoothing, as needed for the evidence.

    Parameters
    ----------
    scene : Scene
    box : Box
    """

    def __init__(self, scene: Scene, box: Box) -> None:
        self.scene, self.box = scene, box
        self.spacing = scene.spacing
        self.raw = raw = scene.intensities(box)
        self.brain = scene.brain[box.slices]
        self.present = np.array([float(role in scene.roles) for role in ROLES], np.float32)
        self.images, self.coarse = np.zeros_like(raw), np.zeros_like(raw)
        there = self.present > 0
        self.images[there] = gaussian_smooth(raw[there], 0.7, self.spacing)
        self.coarse[there] = gaussian_smooth(self.images[there], 2.5, self.spacing)
        self._logits: dict[Region, Float32Array | None] = {}

    def logit(self, region: Region) -> Float32Array | None:
        """Return the logit of the network's probability of a region, clipped at both ends; None without a network."""
        if region not in self._logits:
            self._logits[region] = _logit(self.scene.prior(region, self.box))
        return self._logits[region]

    def views(self, region: Region) -> list[Float32Array]:
        """Return the inputs `(X, Y, Z)` of a linear classifier: scans at two levels of smoothing, and the logit."""
        logit = self.logit(region)
        return [*self.images, *self.coarse, *([] if logit is None else [logit])]

    def aspects(self, region: Region) -> list[Float32Array]:
        """Return the inputs `(X, Y, Z)` of boosted trees: available scans, raw and smoothed, and all logits."""
        there = self.present > 0
        logits = [logit for other in REGIONS if (logit := self.logit(other)) is not None]
        own = self.logit(region)
        smooth = [] if own is None else [gaussian_smooth(own, 2.0, self.spacing)]
        return [*self.raw[there], *self.images[there], *self.coarse[there], *logits, *smooth]


class Reach:
    """Distances of all voxels of a block from the voxels of a prompt, measured in several ways.

    Parameters
    ----------
    block : Block
    seeds : (N, 3) intp array
        Voxels of the prompt in the block.
    outline : bool
        Whether the prompt outlines an area.
    """

    def __init__(self, block: Block, seeds: npt.NDArray[np.intp], *, outline: bool) -> None:
        shape = block.brain.shape
        marks = np.zeros(shape, bool)
        marks[tuple(seeds.T)] = True
        distance, self.nearest = ndimage.distance_transform_edt(~marks, sampling=block.spacing, return_indices=True)
        self.distance = distance.astype(np.float32)
        self.outline = outline
        values = block.images[:, *seeds.T]
        self.middle = values.mean(axis=1)
        self.width = np.sqrt(values.var(axis=1) + 0.15)
        unlike = ((block.images - self.middle[:, None, None, None]) / self.width[:, None, None, None]) ** 2
        count = max(1.0, float(block.present.sum()))
        self.unlike = np.sqrt(np.einsum("c,cxyz->xyz", block.present, unlike) / count).astype(np.float32)
        self.over_edges, self.through_unlike = _ways(block, marks, self.unlike)
        extent = (np.ptp(seeds, axis=0) + 1) * np.asarray(block.spacing)
        self.extent = float(np.sort(extent)[1])
        self.normal = int(np.argmin(np.ptp(seeds, axis=0)))
        self.plane = float(seeds[:, self.normal].mean())


def evidence(
    block: Block, reach: Reach, question: Asked, labels: Labels, alike: Array, otherwise: Array
) -> tuple[npt.NDArray[np.intp], Float32Array]:
    """Return the voxels that could follow a prompt, with their features.

    Parameters
    ----------
    block : Block
    reach : Reach
    question : Asked
    labels : (X, Y, Z) uint8 array
        Classes in the block.
    alike, otherwise : (X, Y, Z) bool array
        Where earlier prompts settled the same as the request, and the opposite; also around an outline.

    Returns
    -------
    candidates : (N, 3) intp array
        Voxels of the block that do not yet have the requested label, but could follow.
    numbers : (N, F) float32 array
        Features in the order of `FEATURES`.
    """
    sign = 1.0 if question.inside else -1.0
    current = region_mask(labels, question.region)
    follows = current if question.inside else ~current
    could = ~follows & (reach.distance <= FURTHEST_MM) & ~otherwise
    if question.inside:
        could &= block.brain
    where = np.nonzero(could)
    score, *counts = _fitted(block, reach, question, where, could, alike, otherwise)
    likely = (score > _UNLIKELY) | (reach.distance[where] <= _ANYWAY_MM)
    where, score = tuple(index[likely] for index in where), score[likely]
    numbers = np.zeros((len(score), len(FEATURES)), np.float32)
    if not len(numbers):
        return np.stack(where, axis=1), numbers
    fill = chain(
        _of_prior(block, question, sign, where),
        _of_places(block, reach, follows, alike, otherwise, where),
        _of_tissue(block, reach, where),
        [score, *counts],
        [gaussian_smooth(follows.astype(np.float32), 3.0, block.spacing)[where]],
        (labels[where] == value for value in range(4)),
        (region == question.region for region in REGIONS),
        [sign, np.log1p(reach.extent), reach.outline],
        block.present,
    )
    for column, values in zip(numbers.T, fill, strict=True):
        column[:] = values
    return np.stack(where, axis=1), numbers


def _logit(prior: Float32Array | None) -> Float32Array | None:
    if prior is None:
        return None
    low = 1 / (1 + np.exp(_SURE))
    chance = np.clip(prior, low, 1 - low)
    logit: Float32Array = np.log(chance / (1 - chance)).astype(np.float32)
    return logit


def _of_prior(block: Block, question: Asked, sign: float, where: Voxels) -> Iterator[Any]:
    logit = block.logit(question.region)
    if logit is None:
        yield from (0, 0, 0, 0)
        return
    yield 1
    yield sign * logit[where]
    yield sign * gaussian_smooth(logit, 2.0, block.spacing)[where]
    yield sign * (logit[where] - np.median(logit[tuple(question.seeds.T)]))


def _of_places(
    block: Block, reach: Reach, follows: Array, alike: Array, otherwise: Array, where: Voxels
) -> Iterator[Any]:
    distance = reach.distance[where]
    yield _far(follows, block.spacing)[where] / 10
    yield distance / 10
    yield np.log1p(distance)
    yield _far(otherwise, block.spacing)[where] / 10
    yield _far(alike, block.spacing)[where] / 10
    yield np.log1p(reach.over_edges[where])
    yield np.log1p(reach.through_unlike[where])
    yield np.abs(where[reach.normal] - reach.plane) * block.spacing[reach.normal] / 10


def _of_tissue(block: Block, reach: Reach, where: Voxels) -> Iterator[Any]:
    nearest = tuple(index[where] for index in reach.nearest)
    yield from (image[where] - image[nearest] for image in block.images)
    yield from (image[where] for image in block.images)
    yield from (image[where] for image in block.coarse)
    yield reach.unlike[where]


def gaussian_smooth(volumes: Float32Array, width_mm: float, spacing: Sequence[float]) -> Float32Array:
    """Smooth volumes `(..., X, Y, Z)` with a Gaussian; one matrix product per axis is faster than SciPy's filter."""
    x, y, z = (_gaussian(n, width_mm / side) for n, side in zip(volumes.shape[-3:], spacing, strict=True))
    flat = y @ (volumes @ z.T)
    smoothed: Float32Array = (x @ flat.reshape(*flat.shape[:-2], -1)).reshape(volumes.shape)
    return smoothed


@lru_cache(maxsize=64)
def _gaussian(length: int, sigma: float) -> Float32Array:
    matrix: Float32Array = ndimage.gaussian_filter1d(np.eye(length), sigma, axis=0, truncate=2.5).astype(np.float32)
    return matrix


def _far(mask: Array, spacing: tuple[float, float, float]) -> Float32Array:
    """Return the distance to a mask, computed on every second voxel and limited to `FURTHEST_MM`."""
    few = mask[::2, ::2, ::2]
    if not few.any():
        few = ndimage.maximum_filter(mask, 2)[::2, ::2, ::2] if mask.any() else few
    if not few.any():
        return np.full(mask.shape, FURTHEST_MM, np.float32)
    distance = ndimage.distance_transform_edt(~few, sampling=[2 * s for s in spacing])
    return np.minimum(_full(distance.astype(np.float32), mask.shape), FURTHEST_MM)


def _full(few: Float32Array, shape: tuple[int, ...]) -> Float32Array:
    """Enlarge an array of every second voxel to all voxels."""
    enlarged: Float32Array = few.repeat(2, 0).repeat(2, 1).repeat(2, 2)[: shape[0], : shape[1], : shape[2]]
    return enlarged


def _ways(block: Block, marks: Array, unlike: Float32Array) -> tuple[Float32Array, Float32Array]:
    """Return the lengths of shortest paths to the prompt, with edges or unlike tissue as costs, at half resolution."""
    spacing = [2 * s for s in block.spacing]
    few = block.images[:, ::2, ::2, ::2]
    edges = np.zeros(few.shape[1:], np.float32)
    for image, present in zip(few, block.present, strict=True):
        if present:
            for axis in range(3):
                if image.shape[axis] > 1:
                    edges += (np.gradient(image, spacing[axis], axis=axis)) ** 2
    edges = np.sqrt(edges / max(1.0, float(block.present.sum())))
    starts = np.unique(np.argwhere(marks) // 2, axis=0)
    starts = starts[(starts < edges.shape).all(axis=1)]
    outside = 4.0 * ~block.brain[::2, ::2, ::2]
    lengths = []
    for cost in (1 + _EDGE * 4 * edges + outside, 0.2 + np.minimum(unlike[::2, ::2, ::2], 6.0) + outside):
        path_costs, _ = MCP_Geometric(cost, sampling=spacing).find_costs(starts)
        lengths.append(_full(np.minimum(path_costs, 400).astype(np.float32), marks.shape))
    return lengths[0], lengths[1]


def _fitted(
    block: Block,
    reach: Reach,
    question: Asked,
    where: Voxels,
    could: Array,
    alike: Array,
    otherwise: Array,
) -> tuple[Float32Array, float, float]:
    """Score voxels with a linear classifier fitted on settled voxels, and return the logarithms of both sample sizes.

    Fisher's discriminant (Ann Eugen 1936, 7:179) with a ridge separates the prompt and voxels settled alike from those
    settled otherwise. Voxels that are not near the prompt and do not follow yet count as otherwise, with a low weight.
    """
    images = block.views(question.region)
    counts = float(np.log1p(alike.sum())), float(np.log1p(otherwise.sum()))
    own = np.zeros(could.shape, bool)
    own[tuple(question.seeds.T)] = True
    yes, no = some_of(own | alike), some_of(otherwise & block.brain)
    weak = some_of(could & (reach.distance > 8) & (reach.distance < 30) & block.brain)
    if len(yes[0]) == 0 or len(no[0]) + len(weak[0]) < 20:
        return np.zeros(len(where[0]), np.float32), *counts
    values = [np.stack([image[at] for image in images], axis=1) for at in (yes, no, weak)]
    shares = np.array([len(values[1]), 0.1 * len(values[2])]) + 1e-6
    shares /= shares.sum()
    apart = [part.mean(axis=0) if len(part) else np.zeros(len(images), np.float32) for part in values]
    middle = shares[0] * apart[1] + shares[1] * apart[2]
    spread = 0.5 * np.cov(values[0].T, bias=True) + 0.3 * np.eye(len(images))
    for share, part in zip(shares, values[1:], strict=True):
        if len(part) > 1:
            spread += 0.5 * share * np.cov(part.T, bias=True)
    direction = np.linalg.solve(spread, apart[0] - middle).astype(np.float32)
    offset = float(direction @ (apart[0] + middle) / 2)
    score = np.full(len(where[0]), -offset, np.float32)
    for image, weight in zip(images, direction, strict=True):
        score += weight * image[where]
    return np.clip(score, -8, 8), *counts


def some_of(mask: Array, most: int = 4000) -> Voxels:
    """Return the indices of a mask's voxels, thinned evenly if there are many more than `most`."""
    at = np.nonzero(mask)
    step = max(1, len(at[0]) // most)
    return tuple(index[::step] for index in at)
