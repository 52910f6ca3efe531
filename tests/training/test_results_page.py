"""The page, the README's tables and the numbers behind them, from results made by hand."""

import json

import pytest
from results_phantoms import ROLES, block_of, entry, results_of, scored

from napari_brain_tumor.errors import UnreadableFileError
from results.document import (
    Controls,
    Cost,
    FalseVolume,
    FullSize,
    LesionControl,
    SubsetCase,
    Subsets,
    read_experiments,
    read_results,
    write_results,
)
from results.page import page, write_page
from results.readme import with_table
from results.statistics import dice_by_subset, mean_over_patients
from results.targets import targets_of

BLOCK = {"key": "k", "created": "2026-01-01T00:00:00Z", "minutes": 1.0}


def subset(roles, dice, case="a", dataset="glioma3d"):
    return SubsetCase(dataset=dataset, case=case, patient=case, roles=roles, dice=dice)


def controls(ml):
    lesions = LesionControl(case="ms", ml={"enhancing": 0.5}, parts=2, lesions_ml=3.0, on_lesions_ml=0.25)
    volumes = [FalseVolume(case="a", ml=0.0), FalseVolume(case="b", ml=ml)]
    return Controls(
        **BLOCK, synthetic=volumes, twins=volumes, no_twin=["both"], sclerosis=lesions, no_enhancing=lesions
    )


def cost(seconds):
    return Cost(
        **BLOCK,
        case="c",
        shape=[240, 240, 155],
        load_seconds=0.5,
        imported_mb=300.0,
        memory_from="VmHWM",
        plain=FullSize(seconds=2.0, peak_mb=1300.0),
        flipped=FullSize(seconds=seconds, peak_mb=1310.0),
        machine=block_of([]).machine,
    )


@pytest.fixture
def results():
    good = [
        scored("a", 0.95),
        scored("b", 0.85, grade="LGG"),
        scored("c", 0.9, "lgg_tif", ("WT",), roles=["T1", "FLAIR"]),
    ]
    poor = [case.model_copy(update={"scores": scored(dice=0.4).scores}) for case in good[:2]]
    some = [subset(["FLAIR"], {"WT": 0.7, "TC": 0.5, "ET": 0.1}), subset(["FLAIR"], {"WT": 0.8}, "c", "lgg_tif")]
    default = entry(
        scores=block_of(poor), subsets=Subsets(**BLOCK, cases=some), controls=controls(2.0), cost=cost(12.0)
    )
    return results_of(default, entry("better", scores=block_of(good), flipped=block_of(good)), entry("new"))


def test_means_are_over_patients_not_cases():
    found = mean_over_patients([("p", 1.0), ("p", 0.0), ("q", 1.0)])
    assert (found.value, found.patients) == (0.75, 2)
    assert found.low <= 0.75 <= found.high
    assert mean_over_patients([("p", 1.0)]).low is None
    assert mean_over_patients([]) is None


def test_a_subset_counts_cases_that_have_just_it_and_those_it_was_left_of():
    whole = block_of([scored("a", 0.6, roles=["FLAIR"]), scored("b", 0.9)])
    model = entry(scores=whole, subsets=Subsets(**BLOCK, cases=[subset(["FLAIR"], {"WT": 0.8}, "b")]))
    found = dice_by_subset(model)
    assert found["glioma3d", ("FLAIR",)] == (2, {"WT": 0.7, "TC": 0.6, "ET": 0.6})
    assert found["glioma3d", tuple(ROLES)][0] == 1


def test_targets_are_met_or_not(results):
    found = {(target.what, target.model): target for target in targets_of(results)}
    assert found["WT, glioma3d", "`better`"].met
    assert not found["WT, glioma3d", "`unet`"].met
    assert found["WT, lgg_tif", "`better`"].measured == 0.9
    worst = found["WT of the worst case, glioma3d", "`unet`"]
    assert (worst.goal, worst.measured, worst.met) == ("0.65", 0.4, False)
    worst = found["mL in the worst healthy twin", "`unet`"]
    assert (worst.measured, worst.met) == (2.0, False)
    assert not found["seconds of a 240x240x155 case", "`unet` with flips"].met


def test_the_page_has_the_numbers_and_leaves_out_what_was_not_measured(results):
    text = page(results)
    assert "| `better` | 2 | 0.900 (0.850–0.950) |" in text
    assert "| `better` | HGG | 1 | 0.950 |" in text
    assert "| FLAIR | 0.700 | 0.500 | 0.100 | 0.800 (1) |" in text
    assert "| `unet` | 0.00, 2.00 | 1.00 | 2.00 |" in text
    assert "| `unet` | 1.00 M | 2.0 | 0.5 | 2.0 | 2.0 | – | – | 2.0 | 12.0 | 1000 | 1010 |" in text
    assert "both sides: both" in text
    assert "f" * 64 in text
    assert "Calibration\n" not in text
    assert "What helped" not in text
    assert "trial" not in text


def test_a_page_of_some_cases_says_so(results):
    assert "only 1 validation case(s)" in page(results.model_copy(update={"limit": 1}))


def test_what_helped_comes_from_the_experiments(results, tmp_path):
    one = {
        "idea": "Lesion mixing", "setting": "p 0.5", "with": {"WT": 0.85, "ET": 0.6}, "without": {"WT": 0.83},
        "cases": 8, "minutes": 41.6, "note": "small",
    }  # fmt: skip
    (tmp_path / "experiments.json").write_text(json.dumps([one]))
    (tmp_path / "case_review.md").write_text("seen\n")
    write_page(results, tmp_path)
    text = (tmp_path / "results.md").read_text(encoding="utf-8")
    assert "| Lesion mixing | p 0.5 | 0.850 (+0.020) | 0.600 | 8 | 42 | small |" in text
    assert "[case_review.md](case_review.md)" in text
    (tmp_path / "experiments.json").write_text('[{"idea": 3}]')
    with pytest.raises(UnreadableFileError, match=r"experiments\.json does not hold what it should"):
        read_experiments(tmp_path / "experiments.json")


def test_results_are_read_back_the_same(results, tmp_path):
    write_results(results, tmp_path / "results.json")
    assert read_results(tmp_path / "results.json") == results
    assert read_results(tmp_path / "absent.json") is None
    (tmp_path / "results.json").write_text("{")
    with pytest.raises(UnreadableFileError, match="move it away to measure anew"):
        read_results(tmp_path / "results.json")


def test_the_readme_table_stands_between_its_markers(results):
    readme = "a\n<!-- results -->\nold\n<!-- /results -->\nb\n"
    text = with_table(readme, results)
    assert "| `better` | 1.00 M | 0.900 | 0.900 | 0.900 | 0.900 / 0.900 / 0.900 | 0.900 | – | – |" in text
    assert "old" not in text
    assert text.endswith("b\n")
    assert with_table(text, results) == text
    assert with_table(readme, None).count("Not measured yet.") == 1
