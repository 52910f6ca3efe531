"""Jobs: generators that yield `Progress` and return their result."""

from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import TypeVar

__all__ = ["Job", "Progress", "part_of", "run_job"]

Result = TypeVar("Result")


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


def part_of(job: Job[Result], low: float, high: float, title: str = "") -> Job[Result]:
    """The same job with its progress between two fractions of a larger one, its messages after a title if given."""
    while True:
        try:
            step = next(job)
        except StopIteration as finished:
            return finished.value  # type: ignore[no-any-return]
        message = ": ".join(filter(None, (title, step.message)))
        yield Progress(low + (high - low) * step.fraction, 1, message, step.milestone)
