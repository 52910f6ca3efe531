"""Every change that the program itself makes to a labels layer: one step of napari's own history each."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_brain_tumor.errors import DimensionError, LabelSchemaError


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
    """Give voxels of a layer these labels, as one step that Ctrl+Z takes back; the others are not even looked at.

    Parameters
    ----------
    layer : napari.layers.Labels
        Of one resolution; it may be hidden.
    voxels : (N, ndim) array of int
        Each at most once.
    values : (N,) array of int

    Returns
    -------
    int
        How many voxels changed.
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
    """What undo and redo of a labels layer would do now.

    Parameters
    ----------
    done, undone : tuple of tuple
        Steps, the last that was done or undone at the end. Each is a tuple of what napari keeps of it, which stays the
        same object however often the step is undone and redone.
    """

    done: tuple[tuple[Any, ...], ...]
    undone: tuple[tuple[Any, ...], ...]


def history_of(layer: Any) -> History:
    """The history of a layer; empty where a napari keeps it elsewhere."""
    # Not public, in napari 0.6 to 0.9 under these names.
    undo, redo = (getattr(layer, name, ()) for name in ("_undo_history", "_redo_history"))
    return History(tuple(map(tuple, undo)), tuple(map(tuple, redo)))


def painted_voxels(parts: Sequence[Any], shape: tuple[int, ...]) -> tuple[npt.NDArray[np.intp], npt.NDArray[Any]]:
    """Voxels `(N, ndim)` that a step of napari's history changes, and the labels that it gives them.

    Parameters
    ----------
    parts : sequence
        Of the step, in their order.
    shape : tuple of int
        Of the layer's array.
    """
    places, values = [], []
    for part in parts:
        at, painted = _changes_of(part, shape)
        places.append(np.ravel_multi_index(at, shape))
        values.append(np.broadcast_to(painted, places[-1].shape))
    # Backwards, for of what was painted twice the last counts.
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
    # napari draws into the slice that is shown; a hidden layer has none, or an old one of another shape, and fails
    # halfway. Nothing is painted on the screen before this ends.
    was_visible = layer.visible
    layer.visible = True
    try:
        yield
    finally:
        layer.visible = was_visible
