"""What `compare_segmentations` finds: scores, matrix, kappa, volumes, slices and maps of bodies with known answers."""

import json

import numpy as np
import pytest
from rater_cases import GRID, block

from napari_brain_tumor.compare import compare_segmentations
from napari_brain_tumor.compare.result import COLUMNS, SYMMETRIC
from napari_brain_tumor.errors import ComparisonError, GridMismatchError, LabelSchemaError, SpacingUnknownError
from napari_brain_tumor.geometry import Grid, to_ras
from napari_brain_tumor.metrics.scores import score_segmentations
from napari_brain_tumor.study import Segmentation
from phantoms import affine, tilt

# Boxes of 10 x 10 x 10 voxels, each 1 x 2 x 3 mm; the second is moved by two voxels along x, the third by five.
TRUTH, NEAR, FAR = block((5, 5, 5), (15, 15, 15)), block((7, 5, 5), (17, 15, 15)), block((10, 5, 5), (20, 15, 15))
THREE = {"truth": TRUTH, "near": NEAR, "far": FAR}


def test_with_a_reference_each_other_is_scored_against_it_as_evaluation_does() -> None:
    found = compare_segmentations(THREE, reference="truth")
    assert [(one.first, one.second) for one in found.scores_of("WT")] == [("truth", "near"), ("truth", "far")]
    near, far = found.scores_of("ET")
    assert (near.scores.dice, far.scores.dice) == (pytest.approx(0.8), pytest.approx(0.5))
    assert near.scores == score_segmentations(TRUTH, NEAR)["ET"]
    assert (near.first_voxels, near.second_voxels) == (1000, 1000)
    assert {one.region for one in found.scores} == {"WT", "TC", "ET", "edema", "non-enhancing", "enhancing"}


def test_without_a_reference_each_pair_is_scored_once() -> None:
    found = compare_segmentations(THREE)
    pairs = [(one.first, one.second) for one in found.scores_of("WT")]
    assert pairs == [("truth", "near"), ("truth", "far"), ("near", "far")]
    expected = [[1, 0.8, 0.5], [0.8, 1, 0.7], [0.5, 0.7, 1]]
    np.testing.assert_allclose(found.matrix("WT"), expected)
    assert found["WT"].mean_dice == pytest.approx(2 / 3)
    assert found["WT"].least_dice == pytest.approx(0.5)
    assert (found["WT"].by_all, found["WT"].by_any) == (500, 1500)


def test_the_matrix_of_distances_is_symmetric_with_nothing_to_oneself() -> None:
    found = compare_segmentations(THREE)
    distances = found.matrix("WT", "hd_mm")
    np.testing.assert_allclose(distances, [[0, 2, 5], [2, 0, 3], [5, 3, 0]])
    for metric in SYMMETRIC:
        table = found.matrix("WT", metric)
        np.testing.assert_array_equal(table, table.T)
    turned = compare_segmentations(dict(reversed(THREE.items())))
    for metric in SYMMETRIC:
        np.testing.assert_allclose(turned.matrix("WT", metric)[::-1, ::-1], found.matrix("WT", metric))


def test_a_score_that_needs_a_truth_has_no_matrix_and_others_lack_pairs_without_the_reference() -> None:
    found = compare_segmentations(THREE, reference="truth")
    with pytest.raises(ComparisonError, match="needs a truth"):
        found.matrix("WT", "sensitivity")
    distances = found.matrix("WT", "hd_mm")
    assert distances[0].tolist() == [0, 2, 5]
    assert np.isnan(distances[1, 2])
    assert found.matrix("WT")[1, 2] == pytest.approx(0.7)


def test_kappa_follows_from_the_counts_in_the_box_around_all() -> None:
    # Of two over 12 x 10 x 10 voxels: both 800, one alone 400; P = 2/3, and 5/6 of all votes are inside.
    kappa = compare_segmentations({"a": TRUTH, "b": NEAR})["WT"].kappa
    chance = (5 / 6) ** 2 + (1 / 6) ** 2
    assert kappa == pytest.approx((2 / 3 - chance) / (1 - chance))


def test_volumes_differ_from_the_reference_or_from_the_mean() -> None:
    small = block((5, 5, 5), (10, 15, 15))
    rows = compare_segmentations({"truth": TRUTH, "small": small}, reference="truth").volumes
    row = next(one for one in rows if (one.name, one.region) == ("small", "WT"))
    assert (row.voxels, row.ml) == (500, pytest.approx(3.0))
    assert (row.difference_ml, row.difference_percent) == (pytest.approx(-3.0), pytest.approx(-50))
    rows = compare_segmentations({"truth": TRUTH, "small": small}).volumes
    assert rows[0].difference_percent == pytest.approx(100 / 3)
    assert rows[1].difference_voxels == -250


