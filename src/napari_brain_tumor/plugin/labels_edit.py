"""Every change that the program itself makes to a labels layer: one step of napari's own history each."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_brain_tumor.errors import DimensionError, LabelSchemaError

__all__ = ["replace_labels"]


def replace_labels(layer: Any, labels: npt.ArrayLike) -> int:
    """Change a layer's labels where they differ, as one step that Ctrl+Z takes back.

    `layer.data = labels` would leave napari's history full of steps that belong to other labels; this adds one to it.

    Parameters
    ----------
    layer : napari.layers.Labels
        Of one resolution; it may be hidden.
    labels : array of integers
        Of the layer's shape.

    Returns
    -------
    int
        How many voxels changed.

    Raises
    ------
    DimensionError
        If the shapes differ, or the layer is one of several resolutions.
    LabelSchemaError
        If the layer's type cannot hold the labels.
    """
    wanted = np.asarray(labels)
    _check_shape(layer, wanted)
    changed = np.nonzero(np.asarray(layer.data) != wanted)
    if not changed[0].size:
        return 0
    values = wanted[changed]
    _check_values(layer, values)
    with _sliced(layer):
        layer.data_setitem(changed, values.astype(layer.data.dtype))
    return int(changed[0].size)


def _check_shape(layer: Any, wanted: npt.NDArray[Any]) -> None:
    if layer.multiscale or tuple(layer.data.shape) != wanted.shape:
        held = "several resolutions" if layer.multiscale else f"shape {tuple(layer.data.shape)}"
        msg = f"The layer {layer.name!r} has {held}, the new labels have shape {wanted.shape}. Add them as a new layer."
        raise DimensionError(msg)


def _check_values(layer: Any, values: npt.NDArray[Any]) -> None:
    kind = np.dtype(layer.data.dtype)
    limits = np.iinfo(kind)
    low, high = int(values.min()), int(values.max())
    if low < limits.min or high > limits.max:
        msg = (
            f"The new labels run from {low} to {high}; the layer {layer.name!r} is {kind}, which holds {limits.min} to "
            f"{limits.max}. Add them as a new layer."
        )
        raise LabelSchemaError(msg)


@contextmanager
def _sliced(layer: Any) -> Iterator[None]:
    # napari draws into the slice that is shown; a hidden layer has none, or an old one of another shape, and fails
    # halfway. Nothing is painted on the screen before this ends.
    was_visible = layer.visible
    layer.visible = True
    try:
        yield
    finally:
        layer.visible = was_visible
