"""Doubtful places of probabilities whose answer is known."""

import numpy as np
import pytest

from napari_brain_tumor.geometry import Grid
from napari_brain_tumor.measure.doubt import doubtful_places, place_in_words
from phantoms import ball

GRID = Grid((40, 40, 30), np.diag([1.0, 1.0, 2.0, 1.0]) + np.array([[0, 0, 0, -5.0]] + [[0] * 4] * 3))
THRESHOLDS = {"WT": 0.5, "ET": 0.3}


def probabilities():
    whole = np.zeros(GRID.shape, np.float16)
    whole[ball(GRID.shape, (10, 12, 8), 5)] = 0.45
    whole[10, 12, 8] = 0.6
    whole[25:29, 25:30, 20:22] = 0.95  # certain
    whole[30:33, 5:9, 10:12] = 0.64
    whole[0, 0, 0] = 0.5  # too small to be worth a look
    enhancing = np.zeros(GRID.shape, np.float16)
    enhancing[20:26, 20:26, 5:15] = 0.2
    return {"WT": whole, "ET": enhancing}


def test_places_are_ranked_by_volume_with_centre_size_region_and_sentence():
    found = doubtful_places(probabilities(), THRESHOLDS, GRID)
    around = int(ball(GRID.shape, (10, 12, 8), 5).sum())
    by_size = sorted([around, 360, 24], reverse=True)
    assert [place.voxels for place in found] == by_size
    blob = next(place for place in found if place.voxels == around)
    assert blob.centre == pytest.approx((5.0, 12.0, 16.0))
    assert blob.ml == pytest.approx(around * 2 / 1000)
    assert (blob.low, blob.high) == pytest.approx((0.45, 0.6), abs=1e-3)
    enhancing = next(place for place in found if place.region == "ET")
    assert enhancing.sentence == "enhancing tumour, 0.72 mL, probability 0.20 to 0.20"


def test_a_place_is_told_by_side_depth_and_height():
    turned = Grid((40, 40, 30), np.array([[-1.0, 0, 0, 20], [0, -1, 0, 30], [0, 0, 2, -10], [0, 0, 0, 1]]))
    middle = turned.world(np.array([[19.5, 19.5, 14.5]]))[0]
    assert place_in_words(middle, turned) == "midline, middle, central"
    assert place_in_words(np.add(middle, (10, 10, 20)), turned) == "right, anterior, superior"
    assert place_in_words(middle - (10, 10, 20), turned) == "left, posterior, inferior"
    assert place_in_words(np.add(middle, (3, -3, 5)), turned) == "midline, middle, central"
    assert place_in_words((3.0, 4.0, 7.0), Grid((10, 10, 9), np.eye(4), "voxel")) == "slice 7"


def test_a_ring_is_as_wide_as_a_ball_of_the_place():
    place = next(place for place in doubtful_places(probabilities(), THRESHOLDS, GRID) if place.region == "ET")
    assert place.radius == pytest.approx((3 * 720 / (4 * np.pi)) ** (1 / 3))
    assert (place.size, place.reason) == ("0.72 mL", "enhancing tumour or not: probability 0.20 to 0.20")


def test_the_centre_lies_in_the_place_where_it_is_thickest():
    whole = np.zeros(GRID.shape, np.float16)
    whole[5:30, 5:7, 4] = 0.5
    whole[5:12, 5:25, 2:9] = 0.5  # an L, whose mean lies nearer its thin leg
    (place,) = doubtful_places({"WT": whole}, THRESHOLDS, GRID)
    x, y, z = np.rint(GRID.voxels(place.centre)).astype(int)
    assert whole[x, y, z] == 0.5
    assert (8 <= x <= 8, 8 <= y <= 21, 4 <= z <= 6) == (True, True, True)


def test_places_that_touch_by_edges_alone_are_apart_and_certain_ones_are_none():
    whole = np.ones(GRID.shape, np.float16)
    whole[5:8, 5:8, 5:8] = 0.5
    whole[8:11, 8:11, 5:8] = 0.4
    found = doubtful_places({"WT": whole}, THRESHOLDS, GRID)
    assert [place.voxels for place in found] == [27, 27]
    assert doubtful_places({"WT": np.ones(GRID.shape, np.float16)}, THRESHOLDS, GRID) == []


def test_zero_is_never_doubtful_and_sizes_without_millimetres_are_voxels():
    grid = Grid(GRID.shape, np.eye(4), "voxel")
    whole = np.zeros(grid.shape, np.float16)
    whole[3:6, 3:6, 3:6] = 0.2
    (place,) = doubtful_places({"WT": whole}, {"WT": 0.1}, grid)
    assert (place.ml, place.voxels) == (None, 27)
    assert place.sentence == "whole tumour, 27 voxels, probability 0.20 to 0.20"
