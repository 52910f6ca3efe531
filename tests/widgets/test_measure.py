"""The Measure panel in napari: measuring, lines that are moved, layers that come, change and go."""

import csv
import io
import json
from types import SimpleNamespace

import numpy as np
import pytest
from panel_cases import make_study

from napari_brain_tumor.errors import RecordError
from napari_brain_tumor.geometry import Grid
from napari_brain_tumor.plugin import to_layers, viewers
from napari_brain_tumor.study import Segmentation

pytest.importorskip("qtpy.QtWidgets", reason="needs a Qt binding")
pytestmark = pytest.mark.gui

PATIENCE_MS = 15_000


def lesions(grid: Grid, name: str = "case") -> Segmentation:
    """An enhancing block in an edema; a smaller one apart, on other slices."""
    data = np.zeros(grid.shape, np.uint8)
    data[2:18, 5:19, 1:7] = 1
    data[3:17, 6:18, 2:6] = 3
    data[3:9, 6:16, 9:11] = 3
    return Segmentation(data, grid, name)


@pytest.fixture
def panel(make_napari_viewer):
    """Makes a viewer with a study and labels, and the docked panel."""
    from napari_brain_tumor.widgets.measure import MeasureWidget

    def make(study=None):
        viewer = make_napari_viewer()
        study = study or make_study()
        viewers.add_layers(viewer, to_layers.study_to_layers(study))
        viewers.add_layers(viewer, [to_layers.segmentation_to_layer(lesions(study.grid))])
        widget = MeasureWidget(viewer)
        widget.more_controls.choose(brain="keep")  # these scans are noise
        viewer.window.add_dock_widget(widget, name="Measure", area="right")
        return viewer, widget

    return make


def measure(qtbot, widget):
    with qtbot.waitSignal(widget.runner.finished, timeout=PATIENCE_MS):
        widget.measure_button.click()


def row_of(widget, title):
    return next(row for row in widget.lesions.texts() if row[0] == title)


def drag(layer, start, stop):
    """Press at one world point, move, and let go at another, as the mouse does on the canvas."""
    from napari.utils._proxies import ReadOnlyWrapper
    from napari.utils.interactions import mouse_move_callbacks, mouse_press_callbacks, mouse_release_callbacks

    def event(kind, position):
        moved = SimpleNamespace(
            type=kind, is_dragging=kind == "mouse_move", modifiers=[], position=tuple(position), button=1, handled=False
        )
        return ReadOnlyWrapper(moved)

    mouse_press_callbacks(layer, event("mouse_press", start))
    mouse_move_callbacks(layer, event("mouse_move", stop))
    mouse_release_callbacks(layer, event("mouse_release", stop))


def test_measuring_shows_volumes_lesions_and_lines_and_alters_nothing(panel, qtbot):
    viewer, widget = panel()
    labels = viewer.layers[-1]
    before, active = labels.data.copy(), viewer.layers.selection.active
    measure(qtbot, widget)
    assert [row[0] for row in widget.lesions.texts()] == ["ET 1", "ET 2", "TC 1", "TC 2", "WT 1", "WT 2"]
    assert widget.volumes.texts()["enhancing"] == f"{(14 * 12 * 4 + 6 * 10 * 2) * 2 / 1000:.2f} mL"
    assert row_of(widget, "ET 1")[1] == f"{14 * 12 * 4 * 2 / 1000:.2f} mL"
    assert (viewer.layers[-1].name, len(viewer.layers[-1].data)) == ("case segmentation diameters", 8)
    assert viewer.layers.selection.active is active
    np.testing.assert_array_equal(labels.data, before)
    assert widget.status_label.text() == "Measured case segmentation."


def test_measuring_again_uses_the_same_layer_of_lines(panel, qtbot):
    viewer, widget = panel()
    measure(qtbot, widget)
    count = len(viewer.layers)
    viewer.layers[-2].data_setitem(tuple(np.array([[10], [12], [4]])), 0)
    measure(qtbot, widget)
    assert len(viewer.layers) == count


def test_choosing_a_lesion_goes_to_the_slice_on_which_it_was_measured(panel, qtbot):
    viewer, widget = panel()
    measure(qtbot, widget)
    for title in ("ET 2", "ET 1"):
        at = [row[0] for row in widget.lesions.texts()].index(title)
        widget.lesions.selectRow(at)
        lesion = widget._lesion(title)
        assert viewer.dims.point[0] == pytest.approx(lesion.diameters.long.start[2], abs=1e-4)
        assert widget.details_label.text().startswith(f"{title}: ")


