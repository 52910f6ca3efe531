"""The Correct panel in a window: what is drawn with napari's tools changes the labels, and is undone with its keys."""

import threading
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("qtpy.QtWidgets", reason="needs a Qt binding")

from correct_cases import CENTRE, SHAPE, fill_viewer, holds_the_same, make_ball_study
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QWidget

from napari_brain_tumor.interactive import Interpolate, Propagate, read_prompts
from napari_brain_tumor.interactive.prompts import Box3D, Lasso, Painted, Point
from napari_brain_tumor.plugin import layers, to_layers, viewers
from napari_brain_tumor.plugin.labels_edit import replace_labels
from napari_brain_tumor.plugin.prompt_layers import Meaning
from napari_brain_tumor.widgets import correct_computer
from napari_brain_tumor.widgets.correct import CorrectWidget
from napari_brain_tumor.widgets.view_actions import labels_in_view

pytestmark = pytest.mark.gui

X, Y, Z = CENTRE
LX, LY = SHAPE[0] - 1 - X, SHAPE[1] - 1 - Y


@pytest.fixture
def begun(make_napari_viewer, qtbot):
    """A viewer, its labels, and a panel that corrects them."""
    viewer = make_napari_viewer()
    labels = fill_viewer(viewer)
    panel = CorrectWidget(viewer)
    viewer.window.add_dock_widget(panel, name="Correct", area="right")
    begin(panel, qtbot)
    yield viewer, labels, panel
    panel.finish()


def begin(panel, qtbot):
    panel.chooser.button.click()
    qtbot.waitUntil(lambda: panel.session is not None, timeout=20000)


def settle(panel, qtbot, prompts=None):
    """Wait until nothing waits, and as many prompts are there."""
    qtbot.wait(20)
    qtbot.waitUntil(
        lambda: (
            not panel.session.queue.busy
            and (prompts is None or len(panel.session.correction.prompts) == prompts)
            and is_shown(panel)
        ),
        timeout=20000,
    )


def is_shown(panel):
    return len(panel.controls.steps.texts()) == len(panel.session.correction.entries)


def paint(panel, z, y, xs):
    strokes = panel.session.prompt_layers.strokes
    strokes.brush_size = 1
    with strokes.block_history():
        for x in xs:
            strokes.paint((z, y, x), strokes.selected_label)


def hold(modifier):
    """Let Qt know that this key, or none, is held from now on."""
    QTest.keyPress(QWidget(), Qt.Key.Key_unknown, modifier)


def drag(viewer, layer, places, modifier=Qt.KeyboardModifier.NoModifier):
    """Drag with the mouse over voxels (z, y, x) of the layer, while a key is held."""
    from napari.utils.interactions import mouse_move_callbacks, mouse_press_callbacks, mouse_release_callbacks

    event = SimpleNamespace(
        view_direction=None,
        up_direction=None,
        dims_displayed=list(viewer.dims.displayed),
        dims_point=viewer.dims.point,
        camera_zoom=1.0,
        canvas_size=(500, 500),
        button=1,
        buttons=(1,),
        modifiers=(),
        handled=False,
    )

    def at(kind, place):  # one event that changes, as napari's own is
        event.type, event.is_dragging = kind, kind == "mouse_move"
        event.position = tuple(layer.data_to_world(place))
        event.pos = np.array([place[axis] for axis in viewer.dims.displayed]) * 30.0  # pixels
        return event

    hold(modifier)  # as every real event of the mouse does
    mouse_press_callbacks(layer, at("mouse_press", places[0]))
    for place in places[1:]:
        mouse_move_callbacks(layer, at("mouse_move", place))
    mouse_release_callbacks(layer, at("mouse_release", places[-1]))


def go_to(viewer, layer, axis, index):
    viewer.dims.set_point(axis, float(layer.data_to_world([index] * 3)[axis]))


