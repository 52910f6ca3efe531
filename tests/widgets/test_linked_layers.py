"""Layers that are shown in several viewers: one array, one history, settings in step."""

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Labels
from qtpy.QtCore import QObject, Signal
from views_cases import fill

from napari_brain_tumor.widgets.linked_layers import LinkedLayers
from napari_brain_tumor.widgets.navigation import PLANES

pytestmark = pytest.mark.gui


@pytest.fixture
def shown(qtbot):
    """A viewer with a case, its labels, two other viewers (axial and coronal), and the twins."""
    viewer, others = ViewerModel(), [ViewerModel(), ViewerModel()]
    labels = fill(viewer)
    twins = LinkedLayers(viewer, others)
    twins.start()
    for other, plane in zip(others, PLANES, strict=False):
        other.dims.order = plane.order(3)
        other.dims.point = viewer.dims.point
    yield viewer, labels, others, twins
    twins.stop()


def count_of_connections(viewer):
    groups = [viewer.layers.events, viewer.layers.selection.events, viewer.dims.events, viewer.events]
    groups += [layer.events for layer in viewer.layers]
    return sum(len(emitter.callbacks) for group in groups for emitter in group.emitters.values())


def test_twins_share_the_data_and_the_place_of_their_layers(shown):
    viewer, _, others, twins = shown
    for layer in viewer.layers:
        for twin, other in zip(twins.twins_of(layer), others, strict=True):
            assert np.shares_memory(twin.data, layer.data)
            assert twin in other.layers
            assert np.array_equal(twin.extent.world, layer.extent.world)
            assert tuple(twin.units) == tuple(layer.units)
            assert twin.visible == layer.visible
    assert [layer.name for layer in others[0].layers] == [layer.name for layer in viewer.layers]


def test_stroke_in_another_plane_is_in_the_layers_own_history(shown, qtbot):
    _, labels, _, twins = shown
    before = labels.data.copy()
    coronal = twins.twins_of(labels)[1]
    strokes = []
    labels.events.paint.connect(lambda event: strokes.append(event.value))
    labels.selected_label = 3
    labels.brush_size = 3
    with coronal.block_history():
        coronal.paint((2, 12, 5), 3)
        coronal.paint((2, 12, 7), 3)
    qtbot.waitUntil(lambda: bool(strokes), timeout=2000)
    after = labels.data.copy()
    assert len(strokes) == 1
    assert (after[2, 12, 4:9] == 3).all()
    assert {int(y) for y in np.unique(np.nonzero(after != before)[1])} == {12}
    labels.undo()
    assert np.array_equal(labels.data, before)
    labels.redo()
    assert np.array_equal(labels.data, after)


def painted(qtbot, layer, act):
    """Wait until the layer has what `act` paints in its history."""
    with qtbot.waitSignal(Heard(layer).heard, timeout=2000):
        act()


class Heard(QObject):
    heard = Signal()

    def __init__(self, layer):
        super().__init__()
        layer.events.paint.connect(lambda: self.heard.emit())


def test_undo_takes_back_the_last_stroke_wherever_it_was_painted(shown, qtbot):
    _, labels, _, twins = shown
    states = [labels.data.copy()]
    axial, coronal = twins.twins_of(labels)
    for painter, place in ((axial, (3, 3, 3)), (labels, (3, 15, 15)), (coronal, (9, 5, 5))):
        painted(qtbot, labels, lambda painter=painter, place=place: painter.paint(place, 2))
        states.append(labels.data.copy())
    for state in reversed(states[:-1]):
        labels.undo()
        assert np.array_equal(labels.data, state)


def test_stroke_over_several_classes_is_undone_and_redone_exactly(shown, qtbot):
    _, labels, _, twins = shown
    before = labels.data.copy()
    coronal = twins.twins_of(labels)[1]

    def stroke():
        with coronal.block_history():
            coronal.paint((5, 14, 10), 2)
            coronal.paint((6, 14, 12), 3)

    painted(qtbot, labels, stroke)
    after = labels.data.copy()
    assert {2, 3} <= set(np.unique(after[after != before]).tolist())
    labels.undo()
    assert np.array_equal(labels.data, before)
    labels.redo()
    assert np.array_equal(labels.data, after)


