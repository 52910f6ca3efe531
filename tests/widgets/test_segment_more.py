"""The Segment panel: results that replace, thresholds afterwards, a box, doubtful places, several studies in a row."""

import numpy as np
import pytest
from panel_cases import SHAPE, make_model, make_study

from napari_brain_tumor.catalogue import BASELINES
from napari_brain_tumor.plugin import drawing, layers, to_layers, viewers

pytest.importorskip("qtpy.QtWidgets", reason="needs a Qt binding")
pytestmark = pytest.mark.gui

PATIENCE_MS = 15_000


@pytest.fixture
def panel(make_napari_viewer, worker):
    from napari_brain_tumor.widgets.segment import SegmentWidget

    def make(*studies, task="segment_with_maps", models=None):
        viewer = make_napari_viewer()
        for study in studies or (make_study(),):
            viewers.add_layers(viewer, to_layers.study_to_layers(study))
        made = [make_model()] if models is None else models
        widget = SegmentWidget(viewer, worker, target=f"worker_tasks:{task}", models=made)
        widget.devices.asked = True  # asking loads torch in the child
        viewer.window.add_dock_widget(widget, name="Segment", area="right")
        return viewer, widget

    return make


def finish(qtbot, widget):
    widget.run_button.click()
    qtbot.waitUntil(lambda: not widget.runs.running and not widget.runner.running, timeout=PATIENCE_MS)


def apply(qtbot, widget, **thresholds):
    for region, value in thresholds.items():
        widget.more.threshold_boxes[region].setValue(value)
    with qtbot.waitSignal(widget.maps.relabel_runner.finished, timeout=PATIENCE_MS):
        widget.more.apply_button.click()


def expected(threshold, box=None):
    """What the stand-in labels: its probabilities are the first axis of the display, from 0 to 1."""
    return np.broadcast_to((np.linspace(0, 1, SHAPE[2]) >= threshold)[:, None, None], SHAPE[::-1])


def test_a_result_replaces_the_last_one_keeps_what_a_hand_painted_and_undo_brings_it_back(panel, qtbot):
    viewer, widget = panel()
    finish(qtbot, widget)
    first = viewer.layers[-1]
    np.testing.assert_array_equal(first.data > 0, expected(0.5))
    first.data_setitem((np.array([0]), np.array([3]), np.array([4])), 3)
    widget.result_box.setCurrentIndex(widget.result_box.findData("replace"))
    widget.more.threshold_boxes["WT"].setValue(0.25)
    finish(qtbot, widget)
    assert viewer.layers[-1] is first
    assert len(viewer.layers) == 5
    wanted = expected(0.25).copy()
    wanted[0, 3, 4] = True
    np.testing.assert_array_equal(first.data > 0, wanted)
    assert first.data[0, 3, 4] == 3
    assert "1 voxels that were painted by hand were kept" in widget.status_label.text()
    first.undo()
    np.testing.assert_array_equal((first.data > 0) & (first.data < 3), expected(0.5))
    assert first.data[0, 3, 4] == 3
    first.undo()
    assert first.data[0, 3, 4] == 0


def test_thresholds_label_a_result_anew_without_running_and_undo_finds_the_old_probabilities(panel, qtbot):
    viewer, widget = panel()
    finish(qtbot, widget)
    result = viewer.layers[-1]
    result.data_setitem((np.array([0]), np.array([3]), np.array([4])), 2)
    assert widget.more.apply_button.isEnabled()
    apply(qtbot, widget, WT=0.8)
    wanted = expected(0.8).copy()
    wanted[0, 3, 4] = True
    np.testing.assert_array_equal(result.data > 0, wanted)
    settings = result.metadata[layers.KEY].provenance["settings"]
    assert settings["thresholds"]["WT"] == 0.8
    result.undo()
    np.testing.assert_array_equal(result.data == 1, expected(0.5))
    widget.more.reset_button.click()
    assert widget.choices.options.thresholds is None
    from napari_brain_tumor.widgets.stored_maps import stored_maps_of

    qtbot.waitUntil(lambda: stored_maps_of(result).maps.thresholds["WT"] == 0.5, timeout=PATIENCE_MS)


