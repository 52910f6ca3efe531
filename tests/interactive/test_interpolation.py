"""Shape-based interpolation against bodies whose slices are known."""

import itertools

import numpy as np
import pytest

from napari_brain_tumor.errors import PromptError
from napari_brain_tumor.geometry import Grid
from napari_brain_tumor.interactive.interpolation import interpolate_slices, signed_distance
from napari_brain_tumor.labels import REGIONS
from phantoms import affine, ball


def grid_of(shape, spacing=(1.0, 1.0, 1.0)):
    return Grid(shape, affine(spacing=spacing))


def dice(a, b):
    return 2 * np.count_nonzero(a & b) / (np.count_nonzero(a) + np.count_nonzero(b))


def kept(labels, axis, slices):
    """Labels on the given slices alone."""
    found = np.zeros_like(labels)
    index = [slice(None)] * 3
    index[axis] = list(slices)
    found[tuple(index)] = labels[tuple(index)]
    return found


def ellipsoid(shape, centre, radii):
    squares = [((np.arange(n) - c) / r) ** 2 for n, c, r in zip(shape, centre, radii, strict=True)]
    return sum(np.meshgrid(*squares, indexing="ij", sparse=True)) <= 1


def nested(shape, centre, radii):
    """Edema, within it non-enhancing core, within it enhancing core, as ellipsoids of one centre."""
    return sum(
        (ellipsoid(shape, centre, np.multiply(radii, f)).astype(np.uint8) for f in (1, 0.7, 0.4)), start=np.uint8(0)
    )


@pytest.mark.parametrize("axis", range(3))
def test_a_ball_comes_back_from_every_fifth_slice_with_its_nested_regions(axis):
    truth = nested((61, 60, 59), (30, 30, 29), (22, 22, 22))
    slices = range(5, 56, 5)
    found = interpolate_slices(kept(truth, axis, slices), grid_of(truth.shape), axis, slices)
    assert dice(found > 0, truth > 0) > 0.98
    assert dice(found > 1, truth > 1) > 0.97
    assert dice(found == 3, truth == 3) > 0.95


def test_an_ellipsoid_on_anisotropic_voxels_comes_back():
    shape, spacing = (70, 60, 40), (0.8, 1.1, 3.0)
    truth = nested(shape, (33, 30, 20), (22, 15, 16))
    slices = range(2, 40, 5)
    found = interpolate_slices(kept(truth, 2, slices), grid_of(shape, spacing), 2, slices)
    assert dice(found > 0, truth > 0) > 0.97
    assert dice(found == 3, truth == 3) > 0.9


def test_between_two_slices_the_radius_of_a_cone_grows_evenly():
    shape = (60, 60, 21)
    labels = np.zeros(shape, np.uint8)
    labels[..., 0] = ball(shape[:2], (30, 30), 6)
    labels[..., 20] = ball(shape[:2], (30, 30), 26)
    found = interpolate_slices(labels, grid_of(shape), 2, (0, 20))
    radii = np.sqrt(found.astype(bool).sum((0, 1)) / np.pi)
    np.testing.assert_allclose(radii, np.linspace(6, 26, 21), atol=0.4)


def test_a_slanted_rod_that_moves_further_than_its_width_keeps_its_width():
    shape = (80, 40, 21)
    truth = np.zeros(shape, np.uint8)
    for z in range(21):
        truth[..., z] = ball(shape[:2], (12 + 2.5 * z, 20), 6)
    slices = (0, 10, 20)
    found = interpolate_slices(kept(truth, 2, slices), grid_of(shape), 2, slices)
    assert dice(found > 0, truth > 0) > 0.95
    np.testing.assert_allclose(found.astype(bool).sum((0, 1)), truth.sum((0, 1)), rtol=0.12)


def test_a_part_that_is_absent_on_one_slice_tapers_instead_of_vanishing_at_once():
    shape = (60, 40, 12)
    labels = np.zeros(shape, np.uint8)
    labels[..., 0] = ball(shape[:2], (15, 20), 8)
    labels[..., 0] |= ball(shape[:2], (45, 20), 4)  # beside a larger one that goes on
    labels[..., 11] = ball(shape[:2], (15, 20), 8)
    found = interpolate_slices(labels, grid_of(shape), 2, (0, 11)) > 0
    small = found[30:].sum((0, 1))
    assert (np.diff(small) <= 0).all()
    assert small[5] > 0.15 * small[0]
    assert small[10] < 5
    assert small[11] == 0
    assert (found[:30].sum((0, 1)) == found[:30, :, 0].sum()).all()


def test_one_part_splits_in_two_somewhere_between():
    shape = (60, 40, 11)
    labels = np.zeros(shape, np.uint8)
    labels[..., 0] = ball(shape[:2], (30, 20), 14)
    labels[..., 10] = ball(shape[:2], (20, 20), 7) | ball(shape[:2], (40, 20), 7)
    found = interpolate_slices(labels, grid_of(shape), 2, (0, 10)) > 0
    areas = found.sum((0, 1))
    assert (np.abs(np.diff(areas.astype(int))) < 0.2 * areas[0]).all()
    assert found[30, 20, 2]
    assert not found[30, 20, 9]
    np.testing.assert_array_equal(found, found[::-1][np.r_[59, 0:59]])  # as symmetric as what it came from


