"""The queue in which the steps of a correction are computed in another thread while the user keeps drawing."""

import time
from collections import deque
from dataclasses import dataclass
from typing import Any

from qtpy.QtCore import QObject, Signal  # type: ignore[attr-defined,unused-ignore]

from napari_brain_tumor.errors import PromptError
from napari_brain_tumor.interactive.prompts import Action, Prompt
from napari_brain_tumor.widgets.correct_entries import Entry, LabelState, Voxels, Work, prompts_of
from napari_brain_tumor.widgets.correct_state import Correction
from napari_brain_tumor.widgets.worker import JobRunner


@dataclass(slots=True, eq=False)
class _QueuedWork:
    """Work, the time at which the user asked for it, and whether it was dropped."""

    work: Work
    since: float
    dropped: bool = False


class CorrectionQueue(QObject):
    """Computes one step at a time, in the order in which they were drawn.

    The histories of the layer and the refiner must hold the same changes in the same order. Therefore, if the user
    undoes or paints something while a step is computed, that is processed first: the step is undone before it is shown,
    and computed again.
    """

    shown = Signal(object, float, int)
    """An entry is shown in the layer: with the seconds since it was requested, and the number of changed voxels."""
    failed = Signal(object, object)
    """An entry could not be applied; with the reason."""
    changed = Signal()
    """The applied, undone or pending entries have changed."""
    held = Signal(object, object)
    """An entry has been computed and waits for acceptance; with the `Voxels` that it would change."""
    progressed = Signal(object)
    """`Progress` of the current computation."""

    def __init__(self, correction: Correction, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.correction = correction
        self.runner = JobRunner(self, finished=self._on_finished, failed=self._on_failed)
        self._now: _QueuedWork | None = None
        self._waiting: deque[_QueuedWork] = deque()
        self._to_follow: deque[Work] = deque()
        self._stopped = False
        self._holds = False
        self._held: tuple[Voxels, LabelState] | None = None
        self.runner.progressed.connect(lambda progress, _: self.progressed.emit(progress))

    @property
    def busy(self) -> bool:
        """Whether anything is being computed or is waiting."""
        return self._now is not None or bool(self._waiting or self._to_follow)

    @property
    def pending(self) -> list[Entry]:
        """Entries that were requested and are not shown yet, in order."""
        now = [self._now] if self._now is not None and self._now.work.kind == "do" else []
        return [request.work.entry for request in (*now, *self._waiting) if not request.dropped]

    @property
    def prompts(self) -> list[Prompt]:
        """All prompts, including pending ones."""
        return prompts_of([*self.correction.entries, *self.pending])

    def add(self, work: Work) -> None:
        """Add work at the end of the queue."""
        self._waiting.append(_QueuedWork(work, time.monotonic()))
        self._next()
        self.changed.emit()

    def follow(self) -> None:
        """Catch up with the layer, which may have been changed otherwise."""
        changes = self.correction.follow()
        if changes:
            self._to_follow.extend(changes)
            self._release(drop=False)
            self._next()
            self.changed.emit()

    def undo(self) -> None:
        """Undo the last step, whether pending or already shown; raises `PromptError` if there is none."""
        if self.pending:
            self._drop_last()
        else:
            self._to_follow.extend(self.correction.undo())
            self._next()
        self.changed.emit()

    def redo(self) -> None:
        """Redo what was undone last; raises `PromptError` if there is nothing to redo."""
        if self.pending:
            msg = "A prompt is still being computed, so there is nothing to redo."
            raise PromptError(msg)
        self._to_follow.extend(self.correction.redo())
        self._next()
        self.changed.emit()

    def cancel(self) -> None:
        """Drop everything that is pending; what is being computed will not be shown."""
        self._waiting.clear()
        if self._now is not None:
            self._now.dropped = True
        self._release(drop=True)
        self._next()
        self.changed.emit()

    def hold(self, holds: bool) -> None:
        """Set whether prompts wait to be accepted (`take`) or dropped (`drop`) before they are shown in the layer."""
        self._holds = holds
        if not holds:
            self.take()

    def take(self) -> None:
        """Show the held entry."""
        request, outcome = self._now, self._held
        if request is None or outcome is None:
            return
        self._now = self._held = None
        self._show(request, *outcome)
        self._next()
        self.changed.emit()

    def drop(self) -> None:
        """Discard the held entry."""
        self._release(drop=True)
        self._next()
        self.changed.emit()

    @property
    def holding(self) -> bool:
        """Whether an entry is waiting for acceptance."""
        return self._held is not None

    def _release(self, *, drop: bool) -> None:
        """Undo the held entry; unless it is dropped, compute it again, after what the user did in the meantime."""
        request = self._now
        if request is None or self._held is None:
            return
        self._now = self._held = None
        request.dropped = drop
        self._take_back(request)

    def stop(self) -> None:
        """Stop computing, and emit no more signals."""
        self._stopped = True
        self._waiting.clear()
        self._to_follow.clear()
        self.runner.cancel()

    def _drop_last(self) -> None:
        if self._waiting:
            self._waiting.pop()
        elif self._now is not None:
            self._now.dropped = True
            self._release(drop=True)
            self._next()

    def _next(self) -> None:
        if self._now is not None or self._stopped:
            return
        if self._to_follow:
            self._now = _QueuedWork(self._to_follow.popleft(), time.monotonic())
        elif self._waiting:
            self._now = self._waiting.popleft()
        else:
            return
        work = self._now.work
        labels = self.correction.snapshot() if work.kind == "do" else None
        self.runner.start(lambda _: work.job(labels))

    def _on_finished(self, outcome: Any) -> None:
        request, self._now = self._now, None
        if request is None or self._stopped:
            return
        self.correction.end_preview()
        self._to_follow.extend(self.correction.follow())
        if request.work.kind == "follow":
            if not self._to_follow:
                self.correction.record(outcome)
        elif request.dropped or self._to_follow:
            self._take_back(request)
        elif self._holds and request.work.can_be_repeated and not isinstance(request.work.entry.step, Action):
            self._now, self._held = request, outcome
            self.held.emit(request.work.entry, outcome[0])
        else:
            self._show(request, *outcome)
        self._next()
        self.changed.emit()

    def _show(self, request: _QueuedWork, edit: Voxels, state: LabelState) -> None:
        entry = request.work.entry
        voxels = self.correction.show(entry, edit)
        self.correction.record(state)
        self.shown.emit(entry, time.monotonic() - request.since, voxels)

    def _take_back(self, request: _QueuedWork) -> None:
        self._to_follow.appendleft(self.correction.forget(request.work.entry))
        if request.dropped:
            return
        if request.work.can_be_repeated:
            self._waiting.appendleft(request)
        else:
            msg = "The labels were changed in the meantime, so nothing was done. Try again."
            self.failed.emit(request.work.entry, PromptError(msg))

    def _on_failed(self, error: Exception) -> None:
        request, self._now = self._now, None
        if request is None or self._stopped:
            return
        self.correction.end_preview()
        if not request.dropped:
            self.failed.emit(request.work.entry, error)
        self._next()
        self.changed.emit()
