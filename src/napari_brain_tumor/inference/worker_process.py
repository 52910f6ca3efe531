"""Run jobs in one separate Python process that is kept warm: it can be stopped at once, and may die alone.

The child is started with `subprocess`, not with `multiprocessing`: that would import the caller's script again and
does not work in bundled applications. The two talk over the child's own stdin and stdout, which leaves nothing on
disk and no port open, and ends the child with its parent: when the parent is gone, the child's stdin closes.
Whatever libraries in the child print goes to its log instead.
"""

import contextlib
import importlib
import io
import logging
import os
import pickle
import queue
import signal
import struct
import subprocess
import sys
import tempfile
import threading
import traceback
from collections.abc import Callable, Generator, Mapping
from types import MappingProxyType, TracebackType
from typing import IO, Any, BinaryIO, Final, Self

from napari_brain_tumor.errors import BrainTumorError, CancelledError, OutOfMemoryError, WorkerDiedError
from napari_brain_tumor.interpreter import module_command, safe_environment, safe_path
from napari_brain_tumor.progress import Job, Progress

__all__ = ["WorkerJob", "WorkerProcess", "sendable"]

logger = logging.getLogger(__name__)

_PREAMBLE: Final = b"\x00napari-brain-tumor worker 1\n"
"""First bytes of the child. What other code printed before them is skipped."""

_CHUNK: Final = 1 << 20
"""Bytes moved at once: small, so that no call keeps Python's lock for long and the window stays responsive."""

_TERMINATE_SECONDS: Final = 0.4
_POLL_SECONDS: Final = 0.05
_LOG_TAIL: Final = 2000
_OUT_OF_MEMORY: Final = (
    "Memory ran out in the computing process. Close other programs, leave mirrored averaging off, or use a computer "
    "with more memory."
)


class WorkerJob(Generator[Progress, None, Any]):
    """A task in the worker process, as a job: iterate for progress, its return value is the task's result.

    Made by `WorkerProcess.run`. Sending, computing and receiving happen in the thread that iterates; `cancel` may be
    called from any other.
    """

    def __init__(self, worker: "WorkerProcess", task: tuple[str, tuple[Any, ...], Mapping[str, Any]]) -> None:
        self._cancelled = threading.Event()
        self._worker = worker
        self._steps = worker._perform(self, task)

    @property
    def cancelled(self) -> bool:
        """Whether `cancel` was called."""
        return self._cancelled.is_set()

    def cancel(self) -> None:
        """Stop within a second, whatever the task is doing; whoever iterates gets `CancelledError`."""
        self._cancelled.set()
        self._worker._stop_if_busy_with(self)

    def send(self, value: None) -> Progress:
        """Next progress; see `Generator.send`."""
        return self._steps.send(value)

    def throw(self, *args: Any) -> Progress:
        """Raise in the job; see `Generator.throw`."""
        return self._steps.throw(*args)

    def close(self) -> None:
        """Give the task up; a running one is stopped."""
        self._steps.close()


