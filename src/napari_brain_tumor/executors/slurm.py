"""Workers started by Slurm through dask-jobqueue, configured by a small site-specific file."""

import signal
import threading
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BaseModel, Field, ValidationError

from napari_brain_tumor.errors import ClusterError

if TYPE_CHECKING:
    from distributed import Client


class SlurmProfile(BaseModel, extra="forbid", frozen=True):
    """Resources of one Slurm job of workers, and the number of such jobs."""

    jobs: Annotated[int, Field(ge=1, description="Maximum number of Slurm jobs.")] = 1
    cores: Annotated[int, Field(ge=1, description="Cores per job.")]
    processes: Annotated[int, Field(ge=1, description="Worker processes per job; they share its cores.")] = 1
    memory: Annotated[str, Field(description="Memory per job, for example '16GB'.")]
    walltime: Annotated[str, Field(description="Time limit per job, for example '04:00:00'.")] = "04:00:00"
    partition: Annotated[str | None, Field(description="Slurm's partition.")] = None
    account: Annotated[str | None, Field(description="Account to which the hours are charged.")] = None
    interface: Annotated[str | None, Field(description="Network between the nodes, for example 'ib0'.")] = None
    python: Annotated[str | None, Field(description="Python on the nodes; by default the one that runs here.")] = None
    prologue: Annotated[list[str], Field(description="Shell commands before the workers start.")] = []
    directives: Annotated[list[str], Field(description="Further #SBATCH options, for example '--gres=gpu:1'.")] = []
    log_folder: Annotated[str | None, Field(description="Folder for Slurm's logs.")] = None

    def options(self) -> dict[str, Any]:
        """Return the keyword arguments of `dask_jobqueue.SLURMCluster`."""
        options: dict[str, Any] = {
            "queue": self.partition,
            "account": self.account,
            "interface": self.interface,
            "python": self.python,
            "log_directory": self.log_folder,
        }
        return {
            "cores": self.cores,
            "processes": self.processes,
            "memory": self.memory,
            "walltime": self.walltime,
            "job_script_prologue": list(self.prologue),
            "job_extra_directives": list(self.directives),
            "job_name": "brain-tumor",
            **{name: value for name, value in options.items() if value is not None},
        }


def read_profile(path: Path) -> SlurmProfile:
    """Read a profile from a TOML file.

    Raises
    ------
    ClusterError
        If it cannot be read, lacks an entry or has an unknown one.
    """
    try:
        return SlurmProfile.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        msg = f"The Slurm profile {path} cannot be read: {error}. docs/many_cases.md shows one."
        raise ClusterError(msg) from error
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}" for problem in error.errors())
        known = ", ".join(SlurmProfile.model_fields)
        raise ClusterError(f"The Slurm profile {path} is not right: {wrong}. Its entries are {known}.") from error


@contextmanager
def slurm_client(profile: SlurmProfile) -> Iterator["Client"]:
    """Start a scheduler here and workers through Slurm; both end with the `with` block.

    Raises
    ------
    ClusterError
        If dask-jobqueue is not installed, or Slurm refuses the job.
    """
    before = signal.getsignal(signal.SIGINT)
    try:
        from dask_jobqueue import SLURMCluster
        from distributed import Client
    except ImportError as error:
        raise ClusterError(
            "Workers through Slurm need dask-jobqueue, which is not installed. "
            'Install it with: pip install "napari-brain-tumor[cluster]"'
        ) from error
    finally:
        # Importing dask-jobqueue turns Ctrl-C into SystemExit, which is not expected here.
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, before)
    try:
        cluster = SLURMCluster(**profile.options())
    except (OSError, ValueError, TypeError, RuntimeError) as error:
        raise ClusterError(f"The scheduler for Slurm's workers could not be started: {error}") from error
    with cluster, Client(cluster) as client:
        _submit(cluster, profile.jobs)
        yield client


def _submit(cluster: Any, jobs: int) -> None:
    try:
        cluster.scale(jobs=jobs)
        cluster.sync(cluster._correct_state)
    except (OSError, RuntimeError) as error:
        raise ClusterError(
            f"Slurm did not take the job: {error}. The script that was handed to sbatch:\n{cluster.job_script()}"
            "Check partition, account, memory and walltime in the profile."
        ) from error
