import numpy as np
import pytest

from napari_brain_tumor.postprocessing.components import count_parts, relabel_small_enhancing, remove_small_lesions


def classes():
    labels = np.zeros((20, 20, 20), dtype=np.uint8)
    labels[2:6, 2:6, 2:6] = 1
    labels[3:5, 3:5, 3:5] = 3
    labels[15:17, 15:17, 15:17] = 2
    return labels


@pytest.mark.parametrize(
    ("smallest", "voxel", "kept"), [(0, 1, 72), (8, 1, 72), (9, 1, 64), (64, 1, 64), (65, 1, 0), (9, 2, 72)]
)
def test_lesions_below_the_volume_are_removed(smallest, voxel, kept):
    result = remove_small_lesions(classes(), smallest, voxel)
    assert (result > 0).sum() == kept


@pytest.mark.parametrize(("share", "kept"), [(0.0, 72), (0.125, 72), (0.13, 64), (1.0, 64)])
def test_lesions_that_are_small_beside_the_largest_are_removed_whatever_the_voxel_size(share, kept):
    result = remove_small_lesions(classes(), 0.0, 1.0, share)
    assert (result > 0).sum() == kept


def test_classes_of_kept_lesions_and_the_input_stay():
    labels = classes()
    result = remove_small_lesions(labels, 9, 1.0)
    np.testing.assert_array_equal(result[:10], labels[:10])
    np.testing.assert_array_equal(labels, classes())


def test_parts_that_touch_at_a_corner_are_one_lesion():
    labels = np.zeros((4, 4, 4), dtype=np.uint8)
    labels[0, 0, 0] = labels[1, 1, 1] = 1
    assert remove_small_lesions(labels, 2, 1.0).sum() == 2


def test_an_empty_segmentation_stays_empty():
    assert not remove_small_lesions(np.zeros((3, 3, 3), np.uint8), 5, 1.0).any()


@pytest.mark.parametrize(("smallest", "voxel", "enhancing"), [(0, 1, 8), (8, 1, 8), (9, 1, 0), (9, 1.2, 8)])
def test_a_little_enhancement_in_all_becomes_non_enhancing(smallest, voxel, enhancing):
    labels = classes()
    result = relabel_small_enhancing(labels, smallest, voxel)
    assert (result == 3).sum() == enhancing
    np.testing.assert_array_equal(result > 0, labels > 0)
    assert (result == 2).sum() == 16 - enhancing
    np.testing.assert_array_equal(labels, classes())


def test_parts_of_all_classes_together_are_counted():
    assert count_parts(classes()) == 2
    assert count_parts(np.zeros((3, 3, 3), np.uint8)) == 0
