"""The same prompts spread by known methods: scikit-image's random walker, SimpleITK's confidence-connected growing.

Both get what our own rule gets: the sequences of the block around the prompt, the prompt, and what earlier prompts
settled there. As with ours, what a prompt asks of a region is only ever added to (or only taken from) it.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk
from scipy import ndimage
from skimage.segmentation import random_walker

from napari_brain_tumor.geometry import Box
from napari_brain_tumor.interactive import spread as ours
from napari_brain_tumor.interactive.evidence import Asked, Block
from napari_brain_tumor.interactive.prompts import Prompt
from napari_brain_tumor.interactive.rasterise import Touched
from napari_brain_tumor.interactive.scene import Scene
from napari_brain_tumor.labels import REGIONS, classes_from_regions, region_mask

Array = npt.NDArray[Any]

FAR_MM = 20.0
"""A walker needs seeds of both kinds: what is further away than this, and does not follow, stays as it is."""


def peer_spread(
    method: str, scene: Scene, box: Box, labels: Array, said: Array, prompt: Prompt, touched: Touched
) -> Array:
    """Labels of the block after a prompt; `said` is written to, as by `spread`."""
    block = Block(scene, box)
    masks = {region: region_mask(labels, region) for region in REGIONS}
    seeds = touched.inside - box.start
    for region, classes in REGIONS.items():
        told = {value in classes for value in prompt.allowed}
        if len(told) == 1:
            asked = Asked(region, told.pop(), seeds)
            follows = METHODS[method](block, asked, masks[region] == asked.inside, *settled(said, asked, classes))
            follows[tuple(seeds.T)] = True
            ours._settle(masks, asked, follows)
    for region, beyond in ours._beyond(touched, prompt, box, labels.shape):
        follows = np.zeros(labels.shape, bool)
        follows[tuple(beyond.T)] = True
        ours._settle(masks, Asked(region, False, beyond), follows)
        said[tuple(beyond.T)] = sum(1 << value for value in range(4) if value not in REGIONS[region])
    said[tuple(seeds.T)] = sum(1 << value for value in prompt.allowed)
    return ours._as_said(classes_from_regions(np.stack(list(masks.values()))), said)


def settled(said: Array, asked: Asked, classes: tuple[int, ...]) -> tuple[Array, Array]:
    is_in, is_out = ours._settled(said, classes)
    return (is_in, is_out) if asked.inside else (is_out, is_in)


def walk(block: Block, asked: Asked, follows: Array, alike: Array, otherwise: Array) -> Array:
    """Grady's random walker (2006, 10.1109/TPAMI.2006.233) on every second voxel: all of them take ten seconds."""
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
    found = random_walker(
        images.astype(float), few, beta=90, mode="cg_j", tol=1e-2, channel_axis=-1, spacing=block.spacing
    )
    full = found.repeat(2, 0).repeat(2, 1).repeat(2, 2)[: follows.shape[0], : follows.shape[1], : follows.shape[2]]
    return (full == 1) & ~otherwise


def grow(block: Block, asked: Asked, follows: Array, alike: Array, otherwise: Array) -> Array:
    """SimpleITK's VectorConfidenceConnected from the prompt's voxels over all sequences."""
    image = sitk.GetImageFromArray(
        np.moveaxis(block.images[block.present > 0], 0, -1).astype(np.float32), isVector=True
    )
    seeds = asked.seeds[:: max(1, len(asked.seeds) // 200)]
    places = [tuple(int(v) for v in seed[::-1]) for seed in seeds]
    grown = sitk.VectorConfidenceConnected(
        image, seedList=places, numberOfIterations=2, multiplier=2.0, initialNeighborhoodRadius=1
    )
    return (sitk.GetArrayFromImage(grown) > 0) & ~otherwise


METHODS = {"random walker": walk, "confidence-connected": grow}