def test_other_planes_show_what_was_painted_and_undone(shown, qtbot):
    viewer, labels, others, twins = shown
    axial, coronal = twins.twins_of(labels)
    point = labels.data_to_world((2, 20, 5))
    viewer.dims.point = point
    for other in others:
        other.dims.point = point

    def seen(layer):
        return layer.get_value(point, world=True)

    painted(qtbot, labels, lambda: coronal.paint((2, 20, 5), 3))
    qtbot.waitUntil(lambda: seen(axial) == 3 and seen(coronal) == 3, timeout=2000)
    assert axial._slice.image.raw[20, 5] == 3
    labels.undo()
    qtbot.waitUntil(lambda: coronal._slice.image.view[2, 5] == 0 and axial._slice.image.view[20, 5] == 0, timeout=2000)


def test_settings_are_those_of_the_layer(shown):
    viewer, labels, others, twins = shown
    image = viewer.layers[0]
    image.contrast_limits = (10, 90)
    image.colormap = "magma"
    image.gamma = 0.5
    image.visible = not image.visible
    labels.mode = "paint"
    labels.selected_label = 3
    labels.brush_size = 7
    labels.opacity = 0.3
    labels.contour = 1
    labels.preserve_labels = True
    for twin in twins.twins_of(image):
        assert tuple(twin.contrast_limits) == (10, 90)
        assert (twin.colormap.name, twin.gamma, twin.visible) == ("magma", 0.5, image.visible)
    for twin, other in zip(twins.twins_of(labels), others, strict=True):
        assert (str(twin.mode), twin.selected_label, twin.brush_size) == ("paint", 3, 7)
        assert (twin.opacity, twin.contour, twin.preserve_labels) == (0.3, 1, True)
        assert other.layers.selection.active is twin
        assert np.array_equal(twin.get_color(3), labels.get_color(3))


def test_label_that_is_picked_in_a_view_is_picked_everywhere(shown):
    _, labels, _, twins = shown
    axial, coronal = twins.twins_of(labels)
    coronal.selected_label = 2
    assert (labels.selected_label, axial.selected_label) == (2, 2)
    coronal.brush_size = 4
    assert (labels.brush_size, axial.brush_size) == (4, 4)


def test_layers_come_go_and_change_order_together(shown, qtbot):
    viewer, labels, others, twins = shown
    added = viewer.add_labels(np.zeros_like(labels.data), scale=labels.scale, name="mine")
    viewer.layers.move(0, 3)
    viewer.layers.remove(viewer.layers[1])
    viewer.add_shapes()
    names = [layer.name for layer in viewer.layers if layer.name != "Shapes"]
    qtbot.waitUntil(lambda: [layer.name for layer in others[1].layers] == names, timeout=2000)
    assert twins.twins_of(added)[0] in others[0].layers


def test_replaced_data_and_new_contrast_are_shared_anew(shown):
    _, labels, _, twins = shown
    labels.data = np.ones_like(labels.data)
    for twin in twins.twins_of(labels):
        assert np.shares_memory(twin.data, labels.data)


def test_points_that_are_added_in_a_view_are_the_layers(shown, qtbot):
    viewer, _, _, twins = shown
    seeds = viewer.add_points(np.zeros((0, 3)), scale=(2, 1, 1), name="seeds")
    twins.match()
    coronal = twins.twins_of(seeds)[1]
    coronal.add((3, 4, 5))
    assert seeds.data.tolist() == [[3, 4, 5]]
    seeds.add((1, 1, 1))
    assert [len(twin.data) for twin in twins.twins_of(seeds)] == [2, 2]


def test_nothing_stays_connected_and_no_layer_was_altered(qtbot):
    viewer, others = ViewerModel(), [ViewerModel(), ViewerModel()]
    labels = fill(viewer)
    before, data = count_of_connections(viewer), labels.data.copy()
    twins = LinkedLayers(viewer, others)
    twins.start()
    assert count_of_connections(viewer) > before
    twins.stop()
    assert count_of_connections(viewer) == before
    assert [len(other.layers) for other in others] == [0, 0]
    assert np.array_equal(labels.data, data)


def test_stroke_that_was_just_painted_is_not_lost_when_the_views_go(shown):
    _, labels, _, twins = shown
    before = labels.data.copy()
    twins.twins_of(labels)[1].paint((2, 20, 5), 3)
    twins.stop()
    assert labels.data[2, 20, 5] == 3
    labels.undo()
    assert np.array_equal(labels.data, before)


def test_labels_that_are_no_array_of_numpy_can_be_seen_but_not_painted_elsewhere(qtbot):
    import dask.array

    viewer, others = ViewerModel(), [ViewerModel()]
    layer = viewer.add_layer(Labels(dask.array.zeros((4, 5, 6), dtype=np.uint8)))
    twins = LinkedLayers(viewer, others)
    twins.start()
    (twin,) = twins.twins_of(layer)
    assert not twin.editable
    twins.stop()
