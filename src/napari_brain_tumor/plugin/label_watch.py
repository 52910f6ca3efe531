"""Keep a mirror of a labels layer up to date by means of napari's events, and apply results to the layer.

Events of napari 0.6 to 0.9: `paint` carries the history entry, and is emitted after strokes but before single changes
are written to the data. Undo and redo only emit `set_data`, which is also emitted at every change of slice, and
nothing at all while the layer is hidden. `data` is emitted when the array was replaced. Code that writes directly into
the array emits nothing.
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
    """Effect of applying a result: voxels that changed, and voxels kept because they had been edited by hand."""

    changed: int
    preserved: int


def can_be_watched(layer: Any) -> bool:
    """Whether changes of the layer can be tracked: a single in-memory array of integers, a slice or a volume."""
    data = getattr(layer, "data", None)
    return isinstance(data, np.ndarray) and data.ndim in (2, 3) and data.dtype.kind in "iu"


def volume_of(layer: Any) -> LayerLabels:
    """Return the layer's own array, viewed as (Z, Y, X)."""
    data: LayerLabels = layer.data
    return data if data.ndim == 3 else data[np.newaxis]


def automatic_labels(layer: Any) -> LayerLabels:
    """Return the labels that the layer would contain without manual edits, as far as this is known.

    If the labels were made by this plugin and are unchanged, none of them is a manual edit. In all other cases every
    label counts as a manual edit, so that no result overwrites it.
    """
    volume, is_ours = volume_of(layer), layers.segmentation_tag(layer) is not None
    return volume if is_ours and not layers.is_edited(layer) else np.zeros_like(volume)


class LabelWatch:
    """Tracks one layer until `stop` is called.

    Parameters
    ----------
    layer : napari.layers.Labels
    mirror : Mirror
        Mirror of the layer's current labels.
    later : callable
        Called when something may have changed, to request that `look` be called soon, but not immediately.
    sight : callable
        Returns the displayed part of the layer, as a comparable value; a different part does not mean changed labels.
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
        """Stop tracking the layer, after recording its current content."""
        self.look()
        for event, handler in self._events():
            event.disconnect(handler)

    def look(self) -> None:
        """Compare the layer with the mirror and record the changes."""
        if not can_be_watched(self.layer):
            return
        self._undo_state = _undo_state(self.layer)
        step = self.mirror.look(volume_of(self.layer))
        if step is not None:
            self._show_note(step)

    def look_if_undone(self) -> None:
        """Look for changes if undo or redo was used since the last look; hidden layers emit no event for these."""
        if _undo_state(self.layer) != self._undo_state:
            self.look()

    def apply(self, result: LayerData, *, keep_edits: bool = True) -> Applied:
        """Put a new segmentation into the layer, as one step that Ctrl+Z undoes.

        Parameters
        ----------
        result : LayerData
            A layer as returned by `to_layers.segmentation_to_layer`.
        keep_edits : bool
            Keep voxels that were edited by hand since the last result; otherwise, replace everything.

        Raises
        ------
        GridMismatchError
            If the result and the layer are not in the same place.
        LabelSchemaError
            If the meaning of the layer's labels is unknown.
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
        except (TypeError, ValueError, LookupError, AttributeError):  # another napari's history format; look later
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
    # Private attributes; without them, undo is noticed at the next look instead of immediately.
    return len(getattr(layer, "_undo_history", ())), len(getattr(layer, "_redo_history", ()))


def _box_of(atoms: Sequence[Any], shape: tuple[int, ...]) -> tuple[slice, ...]:
    """Return the box (Z, Y, X) around everything that an entry of napari's history changes."""
    ranges = np.array([_ranges(atom, shape) for atom in atoms])
    box = [slice(int(a), int(b)) for a, b in zip(ranges[:, :, 0].min(axis=0), ranges[:, :, 1].max(axis=0), strict=True)]
    return tuple(box) if len(box) == 3 else (slice(0, 1), *box)


def _ranges(atom: Any, shape: tuple[int, ...]) -> list[tuple[int, int]]:
    if hasattr(atom, "slice_key"):
        return [at.indices(n)[:2] for at, n in zip(atom.slice_key, shape, strict=True)]
    indices, _, _ = atom
    return [(int(np.min(at)), int(np.max(at)) + 1) for at in indices]


def _write(atoms: Sequence[Any], labels: LayerLabels) -> None:
    """Apply the changes of a history entry to an array of the layer's shape."""
    for atom in atoms:
        if not hasattr(atom, "slice_key"):
            indices, _, values = atom
            labels[indices] = values
        elif atom.mask is None:
            labels[atom.slice_key] = atom.new_value
        else:
            labels[atom.slice_key][atom.mask] = atom.new_value
