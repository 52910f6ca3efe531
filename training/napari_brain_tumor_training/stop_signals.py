"""Handle Ctrl-C and SIGTERM as a request to stop at the next safe moment, not in the middle of a step."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from napari_brain_tumor.progress import Job, Progress


class StoppedError(Exception):
    """The job was stopped by a signal; `exit_code` is the usual one of shells for that signal (130 or 143)."""

    def __init__(self, number: int) -> None:
        super().__init__(f"stopped by {signal.Signals(number).name}")
        self.exit_code = 128 + number


def run_until_stopped(job: Job[Any], on_progress: Callable[[Progress], None]) -> Any:
    """Run a job and return its result; after a signal, close it at its next progress report.

    A second signal takes effect immediately, as without this function. Must be called in the main thread.

    Raises
    ------
    StoppedError
        After the job was closed because of a signal.
    """
    with _noted_signals() as received:
        try:
            while True:
                try:
                    progress = next(job)
                except StopIteration as finished:
                    return finished.value
                on_progress(progress)
                if received:
                    raise StoppedError(received[0])
        finally:
            job.close()


@contextmanager
def _noted_signals() -> Iterator[list[int]]:
    """Collect signals within the context."""
    received: list[int] = []
    before: dict[signal.Signals, Any] = {}

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    def note(number: int, frame: FrameType | None) -> None:
        received.append(number)
        restore()

    for number in (signal.SIGINT, signal.SIGTERM):
        before[number] = signal.signal(number, note)
    try:
        yield received
    finally:
        restore()
