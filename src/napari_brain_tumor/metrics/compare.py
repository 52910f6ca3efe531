"""Compare methods statistically: means, medians and bootstrap intervals over patients."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from itertools import groupby
from typing import Any, Final, Literal, TypeVar

import numpy as np

from napari_brain_tumor.metrics.scores import DEFINITIONS, MaskScores
from napari_brain_tumor.types import Float64Array

SECONDS: Final = "seconds"
SAMPLES: Final = 5000
"""Bootstrap samples; interval limits then vary between seeds by less than a fiftieth of the interval's width."""


_PATIENTS_FOR_A_VERDICT: Final = 6
"""With fewer patients, a method can be better in all of them by chance with p > 0.05 (two-sided: 2 * 0.5**5)."""


@dataclass(frozen=True, slots=True)
class Metric:
    """How a metric is displayed: its name, whether higher is better, and decimal places."""

    label: str
    higher_is_better: bool
    digits: int


METRICS: Final[dict[str, Metric]] = {
    "dice": Metric("Dice", higher_is_better=True, digits=3),
    "hd95_mm": Metric("HD95 (mm)", higher_is_better=False, digits=1),
    "nsd_2mm": Metric("NSD at 2 mm", higher_is_better=True, digits=3),
    "lesionwise_dice": Metric("Lesion-wise Dice", higher_is_better=True, digits=3),
    SECONDS: Metric("Seconds", higher_is_better=False, digits=1),
}
"""Metrics that are printed and plotted; the tables contain all scores of `MaskScores`."""

SHOWN_METRICS: Final = ("dice", "hd95_mm", "nsd_2mm")
"""Metrics that are plotted, and used to compare methods."""

_SCORED: Final = (*(field.name for field in fields(MaskScores)), SECONDS)


@dataclass(frozen=True, slots=True)
class CaseScores:
    """Scores of one method for one region or class of one case.

    Parameters
    ----------
    case, model, region : str
        `region` is WT, TC, ET or the name of a class.
    scores : MaskScores
        Scores against the reference.
    truth_voxels, predicted_voxels : int
        Sizes of the two masks.
    seconds : float or None
        Time to segment the opened case, without loading the model; None for predictions that already existed.
    patient : str
        Cases of the same patient are resampled together; if empty, each case counts as its own patient.
    dataset : str
        Data set of the case, if known.
    """

    case: str
    model: str
    region: str
    scores: MaskScores
    truth_voxels: int
    predicted_voxels: int
    seconds: float | None = None
    patient: str = ""
    dataset: str = ""

    @property
    def case_key(self) -> tuple[str, str]:
        """Key that identifies the case."""
        return self.dataset, self.case

    @property
    def patient_key(self) -> tuple[str, ...]:
        """Key shared by all cases of a patient, including those in other data sets."""
        return (self.patient,) if self.patient else self.case_key

    def value(self, metric: str) -> float | None:
        """Return a score by name, or the run time; None if it is undefined."""
        score = self.seconds if metric == SECONDS else getattr(self.scores, metric)
        return None if score is None else float(score)


@dataclass(frozen=True, slots=True)
class Summary:
    """Summary of one metric for one method and region over cases.

    `low` and `high` are the limits of the 95 % bootstrap interval of the mean over patients, None with fewer than two
    patients. `empty_truth` counts the cases whose reference lacks the region; `mean_where_present` excludes them.
    `dataset` is None for all cases together.
    """

    dataset: str | None
    region: str
    model: str
    metric: str
    cases: int
    patients: int
    empty_truth: int
    mean: float
    low: float | None
    high: float | None
    median: float
    mean_where_present: float | None


