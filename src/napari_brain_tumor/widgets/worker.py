"""Run jobs for the window: in another thread, which waits for the worker process, with answers in Qt's thread."""

import atexit
import logging
import threading
import time
from collections.abc import Callable, Generator
from functools import cache
from typing import Any

from napari.utils.notifications import show_error, show_info
from qtpy.QtCore import QCoreApplication, QObject, Signal  # type: ignore[attr-defined,unused-ignore]

from napari_brain_tumor.errors import BrainTumorError, CancelledError
from napari_brain_tumor.inference.worker_process import WorkerJob, WorkerProcess
from napari_brain_tumor.progress import Job, Progress

__all__ = ["JobRunner", "Stop", "TimeLeft", "as_job", "notify", "notify_error", "shared_worker", "time_left_text"]

logger = logging.getLogger(__name__)

_EMIT_SECONDS = 0.05


@cache
def shared_worker() -> WorkerProcess:
    """The one worker process of this napari session; it ends with it."""
    worker = WorkerProcess()
    atexit.register(worker.close)
    application = QCoreApplication.instance()
    if application is not None:
        application.aboutToQuit.connect(worker.close)
    return worker


def notify(message: str) -> None:
    """Tell the user something through napari's notifications."""
    show_info(message)


def notify_error(error: Exception) -> None:
    """Tell the user what went wrong; the traceback goes to the log unless the error is one of ours."""
    if not isinstance(error, BrainTumorError):
        logger.error("Unexpected error in a job", exc_info=error)
    show_error(str(error) or type(error).__name__)


def as_job(function: Callable[..., Any], *args: Any) -> Job[Any]:
    """A plain function as a job."""
    yield Progress(0, 0)
    return function(*args)


class Stop:
    """A wish to stop that reaches the worker process, whichever of a job's steps runs there."""

    def __init__(self) -> None:
        self._requested = threading.Event()
        self._inner: WorkerJob | None = None

    @property
    def requested(self) -> bool:
        """Whether someone wants the job to stop."""
        return self._requested.is_set()

    def request(self) -> None:
        """Stop the job: at once in the worker process, at the next step in this one."""
        self._requested.set()
        if self._inner is not None:
            self._inner.cancel()

    def guard(self, job: WorkerJob) -> WorkerJob:
        """The same job; from now on a request stops it."""
        self._inner = job
        if self.requested:
            job.cancel()
        return job


class TimeLeft:
    """Estimates the seconds that a job still needs, from the pace of its progress."""

    def __init__(self) -> None:
        self._first: tuple[float, float] | None = None

    def after(self, progress: Progress, now: float) -> float | None:
        """Seconds left at the time `now`; None while there is too little to tell."""
        if self._first is None or progress.fraction < self._first[1]:
            self._first = (now, progress.fraction)
        started, fraction = self._first
        gained, elapsed = progress.fraction - fraction, now - started
        if gained < 0.02 or elapsed < 0.3:
            return None
        return elapsed / gained * (1 - progress.fraction)


def time_left_text(seconds: float | None) -> str:
    """As people say it: `"about 12 s left"`, `"about 3 min left"`; empty where it is not known."""
    if seconds is None:
        return ""
    return f"about {seconds / 60:.0f} min left" if seconds >= 90 else f"about {max(1, round(seconds))} s left"


class JobRunner(QObject):
    """Runs one job at a time in a thread of its own; its signals arrive in Qt's thread.

    Large arrays are pickled, sent and received in that thread, so that the window stays responsive.
    """

    progressed = Signal(object, object)
    """`Progress`, and the seconds left or None."""
    finished = Signal(object)
    """The job's result."""
    failed = Signal(object)
    """The error."""
    cancelled = Signal()

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._stop: Stop | None = None
        self._thread: threading.Thread | None = None

    @property
    def running(self) -> bool:
        """Whether a job is under way."""
        return self._thread is not None and self._thread.is_alive()

    def start(self, make_job: Callable[[Stop], Job[Any]]) -> None:
        """Start a job; the one before it, if it still runs, is stopped and not heard of again.

        Parameters
        ----------
        make_job : callable
            Gets the `Stop`, with which it guards what it runs in the worker process, and returns the job.
        """
        self.cancel()
        stop = self._stop = Stop()
        self._thread = threading.Thread(target=self._drain, args=(make_job(stop), stop), daemon=True)
        self._thread.start()

    def cancel(self) -> None:
        """Stop the job; `cancelled` follows within a second."""
        if self._stop is not None:
            self._stop.request()

    def wait(self, timeout_seconds: float | None = None) -> None:
        """Block until the thread has ended."""
        if self._thread is not None:
            self._thread.join(timeout_seconds)

    def _drain(self, job: Job[Any], stop: Stop) -> None:
        try:
            result = self._exhaust(job, stop)
        except CancelledError:
            self._emit(stop, "cancelled")
        except Exception as error:
            logger.debug("A job failed", exc_info=True)
            self._emit(stop, "failed", error)
        else:
            self._emit(stop, "finished", result)

    def _exhaust(self, job: Job[Any], stop: Stop) -> Any:
        estimate, last = TimeLeft(), 0.0
        while True:
            try:
                progress = next(job)
            except StopIteration as done:
                _raise_if_requested(stop)
                return done.value
            _close_if_requested(job, stop)
            now = time.monotonic()
            left = estimate.after(progress, now)
            if now - last >= _EMIT_SECONDS:
                last = now
                self._emit(stop, "progressed", progress, left)

    def _emit(self, stop: Stop, signal: str, *values: Any) -> None:
        if stop is not self._stop:
            return  # another job has taken its place
        try:
            getattr(self, signal).emit(*values)  # after the window was closed there is no signal either
        except RuntimeError:
            logger.debug("The window was closed before its job ended.")


def _raise_if_requested(stop: Stop) -> None:
    if stop.requested:
        raise CancelledError


def _close_if_requested(job: Generator[Any, None, Any], stop: Stop) -> None:
    if stop.requested:
        job.close()
        raise CancelledError
