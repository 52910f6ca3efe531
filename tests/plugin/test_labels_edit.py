import ast
from pathlib import Path

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Labels

import napari_brain_tumor
from napari_brain_tumor.errors import DimensionError, LabelSchemaError
from napari_brain_tumor.plugin.labels_edit import change_voxels, history_of, painted_voxels, replace_labels

SHAPE = (6, 7, 8)


def labels(seed=0):
    return np.random.default_rng(seed).integers(0, 4, SHAPE).astype(np.uint8)


def test_one_undo_takes_the_whole_change_back_and_redo_makes_it_again():
    layer = Labels(labels(0))
    array = layer.data
    changed = replace_labels(layer, labels(1))
    assert changed == np.count_nonzero(labels(0) != labels(1))
    np.testing.assert_array_equal(layer.data, labels(1))
    layer.undo()
    np.testing.assert_array_equal(layer.data, labels(0))
    layer.redo()
    np.testing.assert_array_equal(layer.data, labels(1))
    assert layer.data is array


def test_strokes_before_and_after_it_are_undone_in_their_order():
    layer = Labels(np.zeros(SHAPE, np.uint8))
    layer.brush_size = 1
    layer.paint((3, 3, 3), 1)
    replace_labels(layer, labels(1))
    layer.paint((4, 4, 4), 3 if labels(1)[4, 4, 4] != 3 else 2)
    layer.undo()
    np.testing.assert_array_equal(layer.data, labels(1))
    layer.undo()
    assert np.argwhere(layer.data).tolist() == [[3, 3, 3]]
    layer.undo()
    assert not layer.data.any()


def test_labels_that_are_alike_make_no_step():
    layer = Labels(labels(0))
    layer.brush_size = 1
    layer.paint((3, 3, 3), 9)
    assert replace_labels(layer, layer.data.copy()) == 0
    layer.undo()
    np.testing.assert_array_equal(layer.data, labels(0))


@pytest.mark.parametrize("ndisplay", [2, 3])
def test_a_hidden_layer_is_changed_like_any_other_and_stays_hidden(ndisplay):
    viewer = ViewerModel()
    viewer.add_image(np.zeros(SHAPE))
    layer = viewer.add_labels(np.zeros(SHAPE, np.uint8), visible=False)
    viewer.dims.set_point(0, 4)
    viewer.dims.ndisplay = ndisplay
    replace_labels(layer, labels(1))
    np.testing.assert_array_equal(layer.data, labels(1))
    assert not layer.visible
    layer.undo()
    assert not layer.data.any()


def test_a_slice_and_another_type_of_integers_are_changed_too():
    layer = Labels(np.zeros(SHAPE[1:], np.int32))
    replace_labels(layer, labels(1)[2])
    np.testing.assert_array_equal(layer.data, labels(1)[2])
    assert layer.data.dtype == np.int32


def test_contours_are_drawn_anew():
    layer = Labels(np.zeros(SHAPE, np.uint8))
    layer.contour = 1
    replace_labels(layer, labels(1))
    np.testing.assert_array_equal(layer.data, labels(1))


def test_what_does_not_fit_is_refused_and_changes_nothing():
    layer = Labels(labels(0), name="mine")
    with pytest.raises(DimensionError, match="'mine' has shape"):
        replace_labels(layer, labels(1)[1:])
    with pytest.raises(LabelSchemaError, match="run from 0 to 300"):
        replace_labels(layer, np.where(labels(1) == 1, 300, 0))
    np.testing.assert_array_equal(layer.data, labels(0))


def test_a_layer_of_several_resolutions_is_refused():
    layer = Labels([labels(0), labels(0)[::2, ::2, ::2]], multiscale=True)
    with pytest.raises(DimensionError, match="several resolutions"):
        replace_labels(layer, labels(1))


# Files that may, and why: the one function; views of a layer whose strokes end in its own history, and of drawn shapes;
# layers of prompts, which hold no labels; slices that are shown while they are computed, and taken back.
WRITERS = {"labels_edit.py", "linked_layers.py", "linked_shapes.py", "correct_layers.py", "correct_state.py"}


def test_nothing_else_in_the_window_writes_into_the_data_of_a_layer():
    package = Path(napari_brain_tumor.__file__).parent
    writers = {
        f"{path.name}:{node.lineno}"
        for folder in ("plugin", "widgets")
        for path in (package / folder).rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if _writes_data(node)
    }
    others = {place for place in writers if place.partition(":")[0] not in WRITERS}
    assert writers > others == set(), "change labels with replace_labels, which can be undone"


def _writes_data(node):
    if isinstance(node, ast.Attribute) and node.attr == "data_setitem":
        return True
    targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AugAssign) else []
    return any(_is_data(target.value if isinstance(target, ast.Subscript) else target) for target in targets)


def _is_data(target):
    """Whether it is the data of a layer; shapes, called so, hold no labels."""
    if not isinstance(target, ast.Attribute) or target.attr != "data":
        return False
    return not (isinstance(target.value, ast.Name) and target.value.id == "shapes")


def test_given_voxels_change_in_one_step_and_the_others_stay():
    layer = Labels(labels(0))
    voxels = np.array([(1, 2, 3), (4, 5, 6), (0, 0, 0)])
    wanted = labels(0)
    wanted[tuple(voxels.T)] = (3, 2, wanted[0, 0, 0])
    assert change_voxels(layer, voxels, wanted[tuple(voxels.T)]) == np.count_nonzero(wanted != labels(0))
    np.testing.assert_array_equal(layer.data, wanted)
    layer.undo()
    np.testing.assert_array_equal(layer.data, labels(0))
    assert change_voxels(layer, voxels, layer.data[tuple(voxels.T)]) == 0
    assert len(history_of(layer).done) == 0


def test_given_voxels_of_a_hidden_layer_and_values_that_it_cannot_hold():
    layer = Labels(labels(0), visible=False)
    change_voxels(layer, np.array([(1, 1, 1)]), np.array([9]))
    assert layer.data[1, 1, 1] == 9
    with pytest.raises(LabelSchemaError, match="300"):
        change_voxels(layer, np.array([(1, 1, 1)]), np.array([300]))


def test_parts_of_the_history_stay_the_same_objects_through_undo_and_redo():
    layer = Labels(np.zeros(SHAPE, np.uint8))
    with layer.block_history():
        layer.paint((3, 3, 3), 1)
        layer.paint((3, 4, 4), 2)
    ((first, second),) = history_of(layer).done
    layer.undo()
    ((*undone,),) = history_of(layer).undone
    assert {id(part) for part in undone} == {id(first), id(second)}
    layer.redo()
    ((*redone,),) = history_of(layer).done
    assert [id(part) for part in redone] == [id(first), id(second)]


def test_painted_voxels_are_those_that_a_stroke_changed_with_what_was_painted_last():
    layer = Labels(labels(3))
    before = layer.data.copy()
    layer.brush_size = 3
    with layer.block_history():
        layer.paint((3, 3, 3), 3)
        layer.paint((3, 4, 3), 1)
    replaced = layer.data.copy()
    change_voxels(layer, np.array([(0, 0, 0), (5, 6, 7)]), 3 - before[(0, 5), (0, 6), (0, 7)])
    for step, wanted in zip(history_of(layer).done, (replaced, layer.data), strict=True):
        voxels, values = painted_voxels(step, SHAPE)
        before[tuple(voxels.T)] = values
        np.testing.assert_array_equal(before, wanted)
        assert len(np.unique(voxels, axis=0)) == len(voxels)
