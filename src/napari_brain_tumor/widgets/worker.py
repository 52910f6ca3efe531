"""Run jobs for the window in a background thread, which waits for the worker process; results arrive in Qt's thread."""

import atexit
import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

from napari.utils.notifications import show_error, show_info
from qtpy.QtCore import QCoreApplication, QObject, QTimer, Signal  # type: ignore[attr-defined,unused-ignore]
from qtpy.QtWidgets import QWidget

from napari_brain_tumor.errors import BrainTumorError, CancelledError
from napari_brain_tumor.inference.worker_process import WorkerJob, WorkerProcess
from napari_brain_tumor.progress import Job, Progress, RemainingTime

logger = logging.getLogger(__name__)

_EMIT_SECONDS: Final = 0.05
_TICK_MS: Final = 500
"""Interval at which the time left is updated when the job reports nothing."""


@cache
def shared_worker() -> WorkerProcess:
    """Return the worker process of this napari session, which ends with the session."""
    worker = WorkerProcess()
    atexit.register(worker.close)
    application = QCoreApplication.instance()
    if application is not None:
        application.aboutToQuit.connect(worker.close)
    return worker


def notify(message: str) -> None:
    """Show a message through napari's notifications."""
    show_info(message)


def notify_error(error: Exception) -> None:
    """Notify the user of an error; the traceback is logged unless the error is one of ours."""
    if not isinstance(error, BrainTumorError):
        logger.error("Unexpected error in a job", exc_info=error)
    show_error(str(error) or type(error).__name__)


def as_job(function: Callable[..., Any], *args: Any) -> Job[Any]:
    """Wrap a plain function as a job."""
    yield Progress(0, 0)
    return function(*args)


class Stop:
    """A request to stop a job, which also reaches the step that is running in the worker process."""

    def __init__(self) -> None:
        self._requested = threading.Event()
        self._inner: WorkerJob | None = None

    @property
    def requested(self) -> bool:
        """Whether stopping has been requested."""
        return self._requested.is_set()

    def request(self) -> None:
        """Stop the job: at once in the worker process, at the next step in this one."""
        self._requested.set()
        inner = self._inner  # read once, as the job's thread may release it in the meantime
        if inner is not None:
            inner.cancel()

    def let_go(self) -> None:
        """Release the finished job, which holds what was sent to the worker process."""
        self._inner = None

    def guard(self, job: WorkerJob) -> WorkerJob:
        """Return the same job, after connecting it to stop requests."""
        self._inner = job
        if self.requested:
            job.cancel()
        return job


@dataclass(frozen=True, slots=True)
class Expectation:
    """Expected duration of a job; parameters as in `RemainingTime`."""

    seconds: float | None = None
    stages: tuple[tuple[float, float], ...] = ((0.0, 0.0), (1.0, 1.0))


def time_left_text(seconds: float | None) -> str:
    """Format the time left: `"about 12 s left"`, `"about 3 min left"`; empty if it is unknown."""
    if seconds is None:
        return ""
    return f"about {seconds / 60:.0f} min left" if seconds >= 90 else f"about {max(1, round(seconds))} s left"


