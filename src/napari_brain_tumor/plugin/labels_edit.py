"""Change labels layers from code, as one step of napari's own undo history each."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_brain_tumor.errors import DimensionError, LabelSchemaError


def replace_labels(layer: Any, labels: npt.ArrayLike) -> int:
    """Replace a layer's labels where they differ, as one step that Ctrl+Z undoes.

    Assigning `layer.data = labels` would leave steps in napari's history that belong to other labels.

    Parameters
    ----------
    layer : napari.layers.Labels
        A layer with a single resolution; it may be hidden.
    labels : array of integers
        Labels of the layer's shape.

    Returns
    -------
    int
        Number of changed voxels.

    Raises
    ------
    DimensionError
        If the shapes differ, or the layer has several resolutions.
    LabelSchemaError
        If the layer's data type cannot represent the labels.
    """
    new_labels = np.asarray(labels)
    _check_shape(layer, new_labels)
    changed = np.nonzero(np.asarray(layer.data) != new_labels)
    if not changed[0].size:
        return 0
    replacements = new_labels[changed]
    _check_values(layer, replacements)
    with _sliced(layer):
        layer.data_setitem(changed, replacements.astype(layer.data.dtype))
    return int(changed[0].size)


def change_voxels(layer: Any, voxels: npt.NDArray[np.intp], values: npt.NDArray[Any]) -> int:
    """Change given voxels of a layer, as one step that Ctrl+Z undoes; other voxels are not even read.

    Parameters
    ----------
    layer : napari.layers.Labels
        A layer with a single resolution; it may be hidden.
    voxels : (N, ndim) array of int
        Voxels to change, each at most once.
    values : (N,) array of int

    Returns
    -------
    int
        Number of changed voxels.
    """
    at = tuple(voxels.T)
    changed = np.asarray(layer.data)[at] != values
    if not changed.any():
        return 0
    at, new = tuple(axis[changed] for axis in at), values[changed]
    _check_values(layer, new)
    with _sliced(layer):
        layer.data_setitem(at, new.astype(layer.data.dtype))
    return int(changed.sum())


# napari's history ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False)
class History:
    """Steps that undo and redo of a labels layer would currently affect.

    Parameters
    ----------
    done, undone : tuple of tuple
        Steps, with the most recently done or undone one last. Each is a tuple of napari's own objects, which stay the
        same objects however often the step is undone and redone.
    """

    done: tuple[tuple[Any, ...], ...]
    undone: tuple[tuple[Any, ...], ...]


def history_of(layer: Any) -> History:
    """Return the history of a layer; empty if this version of napari stores it elsewhere."""
    # Private attributes, which have these names in napari 0.6 to 0.9.
    undo, redo = (getattr(layer, name, ()) for name in ("_undo_history", "_redo_history"))
    return History(tuple(map(tuple, undo)), tuple(map(tuple, redo)))


def painted_voxels(parts: Sequence[Any], shape: tuple[int, ...]) -> tuple[npt.NDArray[np.intp], npt.NDArray[Any]]:
    """Return the voxels `(N, ndim)` that a step of napari's history changes, and their new labels.

    Parameters
    ----------
    parts : sequence
        Parts of the step, in order.
    shape : tuple of int
        Shape of the layer's array.
    """
    places, values = [], []
    for part in parts:
        at, painted = _changes_of(part, shape)
        places.append(np.ravel_multi_index(at, shape))
        values.append(np.broadcast_to(painted, places[-1].shape))
    # In reverse, because the last value counts for voxels that were painted twice.
    flat, first = np.unique(np.concatenate(places)[::-1], return_index=True)
    return np.stack(np.unravel_index(flat, shape), axis=1), np.concatenate(values)[::-1][first].astype(np.int64)


def _changes_of(part: Any, shape: tuple[int, ...]) -> tuple[tuple[npt.NDArray[np.intp], ...], Any]:
    if not hasattr(part, "slice_key"):
        at, _, values = part
        return tuple(np.asarray(axis, np.intp) for axis in at), values
    ranges = [key.indices(size)[:2] for key, size in zip(part.slice_key, shape, strict=True)]
    mask = np.ones([high - low for low, high in ranges], bool) if part.mask is None else np.asarray(part.mask)
    return tuple(at + low for at, (low, _) in zip(np.nonzero(mask), ranges, strict=True)), part.new_value


# Checks and care ----------------------------------------------------------------------------------------------------


def _check_shape(layer: Any, labels: npt.NDArray[Any]) -> None:
    if layer.multiscale or tuple(layer.data.shape) != labels.shape:
        held = "several resolutions" if layer.multiscale else f"shape {tuple(layer.data.shape)}"
        msg = f"The layer {layer.name!r} has {held}, the new labels have shape {labels.shape}. Add them as a new layer."
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
    # napari draws into the displayed slice; a hidden layer has none, or an outdated one of another shape, and fails
    # halfway. Nothing is drawn on the screen before this context ends.
    was_visible = layer.visible
    layer.visible = True
    try:
        yield
    finally:
        layer.visible = was_visible
