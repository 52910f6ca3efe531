"""The one dock in napari: what a click does, how many there are, and what stays when it is closed."""

import nibabel as nib
import numpy as np
import pytest
from panel_cases import make_model, make_study

from napari_brain_tumor.plugin import to_layers, viewers
from napari_brain_tumor.plugin.layers import CODES_KEY, is_prompt_layer
from napari_brain_tumor.study import Segmentation
from phantoms import write_brats_case

pytest.importorskip("qtpy.QtWidgets", reason="needs a Qt binding")

from qtpy.QtCore import QMimeData, QPointF, Qt, QUrl
from qtpy.QtGui import QDropEvent
from qtpy.QtTest import QTest
from qtpy.QtWidgets import (
    QAbstractButton,
    QAbstractItemView,
    QAbstractSpinBox,
    QComboBox,
    QFileDialog,
    QLineEdit,
    QTabBar,
    QWidget,
)

from napari_brain_tumor.widgets.dock import pages
from napari_brain_tumor.widgets.dock.pages import Page
from napari_brain_tumor.widgets.dock.state import TABS
from napari_brain_tumor.widgets.dock.widget import BrainTumorWidget, dock_of

pytestmark = pytest.mark.gui

PATIENCE_MS = 20_000
MOST_CONTROLS, MOST_LAYERS = 8, 6
KINDS = (QAbstractButton, QComboBox, QAbstractSpinBox, QLineEdit, QAbstractItemView, QTabBar)


@pytest.fixture
def docked(make_napari_viewer, worker, monkeypatch):
    """Makes a viewer with the dock, whose model is quick; nothing is asked when it closes."""
    from napari_brain_tumor.widgets.segment import SegmentWidget

    def make(*studies, task="segment_phantom"):
        def segment_page(viewer, _):
            panel = SegmentWidget(viewer, worker, target=f"worker_tasks:{task}", models=[make_model()])
            panel.devices.asked = True
            return Page(panel)

        monkeypatch.setitem(pages.PAGES, "segment", segment_page)
        viewer = make_napari_viewer()
        for study in studies:
            viewers.add_layers(viewer, to_layers.study_to_layers(study))
        widget = BrainTumorWidget(viewer)
        viewer.window.add_dock_widget(widget, name="Brain Tumor", area="right")
        widget.dock.guard.question = lambda *_: "close"
        return viewer, widget.dock

    return make


def controls_in(page):
    """What can be operated in a tab as it is now; parts of a control are not counted twice."""
    parts = [part for part in page.findChildren(QWidget) if isinstance(part, KINDS) and part.isVisibleTo(page)]
    return [part for part in parts if not _is_part(part, page)]


def _is_part(widget, page):
    if widget.objectName().startswith("qt_") or widget.metaObject().className() == "QTableCornerButton":
        return True
    above = widget.parentWidget()
    while above is not None and above is not page:
        if isinstance(above, (QComboBox, QAbstractSpinBox, QAbstractItemView, QTabBar)):
            return True
        above = above.parentWidget()
    return False


def names_of(controls):
    return [getattr(control, "text", str)() or control.accessibleName() for control in controls]


def segment(qtbot, dock):
    qtbot.waitUntil(dock.segment.run_button.isEnabled, timeout=PATIENCE_MS)
    with qtbot.waitSignal(dock.segment.runs.placed, timeout=PATIENCE_MS):
        dock.segment.run_button.click()
    qtbot.waitUntil(lambda: bool(dock.segment.result.volumes.texts()), timeout=PATIENCE_MS)


def keep_brain(dock):
    """The panel that measures, set to look for no brain: these scans are noise."""
    panel = dock.page("measure").panel
    panel.more_controls.choose(brain="keep")
    return panel


def press(dock, tab):
    assert dock.tab_row.buttons[tab].isEnabled()
    dock.tab_row.buttons[tab].click()
    return dock.page(tab).panel


