"""The cases of a data set as table rows, and the order in which to visit them, without Qt."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final, Literal

from napari_brain_tumor.dataset import CaseRecord, CuratedDataset, ReviewState
from napari_brain_tumor.dataset.stored_scores import read_score
from napari_brain_tumor.labels import CLASS_NAMES, Region

STATE_NAMES: Final[dict[ReviewState, str]] = {
    "draft": "undecided",
    "accepted": "accepted",
    "rejected": "rejected",
    "needs_second_look": "second look",
}
"""Wording of the review states."""


@dataclass(frozen=True, slots=True)
class RowScore:
    """A model's score on a case.

    Parameters
    ----------
    dice : mapping of region to float
        Empty if it was not computed for the current label.
    unsure : float or None
        Entropy in bits along the tumour's border, 0 to 1.
    """

    dice: Mapping[Region, float] = field(default_factory=dict)
    unsure: float | None = None


@dataclass(frozen=True, slots=True)
class CaseRow:
    """A row of the case table; unknown numbers are None.

    Parameters
    ----------
    class_ml : mapping of int to float
        Millilitres of each class; empty if the voxel size is unknown, or only the whole tumour is annotated.
    score : callable
        Reads the chosen model's score from a separate file. To be called for visible rows only, as a data set may have
        a thousand cases.
    """

    id: str
    patient: str
    split: str
    state: ReviewState
    complete: bool = True
    whole_ml: float | None = None
    class_ml: Mapping[int, float] = field(default_factory=dict)
    has_draft: bool = False
    score: Callable[[], RowScore] = field(default=RowScore, compare=False)

    @property
    def dice(self) -> Mapping[Region, float]:
        """Dice scores of the chosen model."""
        return self.score().dice

    @property
    def unsure(self) -> float | None:
        """Uncertainty of the chosen model."""
        return self.score().unsure

    @property
    def undecided(self) -> bool:
        """Whether a decision about its label is still pending."""
        return self.state in ("draft", "needs_second_look")


def case_rows(dataset: CuratedDataset, weights_sha256: str | None = None) -> list[CaseRow]:
    """Return the rows of all cases, with the scores of the model that has these weights."""
    drafts = {path.stem for path in (dataset.folder / "drafts").glob("*.npz")}
    return [_row(dataset, case, weights_sha256, drafts) for case in dataset.cases()]


def _row(dataset: CuratedDataset, case: CaseRecord, weights_sha256: str | None, drafts: Collection[str]) -> CaseRow:
    return CaseRow(
        case.id,
        case.patient,
        case.split,
        case.state,
        case.label.is_complete,
        case.region_ml("WT"),
        _class_ml(case),
        case.id in drafts,
        RowScore if weights_sha256 is None else partial(_score, dataset.folder, case, weights_sha256),
    )


def _score(folder: Path, case: CaseRecord, weights_sha256: str) -> RowScore:
    score = read_score(folder, case, weights_sha256)
    if score is None:
        return RowScore()
    return RowScore(score.dice if score.label_sha256 == case.label.sha256 else {}, score.uncertainty)


def _class_ml(case: CaseRecord) -> dict[int, float]:
    grid = case.grid.grid
    if grid.unit != "mm" or set(case.label.known_regions) < {"WT", "TC", "ET"}:
        return {}
    return {value: case.label.voxels.get(value, 0) * grid.voxel_volume_mm3 / 1000 for value in CLASS_NAMES}


def next_undecided(rows: Sequence[CaseRow], current: str | None) -> str | None:
    """Return the next undecided case, starting from the current one and wrapping around; second looks come last."""
    turned = _from(rows, current)
    for state in ("draft", "needs_second_look"):
        for row in turned:
            if row.state == state and row.id != current:
                return row.id
    return None


def next_uncertain(rows: Sequence[CaseRow], current: str | None) -> str | None:
    """Return the undecided case, other than the current one, for which the model is least sure; None without scores."""
    undecided = [row for row in rows if row.undecided and row.unsure is not None and row.id != current]
    return max(undecided, key=lambda row: row.unsure or 0.0).id if undecided else None


def neighbour(rows: Sequence[CaseRow], current: str | None, step: Literal[-1, 1]) -> str | None:
    """Return the case before or after the current one, wrapping around; the first if none is current."""
    if not rows:
        return None
    ids = [row.id for row in rows]
    return ids[(ids.index(current) + step) % len(ids)] if current in ids else ids[0]


def _from(rows: Sequence[CaseRow], current: str | None) -> list[CaseRow]:
    at = next((at for at, row in enumerate(rows) if row.id == current), -1)
    return [*rows[at + 1 :], *rows[: at + 1]]
