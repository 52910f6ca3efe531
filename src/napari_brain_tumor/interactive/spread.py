"""Spread a prompt from its own voxels to the labels of the block around it."""

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
from napari_brain_tumor.interactive.tissue import Plane
from napari_brain_tumor.interactive.verdict import Verdict, shipped_verdict
from napari_brain_tumor.labels import REGIONS, Region, classes_from_regions, region_mask
from napari_brain_tumor.preprocessing.intensity import largest_component
from napari_brain_tumor.types import Array, Labels

Question = tuple[Asked, npt.NDArray[np.intp], npt.NDArray[np.float32]]
"""The request for a region, the voxels that could follow, and their evidence."""

Outlined = tuple[Region, int, int]
"""A region outlined on a slice of the grid, with the slice's axis and number."""

_NOWHERE: Final = np.empty((0, 3), np.intp)
_ANY_CLASS: Final = np.uint8(15)

_HARDLY: Final = 0.02
"""Share of a prompt's voxels that must be wrong in a region for the prompt to spread in it."""

_DECIDED: Final = np.float32(4.0)
"""Logits are clipped here, so that neighbours can outvote a voxel."""

_SURER: Final = 1.0
"""Logit above which a stroke, click or box that removes takes a voxel away; for adding it is 0."""

_MOST_REMOVED: Final = 0.25
"""Largest share of a tumour's largest part that a stroke, click or box can remove, besides its own voxels."""

_SMOOTH_VOXELS: Final = 1.0
"""Standard deviation of the Gaussian that smooths the decisions of neighbouring voxels."""

_CRUMB_MM3: Final = 500.0
"""Parts of a region with at least this volume never count as crumbs."""

_TOUCHING: Final = ndimage.generate_binary_structure(3, 3)

_MIDDLE: Final = 0.4
"""Share of a box's edge lengths within which every voxel is assumed to be what the box names."""


def apply_prompt(
    scene: Scene,
    box: Box,
    labels: Labels,
    said: Labels,
    prompt: Prompt,
    touched: Touched,
    outlined: Set[Outlined] = frozenset(),
) -> Labels:
    """Return the labels `(X, Y, Z)` of a block after a prompt: `outline` for areas on a scan's slice, else `spread`.

    Parameters
    ----------
    scene : Scene
    box : Box
        The block on the grid.
    labels : (X, Y, Z) uint8 array
        Classes in the block before the prompt.
    said : (X, Y, Z) uint8 array
        What earlier prompts settled, a bit for each class still possible; updated in place with what this one settles.
    prompt : Prompt
    touched : Touched
        The prompt's voxels, on the whole grid.
    outlined : set of (region, axis, index)
        Slices of the grid on which regions were outlined earlier.
    """
    plane = plane_of(touched)
    tells = any(prompt.inside(region) is not None for region in REGIONS)
    if isinstance(prompt, Lasso) and plane is not None and tells:
        return outline(scene, box, labels, said, prompt, touched, plane, outlined, follow)
    return spread(scene, box, labels, said, prompt, touched, outlined=outlined)


def outlined_by(prompt: Prompt, touched: Touched) -> frozenset[Outlined]:
    """Return the slice of the grid on which a prompt outlines a region; empty for most prompts."""
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
    """Return the labels `(X, Y, Z)` of a block after an area was drawn on a slice; see `spread` for other parameters.

    Parameters
    ----------
    plane : (axis, index)
        Axis and number of the slice of the grid.
    outlined : set of (region, axis, index)
        Slices of the grid on which regions were outlined earlier.
    decide : callable, optional
        Decides what changes on the neighbouring slices; without it, the shapes alone decide.
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


def _planes(region: Region, outlined: Set[Outlined], box: Box) -> list[Plane]:
    """Return the axis and number, within a block, of the slices on which a region was outlined."""
    inside = ((axis, at - box.start[axis]) for other, axis, at in outlined if other == region)
    return sorted((axis, at) for axis, at in inside if 0 <= at < box.shape[axis])


def _say(said: Labels, section: Section) -> None:
    """Record what a section settles, keeping what was settled at the same voxels before if the two agree."""
    bits = np.uint8(sum(1 << value for value in REGIONS[section.region]))
    now = np.where(section.inside, bits, ~bits & _ANY_CLASS).astype(np.uint8)
    flat = np.moveaxis(said, section.axis, 0)[section.index]
    flat[section.told] = _agreed(flat, now)[section.told]


def _agreed(before: Labels, now: Labels | np.uint8) -> Labels:
    """Return the classes possible according to both, or according to `now` alone where they contradict each other."""
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
    """Return the labels `(X, Y, Z)` of a block after a prompt, which spreads to similar, connected voxels.

    Parameters
    ----------
    scene : Scene
    box : Box
        The block on the grid.
    labels : (X, Y, Z) uint8 array
        Classes in the block before the prompt.
    said : (X, Y, Z) uint8 array
        What earlier prompts settled, a bit for each class still possible; updated in place with what this one settles.
    prompt : Prompt
    touched : Touched
        The prompt's voxels, on the whole grid.
    verdict : Verdict, optional
        Decides from the evidence; defaults to the one shipped with the package.
    outlined : set of (region, axis, index)
        Slices of the grid on which regions were outlined earlier; the prompt does not spread beyond them.
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
    """Return where earlier prompts settled the opposite of the request."""
    settled = Said.of(said, asked_voxels.region)
    return settled.is_out if asked_voxels.inside else settled.is_in


