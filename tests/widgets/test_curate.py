import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from curate_tasks import prediction
from panel_cases import SHAPE, make_model, make_study

from napari_brain_tumor.dataset import CuratedDataset
from napari_brain_tumor.dataset.drafts import draft_path, read_draft
from napari_brain_tumor.plugin import from_layers, to_layers, viewers
from napari_brain_tumor.study import Segmentation

pytest.importorskip("qtpy.QtWidgets", reason="needs a Qt binding")
pytestmark = pytest.mark.gui

PATIENCE_MS = 60_000  # machines that run tests are busy


@pytest.fixture
def dataset(tmp_path, monkeypatch):
    monkeypatch.setenv("BRAIN_TUMOR_HOME", str(tmp_path / "home"))
    made = CuratedDataset.create(tmp_path / "set")
    for seed, name in enumerate(("p1", "p2", "p3")):
        add(made, name, seed)
    return made


def study_of(name, seed):
    study, rng = make_study(name), np.random.default_rng(seed)
    return replace(study, sequences={role: rng.normal(100, 20, SHAPE) for role in study.roles})


def add(dataset, name, seed):
    study = study_of(name, seed)
    labels = np.zeros(SHAPE, np.uint8)
    labels[3:8, 4:9, 2:7] = 1
    dataset.add(study, Segmentation(labels, study.grid, name))


class Answers:
    """Answers questions in the panel's place, and keeps them."""

    def __init__(self):
        self.next = []
        self.asked = []

    def __call__(self, parent, question, answers):
        self.asked.append(question)
        answer = self.next.pop(0)
        assert answer in answers
        return answer


@pytest.fixture
def answers():
    return Answers()


@pytest.fixture
def panel(make_napari_viewer, worker, dataset, answers, qtbot):
    """Makes a viewer with the docked panel, the data set open."""
    from napari_brain_tumor.widgets.curate import CurateWidget

    made = []

    def make(keep_ms=100):
        viewer = make_napari_viewer()
        widget = CurateWidget(
            viewer, worker, target="curate_tasks:give_scores", models=[make_model()], question=answers
        )
        widget.cases.case.edits._keep_timer.setInterval(keep_ms)
        viewer.window.add_dock_widget(widget, name="Curate", area="right")
        widget.open_dataset(dataset.folder)
        made.append(widget)
        return viewer, widget

    yield make
    for widget in made:
        if widget.cases.case.edits.edited:
            answers.next.append("discard")


def settle(qtbot, widget):
    qtbot.waitUntil(lambda: not widget.runner.running, timeout=PATIENCE_MS)
    qtbot.wait(30)
    qtbot.waitUntil(lambda: not widget.runner.running, timeout=PATIENCE_MS)


def open_case(qtbot, widget, case_id):
    widget.cases.open_case(case_id)
    qtbot.waitUntil(lambda: widget.cases.case_id == case_id, timeout=PATIENCE_MS)
    settle(qtbot, widget)


def paint(qtbot, widget, at=(1, 2, 3), value=3):
    widget.cases.case.edits.layer.paint(at, value)
    qtbot.waitUntil(lambda: widget.cases.case.edits.edited, timeout=PATIENCE_MS)


def score(qtbot, widget):
    with qtbot.waitSignal(widget.scores.runner.finished, timeout=PATIENCE_MS):
        widget.review.score_button.click()


def names(viewer):
    return [layer.name for layer in viewer.layers]


def test_click_opens_a_case_in_place_of_the_one_before(panel, qtbot):
    viewer, widget = panel()
    viewer.add_points(np.zeros((1, 3)), name="mine")
    open_case(qtbot, widget, "p1")
    with qtbot.waitSignal(widget.runner.finished, timeout=PATIENCE_MS):
        widget.review.table.clicked.emit(widget.review.table.model().index(1, 0))
    qtbot.waitUntil(lambda: widget.cases.case_id == "p2", timeout=PATIENCE_MS)
    assert names(viewer) == ["mine", "p2 T1", "p2 T1c", "p2 T2", "p2 FLAIR", "p2 label"]
    assert viewer.layers.selection.active.name == "p2 label"
    assert widget.review.table.texts()[0][:3] == ["p1", "undecided", "0.2"]


