"""Run jobs in a separate, persistent Python process that can be stopped immediately and whose crash is contained.

The child is started with `subprocess` rather than `multiprocessing`, which would import the caller's script again and
does not work in bundled applications. Parent and child communicate over the child's stdin and stdout. This leaves no
files or open ports, and the child ends with its parent: when the parent is gone, the child's stdin closes. Anything
that libraries print in the child goes to its log instead.
"""

import contextlib
import io
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Generator, Mapping
from types import MappingProxyType, TracebackType
from typing import IO, Any, Final, Self

from napari_brain_tumor.errors import CancelledError, WorkerDiedError
from napari_brain_tumor.inference.worker_messages import PREAMBLE, read_message, write_message
from napari_brain_tumor.interpreter import module_command, safe_environment, safe_path
from napari_brain_tumor.progress import Job, Progress

_CHILD: Final = "napari_brain_tumor.inference.worker_child"
_TERMINATE_SECONDS: Final = 0.4
_POLL_SECONDS: Final = 0.05
_LOG_TAIL: Final = 2000


class WorkerJob(Generator[Progress, None, Any]):
    """A task in the worker process, as a job: iterate for progress; its return value is the result of the task.

    Created by `WorkerProcess.run`. Sending, computing and receiving take place in the thread that iterates; `cancel`
    may be called from any other thread.
    """

    def __init__(self, worker: "WorkerProcess", task: tuple[str, tuple[Any, ...], Mapping[str, Any]]) -> None:
        self._cancelled = threading.Event()
        self._worker = worker
        self._steps = worker._perform(self, task)

    @property
    def cancelled(self) -> bool:
        """Whether `cancel` has been called."""
        return self._cancelled.is_set()

    def cancel(self) -> None:
        """Stop within a second, whatever the task is doing; the iterating thread gets `CancelledError`."""
        self._cancelled.set()
        self._worker._stop_if_busy_with(self)

    def send(self, value: None) -> Progress:
        """Return the next progress; see `Generator.send`."""
        return self._steps.send(value)

    def throw(self, *args: Any) -> Progress:
        """Raise an exception in the job; see `Generator.throw`."""
        return self._steps.throw(*args)

    def close(self) -> None:
        """Abandon the task; stops it if it is running."""
        self._steps.close()


class WorkerProcess:
    """A persistent child process that runs tasks one after another.

    The child starts with the first task, or with `start`, and is reused for the next ones; if it was stopped or died,
    it is replaced. A second task waits for the first. All methods may be called from any thread.

    Parameters
    ----------
    environment : mapping of str to str
        Additional environment variables for the child, such as its number of threads.

    Examples
    --------
    >>> with WorkerProcess() as worker:  # doctest: +SKIP
    ...     segmentation = run_job(worker.run("napari_brain_tumor.workflow:segment_job", study))
    """

    def __init__(self, environment: Mapping[str, str] = MappingProxyType({})) -> None:
        self._environment = environment
        self._turn = threading.Lock()
        self._state = threading.Lock()
        self._child: _Child | None = None
        self._current: WorkerJob | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def pid(self) -> int | None:
        """Process ID of the child while it is running."""
        child = self._child
        return child.process.pid if child is not None and child.process.poll() is None else None

    def start(self) -> None:
        """Start the child now, so that the first task does not have to wait for it.

        Raises
        ------
        WorkerDiedError
            If the child exits before it is ready.
        """
        with self._turn:
            self._living_child()

    def run(self, target: str, *args: Any, **kwargs: Any) -> WorkerJob:
        """Run a function in the child process.

        Parameters
        ----------
        target : str
            `"package.module:function"`, imported in the child. The function may be ordinary or a job (a generator that
            yields `Progress`).
        *args, **kwargs
            Arguments of the function; they and the result are pickled.

        Returns
        -------
        WorkerJob
            Nothing happens until it is iterated. It raises the task's own errors, `CancelledError` after `cancel`, or
            `WorkerDiedError` if the process exited on its own.
        """
        return WorkerJob(self, (target, args, kwargs))

    def cancel(self) -> None:
        """Stop the running task, if any, within a second."""
        current = self._current
        if current is not None:
            current.cancel()

    def close(self) -> None:
        """End the child. The worker can still be used: a new child is then started."""
        self.cancel()
        with self._state:
            child, self._child = self._child, None
        if child is not None:
            child.stop()

    def _perform(self, job: WorkerJob, task: tuple[str, tuple[Any, ...], Mapping[str, Any]]) -> Job[Any]:
        yield from self._wait_for_turn(job)
        finished = False
        try:
            self._current = job
            result = yield from self._converse(job, task)
            finished = True
            return result
        except _TaskFailedError as failed:
            finished = True
            raise failed.error from None
        finally:
            self._current = None
            if not finished:
                self._drop_child()  # it is still busy, or has died
            self._turn.release()

    def _wait_for_turn(self, job: WorkerJob) -> Job[None]:
        while not self._turn.acquire(timeout=_POLL_SECONDS):
            _raise_if_cancelled(job)
            yield Progress(0, 0, "Waiting for the previous job")

    def _converse(self, job: WorkerJob, task: tuple[str, tuple[Any, ...], Mapping[str, Any]]) -> Job[Any]:
        _raise_if_cancelled(job)
        child = self._living_child(job)
        try:
            child.write(task)
            while True:
                _raise_if_cancelled(job)
                kind, value = child.read()
                if kind == "progress":
                    yield value
                elif kind == "result":
                    return value
                else:
                    raise _TaskFailedError(value)
        except (EOFError, OSError) as error:
            _raise_if_cancelled(job)
            raise child.obituary() from error

    def _living_child(self, job: WorkerJob | None = None) -> "_Child":
        with self._state:
            if self._child is None or self._child.process.poll() is not None:
                self._child = _Child(self._environment)
            child = self._child
        try:
            child.wait_until_ready()
        except (EOFError, OSError) as error:
            if job is not None:
                _raise_if_cancelled(job)
            raise child.obituary() from error
        return child

    def _stop_if_busy_with(self, job: WorkerJob) -> None:
        if self._current is job:
            self._drop_child()

    def _drop_child(self) -> None:
        with self._state:
            child, self._child = self._child, None
        if child is not None:
            child.stop()


