"""Choose the executor from the user's options."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from napari_brain_tumor.errors import ClusterError
from napari_brain_tumor.executors.pool import PoolExecutor, fitting_jobs
from napari_brain_tumor.executors.serial import SerialExecutor
from napari_brain_tumor.executors.work import Executor

if TYPE_CHECKING:
    from distributed import Client


@contextmanager
def open_executor(
    jobs: int = 1,
    *,
    scheduler: str | None = None,
    slurm: Path | None = None,
    client: "Client | None" = None,
    announce: Callable[[str], None] = lambda _: None,
) -> Iterator[Executor]:
    """Open an executor for the duration of a `with` block.

    Parameters
    ----------
    jobs : int
        Number of processes on this machine; 1 uses the current process, 0 as many as cores and memory allow.
    scheduler : str, optional
        Address of a dask scheduler.
    slurm : Path, optional
        Profile of workers to be started by Slurm.
    client : distributed.Client, optional
        Client of an existing cluster; it stays open.
    announce : callable
        Called with a line about the cluster and its dashboard.

    Raises
    ------
    ClusterError
        If more than one of these is given, or the cluster cannot be reached or started.
    """
    if sum([jobs != 1, scheduler is not None, slurm is not None, client is not None]) > 1:
        msg = "Use only one of jobs, scheduler, slurm and client: each of them decides where the cases are computed."
        raise ClusterError(msg)
    if jobs != 1:
        yield PoolExecutor(jobs or fitting_jobs())
        return
    if scheduler is None and slurm is None and client is None:
        yield SerialExecutor()
        return
    from napari_brain_tumor.executors.cluster import ClusterExecutor, connect
    from napari_brain_tumor.executors.slurm import read_profile, slurm_client

    with ExitStack() as stack:
        if slurm is not None:
            client = stack.enter_context(slurm_client(read_profile(slurm)))
        elif scheduler is not None:
            client = stack.enter_context(connect(scheduler))
        assert client is not None
        executor = ClusterExecutor(client)
        announce(_words(client, executor.dashboard))
        yield executor


def _words(client: "Client", dashboard: str) -> str:
    count = len(client.nthreads())
    workers = f"{count} worker{'s' if count != 1 else ''}" if count else "no worker yet: waiting for the first"
    return f"Cluster at {client.scheduler.address}: {workers}. Dashboard: {dashboard or 'none'}"
