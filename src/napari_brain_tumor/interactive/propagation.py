"""Propagate the labels of a slice along the volume, following the anatomy and the intensities at the border.

From one slice to the next, all sequences together determine how the anatomy moves (optical flow of Lucas and Kanade
1981, with all sequences in one least-squares problem), and the outlines move with it. Within a band around the moved
outlines, each voxel is then given the most probable class. The prior is the moved shape. The likelihood comes from the
intensities: Gaussians with a common covariance (linear discriminant analysis), fitted on the corrected slice and
updated slowly. The likelihood of the same place on the previous slice is partly subtracted: a border that the user drew
but the intensities do not show stays where it is as long as the intensities there do not change.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final, Literal

import numpy as np
from scipy import ndimage
from scipy.special import expit, log_softmax, softmax

from napari_brain_tumor.errors import PromptError
from napari_brain_tumor.interactive.interpolation import signed_distance
from napari_brain_tumor.labels import REGIONS, RESECTION_CAVITY, classes_from_regions, region_mask
from napari_brain_tumor.study import Study
from napari_brain_tumor.types import Array, Labels

Direction = Literal[-1, 1]

_BAND: Final = 5.0
"""Furthest, in millimetres, that an outline can be from where the flow moved it on the next slice."""
_SURROUNDINGS: Final = 15.0
"""Width, in millimetres, of the margin around a tumour that represents the background."""
_DOUBT: Final = 0.7
"""Distance from the moved outline, in millimetres, at which the prior probabilities are 0.73 and 0.27."""
_TRUST: Final = 0.6
"""Exponent of the likelihood, below 1 because neighbouring voxels and sequences are not independent."""
_KNOWN: Final = 0.4
"""Share of the previous slice's likelihood that is subtracted as already taken into account."""
_BLUR: Final = 0.7
"""Standard deviation, in voxels, of the Gaussian that smooths the log-likelihood of the intensities."""
_RIDGE: Final = 0.2
"""Added to each sequence's variance, which is about 1, because a single slice gives only a rough covariance."""
_RARE: Final = 3
"""With fewer voxels of a class than this its intensities are unknown, and no voxel is assigned to it."""
_UPDATE: Final = 0.15
"""Weight of the newest slice when the intensities of the classes are updated."""
_SMALLEST: Final = 6
"""With fewer voxels of whole tumour than this on a slice, the tumour has ended."""
_FLOW_ROUNDS: Final = 4
_FLOW_WINDOW: Final = 4.0
"""Standard deviation, in voxels, of the Gaussian window of the flow's least-squares problem."""
_FLOW_RIDGE: Final = 0.02
_MAX_STEP: Final = 4.0
"""Furthest, in voxels, that anatomy is assumed to move from one slice to the next."""


def propagate(study: Study, labels: Labels, axis: int, start: int, stop: int) -> Labels:
    """Propagate the labels of slice `start` up to and including slice `stop`, or until the tumour ends.

    Takes the parameters of `propagate_slices` and raises the same errors.
    """
    direction: Direction = 1 if stop > start else -1
    propagated = labels.copy()
    view = np.moveaxis(propagated, axis, 0)
    _check_slice(view.shape[0], axis, stop)
    for at, values in islice(propagate_slices(study, labels, axis, start, direction), abs(stop - start)):
        view[at] = values
    return propagated


def propagate_slices(
    study: Study, labels: Labels, axis: int, start: int, direction: Direction
) -> Iterator[tuple[int, Labels]]:
    """Propagate the labels of a slice, one slice at a time, until the volume or the tumour ends.

    Parameters
    ----------
    study : Study
    labels : (X, Y, Z) uint8 array
        Classes. Those of slice `start` are propagated. On the following slices labels are replaced within a block
        around the propagated shape and kept outside it.
    axis : int
        Array axis along which slices are counted.
    start : int
        The slice that was corrected.
    direction : {1, -1}
        Towards higher or lower slice numbers.

    Yields
    ------
    int, (A, B) uint8 array
        Number and labels of the next slice.

    Raises
    ------
    PromptError
        If there is no such slice, or no tumour on it.

    Notes
    -----
    The iterator stops before the first slice that has no tumour left.
    """
    slices = np.moveaxis(labels, axis, 0)
    _check_slice(slices.shape[0], axis, start)
    if not region_mask(slices[start], "WT").any():
        msg = (
            f"Slice {start} along axis {axis} has no tumour, so there is nothing to propagate. Mark the tumour on it "
            "first, or start from a slice with tumour."
        )
        raise PromptError(msg)
    return _followed(study, slices, axis, start, direction)


