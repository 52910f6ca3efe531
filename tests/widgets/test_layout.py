"""The 2x2 layout in place of napari's canvas, with real canvases, mouse and keys."""

import gc
import threading

import numpy as np
import pytest
from napari.qt import QtViewer
from qtpy.QtCore import QEvent, QPoint, QPointF, Qt
from qtpy.QtGui import QMouseEvent, QOpenGLContext
from qtpy.QtWidgets import QApplication
from test_linked_layers import count_of_connections
from views_cases import fill

from napari_brain_tumor.widgets import activation, layout
from napari_brain_tumor.widgets.layout import layout_of, layouts, toggle_layout, toggle_surfaces
from napari_brain_tumor.widgets.napari_canvas import CanvasState, canvas_view_of

pytestmark = pytest.mark.gui

LEFT = Qt.MouseButton.LeftButton
NONE = Qt.MouseButton.NoButton


@pytest.fixture
def opened(make_napari_viewer, qtbot):
    """A shown viewer with a case of 1 x 1 x 2 mm voxels, its labels, and the layout."""
    viewer = make_napari_viewer(show=True)
    viewer.window.resize(1200, 760)
    activation.prepare(viewer)
    labels = fill(viewer)
    toggle_layout(viewer)
    panes = layout_of(viewer)
    settle(qtbot, panes)
    return viewer, labels, panes


def settle(qtbot, panes):
    qtbot.waitUntil(lambda: all(len(pane.model.layers) > 3 for pane in panes.planes), timeout=20_000)
    qtbot.waitUntil(lambda: all(fitted(pane) for pane in panes.planes), timeout=20_000)


def fitted(pane):
    """Whether the whole brain is in the canvas and fills it in one direction."""
    box = pane._box
    if box is None:
        return False
    rows, columns = pane.plane.picture_axes
    ends = [pane.camera().pixel(end[rows], end[columns]) for end in (box.low, box.high)]
    width, height = (abs(ends[0][at] - ends[1][at]) for at in (0, 1))
    room = pane.canvas.width(), pane.canvas.height()
    return width <= room[0] and height <= room[1] and max(width / room[0], height / room[1]) > 0.9


def on_canvas(view, point):
    """Where in the view's canvas a world point lies."""
    rows, columns = view.model.dims.order[-2:]
    x, y = view.camera().pixel(point[rows], point[columns])
    return QPoint(round(x), round(y))


def send(view, kind, at, button=NONE, buttons=NONE, modifiers=Qt.KeyboardModifier.NoModifier):
    event = QMouseEvent(kind, QPointF(at), QPointF(view.canvas.mapToGlobal(at)), button, buttons, modifiers)
    QApplication.sendEvent(view.canvas, event)


def press(view, at):
    send(view, QEvent.Type.MouseMove, at)
    send(view, QEvent.Type.MouseButtonPress, at, LEFT, LEFT)


def release(view, at):
    send(view, QEvent.Type.MouseButtonRelease, at, LEFT)


def click(view, at):
    press(view, at)
    release(view, at)


def test_four_canvases_of_one_size_show_the_planes_with_spacing_in_proportion(opened):
    _viewer, labels, panes = opened
    _axial, coronal, _sagittal = panes.planes
    sizes = np.array([pane.canvas_size for pane in panes.panes])
    assert np.ptp(sizes, axis=0).max() <= 2
    assert sizes.min() > 200
    assert [tuple(pane.model.dims.order) for pane in panes.planes] == [(0, 1, 2), (1, 0, 2), (2, 0, 1)]
    assert panes.surfaces.model.dims.ndisplay == 3
    for pane in panes.planes:
        assert pane.model.layers.selection.active.name == labels.name
        assert pane.marks().letters is not None
    # From the middle of the first of 12 slices of 2 mm to that of the last.
    low, high = labels.extent.world
    top, bottom = (coronal.camera().pixel(end[0], 0.0)[1] for end in (high, low))
    assert bottom - top == pytest.approx(22 * coronal.camera().zoom, rel=0.01)
    assert "mm" in panes.place_label.text()


