"""How far a prompt reaches: from its voxels to the labels of the block around it."""

from collections.abc import Iterator, Mapping, Set
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from napari_brain_tumor.geometry import Box
from napari_brain_tumor.interactive.carry import Decide, Said, carried, plane_of, sections_of
from napari_brain_tumor.interactive.evidence import FEATURES, Asked, Block, Reach, evidence
from napari_brain_tumor.interactive.follow import follow
from napari_brain_tumor.interactive.prompts import BORDERED, PROMPT_LABELS, Lasso, Prompt
from napari_brain_tumor.interactive.rasterise import Touched
from napari_brain_tumor.interactive.scene import Scene
from napari_brain_tumor.interactive.section import Section, may_leave
from napari_brain_tumor.interactive.verdict import Verdict, shipped_verdict
from napari_brain_tumor.labels import REGIONS, Region, classes_from_regions, region_mask
from napari_brain_tumor.preprocessing.intensity import largest_component
from napari_brain_tumor.types import Array, Labels

Question = tuple[Asked, npt.NDArray[np.intp], npt.NDArray[np.float32]]
"""What is asked of a region, the voxels that could follow, and the evidence of each."""

Outlined = tuple[Region, int, int]
"""A region that was outlined on a slice of the grid: its axis and number."""

_NOWHERE: Final = np.empty((0, 3), np.intp)
_ANY_CLASS: Final = np.uint8(15)

_HARDLY: Final = 0.02
"""Share of a prompt's voxels that must be wrong in a region for anything beyond the prompt to follow in it."""

_DECIDED: Final = np.float32(4.0)
"""Logits are cut here, so that neighbours can be outvoted."""

_SURER: Final = 1.0
"""Logit that a voxel needs to be taken away by a stroke, click or box that removes, instead of 0."""

_MOST_REMOVED: Final = 0.25
"""Share of a tumour's largest part that a stroke, click or box takes away at most, beside its own voxels."""

_SMOOTH_VOXELS: Final = 1.0
"""Width of the Gaussian over which neighbours agree."""

_CRUMB_MM3: Final = 500.0
"""Volume from which a part of a region is never a crumb."""

_TOUCHING: Final = ndimage.generate_binary_structure(3, 3)

_MIDDLE: Final = 0.4
"""Share of a box's edges within which everything is taken to be what the box names."""


def apply_prompt(
    scene: Scene,
    box: Box,
    labels: Labels,
    said: Labels,
    prompt: Prompt,
    touched: Touched,
    outlined: Set[Outlined] = frozenset(),
) -> Labels:
    """Labels `(X, Y, Z)` of a block after a prompt: as `outline` for an area on a slice of the scan, else as `spread`.

    Parameters
    ----------
    scene : Scene
    box : Box
        The block.
    labels : (X, Y, Z) uint8 array
        Its classes before.
    said : (X, Y, Z) uint8 array
        What earlier prompts settled, a bit for every class still possible; what this one settles is written into it.
    prompt : Prompt
    touched : Touched
        Its voxels, on the whole grid.
    outlined : set of (region, axis, index)
        Slices of the grid on which regions were outlined before.
    """
    plane = plane_of(touched)
    tells = any(prompt.inside(region) is not None for region in REGIONS)
    if isinstance(prompt, Lasso) and plane is not None and tells:
        return outline(scene, box, labels, said, prompt, touched, plane, outlined, follow)
    return spread(scene, box, labels, said, prompt, touched, outlined=outlined)


def outlined_by(prompt: Prompt, touched: Touched) -> frozenset[Outlined]:
    """The slice of the grid on which a prompt says where a region ends; none of most prompts."""
    plane = plane_of(touched) if isinstance(prompt, Lasso) and prompt.border else None
    return frozenset() if plane is None else frozenset({(BORDERED[prompt.label], *plane)})


