"""Jobs, which are generators that yield `Progress` and return their result, and estimates of remaining time."""

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
    """Progress of a job: `done` of `total` steps, the current activity, and what has just been finished.

    A `milestone` deserves its own line in a log, even if the log is otherwise updated rarely.
    """

    done: float
    total: float
    message: str = ""
    milestone: str = ""

    @property
    def fraction(self) -> float:
        """Fraction of the work done, between 0 and 1."""
        return min(1.0, self.done / self.total) if self.total > 0 else 0.0


Job = Generator[Progress, None, Result]


def run_job(job: Job[Result], on_progress: Callable[[Progress], None] | None = None) -> Result:
    """Run a job to completion and return its result.

    Parameters
    ----------
    job : generator
        Yields `Progress` and returns the result.
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
    """A function that runs a job to completion; `job` is the job itself, with the same parameters."""

    @property
    def job(self) -> Callable[Parameters, Job[Result_co]]:
        """The job, which yields `Progress` and returns the result of the function."""

    def __call__(self, *args: Parameters.args, **kwargs: Parameters.kwargs) -> Result_co:
        """Run the job and return its result."""


def action(job: Callable[Parameters, Job[Result]]) -> Action[Parameters, Result]:
    """Create a function that runs a job; the job is defined once, under the name of the function.

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
    job.__name__ = job.__qualname__ = f"{job.__name__}_job"  # the name used for pickling
    return cast("Action[Parameters, Result]", run)


def heard(job: Job[Result], on_progress: Callable[[Progress], None] | None) -> Job[Result]:
    """Wrap a job so that a function is also called with each `Progress`."""
    while True:
        try:
            step = next(job)
        except StopIteration as finished:
            return finished.value  # type: ignore[no-any-return]
        if on_progress is not None:
            on_progress(step)
        yield step


def part_of(job: Job[Result], low: float, high: float, title: str = "") -> Job[Result]:
    """Map a job's progress to a range within a larger job, and prefix its messages with a title if given."""
    while True:
        try:
            step = next(job)
        except StopIteration as finished:
            return finished.value  # type: ignore[no-any-return]
        message = ": ".join(filter(None, (title, step.message)))
        yield Progress(low + (high - low) * step.fraction, 1, message, step.milestone)


class RemainingTime:
    """Estimates the remaining time of a job from its known cost and its observed pace.

    Initially only the known cost is used. The observed pace gains weight as the job advances. It is used alone once it
    differs from the cost by a factor of two, or when the expected time is over. Without a known cost, there is no
    estimate until a pace has been observed.

    Parameters
    ----------
    began : float
        Start time of the job, in seconds of any clock.
    expected_seconds : float, optional
        Known cost of the whole job.
    stages : sequence of (fraction, share)
        Pairs of the job's progress and the fraction of the time elapsed by then; both rise from 0 to 1.
    """

    _LEAST_GAIN: Final = 0.02
    """Fraction of the job from which its pace can be estimated."""
    _LEAST_SECONDS: Final = 0.3
    _CLEAR_GAIN: Final = 0.15
    """Fraction of the job after which a pace that contradicts the cost is trusted."""
    _CONTRADICTION: Final = 2.0
    _USED_UP: Final = 0.05
    """Fraction of the expected time; with less than that left, the estimate relies on the pace alone."""
    _SILENCE: Final = 0.25
    """After a period without progress, at least this fraction of that period is assumed to remain."""

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
        """Register the job's progress at the time `now`."""
        share = self._share(fraction)
        if self._first is None or share < self._last[1]:
            self._first = now, share
        self._last = now, share

    def seconds_left(self, now: float) -> float | None:
        """Return the seconds left at the time `now`; None if too little is known."""
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
        """Return the seconds that the whole job would take at the pace so far."""
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
