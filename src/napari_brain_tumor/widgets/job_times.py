"""How long jobs of a kind take on this machine: kept of the last one, expected of the next from its first second."""

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
"""Of progress between two points of the course that is kept."""
_WARM, _COLD = "start of a run", "start of a run and of its process"
_START_SECONDS: Final = {_WARM: 0.5, _COLD: 4.0}
"""Until the first run of this machine says what it is here: loading torch and a model takes most of it."""


class JobTime(BaseModel):
    """What one job took.

    Parameters
    ----------
    size : float
        Of what it worked on, in whatever the time grows with.
    stages : tuple of (fraction, share)
        Which share of the time had passed when it told a fraction of its progress.
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
"""Of two cores without other work, until the first job of this machine: an examination of four series of 26 slices; a
report of a case of 144x240x240 voxels."""


class _Document(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    format: Literal[1] = 1
    jobs: dict[str, JobTime] = Field(default_factory=dict)


def stages_of(steps: Sequence[tuple[float, float]], seconds: float) -> tuple[tuple[float, float], ...]:
    """The course of a job, as `RemainingTime` takes it.

    Parameters
    ----------
    steps : sequence of (seconds, fraction)
        When it told what, since it began.
    seconds : float
        That it took in all.
    """
    stages = [(0.0, 0.0)]
    for at, fraction in steps:
        if fraction - stages[-1][0] >= _LEAST_GAIN:
            stages.append((fraction, min(1.0, at / seconds)))
    return (*stages, (1.0, 1.0))


def expectation_of(kind: str, size: float = 1.0, home: Path | None = None) -> Expectation | None:
    """What is known of a job of this kind: from the last one here, or from one that was measured elsewhere.

    None of kinds that were not measured.

    Parameters
    ----------
    kind : str
        Such as `"report"`.
    size : float
        Of what it works on, in the unit of the last time.
    home : Path, optional
        `home_folder()` if not given.
    """
    here, elsewhere = read_job_times(home).get(kind), _MEASURED.get(kind)
    known, slowdown = (here, 1.0) if here is not None else (elsewhere, slowdown_now())
    return None if known is None else Expectation(slowdown * known.seconds * size / known.size, known.stages)


def start_seconds(*, warm: bool, home: Path | None = None) -> float:
    """What a run takes beside its work: sending the scans, loading the model; without a warm process, starting one."""
    kind = _WARM if warm else _COLD
    known = read_job_times(home).get(kind)
    return _START_SECONDS[kind] * slowdown_now() if known is None else known.seconds


def remember_start(seconds: float, *, warm: bool, home: Path | None = None) -> None:
    """Keep what a run took beside its work, for `start_seconds`."""
    _remember(_WARM if warm else _COLD, (), seconds, 1.0, home)


def with_start(expectation: Expectation | None, seconds: float) -> Expectation | None:
    """The same expectation for a job that tells nothing of its progress for the first seconds."""
    if expectation is None or not expectation.seconds:
        return expectation
    total = seconds + expectation.seconds
    stages = tuple(
        (fraction, (seconds + share * expectation.seconds) / total) for fraction, share in expectation.stages
    )
    return Expectation(total, stages)


def timed(job: Job[Result], kind: str, size: float = 1.0, home: Path | None = None) -> Job[Result]:
    """The same job; what it took is kept when it has ended by itself."""
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
    """What is kept of each kind."""
    document = read_document(_file(home), _Document)
    return document.jobs if document is not None else {}  # the pace tells the time then


def _remember(kind: str, steps: Sequence[tuple[float, float]], seconds: float, size: float, home: Path | None) -> None:
    seconds = max(seconds, 1e-3)
    jobs = {**read_job_times(home), kind: JobTime(seconds=seconds, size=size, stages=stages_of(steps, seconds))}
    try:
        write_document(_file(home), _Document(jobs=jobs))
    except SaveError:
        logger.info("What this job took is not kept", exc_info=True)


def _file(home: Path | None) -> Path:
    return (home_folder() if home is None else home) / "job_times.json"
