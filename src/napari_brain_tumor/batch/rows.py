"""The rows of a batch, as its cases end: counted, and written into its table now and then."""

import time
from collections import Counter
from dataclasses import dataclass
from typing import Final

from napari_brain_tumor.batch.case_table import CaseRow, CaseTable
from napari_brain_tumor.progress import Progress

_LEAST_PAUSE_S: Final = 2.0
_SHARE_OF_TIME: Final = 0.05
"""That writing the table may take: it grows with the batch, and is written whole."""


@dataclass(frozen=True, slots=True)
class CaseProgress(Progress):
    """How far a batch is: which case, by its number from 0, and its row once it is over."""

    number: int = 0
    row: CaseRow | None = None


class BatchRows:
    """What became of the cases so far.

    Parameters
    ----------
    count : int
        Cases of the batch.
    table : CaseTable or None
        Is written with the first case and then every few seconds, so that it holds nearly all if the batch is stopped.
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
        """In the order of the cases, without those that are not over."""
        return [row for _, row in sorted(self._by_number.items())]

    @property
    def seconds(self) -> float:
        """Since the batch began."""
        return time.monotonic() - self._began

    @property
    def seconds_left(self) -> float | None:
        """If it goes on as so far; None where nothing was computed yet, or nothing is left."""
        worked = self.states["done"] + self.states["failed"]
        left = self.count - len(self._by_number)
        return self.seconds * left / worked if worked and left else None

    def add(self, number: int, row: CaseRow) -> None:
        """Take in what became of a case.

        Raises
        ------
        SaveError
            If the table was to be written and cannot be; the row counts all the same.
        """
        self._by_number[number] = row
        self.states[row.status] += 1
        if time.monotonic() >= self._due:
            self.write()

    def write(self) -> None:
        """Write the table, if there is one and it lacks a row; raises `SaveError` if it cannot be written."""
        if self.table is None or self._written == len(self._by_number):
            return
        began = time.monotonic()
        try:
            self.table.write(self.rows)
            self._written = len(self._by_number)
        finally:
            took = time.monotonic() - began
            self._due = time.monotonic() + max(_LEAST_PAUSE_S, took / _SHARE_OF_TIME)
