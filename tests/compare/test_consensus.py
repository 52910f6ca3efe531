"""Consensus of raters whose quality is known."""

import json

import numpy as np
import pytest
from rater_cases import GRID, NEAR, SHAPE, TRUTH, block, drawn, whole_tumour

from napari_brain_tumor.compare import consensus, find_consensus
from napari_brain_tumor.errors import ComparisonError, GridMismatchError
from napari_brain_tumor.geometry import Grid, bounding_box
from napari_brain_tumor.io import open_segmentation, read_sidecar, save_segmentation
from napari_brain_tumor.labels import labels_sha256, region_mask
from napari_brain_tumor.metrics.overlap import dice
from napari_brain_tumor.study import Segmentation

QUALITIES = ((0.95, 0.97), (0.9, 0.95), (0.85, 0.99), (0.8, 0.98), (0.92, 0.96), (0.7, 0.99), (0.97, 0.9))


def test_a_majority_is_more_than_half_and_a_tie_is_left_out_and_told() -> None:
    a, b, c = block((5, 5, 5), (15, 15, 15)), block((7, 5, 5), (17, 15, 15)), block((10, 5, 5), (20, 15, 15))
    of_three = find_consensus({"a": a, "b": b, "c": c})
    np.testing.assert_array_equal(np.flatnonzero(of_three.segmentation.data[:, 5, 5]), np.arange(7, 17))
    assert of_three.tied == {"WT": 0, "TC": 0, "ET": 0}
    assert of_three.notes == ()
    of_two = find_consensus({"a": a, "b": b})
    np.testing.assert_array_equal(np.flatnonzero(of_two.segmentation.data[:, 5, 5]), np.arange(7, 15))
    assert of_two.tied["WT"] == 400
    assert "WT 400" in of_two.notes[0]
    quality = of_three.qualities[0]
    assert (quality.name, quality.region, quality.sensitivity) == ("a", "WT", pytest.approx(0.8))
    frame = of_three.to_dataframe()
    assert list(frame.columns) == ["name", "region", "sensitivity", "specificity"]
    assert frame.query("name == 'a' and region == 'WT'").sensitivity.item() == pytest.approx(0.8)


def test_classes_come_back_and_stay_nested() -> None:
    random = np.random.default_rng(1)
    given = {}
    for name in "abc":
        labels = np.zeros(SHAPE, np.uint8)
        labels[TRUTH] = random.integers(0, 4, TRUTH.sum())
        given[name] = Segmentation(labels, GRID)
    masks = {region: sum(region_mask(one.data, region) for one in given.values()) for region in ("WT", "TC", "ET")}
    joined = consensus(given)
    for region, count in masks.items():
        np.testing.assert_array_equal(region_mask(joined.data, region), count >= 2)
    assert set(np.unique(consensus(given, "staple").data)) <= {0, 1, 2, 3}


def test_staple_nests_regions_that_come_out_crossing() -> None:
    # Only one of them tells ET outside of what the others call tumour, and is believed in ET alone.
    core = block((10, 10, 10), (20, 20, 20), 1).data
    given = {}
    for name, moved in (("a", 0), ("b", 0), ("c", 5)):
        labels = core.copy()
        labels[16 + moved : 22 + moved, 12:18, 12:18] = 3
        given[name] = Segmentation(labels, GRID)
    joined = consensus(given, "staple").data
    assert not (region_mask(joined, "ET") & ~region_mask(joined, "WT")).any()
    assert region_mask(joined, "ET").any()


def test_staple_recovers_the_quality_of_simulated_raters_and_finds_the_truth() -> None:
    masks = [drawn(*quality, seed) for seed, quality in enumerate(QUALITIES)]
    found = find_consensus({f"rater {k}": whole_tumour(mask) for k, mask in enumerate(masks)}, "staple")
    around = bounding_box(np.logical_or.reduce(masks))
    assert around is not None
    box = around.grown((3, 3, 3), SHAPE).slices
    truth = TRUTH[box]
    for mask, quality in zip(masks, found.qualities, strict=True):
        inside = mask[box]
        assert quality.sensitivity == pytest.approx(inside[truth].mean(), abs=0.01)
        assert quality.specificity == pytest.approx((~inside[~truth]).mean(), abs=0.01)
    assert dice(TRUTH, found.segmentation.data) > 0.995


