"""The table in the Segment panel: what it shows, that it keeps up, and what its buttons do."""

import numpy as np
import pytest
from panel_cases import make_model, make_study

import phantoms
from napari_brain_tumor.classical.registry import BASELINES
from napari_brain_tumor.geometry import Grid
from napari_brain_tumor.plugin import from_layers, to_layers, viewers
from napari_brain_tumor.preflight import Fix, Row
from napari_brain_tumor.study import Segmentation, Study

pytest.importorskip("qtpy.QtWidgets", reason="needs a Qt binding")
pytestmark = pytest.mark.gui

PATIENCE_MS = 15_000
FINE = Grid((40, 48, 36), phantoms.affine(spacing=(4, 4, 4)))
THICK = Grid((40, 48, 12), phantoms.affine(spacing=(4, 4, 12)))


@pytest.fixture
def panel(make_napari_viewer, worker):
    """Makes a viewer with studies and the panel."""
    from napari_brain_tumor.widgets.segment import SegmentWidget

    def make(*studies, models=None):
        viewer = make_napari_viewer()
        for study in studies or (make_study(),):
            viewers.add_layers(viewer, to_layers.study_to_layers(study))
        widget = SegmentWidget(viewer, worker, models=[make_model()] if models is None else models)
        widget.devices.asked = True
        viewer.window.add_dock_widget(widget, name="Segment", area="right")
        return viewer, widget

    return make


def shown(qtbot, widget, question, verdict=None):
    """The words of a row, as soon as it is there with that verdict."""

    def there():
        found = widget.preflight.texts().get(question)
        return found is not None and verdict in (None, found[0])

    qtbot.waitUntil(there, timeout=PATIENCE_MS)
    return widget.preflight.texts()[question][1]


def press(widget, label):
    from qtpy.QtWidgets import QPushButton

    (found,) = (one for one in widget.preflight.body.findChildren(QPushButton) if one.text() == label)
    found.click()


def test_one_line_opens_by_key_and_click_into_all_rows(panel, qtbot):
    from qtpy.QtCore import Qt

    _, widget = panel()
    shown(qtbot, widget, "Intensities", "pass")
    table = widget.preflight
    assert table.toggle.text().replace("&", "").startswith("⚠ 1 of 10 checks warns: ")
    assert "Intensities: Finite" in table.toggle.toolTip()
    assert not table.body.isVisibleTo(table)
    qtbot.keyClick(table.toggle, Qt.Key.Key_Space)
    assert table.body.isVisibleTo(table)
    assert table._rows.count() >= 20  # a verdict and words for each of ten rows
    table.toggle.click()
    assert not table.body.isVisibleTo(table)


def test_rows_follow_the_choices_of_the_panel(panel, qtbot):
    _, widget = panel()
    assert "every sequence" in shown(qtbot, widget, "Model")
    widget.role_boxes["T2"].setCurrentIndex(0)
    widget.role_boxes["T2"].activated.emit(0)
    assert "Without T2" in shown(qtbot, widget, "Model", "warn")
    widget.devices.show_devices([("cpu", "Processor (cpu)", "2 threads")])
    qtbot.waitUntil(lambda: "Processor" in widget.preflight.texts()["Time, memory"][1], timeout=PATIENCE_MS)


def test_pictures_are_looked_at_once_and_off_the_windows_thread(panel, qtbot, monkeypatch):
    import threading

    from napari_brain_tumor.widgets import preflight_state

    threads = []
    look = preflight_state.facts_of

    def noted(scans):
        threads.append(threading.current_thread())
        return look(scans)

    monkeypatch.setattr(preflight_state, "facts_of", noted)
    _, widget = panel()
    shown(qtbot, widget, "Intensities")
    with qtbot.waitSignal(widget.preflight.answered, timeout=PATIENCE_MS):
        widget.more.controls.control("flips").setChecked(True)
    assert len(threads) == 1
    assert threads[0] is not threading.main_thread()


def test_a_failing_row_opens_the_table_and_its_button_chooses_another_model(panel, qtbot):
    edges = BASELINES["edges"]
    _, widget = panel(make_study(roles=("T1",)), models=[edges, make_model()])
    assert "needs FLAIR or T2" in shown(qtbot, widget, "Model", "fail")
    assert widget.preflight.toggle.isChecked()
    assert not widget.run_button.isEnabled()
    press(widget, "Use test")
    assert widget.choices.model.name == "test"
    assert widget.run_button.isEnabled()
    shown(qtbot, widget, "Model", "warn")
    assert not widget.preflight.toggle.isChecked()