def test_a_dropped_case_is_segmented_with_one_click_and_saved_with_two_more(docked, tmp_path, qtbot, monkeypatch):
    viewer, dock = docked()
    folder, study = tmp_path / "anna", make_study()
    folder.mkdir()
    for role, array in study.sequences.items():
        nib.save(nib.Nifti1Image(array, study.grid.affine), folder / f"anna_{role.lower()}.nii.gz")
    mime = QMimeData()
    mime.setUrls([QUrl.fromLocalFile(str(folder))])
    copy = Qt.DropAction.CopyAction
    left, plain = Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
    dock.dropEvent(QDropEvent(QPointF(9, 9), copy, mime, left, plain))
    qtbot.waitUntil(lambda: len(viewer.layers) == 4, timeout=PATIENCE_MS)
    qtbot.waitUntil(lambda: dock.head.case_box.currentText() == "anna", timeout=PATIENCE_MS)
    qtbot.waitUntil(dock.segment.run_button.isEnabled, timeout=PATIENCE_MS)
    clicks = []

    def click(button):
        clicks.append(button)
        QTest.mouseClick(button, left)

    with qtbot.waitSignal(dock.segment.runs.placed, timeout=PATIENCE_MS):
        click(dock.segment.run_button)
    result = viewer.layers[-1]
    at = result.world_to_data(viewer.dims.point)
    assert result.visible
    assert result.data[round(at[0])].any()  # the tumour is in sight
    assert len(clicks) <= 2
    target = tmp_path / "saved.nii.gz"

    def accept(*_):
        clicks.append("the dialog's own button")
        return str(target), ""

    monkeypatch.setattr(QFileDialog, "getSaveFileName", accept)
    dock.unsaved.look()
    assert dock.foot.state_label.text() == f"{result.name} is not saved"
    with qtbot.waitSignal(dock.segment.saving.runner.finished, timeout=PATIENCE_MS):
        click(dock.foot.save_button)
    assert len(clicks) <= 3
    assert np.count_nonzero(np.asarray(nib.load(target).dataobj)) == np.count_nonzero(result.data)
    qtbot.waitUntil(lambda: dock.foot.state_label.text().startswith("Saved "), timeout=PATIENCE_MS)
    assert dock.unsaved.layers == []


@pytest.mark.slow
def test_no_tab_shows_more_than_eight_controls_and_no_case_more_than_six_layers(docked, qtbot, monkeypatch):
    viewer, dock = docked(make_study())
    counts = {}

    def look(name, page):
        counts[name] = names_of(controls_in(page))

    look("segment", dock.page("segment"))
    segment(qtbot, dock)
    look("segment after a run", dock.page("segment"))
    correct = press(dock, "correct")
    qtbot.waitUntil(lambda: correct.session is not None, timeout=PATIENCE_MS)
    assert correct.session.correction.layer is viewer.layers["case segmentation"]
    look("correct", dock.page("correct"))
    assert any(is_prompt_layer(layer) for layer in viewer.layers)
    measure = keep_brain(dock)
    press(dock, "measure")
    assert correct.session is None
    assert not any(is_prompt_layer(layer) for layer in viewer.layers)
    qtbot.waitUntil(lambda: measure.examination is not None, timeout=PATIENCE_MS)
    look("measure", dock.page("measure"))
    drawn = measure.shapes
    dock.page("measure").bar.setCurrentIndex(1)
    assert drawn is None or drawn not in viewer.layers
    look("over time", dock.page("measure"))
    assert not dock.tab_row.buttons["compare"].isEnabled()
    press(dock, "segment")
    segment(qtbot, dock)
    qtbot.waitUntil(dock.tab_row.buttons["compare"].isEnabled, timeout=PATIENCE_MS)
    compare = press(dock, "compare")
    assert len(compare.choices.layers) == 2
    look("compare", dock.page("compare"))
    monkeypatch.setattr(dock.page("compare"), "isVisible", lambda: True)  # the test's window is not shown
    with qtbot.waitSignal(compare.runner.finished, timeout=PATIENCE_MS):
        compare.compare_button.click()
    qtbot.waitUntil(lambda: any(CODES_KEY in layer.metadata for layer in viewer.layers), timeout=PATIENCE_MS)
    look("compared", dock.page("compare"))
    data = press(dock, "data")
    look("review", dock.page("data"))
    assert not any(CODES_KEY in layer.metadata for layer in viewer.layers)
    assert [layer.visible for layer in viewer.layers[4:]] == [False, True]  # the later result covers the first
    assert data.pages.currentIndex() == 0
    for at, name in ((1, "add"), (2, "import"), (3, "train")):
        dock.page("data").bar.setCurrentIndex(at)
        look(name, dock.page("data"))
    assert len(viewer.layers) <= MOST_LAYERS
    assert {name: found for name, found in counts.items() if len(found) > MOST_CONTROLS} == {}
    assert min(map(len, counts.values())) >= 2  # else nothing was counted