def outline(
    scene: Scene,
    box: Box,
    labels: Labels,
    said: Labels,
    prompt: Lasso,
    touched: Touched,
    plane: tuple[int, int],
    outlined: Set[Outlined] = frozenset(),
    decide: Decide | None = None,
) -> Labels:
    """Labels `(X, Y, Z)` of a block after an area was drawn on one of its slices; other parameters as of `spread`.

    Parameters
    ----------
    plane : (axis, index)
        The slice of the grid.
    outlined : set of (region, axis, index)
        Slices of the grid on which regions were outlined before.
    decide : callable, optional
        What follows beside the slice; without it only the shapes decide.
    """
    block = Block(scene, box)
    masks = {region: region_mask(labels, region) for region in REGIONS}
    before = said.copy()
    for section in sections_of(prompt, touched, plane, block, labels, said):
        _say(said, section)
        mask = masks[section.region]
        after = mask.copy()
        if prompt.around:
            own = [(section.axis, section.index)] if section.border else []
            planes = list(dict.fromkeys([*own, *_planes(section.region, outlined, box)]))
            after = carried(block, section, masks, Said.of(before, section.region), decide, planes)
            if not prompt.add:
                after &= mask
        else:
            np.moveaxis(after, section.axis, 0)[section.index] = section.inside
        _settle(masks, Asked(section.region, True, _NOWHERE), after & ~mask)
        _settle(masks, Asked(section.region, False, _NOWHERE), mask & ~after)
    if not prompt.border:
        _agree(said, touched.inside - box.start, sum(1 << value for value in prompt.allowed))
    return as_said(classes_from_regions(np.stack([masks[region] for region in REGIONS])), said)


def _planes(region: Region, outlined: Set[Outlined], box: Box) -> list[tuple[int, int]]:
    """Slices of a block on which a region was outlined: axis and number in the block."""
    inside = ((axis, at - box.start[axis]) for other, axis, at in outlined if other == region)
    return sorted((axis, at) for axis, at in inside if 0 <= at < box.shape[axis])


def _say(said: Labels, section: Section) -> None:
    """Write what a section settles: what was settled of the same voxels before stays, as far as the two agree."""
    bits = np.uint8(sum(1 << value for value in REGIONS[section.region]))
    now = np.where(section.inside, bits, ~bits & _ANY_CLASS).astype(np.uint8)
    flat = np.moveaxis(said, section.axis, 0)[section.index]
    flat[section.told] = _agreed(flat, now)[section.told]


def _agreed(before: Labels, now: Labels | np.uint8) -> Labels:
    """Classes that are possible by what was said before and by what is said now; by the latter, where they differ."""
    both = before & now
    return np.where(both, both, now).astype(np.uint8)


def spread(
    scene: Scene,
    box: Box,
    labels: Labels,
    said: Labels,
    prompt: Prompt,
    touched: Touched,
    verdict: Verdict | None = None,
    outlined: Set[Outlined] = frozenset(),
) -> Labels:
    """Labels `(X, Y, Z)` of a block after a prompt: what is like it and hangs together with it follows.

    Parameters
    ----------
    scene : Scene
    box : Box
        The block.
    labels : (X, Y, Z) uint8 array
        Its classes before.
    said : (X, Y, Z) uint8 array
        What earlier prompts settled, a bit for every class still possible; what this one settles is written into it.
    prompt : Prompt
    touched : Touched
        Its voxels, on the whole grid.
    verdict : Verdict, optional
        Decides from the evidence; by default the one that ships.
    outlined : set of (region, axis, index)
        Slices of the grid on which regions were outlined before: beyond them nothing follows.
    """
    decide = verdict or shipped_verdict()
    masks = {region: region_mask(labels, region) for region in REGIONS}
    block = Block(scene, box)
    seeds = _seeds(touched, prompt, box)
    allowed = _allowed(block, prompt, labels, seeds)
    for question, candidates, numbers in ask(block, labels, said, prompt, touched):
        follows = np.zeros(labels.shape, bool)
        if prompt.around:
            follows = _decided(labels.shape, candidates, decide(numbers), 0 if prompt.add else _SURER)
            follows &= ~_behind(outlined, question, box, labels.shape)
            _with_crumbs(follows, masks[question.region], question, block.spacing)
            follows &= ~_against(said, question)
            if not question.inside:
                follows &= _near_slice(follows & masks[question.region], plane_of(touched), block)
        if question.region == "WT" and not question.inside:
            follows &= _no_more_than(follows & masks["WT"], masks["WT"], question, block.spacing)
        follows[tuple(question.seeds.T)] = True
        _settle(masks, question, _hanging(follows, masks[question.region], question))
    for region, beyond in _beyond(touched, prompt, box, labels.shape):
        _agree(said, beyond, sum(1 << value for value in range(4) if value not in REGIONS[region]))
    _agree(said, seeds, sum(1 << value for value in allowed))
    after = as_said(classes_from_regions(np.stack([masks[region] for region in REGIONS])), said)
    return _bounded(after, labels, prompt)


