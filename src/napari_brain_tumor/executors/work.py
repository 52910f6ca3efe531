"""What is done with each case of many, and what an executor reports about it."""

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
    """What is done with each case.

    - It is pickled with every case, so it is small: a frozen dataclass of settings, defined at the top of a module.
    - `read` may run in another thread, while an earlier case is computed. It has no effects.
    - `compute` runs once at a time in a process. Run again for a case whose worker was lost, it does no harm.
    - Both raise what is wrong with the case; the others go on.
    """

    def place(self, item: Item_contra) -> Path:
        """Return the file or folder that the case is read from."""

    def read(self, item: Item_contra) -> Opened:
        """Open what the case needs."""

    def compute(self, item: Item_contra, opened: Opened) -> Job[Result_co]:
        """Do the work: a job that returns the result, which can be pickled."""


@dataclass(frozen=True, slots=True)
class Started:
    """The case of that number begins."""

    number: int


@dataclass(frozen=True, slots=True)
class Advanced:
    """How far the case of that number is."""

    number: int
    progress: Progress


@dataclass(frozen=True, slots=True, eq=False)
class Finished(Generic[Result]):
    """The case of that number is over: with a result, or with the error that says why not."""

    number: int
    result: Result | None = None
    error: Exception | None = None
    seconds: float = 0.0


Event = Started | Advanced | Finished[Result]


class Executor(Protocol):
    """Does the work on cases.

    - Every case is finished exactly once, in any order; a case that fails does not stop the others.
    - A case whose worker is lost is given to another one, a few times.
    - Closing the iterator stops the work.
    """

    @property
    def parallel(self) -> bool:
        """Whether several cases are under way at once."""

    def run(self, work: CaseWork[Item, Any, Result], items: Sequence[Item]) -> Iterator[Event[Result]]:
        """Yield what happens, as it happens."""


class ReadAhead:
    """Opens the next case in a thread while the current one is computed."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, "read-ahead")
        self._next: tuple[int, Future[Any]] | None = None

    def take(self, work: CaseWork[Item, Opened, Any], number: int, item: Item) -> Opened:
        """Return the opened case, which was perhaps read ahead."""
        ahead, self._next = self._next, None
        if ahead is not None and ahead[0] == number:
            opened: Opened = ahead[1].result()
            return opened
        return work.read(item)

    def begin(self, work: CaseWork[Item, Any, Any], number: int, item: Item) -> None:
        self._next = number, self._thread.submit(work.read, item)

    def close(self) -> None:
        """Forget what was read ahead."""
        self._next = None
        self._thread.shutdown(wait=False, cancel_futures=True)