def test_moved_lines_are_where_they_were_left(docked, qtbot):
    study = make_study()
    viewer, dock = docked(study)
    data = np.zeros(study.grid.shape, np.uint8)
    data[3:17, 6:18, 2:6] = 3
    viewers.add_layers(viewer, [to_layers.segmentation_to_layer(Segmentation(data, study.grid, "case"))])
    measure = keep_brain(dock)
    press(dock, "measure")
    qtbot.waitUntil(lambda: measure.shapes is not None, timeout=PATIENCE_MS)
    lines = [np.array(line) for line in measure.shapes.data]
    lines[0][1, -1] += 2
    measure.shapes.data = lines
    press(dock, "segment")
    assert measure.shapes is None
    before = measure.examination
    press(dock, "measure")
    assert measure.shapes is not None
    assert measure.examination == before
    np.testing.assert_allclose(np.asarray(measure.shapes.data[0]), lines[0], atol=0.01)


def test_what_runs_goes_on_and_is_seen_when_the_dock_is_closed_and_opened_again(docked, qtbot):
    viewer, dock = docked(make_study(), task="segment_slowly")
    qtbot.waitUntil(dock.segment.run_button.isEnabled, timeout=PATIENCE_MS)
    dock.segment.run_button.click()
    assert dock.segment.runs.running
    frame = dock.parent()
    viewer.window.remove_dock_widget(frame)
    assert dock_of(viewer) is dock
    assert dock.segment.runs.running
    below = dock._run_bar_below
    qtbot.waitUntil(lambda: not below.isHidden(), timeout=PATIENCE_MS)
    assert below.rows["Segmenting"].label.text().startswith("Segmenting")
    again = BrainTumorWidget(viewer)
    viewer.window.add_dock_widget(again, name="Brain Tumor", area="right")
    assert again.dock is dock
    assert dock.segment.runs.running
    assert dock._run_bar_below is None
    assert dock.segment.cancel_button.isVisibleTo(dock)  # its own tab shows the job
    press(dock, "data")
    qtbot.waitUntil(lambda: not dock.head.run_bar.isHidden(), timeout=PATIENCE_MS)
    dock.head.run_bar.rows["Segmenting"].cancel_button.click()
    qtbot.waitUntil(lambda: not dock.segment.runs.running, timeout=PATIENCE_MS)
    qtbot.waitUntil(dock.head.run_bar.isHidden, timeout=PATIENCE_MS)


def test_another_case_is_shown_alone_and_the_first_one_comes_back_as_it_was(docked, qtbot):
    viewer, dock = docked(make_study("anna"), make_study("ben"))
    qtbot.waitUntil(lambda: dock.head.case_box.count() == 2, timeout=PATIENCE_MS)
    anna, ben = list(viewer.layers[:4]), list(viewer.layers[4:])
    assert dock.head.case_box.currentText() == "ben"
    assert not any(layer.visible for layer in anna)
    anna_was = [layer.visible for layer in ben]
    dock.head.case_box.setCurrentIndex(0)
    dock.head.case_box.activated.emit(0)
    assert set(dock.segment.choices.sequences.values()) == set(anna)
    assert [layer.visible for layer in anna] == anna_was  # as they were opened
    assert not any(layer.visible for layer in ben)
    segment(qtbot, dock)
    qtbot.wait(20)
    assert set(dock.segment.choices.sequences.values()) == set(anna)  # a result turns to no other case
    assert dock.result is viewer.layers["anna segmentation"]


def test_closing_the_window_with_unsaved_labels_asks(docked, qtbot, monkeypatch):
    viewer, dock = docked(make_study())
    questions, answers = [], []
    dock.guard.question = lambda _, question, options: questions.append(question) or answers.pop()
    segment(qtbot, dock)
    saved = []
    # Undone within: a patch that lasts would hold the window beyond the test.
    with monkeypatch.context() as patch:
        window = viewer.window._qt_window
        patch.setattr(window, "isVisible", lambda: True)
        patch.setattr(dock.segment.saving.button, "click", lambda: saved.append(dock.segment.result.layer))
        answers[:] = ["stay"]
        assert not window.close()
        answers[:] = ["save"]
        assert not window.close()
        qtbot.waitUntil(lambda: saved == [viewer.layers["case segmentation"]], timeout=PATIENCE_MS)
        assert all("case segmentation" in question for question in questions)
        answers[:] = ["close"]
        assert dock.guard.may_close(window)
        viewer.layers.remove("case segmentation")
        assert dock.guard.may_close(window)
        assert len(questions) == 3  # nothing was left to ask about


