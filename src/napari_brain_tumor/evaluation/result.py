"""The results of an evaluation, and the files to which they are written."""

import io
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from napari_brain_tumor import __version__
from napari_brain_tumor.errors import BrainTumorError, SaveError
from napari_brain_tumor.evaluation.boxes import draw_boxes
from napari_brain_tumor.evaluation.montage import draw_montage
from napari_brain_tumor.evaluation.tables import COLUMNS, scores_table
from napari_brain_tumor.evaluation.unfinished import FinishedCase
from napari_brain_tumor.evaluation.views import CaseView
from napari_brain_tumor.io.atomic import write_atomically
from napari_brain_tumor.io.csv_text import one_line
from napari_brain_tumor.io.sidecar import FORMAT, NOTICE, PROGRAM
from napari_brain_tumor.io.table import Table
from napari_brain_tumor.metrics.compare import SAMPLES, SECONDS, CaseScores, Difference, Summary, definition
from napari_brain_tumor.metrics.scores import DEFINITIONS

if TYPE_CHECKING:
    import pandas
    from matplotlib.figure import Figure

FILES: Final = ("scores.csv", "scores.json", "boxes.png", "montage.png", "cases.csv")
"""Files that an evaluation writes into its folder."""

PREDICTIONS: Final = "predictions"
UNFINISHED: Final = ".unfinished"
"""Subfolder for segmentations to be kept, and for finished cases until all cases are finished."""


@dataclass(frozen=True, slots=True, eq=False)
class Refused:
    """A case that could not be scored by one method (`model` None: by any method), and the error."""

    case: str
    model: str | None
    error: Exception

    @property
    def what(self) -> str:
        """Case and method in words."""
        return self.case if self.model is None else f"{self.case} by {self.model}"

    @property
    def reason(self) -> str:
        """The error in words; unexpected errors include their type."""
        if isinstance(self.error, BrainTumorError | OSError):
            return str(self.error)
        return f"{type(self.error).__name__}: {self.error}"


@dataclass(frozen=True, slots=True)
class CaseOutcome:
    """Outcome of one case for one method: a row of `cases.csv`."""

    dataset: str
    case: str
    model: str
    status: Literal["scored", "failed"]
    seconds: float | None = None
    error: str = ""


def outcomes_of(
    case: str, dataset: str, models: Sequence[str], finished: FinishedCase | None, refused: Sequence[Refused]
) -> list[CaseOutcome]:
    """Return the rows of a case, one for each method."""
    seconds = {row.model: row.seconds for row in finished.rows} if finished is not None else {}
    reasons = {refusal.model: refusal.reason for refusal in refused}
    return [
        CaseOutcome(dataset, case, model, "scored", seconds[model])
        if model in seconds
        else CaseOutcome(dataset, case, model, "failed", error=reasons.get(model) or reasons.get(None, ""))
        for model in models
    ]


@dataclass(frozen=True, slots=True, eq=False)
class Evaluation:
    """Scores of methods on a set of cases.

    Parameters
    ----------
    rows : tuple of CaseScores
        One row for each case, method and region or class.
    summary : tuple of Summary
        Mean, median and bootstrap interval of every metric.
    differences : tuple of Difference
        Every other method compared with the first.
    refused : tuple of Refused
        Cases that could not be scored.
    models : tuple of str
        Names of the methods, in the order given.
    views : mapping of (str, str) to CaseView
        An example slice by data set and case.
    about : mapping
        JSON-serialisable facts: cases, references, models with hashes, split, settings and versions.
    outcomes : tuple of CaseOutcome
        Outcome of every case for every method, including those without scores.
    """

    rows: tuple[CaseScores, ...]
    summary: tuple[Summary, ...]
    differences: tuple[Difference, ...]
    refused: tuple[Refused, ...]
    models: tuple[str, ...]
    views: Mapping[tuple[str, str], CaseView]
    about: Mapping[str, Any]
    outcomes: tuple[CaseOutcome, ...] = ()

    @property
    def table(self) -> Table:
        """The scores, with one row for each case, method and region."""
        return scores_table(self.rows)

    def to_dataframe(self) -> "pandas.DataFrame":
        """Return the scores as a `pandas.DataFrame` with one row for each case, method and region."""
        return self.table.to_dataframe()

    def boxes(self) -> "Figure":
        """Draw box plots of Dice, HD95 and NSD by method and region, with cases as points: a matplotlib figure."""
        return draw_boxes(self.rows)

    def montage(self) -> "Figure":
        """Draw the best, median and worst case, with true, false and missed voxels of each method."""
        return draw_montage(self.rows, self.views, self.models)

    def write(self, folder: Path, *, overwrite: bool = False) -> list[Path]:
        """Write `scores.csv`, `scores.json` (definitions, summary, provenance), the pictures and `cases.csv`.

        All content is prepared before the first file is written.

        Raises
        ------
        SaveError
            If there are results already and `overwrite` is not set, or a file cannot be written.
        """
        check_folder(folder, overwrite=overwrite)
        contents = (
            self.table.to_csv().encode(),
            (json.dumps(self._document(), indent=2, ensure_ascii=False, default=str) + "\n").encode(),
            _png(self.boxes()),
            _png(self.montage()),
            _outcomes_csv(self.outcomes).encode(),
        )
        targets = [folder / name for name in FILES]
        for target, content in zip(targets, contents, strict=True):
            write_atomically(target, _writer(content), lambda _: None)
        return targets

    def _document(self) -> dict[str, Any]:
        return {
            "program": PROGRAM,
            "format": FORMAT,
            "version": __version__,
            "notice": NOTICE,
            "scores": FILES[0],
            **self.about,
            "not_scored": [{"what": r.what, "why": r.reason} for r in self.refused],
            "bootstrap": {
                "samples": SAMPLES,
                "seed": 0,
                "interval": "95 % percentile interval of the mean; patients are drawn with replacement",
            },
            "summary": [asdict(summary) for summary in self.summary],
            "differences": [asdict(d) | {"verdict": d.verdict} for d in self.differences],
            "definitions": {name: definition(name) for name in COLUMNS if name in (SECONDS, *DEFINITIONS)},
        }


def check_folder(folder: Path, *, overwrite: bool) -> None:
    """Raise `SaveError` if the folder contains results that may not be replaced, or is a file."""
    if folder.exists() and not folder.is_dir():
        raise SaveError(f"{folder} is a file; results go to a folder. Give another name.")
    # Segmentations next to unfinished cases belong to the evaluation that is being resumed.
    results = FILES if (folder / UNFINISHED).exists() else (*FILES, PREDICTIONS)
    there = [name for name in results if (folder / name).exists()]
    if there and not overwrite:
        msg = f"{folder / there[0]} already exists. Use --overwrite (overwrite=True), or choose another folder."
        raise SaveError(msg)


def _outcomes_csv(outcomes: Sequence[CaseOutcome]) -> str:
    changed = (replace(outcome, error=one_line(outcome.error)) for outcome in outcomes)
    rows = tuple(asdict(outcome) | {"seconds": _seconds(outcome.seconds)} for outcome in changed)
    return Table(tuple(field.name for field in fields(CaseOutcome)), rows).to_csv()


def _seconds(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"


def _writer(content: bytes) -> Callable[[Path], int]:
    return lambda path: path.write_bytes(content)


def _png(figure: "Figure") -> bytes:
    content = io.BytesIO()
    figure.savefig(content, format="png", facecolor=figure.get_facecolor())
    return content.getvalue()
