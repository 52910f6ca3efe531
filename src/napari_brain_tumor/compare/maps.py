"""Where segmentations agree and differ, voxel by voxel."""

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
"""Values of `pair_map`: in both, in the first alone, in the second alone."""

AGREEMENT_COLORS: Final[dict[int, str]] = {AGREED: "#8A8A8A", MISSED: "#CC79A7", FALSE: "#009E73"}
"""Grey where nothing differs; purple and green of Okabe and Ito's palette, which people with colour-blindness can tell
apart. None is the colour of a class of the tumour."""


_CODES: Final = np.array([0, FALSE, MISSED, AGREED], dtype=np.uint8)
"""By 2 * first + second."""


def pair_map(raters: Raters, region: Region, first: str, second: str) -> Labels:
    """Labels `(X, Y, Z)` of a pair: 1 where both say the region, 2 where the first alone does, 3 the second alone.

    With the truth first, 2 is missed and 3 is false.

    Raises
    ------
    ComparisonError
        If there is no segmentation of that name, or all of them do not mark the region.
    """
    check_region(raters, region)
    mask, other = (region_mask(_segmentation_named(raters, name), region).view(np.uint8) for name in (first, second))
    codes: Labels = _CODES[2 * mask + other]
    return codes


def pair_names(raters: Raters, first: str, second: str, titles: Mapping[str, str] | None = None) -> dict[int, str]:
    """What the values of `pair_map` mean, in words; `titles` are shorter names, where there are any."""
    one, other = (titles[name] if titles is not None else name for name in (first, second))
    if first == raters.reference:
        return {AGREED: "agreed", MISSED: f"missed by {other}", FALSE: f"false in {other}"}
    return {AGREED: "agreed", MISSED: f"{one} alone", FALSE: f"{other} alone"}


def count_map(raters: Raters, region: Region) -> Labels:
    """How many `(X, Y, Z)` of all segmentations say that a voxel is of the region.

    Raises
    ------
    ComparisonError
        If all of them do not mark the region.
    """
    check_region(raters, region)
    counts = np.zeros(raters.grid.shape, dtype=np.uint8)
    for segmentation in raters.segmentations.values():
        counts += region_mask(segmentation.data, region)
    return counts


def count_names(raters: Raters, region: Region) -> dict[int, str]:
    """What the values of `count_map` mean, in words."""
    total = len(raters.names)
    return {count: f"{count} of {total} say {region}" for count in range(1, total + 1)}


def check_region(raters: Raters, region: Region) -> None:
    """Raise `ComparisonError` where the segmentations do not all mark the region."""
    if region not in raters.regions:
        msg = f"{region} is not marked by all segmentations. Ask for one of: {', '.join(raters.regions)}."
        raise ComparisonError(msg)


def _segmentation_named(raters: Raters, name: str) -> Labels:
    if name not in raters.segmentations:
        raise ComparisonError(f"There is no segmentation {name!r}. Name one of: {', '.join(raters.names)}.")
    return raters.segmentations[name].data