@pytest.mark.slow
def test_a_report_of_the_case_is_written(docked, qtbot, tmp_path, monkeypatch):
    from napari_brain_tumor.widgets.dock import widget as module

    _, dock = docked(make_study())
    assert not dock.foot.report_button.isEnabled()
    segment(qtbot, dock)
    qtbot.waitUntil(dock.foot.report_button.isEnabled, timeout=PATIENCE_MS)
    monkeypatch.setattr(module, "shared_worker", lambda: dock.segment.worker)
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (str(tmp_path / "page"), ""))
    with qtbot.waitSignal(dock.report_runner.finished, timeout=60_000):
        dock.foot.report_button.click()
    page = (tmp_path / "page.html").read_text()
    assert "case" in page
    assert "<img" in page or "<svg" in page


def test_the_code_of_the_tab_in_sight_is_shown_in_a_window(docked, qtbot):
    _, dock = docked(make_study())
    assert not dock.segment.code_box.isVisibleTo(dock)
    dock.show_code()
    box = dock.segment.code_box
    assert not box.isHidden()
    press(dock, "measure")
    assert box.isHidden()
    assert not dock.page("measure").code_box.isHidden()


def test_a_case_opens_the_dock_unless_the_user_prefers_not(make_napari_viewer, npe2pm, qtbot, monkeypatch):
    from pathlib import Path

    from npe2 import PluginManifest

    import napari_brain_tumor
    from napari_brain_tumor.plugin.preferences import OpeningPreferences, Preferences
    from napari_brain_tumor.widgets.dock import auto_open

    npe2pm.register(PluginManifest.from_file(Path(napari_brain_tumor.__file__).with_name("napari.yaml")))
    viewer = make_napari_viewer()
    prefers = [Preferences(opening=OpeningPreferences(open_dock=False))]
    monkeypatch.setattr(auto_open, "read_preferences", lambda: prefers[0])
    with monkeypatch.context() as patch:
        window = viewer.window._qt_window
        patch.setattr(window, "isVisible", lambda: True)
        auto_open.open_with_cases(viewer)
        viewers.add_layers(viewer, to_layers.study_to_layers(make_study("anna", roles=("T1",))))
        qtbot.wait(30)
        assert window.findChild(BrainTumorWidget) is None
        prefers[0] = Preferences()
        viewers.add_layers(viewer, to_layers.study_to_layers(make_study("ben", roles=("T1",))))
        qtbot.waitUntil(lambda: window.findChild(BrainTumorWidget) is not None, timeout=PATIENCE_MS)


def test_a_folder_of_several_cases_is_for_the_window_of_many(docked, qtbot, tmp_path, monkeypatch):
    monkeypatch.setattr("napari_brain_tumor.widgets.open_case.notify_error", lambda _: None)
    for name in ("anna", "bert"):
        write_brats_case(tmp_path / name, None, (7, 6, 5))
    viewer, dock = docked()
    many = dock.opening.many()
    with qtbot.waitSignal(many.panel.look_runner.finished, timeout=PATIENCE_MS):
        dock.opening.open(tmp_path)
    qtbot.waitUntil(lambda: many.panel.table.rowCount() == 2, timeout=PATIENCE_MS)
    assert many.isVisible()
    assert not dock.opening.details().isVisible()
    assert len(viewer.layers) == 0
    settings = dock._batch_settings()
    assert (settings.request.model, settings.schema) == ("test", dock.segment.schema_box.currentText())
    many.close()


def test_every_tab_can_be_made():
    assert set(pages.PAGES) == set(TABS)


def test_the_checks_open_within_the_head_and_the_window_keeps_its_size(docked, qtbot):
    viewer, dock = docked(make_study())
    window = viewer.window._qt_window
    window.show()
    window.resize(1366, 768)
    checks = dock.segment.preflight
    qtbot.waitUntil(lambda: len(checks.texts()) > 5, timeout=PATIENCE_MS)
    if not checks.toggle.isChecked():
        checks.toggle.click()
    qtbot.wait(100)
    assert checks.body.isVisible()
    assert checks.body.widget().height() > checks.body.height() > 4 * checks.fontMetrics().height()  # some are below
    assert window.height() == 768