def test_a_lesion_measured_on_sagittal_slices_is_shown_on_them(panel, qtbot):
    viewer, widget = panel()
    widget.plane_box.setCurrentText("sagittal")
    measure(qtbot, widget)
    widget.lesions.selectRow(0)
    lesion = widget._lesion("ET 1")
    assert viewer.dims.order == (2, 0, 1)
    assert viewer.dims.point[2] == pytest.approx(lesion.diameters.long.start[0], abs=1e-4)
    assert "on sagittal slice" in widget.details_label.text()


def test_dragging_an_end_with_the_mouse_makes_the_table_follow(panel, qtbot):
    viewer, widget = panel()
    measure(qtbot, widget)
    widget.lesions.selectRow(0)
    widget.edit_lines()
    shapes = widget.shapes
    assert viewer.layers.selection.active is shapes
    assert str(shapes.mode) == "direct"
    assert widget.status_label.text().endswith("Click a line, then drag one of its ends.")
    assert shapes.selected_data == {0, 1}  # both lines of the chosen lesion show their ends
    start, end = (np.asarray(shapes.data_to_world(one)) for one in shapes.data[0])
    target = end + (end - start) / np.linalg.norm(end - start) * 6
    before = row_of(widget, "ET 1")
    drag(shapes, end, target)
    qtbot.waitUntil(lambda: row_of(widget, "ET 1")[2].endswith("✎"), timeout=PATIENCE_MS)
    length = np.linalg.norm(end - start) + 6
    assert row_of(widget, "ET 1")[2].startswith(f"{length:.1f} × ")
    assert "Drawn by hand" in widget.details_label.text()
    widget.computed_button.click()
    assert row_of(widget, "ET 1") == before


def test_numbers_by_hand_are_told_in_csv_and_json(panel, qtbot, tmp_path):
    _, widget = panel()
    measure(qtbot, widget)
    data = widget.shapes.data
    data[0][1] = data[0][0] + [0, 3, 4]
    widget.shapes.data = data
    qtbot.waitUntil(lambda: row_of(widget, "ET 1")[2].endswith("✎"), timeout=PATIENCE_MS)
    for suffix in (".csv", ".json"):
        with qtbot.waitSignal(widget.export.runner.finished, timeout=PATIENCE_MS):
            widget.export.save(tmp_path / f"case{suffix}")
    rows = list(csv.DictReader(io.StringIO((tmp_path / "case.csv").read_text())))
    assert {row["name"]: row["by_hand"] for row in rows if row["by_hand"]} == {
        "ET 1": "True",
        "ET 2": "False",
        "WT 1": "False",
        "WT 2": "False",
    }
    document = json.loads((tmp_path / "case.json").read_text(encoding="utf-8"))
    assert [one["diameters"]["by_hand"] for one in document["examinations"][0]["lesions"][:2]] == [True, False]


def test_the_copied_table_has_a_row_for_each_lesion(panel, qtbot):
    from qtpy.QtWidgets import QApplication

    _, widget = panel()
    measure(qtbot, widget)
    widget.export.copy_button.click()
    rows = list(csv.DictReader(io.StringIO(QApplication.clipboard().text()), delimiter="\t"))
    assert [row["name"] for row in rows if row["kind"] == "lesion"] == [row[0] for row in widget.lesions.texts()]


def test_painting_afterwards_asks_to_measure_again(panel, qtbot):
    _, widget = panel()
    measure(qtbot, widget)
    labels = widget.chosen_labels
    labels.data_setitem(tuple(np.array([[3], [12], [4]])), 1)
    qtbot.waitUntil(lambda: "has changed since: measure again" in widget.status_label.text(), timeout=PATIENCE_MS)
    measure(qtbot, widget)
    assert widget.status_label.text() == "Measured case segmentation."


def test_layers_that_are_renamed_or_removed_are_told(panel, qtbot):
    viewer, widget = panel()
    measure(qtbot, widget)
    labels = widget.chosen_labels
    labels.name = "mine"
    qtbot.waitUntil(lambda: widget.labels_box.currentText() == "mine", timeout=PATIENCE_MS)
    assert widget.status_label.text() == "Measured mine."
    viewer.layers.remove(labels)
    qtbot.waitUntil(lambda: "whose layer was removed" in widget.status_label.text(), timeout=PATIENCE_MS)
    assert len(widget.lesions.names) == 6
    assert not widget.measure_button.isEnabled()
    assert not widget.edit_button.isEnabled()
    widget.lesions.selectRow(1)  # there is nothing to go to; the numbers stay