def test_far_apart_parts_are_not_taken_for_one():
    shape = (90, 30, 5)
    labels = np.zeros(shape, np.uint8)
    labels[..., 0] = ball(shape[:2], (10, 15), 3)
    labels[..., 4] = ball(shape[:2], (80, 15), 3)
    found = interpolate_slices(labels, grid_of(shape), 2, (0, 4)) > 0
    assert not found[30:60].any()
    assert found[:30, :, 1].any()
    assert found[60:, :, 3].any()


@pytest.mark.parametrize("axis", range(3))
def test_only_slices_strictly_between_change_and_the_given_ones_are_exact(axis):
    random = np.random.default_rng(3)
    labels = random.integers(0, 4, (20, 18, 16)).astype(np.uint8)
    before = labels.copy()
    found = np.moveaxis(interpolate_slices(labels, grid_of(labels.shape), axis, (11, 4, 7, 4)), axis, 0)
    np.testing.assert_array_equal(labels, before)
    untouched = [0, 1, 2, 3, 4, 7, *range(11, labels.shape[axis])]
    np.testing.assert_array_equal(found[untouched], np.moveaxis(before, axis, 0)[untouched])
    assert (found[5] != np.moveaxis(before, axis, 0)[5]).any()


def test_what_fills_a_slice_to_its_edge_stays_full():
    labels = np.full((9, 8, 7), 1, np.uint8)
    labels[..., 1:6] = 0
    found = interpolate_slices(labels, grid_of(labels.shape), 2, (0, 6))
    assert (found == 1).all()


def test_three_slices_bend_and_never_overshoot():
    shape = (60, 60, 31)
    labels = np.zeros(shape, np.uint8)
    for z, radius in ((0, 10), (10, 24), (20, 24), (30, 10)):
        labels[..., z] = ball(shape[:2], (30, 30), radius)
    found = interpolate_slices(labels, grid_of(shape), 2, (0, 10, 20, 30)) > 0
    areas = found.sum((0, 1)).astype(int)
    assert areas.max() == areas[10]
    line = np.pi * (10 + 14 * 0.5) ** 2
    assert areas[5] > 1.04 * line
    assert (np.diff(areas[:11]) >= 0).all()
    np.testing.assert_array_equal(found, found[..., ::-1])


def test_resection_cavities_between_stay_where_no_tumour_comes():
    labels = np.zeros((30, 30, 5), np.uint8)
    labels[..., 0] = labels[..., 4] = ball((30, 30), (15, 15), 6)
    labels[15, 15, 2] = labels[2, 2, 2] = 4
    found = interpolate_slices(labels, grid_of(labels.shape), 2, (0, 4))
    assert (found[15, 15, 2], found[2, 2, 2]) == (1, 4)


@pytest.mark.parametrize(("slices", "words"), [((3,), "two different"), ((3, 3), "two different"), ((0, 9), "0 to 4")])
def test_slices_that_leave_nothing_between_or_are_not_there_are_refused(slices, words):
    with pytest.raises(PromptError, match=words):
        interpolate_slices(np.zeros((4, 4, 5), np.uint8), grid_of((4, 4, 5)), 2, slices)


def test_regions_are_nested_whatever_the_given_slices_hold():
    random = np.random.default_rng(5)
    labels = np.zeros((24, 24, 13), np.uint8)
    for z, value in itertools.product((0, 6, 12), (1, 2, 3)):
        labels[..., z][ball((24, 24), random.integers(4, 20, 2), 6)] = value
    found = interpolate_slices(labels, grid_of(labels.shape), 2, (0, 6, 12))
    assert set(np.unique(found)) <= {0, 1, 2, 3}


def test_distances_are_in_units_of_the_spacing_and_change_sign_between_voxels():
    mask = np.zeros((9, 5), bool)
    mask[3:6] = True
    np.testing.assert_allclose(signed_distance(mask, (2.0, 2.0))[:, 2], [-5, -3, -1, 1, 3, 1, -1, -3, -5])


@pytest.mark.parametrize(("region", "classes"), [("WT", {0, 1}), ("TC", {1, 2}), ("ET", {2, 3})])
def test_one_region_follows_its_shapes_and_the_others_stay(region, classes):
    grid = Grid((40, 40, 9), np.diag([1.0, 1.0, 1.0, 1.0]))
    x, y, _ = np.ogrid[:40, :40, :9]
    away = np.hypot(x - 20, y - 20) + np.zeros((1, 1, 9))
    labels = np.select([away <= 4, away <= 8, away <= 14], [3, 2, 1], 0).astype(np.uint8)
    values = REGIONS[region]
    wide = away <= {"WT": 17, "TC": 11, "ET": 6}[region]
    for key in (0, 8):  # drawn wider there
        plane = labels[..., key]
        plane[wide[..., key] & ~np.isin(plane, values)] = values[0]
    found = interpolate_slices(labels, grid, 2, (0, 8), region)
    changed = found != labels
    assert set(np.unique(labels[changed])) | set(np.unique(found[changed])) == classes
    np.testing.assert_array_equal(np.isin(found, values), wide)
    np.testing.assert_array_equal(found[..., [0, 8]], labels[..., [0, 8]])
    larger = labels.copy()
    larger[..., 1:8] = np.where(away[..., 1:8] <= 19, 3, 0)
    np.testing.assert_array_equal(np.isin(interpolate_slices(larger, grid, 2, (0, 8), region), values), wide)