class JobRunner(QObject):
    """Runs one job at a time in a separate thread; its signals arrive in Qt's thread.

    Large arrays are pickled, sent and received in that thread, so that the window stays responsive.

    Parameters
    ----------
    must_finish : bool
        Whether Python waits for the job when the window is closed, as for saving files.
    **slots : callable
        Slots to connect: `finished=`, `failed=`, `progressed=` or `cancelled=`.
    """

    progressed = Signal(object, object)
    """`Progress`, and the seconds left or None; emitted twice a second even if only the time has changed."""
    finished = Signal(object)
    """The job's result."""
    failed = Signal(object)
    """The error that occurred."""
    cancelled = Signal()

    def __init__(
        self, parent: QObject | None = None, *, must_finish: bool = False, **slots: Callable[..., object]
    ) -> None:
        super().__init__(parent)
        self._must_finish = must_finish
        self._stop: Stop | None = None
        self._thread: threading.Thread | None = None
        self._estimate: RemainingTime | None = None
        self._last: Progress | None = None
        self._ticker = QTimer(self)
        self._ticker.setInterval(_TICK_MS)
        self._ticker.timeout.connect(self._tick)
        self._held: tuple[QWidget, ...] = ()
        for ended in (self.finished, self.failed, self.cancelled):
            ended.connect(self._on_ended)  # before any listener can start the next one
        for signal, slot in slots.items():
            getattr(self, signal).connect(slot)

    @property
    def running(self) -> bool:
        """Whether a job is running."""
        return self._thread is not None and self._thread.is_alive()

    def hold(self, *controls: QWidget) -> None:
        """Disable these controls while a job runs."""
        self._held = controls

    def start(self, make_job: Callable[[Stop], Job[Any]], expectation: Expectation | None = None) -> None:
        """Start a job; a previous one that is still running is stopped, and emits no more signals.

        Parameters
        ----------
        make_job : callable
            Called with the `Stop`, by which it guards what it runs in the worker process; returns the job.
        expectation : Expectation, optional
            If not given, the time left is estimated from the job's own pace.
        """
        self.cancel()
        stop = self._stop = Stop()
        known = expectation or Expectation()
        estimate = self._estimate = RemainingTime(time.monotonic(), known.seconds, known.stages)
        self._last = None
        work = make_job(stop), stop, estimate
        self._thread = threading.Thread(target=self._drain, args=work, daemon=not self._must_finish)
        self._thread.start()
        self._ticker.start()
        for control in self._held:
            control.setEnabled(False)

    def call(self, function: Callable[..., Any], *args: Any) -> None:
        """Call a plain function in the thread."""
        self.start(lambda _: as_job(function, *args))

    def send(self, worker: WorkerProcess, target: str, *args: Any, **options: Any) -> None:
        """Run a job in the worker process."""
        self.start(lambda stop: stop.guard(worker.run(target, *args, **options)))

    def cancel(self) -> None:
        """Stop the job; `cancelled` follows within a second."""
        if self._stop is not None:
            self._stop.request()

    def wait(self, timeout_seconds: float | None = None) -> None:
        """Block until the thread has ended."""
        if self._thread is not None:
            self._thread.join(timeout_seconds)

    def _on_ended(self) -> None:
        self._ticker.stop()
        for control in self._held:
            control.setEnabled(True)

    def _tick(self) -> None:
        if self._last is not None and self._estimate is not None:
            self.progressed.emit(self._last, self._estimate.seconds_left(time.monotonic()))

    def _drain(self, job: Job[Any], stop: Stop, estimate: RemainingTime) -> None:
        try:
            try:
                result = self._exhaust(job, stop, estimate)
            finally:
                stop.let_go()
        except CancelledError:
            self._emit(stop, "cancelled")
        except Exception as error:
            logger.debug("A job failed", exc_info=True)
            self._emit(stop, "failed", error)
        else:
            self._emit(stop, "finished", result)

    def _exhaust(self, job: Job[Any], stop: Stop, estimate: RemainingTime) -> Any:
        last = 0.0
        while True:
            try:
                progress = next(job)
            except StopIteration as done:
                if stop.requested:
                    raise CancelledError from None
                return done.value
            if stop.requested:
                job.close()
                raise CancelledError
            now = time.monotonic()
            estimate.follow(progress.fraction, now)
            if stop is self._stop:
                self._last = progress
            if now - last >= _EMIT_SECONDS:
                last = now
                self._emit(stop, "progressed", progress, estimate.seconds_left(now))

    def _emit(self, stop: Stop, name: str, *values: Any) -> None:
        if stop is not self._stop:
            return  # another job has replaced it
        try:
            getattr(self, name).emit(*values)  # on a destroyed object, PyQt fails at the look-up and PySide at emit
        except RuntimeError:
            logger.debug("The window was closed before its job ended.")


class TaskRunner(JobRunner):
    """Runs plain functions one at a time and passes on their results; Python waits for them when the window closes."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent, must_finish=True)
        self._receive: Callable[[Any], None] = lambda _: None
        self.finished.connect(self._on_finished)

    def run(self, work: Callable[[], Any], receive: Callable[[Any], None]) -> None:
        """Call `work` in the thread, then `receive` with its result in Qt's."""
        self._receive = receive
        self.start(lambda _: as_job(work))

    def _on_finished(self, result: Any) -> None:
        self.wait(1)  # its thread is about to end; the next task may be started below
        self._receive(result)