def _agree(said: Labels, voxels: npt.NDArray[np.intp], bits: int) -> None:
    at = tuple(voxels.T)
    said[at] = _agreed(said[at], np.uint8(bits))


def _against(said: Labels, asked_voxels: Asked) -> Array:
    """Where earlier prompts said the opposite of what is asked."""
    settled = Said.of(said, asked_voxels.region)
    return settled.is_out if asked_voxels.inside else settled.is_in


def _behind(outlined: Set[Outlined], asked: Asked, box: Box, shape: tuple[int, ...]) -> Array:
    """What lies on a slice on which the region was outlined before, or beyond it as seen from the prompt."""
    behind = np.zeros(shape, bool)
    if not len(asked.seeds):
        return behind
    for region, axis, index in outlined:
        at = index - box.start[axis]
        if region != asked.region or not 0 <= at < shape[axis]:
            continue
        own = asked.seeds[:, axis]
        view = np.moveaxis(behind, axis, 0)
        if (own > at).all():
            view[: at + 1] = True
        elif (own < at).all():
            view[at:] = True
    return behind


def _near_slice(leaves: Array, plane: tuple[int, int] | None, block: Block) -> Array:
    """Where a region may end after a prompt on one slice took a part of it away there; everywhere for other prompts."""
    if plane is None:
        return np.ones(leaves.shape, bool)
    axis, index = plane[0], plane[1] - block.box.start[plane[0]]
    away = np.abs(np.arange(leaves.shape[axis]) - index) * block.spacing[axis]
    spacing = [side for other, side in enumerate(block.spacing) if other != axis]
    return np.moveaxis(may_leave(np.take(leaves, index, axis), away, spacing), 0, axis)


def _no_more_than(leaves: Array, mask: Array, asked: Asked, spacing: tuple[float, float, float]) -> Array:
    """Where a tumour may end: in its largest part only at what is nearest to the prompt, up to a share of that part."""
    largest = largest_component(mask, _TOUCHING)
    most, lost = int(_MOST_REMOVED * largest.sum()), leaves & largest
    if not len(asked.seeds) or lost.sum() <= most:
        return np.ones(mask.shape, bool)
    distance = ndimage.distance_transform_edt(~_mask(asked.seeds, mask.shape), sampling=spacing)
    limit = np.partition(distance[lost], most)[most]
    nearest: Array = ~largest | (distance < limit)
    return nearest


def _hanging(follows: Array, mask: Array, asked: Asked) -> Array:
    """What follows without the parts that do not hang together with the prompt; through the region where it grows."""
    if not len(asked.seeds) or not follows.any():
        return follows
    parts, _ = ndimage.label(follows | mask if asked.inside else follows, _TOUCHING)
    own = np.unique(parts[tuple(asked.seeds.T)])
    return follows & np.isin(parts, own[own > 0])