def test_what_is_not_as_usual_reaches_the_job_and_is_told_while_folded(panel, qtbot):
    viewer, widget = panel()
    widget.more.threshold_boxes["ET"].setValue(0.35)
    widget.more.draw_button.click()
    box = viewer.layers[-1]
    assert (box.mode, widget.choices.box) == ("add_rectangle", box)
    assert "Nothing is drawn in box" in widget.choices.obstacle
    assert not widget.run_button.isEnabled()
    scan = viewer.layers[0]
    corners = [scan.data_to_world(one) for one in ((5, 2, 3), (5, 2, 9), (5, 8, 9), (5, 8, 3))]
    box.add_rectangles(np.array(corners))
    grid = layers.view(scan).grid
    ends = np.array(widget.choices.request.box).reshape(3, 2)
    np.testing.assert_allclose(ends[:2].T, grid.world([(3, 2, 5), (9, 8, 5)])[:, :2])
    half = grid.spacing[2] / 2
    np.testing.assert_allclose(ends[2], grid.world([(0, 0, 0), (0, 0, SHAPE[2] - 1)])[:, 2] + [-half, half])
    assert widget.run_button.isEnabled()
    assert widget.more.summary_label.text() == "Set: ET from 0.35; box of 6 × 6 × 24 mm (right, front, up)"
    assert widget.more.summary_label.isVisibleTo(widget)
    finish(qtbot, widget)
    assert viewer.layers[-1].metadata[layers.KEY].provenance["settings"]["thresholds"]["ET"] == 0.35
    inside = np.zeros(SHAPE[::-1], bool)
    inside[:, 2:9, 3:10] = True
    np.testing.assert_array_equal(viewer.layers[-1].data > 0, expected(0.5) & inside)
    box.add_rectangles(np.add(corners, (4.0, 0, 0)))  # two slices further up
    assert widget.choices.request.box[5] - widget.choices.request.box[4] == pytest.approx(4)
    viewer.layers.remove(box)
    qtbot.waitUntil(lambda: widget.choices.box is None, timeout=PATIENCE_MS)
    assert widget.choices.request.box is None


def test_a_result_within_a_box_replaces_what_lies_in_it_alone(panel, qtbot):
    viewer, widget = panel()
    finish(qtbot, widget)
    result = viewer.layers[-1]
    scan = viewer.layers[0]
    box = viewer.add_layer(drawing.rectangles_over(scan, "box"))
    box.add_rectangles(np.array([scan.data_to_world(one) for one in ((5, 2, 3), (5, 2, 9), (5, 8, 9), (5, 8, 3))]))
    qtbot.waitUntil(lambda: widget.more.region_box.count() == 2, timeout=PATIENCE_MS)
    widget.more.region_box.setCurrentIndex(1)
    widget.more.region_box.activated.emit(1)
    widget.result_box.setCurrentIndex(1)
    widget.more.threshold_boxes["WT"].setValue(0.95)
    finish(qtbot, widget)
    inside = np.zeros(SHAPE[::-1], bool)
    inside[:, 2:9, 3:10] = True
    np.testing.assert_array_equal(result.data > 0, np.where(inside, expected(0.95), expected(0.5)))


