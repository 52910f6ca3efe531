"""Several persistent processes on this machine, each with its share of the cores."""

import contextlib
import queue
import threading
import time
from collections.abc import Iterator, Sequence
from typing import Any, Final

from napari_brain_tumor.cores import available_cores
from napari_brain_tumor.errors import CancelledError, WorkerDiedError, attempted
from napari_brain_tumor.executors.work import Advanced, CaseWork, Event, Finished, Item, ReadAhead, Result, Started
from napari_brain_tumor.inference.memory import free_host_bytes
from napari_brain_tumor.inference.worker_process import WorkerProcess
from napari_brain_tumor.progress import Job

ATTEMPTS: Final = 3
"""Number of attempts for a case whose process is lost, usually because memory ran out."""

PROCESS_NUMBER: Final = "BRAIN_TUMOR_PROCESS"
"""Environment variable with the number of each process, from 0, by which GPUs are distributed."""

_THREAD_VARIABLES: Final = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS",
)
_BYTES_PER_JOB: Final = 2 * 2**30
_POLL_SECONDS: Final = 0.5


def fitting_jobs() -> int:
    """Return a number of processes that uses the machine well: one per two cores, with 2 GB of free memory each."""
    free = free_host_bytes()
    by_memory = available_cores() if free is None else free // _BYTES_PER_JOB
    return int(max(1, min(available_cores() // 2, by_memory)))


class PoolExecutor:
    """Run cases in persistent processes, each of which loads the model once.

    Parameters
    ----------
    jobs : int
        Number of processes. Together they use as many threads as there are cores.
    """

    parallel = True

    def __init__(self, jobs: int) -> None:
        self.jobs = jobs

    def run(self, work: CaseWork[Item, Any, Result], items: Sequence[Item]) -> Iterator[Event[Result]]:
        """Yield events as they happen; see `Executor`."""
        jobs = min(self.jobs, len(items))
        run = _Run(work, items)
        workers = [WorkerProcess(_environment(number, jobs)) for number in range(jobs)]
        threads = [threading.Thread(target=run.serve, args=(worker,), daemon=True) for worker in workers]
        for thread in threads:
            thread.start()
        left = len(items)
        try:
            while left:
                with contextlib.suppress(queue.Empty):
                    # With a timeout, because on Windows Ctrl-C could not interrupt an indefinite wait.
                    event = run.events.get(timeout=_POLL_SECONDS)
                    left -= isinstance(event, Finished)
                    yield event
        finally:
            run.stopped.set()
            for worker in workers:
                worker.close()


def _environment(number: int, jobs: int) -> dict[str, str]:
    threads = str(max(1, available_cores() // jobs))
    return {**dict.fromkeys(_THREAD_VARIABLES, threads), PROCESS_NUMBER: str(number)}


class _Run:
    """The cases of one run, shared by the threads of all processes."""

    def __init__(self, work: CaseWork[Any, Any, Any], items: Sequence[Any]) -> None:
        self.events: queue.Queue[Event[Any]] = queue.Queue()
        self.stopped = threading.Event()
        self._work = work
        self._items = items
        self._numbers = iter(range(len(items)))
        self._turn = threading.Lock()

    def serve(self, worker: WorkerProcess) -> None:
        """Give a process one case after another, together with the next one so that it can be read ahead."""
        current = self._take()
        while current is not None and not self.stopped.is_set():
            following = self._take()
            self._do(worker, current, following)
            current = following

    def _take(self) -> int | None:
        with self._turn:
            return next(self._numbers, None)

    def _do(self, worker: WorkerProcess, number: int, following: int | None) -> None:
        began = time.monotonic()
        self.events.put(Started(number))
        result = None
        with attempted() as attempt:
            result = self._tried(worker, number, following)
        if not isinstance(attempt.error, CancelledError):
            self.events.put(Finished(number, result, attempt.error, time.monotonic() - began))

    def _tried(self, worker: WorkerProcess, number: int, following: int | None) -> Any:
        upcoming = None if following is None else (following, self._items[following])
        for attempt in range(1, ATTEMPTS + 1):
            try:
                job = worker.run(f"{__name__}:perform", self._work, number, self._items[number], upcoming)
                return self._followed(job, number)
            except WorkerDiedError as error:
                if attempt == ATTEMPTS:
                    raise WorkerDiedError(f"The case was tried {ATTEMPTS} times. {error}") from error
        raise AssertionError

    def _followed(self, job: Job[Any], number: int) -> Any:
        while True:
            if self.stopped.is_set():
                job.close()
                raise CancelledError
            try:
                progress = next(job)
            except StopIteration as finished:
                return finished.value
            self.events.put(Advanced(number, progress))


# In the process -------------------------------------------------------------------------------------------------------

_ahead: ReadAhead | None = None


def perform(
    work: CaseWork[Item, Any, Result], number: int, item: Item, upcoming: tuple[int, Item] | None
) -> Job[Result]:
    """Process a case in a process of the pool, and start reading the next one."""
    global _ahead
    _ahead = _ahead or ReadAhead()
    opened = _ahead.take(work, number, item)
    if upcoming is not None:
        _ahead.begin(work, *upcoming)
    return (yield from work.compute(item, opened))
