"""Means over patients and their intervals, from the cases of a block."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from napari_brain_tumor.labels import REGIONS, Region
from napari_brain_tumor.metrics.compare import bootstrap_interval
from napari_brain_tumor.study import ROLES, Role
from results.document import ModelResults, ScoredCase, Scores

__all__ = ["DiceBySubset", "Group", "Mean", "ScoreName", "dice_by_subset", "mean_over_patients"]

DiceBySubset = Mapping[tuple[str, tuple[Role, ...]], tuple[int, dict[Region, float]]]
"""Number of patients, and mean Dice by region, for each set and choice of sequences."""

ScoreName = Literal["dice", "hd95_mm", "lesionwise_dice"]


@dataclass(frozen=True, slots=True)
class Mean:
    """A mean over patients and its 95 % bootstrap interval, which is None with fewer than two patients."""

    value: float
    patients: int
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True)
class Group:
    """The cases of one set, or of one grade within it."""

    dataset: str
    cases: tuple[ScoredCase, ...]

    @classmethod
    def of_scores(cls, block: Scores | None) -> "list[Group]":
        """Return a group for each set of a block; none if the block was not measured."""
        cases = [] if block is None else block.cases
        sets = dict.fromkeys(case.dataset for case in cases)
        return [cls(name, tuple(case for case in cases if case.dataset == name)) for name in sets]

    def where(self, condition: Callable[[ScoredCase], bool]) -> "Group":
        """Return the cases that meet a condition."""
        return Group(self.dataset, tuple(case for case in self.cases if condition(case)))

    @property
    def patients(self) -> int:
        """Number of patients."""
        return len({case.patient for case in self.cases})

    def mean(self, region: Region, score: ScoreName) -> Mean | None:
        """Return the mean of a score over the patients with that score; None if no patient has it."""
        scored = [(case.patient, case.scores[region]) for case in self.cases if region in case.scores]
        values = [(patient, getattr(scores, score)) for patient, scores in scored]
        return mean_over_patients((patient, value) for patient, value in values if value is not None)

    def means(self, score: ScoreName) -> dict[Region, float]:
        """Return the mean for each region with that score."""
        means = {region: self.mean(region, score) for region in REGIONS}
        return {region: round(mean.value, 4) for region, mean in means.items() if mean is not None}


def mean_over_patients(values: Iterable[tuple[str, float]]) -> Mean | None:
    """Return the mean over patients of (patient, value) pairs; several cases of a patient count as their mean.

    None without any pairs. The interval is that of `evaluation.compare.bootstrap_interval`.
    """
    by_patient: dict[str, list[float]] = {}
    for patient, value in values:
        by_patient.setdefault(patient, []).append(value)
    if not by_patient:
        return None
    means = [float(np.mean(of_patient)) for of_patient in by_patient.values()]
    low, high = bootstrap_interval(means, list(by_patient)) or (None, None)
    return Mean(float(np.mean(means)), len(means), low, high)


def dice_by_subset(entry: ModelResults) -> DiceBySubset:
    """Return numbers of patients and mean Dice without flips, by set and sequences, over cases with all of these.

    Cases with exactly these sequences count with their full scores, the others with the remaining sequences removed.
    """
    whole = [] if entry.scores is None else entry.scores.cases
    some = [] if entry.subsets is None else entry.subsets.cases
    scored = [(c.dataset, tuple(c.roles), c.patient, {r: s.dice for r, s in c.scores.items()}) for c in whole]
    scored += [(c.dataset, tuple(c.roles), c.patient, c.dice) for c in some]
    groups: dict[tuple[str, tuple[Role, ...]], list[tuple[str, Mapping[Region, float]]]] = {}
    for dataset, roles, patient, dice in scored:
        groups.setdefault((dataset, roles), []).append((patient, dice))
    order = sorted(groups, key=lambda key: (key[0], -len(key[1]), [ROLES.index(role) for role in key[1]]))
    return {key: (len({patient for patient, _ in groups[key]}), _mean_dice(groups[key])) for key in order}


def _mean_dice(scored: Sequence[tuple[str, Mapping[Region, float]]]) -> dict[Region, float]:
    means = {r: mean_over_patients((patient, dice[r]) for patient, dice in scored if r in dice) for r in REGIONS}
    return {region: round(mean.value, 4) for region, mean in means.items() if mean is not None}
