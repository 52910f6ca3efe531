"""Voxel-wise maps of agreement and disagreement."""

from collections.abc import Mapping
from typing import Final

import numpy as np

from napari_brain_tumor.compare.raters import Raters
from napari_brain_tumor.errors import ComparisonError
from napari_brain_tumor.labels import Region, region_mask
from napari_brain_tumor.types import Labels

AGREED: Final = 1
MISSED: Final = 2
FALSE: Final = 3
"""Values of `pair_map`: in both, only in the first, only in the second."""

AGREEMENT_COLORS: Final[dict[int, str]] = {AGREED: "#8A8A8A", MISSED: "#CC79A7", FALSE: "#009E73"}
"""Grey where both agree; purple and green from Okabe and Ito's palette, which is distinguishable to people with
colour-vision deficiency. None of these is the colour of a tumour class."""


_CODES: Final = np.array([0, FALSE, MISSED, AGREED], dtype=np.uint8)
"""Map values indexed by 2 * first + second."""


def pair_map(raters: Raters, region: Region, first: str, second: str) -> Labels:
    """Return a label map `(X, Y, Z)` of a pair: 1 if the region is in both, 2 only in the first, 3 only in the second.

    With the reference first, 2 is missed and 3 is false.

    Raises
    ------
    ComparisonError
        If there is no segmentation of that name, or not all of them define the region.
    """
    check_region(raters, region)
    mask, other = (region_mask(_segmentation_named(raters, name), region).view(np.uint8) for name in (first, second))
    codes: Labels = _CODES[2 * mask + other]
    return codes


def pair_names(raters: Raters, first: str, second: str, titles: Mapping[str, str] | None = None) -> dict[int, str]:
    """Return the meanings of the values of `pair_map`; `titles` are optional shorter names."""
    one, other = (titles[name] if titles is not None else name for name in (first, second))
    if first == raters.reference:
        return {AGREED: "agreed", MISSED: f"missed by {other}", FALSE: f"false in {other}"}
    return {AGREED: "agreed", MISSED: f"{one} alone", FALSE: f"{other} alone"}


def count_map(raters: Raters, region: Region) -> Labels:
    """Return a map `(X, Y, Z)` of the number of segmentations that assign each voxel to the region.

    Raises
    ------
    ComparisonError
        If not all of them define the region.
    """
    check_region(raters, region)
    counts = np.zeros(raters.grid.shape, dtype=np.uint8)
    for segmentation in raters.segmentations.values():
        counts += region_mask(segmentation.data, region)
    return counts


def count_names(raters: Raters, region: Region) -> dict[int, str]:
    """Return the meanings of the values of `count_map`."""
    total = len(raters.names)
    return {count: f"{count} of {total} say {region}" for count in range(1, total + 1)}


def check_region(raters: Raters, region: Region) -> None:
    """Raise `ComparisonError` if not all of the segmentations define the region."""
    if region not in raters.regions:
        msg = f"{region} is not marked by all segmentations. Ask for one of: {', '.join(raters.regions)}."
        raise ComparisonError(msg)


def _segmentation_named(raters: Raters, name: str) -> Labels:
    if name not in raters.segmentations:
        raise ComparisonError(f"There is no segmentation {name!r}. Name one of: {', '.join(raters.names)}.")
    return raters.segmentations[name].data
