"""What an evaluation found, and the files that it is written to."""

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
"""What an evaluation writes into its folder."""

PREDICTIONS: Final = "predictions"
UNFINISHED: Final = ".unfinished"
"""Folders in there: segmentations that were to be kept, and finished cases until all are."""


@dataclass(frozen=True, slots=True, eq=False)
class Refused:
    """A case that was not scored, or not by one method (None: by none), and the error that tells why."""

    case: str
    model: str | None
    error: Exception

    @property
    def what(self) -> str:
        """Case and method in words."""
        return self.case if self.model is None else f"{self.case} by {self.model}"

    @property
    def reason(self) -> str:
        """The error in words, also one that nobody thought of."""
        if isinstance(self.error, BrainTumorError | OSError):
            return str(self.error)
        return f"{type(self.error).__name__}: {self.error}"


@dataclass(frozen=True, slots=True)
class CaseOutcome:
    """What became of a case by one method: a row of `cases.csv`."""

    dataset: str
    case: str
    model: str
    status: Literal["scored", "failed"]
    seconds: float | None = None
    error: str = ""


def outcomes_of(
    case: str, dataset: str, models: Sequence[str], finished: FinishedCase | None, refused: Sequence[Refused]
) -> list[CaseOutcome]:
    """Rows of a case, one for each method."""
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
    """Scores of methods on cases.

    Parameters
    ----------
    rows : tuple of CaseScores
        One for each case, method and region or class.
    summary : tuple of Summary
        Mean, median and bootstrap interval of every metric.
    differences : tuple of Difference
        Every other method against the first.
    refused : tuple of Refused
        Cases that could not be scored.
    models : tuple of str
        Names of the methods in the order in which they were given.
    views : mapping of (str, str) to CaseView
        A slice to look at, by data set and case.
    about : mapping
        Cases, truth, models with hashes, split, settings, versions: what JSON can express.
    outcomes : tuple of CaseOutcome
        What became of every case by every method, also of those without scores.
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
        """The scores: one row for each case, method and region."""
        return scores_table(self.rows)

    def to_dataframe(self) -> "pandas.DataFrame":
        """The scores as a `pandas.DataFrame`: one row for each case, method and region."""
        return self.table.to_dataframe()

    def boxes(self) -> "Figure":
        """Box plots of Dice, HD95 and NSD by method and region, each case a point: a matplotlib figure."""
        return draw_boxes(self.rows)

    def montage(self) -> "Figure":
        """Best, median and worst case: truth beside each method, true, false and missed voxels coloured."""
        return draw_montage(self.rows, self.views, self.models)

    def write(self, folder: Path, *, overwrite: bool = False) -> list[Path]:
        """Write `scores.csv`, `scores.json` (definitions, summary, provenance), the pictures and `cases.csv`.

        Everything is made before the first file is written.

        Raises
        ------
        SaveError
            If results are there already and `overwrite` is not set, or a file cannot be written.
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
    """Raise `SaveError` if results are in the folder already and may not be replaced, or it is a file."""
    if folder.exists() and not folder.is_dir():
        raise SaveError(f"{folder} is a file; results go to a folder. Give another name.")
    # Segmentations beside unfinished cases are those of the evaluation that goes on.
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
