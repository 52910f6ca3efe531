"""Ctrl-C and SIGTERM as a wish to stop at the next good moment, and not in the middle of a step."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from napari_brain_tumor.progress import Job, Progress


class StoppedError(Exception):
    """A signal asked the job to stop, and it did; `exit_code` is what a shell expects then (130 or 143)."""

    def __init__(self, number: int) -> None:
        super().__init__(f"stopped by {signal.Signals(number).name}")
        self.exit_code = 128 + number


def run_until_stopped(job: Job[Any], on_progress: Callable[[Progress], None]) -> Any:
    """Run a job and return its result; close it at its next progress after a signal.

    A second signal acts at once, as it does without this function. To be called in the main thread.

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
    """Signals as they come, for as long as it lasts."""
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