def _check_slice(count: int, axis: int, at: int) -> None:
    if not 0 <= at < count:
        msg = f"There is no slice {at} along axis {axis}; the scan has 0 to {count - 1}. Choose one of them."
        raise PromptError(msg)


def _followed(
    study: Study, slices: Labels, axis: int, start: int, direction: Direction
) -> Iterator[tuple[int, Labels]]:
    volumes = [np.moveaxis(volume, axis, 0) for volume in study.sequences.values()]
    spacing = np.array([s for a, s in enumerate(study.grid.spacing) if a != axis])
    scale = _Scale.of([volume[start] for volume in volumes])
    shape = np.where(slices[start] == RESECTION_CAVITY, np.uint8(0), slices[start])
    model: _Tissues | None = None
    last = slices.shape[0] - 1
    for at in range(start + direction, last + 1 if direction > 0 else -1, direction):
        block = _block(shape, spacing)
        now = scale.images(volumes, at - direction, block)
        newest = _Tissues.fitted(now, shape[block], spacing)
        model = newest if model is None else model.mixed(newest)
        ahead = scale.images(volumes, at, block)
        inside = _next_shape(model, now, ahead, shape[block], spacing)
        if np.count_nonzero(inside) < _SMALLEST:
            return
        shape = np.zeros_like(shape)
        shape[block] = inside
        followed = slices[at].copy()
        keeps = (followed[block] == RESECTION_CAVITY) & (inside == 0)
        followed[block] = np.where(keeps, np.uint8(RESECTION_CAVITY), inside)
        yield at, followed


def _next_shape(model: "_Tissues", now: Array, ahead: Array, shape: Labels, spacing: Array) -> Labels:
    origin = np.indices(shape.shape, dtype=np.float32) + _flow(now, ahead)
    prior = _log_prior(_moved_distances(shape, origin, spacing))
    known = _moved(model.log_likelihood(now), origin)
    chances = softmax(prior + _TRUST * (model.log_likelihood(ahead) - _KNOWN * known), axis=0)
    regions = [chances[list(values)].sum(axis=0) > 0.5 for values in REGIONS.values()]
    return classes_from_regions(np.stack(regions))


@dataclass(frozen=True, slots=True, eq=False)
class _Scale:
    """Median and standard deviation of each sequence's intensities on the starting slice."""

    middles: Array
    widths: Array

    @classmethod
    def of(cls, images: Sequence[Array]) -> "_Scale":
        """Compute the scale from one slice of each sequence, without a black background around the head."""
        stack = np.stack([np.asarray(image, np.float32) for image in images])
        head = (stack != stack.reshape(len(stack), -1).min(axis=1)[:, None, None]).any(axis=0)
        values = stack[:, head] if head.any() else stack.reshape(len(stack), -1)
        return cls(np.median(values, axis=1), np.maximum(values.std(axis=1), 1e-6))

    def images(self, volumes: Sequence[Array], at: int, block: tuple[slice, slice]) -> Array:
        """Return the standardised intensities `(C, A, B)` of a block of a slice."""
        stack = np.stack([np.asarray(volume[at][block], np.float32) for volume in volumes])
        scaled: Array = np.clip((stack - self.middles[:, None, None]) / self.widths[:, None, None], -5, 5)
        return scaled.astype(np.float32)


def _block(shape: Labels, spacing: Array) -> tuple[slice, slice]:
    """Return the block around a shape in which the shape on the next slice is searched for."""
    ends = []
    for axis, size in enumerate(shape.shape):
        hits = np.flatnonzero((shape > 0).any(axis=1 - axis))
        spare = int(np.ceil(_SURROUNDINGS / spacing[axis]))
        ends.append(slice(max(0, int(hits[0]) - spare), min(size, int(hits[-1]) + 1 + spare)))
    return ends[0], ends[1]


def _flow(now: Array, ahead: Array) -> Array:
    """Return the displacement `(2, A, B)` in voxels such that `now(x + flow) = ahead(x)`."""
    flow = np.zeros((2, *now.shape[1:]), np.float32)
    now, ahead = (ndimage.gaussian_filter(image, (0, 1, 1)) for image in (now, ahead))
    places = np.indices(now.shape[1:], dtype=np.float32)
    for _ in range(_FLOW_ROUNDS):
        moved = _moved(now, places + flow)
        rows, columns = np.gradient(moved, axis=(1, 2))
        error = ahead - moved
        blur = [
            ndimage.gaussian_filter((a * b).sum(axis=0), _FLOW_WINDOW)
            for a, b in ((rows, rows), (rows, columns), (columns, columns), (rows, error), (columns, error))
        ]
        flow = np.clip(flow + _solved(*blur), -_MAX_STEP, _MAX_STEP)
        flow = ndimage.gaussian_filter(flow, (0, 1.5, 1.5))
    return flow