def test_doubtful_places_are_gone_to_by_button_key_and_list_and_told(panel, qtbot):
    from napari_brain_tumor.widgets.doubt_ring import ring_of

    viewer, widget = panel()
    assert not widget.maps.doubt_buttons[0].isEnabled()
    finish(qtbot, widget)
    assert widget.maps.doubt_buttons[0].isEnabled()
    widget.maps.doubt_buttons[0].click()
    assert viewer.dims.current_step[0] == 9  # the middle of the five slices from 0.38 to 0.6
    assert widget.maps.doubt_label.text() == "1 of 3: enhancing tumour, 4.8 mL, probability 0.38 to 0.60"
    assert viewer.status == widget.maps.doubt_label.text()
    listed = widget.maps.doubt_list.texts()[0]
    assert listed[1:] == ["4.8 mL", "enhancing tumour or not: probability 0.38 to 0.60"]
    assert len(widget.maps.doubt_list.names) == 3
    assert widget.maps.doubt_list.selected_row == 0
    before = len(viewer.layers)
    widget.maps.doubt_list.selectRow(2)
    assert widget.maps.doubt_label.text().startswith("3 of 3")
    np.testing.assert_allclose(ring_of(viewer).centre, viewer.dims.point, atol=1)
    assert len(viewer.layers) == before
    widget.maps.doubt_list.selectRow(0)
    viewer.layers.selection = {viewer.layers[0]}
    from napari.utils.key_bindings import coerce_keybinding

    (act,) = [made for key, made in viewer.keymap.items() if key == coerce_keybinding("Shift+N")]
    act(viewer)
    assert widget.maps.doubt_label.text().startswith("2 of 3: whole tumour, 3.8 mL")
    widget.maps.doubt_buttons[1].click()
    assert widget.maps.doubt_label.text().startswith("1 of 3: enhancing tumour")


def test_maps_are_shown_below_no_scan_and_go_when_they_are_not_wanted(panel, qtbot):
    viewer, widget = panel()
    finish(qtbot, widget)
    result = viewer.layers[-1]
    with qtbot.waitSignal(widget.maps.runner.finished, timeout=PATIENCE_MS):
        widget.more.map_boxes["uncertainty"].setChecked(True)
    shown = viewer.layers["case segmentation uncertainty"]
    assert viewer.layers.selection.active is result
    p = np.linspace(0, 1, SHAPE[2]).astype(np.float16).astype(float)[5]
    bits = -p * np.log2(p) - (1 - p) * np.log2(1 - p)
    np.testing.assert_allclose(shown.data[5], bits, atol=1e-4)
    qtbot.wait(50)
    assert [widget.role_boxes["T1"].itemText(at) for at in range(widget.role_boxes["T1"].count())][-1] == "FLAIR · case"
    widget.more.map_boxes["uncertainty"].setChecked(False)
    assert "case segmentation uncertainty" not in viewer.layers
    with qtbot.waitSignal(widget.maps.runner.finished, timeout=PATIENCE_MS):
        widget.more.map_boxes["probabilities"].setChecked(True)
    assert viewer.layers[-1] is result  # its colours stay above
    assert [layer.name for layer in viewer.layers][-4:-1] == [
        f"case segmentation probability of {name}" for name in ("whole tumour", "tumour core", "enhancing tumour")
    ]


def tick(widget, *rows):
    from qtpy.QtCore import Qt

    for row in rows:
        widget.study_list.list.item(row).setCheckState(Qt.CheckState.Checked)


def test_several_studies_run_in_a_row_and_one_that_fails_does_not_stop_the_others(panel, qtbot, monkeypatch):
    from napari_brain_tumor.widgets import segment

    told = []
    monkeypatch.setattr(segment, "notify", told.append)
    viewer, widget = panel(make_study("anna"), make_study("refused"), make_study("carl"), task="segment_or_refuse")
    qtbot.waitUntil(lambda: widget.study_list.list.count() == 3, timeout=PATIENCE_MS)
    assert widget.study_list.isVisibleTo(widget)
    tick(widget, 0, 1, 2)
    assert widget.run_button.text() == "&Run 3 studies"
    finish(qtbot, widget)
    assert [layer.name for layer in viewer.layers[12:]] == ["anna segmentation", "carl segmentation"]
    summary = "Segmented 2 of 3 studies.\nrefused was refused: FLAIR is missing"
    assert widget.status_label.text() == summary
    assert told == [summary]
    viewer.layers["anna segmentation"].data[:] = 2
    widget.result_box.setCurrentIndex(1)
    finish(qtbot, widget)
    assert len(viewer.layers) == 14
    assert (viewer.layers["anna segmentation"].data == 2).all()  # a hand wrote it


