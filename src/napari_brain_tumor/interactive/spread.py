"""How far a prompt reaches: from its voxels to the labels of the block around it."""

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from napari_brain_tumor.geometry import Box
from napari_brain_tumor.interactive.prompts import Prompt
from napari_brain_tumor.interactive.rasterise import Touched
from napari_brain_tumor.interactive.scene import Scene

__all__ = ["spread"]

Array = npt.NDArray[Any]
Labels = npt.NDArray[np.uint8]


def spread(scene: Scene, box: Box, labels: Labels, said: Labels, prompt: Prompt, touched: Touched) -> Labels:
    """Labels `(X, Y, Z)` of a block after a prompt.

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
    """
    inside = tuple((touched.inside - box.start).T)
    allowed = prompt.allowed
    said[inside] = sum(1 << value for value in allowed)
    images = scene.intensities(box)
    seeds = images[(slice(None), *inside)]
    middle, width = seeds.mean(axis=1), seeds.std(axis=1) + 0.5
    alike = (np.abs(images - middle[:, None, None, None]) < 2 * width[:, None, None, None]).all(axis=0)
    alike[inside] = True
    marks = np.zeros(labels.shape, bool)
    marks[inside] = True
    reached = ndimage.binary_propagation(marks, mask=alike) & (ndimage.distance_transform_edt(~marks) < 12)
    after = labels.copy()
    target = allowed[0] if prompt.label not in ("whole tumour", "tumour core") or not prompt.add else allowed[-1]
    change = reached & ~np.isin(labels, allowed) & (said == 0)
    change[inside] = ~np.isin(labels, allowed)[inside]
    after[change] = target
    return after
