"""The rows of a running batch, counted and regularly written to its table."""

import time
from collections import Counter
from dataclasses import dataclass
from typing import Final

from napari_brain_tumor.batch.case_table import CaseRow, CaseTable
from napari_brain_tumor.progress import Progress

_LEAST_PAUSE_S: Final = 2.0
_SHARE_OF_TIME: Final = 0.05
"""Largest share of the time spent on writing the table, which grows with the batch and is rewritten each time."""


@dataclass(frozen=True, slots=True)
class CaseProgress(Progress):
    """Progress of a batch: the number of the case, from 0, and its row once it is finished."""

    number: int = 0
    row: CaseRow | None = None


class BatchRows:
    """Results of the cases finished so far.

    Parameters
    ----------
    count : int
        Number of cases in the batch.
    table : CaseTable or None
        Written with the first case and then every few seconds, so that little is lost if the batch is stopped.
    """

    def __init__(self, count: int, table: CaseTable | None) -> None:
        self.count = count
        self.table = table
        self.states = Counter[str]()
        self._by_number: dict[int, CaseRow] = {}
        self._began = time.monotonic()
        self._due = float("-inf")
        self._written = 0

    @property
    def rows(self) -> list[CaseRow]:
        """The rows of finished cases, in the order of the cases."""
        return [row for _, row in sorted(self._by_number.items())]

    @property
    def seconds(self) -> float:
        """Time since the batch began."""
        return time.monotonic() - self._began

    @property
    def seconds_left(self) -> float | None:
        """Estimated time remaining; None if nothing has been computed yet, or nothing is left."""
        worked = self.states["done"] + self.states["failed"]
        left = self.count - len(self._by_number)
        return self.seconds * left / worked if worked and left else None

    def add(self, number: int, row: CaseRow) -> None:
        """Add the row of a finished case.

        Raises
        ------
        SaveError
            If the table was due to be written but cannot be; the row is counted all the same.
        """
        self._by_number[number] = row
        self.states[row.status] += 1
        if time.monotonic() >= self._due:
            self.write()

    def write(self) -> None:
        """Write the table, if there is one and it is incomplete; raises `SaveError` if that fails."""
        if self.table is None or self._written == len(self._by_number):
            return
        began = time.monotonic()
        try:
            self.table.write(self.rows)
            self._written = len(self._by_number)
        finally:
            took = time.monotonic() - began
            self._due = time.monotonic() + max(_LEAST_PAUSE_S, took / _SHARE_OF_TIME)
