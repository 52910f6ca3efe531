import numpy as np
import pytest

from napari_brain_tumor.metrics.compare import (
    METRICS,
    bootstrap_interval,
    definition,
    differences,
    ranked_cases,
    summarise,
)
from scores_for_tests import row


def test_interval_is_the_same_for_the_same_seed() -> None:
    values = np.random.default_rng(1).random(30)
    patients = [f"p{i}" for i in range(30)]
    first = bootstrap_interval(values, patients, seed=4)
    assert first == bootstrap_interval(values, patients, seed=4)
    assert first != bootstrap_interval(values, patients, seed=5)
    assert first == pytest.approx(bootstrap_interval(values, patients, seed=5), abs=0.01)


def test_interval_of_many_independent_cases_is_that_of_the_central_limit() -> None:
    values = np.random.default_rng(0).normal(0.8, 0.1, 400)
    low, high = bootstrap_interval(values, range(400), samples=20_000)
    expected = values.mean() + np.array([-1, 1]) * 1.96 * values.std() / 20
    assert (low, high) == pytest.approx(expected, abs=0.0005)


def test_cases_of_one_patient_are_drawn_together() -> None:
    values = [0.0] * 10 + [1.0] * 10
    alone = bootstrap_interval(values, range(20))
    together = bootstrap_interval(values, ["a"] * 10 + ["b"] * 10)
    assert alone == pytest.approx((0.3, 0.7), abs=0.051)
    assert together == (0.0, 1.0)


def test_a_patient_with_more_cases_weighs_more_as_in_the_mean() -> None:
    # Draws of two patients: both a (0), both b (1), one of each (3 cases of a and 1 of b: 0.25).
    values, patients = [0.0, 0.0, 0.0, 1.0], ["a", "a", "a", "b"]
    low, high = bootstrap_interval(values, patients)
    assert (low, high) == (0.0, 1.0)
    (summary,) = [
        s
        for s in summarise(
            [row(str(i), "m", v, patient=p) for i, (v, p) in enumerate(zip(values, patients, strict=True))]
        )
        if s.metric == "dice"
    ]
    assert (summary.mean, summary.cases, summary.patients) == (0.25, 4, 2)


@pytest.mark.parametrize("values", [[0.4], [0.4, 0.6]])
def test_nothing_is_known_of_the_spread_of_one_patient(values: list[float]) -> None:
    assert bootstrap_interval(values, ["a"] * len(values)) is None


def test_summary_counts_empty_truths_and_leaves_them_out_of_the_second_mean() -> None:
    rows = [row("a", "m", 0.6), row("b", "m", 0.8), row("c", "m", 1.0, truth_voxels=0)]
    (summary,) = [s for s in summarise(rows) if s.metric == "dice"]
    assert (summary.mean, summary.median) == pytest.approx((0.8, 0.8))
    assert (summary.cases, summary.patients, summary.empty_truth) == (3, 3, 1)
    assert summary.mean_where_present == pytest.approx(0.7)
    assert summary.low < 0.8 < summary.high


def test_undefined_scores_are_left_out_and_a_metric_without_any_has_no_summary() -> None:
    rows = [row("a", "m", 0.6, scores={"hd95_mm": 4.0}), row("b", "m", 0.8, seconds=2.0)]
    found = {s.metric: s for s in summarise(rows)}
    assert set(found) == {"dice", "iou", "hd95_mm", "seconds"}
    assert (found["hd95_mm"].cases, found["hd95_mm"].mean, found["hd95_mm"].low) == (1, 4.0, None)
    assert (found["seconds"].cases, found["seconds"].mean) == (1, 2.0)


def test_each_data_set_is_summarised_and_those_that_tell_a_region_together() -> None:
    rows = [
        row("a", "m", 0.5, dataset="x"),
        row("a", "m", 0.9, dataset="y"),
        row("a", "m", 0.3, region="ET", dataset="x"),
    ]
    found = {(s.dataset, s.region): s.mean for s in summarise(rows) if s.metric == "dice"}
    assert found == pytest.approx({("x", "WT"): 0.5, ("x", "ET"): 0.3, ("y", "WT"): 0.9, (None, "WT"): 0.7})


