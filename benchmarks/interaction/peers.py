"""Apply the same prompts with established methods: shape interpolation, and scikit-image's random walker."""

from typing import Any

import numpy as np
from scipy import ndimage
from skimage.segmentation import random_walker

from napari_brain_tumor.geometry import Box
from napari_brain_tumor.interactive import spread as ours
from napari_brain_tumor.interactive.carry import Said
from napari_brain_tumor.interactive.evidence import Asked, Block
from napari_brain_tumor.interactive.interpolation import interpolate_slices
from napari_brain_tumor.interactive.prompts import Prompt
from napari_brain_tumor.interactive.rasterise import Touched, rasterise
from napari_brain_tumor.interactive.refiner import reach_of
from napari_brain_tumor.interactive.scene import Scene
from napari_brain_tumor.labels import REGIONS, Region, classes_from_regions, region_mask
from napari_brain_tumor.study import Segmentation, Study
from napari_brain_tumor.types import Array

FAR_MM = 20.0
"""The walker needs seeds of both kinds: voxels further away than this that do not follow yet are kept unchanged."""


class _Peer:
    """Labels that another method changes in response to prompts, within the same block as our method."""

    def __init__(self, study: Study, segmentation: Segmentation | None) -> None:
        self.study = study
        self.labels = np.zeros(study.grid.shape, np.uint8) if segmentation is None else segmentation.data.copy()
        self.said = np.zeros(study.grid.shape, np.uint8)

    def settle(self, masks: dict[Region, Array], prompt: Prompt, touched: Touched, box: Box) -> Array:
        """Return the classes of a block's masks, with the prompt's own voxels set."""
        at = box.slices
        said = self.said[at]
        for region, beyond in ours._beyond(touched, prompt, box, said.shape):
            said[tuple(beyond.T)] = sum(1 << value for value in range(4) if value not in REGIONS[region])
        said[tuple((touched.inside - box.start).T)] = sum(1 << value for value in prompt.allowed)
        return ours.as_said(classes_from_regions(np.stack(list(masks.values()))), said)


class Shapes(_Peer):
    """Shape-based interpolation between outlined slices (Raya and Udupa 1990), without anything else.

    Beyond these slices, labels stay as they were at the start of the correction. If a region was outlined in several
    planes, the outlines in the plane with the most of them are interpolated; the others are added afterwards.
    """

    def __init__(self, study: Study, segmentation: Segmentation | None) -> None:
        super().__init__(study, segmentation)
        self._drawn: dict[tuple[Region, int], list[int]] = {}

    def apply(self, prompt: Prompt) -> None:
        touched = rasterise(prompt, self.study.grid)
        masks = {region: region_mask(self.labels, region) for region in REGIONS}
        self.labels = self.settle(masks, prompt, touched, Box.whole(self.study.grid.shape))
        for region, axis, index in ours.outlined_by(prompt, touched):
            self._drawn.setdefault((region, axis), []).append(index)
            slices = {along: set(self._drawn.get((region, along), ())) for along in range(3)}
            axis = max(slices, key=lambda along: len(slices[along]))
            if len(slices[axis]) > 1:
                self.labels = interpolate_slices(self.labels, self.study.grid, axis, sorted(slices[axis]), region)
                self.labels = ours.as_said(self.labels, self.said)


class Walker(_Peer):
    """Grady's random walker (2006, 10.1109/TPAMI.2006.233) on every second voxel; on all, it takes ten seconds."""

    def __init__(self, study: Study, segmentation: Segmentation | None) -> None:
        super().__init__(study, segmentation)
        self.scene = Scene(study)

    def apply(self, prompt: Prompt) -> None:
        touched = rasterise(prompt, self.study.grid)
        at = (box := reach_of(touched, self.labels.shape)).slices
        block, said = Block(self.scene, box), self.said[at]
        masks = {region: region_mask(self.labels[at], region) for region in REGIONS}
        seeds = touched.inside - box.start
        for region, classes in REGIONS.items():
            told = {value in classes for value in prompt.allowed}
            if len(told) == 1:
                asked = Asked(region, told.pop(), seeds)
                settled = Said.of(said, region)
                sides = (settled.is_in, settled.is_out) if asked.inside else (settled.is_out, settled.is_in)
                follows = walk(block, asked, masks[region] == asked.inside, *sides)
                follows[tuple(seeds.T)] = True
                ours._settle(masks, asked, follows)
        for region, beyond in ours._beyond(touched, prompt, box, said.shape):
            around = np.zeros(said.shape, bool)
            around[tuple(beyond.T)] = True
            ours._settle(masks, Asked(region, False, beyond), around)
        self.labels[at] = self.settle(masks, prompt, touched, box)


def walk(block: Block, asked: Asked, follows: Array, alike: Array, otherwise: Array) -> Array:
    """Return the voxels that follow the prompt according to a random walk."""
    marks = np.zeros(follows.shape, bool)
    marks[tuple(asked.seeds.T)] = True
    far = ndimage.distance_transform_edt(~marks, sampling=block.spacing) > FAR_MM
    seeds = np.zeros(follows.shape, np.int32)
    seeds[far & ~follows] = 2
    seeds[otherwise] = 2
    seeds[alike | marks] = 1
    few = seeds[::2, ::2, ::2]
    own = np.unique(np.argwhere(marks) // 2, axis=0)
    few[tuple(own[(own < few.shape).all(axis=1)].T)] = 1
    if len(np.unique(few)) < 3:
        return marks
    images = np.moveaxis(block.images[:, ::2, ::2, ::2], 0, -1)[..., block.present > 0]
    options: dict[str, Any] = {"beta": 90, "mode": "cg_j", "tol": 1e-2, "channel_axis": -1, "spacing": block.spacing}
    found = random_walker(images.astype(float), few, **options)
    full = found.repeat(2, 0).repeat(2, 1).repeat(2, 2)[: follows.shape[0], : follows.shape[1], : follows.shape[2]]
    return (full == 1) & ~otherwise