def test_slices_come_worst_first_with_their_area_and_a_place_within_the_difference() -> None:
    labels = TRUTH.data.copy()
    labels[5:15, 5:15, 9] = 0  # all of one axial slice
    labels[5:8, 5:15, 12] = 0  # three tenths of another
    found = compare_segmentations({"truth": TRUTH, "a": Segmentation(labels, GRID)}, reference="truth")
    rows = found.slices("WT")
    assert [(row.index, row.differing) for row in rows] == [(9, 100), (12, 30)]
    assert [row.dice for row in rows] == [0, pytest.approx(140 / 170)]
    assert rows[0].area_mm2 == pytest.approx(200)  # pixels of 1 x 2 mm
    assert found.worst_slice("WT") == rows[0]
    for row in rows:
        x, y, z = np.rint(GRID.voxels(row.centre)).astype(int)
        assert z == row.index
        assert TRUTH.data[x, y, z] != labels[x, y, z]
    (coronal, *_) = found.slices("WT", "coronal")
    assert coronal.area_mm2 == pytest.approx(13 * 3)  # pixels of 1 x 3 mm
    assert len(found.slices("WT", "sagittal")) == 10


def test_slices_are_those_of_the_world_whatever_the_order_of_the_files_axes() -> None:
    turn = np.array([[0, 0, -1, 30], [0, -2, 0, 60], [3, 0, 0, 0], [0, 0, 0, 1.0]])
    grid = Grid((36, 38, 40), turn)  # its first axis runs to the head
    one, other = block((5, 5, 5), (15, 15, 15), grid=grid), block((6, 5, 5), (15, 15, 15), grid=grid)
    (row,) = compare_segmentations({"a": one, "b": other}).slices("WT")
    assert (row.index, row.differing, row.dice) == (5, 100, 0)
    assert row.centre[2] == pytest.approx(15)


def test_of_several_a_slice_differs_where_not_all_say_the_same() -> None:
    (row, *_) = compare_segmentations(THREE, reference="truth").slices("WT")
    assert (row.differing, row.dice) == (100, pytest.approx((0.8 + 0.5) / 2))
    (row, *_) = compare_segmentations(THREE).slices("WT", names=["near", "far"])
    assert (row.differing, row.dice) == (60, pytest.approx(0.7))
    with pytest.raises(ComparisonError, match="two or more of: truth, near, far"):
        compare_segmentations(THREE).slices("WT", names=["near", "nobody"])


def test_maps_tell_agreed_missed_false_and_how_many() -> None:
    found = compare_segmentations(THREE, reference="truth")
    pair = found.pair_map("WT", "truth", "near")
    assert np.bincount(pair.ravel())[1:].tolist() == [800, 200, 200]
    assert (pair[5, 5, 5], pair[7, 5, 5], pair[16, 5, 5]) == (2, 1, 3)
    counts = found.count_map("WT")
    assert counts[:, 5, 5].tolist()[4:21] == [0, 1, 1, 2, 2, 2, 3, 3, 3, 3, 3, 2, 2, 1, 1, 1, 0]
    with pytest.raises(ComparisonError, match="Name one of: truth, near, far"):
        found.pair_map("WT", "truth", "nobody")


def test_only_regions_that_all_tell_are_compared_and_that_is_said() -> None:
    whole = block((5, 5, 5), (15, 15, 15), 1, known_regions=("WT",))
    found = compare_segmentations({"truth": TRUTH, "mask": whole})
    assert {one.region for one in found.scores} == {"WT"}
    assert found.scores[0].scores.dice == 1
    assert found.notes == ("TC, ET left out: not marked by mask.",)
    with pytest.raises(ComparisonError, match="Ask for one of: WT"):
        found.slices("ET")
    with pytest.raises(LabelSchemaError, match="no region that all"):
        compare_segmentations({"truth": TRUTH, "mask": block((5, 5, 5), (6, 6, 6), known_regions=())})


