"""Propagation on bodies whose shape along the volume is known."""

from itertools import islice, pairwise

import numpy as np
import pytest

from napari_brain_tumor.errors import PromptError
from napari_brain_tumor.geometry import Grid
from napari_brain_tumor.interactive import propagation
from napari_brain_tumor.interactive.propagation import propagate, propagate_slices
from napari_brain_tumor.study import Study
from phantoms import affine

SHAPE = (72, 64, 40)


def body(centres, radii, shape=SHAPE):
    """Discs `(x, y)` of a radius on every slice, edema with a core of half and an enhancing one of a quarter of it."""
    labels = np.zeros(shape, np.uint8)
    places = np.indices(shape[:2])
    for z, ((x, y), radius) in enumerate(zip(centres, radii, strict=True)):
        distance = np.hypot(places[0] - x, places[1] - y)
        for value, share in ((1, 1.0), (2, 0.6), (3, 0.3)):
            labels[..., z][distance <= radius * share] = value if radius > 0 else 0
    return labels


def straight(radius=12.0):
    return body([(36, 32)] * SHAPE[2], [radius] * SHAPE[2])


def ball_like():
    radii = [np.sqrt(max(0.0, 16**2 - (z - 20) ** 2)) for z in range(SHAPE[2])]
    return body([(36, 32)] * SHAPE[2], radii)


def slanted():
    return body([(16 + z, 32 + 0.4 * (z - 20)) for z in range(SHAPE[2])], [11.0] * SHAPE[2])


def scanned(labels, axis=2, noise=0.35, spacing=(1, 1, 1)):
    """A study in which classes differ in two sequences, in noise, along the given axis of the file."""
    random = np.random.default_rng(7)
    levels = {"T1c": (0.0, -0.3, -1.5, 2.5), "FLAIR": (0.0, 2.5, 1.5, 1.0)}
    sequences = {}
    for role, values in levels.items():
        image = 5 + np.take(values, labels) + random.normal(0, noise, labels.shape)
        sequences[role] = np.moveaxis(image, 2, axis).astype(np.float32)
    labels = np.moveaxis(labels, 2, axis)
    return Study(sequences, Grid(labels.shape, affine(spacing=spacing)), "phantom"), labels


def only(labels, axis, at):
    found = np.zeros_like(labels)
    np.moveaxis(found, axis, 0)[at] = np.moveaxis(labels, axis, 0)[at]
    return found


def dice(a, b):
    return 2 * np.count_nonzero(a & b) / max(1, np.count_nonzero(a) + np.count_nonzero(b))


@pytest.mark.parametrize("axis", range(3))
@pytest.mark.parametrize("make", [ball_like, slanted])
@pytest.mark.parametrize("stop", [30, 10])
def test_a_slice_follows_what_grows_shrinks_and_moves_along_any_axis(make, axis, stop):
    study, truth = scanned(make(), axis)
    found = propagate(study, only(truth, axis, 20), axis, 20, stop)
    slices, wanted = np.moveaxis(found, axis, 0), np.moveaxis(truth, axis, 0)
    for at in range(min(20, stop), max(20, stop) + 1):
        for value, least in ((1, 0.95), (2, 0.9), (3, 0.8)):
            assert dice(slices[at] >= value, wanted[at] >= value) > least, (at, value)


def test_it_ends_by_itself_where_the_tumour_ends():
    study, truth = scanned(ball_like())
    reached = [at for at, _ in propagate_slices(study, only(truth, 2, 20), 2, 20, 1)]
    assert reached == list(range(21, reached[-1] + 1))
    assert 33 <= reached[-1] <= 37
    areas = [np.count_nonzero(found) for _, found in propagate_slices(study, only(truth, 2, 20), 2, 20, -1)]
    assert all(areas)


def test_it_goes_to_the_end_of_the_volume_and_no_further():
    study, truth = scanned(straight())
    assert [at for at, _ in propagate_slices(study, truth, 2, 35, 1)] == [36, 37, 38, 39]
    assert [at for at, _ in propagate_slices(study, truth, 2, 3, -1)] == [2, 1, 0]
    assert not list(propagate_slices(study, truth, 2, 39, 1))


