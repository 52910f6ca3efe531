import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Labels

from napari_brain_tumor.autosave.mirror import Mirror
from napari_brain_tumor.errors import GridMismatchError, LabelSchemaError
from napari_brain_tumor.geometry import Grid
from napari_brain_tumor.plugin import to_layers, viewers
from napari_brain_tumor.plugin.label_watch import LabelWatch, automatic_labels, can_be_watched, volume_of
from napari_brain_tumor.plugin.layers import KEY
from napari_brain_tumor.study import Segmentation

SHAPE = (20, 24, 12)
GRID = Grid(SHAPE, np.diag([-1.0, -1.0, 2.0, 1.0]))


def segmentation(value=1, stop=10, **named):
    data = np.zeros(SHAPE, np.uint8)
    data[4:stop, 4:10, 3:8] = value
    return to_layers.segmentation_to_layer(Segmentation(data, GRID, "case", provenance={"method": value}, **named))


def add(viewer, data):
    return viewers.add_layers(viewer, [data])[0]


@pytest.fixture
def viewer():
    return ViewerModel()


@pytest.fixture
def layer(viewer):
    made = add(viewer, segmentation())
    made.brush_size = 3
    return made


@pytest.fixture
def calls():
    return []


@pytest.fixture
def watch(layer, calls):
    return LabelWatch(layer, Mirror(volume_of(layer), automatic_labels(layer)), lambda: calls.append(1))


def assert_in_step(watch):
    np.testing.assert_array_equal(watch.mirror.labels, volume_of(watch.layer))


def by_hand(watch):
    return watch.mirror.labels != watch.mirror.automatic


def drag(layer, points, value):
    with layer.block_history():
        for point in points:
            layer.paint(point, value)


@pytest.mark.parametrize("dimensions", [2, 3])
def test_strokes_fills_polygons_and_single_changes_are_followed_at_once(watch, layer, dimensions):
    layer.n_edit_dimensions = dimensions
    layer.paint((5, 10, 10), 3)
    assert_in_step(watch)
    drag(layer, [(5, 12, 12), (5, 12, 14), (6, 13, 15)], 2)
    assert_in_step(watch)
    layer.fill((5, 0, 0), 4)
    assert_in_step(watch)
    layer.data_setitem((np.array([0, 1]), np.array([2, 3]), np.array([4, 5])), np.array([2, 3], np.uint8))
    assert_in_step(watch)
    layer.data_setitem((np.array([0]), np.array([0]), np.array([0])), 1)
    assert_in_step(watch)
    if dimensions == 2:
        layer.paint_polygon([(5, 1, 1), (5, 1, 8), (5, 8, 8)], 3)
        assert_in_step(watch)
    for _ in range(3):
        layer.undo()
        assert_in_step(watch)
    layer.redo()
    assert_in_step(watch)


def test_a_new_array_is_followed_at_once_even_of_another_shape(watch, layer):
    layer.data = np.full_like(layer.data, 2)
    assert_in_step(watch)
    layer.data = np.ones((3, 4, 5), np.uint8)
    assert_in_step(watch)


def test_writing_into_the_array_asks_for_a_look(watch, layer, calls):
    layer.data[1, 2, 3] = 4
    layer.refresh()
    assert calls
    watch.look()
    assert_in_step(watch)


def test_undo_on_a_hidden_layer_is_seen_by_asking(watch, layer):
    layer.paint((5, 10, 10), 3)
    layer.visible = False
    layer.undo()
    watch.look_if_undone()
    assert_in_step(watch)


def test_a_change_of_slice_takes_no_look(watch, viewer, monkeypatch):
    monkeypatch.setattr(watch, "look", lambda: pytest.fail("two arrays were compared for a change of slice"))
    viewer.dims.set_point(0, 3)


def test_a_change_of_slice_asks_for_no_look_where_the_slice_is_known(viewer, layer, calls):
    def sight():
        return tuple(viewer.dims.point), viewer.dims.ndisplay

    watch = LabelWatch(layer, Mirror(volume_of(layer)), lambda: calls.append(1), sight)
    viewer.dims.set_point(0, 3)
    assert not calls
    layer.data[1, 2, 3] = 4
    layer.refresh()
    assert calls
    watch.stop()


def test_a_history_of_another_napari_asks_for_a_look(watch, layer, calls):
    layer.events.paint(value=[("something", "else")])
    assert calls
    assert_in_step(watch)


def test_a_stopped_watch_follows_no_more(watch, layer):
    watch.stop()
    before = watch.mirror.labels.copy()
    layer.paint((5, 10, 10), 3)
    np.testing.assert_array_equal(watch.mirror.labels, before)


def test_a_slice_is_followed_as_a_volume_of_one(viewer):
    layer = viewer.add_labels(np.zeros((20, 30), np.int32))
    watch = LabelWatch(layer, Mirror(volume_of(layer)))
    layer.brush_size = 4
    layer.paint((10, 10), 2)
    layer.data_setitem((np.array([1]), np.array([2])), 7)
    assert watch.mirror.labels.shape == (1, 20, 30)
    assert_in_step(watch)