def test_numbers_sort_as_numbers(panel, dataset):
    from qtpy.QtCore import Qt

    study = make_study("p1")
    for case_id, size in (("p1", 10), ("p2", 9), ("p3", 2)):
        labels = np.zeros(SHAPE, np.uint8)
        labels[:size, :20, :10] = 1
        dataset.relabel(case_id, Segmentation(labels, study.grid))
    _, widget = panel()
    widget.review.table.sortByColumn(2, Qt.SortOrder.AscendingOrder)
    assert [row.id for row in widget.review.table.rows] == ["p3", "p2", "p1"]


def test_painted_label_is_saved_with_the_decision_and_the_next_case_opens(panel, qtbot, dataset):
    _, widget = panel()
    open_case(qtbot, widget, "p1")
    layer = widget.cases.case.edits.layer
    paint(qtbot, widget)
    expected = from_layers.segmentation_from_layer(layer).data.copy()
    widget.review.note_edit.setText("rim redrawn")
    widget.review.decide_buttons["accepted"].click()
    qtbot.waitUntil(lambda: widget.cases.case_id == "p2", timeout=PATIENCE_MS)
    case = dataset.case("p1")
    assert (case.state, case.review.note, case.label.version) == ("accepted", "rim redrawn", 2)
    assert case.label.made_by.kind == "hand"
    np.testing.assert_array_equal(dataset.truth("p1").segmentation.data, expected)
    assert read_draft(dataset.folder, "p1") is None


def test_decision_without_an_edit_leaves_the_label_alone(panel, qtbot, dataset):
    _, widget = panel()
    widget.review.go_on_box.setChecked(False)
    open_case(qtbot, widget, "p1")
    widget.cases.decide("needs_second_look")
    settle(qtbot, widget)
    assert (dataset.case("p1").state, dataset.case("p1").label.version) == ("needs_second_look", 1)
    assert widget.cases.case_id == "p1"


def test_unsaved_work_is_kept_on_disk_and_undo_makes_it_saved_again(panel, qtbot, dataset):
    _, widget = panel()
    open_case(qtbot, widget, "p1")
    paint(qtbot, widget)
    qtbot.waitUntil(lambda: draft_path(dataset.folder, "p1").exists(), timeout=PATIENCE_MS)
    np.testing.assert_array_equal(read_draft(dataset.folder, "p1").labels, widget.cases.case.edits.layer.data)
    assert "edited, not saved" in widget.review.case_label.text()
    widget.cases.case.edits.layer.undo()
    qtbot.waitUntil(lambda: not widget.cases.case.edits.edited, timeout=PATIENCE_MS)
    assert not widget.review.save_button.isEnabled()


@pytest.mark.parametrize("answer", ["save", "draft", "discard", "cancel"])
def test_leaving_a_case_with_unsaved_work_asks_and_does_as_told(panel, qtbot, dataset, answers, answer):
    _, widget = panel(keep_ms=60_000)
    open_case(qtbot, widget, "p1")
    paint(qtbot, widget)
    answers.next = [answer]
    widget.cases.open_case("p2")
    settle(qtbot, widget)
    if answer != "cancel":
        qtbot.waitUntil(lambda: widget.cases.case_id == "p2", timeout=PATIENCE_MS)
    widget.cases.case.drafts.flush()
    assert len(answers.asked) == 1
    assert widget.cases.case_id == ("p1" if answer == "cancel" else "p2")
    assert dataset.case("p1").label.version == (2 if answer == "save" else 1)
    assert draft_path(dataset.folder, "p1").exists() == (answer == "draft")


@pytest.mark.slow
@pytest.mark.parametrize("answer", ["take", "discard", "later"])
def test_unsaved_work_is_offered_when_the_case_is_opened_again(panel, qtbot, dataset, answers, answer):
    _, widget = panel()
    open_case(qtbot, widget, "p1")
    paint(qtbot, widget)
    painted = widget.cases.case.edits.layer.data.copy()
    answers.next = ["draft", answer]
    open_case(qtbot, widget, "p2")
    open_case(qtbot, widget, "p1")
    widget.cases.case.drafts.flush()
    assert "unsaved work on p1" in answers.asked[1]
    assert np.array_equal(widget.cases.case.edits.layer.data, painted) == (answer == "take")
    assert widget.cases.case.edits.edited == (answer == "take")
    assert draft_path(dataset.folder, "p1").exists() == (answer != "discard")