def test_cancel_stops_all_studies(panel, qtbot):
    viewer, widget = panel(make_study("anna"), make_study("carl"), task="segment_slowly")
    qtbot.waitUntil(lambda: widget.study_list.list.count() == 2, timeout=PATIENCE_MS)
    tick(widget, 0, 1)
    with qtbot.waitSignal(widget.runner.progressed, timeout=PATIENCE_MS):
        widget.run_button.click()
    assert "1 of 2, anna: " in widget.status_label.text()
    with qtbot.waitSignal(widget.runner.cancelled, timeout=PATIENCE_MS):
        widget.cancel_button.click()
    qtbot.waitUntil(lambda: not widget.runner.running, timeout=PATIENCE_MS)
    assert len(viewer.layers) == 8
    assert widget.status_label.text() == "Cancelled. Nothing was added."
    assert widget.run_button.isEnabled()


def test_methods_without_weights_have_no_thresholds_and_the_page_tells_of_each_model(panel, qtbot):
    _, widget = panel(models=[make_model(), BASELINES["threshold"]])
    widget.more.toggle.setChecked(True)
    assert widget.more.threshold_boxes["WT"].isVisibleTo(widget.more)
    widget.models.about_button.click()
    page = widget.models.page
    text = page.text.toPlainText()
    for part in ("Test network", "1.5 million", "T1, T1c, T2, FLAIR (any of them)", "A note of the card.", "BSD-3"):
        assert part in text
    assert "color" not in page.text.toHtml().split("<body")[1].replace("background-color:transparent", "")
    widget.model_box.setCurrentIndex(widget.model_box.count() - 1)
    assert not widget.more.threshold_boxes["WT"].isVisibleTo(widget.more)
    assert not widget.more.apply_button.isVisibleTo(widget.more)
    widget.models.about_button.click()
    assert "Otsu" in page.text.toPlainText()
    page.close()


def test_free_memory_stands_beside_the_device(panel):
    from napari_brain_tumor.inference.memory import DeviceMemory

    _, widget = panel()
    widget.devices.show_devices([("cuda:0", "A GPU (cuda:0)", "why"), ("cpu", "Processor (cpu)", "2 threads")])
    widget.device_box.setCurrentIndex(2)
    widget.devices.show_memory(
        [DeviceMemory("cuda:0", "A GPU (cuda:0)", 3 << 30), DeviceMemory("cpu", "Processor (cpu)", None)]
    )
    texts = [widget.device_box.itemText(at) for at in range(widget.device_box.count())]
    assert texts == ["auto: cuda:0, 3.0 GiB free", "cuda:0: 3.0 GiB free, A GPU (cuda:0)", "Processor (cpu)"]
    assert widget.choices.options.device == "cpu"


def test_mnemonics_are_unique_and_every_control_is_named(panel):
    import re

    from qtpy.QtWidgets import QAbstractButton, QLabel, QListWidget

    _, widget = panel()
    widget.more.toggle.setChecked(True)
    told = [*widget.findChildren(QAbstractButton), *(one for one in widget.findChildren(QLabel) if one.buddy())]
    texts = [one.text() for one in told if one.isVisibleTo(widget)]
    assert widget.widget().minimumSizeHint().width() <= 300
    letters = [found[1].lower() for text in texts if (found := re.search(r"&(\w)", text))]
    assert sorted(letters) == sorted(set(letters))
    assert all(one.toolTip() and one.accessibleName() for one in widget.findChildren(QListWidget))
    assert all(one.toolTip() for one in widget.findChildren(QAbstractButton) if one.text())


def test_keys_are_nobody_elses():
    from napari._qt.qt_viewer import QtViewer  # noqa: F401  (registers napari's own actions)
    from napari.utils.key_bindings import coerce_keybinding
    from napari.utils.shortcuts import default_shortcuts

    from napari_brain_tumor.widgets import doubt, view_actions
    from napari_brain_tumor.widgets.curate_pages import KEYS as CURATE_KEYS

    others = {str(key) for keys in default_shortcuts.values() for key in keys}
    others |= {str(coerce_keybinding(key)) for key in [*CURATE_KEYS.values(), *(one.key for one in view_actions.KEYS)]}
    assert "Shift+J" in others
    assert not others & {str(coerce_keybinding(one.key)) for one in doubt.KEYS}