@pytest.mark.parametrize(
    ("data", "possible"),
    [
        (np.zeros((4, 5), np.uint8), True),
        (np.zeros((4, 5, 6), np.int64), True),
        (np.zeros((2, 4, 5, 6), np.uint8), False),
        ([np.zeros((8, 8), np.uint8), np.zeros((4, 4), np.uint8)], False),
    ],
)
def test_only_single_volumes_and_slices_in_memory_can_be_watched(data, possible):
    assert can_be_watched(Labels(data)) is possible


# Applying results -----------------------------------------------------------------------------------------------------


def test_a_result_takes_the_place_of_the_one_before_in_one_step(watch, layer):
    first = layer.data.copy()
    applied = watch.apply(segmentation(2, stop=14))
    np.testing.assert_array_equal(layer.data, segmentation(2, stop=14)[0])
    assert applied.preserved == 0
    assert applied.changed == np.count_nonzero(first != layer.data)
    assert layer.metadata[KEY].provenance == {"method": 2}
    layer.undo()
    np.testing.assert_array_equal(layer.data, first)
    assert_in_step(watch)


def test_a_result_never_destroys_what_a_hand_painted_or_erased(watch, layer):
    layer.brush_size = 1
    layer.paint((0, 0, 0), 3)
    layer.data_setitem(np.nonzero(layer.data[:5] == 1), 0)
    erased = (segmentation()[0] == 1) & (layer.data == 0)
    applied = watch.apply(segmentation(2, stop=14))
    expected = segmentation(2, stop=14)[0]
    expected[0, 0, 0] = 3
    expected[erased] = 0
    np.testing.assert_array_equal(layer.data, expected)
    assert applied.preserved == 1 + np.count_nonzero(erased)
    layer.undo()
    assert layer.data[0, 0, 0] == 3
    assert not layer.data[erased].any()


def test_everything_is_replaced_on_request(watch, layer):
    layer.paint((0, 3, 3), 3)
    applied = watch.apply(segmentation(2), keep_edits=False)
    np.testing.assert_array_equal(layer.data, segmentation(2)[0])
    assert applied.preserved == 0
    assert not by_hand(watch).any()


def test_edits_survive_several_results_and_undo_of_them(watch, layer):
    layer.brush_size = 1
    layer.paint((0, 0, 0), 3)
    watch.apply(segmentation(2))
    watch.apply(segmentation(3, stop=12))
    assert layer.data[0, 0, 0] == 3
    layer.undo()  # the second result
    assert np.argwhere(by_hand(watch)).tolist() == [[0, 0, 0]]
    assert layer.metadata[KEY].provenance == {"method": 2}
    layer.undo()  # the first result
    assert np.argwhere(by_hand(watch)).tolist() == [[0, 0, 0]]
    assert layer.metadata[KEY].provenance == {"method": 1}
    layer.undo()  # the stroke
    assert not by_hand(watch).any()
    for _ in range(3):
        layer.redo()
    assert np.argwhere(by_hand(watch)).tolist() == [[0, 0, 0]]
    assert layer.metadata[KEY].provenance == {"method": 3}
    watch.apply(segmentation(1, stop=13))
    expected = segmentation(1, stop=13)[0]
    expected[0, 0, 0] = 3
    np.testing.assert_array_equal(layer.data, expected)


def test_a_result_is_applied_to_a_hidden_layer(watch, layer):
    layer.visible = False
    watch.apply(segmentation(2))
    np.testing.assert_array_equal(layer.data, segmentation(2)[0])
    assert not layer.visible


def test_labels_painted_before_anybody_watched_count_as_a_hands_work(viewer):
    layer = add(viewer, segmentation())
    layer.brush_size = 1
    layer.paint((0, 0, 0), 3)
    assert not automatic_labels(layer).any()
    scratch = viewer.add_labels(segmentation()[0])
    assert not automatic_labels(scratch).any()


def test_labels_of_ours_that_nobody_touched_are_automatic(layer):
    np.testing.assert_array_equal(automatic_labels(layer), layer.data)


def test_a_result_on_another_grid_or_over_labels_of_unknown_meaning_is_refused(viewer, watch, layer):
    moved = Grid(SHAPE, GRID.affine @ np.array([[1, 0, 0, 3], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1.0]]))
    other = to_layers.segmentation_to_layer(Segmentation(np.ones(SHAPE, np.uint8), moved, "other"))
    before = layer.data.copy()
    with pytest.raises(GridMismatchError, match="Add it as a new layer"):
        watch.apply(other)
    np.testing.assert_array_equal(layer.data, before)
    raw = add(viewer, to_layers.raw_labels_to_layer("raw", np.ones(SHAPE, np.uint8), GRID))
    with pytest.raises(LabelSchemaError, match="not known"):
        LabelWatch(raw, Mirror(volume_of(raw))).apply(segmentation())
