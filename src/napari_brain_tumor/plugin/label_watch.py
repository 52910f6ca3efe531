"""Keeps a mirror of one labels layer in step with it, by napari's events, and applies results to it.

What napari 0.6 to 0.9 tells of a change: `paint` comes with the step of its history, for strokes after, for single
changes before the data are written; undo and redo tell only `set_data`, which also comes with every change of slice,
and nothing at all while the layer is hidden; `data` comes when the array was replaced; whoever writes into the array
tells nothing.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from napari_brain_tumor.autosave.mirror import Mirror, Step, combine
from napari_brain_tumor.errors import GridMismatchError, LabelSchemaError
from napari_brain_tumor.plugin import layers
from napari_brain_tumor.plugin.labels_edit import replace_labels
from napari_brain_tumor.plugin.layers import KEY, LayerData
from napari_brain_tumor.types import LayerLabels

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Applied:
    """What applying a result did: voxels of the layer that changed, and voxels kept because a hand had changed them."""

    changed: int
    preserved: int


def can_be_watched(layer: Any) -> bool:
    """Whether changes of the layer can be followed: one array in memory, of one slice or volume of integers."""
    data = getattr(layer, "data", None)
    return isinstance(data, np.ndarray) and data.ndim in (2, 3) and data.dtype.kind in "iu"


def volume_of(layer: Any) -> LayerLabels:
    """A layer's own array, seen as (Z, Y, X)."""
    data: LayerLabels = layer.data
    return data if data.ndim == 3 else data[np.newaxis]


def automatic_labels(layer: Any) -> LayerLabels:
    """What the layer would hold had no hand painted on it, as far as the layer itself tells.

    Labels of ours that are still as they were first shown hold nothing by hand. Where that is not certain, every label
    that is there counts as a hand's work: a result must not destroy it.
    """
    volume, is_ours = volume_of(layer), layers.segmentation_tag(layer) is not None
    return volume if is_ours and not layers.is_edited(layer) else np.zeros_like(volume)


