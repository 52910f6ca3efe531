"""Detect whether two cases show the same examination: identical voxels, the same patient, or similar images.

Measured on 37 gliomas (BraTS), 88 patients of the Kaggle LGG set and three of these in their original files. Copies
that were cropped and stored with 63 grey levels, or re-encoded as JPEG 2000, correlate by at least 0.999; among 8,000
pairs of different patients, the highest correlation is 0.88 over all sequences, and 0.93 in a single one. Images of
the same patient with different processing (in atlas space, skull-stripped) correlate by only 0.2 to 0.4 and cannot be
detected in this way; these are recognised by the patient's name.
"""

import base64
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from napari_brain_tumor.dataset.index import CaseRecord, SequenceRecord, SimilarCase
from napari_brain_tumor.geometry import Box, Grid, bounding_box, to_ras
from napari_brain_tumor.study import Role, Study
from napari_brain_tumor.types import Array

LOOKS_ALIKE: Final = 0.96
"""Mean correlation of fingerprints of shared sequences above which two cases are taken for the same examination."""

_SIDE: Final = 12
"""Number of voxels of a fingerprint along each axis."""
_DETAIL_VOXELS: Final = 1.2
"""Structures smoother than this are removed from a fingerprint, since all heads are alike on a large scale."""
_TISSUE: Final = 0.1
"""Minimum difference of tissue from the background, as a fraction of the difference of bright tissue."""
_LEVELS: Final = 30
"""Number of levels of a fingerprint per standard deviation."""
_ENOUGH_VALUES: Final = 32
"""Minimum number of distinct values for their counts to identify a scan."""
_COUNTABLE: Final = 1 << 24
"""Maximum range of integers that are counted value by value."""


def describe_sequences(study: Study) -> dict[Role, SequenceRecord]:
    """Return what the index stores about each sequence, in the order of the image's channels."""
    return {
        role: SequenceRecord(
            channel=channel,
            source=str(study.sources[role].path) if role in study.sources else None,
            source_channel=study.sources[role].channel if role in study.sources else None,
            sha256=voxels_sha256(study.sequences[role]),
            values_sha256=values_sha256(study.sequences[role]),
            fingerprint=fingerprint(study.sequences[role], study.grid),
        )
        for channel, role in enumerate(study.roles)
    }


def voxels_sha256(array: Array) -> str:
    """Return a hash of the voxels `(X, Y, Z)` as float32 in file order, independent of data type and compression."""
    digest = hashlib.sha256(repr(array.shape).encode())
    digest.update(np.asfortranarray(array, dtype="<f4").tobytes(order="F"))
    return digest.hexdigest()


def values_sha256(array: Array) -> str:
    """Return a hash of how often each value occurs, leaving out the background.

    It does not change when the image is cropped, padded, flipped, rotated, compressed or given another header, and two
    scans will not share it by chance. An image with only a few distinct values might, so for these its voxels are
    hashed together with their positions.
    """
    values, counts = _histogram(array)
    if len(values) < _ENOUGH_VALUES:
        return voxels_sha256(array)
    keep = values != _most_frequent(values, counts)
    digest = hashlib.sha256(values[keep].astype("<f4").tobytes())
    digest.update(counts[keep].astype("<i8").tobytes())
    return digest.hexdigest()


def fingerprint(array: Array, grid: Grid) -> str:
    """Return a coarse image of a sequence as text, for comparison by `find_similar`.

    The box around the tissue is averaged to 12x12x12 voxels along RAS axes, large-scale structure common to all heads
    is removed, and the rest is standardised.
    """
    ras = to_ras(grid).apply(array)
    coarse = _pooled(ras[_tissue_box(ras).slices])
    detail = coarse - ndimage.gaussian_filter(coarse, _DETAIL_VOXELS)
    scaled = (detail - detail.mean()) * (_LEVELS / (float(detail.std()) or 1.0))
    return base64.b64encode(np.clip(np.rint(scaled), -127, 127).astype(np.int8).tobytes()).decode("ascii")


