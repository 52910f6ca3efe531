"""What is drawn around an area on a slice of the scan: exact there, and carried to the slices beside it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from napari_brain_tumor.geometry import Box
from napari_brain_tumor.interactive.evidence import Block
from napari_brain_tumor.interactive.prompts import BORDERED, Lasso
from napari_brain_tumor.interactive.rasterise import Touched
from napari_brain_tumor.interactive.section import Section, Surroundings, may_leave
from napari_brain_tumor.interactive.verdict import Verdict
from napari_brain_tumor.labels import REGIONS, Region, region_mask
from napari_brain_tumor.types import Array, Float32Array, Labels, Mask

__all__ = ["Said", "carried", "plane_of", "sections_of"]


_TOUCHING: Final = np.ones((3, 3), bool)
_DECIDED: Final = np.float32(4.0)
"""Logits are cut here, so that neighbours can be outvoted."""
_STAYS: Final = 2.0
"""By how much the odds must speak against what a voxel is, in logits, for it to change, where less than `_RIGHT` was
wrong on the slice; nothing where more than `_WRONG` was. So what is good stays: one prompt in fifteen instead of one in
five then did harm further away (sections of three training patients that the weights had not seen)."""
_FAR_STAYS: Final = 0.75
"""By how much more for tumour to go, for every two radii of the error on the slice that a voxel is away from it."""
_RIGHT: Final = 0.05
_WRONG: Final = 0.4
_SHAPE: Final = 0.15
_BETWEEN: Final = 0.5
"""Logits for every millimetre of depth in the shapes, beside what `verdict` makes of it: beyond outlined slices, where
there was something before, and between two, where the shapes know more."""
_CUT_MM: Final = 6.0
_NESTED: Final = 1.5
"""By how much the regions within and around speak for or against a voxel, in logits."""
_SURROUNDED: Final = 0.9
"""Share of what was drawn that must lie within the region around it for that to speak."""
_BAND_MM: Final = 4.0
"""How far from the border that the shapes give the scans decide, beside what was drawn."""
_NARROW_MM: Final = 1.5
"""The same between two outlined slices."""
_WIDER_BETWEEN: Final = 0.5
_WIDER_OUTSIDE: Final = 0.75
_FROM_NOTHING: Final = 2.0
_WIDER_INSIDE: Final = 0.25
"""By how much that is further for every millimetre away from what was drawn; outside it most where nothing was yet."""
_SMOOTH_VOXELS: Final = 0.7
"""Width of the Gaussian over which neighbours agree."""


@dataclass(frozen=True, slots=True, eq=False)
class Said:
    """What earlier prompts settled of a region in a block: `(X, Y, Z)` where it is, and where it is not."""

    is_in: Mask
    is_out: Mask

    @classmethod
    def of(cls, bits_left: Labels, region: Region) -> "Said":
        """From a bit for every class that is still possible at each voxel, 0 where nothing was said."""
        bits = np.uint8(sum(1 << value for value in REGIONS[region]))
        settled = bits_left != 0
        return cls(settled & (bits_left & ~bits == 0), settled & (bits_left & bits == 0))


def plane_of(touched: Touched) -> tuple[int, int] | None:
    """Axis and number of the one slice of the scan that a drawing lies on; None where it lies aslant of all."""
    both = np.concatenate([touched.inside, touched.around])
    extent = np.ptp(both, axis=0)
    flat = np.flatnonzero(extent == 0)
    if not len(flat):
        return None
    axis = int(flat[0])
    return axis, int(touched.inside[0, axis])


def sections_of(
    prompt: Lasso, touched: Touched, plane: tuple[int, int], box: Box, labels: Labels, said: Labels
) -> list[Section]:
    """The regions of which a drawing says something, as they are on its slice after it.

    Parameters
    ----------
    prompt : Lasso
    touched : Touched
        Its voxels, on the whole grid.
    plane : (axis, index)
        Its slice of the grid.
    box : Box
        The block.
    labels, said : (X, Y, Z) uint8 array
        Of the block, before.
    """
    axis, index = plane[0], plane[1] - box.start[plane[0]]
    flat_labels, flat_said = np.take(labels, index, axis), np.take(said, index, axis)
    drawn, around = (_flat_mask(part, box, axis, flat_labels.shape) for part in (touched.inside, touched.around))
    sections = []
    for region in _named(prompt):
        inside = prompt.inside(region)
        was = region_mask(flat_labels, region)
        if prompt.border:
            settled = _decided_by_border(drawn, around, was, Said.of(flat_said, region).is_in)
            sections.append(Section(region, axis, index, np.where(settled, drawn, was), settled, True))
        elif inside is not None and (was[drawn] != inside).any():
            sections.append(Section(region, axis, index, np.where(drawn, inside, was), drawn, False))
    return sections


def _named(prompt: Lasso) -> Iterator[Region]:
    """The regions that a drawing is about; what nesting says of the others with them follows by itself."""
    if prompt.border:
        yield BORDERED[prompt.label]
        return
    yield from [region for region in REGIONS if prompt.inside(region)][-1:]
    yield from [region for region in REGIONS if prompt.inside(region) is False][:1]


def _flat_mask(voxels: npt.NDArray[np.intp], box: Box, axis: int, shape: tuple[int, ...]) -> Mask:
    mask = np.zeros(shape, bool)
    own = np.delete(voxels - box.start, axis, axis=1)
    own = own[((own >= 0) & (own < shape)).all(axis=1)]
    mask[tuple(own.T)] = True
    return mask


def _decided_by_border(drawn: Mask, around: Mask, was: Mask, said_in: Mask) -> Mask:
    """Where an outline decides: within it, around it, and wherever the region hangs together with both on the slice.

    Another part of the region that was outlined before stays, unless the new line runs through it.
    """
    parts, _ = ndimage.label(was, _TOUCHING)
    hanging = np.isin(parts, np.unique(parts[(drawn | around) & was])) & was
    settled = drawn | around | hanging
    earlier, _ = ndimage.label(said_in & was, _TOUCHING)
    crossed = np.unique(earlier[drawn])
    decided: Mask = settled & ~((earlier > 0) & ~np.isin(earlier, crossed))
    return decided


def carried(
    block: Block,
    section: Section,
    masks: Mapping[Region, Mask],
    said: Said,
    others: Sequence[int],
    verdict: Verdict | None,
) -> Mask:
    """The section's region in a block after it was drawn; only the shapes decide where there is no verdict.

    Parameters
    ----------
    block : Block
    section : Section
    masks : mapping of region to (X, Y, Z) bool array
        All regions before.
    said : Said
        What earlier prompts settled of the section's region.
    others : sequence of int
        Further slices along the section's axis on which the region was outlined, in the block's numbers.
    verdict : Verdict, optional
    """
    before = masks[section.region]
    around = Surroundings(block, section, before, said.is_in, said.is_out, others)
    could = around.candidates()
    after = np.moveaxis(before.copy(), section.axis, 0)
    base = around.base
    logits = np.where(base > 0, _DECIDED, -_DECIDED)
    if verdict is not None and could.any():
        where = np.nonzero(could & _doubtful(around))
        beyond = _SHAPE if around.before.any() else 0.0
        depth = np.clip(base[where], -_CUT_MM, _CUT_MM)
        shapes = np.where(around.is_between[where[0]], _BETWEEN, beyond) * depth
        scans = verdict.logits(around.evidence(where)) + np.moveaxis(_nesting(section, masks), section.axis, 0)[where]
        scans += _stays(around, where)
        speak = around.trust * (scans + shapes) + (1 - around.trust) * depth
        logits[where] = np.clip(speak, -_DECIDED, _DECIDED)
    logits[~could] = np.where(after[~could], _DECIDED, -_DECIDED)
    logits[section.index] = np.where(section.inside, _DECIDED, -_DECIDED)
    after[could] = ndimage.gaussian_filter(logits, _SMOOTH_VOXELS, truncate=2.5)[could] > 0
    after[section.index] = section.inside
    gone = around.before[section.index] & ~section.inside
    may = may_leave(gone, around.away, around.spacing[1:]) | around.is_between[:, None, None]
    after |= around.before & could & ~may
    parts, count = ndimage.label(after)
    if count > 1:  # what is new hangs together with the drawing, or with what was there
        hanging = np.zeros(count + 1, bool)
        hanging[parts[around.before]] = True
        hanging[parts[section.index]] = True
        after &= hanging[parts]
    return np.moveaxis(after, 0, section.axis)


def _stays(around: Surroundings, where: tuple[Array, ...]) -> Float32Array:
    """How much speaks for what voxels were: more, the more was right on the slice; and for tumour the further it is."""
    stays = float(np.interp(around.wrong, (_RIGHT, _WRONG), (_STAYS, 0)))
    far = np.clip(around.away[where[0]] / (2 * around.error) - 0.5, 0, 2)
    logits: Float32Array = np.where(around.before[where], stays + _FAR_STAYS * far, -stays).astype(np.float32)
    return logits


def _doubtful(around: Surroundings) -> Mask:
    """Where the scans decide: in a band around the shapes' border, the wider the further from all that was drawn."""
    away = around.nearest
    wider = _WIDER_OUTSIDE if around.before.any() else _FROM_NOTHING
    outside, inside = _BAND_MM + wider * away, _BAND_MM + np.minimum(_WIDER_INSIDE * away, _BAND_MM)
    narrow = _NARROW_MM + _WIDER_BETWEEN * away
    between, base = around.is_between[:, None, None], around.base
    if not around.section.border:  # around an error alone: the scans may only speak against what the shapes change
        narrowed: Mask = (base > 0) != around.before
        return narrowed
    doubtful: Mask = (base > -np.where(between, narrow, outside)) & (base < np.where(between, narrow, inside))
    return doubtful


def _nesting(section: Section, masks: Mapping[Region, Mask]) -> Float32Array:
    """How much the other regions speak for a voxel: for it where one within it lies, against it where none is around.

    What surrounds says nothing where it was not there to begin with.
    """
    order = list(REGIONS)
    at = order.index(section.region)
    logits = np.zeros(masks[section.region].shape, np.float32)
    for inner in order[at + 1 :]:
        logits[masks[inner]] = _NESTED
    for outer in order[max(0, at - 1) : at]:
        flat = np.take(masks[outer], section.index, section.axis)
        if section.inside.any() and flat[section.inside].mean() > _SURROUNDED:
            logits[~masks[outer]] = -_NESTED
    return logits