def _solved(aa: Array, ab: Array, bb: Array, ae: Array, be: Array) -> Array:
    """Solve the two normal equations at each voxel, with a ridge that limits the step where there is no structure."""
    aa, bb = aa + _FLOW_RIDGE, bb + _FLOW_RIDGE
    determinant = aa * bb - ab**2
    step: Array = np.stack([bb * ae - ab * be, aa * be - ab * ae]) / determinant
    return np.clip(step, -1, 1)


def _moved(images: Array, origin: Array) -> Array:
    """Resample images `(C, A, B)` at the positions `origin` `(2, A, B)` that the voxels come from."""
    return np.stack([ndimage.map_coordinates(image, origin, order=1, mode="nearest") for image in images])


def _moved_distances(shape: Labels, origin: Array, spacing: Array) -> Array:
    """Return signed distances `(3, A, B)` to the moved borders of WT, TC and ET; very negative for absent regions."""
    distances = []
    for region in REGIONS:
        mask = region_mask(shape, region)
        if not mask.any():
            distances.append(np.full(shape.shape, -1e3, np.float32))
            continue
        distance = signed_distance(mask, spacing).astype(np.float32)
        distances.append(_moved(distance[None], origin)[0])
    return np.stack(distances)


def _log_prior(distances: Array) -> Array:
    """Return the log prior `(4, A, B)` of background and the three classes, given the moved shape."""
    whole, core, enhancing = np.where(np.abs(distances) > _BAND, np.sign(distances) * 1e3, distances)
    whole, core, enhancing = (expit(logit / _DOUBT) for logit in (whole, core, enhancing))
    core = np.minimum(core, whole)
    enhancing = np.minimum(enhancing, core)
    chances = np.stack([1 - whole, whole - core, core - enhancing, enhancing])
    prior: Array = np.log(np.maximum(chances, 1e-9))
    return prior


@dataclass(frozen=True, slots=True, eq=False)
class _Tissues:
    """Gaussians of the intensities of background and classes, kept as counts, sums and sums of squares."""

    weight: Array
    total: Array
    square: Array

    @classmethod
    def fitted(cls, images: Array, shape: Labels, spacing: Array) -> "_Tissues":
        """Fit to one slice; the background is a margin around the tumour, without the black outside the brain."""
        near = ndimage.distance_transform_edt(shape == 0, sampling=spacing) <= _SURROUNDINGS
        near &= (images > images.min(axis=(1, 2), keepdims=True)).any(axis=0) | (shape > 0)
        count = len(images)
        weight, total, square = np.zeros(4), np.zeros((4, count)), np.zeros((4, count, count))
        for value in range(4):
            values = images[:, near & (shape == value)].astype(np.float64)
            weight[value], total[value], square[value] = values.shape[1], values.sum(axis=1), values @ values.T
        return cls(weight, total, square)

    def mixed(self, newest: "_Tissues") -> "_Tissues":
        """Return an average with the statistics of a further slice, which has weight `_UPDATE`."""
        pairs = ((getattr(self, name), getattr(newest, name)) for name in ("weight", "total", "square"))
        return _Tissues(*((1 - _UPDATE) * old + _UPDATE * new for old, new in pairs))

    def log_likelihood(self, images: Array) -> Array:
        """Return the smoothed log-likelihood `(4, A, B)`, normalised over the classes, of intensities `(C, A, B)`."""
        means = self.total / np.maximum(self.weight, 1e-9)[:, None]
        within = self.square.sum(axis=0) - np.einsum("k,ki,kj->ij", self.weight, means, means)
        covariance = within / max(self.weight.sum(), 1.0) + _RIDGE * np.eye(len(images))
        inverse = np.linalg.inv(covariance)
        likelihoods = np.full((4, *images.shape[1:]), -1e3)
        for value in np.flatnonzero(self.weight >= _RARE):
            off = images - means[value][:, None, None]
            squared = np.einsum("iab,ij,jab->ab", off, inverse, off, optimize=True)
            likelihoods[value] = ndimage.gaussian_filter(-0.5 * squared, _BLUR)
        scaled: Array = log_softmax(likelihoods, axis=0)
        return scaled