def find_similar(
    sequences: Mapping[Role, SequenceRecord], key: str, cases: Sequence[CaseRecord]
) -> tuple[SimilarCase, ...]:
    """Return the cases that show the same examination or belong to the same patient.

    Parameters
    ----------
    sequences : mapping of role to SequenceRecord
        Sequences of the new case.
    key : str
        Key of the new case's patient.
    cases : sequence of CaseRecord
        Cases to compare with.

    Returns
    -------
    tuple of SimilarCase
        One for each case found, with the strongest reason: same voxels, then similar images, then same patient.
    """
    flipped = {role: _flips(_vector(record)) for role, record in sequences.items()}
    values = {record.values_sha256 for record in sequences.values()}
    similar = []
    for case in cases:
        score = _likeness(flipped, case)
        if values & {record.values_sha256 for record in case.sequences.values()}:
            similar.append(SimilarCase(case=case.id, kind="same voxels"))
        elif score >= LOOKS_ALIKE:
            similar.append(SimilarCase(case=case.id, kind="looks alike", score=round(score, 4)))
        elif case.patient_key == key:
            similar.append(SimilarCase(case=case.id, kind="same patient"))
    return tuple(similar)


def _likeness(flipped: Mapping[Role, Array], case: CaseRecord) -> float:
    """Return the mean correlation over shared sequences for the best of the eight flips, common to all sequences."""
    shared = [role for role in flipped if role in case.sequences]
    if not shared:
        return 0.0
    by_flip = np.mean([flipped[role] @ _vector(case.sequences[role]) for role in shared], axis=0)
    return float(by_flip.max())


def _vector(record: SequenceRecord) -> Array:
    values = np.frombuffer(base64.b64decode(record.fingerprint), dtype=np.int8).astype(np.float32)
    values -= values.mean()
    values /= float(np.linalg.norm(values)) or 1.0
    return values


def _flips(vector: Array) -> Array:
    """Return the fingerprint mirrored in all ways, `(8, n)`, since left and right may be wrong in a file."""
    cube = vector.reshape(_SIDE, _SIDE, _SIDE)
    return np.stack([np.flip(cube, axes).ravel() for axes in _subsets(range(3))])


def _subsets(axes: Iterable[int]) -> list[tuple[int, ...]]:
    subsets: list[tuple[int, ...]] = [()]
    for axis in axes:
        subsets += [(*subset, axis) for subset in subsets]
    return subsets


def _histogram(array: Array) -> tuple[Array, Array]:
    flat = array.ravel(order="K")
    if flat.dtype.kind in "iub":
        low = int(flat.min())
        if int(flat.max()) - low < _COUNTABLE:
            counts = np.bincount(flat.astype(np.int64) - low)
            values = np.flatnonzero(counts)
            return (values + low).astype(np.float32), counts[values]
    return np.unique(flat.astype(np.float32), return_counts=True)


def _most_frequent(values: Array, counts: Array) -> Any:
    return values[counts.argmax()]


def _tissue_box(ras: Array) -> Box:
    """Return the bounding box of what differs from the background, which is the most frequent value."""
    sample = np.asarray(ras[::3, ::3, ::3], dtype=np.float32)
    background = float(_most_frequent(*_histogram(sample)))
    bright = abs(float(np.percentile(sample, 99)) - background)
    tissue = np.abs(ras - np.float32(background)) > _TISSUE * bright
    return bounding_box(tissue) or Box.whole(ras.shape)


def _pooled(array: Array) -> npt.NDArray[np.float32]:
    """Average over 12x12x12 blocks of equal size; a voxel that straddles blocks contributes to each by its share."""
    pooled: npt.NDArray[np.float32] = np.asarray(array, dtype=np.float32)
    for axis in range(3):
        weights = _block_weights(pooled.shape[axis])
        pooled = np.moveaxis(np.tensordot(weights, pooled, axes=(1, axis)), 0, axis)
    return pooled


def _block_weights(count: int) -> npt.NDArray[np.float32]:
    """Return the weight of each of `count` voxels in each block, `(12, count)`; rows sum to 1."""
    edges = np.linspace(0, count, _SIDE + 1)
    voxels = np.arange(count)
    overlap = np.minimum(edges[1:, np.newaxis], voxels + 1) - np.maximum(edges[:-1, np.newaxis], voxels)
    weights: npt.NDArray[np.float32] = (np.maximum(overlap, 0) * (_SIDE / count)).astype(np.float32)
    return weights