def press(viewer, key, modifiers=Qt.KeyboardModifier.NoModifier):
    canvas = viewer.window._qt_viewer.canvas.native
    QTest.keyClick(canvas, key, modifiers)


CTRL = Qt.KeyboardModifier.ControlModifier
SHIFT = Qt.KeyboardModifier.ShiftModifier


def test_a_stroke_changes_the_labels_and_ctrl_z_takes_both_back(begun, qtbot):
    viewer, labels, panel = begun
    before = labels.data.copy()
    panel.controls.tools.choose_class("edema")
    assert viewer.layers.selection.active is panel.session.prompt_layers.strokes
    paint(panel, Z, LY, range(LX - 6, LX - 2))
    settle(panel, qtbot, 1)
    after = labels.data.copy()
    assert (after[Z, LY, LX - 6 : LX - 2] == 1).all()
    assert np.count_nonzero(after != before) > 20
    assert "voxels" in panel.status_label.text()
    assert panel.controls.steps.texts() == [f"1  stroke · edema · axial {Z}"]
    press(viewer, Qt.Key.Key_Z, CTRL)  # in the layer of strokes
    settle(panel, qtbot, 0)
    np.testing.assert_array_equal(labels.data, before)
    assert not panel.session.prompt_layers.strokes.data.any()
    viewer.layers.selection = {labels}
    press(viewer, Qt.Key.Key_Z, CTRL | SHIFT)  # in that of the labels
    settle(panel, qtbot, 1)
    np.testing.assert_array_equal(labels.data, after)
    assert (panel.session.prompt_layers.strokes.data[Z, LY, LX - 6 : LX - 2] == Meaning("edema").code).all()
    assert holds_the_same(panel.session.correction)


def test_all_kinds_of_prompts_in_three_planes_are_undone_and_redone(begun, qtbot):
    viewer, labels, panel = begun
    before, made = labels.data.copy(), panel.session.prompt_layers
    go_to(viewer, labels, 0, Z)
    paint(panel, Z, LY, range(LX - 6, LX - 2))
    settle(panel, qtbot, 1)
    panel.session.prompt_layers.take("point")
    drag(viewer, made.points, [(Z, LY, LX)])
    settle(panel, qtbot, 2)
    panel.controls.tools.choose_class("whole tumour")
    panel.session.prompt_layers.take("box")
    drag(viewer, made.outlines, [(Z, LY - 9, LX - 9), (Z, LY, LX), (Z, LY + 9, LX + 9)])
    settle(panel, qtbot, 3)
    viewer.dims.order = (1, 0, 2)
    go_to(viewer, labels, 1, LY)
    panel.controls.tools.choose_class("tumour core")
    panel.session.prompt_layers.take("lasso")
    circle = [(Z + 3 * np.sin(a), LY, LX + 4 * np.cos(a)) for a in np.linspace(0, 2 * np.pi, 24)]
    drag(viewer, made.outlines, circle)
    settle(panel, qtbot, 4)
    viewer.dims.order = (2, 0, 1)
    panel.controls.tools.choose_class("edema")
    panel.controls.tools.toggle_not()
    panel.session.prompt_layers.take("stroke")
    paint(panel, Z, 3, [LX])
    settle(panel, qtbot, 5)
    kinds = [type(prompt) for prompt in panel.session.correction.prompts]
    assert kinds == [Painted, Point, Box3D, Lasso, Painted]
    assert [prompt.add for prompt in panel.session.correction.prompts] == [True, True, True, True, False]
    assert panel.controls.steps.texts()[3] == f"4  lasso · tumour core · coronal {LY}"
    lasso = panel.session.correction.entries[3].extent
    assert lasso.slice_along(1) == LY
    after = labels.data.copy()
    for _ in range(5):
        panel.session.undo()
    settle(panel, qtbot, 0)
    np.testing.assert_array_equal(labels.data, before)
    assert (len(made.points.data), len(made.outlines.data), made.strokes.data.any()) == (0, 0, False)
    for _ in range(5):
        panel.session.redo()
    settle(panel, qtbot, 5)
    np.testing.assert_array_equal(labels.data, after)
    assert (len(made.points.data), len(made.outlines.data)) == (1, 2)
    assert holds_the_same(panel.session.correction)


