"""The worker process itself: receives tasks from its parent, runs them, and returns progress and results."""

import importlib
import logging
import os
import pickle
import queue
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Generator, Mapping
from typing import Any, BinaryIO, Final

from napari_brain_tumor.errors import BrainTumorError, OutOfMemoryError
from napari_brain_tumor.inference.worker_messages import PREAMBLE, read_message, write_message
from napari_brain_tumor.progress import Job

logger = logging.getLogger(__name__)

_OUT_OF_MEMORY: Final = (
    "Memory ran out in the computing process. Close other programs, leave mirrored averaging off, or use a computer "
    "with more memory."
)


def _take_channel() -> tuple[BinaryIO, BinaryIO]:
    """Reserve stdin and stdout for messages; other code gets an empty stdin and prints to the log."""
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
    """Receive tasks; exit immediately, even in the middle of a task, when the parent is gone."""
    status = 1
    try:
        while True:
            tasks.put(read_message(incoming))
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
    """Return the error itself if it can be unpickled without loading torch, else an equivalent of ours."""
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
        return False  # its arguments cannot be pickled, or do not recreate it
    return True


def main() -> None:
    """Run tasks until the parent goes away."""
    logging.basicConfig(level=logging.WARNING)
    if hasattr(signal, "SIGINT"):
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent handles Ctrl-C in a terminal
    incoming, outgoing = _take_channel()
    tasks: queue.SimpleQueue[Any] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(incoming, tasks), daemon=True).start()
    outgoing.write(PREAMBLE)
    while True:
        _serve(tasks.get(), lambda message: write_message(outgoing, message))


if __name__ == "__main__":
    main()
