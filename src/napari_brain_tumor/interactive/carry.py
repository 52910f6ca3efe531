"""What is drawn around an area on a slice of the scan: exact there, and carried to the slices beside it."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from napari_brain_tumor.geometry import Box
from napari_brain_tumor.interactive.evidence import Block
from napari_brain_tumor.interactive.prompts import BORDERED, Lasso
from napari_brain_tumor.interactive.rasterise import Touched
from napari_brain_tumor.interactive.section import Section, Surroundings, resembles
from napari_brain_tumor.interactive.tissue import Plane
from napari_brain_tumor.labels import REGIONS, Region, region_mask
from napari_brain_tumor.types import Float32Array, Labels, Mask

_TOUCHING: Final = np.ones((3, 3), bool)
_CUT: Final = 4.0
"""Millimetres of depth in the shapes at which they are as sure as the network ever is."""
_ALIKE: Final = 0.75
"""Share of a part beyond an outline's ring that must look like what was outlined for it to stay: in 38 sessions 5 of 6
parts that were tumour looked so, and 1 of 19 that were not, of 25 pixels."""
_NARROW_MM: Final = 1.5
_WIDER: Final = 0.5
"""How far from the border of the shapes the network decides between two outlined slices, and by how much that is more
for every millimetre away from what was drawn."""


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
    prompt: Lasso, touched: Touched, plane: tuple[int, int], block: Block, labels: Labels, said: Labels
) -> list[Section]:
    """The regions of which a drawing says something, as they are on its slice after it.

    Parameters
    ----------
    prompt : Lasso
    touched : Touched
        Its voxels, on the whole grid.
    plane : (axis, index)
        Its slice of the grid.
    block : Block
    labels, said : (X, Y, Z) uint8 array
        Of the block, before.
    """
    box, axis = block.box, plane[0]
    index = plane[1] - box.start[axis]
    flat_labels, flat_said = np.take(labels, index, axis), np.take(said, index, axis)
    drawn, around = (_flat_mask(part, box, axis, flat_labels.shape) for part in (touched.inside, touched.around))
    sections = []
    for region in _named(prompt):
        inside = prompt.inside(region)
        was = region_mask(flat_labels, region)
        if prompt.border:
            brain = np.take(block.brain, index, axis)

            def alike(region: Region = region, brain: Mask = brain) -> Mask:
                views = [np.take(view, index, axis) for view in block.views(region)]
                return resembles(views, drawn & brain, around & brain)

            settled = _decided_by_border(drawn, around, was, Said.of(flat_said, region).is_in, alike)
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


def _decided_by_border(drawn: Mask, around: Mask, was: Mask, said_in: Mask, alike: Callable[[], Mask]) -> Mask:
    """Where an outline decides: within it, around it, and wherever the region hangs together with both on the slice.

    What lies beyond that ring and looks like what is within the line is no spill, but another part of the tumour to
    which the labels led: it stays. So does another part that was outlined before, unless the new line runs through it.
    """
    parts, _ = ndimage.label(was, _TOUCHING)
    hanging = np.isin(parts, np.unique(parts[(drawn | around) & was])) & was
    earlier, _ = ndimage.label(said_in & was, _TOUCHING)
    crossed = np.isin(earlier, np.unique(earlier[drawn & (earlier > 0)]))
    beyond, count = ndimage.label(hanging & ~drawn & ~around & ~crossed, _TOUCHING)
    if count:
        shares = ndimage.mean(alike(), beyond, np.arange(count + 1))
        hanging &= ~((beyond > 0) & (shares > _ALIKE)[beyond])
    decided: Mask = (drawn | around | hanging) & ~((earlier > 0) & ~crossed)
    return decided


Decide = Callable[[Surroundings, Mapping[Region, Mask], Mask], Float32Array]
"""Logits `(N, U, V)` of a region around a section, of all its regions before, and where something may change."""


def carried(
    block: Block,
    section: Section,
    masks: Mapping[Region, Mask],
    said: Said,
    decide: Decide | None,
    planes: Sequence[Plane] = (),
) -> Mask:
    """The section's region in a block after it was drawn; only the shapes decide where `decide` is missing.

    Parameters
    ----------
    block : Block
    section : Section
    masks : mapping of region to (X, Y, Z) bool array
        All regions before.
    said : Said
        What earlier prompts settled of the section's region.
    decide : callable, optional
    planes : sequence of (axis, index), optional
        All slices on which the region was outlined, this one too if it is now, in the block's numbers.
    """
    before = masks[section.region]
    around = Surroundings(block, section, before, said.is_in, said.is_out, planes)
    could = around.candidates
    after = np.moveaxis(before.copy(), section.axis, 0)
    logits = around.base if decide is None else _weighed(around, decide(around, masks, could))
    after[could] = logits[could] > 0
    after[section.index] = section.inside
    parts, count = ndimage.label(after)
    if count > 1:  # what is new hangs together with the drawing, or with what was there
        hanging = np.zeros(count + 1, bool)
        hanging[parts[around.before]] = True
        hanging[parts[section.index]] = True
        after &= hanging[parts]
    return np.moveaxis(after, 0, section.axis)


def _weighed(around: Surroundings, logits: Float32Array) -> Float32Array:
    """What is decided, beside the shapes.

    These decide alone where inside and outside look alike, and between outlined slices far from the border that they
    give: there the drawing is stronger than the scans.
    """
    shapes = np.clip(around.base, -_CUT, _CUT)
    weighed: Float32Array = (around.trust * logits + (1 - around.trust) * shapes).astype(np.float32)
    certain = _certain(around)
    weighed[certain] = shapes[certain]
    return weighed


def _certain(around: Surroundings) -> Mask:
    """Where the shapes of two outlined slices alone decide what lies between them."""
    far: Mask = np.abs(around.base) > _NARROW_MM + _WIDER * around.nearest
    return around.is_between[:, None, None] & far
