"""The Three views panel with real canvases, mouse and keys."""

import gc

import numpy as np
import pytest
from qtpy.QtCore import QEvent, QPoint, QPointF, Qt
from qtpy.QtGui import QMouseEvent
from qtpy.QtWidgets import QApplication
from test_linked_layers import count_of_connections
from views_cases import fill

from napari_brain_tumor.widgets import view_actions
from napari_brain_tumor.widgets.views import ViewsWidget

pytestmark = pytest.mark.gui

LEFT = Qt.MouseButton.LeftButton
NONE = Qt.MouseButton.NoButton


@pytest.fixture
def opened(make_napari_viewer, qtbot):
    """A shown viewer with a case of 1 x 1 x 2 mm voxels, its labels, and the panel in a dock."""
    viewer = make_napari_viewer(show=True)
    viewer.window.resize(1200, 760)
    labels = fill(viewer)
    panel = ViewsWidget(viewer)
    viewer.window.add_dock_widget(panel, name="Three views", area="right")
    settle(qtbot, panel)
    return viewer, labels, panel


def settle(qtbot, panel):
    qtbot.waitUntil(
        lambda: len(panel.views) == 3 and all(len(view.model.layers) > 3 for view in panel.views), timeout=20_000
    )
    qtbot.waitUntil(lambda: all(fitted(view) for view in panel.views), timeout=20_000)


def fitted(view):
    """Whether the whole slice is in the canvas and fills it in one direction."""
    low, high = view.model.layers.extent.world
    rows, columns = view.model.dims.order[-2:]
    ends = [view.camera().pixel(end[rows], end[columns]) for end in (low, high)]
    width, height = (abs(ends[0][at] - ends[1][at]) for at in (0, 1))
    room = view.canvas.width(), view.canvas.height()
    return width <= room[0] and height <= room[1] and max(width / room[0], height / room[1]) > 0.8


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


def test_views_show_the_planes_with_spacing_in_proportion(opened):
    viewer, labels, panel = opened
    _axial, coronal, _sagittal = panel.views
    assert [view.model.dims.order for view in panel.views] == [(0, 1, 2), (1, 0, 2), (2, 0, 1)]
    for view in panel.views:
        assert view.model.dims.point == pytest.approx(viewer.dims.point)
        assert view.model.layers.selection.active.name == labels.name
        assert view.anatomical
    # From the middle of the first of 12 slices of 2 mm to that of the last.
    low, high = labels.extent.world
    top, bottom = (coronal.camera().pixel(end[0], 0.0)[1] for end in (high, low))
    assert bottom - top == pytest.approx(22 * coronal.camera().zoom, rel=0.01)
    assert "mm" in panel.place_label.text()