def test_slices_are_computed_one_by_one_as_they_are_asked_for(monkeypatch):
    study, truth = scanned(straight())
    counted = []
    original = propagation._next_shape
    monkeypatch.setattr(propagation, "_next_shape", lambda *a: counted.append(1) or original(*a))
    slices = propagate_slices(study, truth, 2, 5, 1)
    assert not counted
    list(islice(slices, 2))
    assert len(counted) == 2


def test_labels_before_and_beyond_are_kept_and_those_around_the_shape_are_replaced():
    study, truth = scanned(straight())
    labels = only(truth, 2, 10)
    labels[36, 32, 8] = 3  # before the start
    labels[36, 32, 25] = 3  # beyond the stop
    labels[2, 2, 12] = 2  # far aside
    labels[36, 50, 12] = 3  # wrong, beside the tumour
    labels[36, 52, 12] = 4  # a resection cavity beside it
    before = labels.copy()
    found = propagate(study, labels, 2, 10, 15)
    np.testing.assert_array_equal(labels, before)
    np.testing.assert_array_equal(found[..., :11], before[..., :11])
    np.testing.assert_array_equal(found[..., 16:], before[..., 16:])
    assert [found[2, 2, 12], found[36, 50, 12], found[36, 52, 12]] == [2, 0, 4]
    assert dice(found[..., 12] >= 1, truth[..., 12] >= 1) > 0.95


def test_classes_that_the_slice_does_not_have_do_not_come_and_regions_stay_nested():
    study, truth = scanned(ball_like())
    whole = np.minimum(truth, 1)
    found = propagate(study, only(whole, 2, 20), 2, 20, 28)
    assert set(np.unique(found)) == {0, 1}


def test_where_the_user_saw_more_than_the_image_shows_the_border_stays():
    """A disc of which the intensities show nothing is carried on as it was drawn."""
    random = np.random.default_rng(2)
    grid = Grid(SHAPE, affine())
    study = Study({"FLAIR": random.normal(5, 1, SHAPE).astype(np.float32)}, grid)
    truth = np.minimum(straight(), 1)
    found = propagate(study, only(truth, 2, 20), 2, 20, 23)
    for at in (21, 22, 23):
        assert dice(found[..., at] > 0, truth[..., at] > 0) > 0.85


def test_two_parts_are_followed_together():
    left, right = body([(18, 32)] * 40, [8.0] * 40), body([(54, 32)] * 40, [6.0] * 40)
    study, truth = scanned(np.maximum(left, right))
    found = propagate(study, only(truth, 2, 20), 2, 20, 26)
    for half in (slice(0, 36), slice(36, 72)):
        assert dice(found[half, :, 26] > 0, truth[half, :, 26] > 0) > 0.93


@pytest.mark.parametrize(
    ("start", "stop", "words"), [(0, 5, "no tumour"), (40, 5, "0 to 39"), (-1, 5, "0 to 39"), (20, 40, "0 to 39")]
)
def test_slices_that_are_not_there_or_empty_are_refused(start, stop, words):
    study, truth = scanned(ball_like())
    with pytest.raises(PromptError, match=words):
        propagate(study, truth, 2, start, stop)


def test_anisotropic_voxels_and_one_sequence_do():
    study, truth = scanned(ball_like(), spacing=(1.0, 1.0, 3.0))
    study = study.only(("FLAIR",))
    found = propagate(study, only(np.minimum(truth, 1), 2, 20), 2, 20, 26)
    assert dice(found[..., 26] > 0, truth[..., 26] > 0) > 0.9


def test_the_same_comes_out_every_time():
    study, truth = scanned(slanted())
    first, second = (propagate(study, only(truth, 2, 20), 2, 20, 26) for _ in range(2))
    np.testing.assert_array_equal(first, second)
    assert all(a != b for a, b in pairwise(map(bytes, np.moveaxis(first, 2, 0)[20:26])))
