"""The CSV table of a batch: status, volumes and error of each case."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from filelock import SoftFileLock, Timeout

from napari_brain_tumor.errors import SaveError
from napari_brain_tumor.io.csv_text import one_line, read_csv_text
from napari_brain_tumor.io.regular_file import read_regular
from napari_brain_tumor.io.table import Table, units_of
from napari_brain_tumor.labels import CLASS_NAMES, REGIONS

if TYPE_CHECKING:
    import pandas

    from napari_brain_tumor.measure.volumes import VolumeTable

Status = Literal["done", "skipped", "exists", "outdated", "failed"]

_VOLUMES: Final[Mapping[str, int | str]] = {
    **{region: region for region in REGIONS},
    **{name.replace("-", "_"): value for value, name in CLASS_NAMES.items()},
}
"""Column name prefixes, and the corresponding keys among the measurements."""

COLUMNS: Final = (
    "case",
    "status",
    "model",
    *(f"{word}_ml" for word in _VOLUMES),
    *(f"{word}_voxels" for word in _VOLUMES),
    "seconds",
    "output",
    "notes",
    "error",
)
"""Columns of the table. Volumes that labels do not mark are `not determined`; other unknown cells are empty."""

_PATIENCE_S: Final = 10.0
"""Time to wait for another batch to write its rows, which takes a moment."""
_UNKNOWN: Final = "not determined"


@dataclass(frozen=True, slots=True)
class CaseRow:
    """Outcome of a case: done, skipped because it was done before, blocked by an existing result, or failed."""

    case: str
    status: Status
    output: str = ""
    model: str = ""
    volumes: "VolumeTable | None" = None
    seconds: float | None = None
    notes: tuple[str, ...] = ()
    error: str = ""

    def taking(self, seconds: float) -> "CaseRow":
        """Return a copy with the time that the case took."""
        return replace(self, seconds=seconds)

    @property
    def values(self) -> dict[str, Any]:
        """The values by column; unknown or undetermined values are None."""
        words = {"case": self.case, "status": self.status, "model": self.model, "output": self.output}
        words |= {"notes": " ".join(self.notes), "error": self.error}
        values: dict[str, Any] = {"seconds": self.seconds, **words}
        for word, key in _VOLUMES.items() if self.volumes is not None else ():
            row = None if self.volumes is None else self.volumes.find(key)
            values[f"{word}_voxels"] = None if row is None else row.voxels
            values[f"{word}_ml"] = None if row is None else row.ml
        return values

    @property
    def cells(self) -> dict[str, str]:
        cells = {"case": self.case, "status": self.status, "model": self.model, "output": self.output}
        cells |= {"notes": " ".join(self.notes), "error": self.error}
        cells |= {"seconds": "" if self.seconds is None else f"{self.seconds:.1f}"}
        for word, key in _VOLUMES.items() if self.volumes is not None else ():
            assert self.volumes is not None
            row = self.volumes.find(key)
            cells[f"{word}_voxels"] = _UNKNOWN if row is None else str(row.voxels)
            if self.volumes.unit == "mL":
                cells[f"{word}_ml"] = _UNKNOWN if row is None or row.ml is None else f"{row.ml:.4f}"
        return {column: one_line(cells.get(column, "")) for column in COLUMNS}


class CaseRows(tuple[CaseRow, ...]):
    """The rows of a batch: a tuple that can be shown and analysed as a table."""

    __slots__ = ()

    @property
    def table(self) -> Table:
        """The contents of `segmentation_results.csv`, with numbers instead of text."""
        return Table(COLUMNS, tuple(row.values for row in self), units=units_of(COLUMNS))

    def to_dataframe(self) -> "pandas.DataFrame":
        """Return the rows as a `pandas.DataFrame`; unknown or undetermined volumes are missing values."""
        return self.table.to_dataframe()


class CaseTable:
    """The CSV of a batch; rows of other outputs, written by an earlier batch, are kept.

    Raises
    ------
    SaveError
        If there is a file that is not such a table.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.is_written = False
        self._patience_s = _PATIENCE_S
        self._read()

    def write(self, rows: Sequence[CaseRow]) -> None:
        """Write the rows of this batch after those of other batches.

        Raises
        ------
        SaveError
            If the file cannot be written.
        """
        own = [row.cells for row in rows]
        keys = {(row["case"], row["output"]) for row in own} | {(row["case"], "") for row in own}
        with self._alone():
            others = [row for row in self._read() if (row["case"], row["output"]) not in keys]
            Table(COLUMNS, (*others, *own)).to_csv(self.path)
        self.is_written = True

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Prevent other batches from writing between our reading and our writing.

        A lock left behind by a killed batch on another computer is waited for only once.
        """
        # A soft lock is an ordinary file that exists only while held, which also works on network drives.
        lock = SoftFileLock(self.path.with_name(f".{self.path.name}.lock"))
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            lock.acquire(timeout=self._patience_s)
        except Timeout:
            self._patience_s = 0.0
        except OSError:  # if nothing can be written, writing the table itself reports why
            pass
        try:
            yield
        finally:
            lock.release()

    def _read(self) -> list[dict[str, str]]:
        if not self.path.exists():
            return []
        try:
            columns, rows = read_csv_text(read_regular(self.path).decode("utf-8"))
        except (OSError, ValueError) as error:
            msg = f"{self.path} cannot be read as a table: {error}. Choose another name with --table."
            raise SaveError(msg) from error
        if columns != COLUMNS:
            msg = (
                f"{self.path} exists and is not a case table written by this program. Choose another name with --table."
            )
            raise SaveError(msg)
        return rows
