"""The order in which a correction's steps are computed, in another thread, while the user goes on drawing."""

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
    """Work, when the user asked for it, and whether it is to be seen."""

    work: Work
    since: float
    dropped: bool = False


class CorrectionQueue(QObject):
    """Computes one thing at a time, in the order in which it was drawn.

    The layer's history and the refiner's must hold the same changes in the same order. So what the user undoes or
    paints by hand while a step is computed is followed first: the step is taken back, unseen, and computed again.
    """

    shown = Signal(object, float, int)
    """An entry is seen in the layer: the seconds since it was asked for, and the voxels that changed."""
    failed = Signal(object, object)
    """An entry could not be carried out, and why."""
    changed = Signal()
    """What is done, undone or waits is not what it was."""
    held = Signal(object, object)
    """An entry is computed and waits to be taken: it, and the `Voxels` that it would change."""
    progressed = Signal(object)
    """`Progress` of what is computed now."""

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
        """Whether anything is computed or waits."""
        return self._now is not None or bool(self._waiting or self._to_follow)

    @property
    def pending(self) -> list[Entry]:
        """What was asked for and is not seen yet, in order."""
        now = [self._now] if self._now is not None and self._now.work.kind == "do" else []
        return [request.work.entry for request in (*now, *self._waiting) if not request.dropped]

    @property
    def prompts(self) -> list[Prompt]:
        """All prompts, those that wait included."""
        return prompts_of([*self.correction.entries, *self.pending])

    def add(self, work: Work) -> None:
        """Compute this after all else."""
        self._waiting.append(_QueuedWork(work, time.monotonic()))
        self._next()
        self.changed.emit()

    def follow(self) -> None:
        """The layer may have been changed by somebody else."""
        changes = self.correction.follow()
        if changes:
            self._to_follow.extend(changes)
            self._release(drop=False)
            self._next()
            self.changed.emit()

    def undo(self) -> None:
        """Take back the last step: that which still waits, or in the layer; raises `PromptError` if there is none."""
        if self.pending:
            self._drop_last()
        else:
            self._to_follow.extend(self.correction.undo())
            self._next()
        self.changed.emit()

    def redo(self) -> None:
        """Bring back what was undone last; raises `PromptError` if there is nothing."""
        if self.pending:
            msg = "A prompt is still being computed, so there is nothing to redo."
            raise PromptError(msg)
        self._to_follow.extend(self.correction.redo())
        self._next()
        self.changed.emit()

    def cancel(self) -> None:
        """Drop everything that waits; what is computed now will not be seen."""
        self._waiting.clear()
        if self._now is not None:
            self._now.dropped = True
        self._release(drop=True)
        self._next()
        self.changed.emit()

    def hold(self, holds: bool) -> None:
        """Let prompts wait to be taken (`take`) or dropped (`drop`) before they are shown in the layer, or do not."""
        self._holds = holds
        if not holds:
            self.take()

    def take(self) -> None:
        """Show what is held."""
        request, outcome = self._now, self._held
        if request is None or outcome is None:
            return
        self._now = self._held = None
        self._show(request, *outcome)
        self._next()
        self.changed.emit()

    def drop(self) -> None:
        """Do without what is held."""
        self._release(drop=True)
        self._next()
        self.changed.emit()

    @property
    def holding(self) -> bool:
        """Whether something waits to be taken."""
        return self._held is not None

    def _release(self, *, drop: bool) -> None:
        """Take back what is held; if it is not dropped it is computed again, after what the user did meanwhile."""
        request = self._now
        if request is None or self._held is None:
            return
        self._now = self._held = None
        request.dropped = drop
        self._take_back(request)

    def stop(self) -> None:
        """Compute no more, and tell nothing any more."""
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