def test_shift_goes_on_with_another_part_or_a_hole_of_the_same_outline(begun, qtbot):
    viewer, labels, panel = begun
    made = panel.session.prompt_layers
    turn = np.linspace(0, 2 * np.pi, 40)
    outer, hole = ([(Z, LY + r * np.sin(a), LX + r * np.cos(a)) for a in turn] for r in (6, 2.4))
    panel.controls.tools.choose_class("enhancing")
    made.take("outline")
    drag(viewer, made.outlines, outer, Qt.KeyboardModifier.ShiftModifier)
    qtbot.waitUntil(lambda: len(made.outlines.data) == 1, timeout=5000)
    qtbot.wait(100)
    assert panel.session.correction.prompts == []
    drag(viewer, made.outlines, hole)
    settle(panel, qtbot, 1)
    (prompt,) = panel.session.correction.prompts
    assert (prompt.border, len(prompt.rings)) == (True, 1)
    assert len(made.outlines.data) == 1
    y, x = np.mgrid[: labels.data.shape[1], : labels.data.shape[2]]
    away = np.hypot(y - LY, x - LX)
    flat = np.asarray(labels.data)[Z]
    assert (flat[(away > 3) & (away < 5.5)] == 3).all()
    assert not (flat[(away < 2) | ((away > 6.5) & (away < 8))] == 3).any()
    panel.session.undo()
    settle(panel, qtbot, 0)
    assert len(made.outlines.data) == 0
    panel.session.redo()
    settle(panel, qtbot, 1)
    np.testing.assert_array_equal(np.asarray(labels.data)[Z], flat)


def test_outline_says_where_a_region_ends_and_around_a_class_is_a_lasso(begun, qtbot):
    viewer, _, panel = begun
    said = []
    panel.session.prompt_layers.refused.connect(said.append)
    circle = [(Z, LY + 4 * np.sin(a), LX + 4 * np.cos(a)) for a in np.linspace(0, 2 * np.pi, 24)]
    panel.controls.tools.choose_class("tumour core")
    panel.session.prompt_layers.take("outline")
    drag(viewer, panel.session.prompt_layers.outlines, circle)
    settle(panel, qtbot, 1)
    panel.controls.tools.choose_class("edema")
    drag(viewer, panel.session.prompt_layers.outlines, circle)
    settle(panel, qtbot, 2)
    assert [prompt.border for prompt in panel.session.correction.prompts] == [True, False]
    assert panel.controls.steps.texts()[0].startswith("1  outline · tumour core")
    assert len(said) == 1
    assert "around edema it counts as a lasso" in said[0]


def test_keys_choose_class_tool_and_not(begun, qtbot):
    viewer, _, panel = begun
    for key, label in zip((Qt.Key.Key_1, Qt.Key.Key_2, Qt.Key.Key_3, Qt.Key.Key_4, Qt.Key.Key_5), ORDER, strict=True):
        press(viewer, key)
        assert panel.session.prompt_layers.meaning == Meaning(label)
        assert panel.controls.tools.class_box.currentData() == label
    press(viewer, Qt.Key.Key_X)
    assert panel.session.prompt_layers.meaning == Meaning("whole tumour", False)
    assert panel.controls.tools.not_button.isChecked()
    for key, tool in (
        (Qt.Key.Key_O, "outline"),
        (Qt.Key.Key_P, "point"),
        (Qt.Key.Key_L, "lasso"),
        (Qt.Key.Key_B, "box"),
        (Qt.Key.Key_S, "stroke"),
    ):
        press(viewer, key)
        assert panel.session.prompt_layers.tool == tool
        assert [one for one, made in panel.controls.tools.tool_buttons.items() if made.isChecked()] == [tool]
        press(viewer, Qt.Key.Key_1)
        press(viewer, Qt.Key.Key_2)
        assert panel.session.prompt_layers.meaning == Meaning("non-enhancing", False)
    viewer.layers.selection = {viewer.layers[0]}  # a scan
    press(viewer, Qt.Key.Key_S)
    assert panel.session.prompt_layers.tool == "stroke"


