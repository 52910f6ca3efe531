"""Follow a label array through painting, undo and replacement, and distinguish manual from automatic changes."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from napari_brain_tumor.autosave.changes import Change, change_between, digest_of, pack_change
from napari_brain_tumor.autosave.layer_journal import LayerJournal
from napari_brain_tumor.types import LayerLabels

Slices = tuple[slice, ...]

_STEPS: Final = 20
"""Number of automatic steps that are recognised when undone; each may hold a copy of the labels."""


@dataclass(frozen=True, slots=True, eq=False)
class Step:
    """An automatic step: automatic labels before and after it, and the change of the labels by which it is recognised.

    Parameters
    ----------
    before, after : arrays
        Automatic labels before and after the step.
    forward, backward : bytes
        Packed change of the labels, and its inverse.
    notes : pair of anything
        Arbitrary information on the labels before and after it.
    """

    before: LayerLabels
    after: LayerLabels
    forward: bytes
    backward: bytes
    notes: tuple[Any, Any] = (None, None)


class Mirror:
    """A copy of an array that is kept up to date and reports every change to a journal.

    Parameters
    ----------
    labels : (Z, Y, X) integers
        The current array, which is copied.
    automatic : array, optional
        The array without manual changes; the current one if not given.
    journal : LayerJournal, optional
        Journal in which every change is recorded.
    """

    def __init__(
        self, labels: LayerLabels, automatic: LayerLabels | None = None, journal: LayerJournal | None = None
    ) -> None:
        self.labels = np.array(labels)
        self.automatic = self.labels.copy() if automatic is None else np.array(automatic)
        self.journal = journal
        self._done: list[Step] = []
        self._undone: list[Step] = []
        if automatic is not None:
            self._tell_automatic()

    @property
    def digest(self) -> bytes:
        """Digest of the labels in their last known state."""
        return digest_of(self.labels)

    def painted(self, box: Slices, write: Callable[[LayerLabels], None]) -> Change | None:
        """Register painting: `write` makes the same change in the copy, within the box."""
        before = self.labels[box].copy()
        write(self.labels)
        change = change_between(before, self.labels[box])
        if change is None:
            return None
        start = tuple(a + at.start for a, at in zip(change.start, box, strict=True))
        change = Change(start, change.mask, change.values)
        self._undone.clear()
        self._tell(change)
        return change

    def look(self, labels: LayerLabels) -> Step | None:
        """Compare with the array and register any changes, such as those by undo.

        Returns
        -------
        Step or None
            The automatic step that was undone or redone.
        """
        if labels.shape != self.labels.shape or labels.dtype != self.labels.dtype:
            self._begin_anew(labels)
            return None
        change = change_between(self.labels, labels)
        if change is None:
            return None
        change.apply(self.labels)
        self._tell(change)
        return self._follow(pack_change(change))

    def step(self, labels: LayerLabels, automatic: LayerLabels, notes: tuple[Any, Any] = (None, None)) -> None:
        """Register the result of an automatic step; `automatic` are the same labels without manual changes."""
        forward, backward = change_between(self.labels, labels), change_between(labels, self.labels)
        if forward is None or backward is None:
            self.automatic = np.array(automatic)
        else:
            self._done.append(
                Step(self.automatic, np.array(automatic), pack_change(forward), pack_change(backward), notes)
            )
            del self._done[:-_STEPS]
            self._undone.clear()
            self.automatic = self._done[-1].after
            forward.apply(self.labels)
            self._tell(forward)
        self._tell_automatic()

    def assume(self, automatic: LayerLabels) -> None:
        """Replace the last automatic labels by ones from a more reliable source."""
        self.automatic = np.array(automatic)
        self._tell_automatic()

    def _follow(self, change: bytes) -> Step | None:
        """Return the automatic step that a change undoes or redoes, if any."""
        if self._done and change == self._done[-1].backward:
            step = self._done.pop()
            self._undone.append(step)
            self.automatic = step.before
        elif self._undone and change == self._undone[-1].forward:
            step = self._undone.pop()
            self._done.append(step)
            self.automatic = step.after
        else:
            return None
        self._tell_automatic()
        return step

    def _begin_anew(self, labels: LayerLabels) -> None:
        self.labels, self.automatic = np.array(labels), np.array(labels)
        self._done, self._undone = [], []
        if self.journal is not None:
            self.journal.begin_anew(self.labels, None)

    def _tell(self, change: Change) -> None:
        if self.journal is None:
            return
        self.journal.change(change)
        if self.journal.due:
            self.journal.compact(self.labels, change_between(self.labels, self.automatic))

    def _tell_automatic(self) -> None:
        if self.journal is not None:
            self.journal.automatic(change_between(self.labels, self.automatic))


def combine(labels: LayerLabels, automatic: LayerLabels, result: LayerLabels) -> tuple[LayerLabels, int]:
    """Combine a new result with the voxels that were changed by hand since the last one.

    Parameters
    ----------
    labels, automatic, result : arrays of one shape
        The current labels, the labels left by the last automatic step, and the labels of the new one.

    Returns
    -------
    array, int
        The labels, in the type of `labels`, and the number of voxels kept that the result would have changed.
    """
    by_hand = labels != automatic
    combined = np.where(by_hand, labels, result).astype(labels.dtype)
    return combined, int(np.count_nonzero(by_hand & (labels != result)))
