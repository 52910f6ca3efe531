import threading
from dataclasses import replace

import numpy as np
import pytest
from training_cases import prepared, recipe

from napari_brain_tumor.errors import TrainingError
from napari_brain_tumor_training.config import DataSource
from napari_brain_tumor_training.lesion_mixing import Window, can_lend, with_lesion_of
from napari_brain_tumor_training.sampling import SliceSampler, VolumeSampler, draw_ahead, sampler_for

SOURCE = DataSource(dataset="set", kind="decathlon", path="set", share=1)


def random(seed=0):
    return np.random.default_rng(seed)


def test_sub_volumes_are_cut_from_the_case_with_their_labels():
    case = prepared()
    batch = VolumeSampler([case], [SOURCE], (4, 8, 6), 0.5).draw(5, random())
    assert batch.images.shape == (5, 4, 4, 8, 6)
    assert batch.targets.shape == (5, 3, 4, 8, 6)
    volume = case.channels.swapaxes(0, 1).astype(np.float32)
    for image, targets in zip(batch.images, batch.targets, strict=True):
        (z, y, x) = next(
            place
            for place in np.ndindex(9, 17, 15)
            if np.array_equal(
                volume[:, place[0] : place[0] + 4, place[1] : place[1] + 8, place[2] : place[2] + 6], image
            )
        )
        np.testing.assert_array_equal(targets[2], case.classes[z : z + 4, y : y + 8, x : x + 6] == 3)


def test_sub_volumes_hold_tumour_as_often_as_asked_and_normal_tissue_too():
    case = prepared(shape=(40, 40, 40))
    always = VolumeSampler([case], [SOURCE], (6, 6, 6), 1.0).draw(40, random())
    assert always.targets[:, 0].any(axis=(1, 2, 3)).all()
    never = VolumeSampler([case], [SOURCE], (6, 6, 6), 0.0).draw(40, random())
    assert 0.3 < never.targets[:, 0].any(axis=(1, 2, 3)).mean() < 0.9 or not never.targets[:, 0].all()
    assert (~never.targets[:, 0].any(axis=(1, 2, 3))).any()


def test_volumes_smaller_than_the_window_are_filled_with_zeros():
    batch = VolumeSampler([prepared(shape=(4, 24, 20))], [SOURCE], (8, 16, 16), 1.0).draw(2, random())
    assert batch.images.shape == (2, 4, 8, 16, 16)
    assert (batch.images != 0).any(axis=(1, 3, 4)).sum(axis=1).tolist() == [4, 4]


def test_slices_and_volumes_are_chosen_by_the_dimensions_of_the_model():
    case = prepared()
    assert isinstance(sampler_for(recipe(2), [case]), SliceSampler)
    assert not isinstance(sampler_for(recipe(3), [case]), SliceSampler)


def test_of_a_case_with_few_labelled_slices_only_those_are_drawn():
    where = np.zeros((12, 24, 20), bool)
    where[[2, 5]] = True
    case = prepared(where=where)
    batch = SliceSampler([case], [SOURCE], (16, 16), 0.5).draw(30, random())
    assert batch.where.shape == (30, 1, 16, 16)
    assert batch.where.any(axis=(1, 2, 3)).all()
    volumes = VolumeSampler([case], [SOURCE], (4, 16, 16), 0.5).draw(30, random())
    labelled = volumes.where.any(axis=(1, 3, 4)).sum(axis=1)
    assert set(labelled.tolist()) <= {1, 2}


def test_windows_lie_around_the_voxels_that_are_known():
    where = np.zeros((12, 24, 20), bool)
    where[4, 20, 3] = True
    batch = SliceSampler([prepared(where=where)], [SOURCE], (5, 5), 1.0).draw(20, random())
    assert (batch.where.sum(axis=(1, 2, 3)) == 1).all()


def test_whole_and_partial_cases_share_a_batch():
    where = np.zeros((12, 24, 20), bool)
    where[5] = True
    cases = [prepared("a"), prepared("b", where=where, patient="b")]
    batch = VolumeSampler(cases, [SOURCE], (4, 16, 16), 0.5).draw(20, random())
    share = batch.where.mean(axis=(1, 2, 3, 4))
    assert set(np.round(share, 2).tolist()) == {0.25, 1.0}


def test_a_case_of_which_nothing_is_known_is_refused():
    with pytest.raises(TrainingError, match="no voxel of the truth is known"):
        SliceSampler([prepared(where=np.zeros((12, 24, 20), bool))], [SOURCE], (8, 8), 0.5)


def window(value, targets, present=(True, True), where=None):
    image = np.full((2, *targets.shape[1:]), value, np.float32) * np.array(present).reshape(-1, 1, 1)
    return Window(image, targets, np.array(present), np.ones(3, bool), where)


def disc(radius=6, side=32):
    y, x = np.mgrid[:side, :side] - side // 2
    return np.stack([(x**2 + y**2 <= r**2) for r in (radius, radius - 2, radius - 4)]).astype(np.float32)


