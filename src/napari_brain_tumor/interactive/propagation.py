"""Carry a slice's labels along the volume (provisional)."""

import numpy as np
import numpy.typing as npt

from napari_brain_tumor.study import Study

__all__ = ["propagate"]


def propagate(study: Study, labels: npt.NDArray[np.uint8], axis: int, start: int, stop: int) -> npt.NDArray[np.uint8]:
    """Labels in which the slices from start to stop follow the first."""
    found = np.moveaxis(labels.copy(), axis, 0)
    step = 1 if stop > start else -1
    for at in range(start + step, stop + step, step):
        found[at] = found[start]
    return np.moveaxis(found, 0, axis)
