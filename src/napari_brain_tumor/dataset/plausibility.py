"""Checks whether images can show one head, used for the cases of a data set and before segmenting a case."""

from collections.abc import Sequence
from typing import Final

import numpy as np

from napari_brain_tumor.types import Array, Mask

_HEAD_MM: Final = (90.0, 300.0)
"""Range of the longest side of a head or brain."""
_SAME: Final = 0.9999
"""Correlation within the head above which two images are the same."""


def is_size_of_a_head(sides_mm: Sequence[float]) -> bool:
    """Whether a box with these sides can contain a head or brain and not much more."""
    low, high = _HEAD_MM
    return low <= max(sides_mm) <= high and min(sides_mm) >= low / 3


def same_picture(first: Array, second: Array, head: Mask) -> bool:
    """Whether two sequences are the same image, except perhaps for brightness and contrast.

    Parameters
    ----------
    first, second : array
        Arrays of the same shape.
    head : bool array
        Mask of the same shape in which they are compared.
    """
    return np.array_equal(first, second) or _correlation(first[head], second[head]) > _SAME


def _correlation(first: Array, second: Array) -> float:
    if first.size < 2:
        return 0.0
    a, b = first[::7].astype(np.float64), second[::7].astype(np.float64)
    a, b = a - a.mean(), b - b.mean()
    return float(a @ b / (np.sqrt(float(a @ a) * float(b @ b)) or 1.0))
