"""Follows an array of labels as it is painted on, undone and replaced: what changed, and what of it a hand did."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from napari_brain_tumor.autosave.changes import Change, change_between, digest_of, pack_change
from napari_brain_tumor.autosave.layer_journal import LayerJournal
from napari_brain_tumor.types import LayerLabels

Slices = tuple[slice, ...]

_STEPS: Final = 20
"""So many automatic steps are known again when they are undone; each may hold a copy of the labels."""


@dataclass(frozen=True, slots=True, eq=False)
class Step:
    """One automatic step: the automatic labels before and after it, and how the labels changed, to know it again.

    Parameters
    ----------
    before, after : arrays
        Automatic labels.
    forward, backward : bytes
        The packed change of the labels, and the one that takes it back.
    notes : pair of anything
        What belongs to the labels before and after it.
    """

    before: LayerLabels
    after: LayerLabels
    forward: bytes
    backward: bytes
    notes: tuple[Any, Any] = (None, None)


class Mirror:
    """A copy of an array that is kept in step with it, and tells a journal of every change.

    Parameters
    ----------
    labels : (Z, Y, X) integers
        The array as it is now; it is copied.
    automatic : array, optional
        What it would be had no hand painted on it; as it is now if not given.
    journal : LayerJournal, optional
        Told of every change.
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
        """Tells the labels as they are known here from others."""
        return digest_of(self.labels)

    def painted(self, box: Slices, write: Callable[[LayerLabels], None]) -> Change | None:
        """Take in what is being painted: `write` does the same to the copy, within the box."""
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
        """Compare with the array and take in what changed, such as by undo.

        Returns
        -------
        Step or None
            The automatic step that was undone or done again by this.
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
        """An automatic step left these labels; `automatic` are its own, without what a hand did."""
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
        """These are the last automatic labels: someone knows better than what was told at first."""
        self.automatic = np.array(automatic)
        self._tell_automatic()

    def _follow(self, change: bytes) -> Step | None:
        """Whether a change takes the last automatic step back, or does it again."""
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
    """A new result with the voxels that a hand changed since the last one put back.

    Parameters
    ----------
    labels, automatic, result : arrays of one shape
        As they are; as the last automatic step alone had left them; as the new one gives.

    Returns
    -------
    array, int
        The labels, of the type of `labels`, and how many voxels were kept that the result alone would have changed.
    """
    by_hand = labels != automatic
    combined = np.where(by_hand, labels, result).astype(labels.dtype)
    return combined, int(np.count_nonzero(by_hand & (labels != result)))
