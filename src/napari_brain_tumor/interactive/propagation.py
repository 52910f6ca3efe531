"""Carry a slice's labels along the volume (provisional)."""

from collections.abc import Iterator
from typing import Literal

import numpy as np
import numpy.typing as npt

from napari_brain_tumor.study import Study

__all__ = ["propagate", "propagate_slices"]


def propagate(study: Study, labels: npt.NDArray[np.uint8], axis: int, start: int, stop: int) -> npt.NDArray[np.uint8]:
    """Labels in which the slices from start to stop follow the first."""
    found = np.moveaxis(labels.copy(), axis, 0)
    step = 1 if stop > start else -1
    for at in range(start + step, stop + step, step):
        found[at] = found[start]
    return np.moveaxis(found, 0, axis)


def propagate_slices(
    study: Study, labels: npt.NDArray[np.uint8], axis: int, start: int, direction: Literal[1, -1]
) -> Iterator[tuple[int, npt.NDArray[np.uint8]]]:
    """Slices after the first, one by one, with their labels."""
    plane = np.take(labels, start, axis)
    at = start + direction
    while plane.any() and 0 <= at < labels.shape[axis]:
        yield at, plane.copy()
        at += direction
