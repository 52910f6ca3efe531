"""How long an experiment takes, from what was measured, and how it is shortened to a budget."""

from math import ceil
from typing import Final

from pydantic import Field

from napari_brain_tumor_training.config_parts import Section

__all__ = ["Costs", "Schedule", "shortened"]

_READING: Final = 0.25
_SCORING: Final = 0.25
"""Shares of a budget that at most go to reading cases and to scoring them at the end."""
_VALIDATION: Final = 1 / 3
"""Share of the rest that at most goes to validation between the epochs."""
_LOSS: Final = 1.04
"""A step with its part of the validation loss: a tenth as many batches, forward alone."""
_EPOCHS: Final = 10
"""Of a shortened training: as many points has a curve."""


class Costs(Section):
    """Seconds of the parts of an experiment, measured on one case and one step.

    Attributes
    ----------
    reading : float
        Of a case, for all networks.
    step : float
        Of all networks together.
    network : float
        Of all networks, to segment a validation case.
    scoring : float
        Of a case at the end: to open it, run the methods without weights, and compare all results with the truth.
    """

    reading: float = Field(ge=0)
    step: float = Field(ge=0)
    network: float = Field(ge=0)
    scoring: float = Field(ge=0)


class Schedule(Section):
    """How much of an experiment is done."""

    training_cases: int
    validation_cases: int
    epochs: int
    iterations_per_epoch: int
    validate_every: int = 1

    def seconds(self, costs: Costs) -> float:
        """What it takes."""
        steps = self.epochs * self.iterations_per_epoch * costs.step * _LOSS
        validations = ceil(self.epochs / self.validate_every) * self.validation_cases * costs.network
        return self._reading(costs) + steps + validations + self._scoring(costs)

    def _reading(self, costs: Costs) -> float:
        return (self.training_cases + self.validation_cases) * costs.reading

    def _scoring(self, costs: Costs) -> float:
        return self.validation_cases * (costs.network + costs.scoring)


def shortened(whole: Schedule, costs: Costs, minutes: float) -> Schedule:
    """What of a schedule fits into so many minutes: all of it, or fewer cases, epochs and steps.

    A quarter of the time may go to reading and one to scoring, which limits the cases; what is left is for training,
    a third of it for validation between epochs. It is never less than one case on each side and one step.
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
    epochs = min(whole.epochs, _EPOCHS)
    validations = _most(epochs, _VALIDATION * left, validation * costs.network)
    left -= validations * validation * costs.network
    steps = max(1, int(left / max(_LOSS * costs.step, 1e-9)))
    if steps >= epochs * whole.iterations_per_epoch:
        epochs, iterations = min(whole.epochs, steps // whole.iterations_per_epoch), whole.iterations_per_epoch
    else:
        epochs = min(epochs, steps)
        iterations = steps // epochs
    update = {"epochs": epochs, "iterations_per_epoch": iterations, "validate_every": ceil(epochs / validations)}
    return fewer.model_copy(update=update)


def _most(count: int, seconds: float, each: float) -> int:
    """How many of so many fit into the time, at least one."""
    return count if each <= 0 else max(1, min(count, int(seconds / each)))