class WorkerProcess:
    """One warm child process that runs one task after another.

    The child starts with the first task, or with `start`, stays for the next one, and is replaced by a new one after
    it was stopped or died. A second task waits for the first. All methods may be called from any thread.

    Parameters
    ----------
    environment : mapping of str to str
        Variables for the child beside those of this process, such as its number of threads.

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
        """Process number of the child while it lives."""
        child = self._child
        return child.process.pid if child is not None and child.process.poll() is None else None

    def start(self) -> None:
        """Start the child now, so that the first task need not wait for it.

        Raises
        ------
        WorkerDiedError
            If the child ends before it is ready.
        """
        with self._turn:
            self._living_child()

    def run(self, target: str, *args: Any, **kwargs: Any) -> WorkerJob:
        """Run a function in the child.

        Parameters
        ----------
        target : str
            `"package.module:function"`, imported in the child. The function is plain or a job (a generator that yields
            `Progress`).
        *args, **kwargs
            Its arguments; they and the result are pickled.

        Returns
        -------
        WorkerJob
            Nothing happens before it is iterated. It raises what the task raised; `CancelledError` after `cancel`;
            `WorkerDiedError` if the process ended by itself.
        """
        return WorkerJob(self, (target, args, kwargs))

    def cancel(self) -> None:
        """Stop the task that is running, if any, within a second."""
        current = self._current
        if current is not None:
            current.cancel()

    def close(self) -> None:
        """End the child. The worker may be used again; a new child is then started."""
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
                self._drop_child()  # it is in the middle of something, or gone
            self._turn.release()

    def _wait_for_turn(self, job: WorkerJob) -> Job[None]:
        while not self._turn.acquire(timeout=_POLL_SECONDS):
            _raise_if_cancelled(job)
            yield Progress(0, 0, "Waiting for the job before")

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


class _TaskFailedError(Exception):  # never leaves this file
    def __init__(self, error: Exception) -> None:
        super().__init__(str(error))
        self.error = error


def _raise_if_cancelled(job: WorkerJob) -> None:
    if job.cancelled:
        msg = "Cancelled. Nothing was changed."
        raise CancelledError(msg)


class _Child:
    """The parent's end of one child process."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self.log: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the process
        self.process = subprocess.Popen(
            module_command(__spec__.name if __spec__ else __name__),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.log,
            bufsize=0,
            env=_child_environment() | dict(environment),
            creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
        )
        self._ready = False

    def __del__(self) -> None:
        # Not in `stop`: another thread may be reading, and a closed descriptor's number is given away again at once.
        for stream in (self.process.stdin, self.process.stdout, self.log):
            with contextlib.suppress(OSError):
                stream.close()  # type: ignore[union-attr]

    def wait_until_ready(self) -> None:
        last_bytes = b""
        while not self._ready:
            byte = self._stdout.read(1)
            if not byte:
                raise EOFError
            last_bytes = (last_bytes + byte)[-len(_PREAMBLE) :]
            self._ready = last_bytes == _PREAMBLE

    def write(self, message: object) -> None:
        assert self.process.stdin is not None
        _write_message(self.process.stdin, message)

    def read(self) -> tuple[str, Any]:
        kind, value = _read_message(self._stdout)
        return kind, value

    def stop(self) -> None:
        """End the process: politely, then by force."""
        self.process.terminate()
        try:
            self.process.wait(_TERMINATE_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def obituary(self) -> WorkerDiedError:
        """Why the process ended, and what to do."""
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
    # The child shall find exactly the modules that the parent finds.
    return {**safe_environment(), "PYTHONPATH": os.pathsep.join(safe_path(sys.path))}


def _obituary(code: int, log: str) -> str:
    if code == -getattr(signal, "SIGKILL", 9):
        why = "it was killed by the system, most often because memory ran out (signal 9)"
        hint = "Close other programs or use a smaller image, then run again."
    elif code < 0:
        why, hint = f"it was ended by {_signal_name(-code)}", "Run again; if it happens again, choose the device cpu."
    else:
        why, hint = f"it ended with code {code}", "Run again; if it happens again, report it with the lines below."
    last_words = f"\nIts last words:\n{log}" if log else ""
    return f"The computing process died: {why}. Nothing was changed. {hint}{last_words}"


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _write_message(stream: IO[bytes], message: object) -> None:
    """Write a pickle, arrays apart from it, so that nothing large is copied."""
    buffers: list[pickle.PickleBuffer] = []
    head = pickle.dumps(message, protocol=5, buffer_callback=buffers.append)
    parts = [memoryview(head), *(buffer.raw() for buffer in buffers)]
    _write_all(stream, memoryview(struct.pack(f"<Q{len(parts)}Q", len(parts), *(part.nbytes for part in parts))))
    for part in parts:
        _write_all(stream, part)


def _write_all(stream: IO[bytes], data: memoryview) -> None:
    start = 0
    while start < data.nbytes:
        start += stream.write(data[start : start + _CHUNK]) or 0


def _read_message(stream: IO[bytes]) -> Any:
    (count,) = struct.unpack("<Q", _read_exactly(stream, 8))
    sizes = struct.unpack(f"<{count}Q", _read_exactly(stream, 8 * count))
    head, *buffers = (_read_exactly(stream, size) for size in sizes)
    return pickle.loads(head, buffers=buffers)


def _read_exactly(stream: IO[bytes], size: int) -> bytearray:
    data = bytearray(size)
    view = memoryview(data)
    start = 0
    while start < size:
        count = stream.readinto(view[start : start + _CHUNK])  # type: ignore[attr-defined]
        if not count:
            raise EOFError
        start += count
    return data


# The child ----------------------------------------------------------------------------------------------------------


def _take_channel() -> tuple[BinaryIO, BinaryIO]:
    """Keep stdin and stdout for messages, and give everybody else nothing to read and the log to print to."""
    incoming, outgoing = os.dup(0), os.dup(1)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(2, 1)
    os.close(nothing)
    if sys.platform == "win32":
        import msvcrt

        msvcrt.setmode(incoming, os.O_BINARY)
        msvcrt.setmode(outgoing, os.O_BINARY)
    return os.fdopen(incoming, "rb", buffering=0), os.fdopen(outgoing, "wb", buffering=0)


def _listen(incoming: BinaryIO, tasks: "queue.SimpleQueue[Any]") -> None:
    """Receive tasks; leave at once, in the middle of whatever runs, when the parent is gone."""
    status = 1
    try:
        while True:
            tasks.put(_read_message(incoming))
    except (EOFError, OSError):
        status = 0
    finally:
        if status:
            logger.error("A task could not be received", exc_info=True)
        os._exit(status)


def _resolve(target: str) -> Callable[..., Any]:
    module, _, name = target.partition(":")
    function = getattr(importlib.import_module(module), name)
    return function  # type: ignore[no-any-return]


def _serve(task: tuple[str, tuple[Any, ...], Mapping[str, Any]], send: Callable[[tuple[str, Any]], None]) -> None:
    target, args, kwargs = task
    try:
        outcome = _resolve(target)(*args, **kwargs)
        if isinstance(outcome, Generator):
            outcome = _drain(outcome, send)
    except Exception as error:
        logger.exception("%s failed", target)
        send(("error", sendable(error)))
    else:
        send(("result", outcome))


def _drain(job: Job[Any], send: Callable[[tuple[str, Any]], None]) -> Any:
    while True:
        try:
            progress = next(job)
        except StopIteration as finished:
            return finished.value
        send(("progress", progress))


def sendable(error: Exception) -> Exception:
    """Return the error itself if it can be rebuilt without loading torch, else one of ours that says the same."""
    if isinstance(error, MemoryError) and not isinstance(error, BrainTumorError):
        error = OutOfMemoryError(_OUT_OF_MEMORY)
    safe = type(error).__module__ in ("builtins", "napari_brain_tumor.errors")
    if not safe or not _survives_pickling(error):
        error = BrainTumorError(f"{type(error).__name__}: {error}")
    return error


def _survives_pickling(error: Exception) -> bool:
    error.add_note(f"In the computing process:\n{''.join(traceback.format_exception(error))}")
    try:
        pickle.loads(pickle.dumps(error))
    except (pickle.PickleError, TypeError, ValueError, AttributeError, LookupError, RecursionError):
        return False  # its arguments cannot be sent, or do not make it again
    return True


def main() -> None:
    """Serve tasks until the parent goes away."""
    logging.basicConfig(level=logging.WARNING)
    if hasattr(signal, "SIGINT"):
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C in a terminal is for the parent to answer
    incoming, outgoing = _take_channel()
    tasks: queue.SimpleQueue[Any] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(incoming, tasks), daemon=True).start()
    outgoing.write(_PREAMBLE)
    while True:
        _serve(tasks.get(), lambda message: _write_message(outgoing, message))


if __name__ == "__main__":
    main()
