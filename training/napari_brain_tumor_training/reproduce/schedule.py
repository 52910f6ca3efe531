"""Predict the duration of an experiment from measured costs, and shorten it to a time budget."""

from math import ceil
from typing import Final

from pydantic import Field

from napari_brain_tumor_training.config_parts import Section

_READING: Final = 0.15
_SCORING: Final = 0.15
"""Largest shares of a budget for reading cases and for the final scoring."""
_VALIDATION: Final = 0.2
"""Largest share of the remaining time for validation between epochs."""
_LOSS: Final = 1.04
"""Cost of a step including its part of the validation loss: a tenth as many batches, forward pass only."""
_EPOCHS: Final = 10
"""Number of epochs of a shortened training, and thus of points on its curves."""
_STEPS: Final = 10
"""Minimum number of steps per epoch of a shortened training, if it has more than one epoch."""


class Costs(Section):
    """Seconds for the parts of an experiment, measured on one case and one step.

    Attributes
    ----------
    reading : float
        Reading a case, for all networks.
    step : float
        One step of all networks together.
    network : float
        Segmenting a validation case with all networks.
    scoring : float
        Final scoring of a case: opening it, running the methods without weights, and comparing all results.
    """

    reading: float = Field(ge=0)
    step: float = Field(ge=0)
    network: float = Field(ge=0)
    scoring: float = Field(ge=0)


class Schedule(Section):
    """The extent of an experiment."""

    training_cases: int
    validation_cases: int
    epochs: int
    iterations_per_epoch: int
    validate_every: int = 1

    def seconds(self, costs: Costs) -> float:
        """Return the expected duration."""
        steps = self.epochs * self.iterations_per_epoch * costs.step * _LOSS
        validations = ceil(self.epochs / self.validate_every) * self.validation_cases * costs.network
        return self._reading(costs) + steps + validations + self._scoring(costs)

    def _reading(self, costs: Costs) -> float:
        return (self.training_cases + self.validation_cases) * costs.reading

    def _scoring(self, costs: Costs) -> float:
        return self.validation_cases * (costs.network + costs.scoring)

    def _trained(self, costs: Costs, seconds: float) -> dict[str, int]:
        """Return the number of epochs, steps per epoch and epochs between validations that fit into this time."""
        validation = self.validation_cases * costs.network
        for epochs in range(min(self.epochs, _EPOCHS), 0, -1):
            validations = _most(epochs, _VALIDATION * seconds, validation)
            steps = max(1, int((seconds - validations * validation) / max(_LOSS * costs.step, 1e-9)))
            if steps >= epochs * _STEPS:
                break
        iterations = min(self.iterations_per_epoch, steps // epochs)
        if iterations == self.iterations_per_epoch:
            epochs = min(self.epochs, steps // iterations)
        return {"epochs": epochs, "iterations_per_epoch": iterations, "validate_every": ceil(epochs / validations)}


def shortened(whole: Schedule, costs: Costs, minutes: float) -> Schedule:
    """Shorten a schedule to fit into this many minutes, if necessary with fewer cases, epochs and steps.

    At most 15 % of the time is for reading and 15 % for scoring, which limits the cases; the rest is for training, of
    which at most a fifth is for validation between epochs. Training has fewer epochs rather than fewer than ten steps
    per epoch. There is always at least one case on each side and one step.
    """
    seconds = 60 * minutes
    if whole.seconds(costs) <= seconds:
        return whole
    validation = _most(whole.validation_cases, _SCORING * seconds, costs.network + costs.scoring)
    both = whole.training_cases + whole.validation_cases
    cases = max(2, _most(both, _READING * seconds, costs.reading))
    validation = min(validation, max(1, round(cases * whole.validation_cases / both)))
    training = min(whole.training_cases, max(1, cases - validation))
    fewer = whole.model_copy(update={"training_cases": training, "validation_cases": validation})
    left = max(0.0, seconds - fewer._reading(costs) - fewer._scoring(costs))
    return fewer.model_copy(update=fewer._trained(costs, left))


def _most(count: int, seconds: float, each: float) -> int:
    """Return how many of `count` items fit into the time, at least one."""
    return count if each <= 0 else max(1, min(count, int(seconds / each)))