ORDER = ("edema", "non-enhancing", "enhancing", "tumour core", "whole tumour")


def test_a_class_taken_in_naparis_own_controls_is_the_panels_too(begun, qtbot):
    _, _, panel = begun
    panel.session.prompt_layers.strokes.selected_label = Meaning("tumour core", False).code
    assert panel.controls.tools.meaning == Meaning("tumour core", False)


def test_strokes_drawn_faster_than_they_are_computed_come_in_their_order(begun, qtbot, gate):
    _, _, panel = begun
    for k in range(4):
        paint(panel, Z, LY + k, range(LX - 6, LX - 2))
        qtbot.waitUntil(lambda k=k: len(panel.session.queue.pending) == k + 1)
    gate.set()
    settle(panel, qtbot, 4)
    rows = [prompt.points[0][1] for prompt in panel.session.correction.prompts]
    assert np.diff(rows).tolist() == [1, 1, 1]
    assert holds_the_same(panel.session.correction)
    for _ in range(4):
        panel.session.undo()
    settle(panel, qtbot, 0)
    assert holds_the_same(panel.session.correction)


@pytest.fixture
def gate(monkeypatch):
    """Steps are computed only once this event is set."""
    opened, plain = threading.Event(), correct_computer.EntryComputer.carry_out

    def compute(self, *arguments):
        opened.wait(60)
        return plain(self, *arguments)

    monkeypatch.setattr(correct_computer.EntryComputer, "carry_out", compute)
    yield opened
    opened.set()


def test_what_is_undone_or_painted_while_a_step_is_computed_comes_before_it(begun, qtbot, gate):
    _, labels, panel = begun
    gate.set()
    paint(panel, Z, LY, range(LX - 6, LX - 2))
    settle(panel, qtbot, 1)
    gate.clear()
    paint(panel, Z + 3, LY, range(LX - 6, LX - 2))
    qtbot.waitUntil(lambda: panel.session.queue.busy)
    labels.undo()  # the first one
    labels.brush_size = 1
    labels.paint((2, 5, 5), 3)
    gate.set()
    settle(panel, qtbot, 1)
    assert [entry.kind for entry in panel.session.correction.entries] == ["hand", "step"]
    assert labels.data[2, 5, 5] == 3
    assert holds_the_same(panel.session.correction)
    labels.undo()
    labels.undo()
    settle(panel, qtbot, 0)
    assert labels.data[2, 5, 5] == 0
    assert holds_the_same(panel.session.correction)


def test_undo_and_cancel_take_away_what_is_still_computed(begun, qtbot, gate):
    _, labels, panel = begun
    before = labels.data.copy()
    for k in range(3):
        paint(panel, Z, LY + k, range(LX - 6, LX - 2))
        qtbot.waitUntil(lambda k=k: len(panel.session.queue.pending) == k + 1)
    panel.session.undo()
    assert len(panel.session.queue.pending) == 2
    panel.session.cancel()
    gate.set()
    settle(panel, qtbot, 0)
    np.testing.assert_array_equal(labels.data, before)
    assert not panel.session.prompt_layers.strokes.data.any()
    assert not panel.session.correction.refiner.can_undo


def test_a_prompt_that_touches_nothing_is_refused_and_wiped_out(begun, qtbot):
    _, _, panel = begun
    panel.session.prompt_layers.take("point")
    panel.session.prompt_layers.points.add((Z, LY, 400))
    qtbot.waitUntil(lambda: "touches no voxel" in panel.status_label.text(), timeout=20000)
    settle(panel, qtbot, 0)
    assert len(panel.session.prompt_layers.points.data) == 0