class _TaskFailedError(Exception):  # not raised outside this file
    def __init__(self, error: Exception) -> None:
        super().__init__(str(error))
        self.error = error


def _raise_if_cancelled(job: WorkerJob) -> None:
    if job.cancelled:
        raise CancelledError("Cancelled. Nothing was changed.")


class _Child:
    """The parent's end of one child process."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self.log: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the process
        self.process = subprocess.Popen(
            module_command(_CHILD),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.log,
            bufsize=0,
            env=_child_environment() | dict(environment),
            creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
        )
        self._ready = False

    def __del__(self) -> None:
        # Not in `stop`: another thread may still be reading, and a closed descriptor's number can be reused at once.
        for stream in (self.process.stdin, self.process.stdout, self.log):
            with contextlib.suppress(OSError):
                stream.close()  # type: ignore[union-attr]

    def wait_until_ready(self) -> None:
        last_bytes = b""
        while not self._ready:
            byte = self._stdout.read(1)
            if not byte:
                raise EOFError
            last_bytes = (last_bytes + byte)[-len(PREAMBLE) :]
            self._ready = last_bytes == PREAMBLE

    def write(self, message: object) -> None:
        assert self.process.stdin is not None
        write_message(self.process.stdin, message)

    def read(self) -> tuple[str, Any]:
        kind, value = read_message(self._stdout)
        return kind, value

    def stop(self) -> None:
        """Terminate the process, then kill it if necessary."""
        self.process.terminate()
        try:
            self.process.wait(_TERMINATE_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def obituary(self) -> WorkerDiedError:
        """Explain why the process ended and what to do."""
        try:
            code = self.process.wait(_TERMINATE_SECONDS)
        except subprocess.TimeoutExpired:
            self.stop()
            code = self.process.returncode
        return WorkerDiedError(_obituary(code, self._log_tail()))

    def _log_tail(self) -> str:
        self.log.seek(0, io.SEEK_END)
        self.log.seek(max(0, self.log.tell() - _LOG_TAIL))
        return self.log.read().decode(errors="replace").strip()

    @property
    def _stdout(self) -> IO[bytes]:
        assert self.process.stdout is not None
        return self.process.stdout


def _child_environment() -> dict[str, str]:
    # The child must find exactly the same modules as the parent.
    return {**safe_environment(), "PYTHONPATH": os.pathsep.join(safe_path(sys.path))}


def _obituary(code: int, log: str) -> str:
    if code == -getattr(signal, "SIGKILL", 9):
        why = "it was killed by the system, most often because memory ran out (signal 9)"
        hint = "Close other programs or use a smaller image, then run again."
    elif code < 0:
        why, hint = f"it was ended by {_signal_name(-code)}", "Run again; if it happens again, choose the device cpu."
    else:
        why, hint = f"it ended with code {code}", "Run again; if it happens again, report it with the lines below."
    last_words = f"\nIts last output:\n{log}" if log else ""
    return f"The computing process died: {why}. Nothing was changed. {hint}{last_words}"


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