KILLED_SESSION = """
import os, sys
from pathlib import Path
folder = Path(sys.argv[1])
import napari
from qtpy.QtCore import QTimer
from napari_brain_tumor.widgets.curate import CurateWidget
viewer = napari.Viewer(show=False)
panel = CurateWidget(viewer, models=[])
viewer.window.add_dock_widget(panel)
panel.open_dataset(folder)
panel.cases.open_case("p1")
timer = QTimer()
def paint():
    if panel.cases.case_id == "p1":
        timer.stop()
        panel.cases.case.edits.layer.paint((1, 2, 3), 3)
timer.timeout.connect(paint)
timer.start(20)
napari.run(force=True)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_work_of_a_napari_that_was_killed_is_recovered(panel, qtbot, dataset, answers):
    session = subprocess.Popen(
        [sys.executable, "-c", KILLED_SESSION, str(dataset.folder)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )
    end = time.monotonic() + 90
    while not draft_path(dataset.folder, "p1").exists() and time.monotonic() < end and session.poll() is None:
        time.sleep(0.05)
    session.send_signal(signal.SIGKILL)
    session.wait()
    _, widget = panel()
    assert widget.review.table.texts()[0][0] == "✎ p1"
    answers.next = ["take"]
    open_case(qtbot, widget, "p1")
    assert (widget.cases.case.edits.layer.data == 3).any()
    widget.cases.save()
    settle(qtbot, widget)
    assert 3 in dataset.case("p1").label.voxels
    assert dataset.check_files(voxels=True) == {}


@pytest.mark.slow
def test_scores_appear_with_the_prediction_and_lead_to_the_least_certain_case(panel, qtbot):
    viewer, widget = panel()
    open_case(qtbot, widget, "p1")
    score(qtbot, widget)
    assert [text[3:5] for text in widget.review.table.texts()] == [["0.750", f"0.{n}0"] for n in (1, 2, 3)]
    outlines = viewer.layers["p1 prediction"]
    assert (outlines.contour, outlines.visible) == (1, True)
    np.testing.assert_array_equal(from_layers.segmentation_from_layer(outlines).data, prediction(SHAPE))
    widget.review.prediction_button.click()
    assert not outlines.visible
    widget.review.uncertain_button.click()
    qtbot.waitUntil(lambda: widget.cases.case_id == "p3", timeout=PATIENCE_MS)


def test_prediction_becomes_the_label_and_says_who_made_it(panel, qtbot, dataset):
    _, widget = panel()
    widget.review.go_on_box.setChecked(False)
    open_case(qtbot, widget, "p1")
    score(qtbot, widget)
    widget.review.use_button.click()
    widget.cases.save()
    settle(qtbot, widget)
    assert dataset.case("p1").label.made_by.kind == "model"
    np.testing.assert_array_equal(dataset.truth("p1").segmentation.data, prediction(SHAPE))
    paint(qtbot, widget)
    widget.cases.decide("accepted")
    settle(qtbot, widget)
    assert (dataset.case("p1").label.made_by.kind, dataset.case("p1").label.made_by.model) == ("both", "test")


def test_label_and_prediction_stand_side_by_side_and_together_again(panel, qtbot):
    viewer, widget = panel()
    open_case(qtbot, widget, "p1")
    score(qtbot, widget)
    widget.review.side_box.setChecked(True)
    assert names(viewer)[-3:] == ["p1 label", "p1 FLAIR with prediction", "p1 prediction"]
    grid = viewer.canvas.grid if hasattr(viewer, "canvas") else viewer.grid
    assert (grid.enabled, grid.stride) == (True, 5)
    widget.review.side_box.setChecked(False)
    assert names(viewer)[-2:] == ["p1 label", "p1 prediction"]
    assert not grid.enabled


def test_layers_of_the_viewer_become_a_case(panel, qtbot, dataset):
    viewer, widget = panel()
    study = study_of("new", 11)
    viewers.add_layers(viewer, to_layers.study_to_layers(study))
    labels = np.zeros(SHAPE, np.uint8)
    labels[2:4, 2:4, 2:4] = 3
    viewers.add_layers(viewer, [to_layers.segmentation_to_layer(Segmentation(labels, study.grid, "new"))])
    qtbot.waitUntil(lambda: widget.add.label_box.count() == 1, timeout=PATIENCE_MS)
    widget.add.patient_edit.setText("Smith")
    widget.add.grade_box.setCurrentText("LGG")
    widget.add.add_button.click()
    qtbot.waitUntil(lambda: len(widget.review.table.rows) == 4, timeout=PATIENCE_MS)
    case = dataset.case("new")
    assert (case.patient, case.grade, case.roles) == ("Smith", "LGG", ("T1", "T1c", "T2", "FLAIR"))
    assert case.label.voxels == {3: 8}


def test_refused_case_says_why(panel, qtbot, monkeypatch):
    from napari_brain_tumor.widgets import curate

    told = []
    monkeypatch.setattr(curate, "notify_error", told.append)
    _, widget = panel()
    widget.add.add_button.click()
    assert "needs a scan and a labels layer" in widget.status_label.text()
    assert len(told) == 1


def test_keys_act_like_their_buttons_and_are_none_of_naparis(panel, qtbot):
    from napari.settings import get_settings
    from napari.utils.key_bindings import coerce_keybinding

    from napari_brain_tumor.widgets.curate_pages import KEYS

    viewer, widget = panel()
    ours = {coerce_keybinding(key) for key in KEYS.values()}
    taken = {
        key
        for action, keys in get_settings().shortcuts.shortcuts.items()
        if not any(
            kind in action for kind in ("points", "shapes", "shape", "vertex", "polygon", "_add_", "select_mode")
        )
        for key in map(coerce_keybinding, keys)
    }
    assert not ours & taken
    assert ours <= set(viewer.keymap)
    viewer.keymap[coerce_keybinding(KEYS["next_undecided"])](viewer)
    qtbot.waitUntil(lambda: widget.cases.case_id == "p1", timeout=PATIENCE_MS)


def test_closing_napari_asks_about_unsaved_work(panel, qtbot, dataset, answers):
    from qtpy.QtGui import QCloseEvent

    viewer, widget = panel(keep_ms=60_000)
    open_case(qtbot, widget, "p1")
    paint(qtbot, widget)
    answers.next = ["cancel"]
    event = QCloseEvent()
    assert widget._guard.eventFilter(viewer.window._qt_window, event)
    assert not event.isAccepted()
    answers.next = ["draft"]
    assert not widget._guard.eventFilter(viewer.window._qt_window, QCloseEvent())
    assert read_draft(dataset.folder, "p1") is not None


def test_everything_has_a_tooltip_and_fits_a_narrow_dock(panel):
    from qtpy.QtWidgets import QAbstractButton, QComboBox, QLineEdit

    _, widget = panel()
    own = [
        one
        for kind in (QAbstractButton, QComboBox, QLineEdit)
        for one in widget.findChildren(kind)
        if not one.objectName().startswith(("qt_", "ScrollLeft", "ScrollRight"))
        and not isinstance(one.parent(), QComboBox)
        and one.metaObject().className() != "QTableCornerButton"
    ]
    assert len(own) > 25
    assert [one for one in own if not one.toolTip()] == []
    assert widget.widget().minimumSizeHint().width() <= 370


def test_made_data_set_is_empty_and_asks_for_its_first_case(panel, tmp_path):
    _, widget = panel()
    widget.create_dataset(tmp_path / "new")
    assert (tmp_path / "new" / "index.json").is_file()
    assert widget.pages.currentWidget() is widget.add
    assert [Path(widget.chooser.box.itemData(at)).name for at in range(widget.chooser.box.count())] == ["new", "set"]


def test_the_selected_labels_are_offered_for_a_new_case_until_others_are_chosen(panel, qtbot):
    viewer, widget = panel()
    made = [viewer.add_labels(np.zeros(SHAPE[::-1], np.uint8), name=name) for name in ("one", "two", "three")]
    qtbot.waitUntil(lambda: widget.add.label_box.count() >= 3, timeout=PATIENCE_MS)
    viewer.layers.selection = {made[0]}
    assert widget.add.label_box.currentText() == "one"
    viewer.layers.selection = {made[1]}
    assert widget.add.label_box.currentText() == "two"
    viewer.add_image(np.zeros(SHAPE[::-1], np.float32), name="t1")  # which is selected now
    qtbot.wait(100)
    assert widget.add.label_box.currentText() == "two"
    at = widget.add.label_box.findText("three")
    widget.add.label_box.setCurrentIndex(at)
    widget.add.label_box.activated.emit(at)
    viewer.layers.selection = {made[0]}
    assert widget.add.label_box.currentText() == "three"


def test_a_new_data_set_may_be_in_a_folder_that_is_not_there_yet(panel, tmp_path, monkeypatch):
    from qtpy.QtWidgets import QFileDialog

    _, widget = panel()
    folder = tmp_path / "not" / "there"
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_, **__: (str(folder), ""))
    widget.chooser.new_button.click()
    assert widget.dataset is not None
    assert widget.dataset.folder.resolve() == folder.resolve()