def test_prompts_that_are_moved_or_erased_by_hand_come_back(begun, qtbot):
    _, _, panel = begun
    panel.session.prompt_layers.take("point")
    points = panel.session.prompt_layers.points
    points.add((Z, LY, LX))
    settle(panel, qtbot, 1)
    points.selected_data = {0}
    points.remove_selected()
    qtbot.waitUntil(lambda: len(points.data) == 1, timeout=5000)
    assert "Ctrl+Z" in panel.status_label.text()
    panel.session.prompt_layers.take("stroke")
    paint(panel, Z, LY, [LX])
    settle(panel, qtbot, 2)
    panel.session.prompt_layers.strokes.paint((Z, LY, LX), 0)
    qtbot.waitUntil(lambda: panel.session.prompt_layers.strokes.data[Z, LY, LX] > 0, timeout=5000)
    assert len(panel.session.correction.prompts) == 2


def test_slices_are_filled_between_and_carried_on_until_escape(begun, qtbot):
    viewer, labels, panel = begun
    labels.brush_size = 5
    for z in (3, 9):
        labels.paint((z, 8, 8), 2)
    settle(panel, qtbot)
    assert panel.controls.slices.slices_edit.text() == "3, 9"
    assert panel.controls.slices.label.text() == "Outlined axial slices of the tumour core"
    panel.controls.slices.fill_button.click()
    settle(panel, qtbot)
    assert isinstance(panel.session.correction.entries[-1].step, Interpolate)
    assert (labels.data[4:9, 8, 8] == 2).all()
    go_to(viewer, labels, 0, Z)
    before = labels.data.copy()
    panel.controls.slices.up_button.click()
    qtbot.waitUntil(panel.controls.slices.stop_button.isEnabled, timeout=5000)
    panel.controls.slices.stop_button.click()
    settle(panel, qtbot)
    step = panel.session.correction.entries[-1].step
    assert isinstance(step, Propagate)
    assert step.start == Z
    assert holds_the_same(panel.session.correction)
    labels.undo()
    settle(panel, qtbot)
    np.testing.assert_array_equal(labels.data, before)


def test_a_click_in_the_list_goes_there_and_remove_does_without(begun, qtbot):
    viewer, labels, panel = begun
    paint(panel, Z, LY, range(LX - 6, LX - 2))
    paint(panel, 4, LY, [LX])
    settle(panel, qtbot, 2)
    go_to(viewer, labels, 0, 20)
    panel.controls.steps.list.setCurrentRow(1)
    panel.controls.steps.list.itemClicked.emit(panel.controls.steps.list.item(1))
    assert round(float(labels.world_to_data(viewer.dims.point)[0])) == 4
    panel.controls.steps.list.setCurrentRow(0)
    panel.controls.steps.remove_button.click()
    settle(panel, qtbot, 1)
    assert panel.controls.steps.texts() == ["1  stroke · enhancing · axial 4"]
    assert not panel.session.prompt_layers.strokes.data[Z].any()
    assert holds_the_same(panel.session.correction)
    panel.session.undo()
    settle(panel, qtbot, 2)
    assert panel.session.prompt_layers.strokes.data[Z].any()