def test_without_a_voxel_size_nothing_is_in_millimetres() -> None:
    grid = Grid(GRID.shape, np.eye(4), "voxel")
    one, other = block((5, 5, 5), (15, 15, 15), grid=grid), block((7, 5, 5), (17, 15, 15), grid=grid)
    found = compare_segmentations({"a": one, "b": other})
    assert found.scores[0].scores.dice == pytest.approx(0.8)
    assert found.scores[0].scores.hd95_mm is None
    assert found.slices("WT")[0].area_mm2 is None
    assert (found.volumes[0].ml, found.volumes[0].difference_voxels) == (None, 0)
    assert np.isnan(found.matrix("WT", "hd95_mm")[0, 1])


def test_two_empty_ones_agree_and_have_no_slices() -> None:
    empty = Segmentation(np.zeros(GRID.shape, np.uint8), GRID)
    found = compare_segmentations({"a": empty, "b": empty})
    assert found.scores[0].scores.dice == 1
    assert found["WT"].kappa is None
    assert found.matrix("WT").tolist() == [[1, 1], [1, 1]]
    assert (found.slices("WT"), found.worst_slice("WT")) == ((), None)
    assert [row.difference_percent for row in found.volumes] == [None] * 6


def test_turned_axes_are_compared_and_other_grids_refused_or_resampled() -> None:
    mirror = np.diag([-1.0, -1, 1, 1])
    mirror[:2, 3] = np.array(GRID.shape[:2]) - 1
    turned = Segmentation(np.ascontiguousarray(NEAR.data[::-1, ::-1]), Grid(GRID.shape, GRID.affine @ mirror))
    assert to_ras(turned.grid).target.same_place(GRID)
    assert compare_segmentations({"truth": TRUTH, "near": turned}).scores[0].scores.dice == pytest.approx(0.8)
    fine = Grid((80, 76, 72), affine(spacing=(0.5, 1.0, 1.5), origin=(-10.25, 19.5, 4.25)))
    halved = block((14, 10, 10), (34, 30, 30), grid=fine)
    with pytest.raises(GridMismatchError, match=r"b lies on .* resample=True"):
        compare_segmentations({"a": TRUTH, "b": halved})
    found = compare_segmentations({"a": TRUTH, "b": halved}, resample=True)
    assert found.scores[0].scores.dice == pytest.approx(0.8)
    assert found.notes == ("b resampled onto one grid, to the nearest label: check that it fits.",)
    away = Segmentation(TRUTH.data, Grid(GRID.shape, affine(origin=(500, 0, 0))))
    with pytest.raises(GridMismatchError, match="same examination"):
        compare_segmentations({"a": TRUTH, "b": away}, resample=True)
    with pytest.raises(SpacingUnknownError):
        compare_segmentations({"a": TRUTH, "b": Segmentation(TRUTH.data, Grid(GRID.shape, GRID.affine, "voxel"))})


def test_an_oblique_grid_gives_areas_by_its_own_voxels() -> None:
    grid = Grid(GRID.shape, affine(tilt(), (1.0, 2.0, 3.0)))
    one, other = block((5, 5, 5), (15, 15, 15), grid=grid), block((7, 5, 5), (17, 15, 15), grid=grid)
    row = compare_segmentations({"a": one, "b": other}).worst_slice("WT")
    assert row is not None
    assert row.area_mm2 == pytest.approx(40 * 2)


@pytest.mark.parametrize(
    ("given", "reference", "told"),
    [
        ({}, None, "Two or more"),
        ({"a": TRUTH}, None, "Two or more"),
        ({"a": TRUTH, " ": NEAR}, None, "empty name"),
        ({"a": TRUTH, "b": NEAR}, "c", "Name one of: a, b"),
    ],
)
def test_too_few_nameless_or_an_unknown_reference_are_refused(
    given: dict[str, Segmentation], reference: str | None, told: str
) -> None:
    with pytest.raises(ComparisonError, match=told):
        compare_segmentations(given, reference)


def test_tables_are_written_as_csv_and_json(tmp_path) -> None:
    found = compare_segmentations(THREE, reference="truth")
    text = found.to_csv(tmp_path / "scores.csv")
    assert (tmp_path / "scores.csv").read_text() == text
    lines = text.splitlines()
    assert lines[0] == ",".join(COLUMNS)
    assert len(lines) == 1 + 2 * 6
    assert lines[1].startswith("truth,near,WT,1000,1000,0.8,")
    told = json.loads(json.dumps(found.as_dict()))
    assert told["reference"] == "truth"
    assert told["agreement"][0]["dice"][0][1] == pytest.approx(0.8)
    assert {row["index"] for row in told["slices"]} == set(range(5, 15))
    assert len(told["inputs"]["near"]["labels_sha256"]) == 64
    assert {"dice", "hd95_mm", "kappa"} <= set(told["definitions"])
