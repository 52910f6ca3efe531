"""The estimated cost of a run, for display in a window; does not import torch."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RunCost:
    """Estimated cost of a run.

    Parameters
    ----------
    seconds : float
        Time of all steps and, for a curated data set, of validation; without reading the cases.
    details : str
        Parameters, times and memory, in words.
    """

    steps: int
    device: str
    seconds: float
    details: str
