"""The package's label classes and the nested regions. For the label schemas of files see `label_schemas`."""

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Final, Literal

import numpy as np
import numpy.typing as npt

from napari_brain_tumor.types import Array

Region = Literal["WT", "TC", "ET"]

EDEMA: Final = 1
NON_ENHANCING: Final = 2
ENHANCING: Final = 3
RESECTION_CAVITY: Final = 4

CLASS_NAMES: Final[dict[int, str]] = {EDEMA: "edema", NON_ENHANCING: "non-enhancing", ENHANCING: "enhancing"}
"""The package's classes, as used in every labels layer."""

REGIONS: Final[dict[Region, tuple[int, ...]]] = {"WT": (1, 2, 3), "TC": (2, 3), "ET": (3,)}
"""Nested regions (whole tumour, tumour core, enhancing tumour) and the classes of which they consist."""

CLASS_COLORS: Final[dict[int, str]] = {1: "#56B4E9", 2: "#E69F00", 3: "#D55E00", 4: "#999999"}
"""Colours from Okabe and Ito's palette, which is distinguishable to people with colour-vision deficiency."""


_SLAB_VOXELS: Final = 1 << 24

LABEL_TOLERANCE: Final = 1e-3
"""Deviation of labels from whole numbers that is tolerated, because scaling and resampling cause rounding errors."""


def looks_like_labels(array: Array, file_name: str = "") -> bool:
    """Whether an image contains labels rather than intensities: few small non-negative integers, or a telling name."""
    telling_name = re.search(r"(?<![a-z])(seg|segmentation|mask|label|labels|roi|truth|gt)(?![a-z])", file_name.lower())
    sample = np.asarray(array)
    floating = not np.issubdtype(sample.dtype, np.integer) and sample.dtype != np.bool_
    if floating and (not np.isfinite(sample).all() or (np.abs(sample - np.rint(sample)) > LABEL_TOLERANCE).any()):
        return False
    if sample.min() < 0 or sample.max() > 255:
        return False
    distinct = len(label_values(sample))
    return distinct <= 2 or (distinct <= 8 and int(sample.max()) <= 8) or (telling_name is not None and distinct <= 64)


def label_values(array: Array) -> set[int]:
    """Return the distinct integers in a label array."""
    whole = np.asarray(array)
    if whole.dtype != np.uint8:
        return {round(float(v)) for v in np.unique(whole)}
    counts = np.zeros(256, dtype=np.int64)
    for slab in slabs_of(whole):
        counts += np.bincount(slab.ravel(order="K"), minlength=256)
    return {int(v) for v in np.flatnonzero(counts)}


def slabs_of(array: Array) -> Iterator[Array]:
    """Yield views of some millions of voxels along the last axis, for operations that would need a large copy.

    NumPy counts and indexes with 8-byte integers, which for a whole volume of uint8 would take eight times its size.
    """
    if array.ndim == 0 or array.size <= _SLAB_VOXELS:
        yield array
        return
    step = max(1, _SLAB_VOXELS * array.shape[-1] // array.size)
    for start in range(0, array.shape[-1], step):
        yield array[..., start : start + step]


def labels_sha256(labels: Array) -> str:
    """Compute the SHA-256 of a label array as uint8 with its shape, independent of data type and file format.

    Parameters
    ----------
    labels : array of int
        Any shape, with values from 0 to 255.
    """
    plain = np.ascontiguousarray(labels, dtype=np.uint8)
    digest = hashlib.sha256(f"{plain.shape}".encode())
    digest.update(plain.data if plain.size else b"")
    return digest.hexdigest()


def region_mask(classes: Array, region: Region) -> npt.NDArray[np.bool_]:
    """Return the mask of one region in an array of the package's classes."""
    return np.isin(classes, REGIONS[region])


def classes_from_regions(regions: npt.NDArray[np.bool_]) -> npt.NDArray[np.uint8]:
    """Convert masks `(3, ...)` of WT, TC and ET to classes; they are made nested: ET within TC within WT."""
    whole, core, enhancing = regions
    core = core & whole
    enhancing = enhancing & core
    # Each inner region increases the class by one: edema 1, non-enhancing 2, enhancing 3.
    classes: npt.NDArray[np.uint8] = whole.astype(np.uint8) + core.astype(np.uint8) + enhancing.astype(np.uint8)
    return classes


def classes_from_known(masks: Mapping[Region, npt.NDArray[np.bool_]]) -> npt.NDArray[np.uint8]:
    """Convert masks of the known regions, at least one, to classes.

    An unknown region is assumed to be no larger than the known regions within it: WT and ET alone give classes 1 and 3,
    and WT alone gives class 1.
    """
    enhancing = masks["ET"] if "ET" in masks else np.zeros_like(next(iter(masks.values())))
    core = masks.get("TC", enhancing)
    return classes_from_regions(np.stack([masks.get("WT", core), core, enhancing]))


def class_names_of(regions: Iterable[Region]) -> dict[int, str]:
    """Return the meaning of the classes if only the given regions are known.

    Examples
    --------
    >>> class_names_of(["WT", "ET"])
    {1: 'edema and non-enhancing', 3: 'enhancing'}
    """
    present = set(regions)
    names: dict[int, str] = {}
    if "WT" in present:
        apart = "edema and non-enhancing" if "ET" in present else "whole tumour"
        names[EDEMA] = CLASS_NAMES[EDEMA] if "TC" in present else apart
    if "TC" in present:
        names[NON_ENHANCING] = CLASS_NAMES[NON_ENHANCING] if "ET" in present else "tumour core"
    if "ET" in present:
        names[ENHANCING] = CLASS_NAMES[ENHANCING]
    return names