def test_painting_in_the_coronal_view_changes_the_voxels_that_the_axial_view_shows(opened, qtbot):
    viewer, labels, panel = opened
    axial, coronal, _ = panel.views
    viewer.dims.point = labels.data_to_world((3, 20, 10))
    labels.mode, labels.brush_size, labels.selected_label = "paint", 1, 3
    before = labels.data.copy()
    at = on_canvas(coronal, labels.data_to_world((3, 20, 14)))
    click(coronal, at)
    qtbot.waitUntil(lambda: labels.data[3, 20, 14] == 3, timeout=5000)
    assert np.argwhere(labels.data != before).tolist() == [[3, 20, 14]]
    seen = axial.model.layers.selection.active
    qtbot.waitUntil(lambda: seen.get_value(labels.data_to_world((3, 20, 14)), world=True) == 3, timeout=5000)
    # The key goes from the view to napari's own undo.
    qtbot.waitUntil(lambda: len(labels._undo_history) == 1, timeout=5000)
    coronal.canvas.setFocus()
    qtbot.keyClick(coronal.canvas, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    assert np.array_equal(labels.data, before)
    qtbot.keyClick(
        coronal.canvas, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier | Qt.KeyboardModifier.ShiftModifier
    )
    assert labels.data[3, 20, 14] == 3


def test_click_moves_the_cursor_to_that_place_in_mm_in_every_view(opened, qtbot):
    viewer, labels, panel = opened
    axial, coronal, sagittal = panel.views
    here = tuple(viewer.dims.point)
    target = labels.data_to_world((9, 0, 15))
    click(coronal, on_canvas(coronal, target))
    expected = (target[0], here[1], target[2])
    pixel_mm = 1 / coronal.camera().zoom
    assert viewer.dims.point == pytest.approx(expected, abs=pixel_mm)
    for view in panel.views:
        assert view.model.dims.point == pytest.approx(viewer.dims.point)
    assert axial.model.dims.current_step[0] == viewer.dims.current_step[0] == 9
    assert sagittal.model.dims.current_step[2] == 15


def test_moving_with_shift_moves_the_cursor_and_dragging_does_not(opened, qtbot):
    viewer, labels, panel = opened
    sagittal = panel.views[2]
    target = labels.data_to_world((2, 18, 0))
    at = on_canvas(sagittal, target)
    send(sagittal, QEvent.Type.MouseMove, at, modifiers=Qt.KeyboardModifier.ShiftModifier)
    qtbot.waitUntil(lambda: viewer.dims.current_step[0] == 2, timeout=5000)
    assert viewer.dims.point[1] == pytest.approx(target[1], abs=1 / sagittal.camera().zoom)
    here, centre = tuple(viewer.dims.point), sagittal.camera().centre
    away = at + QPoint(40, 30)
    press(sagittal, at)
    qtbot.wait(20)
    send(sagittal, QEvent.Type.MouseMove, away, buttons=LEFT)
    qtbot.wait(20)
    release(sagittal, away)
    assert tuple(viewer.dims.point) == here
    assert sagittal.camera().centre != centre


def test_place_out_of_sight_is_panned_to(opened):
    _viewer, labels, panel = opened
    coronal = panel.views[1]
    coronal.model.scene.camera.zoom *= 6
    far = labels.data_to_world((11, 12, 1))
    panel.go_to(tuple(far))
    assert coronal.camera().sees(far[0], far[2])


def test_keys_in_a_view_step_its_own_plane_and_others_go_to_napari(opened, qtbot):
    viewer, labels, panel = opened
    sagittal = panel.views[2]
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


def test_buttons_tell_their_keys(opened):
    _, _, panel = opened
    assert set(panel.buttons) == {one.key for one in view_actions.KEYS}
    for one in view_actions.KEYS:
        made = panel.buttons[one.key]
        assert made.text().endswith((f" {one.key}", f"({one.key})"))
        assert view_actions.key_text(one.key) in made.toolTip()
        assert made.accessibleName() == one.name


def test_sides_change_in_the_views_and_in_the_large_canvas_together(opened):
    viewer, _labels, panel = opened
    panel.side_box.setCurrentIndex(1)
    panel.side_box.activated.emit(1)
    assert [view.camera().orientation for view in panel.views] == [("up", "right"), ("up", "right"), ("up", "left")]
    assert [str(one.value) for one in viewer.scene.camera.orientation] == ["towards", "up", "right"]


@pytest.mark.parametrize("side", [0, 1])
def test_in_3d_the_patients_right_is_on_the_left_as_of_a_person_who_faces_us(opened, qtbot, side):
    viewer, labels, panel = opened
    panel.side_box.setCurrentIndex(side)
    panel.side_box.activated.emit(side)
    # Voxels along X run from the patient's left to the right: labels on the right alone.
    labels.data = np.zeros_like(labels.data)
    labels.data_setitem(tuple(np.indices(labels.data.shape)[:, 3:9, 6:18, 15:19].reshape(3, -1)), 3)
    assert labels.scale[2] > 0
    view_actions.toggle_surfaces(viewer)
    qtbot.waitUntil(lambda: any("surface" in layer.name for layer in viewer.layers), timeout=20_000)
    viewer.reset_view()
    viewer.scene.camera.set_view_direction((0, -1, 0), (1, 0, 0))
    qtbot.wait(50)
    picture = viewer.screenshot(canvas_only=True, flash=False)[..., :3].astype(float)
    bright = (np.abs(picture - picture[0, 0]).sum(axis=2) > 60).sum(axis=0)
    middle = bright.size // 2
    assert bright[:middle].sum() > 10 * bright[middle:].sum()
    assert bright[:middle].sum() > 100


def test_views_go_on_showing_slices_while_the_large_canvas_shows_surfaces(opened, qtbot):
    viewer, _labels, panel = opened
    view = panel.views[0]
    visible = [layer.visible for layer in view.model.layers]
    view_actions.toggle_surfaces(viewer)
    qtbot.waitUntil(lambda: any("surface" in layer.name for layer in viewer.layers), timeout=20_000)
    qtbot.wait(50)
    assert view.model.dims.ndisplay == 2
    assert [layer.visible for layer in view.model.layers] == visible
    view_actions.toggle_surfaces(viewer)
    assert [layer.visible for layer in view.model.layers] == visible


def test_hidden_panel_lets_go_of_everything_and_comes_back(opened, qtbot):
    viewer, labels, panel = opened
    dock = panel.parent()
    connected = count_of_connections(viewer)
    dock.hide()
    assert count_of_connections(viewer) < connected
    assert not viewer.mouse_drag_callbacks[1:]
    assert not viewer.mouse_move_callbacks
    assert all(len(view.model.layers) == 0 for view in panel.views)
    labels.data_setitem((np.array([0]), np.array([0]), np.array([0])), 3)
    dock.show()
    settle(qtbot, panel)
    assert count_of_connections(viewer) == connected
    assert panel.views[0].model.layers.selection.active.data[0, 0, 0] == 3


def test_closed_dock_gives_the_canvases_back(opened, qtbot):
    viewer, labels, panel = opened
    viewer.window.remove_dock_widget(panel)
    assert panel.views == []
    assert not viewer.mouse_move_callbacks
    labels.data_setitem((np.array([0]), np.array([0]), np.array([0])), 3)
    panel.deleteLater()
    qtbot.wait(50)
    del panel
    gc.collect()


def test_napari_can_be_closed_in_the_middle_of_a_stroke(opened, qtbot):
    viewer, labels, panel = opened
    coronal = panel.views[1]
    labels.mode = "paint"
    press(coronal, on_canvas(coronal, labels.data_to_world((3, 20, 14))))
    viewer.close()
    assert panel.views == []
    qtbot.wait(50)


def test_napari_can_be_closed_while_surfaces_are_made(opened, qtbot):
    viewer, _labels, panel = opened
    panel.follow_box.setChecked(True)
    view_actions.toggle_surfaces(viewer)
    viewer.close()
    qtbot.wait(50)


def test_panel_without_layers_says_what_to_do_and_takes_what_comes(make_napari_viewer, qtbot):
    viewer = make_napari_viewer(show=True)
    panel = ViewsWidget(viewer)
    viewer.window.add_dock_widget(panel, name="Three views", area="right")
    assert "Open a case" in panel.place_label.text()
    viewer.add_image(np.random.default_rng(0).random((6, 7, 8)), scale=(3, 1, 1), name="any")
    qtbot.waitUntil(lambda: all(len(view.model.layers) == 1 for view in panel.views), timeout=10_000)
    qtbot.waitUntil(lambda: "Open a case" not in panel.place_label.text(), timeout=5000)
    assert not any(view.anatomical for view in panel.views)
    viewer.layers.clear()
    qtbot.waitUntil(lambda: "Open a case" in panel.place_label.text(), timeout=5000)


def test_plane_image_and_photograph_in_colour_do_no_harm(make_napari_viewer, qtbot):
    viewer = make_napari_viewer(show=True)
    panel = ViewsWidget(viewer)
    viewer.window.add_dock_widget(panel, name="Three views", area="right")
    viewer.add_image(np.zeros((30, 40)))
    viewer.add_image(np.zeros((30, 40, 3), np.uint8), rgb=True)
    qtbot.wait(100)
    assert all(len(view.model.layers) == 0 for view in panel.views)
    viewer.add_image(np.zeros((3, 6, 7, 8)), name="over time")
    qtbot.waitUntil(lambda: all(len(view.model.layers) == 1 for view in panel.views), timeout=10_000)
    viewer.dims.set_current_step(0, 2)
    assert [view.model.dims.current_step[0] for view in panel.views] == [2, 2, 2]
    assert panel.views[1].model.dims.order == (0, 2, 1, 3)
