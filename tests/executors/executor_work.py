"""Works that tests give to executors, by import: other processes load this module."""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from napari_brain_tumor.errors import UnreadableFileError
from napari_brain_tumor.progress import Job, Progress


@dataclass(frozen=True)
class Squares:
    """Squares numbers, and notes each computation in a folder of its own file."""

    folder: Path
    seconds: float = 0.0
    bad: int = -1
    kills: int = -1
    """Ends its own process at this number, the first `lives` times."""
    lives: int = 1

    def place(self, number: int) -> Path:
        return self.folder

    def read(self, number: int) -> int:
        if number == self.bad:
            msg = f"{number} is a bad case."
            raise UnreadableFileError(msg)
        return number

    def compute(self, number: int, opened: int) -> Job[tuple[int, int, str]]:
        yield Progress(0, 1, "squaring")
        (self.folder / f"{number}.{os.getpid()}.{time.monotonic_ns()}").touch()
        if number == self.kills and sum(1 for _ in self.runs(number)) <= self.lives:
            os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(self.seconds)
        return opened**2, os.getpid(), os.environ.get("OMP_NUM_THREADS", "")

    def runs(self, number: int) -> Iterator[Path]:
        """A file for each time that the case was computed."""
        with suppress(FileNotFoundError):
            yield from self.folder.glob(f"{number}.*")