def test_a_patient_of_two_data_sets_is_one_patient() -> None:
    rows = [row("a", "m", 0.5, dataset="x", patient="p"), row("b", "m", 0.9, dataset="y", patient="p")]
    (summary,) = [s for s in summarise(rows) if s.metric == "dice" and s.dataset is None]
    assert (summary.cases, summary.patients, summary.low) == (2, 1, None)


def test_a_constant_advantage_is_found_however_much_the_cases_differ() -> None:
    dice = np.random.default_rng(2).uniform(0.2, 0.8, 12)
    rows = [row(str(i), m, d + extra) for i, d in enumerate(dice) for m, extra in (("a", 0.0), ("b", 0.05))]
    (found,) = differences(rows, "a", ["dice"])
    assert (found.model, found.reference, found.cases) == ("b", "a", 12)
    assert (found.mean, found.low, found.high) == pytest.approx((0.05, 0.05, 0.05))
    assert (found.better, found.verdict) == (1.0, "better")
    (other,) = differences(rows, "b", ["dice"])
    assert (other.mean, other.verdict) == (pytest.approx(-0.05), "worse")


def test_fewer_millimetres_are_better() -> None:
    rows = [
        row(str(i), m, 0.5, scores={"hd95_mm": float(i + less)}) for i in range(6) for m, less in (("a", 3), ("b", 1))
    ]
    (found,) = differences(rows, "a", ["hd95_mm"])
    assert (found.mean, found.verdict, found.better) == (-2.0, "better", 1.0)


@pytest.mark.parametrize(("patients", "verdict"), [(1, "too few patients"), (5, "too few patients"), (6, "better")])
def test_a_handful_of_patients_is_too_few_for_a_verdict(patients: int, verdict: str) -> None:
    rows = [row(str(i), m, 0.5 + (m == "b") * 0.2, patient=f"p{i % patients}") for i in range(12) for m in "ab"]
    (found,) = differences(rows, "a", ["dice"])
    assert (found.cases, found.patients, found.verdict) == (12, patients, verdict)


def test_differences_of_either_sign_are_not_told_apart() -> None:
    rows = [row(str(i), m, 0.5 + (m == "b") * 0.1 * (-1) ** i) for i in range(10) for m in "ab"]
    (found,) = differences(rows, "a", ["dice"])
    assert found.low < 0 < found.high
    assert (found.verdict, found.better) == ("not told apart", 0.5)


def test_only_cases_that_both_have_are_compared() -> None:
    rows = [row("1", "a", 0.5), row("2", "a", 0.1), row("1", "b", 0.6), row("3", "b", 0.9), row("9", "c", 0.2)]
    (found,) = differences(rows, "a", ["dice", "hd95_mm"])
    assert (found.model, found.cases, found.mean, found.low) == ("b", 1, pytest.approx(0.1), None)


@pytest.mark.parametrize(
    ("dice", "expected"),
    [
        ([0.5], [("the case", "0")]),
        ([0.5, 0.9], [("best case", "1"), ("worst case", "0")]),
        ([0.5, 0.9, 0.1, 0.6, 0.7], [("best case", "1"), ("median case", "3"), ("worst case", "2")]),
    ],
)
def test_best_median_and_worst_case_by_mean_dice_over_methods(dice: list[float], expected: list) -> None:
    rows = [row(str(i), m, d + (0.05 if m == "a" else -0.05)) for i, d in enumerate(dice) for m in "ab"]
    rows += [row(str(i), "a", 1 - d, region="ET") for i, d in enumerate(dice)]
    found = ranked_cases(rows)
    assert [(case.rank, case.key[1]) for case in found] == expected
    assert found[0].dice == pytest.approx({"a": max(dice) + 0.05, "b": max(dice) - 0.05})


def test_every_shown_metric_is_defined() -> None:
    for metric in METRICS:
        assert len(definition(metric)) > 20