@dataclass(frozen=True, slots=True)
class Difference:
    """Paired difference between a method and the reference method: `mean` of method minus reference, and its interval.

    `better` is the fraction of cases in which the method is strictly better than the reference.
    """

    dataset: str | None
    region: str
    model: str
    reference: str
    metric: str
    cases: int
    patients: int
    mean: float
    low: float | None
    high: float | None
    better: float

    @property
    def verdict(self) -> Literal["better", "worse", "not told apart", "too few patients"]:
        """Whether the interval excludes zero and on which side; no verdict with fewer than six patients."""
        if self.patients < _PATIENTS_FOR_A_VERDICT or self.low is None or self.high is None:
            return "too few patients"
        if self.low <= 0 <= self.high:
            return "not told apart"
        return "better" if (self.low > 0) == METRICS[self.metric].higher_is_better else "worse"


def definition(metric: str) -> str:
    """Return a one-sentence definition of a metric."""
    if metric == SECONDS:
        return "Wall-clock time to segment the opened case, without loading the model."
    return DEFINITIONS[metric]


def summarise(rows: Iterable[CaseScores], *, samples: int = SAMPLES, seed: int = 0) -> tuple[Summary, ...]:
    """Compute mean, median and interval of every metric for each region and method.

    If the rows come from several data sets, each is summarised, as are all of those that define a region together.

    Parameters
    ----------
    rows : iterable of CaseScores
        In any order; results follow the order in which data sets, regions and methods first appear.
    samples, seed : int
        Number of bootstrap samples and random seed.
    """
    return tuple(
        _summary(dataset, metric, group, samples, seed)
        for dataset, group in _groups(rows, lambda row: (row.region, row.model))
        for metric in _SCORED
        if any(row.value(metric) is not None for row in group)
    )


def differences(
    rows: Iterable[CaseScores],
    reference: str,
    metrics: Sequence[str] = SHOWN_METRICS,
    *,
    samples: int = SAMPLES,
    seed: int = 0,
) -> tuple[Difference, ...]:
    """Compare every other method with a reference method, over the cases that both have scores for.

    Parameters
    ----------
    rows : iterable of CaseScores
        Scores of several methods.
    reference : str
        Name of the method whose scores are subtracted.
    metrics : sequence of str
        Metrics from `METRICS`.
    samples, seed : int
        Number of bootstrap samples and random seed.
    """
    results: list[Difference] = []
    for dataset, group in _groups(rows, lambda row: (row.region,)):
        others = dict.fromkeys(row.model for row in group if row.model != reference)
        for model in others:
            pairs = _pairs(group, model, reference)
            results.extend(
                _difference(dataset, metric, pairs, samples, seed) for metric in metrics if _both(pairs, metric)
            )
    return tuple(results)


def bootstrap_interval(
    values: Sequence[float], patients: Sequence[Any], *, samples: int = SAMPLES, seed: int = 0
) -> tuple[float, float] | None:
    """Compute the 95 % percentile interval of the mean, resampling all cases of a patient together.

    Parameters
    ----------
    values : sequence of float
        One value for each case.
    patients : sequence of hashable
        Patient of each case.
    samples, seed : int
        Number of times that patients are drawn with replacement, and the random seed; the same seed gives the same
        interval.

    Returns
    -------
    (float, float) or None
        None with fewer than two patients, because their spread is then unknown.

    Notes
    -----
    The percentile bootstrap of Efron and Tibshirani 1993 (doi:10.1201/9780429246593), over clusters (patients).
    """
    index = {patient: i for i, patient in enumerate(dict.fromkeys(patients))}
    if len(index) < 2:
        return None
    where = [index[patient] for patient in patients]
    sums, sizes = np.bincount(where, weights=values), np.bincount(where)
    drawn = np.random.default_rng(seed).multinomial(len(index), np.full(len(index), 1 / len(index)), size=samples)
    means: Float64Array = (drawn @ sums) / (drawn @ sizes)
    low, high = np.percentile(means, (2.5, 97.5))
    return float(low), float(high)


Key = TypeVar("Key", bound=tuple[str, ...])