def test_staple_outdoes_the_majority_where_one_bad_rater_is_counted_twice() -> None:
    good = [drawn(0.95, 0.98, seed) for seed in range(3)]
    bad = drawn(0.6, 0.8, 9)
    given = {f"rater {k}": whole_tumour(mask) for k, mask in enumerate([*good, bad, bad])}
    by_majority, by_staple = (dice(TRUTH, consensus(given, method).data) for method in ("majority", "staple"))
    assert by_majority < 0.97
    assert by_staple > 0.985


def test_air_around_the_head_and_the_end_of_the_grid_change_nothing() -> None:
    masks = [drawn(*quality, seed) for seed, quality in enumerate(QUALITIES[:3])]
    wide = [np.pad(mask, 20) for mask in masks]
    grid = Grid(wide[0].shape, GRID.affine)
    near = consensus({str(k): whole_tumour(mask) for k, mask in enumerate(masks)}, "staple")
    far = consensus(
        {str(k): Segmentation(m.astype(np.uint8), grid, known_regions=("WT",)) for k, m in enumerate(wide)}, "staple"
    )
    around = bounding_box(np.logical_or.reduce(masks))
    cut = {
        str(k): Segmentation(one[around.slices].astype(np.uint8), GRID.cropped(around), known_regions=("WT",))
        for k, one in enumerate(masks)
    }
    np.testing.assert_array_equal(near.data[around.slices], consensus(cut, "staple").data)
    np.testing.assert_array_equal(far.data[20:-20, 20:-20, 20:-20], near.data)
    assert near.provenance["qualities"] == far.provenance["qualities"]


@pytest.mark.parametrize("method", ["majority", "staple"])
def test_an_absent_region_stays_absent_and_has_no_quality(method: str) -> None:
    edema = block((5, 5, 5), (15, 15, 15), 1)
    found = find_consensus({"a": edema, "b": edema, "c": edema}, method)
    np.testing.assert_array_equal(found.segmentation.data, edema.data)
    assert [one.sensitivity for one in found.qualities] == [pytest.approx(1.0, abs=1e-6)] * 3 + [None] * 6
    assert [one.specificity for one in found.qualities] == [pytest.approx(1.0, abs=1e-6)] * 3 + [None] * 6


def test_what_fills_the_whole_grid_is_found() -> None:
    full = whole_tumour(np.ones(SHAPE, bool))
    assert consensus({"a": full, "b": full, "c": full}, "staple").data.all()


def test_the_result_tells_what_it_was_made_from_and_is_saved_with_it(tmp_path) -> None:
    given = {f"rater {k}": whole_tumour(drawn(*quality, k)) for k, quality in enumerate(QUALITIES[:3])}
    joined = consensus(given, "staple")
    assert joined.known_regions == ("WT",)
    assert joined.class_names == {1: "whole tumour"}
    save_segmentation(joined, tmp_path / "joined.nii.gz")
    told = read_sidecar(tmp_path / "joined.nii.gz")["provenance"]
    assert told["task"] == "consensus"
    assert told["inputs"]["rater 1"]["labels_sha256"] == labels_sha256(given["rater 1"].data)
    assert 0.5 < told["qualities"]["WT"]["rater 0"]["sensitivity"] <= 1
    assert {"margin_voxels", "inside_above"} <= set(told["settings"])
    assert "SimpleITK" in told["versions"]
    again = open_segmentation(tmp_path / "joined.nii.gz")
    np.testing.assert_array_equal(again.data, joined.data)
    assert again.known_regions == ("WT",)
    json.dumps(joined.provenance)


def test_an_unknown_method_other_grids_and_too_few_are_refused() -> None:
    one = whole_tumour(NEAR)
    with pytest.raises(ComparisonError, match="majority, staple"):
        consensus({"a": one, "b": one}, "mean")
    with pytest.raises(ComparisonError, match="Two or more"):
        consensus({"a": one})
    with pytest.raises(GridMismatchError):
        consensus({"a": one, "b": Segmentation(one.data[1:], Grid((41, 41, 40), GRID.affine))})


def test_two_are_told_to_be_few_for_staple() -> None:
    given = {name: whole_tumour(drawn(0.9, 0.95, seed)) for seed, name in enumerate("ab")}
    assert "Add a third" in find_consensus(given, "staple").notes[-1]