class LabelWatch:
    """Follows one layer until `stop`.

    Parameters
    ----------
    layer : napari.layers.Labels
    mirror : Mirror
        Of the layer as it is now.
    later : callable
        Called when `look` should be called, soon but not at once: something may have changed.
    sight : callable
        What part of the layer is shown, as anything that can be compared: another part is no change of the labels.
    """

    def __init__(
        self,
        layer: Any,
        mirror: Mirror,
        later: Callable[[], None] = lambda: None,
        sight: Callable[[], Any] = lambda: None,
    ) -> None:
        self.layer = layer
        self.mirror = mirror
        self._later = later
        self._sight = sight
        self._seen = sight()
        self._paused = False
        self._undo_state = _undo_state(layer)
        for event, handler in self._events():
            event.connect(handler)

    def stop(self) -> None:
        """Follow the layer no more; what it holds now is taken in first."""
        self.look()
        for event, handler in self._events():
            event.disconnect(handler)

    def look(self) -> None:
        """Compare the layer with the mirror and take in what changed."""
        if not can_be_watched(self.layer):
            return
        self._undo_state = _undo_state(self.layer)
        step = self.mirror.look(volume_of(self.layer))
        if step is not None:
            self._show_note(step)

    def look_if_undone(self) -> None:
        """Look if undo or redo was used since the last look; a hidden layer does not tell of it."""
        if _undo_state(self.layer) != self._undo_state:
            self.look()

    def apply(self, result: LayerData, *, keep_edits: bool = True) -> Applied:
        """Put a new segmentation into the layer, as one step that Ctrl+Z takes back.

        Parameters
        ----------
        result : LayerData
            As `to_layers.segmentation_to_layer` gives it.
        keep_edits : bool
            Keep the voxels that a hand changed since the last result; otherwise everything is replaced.

        Raises
        ------
        GridMismatchError
            If the result does not lie where the layer lies.
        LabelSchemaError
            If what the layer's labels mean is not known.
        """
        data, attributes, _ = result
        self._check_place(result)
        self.look()
        automatic = np.asarray(data).reshape(self.mirror.labels.shape)
        combined, preserved = (
            combine(self.mirror.labels, self.mirror.automatic, automatic) if keep_edits else (automatic, 0)
        )
        self._paused = True
        try:
            changed = replace_labels(self.layer, combined.reshape(self.layer.data.shape))
        finally:
            self._paused = False
            self._undo_state = _undo_state(self.layer)
        before, after = self.layer.metadata.get(KEY), attributes["metadata"][KEY]
        self.mirror.step(volume_of(self.layer), automatic.astype(self.mirror.labels.dtype), (before, after))
        self._set_tag(after)
        return Applied(changed, preserved)

    def _check_place(self, result: LayerData) -> None:
        tag = layers.segmentation_tag(self.layer)
        if tag is not None and not tag.understood:
            msg = f"What the labels in {self.layer.name!r} mean is not known. Add the result as a new layer."
            raise LabelSchemaError(msg)
        here, there = layers.view(self.layer).grid, layers.view(layers.layer_of(result)).grid
        if not here.same_place(there):
            msg = (
                f"The layer {self.layer.name!r} lies on {here.describe()}, the result on {there.describe()}. Add it as "
                "a new layer."
            )
            raise GridMismatchError(msg)

    def _show_note(self, step: Step) -> None:
        before, after = step.notes
        self._set_tag(before if self.mirror.automatic is step.before else after)

    def _set_tag(self, tag: Any) -> None:
        metadata = {key: value for key, value in self.layer.metadata.items() if key != KEY}
        self.layer.metadata = metadata if tag is None else {**metadata, KEY: tag}

    # Events ---------------------------------------------------------------------------------------------------------

    def _events(self) -> list[tuple[Any, Callable[[Any], None]]]:
        events = self.layer.events
        return [
            (events.paint, self._on_painted),
            (events.set_data, self._on_set_data),
            (events.data, self._on_data_replaced),
        ]

    def _on_painted(self, event: Any) -> None:
        if self._paused:
            return
        self._undo_state = _undo_state(self.layer)
        try:
            atoms, shape = list(event.value), self.layer.data.shape
            box = _box_of(atoms, shape)
            self.mirror.painted(box, lambda volume: _write(atoms, volume.reshape(shape)))
        except (TypeError, ValueError, LookupError, AttributeError):  # a history of another napari; looking will do
            logger.debug("A step of the history is not understood", exc_info=True)
            self._later()

    def _on_set_data(self, event: Any = None) -> None:
        if self._paused:
            return
        self.look_if_undone()
        sight = self._sight()
        if sight == self._seen:
            self._later()
        self._seen = sight

    def _on_data_replaced(self, event: Any = None) -> None:
        if not self._paused:
            self.look()


def _undo_state(layer: Any) -> tuple[int, int]:
    # Not public. Where it is not there, undo is seen by the next look, not at once.
    return len(getattr(layer, "_undo_history", ())), len(getattr(layer, "_redo_history", ()))


def _box_of(atoms: Sequence[Any], shape: tuple[int, ...]) -> tuple[slice, ...]:
    """The box (Z, Y, X) around everything that a step of napari's history changes."""
    ranges = np.array([_ranges(atom, shape) for atom in atoms])
    box = [slice(int(a), int(b)) for a, b in zip(ranges[:, :, 0].min(axis=0), ranges[:, :, 1].max(axis=0), strict=True)]
    return tuple(box) if len(box) == 3 else (slice(0, 1), *box)


def _ranges(atom: Any, shape: tuple[int, ...]) -> list[tuple[int, int]]:
    if hasattr(atom, "slice_key"):
        return [at.indices(n)[:2] for at, n in zip(atom.slice_key, shape, strict=True)]
    indices, _, _ = atom
    return [(int(np.min(at)), int(np.max(at)) + 1) for at in indices]


def _write(atoms: Sequence[Any], labels: LayerLabels) -> None:
    """Do to an array of the layer's shape what the step did to the layer."""
    for atom in atoms:
        if not hasattr(atom, "slice_key"):
            indices, _, values = atom
            labels[indices] = values
        elif atom.mask is None:
            labels[atom.slice_key] = atom.new_value
        else:
            labels[atom.slice_key][atom.mask] = atom.new_value
