"""The cases of a data set as rows of a table, and the ways from one to the next, without Qt."""

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
"""States of a review in words."""


@dataclass(frozen=True, slots=True)
class RowScore:
    """What a model thinks of a case.

    Parameters
    ----------
    dice : mapping of region to float
        Empty where it was not computed for the label of now.
    unsure : float or None
        Entropy in bits along the tumour's border, 0 to 1.
    """

    dice: Mapping[Region, float] = field(default_factory=dict)
    unsure: float | None = None


@dataclass(frozen=True, slots=True)
class CaseRow:
    """A case as the table shows it; None where a number is not known.

    Parameters
    ----------
    class_ml : mapping of int to float
        Millilitres of each class; empty where the voxel size is not known or only the whole tumour is.
    score : callable
        Reads what the chosen model thinks of it, from a file of its own: to be called for rows in sight alone, where a
        data set may hold a thousand.
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
        """Of the chosen model."""
        return self.score().dice

    @property
    def unsure(self) -> float | None:
        """How unsure the chosen model is."""
        return self.score().unsure

    @property
    def undecided(self) -> bool:
        """Whether somebody still has to decide about its label."""
        return self.state in ("draft", "needs_second_look")


def case_rows(dataset: CuratedDataset, weights_sha256: str | None = None) -> list[CaseRow]:
    """Rows of all cases, with what the model of these weights thinks of them."""
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
    """The next case without a decision, from the current one on and around; those to be looked at again come last."""
    turned = _from(rows, current)
    for state in ("draft", "needs_second_look"):
        for row in turned:
            if row.state == state and row.id != current:
                return row.id
    return None


def next_uncertain(rows: Sequence[CaseRow], current: str | None) -> str | None:
    """The undecided case, other than the current one, of which the model is least sure; None where it was not asked."""
    undecided = [row for row in rows if row.undecided and row.unsure is not None and row.id != current]
    return max(undecided, key=lambda row: row.unsure or 0.0).id if undecided else None


def neighbour(rows: Sequence[CaseRow], current: str | None, step: Literal[-1, 1]) -> str | None:
    """The case before or after the current one, around the end; the first where none is current."""
    if not rows:
        return None
    ids = [row.id for row in rows]
    return ids[(ids.index(current) + step) % len(ids)] if current in ids else ids[0]


def _from(rows: Sequence[CaseRow], current: str | None) -> list[CaseRow]:
    at = next((at for at, row in enumerate(rows) if row.id == current), -1)
    return [*rows[at + 1 :], *rows[: at + 1]]