def test_prompts_are_saved_loaded_and_replayed(begun, qtbot, tmp_path):
    _, labels, panel = begun
    before = labels.data.copy()
    paint(panel, Z, LY, range(LX - 6, LX - 2))
    panel.session.prompt_layers.take("point")
    panel.session.prompt_layers.points.add((Z, LY, LX))
    settle(panel, qtbot, 2)
    after = labels.data.copy()
    panel.save(str(tmp_path / "prompts.json"))
    assert "Saved 2 steps" in panel.status_label.text()
    assert len(read_prompts(tmp_path / "prompts.json").steps) == 2
    panel.session.undo()
    panel.session.undo()
    settle(panel, qtbot, 0)
    np.testing.assert_array_equal(labels.data, before)
    panel.load(str(tmp_path / "prompts.json"))
    settle(panel, qtbot, 2)
    np.testing.assert_array_equal(labels.data, after)
    assert panel.session.prompt_layers.strokes.data[Z, LY, LX - 4] > 0
    assert len(panel.session.prompt_layers.points.data) == 1
    panel.load(str(tmp_path / "absent.json"))
    assert "cannot be read" in panel.status_label.text()


def test_a_new_segmentation_is_made_from_strokes_alone(make_napari_viewer, qtbot):
    viewer = make_napari_viewer()
    viewers.add_layers(viewer, to_layers.study_to_layers(make_ball_study()))
    panel = CorrectWidget(viewer)
    qtbot.addWidget(panel)
    assert panel.chooser.box.currentText() == "new segmentation of case"
    begin(panel, qtbot)
    assert panel.session.correction.layer.name == "case corrected"
    paint(panel, Z, LY, range(LX - 3, LX + 4))
    settle(panel, qtbot, 1)
    assert panel.session.correction.layer.data.any()
    panel.finish()


def test_the_layers_of_prompts_are_no_labels_to_other_panels(begun, qtbot):
    viewer, labels, panel = begun
    assert viewer.layers.selection.active is panel.session.prompt_layers.strokes
    assert labels_in_view(viewer) is labels


def test_in_3d_nothing_is_drawn_and_it_is_said_why(begun, qtbot):
    viewer, _, panel = begun
    viewer.dims.ndisplay = 3
    qtbot.wait(20)
    assert panel.session.prompt_layers.tool is None
    panel.session.prompt_layers.take("stroke")
    assert "3D" in panel.status_label.text()
    assert panel.session.prompt_layers.tool is None
    assert not panel.controls.slices.fill_button.isEnabled()
    viewer.dims.ndisplay = 2
    panel.session.prompt_layers.take("stroke")
    assert panel.session.prompt_layers.tool == "stroke"


def test_finishing_takes_the_layers_away_or_leaves_them(begun, qtbot):
    viewer, labels, panel = begun
    paint(panel, Z, LY, range(LX - 6, LX - 2))
    settle(panel, qtbot, 1)
    names = [layer.name for layer in viewer.layers]
    panel.controls.keep_box.setChecked(True)
    panel.finish()
    assert [layer.name for layer in viewer.layers] == names
    assert viewer.layers.selection.active is labels
    begin(panel, qtbot)
    panel.controls.keep_box.setChecked(False)
    panel.finish()
    assert [layer.name for layer in viewer.layers] == names
    press(viewer, Qt.Key.Key_S)
    assert panel.session is None
    labels.undo()  # goes on


def test_the_labels_are_renamed_moved_in_the_list_and_removed(begun, qtbot):
    viewer, labels, panel = begun
    labels.name = "other"
    assert "other" in panel.controls.name_label.text()
    viewer.layers.move(viewer.layers.index(labels), 0)
    paint(panel, Z, LY, range(LX - 6, LX - 2))
    settle(panel, qtbot, 1)
    viewer.layers.remove(labels)
    qtbot.waitUntil(lambda: panel.session is None, timeout=5000)
    assert not [layer for layer in viewer.layers if layers.is_prompt_layer(layer)]
    assert panel.chooser.isVisibleTo(panel)


def test_a_layer_of_prompts_that_is_removed_ends_the_correction(begun, qtbot):
    viewer, labels, panel = begun
    viewer.layers.remove(panel.session.prompt_layers.strokes)
    qtbot.waitUntil(lambda: panel.session is None, timeout=5000)
    assert labels in viewer.layers