def test_painting_in_the_coronal_view_changes_the_voxels_that_the_axial_view_shows(opened, qtbot):
    viewer, labels, panes = opened
    axial, coronal, _ = panes.planes
    viewer.dims.point = labels.data_to_world((3, 20, 10))
    labels.mode, labels.brush_size, labels.selected_label = "paint", 1, 3
    before = labels.data.copy()
    click(coronal, on_canvas(coronal, labels.data_to_world((3, 20, 14))))
    qtbot.waitUntil(lambda: labels.data[3, 20, 14] == 3, timeout=5000)
    assert np.argwhere(labels.data != before).tolist() == [[3, 20, 14]]
    assert axial.model.layers.selection.active is labels
    # The key goes from the view to napari's own undo.
    qtbot.waitUntil(lambda: len(labels._undo_history) == 1, timeout=5000)
    coronal.canvas.setFocus()
    qtbot.keyClick(coronal.canvas, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    assert np.array_equal(labels.data, before)
    qtbot.keyClick(
        coronal.canvas, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier | Qt.KeyboardModifier.ShiftModifier
    )
    assert labels.data[3, 20, 14] == 3


def test_lasso_drawn_in_the_sagittal_view_is_a_shape_of_the_viewers_layer(opened, qtbot):
    viewer, labels, panes = opened
    sagittal = panes.planes[2]
    shapes = viewer.add_shapes(ndim=3, scale=labels.scale, translate=labels.translate, name="outlines")
    viewer.layers.selection = {shapes}
    shapes.mode = "add_rectangle"
    twins = [pane.model for pane in panes.slices]
    qtbot.waitUntil(lambda: all("outlines" in model.layers for model in twins), timeout=5000)
    qtbot.waitUntil(lambda: str(sagittal.model.layers["outlines"].mode) == "add_rectangle", timeout=5000)
    cut = labels.world_to_data(viewer.dims.point)[2]
    first, last = (on_canvas(sagittal, labels.data_to_world((z, y, cut))) for z, y in ((2, 4), (8, 16)))
    press(sagittal, first)
    for share in (0.3, 0.6, 1.0):
        send(sagittal, QEvent.Type.MouseMove, first + (last - first) * share, buttons=LEFT)
        qtbot.wait(10)
    release(sagittal, last)
    qtbot.waitUntil(lambda: len(shapes.data) == 1, timeout=5000)
    corners = shapes.data[0]
    assert np.ptp(corners[:, 2]) == 0
    assert corners[:, 2] == pytest.approx(cut)
    assert (corners[:, 0].min(), corners[:, 0].max()) == pytest.approx((2, 8), abs=0.5)
    assert (corners[:, 1].min(), corners[:, 1].max()) == pytest.approx((4, 16), abs=0.5)
    qtbot.waitUntil(lambda: [len(model.layers["outlines"].data) for model in twins] == [1, 1], timeout=5000)
    shapes.data = []
    qtbot.waitUntil(lambda: [len(model.layers["outlines"].data) for model in twins] == [0, 0], timeout=5000)


def test_click_moves_the_crosshair_to_that_voxel_in_every_view(opened, qtbot):
    viewer, labels, panes = opened
    axial, coronal, sagittal = panes.planes
    here = tuple(viewer.dims.point)
    target = labels.data_to_world((9, 0, 15))
    click(coronal, on_canvas(coronal, target))
    assert viewer.dims.point == pytest.approx((target[0], here[1], target[2]))
    assert axial.model.dims.current_step[0] == viewer.dims.current_step[0] == 9
    assert sagittal.model.dims.current_step[2] == 15
    for pane in panes.planes:
        rows, columns = pane.plane.picture_axes
        x, y = pane.camera().pixel(viewer.dims.point[rows], viewer.dims.point[columns])
        (_, (left_end, line_y)), (_, _), ((line_x, _), _), _ = ((a, (b[0], b[1])) for a, b in pane.marks().lines)
        assert (line_x, line_y) == pytest.approx((x, y))
        assert left_end < x


def test_moving_with_shift_moves_the_crosshair_and_dragging_does_not(opened, qtbot):
    viewer, labels, panes = opened
    sagittal = panes.planes[2]
    target = labels.data_to_world((2, 18, 0))
    at = on_canvas(sagittal, target)
    send(sagittal, QEvent.Type.MouseMove, at, modifiers=Qt.KeyboardModifier.ShiftModifier)
    qtbot.waitUntil(lambda: viewer.dims.current_step[0] == 2, timeout=5000)
    assert viewer.dims.point[1] == pytest.approx(target[1])
    here, centre = tuple(viewer.dims.point), sagittal.camera().centre
    away = at + QPoint(40, 30)
    press(sagittal, at)
    qtbot.wait(20)
    send(sagittal, QEvent.Type.MouseMove, away, buttons=LEFT)
    qtbot.wait(20)
    release(sagittal, away)
    assert tuple(viewer.dims.point) == here
    assert sagittal.camera().centre != centre


def test_large_letters_make_the_views_no_wider_than_a_small_screen_has_room_for(opened, qtbot):
    from napari.settings import get_settings

    layout, appearance = opened[2], get_settings().appearance
    before = appearance.font_size
    appearance.font_size = 16
    try:
        qtbot.waitUntil(lambda: layout.fit_button.fontInfo().pointSize() > 12, timeout=5000)
        assert layout.minimumSizeHint().width() <= 400
    finally:
        appearance.font_size = before


def test_place_out_of_sight_is_panned_to(opened):
    _viewer, labels, panes = opened
    coronal = panes.planes[1]
    coronal.model.scene.camera.zoom *= 6
    far = labels.data_to_world((11, 12, 1))
    panes.go_to(tuple(far))
    assert coronal.camera().sees(far[0], far[2])


def test_keys_in_a_view_step_its_own_plane_and_others_go_to_napari(opened, qtbot):
    viewer, labels, panes = opened
    sagittal = panes.planes[2]
    before = viewer.dims.current_step
    qtbot.keyClick(sagittal.canvas, Qt.Key.Key_Right)
    assert viewer.dims.current_step == (before[0], before[1], before[2] + 1)
    viewer.dims.set_current_step(2, 0)
    qtbot.keyClick(sagittal.canvas, Qt.Key.Key_Period)
    assert viewer.dims.current_step[2] == np.flatnonzero(labels.data.any(axis=(0, 1)))[0]
    qtbot.keyClick(sagittal.canvas, Qt.Key.Key_P)
    assert str(labels.mode) == "paint"
    assert str(sagittal.model.layers.selection.active.mode) == "paint"
    shown = [layer.name for layer in viewer.layers if layer.visible]
    qtbot.keyClick(sagittal.canvas, Qt.Key.Key_J)
    assert [layer.name for layer in viewer.layers if layer.visible] != shown
    qtbot.keyClick(sagittal.canvas, Qt.Key.Key_F, Qt.KeyboardModifier.ShiftModifier)
    assert layout_of(viewer) is None


def test_sides_change_in_all_canvases_together(opened):
    viewer, _labels, panes = opened
    panes.side_box.setCurrentIndex(1)
    panes.side_box.activated.emit(1)
    assert [pane.camera().orientation for pane in panes.planes] == [("up", "right"), ("up", "right"), ("up", "left")]
    assert [pane.marks().letters.left for pane in panes.planes] == ["L", "L", "A"]
    toggle_layout(viewer)
    assert [str(end.value) for end in viewer.scene.camera.orientation] == ["towards", "up", "right"]


@pytest.mark.slow
def test_off_brings_naparis_canvas_back_as_it_was(make_napari_viewer, qtbot):
    viewer = make_napari_viewer(show=True)
    fill(viewer)
    camera = viewer.scene.camera
    viewer.dims.order = (1, 0, 2)
    camera.center, camera.zoom = (0.0, 3.0, 4.0), 7.5
    qtbot.wait(50)
    for ndisplay in (2, 3):
        viewer.dims.ndisplay = ndisplay
        camera.angles = (10.0, 20.0, 30.0)
        qtbot.wait(50)
        before, view = CanvasState.of(viewer), canvas_view_of(viewer)
        parent, size = view.parentWidget(), view.size()
        assert toggle_layout(viewer)
        assert viewer.dims.ndisplay == 2
        assert tuple(viewer.dims.order) == (0, 1, 2)
        qtbot.wait(100)
        assert not toggle_layout(viewer)
        qtbot.wait(100)
        after = CanvasState.of(viewer)
        assert (after.order, after.ndisplay, after.orientation) == (before.order, before.ndisplay, before.orientation)
        assert after.camera["zoom"] == pytest.approx(before.camera["zoom"])
        assert after.camera["center"][-ndisplay:] == pytest.approx(before.camera["center"][-ndisplay:])
        assert after.camera["angles"] == pytest.approx(before.camera["angles"])
        assert canvas_view_of(viewer) is view
        assert view.parentWidget() is parent
        assert view.size() == size
        assert view.isVisible()


@pytest.mark.slow
def test_opened_and_closed_again_and_again_it_leaves_nothing(opened, qtbot):
    viewer, _labels, panes = opened
    toggle_layout(viewer)
    settled(qtbot)

    def counts():
        gc.collect()
        widgets = len(QApplication.allWidgets())
        return (
            len(viewer.layers),
            count_of_connections(viewer),
            threading.active_count(),
            widgets,
            len(QtViewer._instances),
        )

    del panes
    settled(qtbot)
    before = counts()
    for _ in range(3):
        toggle_layout(viewer)
        qtbot.wait(10)
        toggle_layout(viewer)
        settled(qtbot)
    # Widgets of earlier tests may go meanwhile.
    assert all(now <= earlier for now, earlier in zip(counts(), before, strict=True)), (counts(), before)
    assert viewer.mouse_move_callbacks == []


@pytest.mark.slow
def test_canvases_are_used_again_and_none_is_set_up_anew(opened, qtbot):
    viewer, _labels, panes = opened
    canvases = [pane.canvas for pane in panes.panes]
    contexts = [canvas.context() for canvas in canvases]
    assert None not in contexts
    for _ in range(2):
        toggle_layout(viewer)
        settled(qtbot)
        toggle_layout(viewer)
        settled(qtbot)
    assert [pane.canvas for pane in layout_of(viewer).panes] == canvases
    assert [canvas.context() for canvas in canvases] == contexts


def test_what_is_queued_for_a_canvas_is_carried_out_on_that_one(opened):
    _viewer, _labels, panes = opened
    first, *_, last = (pane.canvas for pane in panes.panes)
    for canvas, other in ((first, last), (last, first)):
        other.makeCurrent()
        assert QOpenGLContext.currentContext() == other.context()
        canvas._vispy_canvas.context.finish()
        assert QOpenGLContext.currentContext() == canvas.context()


def settled(qtbot):
    """Let Qt delete what is to be deleted."""
    qtbot.wait(20)
    QApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
    qtbot.wait(20)


def test_surfaces_are_shown_alone_and_then_what_was_before(opened, qtbot):
    viewer, _labels, panes = opened
    toggle_surfaces(viewer)
    assert [pane.isVisible() for pane in panes.panes] == [False, False, False, True]
    qtbot.waitUntil(lambda: panes.surfaces.height() > 500, timeout=5000)
    toggle_surfaces(viewer)
    assert all(pane.isVisible() for pane in panes.panes)
    toggle_layout(viewer)
    toggle_surfaces(viewer)
    assert layout_of(viewer).enlarged is layout_of(viewer).surfaces
    toggle_surfaces(viewer)
    assert layout_of(viewer) is None


def test_switch_is_told_to_whoever_shows_it(opened):
    viewer, _labels, panes = opened
    heard = []

    def hear(model, on):
        heard.append((model is viewer, on))

    layouts.toggled.connect(hear)
    panes.close_button.click()
    toggle_layout(viewer)
    layouts.toggled.disconnect(hear)  # it would keep the viewer
    assert heard == [(True, False), (True, True)]


@pytest.mark.slow
def test_it_goes_on_when_the_case_is_closed_and_another_opened(opened, qtbot):
    viewer, _labels, panes = opened
    viewer.layers.clear()
    qtbot.waitUntil(lambda: "Open a case" in panes.place_label.text(), timeout=5000)
    qtbot.waitUntil(lambda: all(len(pane.model.layers) == 0 for pane in panes.slices), timeout=5000)
    fill(viewer, spacing=(2, 2, 5), name="other")
    settle(qtbot, panes)
    assert panes.planes[0]._box.size == pytest.approx((12 * 5, 24 * 2, 20 * 2))
    toggle_layout(viewer)
    qtbot.wait(50)
    low, high = viewer.layers.extent.world
    centre = viewer.scene.camera.center[-2:]
    assert all(a <= at <= b for a, at, b in zip(low[1:], centre, high[1:], strict=True))


def test_napari_can_be_closed_in_the_middle_of_a_stroke(opened, qtbot):
    viewer, labels, panes = opened
    coronal = panes.planes[1]
    labels.mode = "paint"
    press(coronal, on_canvas(coronal, labels.data_to_world((3, 20, 14))))
    viewer.close()
    assert layout_of(viewer) is None
    qtbot.wait(50)


def test_without_layers_it_says_what_to_do_and_takes_what_comes(make_napari_viewer, qtbot):
    viewer = make_napari_viewer(show=True)
    toggle_layout(viewer)
    panes = layout_of(viewer)
    assert "Open a case" in panes.place_label.text()
    viewer.add_image(np.zeros((30, 40)))
    viewer.add_image(np.zeros((30, 40, 3), np.uint8), rgb=True)
    qtbot.wait(50)
    assert all(len(pane.model.layers) == 0 for pane in panes.slices)
    viewer.layers.clear()
    viewer.add_image(np.random.default_rng(0).random((3, 6, 7, 8)), scale=(1, 3, 1, 1), name="over time")
    qtbot.waitUntil(lambda: all(len(pane.model.layers) == 1 for pane in panes.slices), timeout=10_000)
    qtbot.waitUntil(lambda: "Open a case" not in panes.place_label.text(), timeout=5000)
    assert not any(pane.anatomical for pane in panes.planes)
    viewer.dims.set_current_step(0, 2)
    assert [pane.model.dims.current_step[0] for pane in panes.slices] == [2, 2]
    assert [tuple(pane.model.dims.order) for pane in panes.planes] == [(0, 1, 2, 3), (0, 2, 1, 3), (0, 3, 1, 2)]


def test_viewer_without_a_window_says_why(qtbot, monkeypatch):
    from napari.components import ViewerModel

    messages = []
    monkeypatch.setattr(layout, "notify", messages.append)
    assert not toggle_layout(ViewerModel())
    assert "window" in messages[0]