def test_resampling_adds_scans_on_one_grid_chooses_them_and_keeps_the_old(panel, qtbot):
    one_by_one = [
        Study({"FLAIR": phantoms.brain(FINE.shape, 1)}, FINE, "scan_flair"),
        Study({"T1": phantoms.brain(THICK.shape, 2)}, THICK, "scan_t1"),
    ]
    viewer, widget = panel(*one_by_one)
    before = [(layer, layer.data.copy()) for layer in viewer.layers]
    assert "FLAIR is open too" in shown(qtbot, widget, "One grid", "warn")
    press(widget, "Bring onto one grid")
    qtbot.waitUntil(lambda: set(widget.choices.sequences) == {"T1", "FLAIR"}, timeout=PATIENCE_MS)
    assert [layer.name for layer in viewer.layers[2:]] == [
        "scan one grid T1",
        "scan one grid FLAIR",
    ]
    for layer, data in before:
        np.testing.assert_array_equal(layer.data, data)
    study = from_layers.study_from_layers(widget.choices.sequences)
    assert (study.grid, study.resampled) == (FINE, ("T1",))
    np.testing.assert_array_equal(study.sequences["FLAIR"], one_by_one[0].sequences["FLAIR"])
    qtbot.waitUntil(lambda: "T1 was resampled" in shown(qtbot, widget, "One grid"), timeout=PATIENCE_MS)


def test_scans_of_another_case_are_not_offered(panel, qtbot):
    whole = Study({r: phantoms.brain(THICK.shape, s) for s, r in enumerate(("T1", "T2"))}, THICK, "somebody else")
    _, widget = panel(whole, Study({"FLAIR": phantoms.brain(FINE.shape, 5)}, FINE, "alone"))
    assert shown(qtbot, widget, "One grid", "pass") == "On 40x48x36 voxels."


def test_buttons_lead_to_roles_and_devices(panel, qtbot):
    _, widget = panel()
    shown(qtbot, widget, "Model")
    widget.devices.show_devices([("cpu", "Processor (cpu)", "2 threads")])
    widget.preflight.fix_requested.emit(Fix("device", "Use cpu", "cpu"))
    assert widget.choices.options.device == "cpu"
    focused = []
    for role, box in widget.role_boxes.items():
        box.setFocus = lambda role=role: focused.append(role)
    widget.preflight.fix_requested.emit(Fix("roles", "Choose roles"))
    widget.role_boxes["T2"].setCurrentIndex(0)
    widget.role_boxes["T2"].activated.emit(0)
    widget.preflight.fix_requested.emit(Fix("roles", "Choose roles"))
    assert focused == ["T1", "T2"]


def test_selected_labels_of_these_scans_get_a_row(panel, qtbot):
    study = make_study()
    viewer, widget = panel(study)
    data = phantoms.tumour(study.grid.shape)
    viewers.add_layers(viewer, [to_layers.segmentation_to_layer(Segmentation(data, study.grid, "one"))])
    assert "1 edema, 2 non-enhancing, 3 enhancing" in shown(qtbot, widget, "Labels", "pass")
    viewers.add_layers(viewer, [to_layers.raw_labels_to_layer("unclear", data * 9, study.grid)])
    assert "not known" in shown(qtbot, widget, "Labels", "fail")
    viewer.layers.selection = {viewer.layers[0]}
    qtbot.waitUntil(lambda: "Labels" not in widget.preflight.texts(), timeout=PATIENCE_MS)


def test_closing_the_panel_while_it_checks_harms_nothing(panel, qtbot):
    viewer, widget = panel()
    widget.preflight._check()
    runner = widget.preflight.runner
    viewer.window.remove_dock_widget(widget)
    widget.deleteLater()
    qtbot.waitUntil(lambda: not runner.running, timeout=PATIENCE_MS)
    viewer.add_image(np.zeros((3, 4, 5)))


def test_the_line_counts_and_names():
    from napari_brain_tumor.widgets.preflight_state import header_text

    good, odd, bad = Row("A", "pass", ""), Row("B", "warn", ""), Row("C", "fail", "")
    assert header_text([good, good]) == "✓ 2 checks pass"
    assert header_text([good]) == "✓ 1 check passes"
    assert header_text([good, odd]) == "⚠ 1 of 2 checks warns: B"
    assert header_text([odd, bad, good]) == "✗ 1 of 3 checks fails: C; 1 warns: B"
