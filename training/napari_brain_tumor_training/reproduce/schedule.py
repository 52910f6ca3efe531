"""How long an experiment takes, from what was measured, and how it is shortened to a budget."""

from math import ceil
from typing import Final

from pydantic import Field

from napari_brain_tumor_training.config_parts import Section

_READING: Final = 0.15
_SCORING: Final = 0.15
"""Shares of a budget that at most go to reading cases and to scoring them at the end."""
_VALIDATION: Final = 0.2
"""Share of the rest that at most goes to validation between the epochs."""
_LOSS: Final = 1.04
"""A step with its part of the validation loss: a tenth as many batches, forward alone."""
_EPOCHS: Final = 10
"""Of a shortened training: as many points has a curve."""
_STEPS: Final = 10
"""Least steps of an epoch of a shortened training, as long as there is more than one epoch."""


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

    def _trained(self, costs: Costs, seconds: float) -> dict[str, int]:
        """Epochs, their steps, and how often they are validated, in so many seconds."""
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
    """What of a schedule fits into so many minutes: all of it, or fewer cases, epochs and steps.

    A seventh of the time may go to reading and one to scoring, which limits the cases; what is left is for training,
    a fifth of it for validation between epochs. Epochs are fewer rather than shorter than ten steps. It is never less
    than one case on each side and one step.
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
    """How many of so many fit into the time, at least one."""
    return count if each <= 0 else max(1, min(count, int(seconds / each)))