def test_a_pasted_lesion_comes_with_its_labels_and_leaves_the_rest():
    lender, borrower = window(5, disc()), window(1, np.zeros((3, 32, 32), np.float32))
    levels = []
    for seed in range(20):
        mixed = with_lesion_of(lender, borrower, random(seed))
        pasted = mixed.image[0] == 5
        assert pasted.any()
        assert (mixed.image[1] == mixed.image[0]).all()
        np.testing.assert_array_equal(mixed.targets[:, pasted], lender.targets[:, pasted])
        assert not mixed.targets[:, ~pasted].any()
        levels.append(int(pasted.sum()))
    lesion = int(lender.targets[0].sum())
    assert min(levels) < lesion < max(levels)


def test_a_lesion_is_pasted_into_tissue_only_and_not_into_absent_sequences():
    borrower = window(1, np.zeros((3, 32, 32), np.float32), present=(True, False))
    borrower.image[:, :, 16:] = 0
    mixed = with_lesion_of(window(5, disc()), borrower, random())
    assert (mixed.image[0] == 5).any()
    assert not mixed.image[:, :, 16:].any()
    assert not mixed.targets[:, :, 16:].any()
    assert not mixed.image[1].any()


def test_what_was_pasted_is_known():
    borrower = window(1, np.zeros((3, 32, 32), np.float32), where=np.zeros((32, 32), bool))
    mixed = with_lesion_of(window(5, disc()), borrower, random())
    np.testing.assert_array_equal(mixed.where, mixed.image[0] == 5)


def test_only_another_patient_with_every_role_and_region_lends():
    borrower = prepared("a", roles=(True, False, True, True), known=(True, False, False))
    assert can_lend(prepared("b"), borrower)
    assert not can_lend(prepared("b", patient="a"), borrower)
    assert not can_lend(prepared("b", roles=(True, True, True, False)), borrower)
    assert can_lend(prepared("b", known=(True, False, False)), borrower)
    assert not can_lend(prepared("b", known=(True, False, False)), prepared("a"))


def test_the_sampler_mixes_lesions_as_often_as_asked():
    healthy = prepared("healthy")
    healthy.classes[:] = 0
    sick = prepared("sick", seed=1)
    sampler = SliceSampler([healthy, sick], [SOURCE], (20, 20), 0.0, lesion_mixing=1.0)
    with_tumour = sampler.draw(60, random()).targets[:, 0].any(axis=(1, 2)).mean()
    without = SliceSampler([healthy, sick], [SOURCE], (20, 20), 0.0).draw(60, random()).targets[:, 0].any(axis=(1, 2))
    assert with_tumour > without.mean() + 0.2


def test_drawing_ahead_keeps_the_order_and_ends_with_its_user():
    drawn = []

    def draw(number):
        drawn.append((number, threading.current_thread().name))
        return number * number

    assert list(draw_ahead(draw, range(7))) == [n * n for n in range(7)]
    assert all(name.startswith("sampler") for _, name in drawn)
    drawn.clear()
    some = draw_ahead(draw, range(1000))
    assert next(some) == 0
    some.close()
    assert len(drawn) <= 4


def test_windows_with_neighbours_hold_the_slices_beside_them():
    case = prepared()
    batch = SliceSampler([case], [SOURCE], (8, 6), 0.5, neighbours=1).draw(12, random())
    assert batch.images.shape == (12, 12, 8, 6)
    plain = SliceSampler([case], [SOURCE], (8, 6), 0.5).draw(12, random())
    np.testing.assert_array_equal(batch.images[:, 4:8], plain.images)
    np.testing.assert_array_equal(batch.targets, plain.targets)
    depth = len(case.channels)
    for image in batch.images:
        z, y, x = next(
            (z, y, x)
            for z, y, x in np.ndindex(depth, case.channels.shape[2] - 7, case.channels.shape[3] - 5)
            if np.array_equal(case.channels[z, :, y : y + 8, x : x + 6].astype(np.float32), image[4:8])
        )
        for place, beside in ((slice(0, 4), z - 1), (slice(8, 12), z + 1)):
            inside = 0 <= beside < depth
            expected = case.channels[beside, :, y : y + 8, x : x + 6] if inside else np.zeros((4, 8, 6))
            np.testing.assert_array_equal(image[place], expected)


def test_a_teacher_is_mixed_with_the_truth_and_stands_in_where_that_does_not_tell():
    case = prepared()
    teacher = np.full((12, 3, 24, 20), 0.25, np.float16)
    known = np.array([True, True, False])
    taught = replace(case, teacher=teacher, known=known)
    batch = SliceSampler([taught], [SOURCE], (24, 20), 1.0, distillation=0.4).draw(6, random())
    plain = SliceSampler([case], [SOURCE], (24, 20), 1.0).draw(6, random())
    np.testing.assert_array_equal(batch.images, plain.images)
    np.testing.assert_allclose(batch.targets[:, :2], 0.6 * plain.targets[:, :2] + 0.1, atol=1e-6)
    np.testing.assert_allclose(batch.targets[:, 2], 0.25)
    assert batch.known.all()
    whole = VolumeSampler([taught], [SOURCE], (12, 24, 20), 1.0, distillation=1.0).draw(1, random())
    np.testing.assert_allclose(whole.targets, 0.25)
