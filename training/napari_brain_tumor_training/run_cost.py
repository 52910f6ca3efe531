"""What a run would cost, as a window shows it; without torch."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RunCost:
    """What a run would cost.

    Parameters
    ----------
    seconds : float
        Of all steps and, on a curated data set, validations; without reading the cases.
    details : str
        In words: parameters, times, memory.
    """

    steps: int
    device: str
    seconds: float
    details: str
