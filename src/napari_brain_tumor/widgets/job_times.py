"""Durations of jobs on this machine: remembered from the last run, to estimate the time left of the next one."""

import logging
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from napari_brain_tumor.errors import SaveError
from napari_brain_tumor.home import home_folder
from napari_brain_tumor.io.json_file import read_document, write_document
from napari_brain_tumor.preflight.costs import slowdown_now
from napari_brain_tumor.progress import Job
from napari_brain_tumor.widgets.worker import Expectation

logger = logging.getLogger(__name__)

Result = TypeVar("Result")

_LEAST_GAIN: Final = 0.04
"""Minimum difference in progress between two stored points."""
_WARM, _COLD = "start of a run", "start of a run and of its process"
_START_SECONDS: Final = {_WARM: 0.5, _COLD: 4.0}
"""Used until the first run on this machine; loading torch and a model takes most of this time."""


class JobTime(BaseModel):
    """Duration of one job.

    Parameters
    ----------
    size : float
        Size of its input, in a unit that the time is proportional to.
    stages : tuple of (fraction, share)
        Share of the total time that had passed when each fraction of progress was reported.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    seconds: float = Field(gt=0)
    size: float = Field(default=1.0, gt=0)
    stages: tuple[tuple[float, float], ...] = ((0.0, 0.0), (1.0, 1.0))


_MEASURED: Final = {
    "prepare": JobTime(
        seconds=28.0,
        size=4.0,
        stages=(
            *((0.0, 0.0), (0.17, 0.14), (0.26, 0.27), (0.41, 0.47), (0.61, 0.73)),
            *((0.68, 0.76), (0.73, 0.88), (0.77, 0.94), (1.0, 1.0)),
        ),
    ),
    "report": JobTime(
        seconds=3.0,
        size=9e6,
        stages=((0.0, 0.0), (0.05, 0.15), (0.12, 0.43), (0.3, 0.47), (0.5, 0.66), (0.7, 0.71), (0.8, 0.99), (1.0, 1.0)),
    ),
}
"""Measured on two otherwise idle cores and used until the first job on this machine: an examination with four series of
26 slices; a report on a case of 144x240x240 voxels."""


class _Document(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    format: Literal[1] = 1
    jobs: dict[str, JobTime] = Field(default_factory=dict)


def stages_of(steps: Sequence[tuple[float, float]], seconds: float) -> tuple[tuple[float, float], ...]:
    """Return the course of a job, in the form that `RemainingTime` takes.

    Parameters
    ----------
    steps : sequence of (seconds, fraction)
        Progress reports, with the time since the start.
    seconds : float
        Total duration.
    """
    stages = [(0.0, 0.0)]
    for at, fraction in steps:
        if fraction - stages[-1][0] >= _LEAST_GAIN:
            stages.append((fraction, min(1.0, at / seconds)))
    return (*stages, (1.0, 1.0))


def expectation_of(kind: str, size: float = 1.0, home: Path | None = None) -> Expectation | None:
    """Return the expected duration of a job, from the last one on this machine or from one measured elsewhere.

    None for kinds that have not been measured.

    Parameters
    ----------
    kind : str
        Kind of job, such as `"report"`.
    size : float
        Size of its input, in the same unit as the last time.
    home : Path, optional
        `home_folder()` if not given.
    """
    here, elsewhere = read_job_times(home).get(kind), _MEASURED.get(kind)
    known, slowdown = (here, 1.0) if here is not None else (elsewhere, slowdown_now())
    return None if known is None else Expectation(slowdown * known.seconds * size / known.size, known.stages)


def start_seconds(*, warm: bool, home: Path | None = None) -> float:
    """Return a run's start-up time: sending the scans and loading the model; if not warm, also starting a process."""
    kind = _WARM if warm else _COLD
    known = read_job_times(home).get(kind)
    return _START_SECONDS[kind] * slowdown_now() if known is None else known.seconds


def remember_start(seconds: float, *, warm: bool, home: Path | None = None) -> None:
    """Remember the start-up time of a run, for `start_seconds`."""
    _remember(_WARM if warm else _COLD, (), seconds, 1.0, home)


def with_start(expectation: Expectation | None, seconds: float) -> Expectation | None:
    """Extend an expectation for a job that reports no progress in its first seconds."""
    if expectation is None or not expectation.seconds:
        return expectation
    total = seconds + expectation.seconds
    stages = tuple(
        (fraction, (seconds + share * expectation.seconds) / total) for fraction, share in expectation.stages
    )
    return Expectation(total, stages)


def timed(job: Job[Result], kind: str, size: float = 1.0, home: Path | None = None) -> Job[Result]:
    """Return the same job, but remember its duration when it ends without being cancelled."""
    began, steps = time.monotonic(), list[tuple[float, float]]()
    try:
        while True:
            try:
                step = next(job)
            except StopIteration as finished:
                _remember(kind, steps, time.monotonic() - began, size, home)
                return finished.value
            steps.append((time.monotonic() - began, step.fraction))
            yield step
    finally:
        job.close()


def read_job_times(home: Path | None = None) -> dict[str, JobTime]:
    """Return the remembered durations by kind."""
    document = read_document(_file(home), _Document)
    return document.jobs if document is not None else {}  # the time left is then estimated from the pace


def _remember(kind: str, steps: Sequence[tuple[float, float]], seconds: float, size: float, home: Path | None) -> None:
    seconds = max(seconds, 1e-3)
    jobs = {**read_job_times(home), kind: JobTime(seconds=seconds, size=size, stages=stages_of(steps, seconds))}
    try:
        write_document(_file(home), _Document(jobs=jobs))
    except SaveError:
        logger.info("What this job took is not kept", exc_info=True)


def _file(home: Path | None) -> Path:
    return (home_folder() if home is None else home) / "job_times.json"
