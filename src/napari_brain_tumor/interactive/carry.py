"""Apply an area drawn on a slice of the scan: exactly on that slice, and carried to the slices beside it."""

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
"""Signed distance of the shapes, in millimetres, at which they count as certain as the network's highest logits."""
_ALIKE: Final = 0.75
"""Share of a part beyond an outline's ring that must look like the outlined area for the part to stay. In 38 sessions,
of parts of 25 pixels, 5 of 6 that were tumour looked like it, and 1 of 19 that were not."""
_NARROW_MM: Final = 1.5
_WIDER: Final = 0.5
"""Between two outlined slices, the network decides within `_NARROW_MM` of the border of the shapes, plus `_WIDER` for
every millimetre away from the drawing."""


@dataclass(frozen=True, slots=True, eq=False)
class Said:
    """Where earlier prompts settled that a region is present in a block, and that it is absent, as `(X, Y, Z)`."""

    is_in: Mask
    is_out: Mask

    @classmethod
    def of(cls, bits_left: Labels, region: Region) -> "Said":
        """Convert from a bit for each class that is still possible at each voxel, 0 where nothing was settled."""
        bits = np.uint8(sum(1 << value for value in REGIONS[region]))
        settled = bits_left != 0
        return cls(settled & (bits_left & ~bits == 0), settled & (bits_left & bits == 0))


def plane_of(touched: Touched) -> tuple[int, int] | None:
    """Return the axis and number of the slice that a drawing lies on; None if it is oblique to all slices."""
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
    """Return the regions that a drawing determines, as they are on its slice afterwards.

    Parameters
    ----------
    prompt : Lasso
    touched : Touched
        The drawing's voxels, on the whole grid.
    plane : (axis, index)
        Axis and number of its slice on the grid.
    block : Block
    labels, said : (X, Y, Z) uint8 array
        Classes, and what was settled, in the block before the drawing.
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
    """Yield the regions that a drawing names directly; changes of others follow from the nesting of regions."""
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
    """Return where an outline decides: inside it, in its ring, and in all parts of the region connected to these.

    A part of the region beyond the ring that looks like the outlined area is not a spill but another part of the
    tumour, and stays. So does a part that was outlined earlier, unless the new line runs through it.
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


Decide = Callable[[Surroundings, Mapping[Region, Mask]], Float32Array]
"""Return the logits `(N, U, V)` of a section's region, given its surroundings and all regions before."""


def carried(
    block: Block,
    section: Section,
    masks: Mapping[Region, Mask],
    said: Said,
    decide: Decide | None,
    planes: Sequence[Plane] = (),
) -> Mask:
    """Return the section's region in a block after the drawing; without `decide`, the shapes alone decide.

    Parameters
    ----------
    block : Block
    section : Section
    masks : mapping of region to (X, Y, Z) bool array
        All regions before the drawing.
    said : Said
        What earlier prompts settled about the section's region.
    decide : callable, optional
    planes : sequence of (axis, index), optional
        All slices on which the region was outlined, as numbers in the block; includes this one if it is outlined.
    """
    before = masks[section.region]
    around = Surroundings(block, section, before, said.is_in, said.is_out, planes)
    could = around.candidates
    after = np.moveaxis(before.copy(), section.axis, 0)
    logits = around.base if decide is None else _weighed(around, decide(around, masks))
    after[could] = logits[could] > 0
    after[section.index] = section.inside
    parts, count = ndimage.label(after)
    if count > 1:  # new parts must be connected to the drawing, or to the region as it was
        hanging = np.zeros(count + 1, bool)
        hanging[parts[around.before]] = True
        hanging[parts[section.index]] = True
        after &= hanging[parts]
    return np.moveaxis(after, 0, section.axis)


def _weighed(around: Surroundings, logits: Float32Array) -> Float32Array:
    """Combine the network's logits with the shapes.

    The shapes alone decide where the inside and outside look alike, and between outlined slices far from their border,
    where the drawing is more reliable than the scans.
    """
    shapes = np.clip(around.base, -_CUT, _CUT)
    weighed: Float32Array = (around.trust * logits + (1 - around.trust) * shapes).astype(np.float32)
    far = np.abs(around.base) > _NARROW_MM + _WIDER * around.nearest
    certain = around.is_between[:, None, None] & far
    weighed[certain] = shapes[certain]
    return weighed
