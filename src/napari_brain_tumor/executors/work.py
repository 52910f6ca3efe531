"""The interface for processing cases, and the events that executors report."""

from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

from napari_brain_tumor.progress import Job, Progress

Item = TypeVar("Item")
Item_contra = TypeVar("Item_contra", contravariant=True)
Opened = TypeVar("Opened")
Result = TypeVar("Result")
Result_co = TypeVar("Result_co", covariant=True)


class CaseWork(Protocol[Item_contra, Opened, Result_co]):
    """The work to be done for each case.

    - It is pickled with every case, so it must be small: a frozen dataclass of settings, defined at module level.
    - `read` may run in another thread while an earlier case is computed. It has no side effects.
    - `compute` runs once at a time in a process. It may safely be repeated for a case whose worker was lost.
    - Both raise errors concerning their case; the other cases continue.
    """

    def place(self, item: Item_contra) -> Path:
        """Return the file or folder from which the case is read."""

    def read(self, item: Item_contra) -> Opened:
        """Open the data that the case needs."""

    def compute(self, item: Item_contra, opened: Opened) -> Job[Result_co]:
        """Do the work, as a job that returns a picklable result."""


@dataclass(frozen=True, slots=True)
class Started:
    """The case with this number has started."""

    number: int


@dataclass(frozen=True, slots=True)
class Advanced:
    """Progress of the case with this number."""

    number: int
    progress: Progress


@dataclass(frozen=True, slots=True, eq=False)
class Finished(Generic[Result]):
    """The case with this number is finished, with a result or with the error that prevented one."""

    number: int
    result: Result | None = None
    error: Exception | None = None
    seconds: float = 0.0


Event = Started | Advanced | Finished[Result]


class Executor(Protocol):
    """Runs the work on cases.

    - Every case is finished exactly once, in any order; a case that fails does not stop the others.
    - If a worker is lost, its case is given to another one, up to a few times.
    - Closing the iterator stops the work.
    """

    @property
    def parallel(self) -> bool:
        """Whether several cases may be processed at the same time."""

    def run(self, work: CaseWork[Item, Any, Result], items: Sequence[Item]) -> Iterator[Event[Result]]:
        """Yield events as they happen."""


class ReadAhead:
    """Opens the next case in a thread while the current one is computed."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, "read-ahead")
        self._next: tuple[int, Future[Any]] | None = None

    def take(self, work: CaseWork[Item, Opened, Any], number: int, item: Item) -> Opened:
        """Return the opened case, which may have been read ahead."""
        ahead, self._next = self._next, None
        if ahead is not None and ahead[0] == number:
            opened: Opened = ahead[1].result()
            return opened
        return work.read(item)

    def begin(self, work: CaseWork[Item, Any, Any], number: int, item: Item) -> None:
        self._next = number, self._thread.submit(work.read, item)

    def close(self) -> None:
        """Discard what was read ahead."""
        self._next = None
        self._thread.shutdown(wait=False, cancel_futures=True)