def _groups(
    rows: Iterable[CaseScores], key: Callable[[CaseScores], Key]
) -> Iterator[tuple[str | None, list[CaseScores]]]:
    """Yield the rows of each data set, then of several together, grouped by key in order of appearance."""
    everything = list(rows)
    datasets = dict.fromkeys(row.dataset for row in everything)
    for dataset in (*datasets, None) if len(datasets) > 1 else (None,):
        selected = [row for row in everything if dataset is None or row.dataset == dataset]
        order = {group_key: i for i, group_key in enumerate(dict.fromkeys(map(key, selected)))}
        for _, grouped in groupby(sorted(selected, key=lambda row: order[key(row)]), key):
            group = list(grouped)
            if dataset is not None or len(datasets) == 1 or len({row.dataset for row in group}) > 1:
                yield dataset, group


def _summary(dataset: str | None, metric: str, group: Sequence[CaseScores], samples: int, seed: int) -> Summary:
    scored = [(row, value) for row in group if (value := row.value(metric)) is not None]
    values = [value for _, value in scored]
    patients = [row.patient_key for row, _ in scored]
    interval = bootstrap_interval(values, patients, samples=samples, seed=seed)
    present = [value for row, value in scored if row.truth_voxels]
    low, high = interval if interval is not None else (None, None)
    return Summary(
        dataset=dataset,
        region=group[0].region,
        model=group[0].model,
        metric=metric,
        cases=len(scored),
        patients=len(set(patients)),
        empty_truth=len(scored) - len(present),
        mean=float(np.mean(values)),
        low=low,
        high=high,
        median=float(np.median(values)),
        mean_where_present=float(np.mean(present)) if present else None,
    )


Pair = tuple[CaseScores, CaseScores]


def _pairs(group: Iterable[CaseScores], model: str, reference: str) -> list[Pair]:
    by_model: dict[str, Mapping[tuple[str, str], CaseScores]] = {
        name: {row.case_key: row for row in group if row.model == name} for name in (model, reference)
    }
    return [(row, by_model[reference][key]) for key, row in by_model[model].items() if key in by_model[reference]]


def _both(pairs: Iterable[Pair], metric: str) -> list[tuple[Pair, float]]:
    """Return the pairs in which both methods have the metric, with the difference."""
    values = [(pair, pair[0].value(metric), pair[1].value(metric)) for pair in pairs]
    return [(pair, a - b) for pair, a, b in values if a is not None and b is not None]


def _difference(dataset: str | None, metric: str, pairs: Sequence[Pair], samples: int, seed: int) -> Difference:
    scored = _both(pairs, metric)
    values = [value for _, value in scored]
    patients = [row.patient_key for (row, _), _ in scored]
    interval = bootstrap_interval(values, patients, samples=samples, seed=seed)
    sign = 1 if METRICS[metric].higher_is_better else -1
    (row, other), _ = scored[0]
    low, high = interval if interval is not None else (None, None)
    return Difference(
        dataset=dataset,
        region=row.region,
        model=row.model,
        reference=other.model,
        metric=metric,
        cases=len(scored),
        patients=len(set(patients)),
        mean=float(np.mean(values)),
        low=low,
        high=high,
        better=float(np.mean([value * sign > 0 for value in values])),
    )


@dataclass(frozen=True, slots=True)
class RankedCase:
    """A case selected for display: the reason, the case, and the Dice of each method."""

    rank: str
    key: tuple[str, str]
    dice: Mapping[str, float]


def ranked_cases(rows: Iterable[CaseScores], region: str = "WT") -> tuple[RankedCase, ...]:
    """Select the best, median and worst case by mean Dice over methods; fewer if there are not three."""
    by_case: dict[tuple[str, str], dict[str, float]] = {}
    for row in rows:
        if row.region == region:
            by_case.setdefault(row.case_key, {})[row.model] = row.scores.dice
    ordered = sorted(by_case, key=lambda key: -float(np.mean(list(by_case[key].values()))))
    ranks = {"best": 0, "median": len(ordered) // 2, "worst": len(ordered) - 1}
    if len(ordered) < 3:
        ranks = dict(list({"best": 0, "worst": 1}.items())[: len(ordered)])
    return tuple(
        RankedCase(f"{rank} case" if len(ordered) > 1 else "the case", ordered[place], by_case[ordered[place]])
        for rank, place in ranks.items()
    )
