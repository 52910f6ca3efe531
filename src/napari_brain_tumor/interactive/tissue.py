"""A voxel classifier trained on the outlined slices of a case, and trained again after each outline.

On an outlined slice every voxel is known to be inside or outside the region. Boosted trees are fitted to these examples
as in ilastik (Berg et al. 2019, doi:10.1038/s41592-019-0582-9); their inputs are the scans at several levels of
smoothing and the network's logits. A third of the examples are unchanged voxels elsewhere, so that a single slice does
not determine the labels of a whole tumour.
"""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from napari_brain_tumor.interactive.evidence import Block, gaussian_smooth
from napari_brain_tumor.interactive.threads import in_threads, shared_out, single_threaded
from napari_brain_tumor.labels import Region
from napari_brain_tumor.types import Array, Float32Array, Mask

Plane = tuple[int, int]
"""Axis and number of a slice in a block."""

NEAR_MM: Final = 12.0
"""Voxels further than this from the region are not used as examples."""
_FEWEST: Final = 20
"""With fewer examples than this, inside or outside, nothing is learned."""
_MOST: Final = 8000
"""Largest number of examples from outlined slices; more are thinned evenly."""
_ELSEWHERE: Final = 0.5
"""Number of examples from elsewhere for each example from an outlined slice."""
_SURE: Final = 2.2
"""Voxels elsewhere are examples if their labels agree with the network at this logit (probability .9) or above."""
_TREES: Final = 40
_CUT: Final = 0.01
"""Probabilities are clipped to this value before their logits are computed."""
_SMOOTH_VOXELS: Final = 0.7
"""Standard deviation of the Gaussian over the predicted voxels, every second one; it also fills in the others."""
_LEAST_NEARBY: Final = 0.01


def learned_logits(
    block: Block, region: Region, planes: Sequence[Plane], mask: Mask, near: Mask, asked: Mask
) -> Float32Array | None:
    """Return the logits `(X, Y, Z)` of a region in a block, learned from its outlined slices.

    Parameters
    ----------
    block : Block
    region : {"WT", "TC", "ET"}
    planes : sequence of (axis, index)
        The outlined slices.
    mask : (X, Y, Z) bool array
        The region, which is correct on the outlined slices.
    near : (X, Y, Z) bool array
        Voxels within `NEAR_MM` of the region, from which examples are taken.
    asked : (X, Y, Z) bool array
        Voxels for which logits are needed.

    Returns
    -------
    (X, Y, Z) float32 array or None
        0 at other voxels; None if the outlined slices contain too few examples inside or outside the region.
    """
    near = near & block.brain
    outlined = on_planes(planes, mask.shape)
    known = _some([np.flatnonzero(near & outlined & kind) for kind in (mask, ~mask)], _MOST)
    if min(map(len, known)) < _FEWEST:
        return None
    assumed = [np.empty(0, np.intp)] * 2
    logit = block.logit(region)
    if logit is not None:
        elsewhere = near & ~outlined
        sure = [np.flatnonzero(elsewhere & (sign * logit > _SURE) & kind) for sign, kind in ((1, mask), (-1, ~mask))]
        assumed = _some(sure, round(_ELSEWHERE * sum(map(len, known))))
    every_second = asked & (sum(np.ogrid[tuple(map(slice, asked.shape))]) % 2 == 0)
    at = np.flatnonzero(every_second)
    if not len(at):
        return None
    features = [view.ravel() for view in block.aspects(region)]
    examples = [np.stack([f[part] for f in features], axis=1) for part in (*known, *assumed)]
    seen = np.zeros((2, *mask.shape), np.float32)
    seen[0, every_second] = _probabilities(examples, np.stack([f[at] for f in features], axis=1))
    seen[1] = every_second
    total, count = gaussian_smooth(seen, _SMOOTH_VOXELS * min(block.spacing), block.spacing)
    known_nearby = asked & (count > _LEAST_NEARBY)
    probability = (total[known_nearby] / count[known_nearby]).clip(_CUT, 1 - _CUT)
    logits = np.zeros(mask.shape, np.float32)
    logits[known_nearby] = np.log(probability / (1 - probability))
    return logits


def on_planes(planes: Sequence[Plane], shape: tuple[int, ...]) -> Mask:
    """Return a mask of the given slices of a block."""
    mask = np.zeros(shape, bool)
    for axis, index in planes:
        np.moveaxis(mask, axis, 0)[index] = True
    return mask


def classifier() -> type[Any]:
    """Return the class of the classifier; importing it takes a second."""
    from sklearn.ensemble import HistGradientBoostingClassifier

    kind: type[Any] = HistGradientBoostingClassifier
    return kind


def _some(kinds: Sequence[Array], most: int) -> list[Array]:
    """Thin out voxels evenly to at most `most` in total, starting with the more frequent kind."""
    fewer = min(most // 2, *map(len, kinds))
    return [at[:: max(1, -(-len(at) // (most - fewer)))] for at in kinds]


def _probabilities(examples: Sequence[Array], asked: Array) -> Float32Array:
    trees = classifier()(
        learning_rate=6 / _TREES,
        max_iter=_TREES,
        max_leaf_nodes=15,
        min_samples_leaf=30,
        l2_regularization=5.0,
        max_bins=63,
        early_stopping=False,
    )
    truth = np.repeat([True, False, True, False], list(map(len, examples)))
    with single_threaded():  # also limits libraries that were loaded just now
        trees.fit(np.concatenate(examples), truth)

    def predicted(part: slice) -> Array:
        with single_threaded("openmp"):
            probabilities: Array = trees.predict_proba(asked[part])[:, 1]
        return probabilities

    return np.concatenate(in_threads(predicted, shared_out(len(asked)))).astype(np.float32)