def _bounded(after: Labels, before: Labels, prompt: Prompt) -> Labels:
    """The labels after a prompt without changes of what it does not name.

    Who marks a class adds voxels to it, who marks "not this" takes voxels from it, and a border does both; nothing else
    changes, although the evidence for a class is evidence for the regions around it too.
    """
    values = PROMPT_LABELS[prompt.label]
    was, becomes = np.isin(before, values), np.isin(after, values)
    joins, leaves = becomes & ~was, was & ~becomes
    both = isinstance(prompt, Lasso) and prompt.border
    intended = joins | leaves if both else joins if prompt.add else leaves
    return np.where(intended, after, before)


def ask(block: Block, labels: Labels, said: Labels, prompt: Prompt, touched: Touched) -> Iterator[Question]:
    """What a prompt asks of each region that it tells something of, with the evidence; parameters as of `spread`."""
    seeds = _seeds(touched, prompt, block.box)
    allowed = _allowed(block, prompt, labels, seeds)
    around = _mask(_within(touched.around, block.box, labels.shape), labels.shape)
    bordered = _beyond(touched, prompt, block.box, labels.shape)
    for region, beyond in bordered:
        yield _question(block, labels, said, Asked(region, False, beyond), _mask(seeds, labels.shape), outline=True)
    for region, classes in REGIONS.items():
        sides = {value in classes for value in allowed}
        if len(sides) > 1:
            continue
        inside = sides.pop()
        # A line that stops before a voxel says that it is right as it is; a border, that it is outside.
        ends = inside and region in dict(bordered)
        stays = around if ends else around & (region_mask(labels, region) != inside)
        outline = prompt.kind in ("lasso", "box")
        yield _question(block, labels, said, Asked(region, inside, seeds), stays, outline=outline)


def _question(
    block: Block, labels: Labels, allowed: Labels, request: Asked, stays: Array, *, outline: bool
) -> Question:
    """What is asked of a region: to follow those voxels of the prompt that are wrong as yet, if they are enough."""
    wrong = region_mask(labels[tuple(request.seeds.T)], request.region) != request.inside
    question = Asked(request.region, request.inside, request.seeds[wrong])
    if wrong.mean() < _HARDLY:
        return question, np.empty((0, 3), np.intp), np.empty((0, len(FEATURES)), np.float32)
    settled = Said.of(allowed, request.region)
    alike, otherwise = (settled.is_in, settled.is_out) if request.inside else (settled.is_out, settled.is_in)
    alike = alike | _mask(request.seeds[~wrong], labels.shape)
    reach = Reach(block, question.seeds, outline=outline)
    return question, *evidence(block, reach, question, labels, alike, otherwise | stays)


def _beyond(
    touched: Touched, prompt: Prompt, box: Box, shape: tuple[int, ...]
) -> list[tuple[Region, npt.NDArray[np.intp]]]:
    """The region that a border runs around, and the voxels beyond the border; empty for what is no border."""
    if not isinstance(prompt, Lasso) or not prompt.border:
        return []
    beyond = _within(touched.around, box, shape)
    return [(BORDERED[prompt.label], beyond)] if len(beyond) else []


def _within(voxels: npt.NDArray[np.intp], box: Box, shape: tuple[int, ...]) -> npt.NDArray[np.intp]:
    """Voxels of the grid as voxels of the block, those that it holds."""
    own = voxels - box.start
    inside: npt.NDArray[np.intp] = own[((own >= 0) & (own < shape)).all(axis=1)]
    return inside


def _mask(voxels: npt.NDArray[np.intp], shape: tuple[int, ...]) -> npt.NDArray[np.bool_]:
    mask = np.zeros(shape, bool)
    mask[tuple(voxels.T)] = True
    return mask


def _seeds(touched: Touched, prompt: Prompt, box: Box) -> npt.NDArray[np.intp]:
    own = touched.inside - box.start
    if touched.sure or not prompt.add:
        return own
    low, high = own.min(axis=0), own.max(axis=0)
    off = (own - (low + high) / 2) / np.maximum((high - low + 1) / 2, 0.5)
    far = np.linalg.norm(off, axis=1)
    middle: npt.NDArray[np.intp] = own[far <= max(_MIDDLE, far.min())]
    return middle


