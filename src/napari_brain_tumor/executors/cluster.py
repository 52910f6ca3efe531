"""Processing on many machines with dask.distributed, which moves cases from lost workers to others."""

import contextlib
import os
import queue
import sys
import threading
import time
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any, Final

from napari_brain_tumor.errors import ClusterError, WorkerDiedError, attempted
from napari_brain_tumor.executors.pool import ATTEMPTS
from napari_brain_tumor.executors.work import CaseWork, Event, Finished, Item, Result
from napari_brain_tumor.inference.worker_child import sendable
from napari_brain_tumor.progress import run_job

if TYPE_CHECKING:
    from distributed import Client, Future

_PACKAGE: Final = "napari-brain-tumor"
_CASES_PER_WORKER: Final = 2
"""One case being computed and one being read ahead; more would only use memory."""
_REFRESH_SECONDS: Final = 2.0
"""Interval at which new workers are looked for."""
_GATHER_SECONDS: Final = 60.0
"""Time to wait for the result of a finished case, which is small."""


def connect(address: str, timeout_s: float = 10.0) -> "Client":
    """Connect to the scheduler at an address such as `tcp://10.0.0.5:8786`.

    Raises
    ------
    ClusterError
        If dask.distributed is not installed, or no scheduler answers.
    """
    try:
        from distributed import Client
    except ImportError as error:
        raise ClusterError(
            "Working on several machines needs dask.distributed, which is not installed. "
            'Install it with: pip install "napari-brain-tumor[cluster]"'
        ) from error
    try:
        return Client(address, timeout=timeout_s, name=_PACKAGE)
    except (OSError, TimeoutError, ValueError) as error:
        raise ClusterError(
            f"No scheduler answers at {address} within {timeout_s:g} s ({error}). Start one with `dask scheduler`; it "
            "prints its address, such as tcp://10.0.0.5:8786."
        ) from error


class ClusterExecutor:
    """Run cases on the workers of a scheduler, which need this package and must see the files under the same paths.

    A worker computes one case at a time with as many threads as it was started with (`--nthreads`), and reads the next
    one in the meantime.
    """

    parallel = True

    def __init__(self, client: "Client") -> None:
        self.client = client

    @property
    def dashboard(self) -> str:
        """Address of the page that shows the workers' activity; empty if the scheduler has none."""
        return self.client.dashboard_link or ""

    def run(self, work: CaseWork[Item, Any, Result], items: Sequence[Item]) -> Iterator[Event[Result]]:
        """Yield events as they happen; see `Executor`.

        Raises
        ------
        ClusterError
            If the workers have another version of this package or cannot see the files, or the scheduler is gone.
        """
        if not items:
            return
        run = _Run(self.client, work, items)
        try:
            yield from run.events()
        finally:
            run.cancel()


