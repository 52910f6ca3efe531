"""What the outlined slices of a case teach about the rest of it: a classifier of voxels, fitted at every outline.

On an outlined slice it is known of every voxel whether it belongs to the region. On these examples boosted trees are
fitted, as in ilastik (Berg et al. 2019, doi:10.1038/s41592-019-0582-9): they see the scans, smoothed to several widths,
and what the network said. A third of the examples are voxels elsewhere that are as they were, so that one slice does
not decide of a whole tumour.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import Final

import numpy as np
from scipy import ndimage
from threadpoolctl import ThreadpoolController

from napari_brain_tumor.geometry import bounding_box
from napari_brain_tumor.interactive.evidence import Block
from napari_brain_tumor.labels import Region
from napari_brain_tumor.types import Array, Float32Array, Mask

Plane = tuple[int, int]
"""Axis and number of a slice of a block."""

_NEAR_MM: Final = 12.0
"""Voxels further from the region than this are neither examples nor decided."""
_FEWEST: Final = 20
"""Fewer examples of either kind teach nothing."""
_MOST: Final = 8000
"""Examples on outlined slices, evenly left out where there are more."""
_ELSEWHERE: Final = 0.5
"""Examples elsewhere for each of them."""
_SURE: Final = 0.4
"""Voxels elsewhere are examples where the network's probability is this far from a half."""
_TREES: Final = 40
_CUT: Final = 0.01
"""Probabilities are cut here before their logits are taken."""
_SMOOTH_VOXELS: Final = 0.7


def learned_logits(block: Block, region: Region, mask: Mask, planes: Sequence[Plane]) -> Float32Array | None:
    """Logits `(X, Y, Z)` of a region in a block by what is known of its outlined slices.

    Parameters
    ----------
    block : Block
    region : {"WT", "TC", "ET"}
    mask : (X, Y, Z) bool array
        The region, right on the outlined slices.
    planes : sequence of (axis, index)
        The outlined slices.

    Returns
    -------
    (X, Y, Z) float32 array or None
        0 far from the region and outside the brain; None where the slices hold too few examples of either kind.
    """
    box = bounding_box(mask)
    if box is None:
        return None
    x, y, z = (int(np.ceil(_NEAR_MM / side)) for side in block.spacing)
    around = box.grown((x, y, z), mask.shape).slices
    own = mask[around]
    near = ndimage.distance_transform_edt(~own, sampling=block.spacing) < _NEAR_MM
    near &= block.brain[around]
    outlined = on_planes(planes, mask.shape)[around]
    known = [np.flatnonzero(near & outlined & kind) for kind in (own, ~own)]
    if min(map(len, known)) < _FEWEST:
        return None
    elsewhere = near & ~outlined
    logit = block.logit(region)
    if logit is not None:
        elsewhere &= np.abs(1 / (1 + np.exp(-logit[around])) - 0.5) > _SURE
    assumed = [np.flatnonzero(elsewhere & kind) for kind in (own, ~own)]
    features = np.stack([view[around].ravel() for view in block.aspects(region)], axis=1)
    asked = np.flatnonzero(near)
    probability = np.full(near.size, 0.5, np.float32)
    known = _some(known, _MOST)
    assumed = _some(assumed, round(_ELSEWHERE * sum(map(len, known))))
    probability[asked] = _probabilities(features, known, assumed, asked)
    smooth = ndimage.gaussian_filter(
        probability.reshape(near.shape), [_SMOOTH_VOXELS * min(block.spacing) / side for side in block.spacing]
    ).clip(_CUT, 1 - _CUT)
    logits = np.zeros(mask.shape, np.float32)
    logits[around] = np.where(near, np.log(smooth / (1 - smooth)), 0)
    return logits


def on_planes(planes: Sequence[Plane], shape: tuple[int, ...]) -> Mask:
    """The voxels of some slices of a block."""
    mask = np.zeros(shape, bool)
    for axis, index in planes:
        np.moveaxis(mask, axis, 0)[index] = True
    return mask


@lru_cache(maxsize=1)
def libraries() -> ThreadpoolController:
    """The libraries that prompts are computed with, the classifier's loaded too: it would else delay the first outline.

    Their threads wait for each other much longer than they compute when other programs use the processor too, such as a
    training: prompts take one thread.
    """
    import sklearn.ensemble  # noqa: F401

    return ThreadpoolController()


def _some(kinds: Sequence[Array], most: int) -> list[Array]:
    """Evenly fewer voxels of the kind that there is more of, or of both: `most` together."""
    fewer = min(most // 2, *map(len, kinds))
    return [at[:: max(1, -(-len(at) // (most - fewer)))] for at in kinds]


def _probabilities(features: Array, known: Sequence[Array], assumed: Sequence[Array], asked: Array) -> Float32Array:
    from sklearn.ensemble import HistGradientBoostingClassifier  # loading it takes a second

    trees = HistGradientBoostingClassifier(
        learning_rate=6 / _TREES,
        max_iter=_TREES,
        max_leaf_nodes=15,
        min_samples_leaf=30,
        l2_regularization=5.0,
        max_bins=63,
        early_stopping=False,
    )
    inside, outside, inside_elsewhere, outside_elsewhere = map(len, (*known, *assumed))
    truth = np.repeat([True, False, True, False], [inside, outside, inside_elsewhere, outside_elsewhere])
    trees.fit(features[np.concatenate([*known, *assumed])], truth)
    found: Float32Array = trees.predict_proba(features[asked])[:, 1].astype(np.float32)
    return found