def test_lines_that_were_removed_come_back(panel, qtbot):
    viewer, widget = panel()
    measure(qtbot, widget)
    viewer.layers.remove(widget.shapes)
    assert widget.shapes is None
    widget.edit_button.click()
    assert len(widget.shapes.data) == 8
    data = widget.shapes.data
    data[2][1] = data[2][0] + [0, 3, 4]
    widget.shapes.data = data
    qtbot.waitUntil(lambda: row_of(widget, "ET 2")[2].endswith("✎"), timeout=PATIENCE_MS)


def test_labels_removed_while_they_are_measured_leave_their_numbers(panel, qtbot):
    viewer, widget = panel()
    with qtbot.waitSignal(widget.runner.finished, timeout=PATIENCE_MS):
        widget.measure_button.click()
        viewer.layers.remove(widget.chosen_labels)
    assert len(widget.lesions.names) == 6
    assert widget.shapes is None


def test_each_labels_layer_has_its_own_lines(panel, qtbot):
    viewer, widget = panel()
    first = widget.chosen_labels
    measure(qtbot, widget)
    viewers.add_layers(viewer, [to_layers.segmentation_to_layer(lesions(make_study().grid), name="second")])
    qtbot.waitUntil(lambda: widget.labels_box.count() == 2, timeout=PATIENCE_MS)
    assert widget.chosen_labels is first
    widget.choose(viewer.layers["second"])
    assert "Another layer is chosen now" in widget.status_label.text()
    measure(qtbot, widget)
    assert [one.name for one in viewer.layers][-1] == "second diameters"
    assert "case segmentation diameters" in viewer.layers


def test_settings_reach_the_measurement(panel, qtbot):
    _, widget = panel()
    widget.least_box.setValue(400)
    widget.plane_box.setCurrentText("sagittal")
    measure(qtbot, widget)
    assert [row[0] for row in widget.lesions.texts()] == ["ET 1", "TC 1", "WT 1"]
    assert widget.examination.lesions[0].diameters.axis == 0
    assert "2 parts of less" not in widget.notes_label.text()
    assert "1 part of less than 400 mm³ left out" in widget.notes_label.text()


def test_a_study_of_unknown_spacing_shows_voxels_and_no_lines(panel, qtbot):
    _, widget = panel(make_study(unit="voxel"))
    measure(qtbot, widget)
    assert row_of(widget, "ET 1")[1] == "672 voxels"
    assert widget.shapes is None
    assert not widget.edit_button.isEnabled()
    assert "do not state the voxel size" in widget.notes_label.text()
    assert all("mm" not in cell for row in widget.lesions.texts() for cell in row)


def test_labels_that_cannot_be_measured_say_why(panel, qtbot):
    viewer, widget = panel()
    raw = to_layers.raw_labels_to_layer("unknown", np.full(make_study().grid.shape, 7, np.uint8), make_study().grid)
    viewers.add_layers(viewer, [raw])
    widget.choose(viewer.layers["unknown"])
    with qtbot.waitSignal(widget.runner.failed, timeout=PATIENCE_MS):
        widget.measure_button.click()
    viewer.layers["unknown"].name = "renamed"
    qtbot.waitUntil(lambda: widget.labels_box.currentText() == "renamed", timeout=PATIENCE_MS)
    assert widget.status_label.text().startswith("Not measured. What the labels in 'unknown' mean is not known")
    assert widget.measure_button.isEnabled()


def test_code_is_asked_for_only_of_labels_that_are_in_a_file(panel):
    _, widget = panel()
    with pytest.raises(RecordError, match="Save the layer first"):
        widget._lines()


def test_layout_goes_on_while_lines_are_there(panel, qtbot):
    from napari_brain_tumor.widgets.layout import toggle_layout

    viewer, widget = panel()
    toggle_layout(viewer)
    measure(qtbot, widget)
    widget.lesions.selectRow(1)
    widget.restore_lines()
    viewer.layers.remove(widget.shapes)
    assert row_of(widget, "ET 2")[0] == "ET 2"


def test_a_panel_without_labels_waits_for_them(make_napari_viewer, qtbot):
    from napari_brain_tumor.widgets.measure import MeasureWidget

    viewer = make_napari_viewer()
    widget = MeasureWidget(viewer)
    qtbot.addWidget(widget)
    assert not widget.measure_button.isEnabled()
    assert "no labels to measure" in widget.scans_label.text()
    viewers.add_layers(viewer, [to_layers.segmentation_to_layer(lesions(make_study().grid))])
    qtbot.waitUntil(lambda: widget.measure_button.isEnabled(), timeout=PATIENCE_MS)
    assert "No scan matches these labels" in widget.scans_label.text()
