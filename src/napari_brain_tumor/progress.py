"""Jobs: generators that yield `Progress` and return their result; and how long one still takes."""

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from functools import wraps
from inspect import signature
from itertools import pairwise
from typing import Final, ParamSpec, Protocol, TypeVar, cast, get_args

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")
Result_co = TypeVar("Result_co", covariant=True)


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a job has come: `done` of `total` steps, what it does now, and what it has just finished.

    A `milestone` is worth a line of its own in a log, however seldom that is written.
    """

    done: float
    total: float
    message: str = ""
    milestone: str = ""

    @property
    def fraction(self) -> float:
        """Share of the work done, between 0 and 1."""
        return min(1.0, self.done / self.total) if self.total > 0 else 0.0


Job = Generator[Progress, None, Result]


def run_job(job: Job[Result], on_progress: Callable[[Progress], None] | None = None) -> Result:
    """Run a job to its end and return its result.

    Parameters
    ----------
    job : generator
        Yields `Progress`, returns the result.
    on_progress : callable, optional
        Called with each `Progress`.
    """
    while True:
        try:
            progress = next(job)
        except StopIteration as finished:
            return finished.value  # type: ignore[no-any-return]
        if on_progress is not None:
            on_progress(progress)


class Action(Protocol[Parameters, Result_co]):
    """A function that runs a job to its end; `job` is the job, with the same parameters."""

    @property
    def job(self) -> Callable[Parameters, Job[Result_co]]:
        """Yields `Progress`, returns what the function returns."""

    def __call__(self, *args: Parameters.args, **kwargs: Parameters.kwargs) -> Result_co:
        """Run it."""


def action(job: Callable[Parameters, Job[Result]]) -> Action[Parameters, Result]:
    """Make a function of a job, which is declared once, under the name of the function.

    Examples
    --------
    >>> @action
    ... def count(steps: int) -> Job[int]:
    ...     for step in range(steps):
    ...         yield Progress(step, steps)
    ...     return steps
    >>> count(3)
    3
    >>> [progress.done for progress in count.job(3)]
    [0, 1, 2]
    """

    @wraps(job)
    def run(*args: Parameters.args, **kwargs: Parameters.kwargs) -> Result:
        return run_job(job(*args, **kwargs))

    own = signature(job)
    results = get_args(own.return_annotation)
    run.__dict__["__signature__"] = own.replace(return_annotation=results[-1] if results else own.return_annotation)
    run.__dict__["job"] = job
    job.__name__ = job.__qualname__ = f"{job.__name__}_job"  # by which it is pickled
    return cast("Action[Parameters, Result]", run)


def heard(job: Job[Result], on_progress: Callable[[Progress], None] | None) -> Job[Result]:
    """The same job, which also calls somebody with each `Progress`."""
    while True:
        try:
            step = next(job)
        except StopIteration as finished:
            return finished.value  # type: ignore[no-any-return]
        if on_progress is not None:
            on_progress(step)
        yield step


def part_of(job: Job[Result], low: float, high: float, title: str = "") -> Job[Result]:
    """The same job with its progress between two fractions of a larger one, its messages after a title if given."""
    while True:
        try:
            step = next(job)
        except StopIteration as finished:
            return finished.value  # type: ignore[no-any-return]
        message = ": ".join(filter(None, (title, step.message)))
        yield Progress(low + (high - low) * step.fraction, 1, message, step.milestone)


class RemainingTime:
    """Estimates how long a job still takes, from what it is known to cost and from the pace that it shows.

    At first the known cost alone decides. The measured pace counts the more, the more of the job is done, and decides
    alone once it differs from the cost by a factor of two, or the expected time is over. Without a cost there is no
    estimate before there is a pace.

    Parameters
    ----------
    began : float
        The time at which the job was started, in seconds of any clock.
    expected_seconds : float, optional
        What the whole job is known to take.
    stages : sequence of (fraction, share)
        Which share of the time has passed when the job tells a fraction of its progress; both rise from 0 to 1.
    """

    _LEAST_GAIN: Final = 0.02
    """Share of the job from which its pace can be told."""
    _LEAST_SECONDS: Final = 0.3
    _CLEAR_GAIN: Final = 0.15
    """Share of the job after which a pace that contradicts the cost is believed."""
    _CONTRADICTION: Final = 2.0
    _USED_UP: Final = 0.05
    """Share of the expected time; with less than that left, only the pace can tell what is."""
    _SILENCE: Final = 0.25
    """A job that has told nothing for some time is taken to need at least this part of that time once more."""

    def __init__(
        self,
        began: float,
        expected_seconds: float | None = None,
        stages: Sequence[tuple[float, float]] = ((0.0, 0.0), (1.0, 1.0)),
    ) -> None:
        self._began = began
        self._expected = expected_seconds if expected_seconds is not None and expected_seconds > 0 else None
        self._stages = stages
        self._first: tuple[float, float] | None = None
        self._last = (began, 0.0)

    def follow(self, fraction: float, now: float) -> None:
        """Take in how far the job says that it has come, at the time `now`."""
        share = self._share(fraction)
        if self._first is None or share < self._last[1]:
            self._first = now, share
        self._last = now, share

    def seconds_left(self, now: float) -> float | None:
        """Seconds left at the time `now`; None while there is too little to tell."""
        since, share = self._last
        silence = max(0.0, now - since)
        by_pace, gained = self._by_pace(silence), share - self._first[1] if self._first is not None else 0.0
        least = max(0.5, self._SILENCE * silence)
        if self._expected is None:
            return None if by_pace is None else max(by_pace, least)
        by_cost = self._expected - (now - self._began)
        if by_pace is None:
            return max(by_cost, least)
        believed = gained >= self._CLEAR_GAIN and (self._contradicts_cost() or by_cost < self._USED_UP * self._expected)
        weight = 1.0 if believed else min(1.0, gained)
        return float(max(by_cost, least) ** (1 - weight) * max(by_pace, least) ** weight)

    def _pace(self) -> float | None:
        """Seconds for the whole job at the pace so far."""
        if self._first is None:
            return None
        elapsed, gained = self._last[0] - self._first[0], self._last[1] - self._first[1]
        return elapsed / gained if gained >= self._LEAST_GAIN and elapsed >= self._LEAST_SECONDS else None

    def _by_pace(self, silence: float) -> float | None:
        pace = self._pace()
        return None if pace is None else pace * (1 - self._last[1]) - silence

    def _contradicts_cost(self) -> bool:
        pace = self._pace()
        if pace is None or self._expected is None:
            return False
        return not 1 / self._CONTRADICTION <= pace / self._expected <= self._CONTRADICTION

    def _share(self, fraction: float) -> float:
        for (low, before), (high, after) in pairwise(self._stages):
            if fraction <= high:
                return before + (after - before) * (fraction - low) / max(high - low, 1e-9)
        return self._stages[-1][1]
