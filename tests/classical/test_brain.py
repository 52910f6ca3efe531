import numpy as np
import pytest
from brain_phantoms import SHAPE, SPACING, brain_and_lesion, head_study

from napari_brain_tumor.classical.brain import brain_in_head
from napari_brain_tumor.classical.parts import (
    depth_in_slices,
    distance_in_slices,
    fill_slices,
    opened_part,
    part_at,
)
from napari_brain_tumor.classical.run import scan_of
from napari_brain_tumor.metrics.overlap import dice
from napari_brain_tumor.preprocessing.intensity import largest_component
from napari_brain_tumor.preprocessing.pipeline import PreprocessingSpec, prepare
from napari_brain_tumor.study import ROLES


@pytest.mark.parametrize("roles", [("T1", "FLAIR"), ("FLAIR",), ("T1",)])
def test_the_brain_is_cut_out_of_a_head(roles):
    _, lesion = brain_and_lesion()
    study, brain = head_study(lesion)
    prepared = prepare(study.only(roles), ROLES, PreprocessingSpec(plane_spacing_mm=2.0))
    found = np.zeros(SHAPE, dtype=bool)
    found[prepared.box.slices] = scan_of(study.only(roles), prepared).brain
    assert dice(brain, found) > 0.9
    assert (found & ~brain).sum() < 0.01 * brain.sum()


def test_a_stripped_brain_is_taken_as_it_is():
    _, lesion = brain_and_lesion()
    study, brain = head_study(lesion)
    stripped = {role: np.where(brain.transpose(2, 1, 0), array, 0) for role, array in study.sequences.items()}
    study = type(study)(stripped, study.grid)
    prepared = prepare(study, ROLES, PreprocessingSpec(plane_spacing_mm=2.0))
    np.testing.assert_array_equal(scan_of(study, prepared).brain, brain[prepared.box.slices])


def test_a_head_without_a_brain_is_taken_whole():
    head = np.zeros((3, 20, 20), dtype=bool)
    head[:, 4:16, 4:16] = True
    flat = np.zeros(head.shape, dtype=np.float32)
    np.testing.assert_array_equal(brain_in_head({"T1": flat}, head, (5, 1, 1)), head)
    assert not brain_in_head({"T1": flat}, np.zeros_like(head), (5, 1, 1)).any()


def test_depth_is_in_millimetres_within_slices():
    mask = np.zeros((2, 7, 9), dtype=bool)
    mask[0, 1:6, 1:8] = True
    depth = depth_in_slices(mask, (5.0, 1.0, 2.0))
    assert depth[0, 3, 4] == 3.0
    assert depth[0, 3, 1] == 2.0
    assert not depth[1].any()
    assert depth_in_slices(np.ones((1, 3, 3), dtype=bool), SPACING)[0, 1, 1] == 4.0  # the border counts as outside


def test_distance_is_in_millimetres_within_slices_and_knows_no_border():
    mask = np.zeros((2, 5, 6), dtype=bool)
    mask[0, 2, 1] = True
    distance = distance_in_slices(mask, (5.0, 1.0, 2.0))
    assert (distance[0, 2, 5], distance[0, 0, 1], distance[0, 2, 1]) == (8.0, 2.0, 0.0)
    assert np.isinf(distance[1]).all()


def two_squares(bridge):
    mask = np.zeros((3, 20, 40), dtype=bool)
    mask[1, 4:16, 3:15] = mask[1, 4:16, 25:37] = True
    mask[1, 9 : 9 + bridge, 15:25] = True
    return mask


def test_a_narrow_bridge_is_cut_and_a_broad_one_is_not():
    left = opened_part(two_squares(2), (1, 10, 8), (1, 1, 1), 2.0)
    assert left[1, 4:16, 3:15].sum() > 130
    assert not left[:, :, 20:].any()
    assert opened_part(two_squares(6), (1, 10, 8), (1, 1, 1), 2.0)[1, 10, 30]


def test_a_part_that_is_nowhere_wide_is_kept():
    line = np.zeros((1, 5, 30), dtype=bool)
    line[0, 2] = True
    np.testing.assert_array_equal(opened_part(line, (0, 2, 3), (1, 1, 1), 2.0), line)


def test_parts_are_those_of_the_voxel_and_the_largest_one():
    mask = two_squares(0)
    mask[1, 4:16, 36] = False
    assert part_at(mask, (1, 5, 30)).sum() == 132
    assert largest_component(mask).sum() == 144
    assert not part_at(mask, (0, 0, 0)).any()
    assert not opened_part(mask, (0, 0, 0), (1, 1, 1), 2.0).any()


def test_holes_are_filled_within_slices_alone():
    mask = np.ones((3, 5, 5), dtype=bool)
    mask[1, 2, 2] = False
    mask[2, 2, 2:] = False
    assert fill_slices(mask)[1, 2, 2]
    assert not fill_slices(mask)[2, 2, 3]