class _Run:
    """The cases of one run: a few of them are assigned to workers, the others are still waiting here.

    Cases are assigned to workers here rather than by the scheduler, for two reasons: each worker has one case to
    compute and one to read ahead, and a case that crashes its worker does not take others with it.
    A case whose worker was lost is tried again with no other case on that worker.
    """

    def __init__(self, client: "Client", work: CaseWork[Any, Any, Any], items: Sequence[Any]) -> None:
        self._client = client
        self._work = work
        self._items = items
        self._numbers = deque(range(len(items)))
        self._again: deque[int] = deque()
        self._losses = Counter[int]()
        self._given: dict[Future, tuple[int, str]] = {}
        self._done: queue.Queue[Future] = queue.Queue()
        self._threads: dict[str, int] = {}
        self._looked = float("-inf")
        self._checked: set[str] = set()

    def events(self) -> Iterator[Event[Any]]:
        """Yield an event when each case is finished."""
        left = len(self._items)
        while left:
            self._look_for_workers()
            ended = [*self._with_lost_workers(), *self._one_that_is_done()]
            left -= len(ended)
            yield from ended

    def _one_that_is_done(self) -> Iterator[Finished[Any]]:
        self._hand_out()
        try:
            future = self._done.get(timeout=_REFRESH_SECONDS)
        except queue.Empty:
            return
        if future in self._given:  # otherwise its worker has been lost in the meantime
            yield from self._finished(future, *self._given.pop(future))

    def _with_lost_workers(self) -> Iterator[Finished[Any]]:
        for future, (number, address) in list(self._given.items()):
            if address not in self._threads:
                del self._given[future]
                self._client.cancel([future], force=True)
                yield from self._lost(number, address)

    def _lost(self, number: int, address: str) -> Iterator[Finished[Any]]:
        """Try the case again, or give up."""
        self._losses[number] += 1
        if self._losses[number] < ATTEMPTS:
            self._again.append(number)
            return
        msg = (
            f"The workers that had this case were lost {ATTEMPTS} times, the last one at {address}: most often because "
            "memory ran out. Start workers with more memory (`dask worker --memory-limit`), or fewer per machine."
        )
        yield Finished(number, error=WorkerDiedError(msg))

    def cancel(self) -> None:
        """Withdraw cases that have not begun; those being computed run to the end, and write complete results."""
        with contextlib.suppress(Exception):
            self._client.cancel(list(self._given), force=True)

    def _look_for_workers(self) -> None:
        if time.monotonic() - self._looked < _REFRESH_SECONDS:
            return
        if self._client.status != "running":
            raise ClusterError(
                "The connection to the scheduler was lost. Start it again, then run the same command with "
                "--skip-existing: finished cases are skipped."
            )
        self._threads = dict(self._client.nthreads())
        fresh = set(self._threads) - self._checked
        if fresh:
            _check(self._client, fresh, str(self._work.place(self._items[0])))
            self._checked |= fresh
        self._looked = time.monotonic()

    def _hand_out(self) -> None:
        load = Counter(address for _, address in self._given.values())
        alone = {address for number, address in self._given.values() if self._losses[number]}
        while True:
            address = min(set(self._threads) - alone, key=lambda worker: load[worker], default=None)
            if address is None:
                return
            if self._again and not load[address]:
                alone.add(address)
                self._give(self._again.popleft(), address)
            elif self._numbers and load[address] < _CASES_PER_WORKER:
                self._give(self._numbers.popleft(), address)
            else:
                return
            load[address] += 1

    def _give(self, number: int, address: str) -> None:
        # Never use `allow_other_workers`: a task submitted while its worker is ending would wait for ever.
        future = self._client.submit(
            _perform,
            self._work,
            self._items[number],
            workers=address,
            pure=False,
            key=f"case-{number}-{self._losses[number]}-{id(self)}",
        )
        self._given[future] = number, address
        future.add_done_callback(self._done.put)

    def _finished(self, future: "Future", number: int, address: str) -> Iterator[Finished[Any]]:
        from distributed import KilledWorker

        result, error, seconds = None, None, 0.0
        with attempted() as transport:
            result, error, seconds = future.result(timeout=_GATHER_SECONDS)
        if isinstance(transport.error, KilledWorker | TimeoutError):  # a result held by a lost worker is lost, too
            yield from self._lost(number, address)
        elif transport.error is not None:
            reason = f"The case could not be computed on a worker: {transport.error}"
            yield Finished(number, error=ClusterError(reason))
        else:
            yield Finished(number, result, error, seconds)


def _check(client: "Client", workers: set[str], place: str) -> None:
    """Raise `ClusterError` if a worker could not process any case."""
    own_version, addresses = version(_PACKAGE), sorted(workers)
    versions = client.run(version, _PACKAGE, workers=addresses, on_error="return")
    for address, installed in versions.items():
        if isinstance(installed, PackageNotFoundError):
            msg = f"{_PACKAGE} is not installed on the worker {address}. Install version {own_version} there."
            raise ClusterError(msg)
        if isinstance(installed, str) and installed != own_version:
            versions_differ = f"has {_PACKAGE} {installed}, here it is {own_version}"
            raise ClusterError(f"The worker {address} {versions_differ}. Install the same version there.")
    sees = client.run(os.path.exists, place, workers=addresses, on_error="return")
    blind = [address for address, installed in sees.items() if installed is False]
    if blind and os.path.exists(place):
        raise ClusterError(
            f"{place} is not there on the worker {blind[0]}. Workers read and write the files themselves: put them in "
            "a folder that every machine has under the same path."
        )


# On the worker --------------------------------------------------------------------------------------------------------

_room = threading.BoundedSemaphore(_CASES_PER_WORKER)
_turn = threading.Lock()

Outcome = tuple[Any, Exception | None, float]


def _perform(work: CaseWork[Any, Any, Any], item: Any) -> Outcome:
    """Process a case on a worker; its errors are returned, as dask would take exceptions for failures of the worker."""
    with _room, attempted() as attempt:
        opened = work.read(item)
        with _turn:
            began = time.monotonic()
            _use_threads()
            result = run_job(work.compute(item, opened))
            return result, None, time.monotonic() - began
    assert attempt.error is not None
    return None, sendable(attempt.error), 0.0


def _use_threads() -> None:
    """Let torch use the threads the worker was started with; dask limits each process to one by default."""
    from distributed import get_worker

    threads = get_worker().state.nthreads
    os.environ["OMP_NUM_THREADS"] = str(threads)  # in case torch is not loaded yet
    torch = sys.modules.get("torch")
    if torch is not None and torch.get_num_threads() != threads:
        torch.set_num_threads(threads)