def test_another_panel_writes_into_the_labels_while_they_are_corrected(begun, qtbot):
    _, labels, panel = begun
    paint(panel, Z, LY, range(LX - 6, LX - 2))
    settle(panel, qtbot, 1)
    replace_labels(labels, np.zeros(labels.data.shape, np.uint8))
    settle(panel, qtbot)
    assert panel.controls.steps.texts()[-1].startswith("2  painted by hand, or by another panel")
    assert holds_the_same(panel.session.correction)


def test_other_labels_in_the_same_layer_are_taken_over_or_end_it(begun, qtbot):
    _, labels, panel = begun
    paint(panel, Z, LY, range(LX - 6, LX - 2))
    settle(panel, qtbot, 1)
    labels.data = np.full(labels.data.shape, 2, np.uint8)
    panel.session.undo()
    assert "no longer known" in panel.status_label.text()
    paint(panel, Z, LY + 4, [LX])
    settle(panel, qtbot, 2)
    assert holds_the_same(panel.session.correction)
    labels.data = np.zeros((3, 4, 5), np.uint8)
    qtbot.waitUntil(lambda: panel.session is None, timeout=5000)


def test_a_panel_that_is_closed_leaves_nothing_behind(begun, qtbot):
    viewer, labels, panel = begun
    before = {name: len(getattr(labels.events, name).callbacks) for name in ("paint", "set_data", "data", "name")}
    paint(panel, Z, LY, range(LX - 6, LX - 2))
    settle(panel, qtbot, 1)
    viewer.window.remove_dock_widget(panel)
    assert panel.session is None
    after = {name: len(getattr(labels.events, name).callbacks) for name in before}
    assert all(after[name] == before[name] - 1 for name in before)
    assert not [layer for layer in viewer.layers if layers.is_prompt_layer(layer)]


def test_a_panel_that_is_destroyed_takes_its_layers_and_keys_along(make_napari_viewer, qtbot):
    viewer = make_napari_viewer()
    labels = fill_viewer(viewer)
    keys = set(viewer.keymap)
    panel = CorrectWidget(viewer)
    begin(panel, qtbot)
    paint(panel, Z, LY, range(LX - 6, LX - 2))
    settle(panel, qtbot, 1)
    assert set(viewer.keymap) != keys
    panel.deleteLater()
    qtbot.waitUntil(lambda: not [one for one in viewer.layers if layers.is_prompt_layer(one)], timeout=5000)
    assert set(viewer.keymap) == keys
    labels.undo()
    labels.paint((1, 1, 1), 2)


def test_the_proxy_that_napari_hands_to_panels_of_the_menu_will_do(make_napari_viewer, qtbot, recwarn):
    from napari.utils._proxies import PublicOnlyProxy

    viewer = make_napari_viewer()
    labels = fill_viewer(viewer)
    panel = CorrectWidget(PublicOnlyProxy(viewer))
    qtbot.addWidget(panel)
    begin(panel, qtbot)
    assert panel.controls.tools.tool_buttons["stroke"].isChecked()
    before = labels.data.copy()
    paint(panel, Z, LY, range(LX - 6, LX - 2))
    settle(panel, qtbot, 1)
    assert not np.array_equal(labels.data, before)
    labels.undo()
    settle(panel, qtbot, 0)
    panel.finish()
    assert not [one for one in recwarn if "_undo_history" in str(one.message)]


def test_no_case_no_correction(make_napari_viewer, qtbot):
    viewer = make_napari_viewer()
    panel = CorrectWidget(viewer)
    qtbot.addWidget(panel)
    assert not panel.chooser.button.isEnabled()
    assert "Open a case first" in panel.status_label.text()
    fill_viewer(viewer)
    qtbot.waitUntil(panel.chooser.button.isEnabled, timeout=5000)
    assert panel.chooser.box.currentText() == "case segmentation"
    assert panel.status_label.text() == ""