def _behind(outlined: Set[Outlined], asked: Asked, box: Box, shape: tuple[int, ...]) -> Array:
    """Return voxels on or beyond a slice on which the region was outlined earlier, as seen from the prompt."""
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
    """Return where a region may be removed after a prompt removed part of it on one slice; everywhere for others."""
    if plane is None:
        return np.ones(leaves.shape, bool)
    axis, index = plane[0], plane[1] - block.box.start[plane[0]]
    away = np.abs(np.arange(leaves.shape[axis]) - index) * block.spacing[axis]
    spacing = [side for other, side in enumerate(block.spacing) if other != axis]
    return np.moveaxis(may_leave(np.take(leaves, index, axis), away, spacing), 0, axis)


def _no_more_than(leaves: Array, mask: Array, asked: Asked, spacing: tuple[float, float, float]) -> Array:
    """Limit removal from the tumour's largest part to the voxels nearest to the prompt, up to a share of that part."""
    largest = largest_component(mask, _TOUCHING)
    most, lost = int(_MOST_REMOVED * largest.sum()), leaves & largest
    if not len(asked.seeds) or lost.sum() <= most:
        return np.ones(mask.shape, bool)
    distance = ndimage.distance_transform_edt(~_mask(asked.seeds, mask.shape), sampling=spacing)
    limit = np.partition(distance[lost], most)[most]
    nearest: Array = ~largest | (distance < limit)
    return nearest


def _hanging(follows: Array, mask: Array, asked: Asked) -> Array:
    """Remove parts that are not connected to the prompt; a growing region may connect them through its own voxels."""
    if not len(asked.seeds) or not follows.any():
        return follows
    parts, _ = ndimage.label(follows | mask if asked.inside else follows, _TOUCHING)
    own = np.unique(parts[tuple(asked.seeds.T)])
    return follows & np.isin(parts, own[own > 0])


def _bounded(after: Labels, before: Labels, prompt: Prompt) -> Labels:
    """Undo all changes other than those that the prompt names.

    Marking a class adds voxels to it, "not this" removes voxels from it, and a border does both. Nothing else changes,
    although evidence for a class is also evidence for the regions around it.
    """
    values = PROMPT_LABELS[prompt.label]
    was, becomes = np.isin(before, values), np.isin(after, values)
    joins, leaves = becomes & ~was, was & ~becomes
    both = isinstance(prompt, Lasso) and prompt.border
    intended = joins | leaves if both else joins if prompt.add else leaves
    return np.where(intended, after, before)


def ask(block: Block, labels: Labels, said: Labels, prompt: Prompt, touched: Touched) -> Iterator[Question]:
    """Yield a prompt's request for each region that it affects, with the evidence; see `spread` for the parameters."""
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
        # A line that stops before a voxel says that its label is right; a border says that the voxel is outside.
        ends = inside and region in dict(bordered)
        stays = around if ends else around & (region_mask(labels, region) != inside)
        outline = prompt.kind in ("lasso", "box")
        yield _question(block, labels, said, Asked(region, inside, seeds), stays, outline=outline)


def _question(
    block: Block, labels: Labels, allowed: Labels, request: Asked, stays: Array, *, outline: bool
) -> Question:
    """Return the request for those voxels of the prompt that are still wrong, with evidence if there are enough."""
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
    """Return the region that a border encloses and the voxels outside it; empty if the prompt is not a border."""
    if not isinstance(prompt, Lasso) or not prompt.border:
        return []
    beyond = _within(touched.around, box, shape)
    return [(BORDERED[prompt.label], beyond)] if len(beyond) else []


def _within(voxels: npt.NDArray[np.intp], box: Box, shape: tuple[int, ...]) -> npt.NDArray[np.intp]:
    """Convert voxels of the grid to voxels of the block, without those outside it."""
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
    """Return the classes that the prompt allows; if it excludes a class between two others, only the likelier side."""
    allowed = prompt.allowed
    if any(len({value in classes for value in allowed}) == 1 for classes in REGIONS.values()):
        return allowed
    least = min(value for value in range(4) if value not in allowed)
    outer, inner = tuple(v for v in allowed if v < least), tuple(v for v in allowed if v > least)
    return inner if _inner_share(block, labels, seeds, least) > 0.5 else outer


def _inner_share(block: Block, labels: Labels, seeds: npt.NDArray[np.intp], value: int) -> float:
    """Return how likely voxels not of this class are of one inside it, by the network or else by nearby labels."""
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
    """Return the candidates whose logits, after smoothing across neighbours, exceed `least`."""
    decided = np.zeros(shape, bool)
    if len(candidates):
        at = tuple(candidates.T)
        logits = np.zeros(shape, np.float32)
        logits[at] = np.clip(np.log((chance + 1e-4) / (1 - chance + 1e-4)) - least, -_DECIDED, _DECIDED)
        decided[at] = ndimage.gaussian_filter(logits, _SMOOTH_VOXELS, truncate=2.5)[at] > 0
    return decided


def _with_crumbs(follows: Array, mask: Array, question: Asked, spacing: tuple[float, float, float]) -> None:
    """Include what would be left over as crumbs of a removed region, or as holes in a growing one.

    Crumbs are connected parts that do not touch the sides of the block and are smaller than `_CRUMB_MM3` and than a
    tenth of what follows.
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
    """Update the masks with what follows, keeping the regions nested."""
    order = list(REGIONS)
    at = order.index(question.region)
    if question.inside:
        for region in order[: at + 1]:
            masks[region][follows] = True
    else:
        for region in order[at:]:
            masks[region][follows] = False


def as_said(labels: Labels, allowed: Labels) -> Labels:
    """Change each voxel that prompts have settled to the nearest class that it may have."""
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