def _allowed(block: Block, prompt: Prompt, labels: Labels, seeds: npt.NDArray[np.intp]) -> tuple[int, ...]:
    """Classes that the prompt leaves possible: of both sides of a class that it excludes, the likelier one."""
    allowed = prompt.allowed
    if any(len({value in classes for value in allowed}) == 1 for classes in REGIONS.values()):
        return allowed
    least = min(value for value in range(4) if value not in allowed)
    outer, inner = tuple(v for v in allowed if v < least), tuple(v for v in allowed if v > least)
    return inner if _inner_share(block, labels, seeds, least) > 0.5 else outer


def _inner_share(block: Block, labels: Labels, seeds: npt.NDArray[np.intp], value: int) -> float:
    """How likely voxels that are not of a class are of one within it: by the network, else by what is near."""
    within: Region = "TC" if value == 1 else "ET"
    beyond: Region = "WT" if value == 1 else "TC"
    inner, outer = block.scene.prior(within, block.box), block.scene.prior(beyond, block.box)
    if inner is not None and outer is not None:
        at = tuple(seeds.T)
        more, less = float(inner[at].mean()), float(1 - outer[at].mean())
        return more / max(more + less, 1e-6)
    near = labels[ndimage.binary_dilation(_mask(seeds, labels.shape), iterations=4)]
    others = near[near != value]
    return float((others > value).mean()) if others.size else 0.0


def _decided(shape: tuple[int, ...], candidates: npt.NDArray[np.intp], chance: Array, least: float) -> Array:
    """Which candidates follow: by how far the logits of their probabilities, smoothed with others', exceed `least`."""
    decided = np.zeros(shape, bool)
    if len(candidates):
        at = tuple(candidates.T)
        logits = np.zeros(shape, np.float32)
        logits[at] = np.clip(np.log((chance + 1e-4) / (1 - chance + 1e-4)) - least, -_DECIDED, _DECIDED)
        decided[at] = ndimage.gaussian_filter(logits, _SMOOTH_VOXELS, truncate=2.5)[at] > 0
    return decided


def _with_crumbs(follows: Array, mask: Array, question: Asked, spacing: tuple[float, float, float]) -> None:
    """Let follow what would be left as crumbs of a region taken away, or as holes in one that grows.

    Crumbs are connected parts, smaller than a tenth of what follows and than `_CRUMB_MM3`, that touch no side of the
    block.
    """
    left = mask & ~follows if not question.inside else ~(mask | follows)
    changed = int((follows & (mask != question.inside)).sum())
    parts, count = ndimage.label(left, _TOUCHING if not question.inside else None)
    if not count:
        return
    sizes = np.bincount(parts.ravel())
    crumbs = sizes < min(0.1 * changed, _CRUMB_MM3 / float(np.prod(spacing)))
    crumbs[0] = False
    for axis in range(3):
        for side in (0, -1):
            crumbs[np.unique(np.take(parts, side, axis))] = False
    follows |= crumbs[parts]


def _settle(masks: Mapping[Region, Array], question: Asked, follows: Array) -> None:
    """Write what follows into the masks, which stay nested."""
    order = list(REGIONS)
    at = order.index(question.region)
    if question.inside:
        for region in order[: at + 1]:
            masks[region][follows] = True
    else:
        for region in order[at:]:
            masks[region][follows] = False


def as_said(labels: Labels, allowed: Labels) -> Labels:
    """The labels with every voxel that was spoken of at the nearest class that it may be."""
    wrong = (allowed != 0) & ((allowed >> labels) & 1 == 0)
    if wrong.any():
        steps = np.array([(c, c - 1, c + 1, c - 2, c + 2, c - 3, c + 3) for c in range(4)])
        corrected = labels[wrong]
        for column in steps.T[::-1]:
            replacements = column[labels[wrong]]
            fits = (replacements >= 0) & (replacements <= 3)
            fits[fits] = (allowed[wrong][fits] >> replacements[fits].astype(np.uint8)) & 1 == 1
            corrected[fits] = replacements[fits]
        labels[wrong] = corrected
    return labels