def test_the_lines_say_what_is_missing(begun, qtbot):
    _, _, panel = begun
    panel.code_box.toggle.setChecked(True)
    qtbot.waitUntil(lambda: bool(panel.code_box.findChildren(type(panel.status_label))), timeout=5000)
    with pytest.raises(Exception, match=r"file|memory"):
        panel._lines()


def test_after_3d_and_back_the_tool_is_in_the_hand_again(begun, qtbot):
    viewer, labels, panel = begun
    panel.session.prompt_layers.take("outline")
    viewer.dims.ndisplay = 3
    assert panel.session.prompt_layers.tool is None
    viewer.dims.ndisplay = 2
    qtbot.waitUntil(lambda: panel.session.prompt_layers.tool == "outline", timeout=5000)
    assert panel.controls.tools.tool_buttons["outline"].isChecked()
    viewer.dims.ndisplay = 3
    viewer.layers.selection = {labels}
    viewer.dims.ndisplay = 2
    qtbot.wait(50)
    assert panel.session.prompt_layers.tool is None  # the user has turned to something else
    assert viewer.layers.selection.active is labels


def test_a_preview_shows_a_ring_and_waits_until_it_is_taken_or_dropped(begun, qtbot):
    viewer, labels, panel = begun
    before = labels.data.copy()
    panel.controls.tools.choose_class("edema")
    panel.controls.tidy.preview_box.setChecked(True)
    for key, taken in ((Qt.Key.Key_Escape, False), (Qt.Key.Key_Return, True)):
        paint(panel, Z, LY, range(LX - 6, LX - 2))
        qtbot.waitUntil(
            lambda: panel.session.queue.holding and panel.controls.tidy.take_button.isEnabled(), timeout=20000
        )
        np.testing.assert_array_equal(labels.data, before)
        ring = viewer.layers["Preview"].data > 0
        assert ring.sum() > 20
        assert "Enter accepts it" in panel.status_label.text()
        if taken:
            panel.controls.tidy.take_button.click()
        else:
            press(viewer, key)
        settle(panel, qtbot, int(taken))
        assert "Preview" not in viewer.layers
        np.testing.assert_array_equal(labels.data != before, ring if taken else False)
        assert holds_the_same(panel.session.correction)


def test_this_slice_alone_leaves_the_slices_around(begun, qtbot):
    _, labels, panel = begun
    before = labels.data.copy()
    panel.controls.tools.choose_class("edema")
    panel.controls.tools.toggle_slice()
    paint(panel, Z, LY, range(LX - 6, LX - 2))
    settle(panel, qtbot, 1)
    assert np.flatnonzero((labels.data != before).any(axis=(1, 2))).tolist() == [Z]
    assert panel.session.correction.prompts[0].around is False
    assert "this slice" in panel.controls.steps.texts()[0]
    panel.controls.tools.toggle_slice()
    paint(panel, Z, LY - 1, range(LX - 6, LX - 2))
    settle(panel, qtbot, 2)
    assert panel.session.correction.prompts[1].around is True


def test_islands_are_removed_and_margins_smoothed_for_the_chosen_region(begun, qtbot):
    viewer, labels, panel = begun
    before = labels.data.copy()
    panel.controls.tools.choose_class("edema")
    panel.controls.tidy.buttons["keep largest"].click()
    assert "Choose the region first" in panel.status_label.text()
    panel.controls.tools.choose_class("whole tumour")
    panel.controls.tidy.buttons["smooth margin"].click()
    settle(panel, qtbot)
    assert panel.controls.steps.texts() == ["1  smooth margin 2 mm · whole tumour"]
    panel.session.undo()
    settle(panel, qtbot)
    z, y, x = (int(one) for one in np.argwhere(labels.data > 0).mean(axis=0))
    for axis, index in enumerate((z, y, x)):
        go_to(viewer, labels, axis, index)
    panel.controls.tidy.buttons["remove island"].click()
    settle(panel, qtbot)
    assert before.any()
    assert not labels.data.any()
    assert holds_the_same(panel.session.correction)
