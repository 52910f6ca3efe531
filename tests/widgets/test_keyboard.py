"""The whole story by keyboard alone: no mouse event, no call that a key does not make."""

import nibabel as nib
import numpy as np
import pytest
from panel_cases import make_study
from test_dock import docked, keep_brain  # noqa: F401 (docked is a fixture)

from napari_brain_tumor.plugin.layers import SequenceTag

pytest.importorskip("qtpy.QtWidgets", reason="needs a Qt binding")

from qtpy.QtCore import Qt, QTimer
from qtpy.QtGui import QKeySequence
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication, QFileDialog, QWidget

from napari_brain_tumor.widgets.dock.keys import FOOT_KEY, HEAD_KEY, TAB_KEYS

pytestmark = pytest.mark.gui

PATIENCE_MS = 20_000
MOST_STEPS = 40
"""Presses of Tab to get anywhere within a tab."""


class Keyboard:
    """Presses keys in whatever has the focus."""

    def __init__(self, window, qtbot):
        self.window, self.qtbot = window, qtbot

    def press(self, keys):
        self.come_to_the_front()
        combination = QKeySequence(keys)[0]
        target = QApplication.focusWidget() or self.window
        QTest.keyClick(target, combination.key(), combination.keyboardModifiers())

    def come_to_the_front(self):
        """Make the window active again if the window of another test, or none, has become that."""

        def in_front():
            active = QApplication.activeWindow()
            while active not in (None, self.window):
                active = active.parentWidget()
            if active is None:
                self.window.activateWindow()
            return active is not None

        self.qtbot.waitUntil(in_front, timeout=PATIENCE_MS)

    def tab_to(self, control):
        """Press Tab until a control has the focus, as soon as it can have it."""
        self.qtbot.waitUntil(control.isEnabled, timeout=PATIENCE_MS)
        for _ in range(MOST_STEPS):
            if QApplication.focusWidget() is control:
                return
            self.press("Tab")
        pytest.fail(f"{MOST_STEPS} Tabs do not lead to {control.text() or control.accessibleName()!r}")

    def in_popup(self, *keys):
        """Press keys in the menu that opens next."""

        def act():
            menu = QApplication.activePopupWidget()
            if menu is None:
                QTimer.singleShot(20, act)
                return
            for key in keys:
                QTest.keyClick(menu, key)

        QTimer.singleShot(20, act)


@pytest.fixture
def folder(tmp_path):
    folder, study = tmp_path / "anna", make_study()
    folder.mkdir()
    for role, array in study.sequences.items():
        nib.save(nib.Nifti1Image(array, study.grid.affine), folder / f"anna_{role.lower()}.nii.gz")
    return folder


def test_a_case_is_opened_segmented_looked_at_corrected_measured_saved_and_reported(
    docked,  # noqa: F811
    folder,
    tmp_path,
    qtbot,
    monkeypatch,
):
    viewer, dock = docked()
    keep_brain(dock)
    window = viewer.window._qt_window
    window.show()
    window.activateWindow()
    qtbot.waitUntil(window.isActiveWindow, timeout=PATIENCE_MS)
    keyboard = Keyboard(window, qtbot)
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_, **__: str(folder))
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_, **__: (str(tmp_path / "saved.nii.gz"), ""))
    reports = []
    monkeypatch.setattr(dock, "write_report", reports.append)

    keyboard.press(HEAD_KEY)
    keyboard.tab_to(dock.head.open_button)
    keyboard.in_popup(Qt.Key.Key_Down, Qt.Key.Key_Return)
    keyboard.press("Return")
    qtbot.waitUntil(lambda: len(viewer.layers) == 4, timeout=PATIENCE_MS)
    assert all(isinstance(layer.metadata["napari-brain-tumor"], SequenceTag) for layer in viewer.layers)

    qtbot.waitUntil(dock.segment.run_button.isEnabled, timeout=PATIENCE_MS)
    keyboard.press(TAB_KEYS["segment"])
    keyboard.tab_to(dock.segment.run_button)
    with qtbot.waitSignal(dock.segment.runs.placed, timeout=PATIENCE_MS):
        keyboard.press("Return")
    labels = viewer.layers[-1]

    keyboard.press("Escape")  # to the picture
    canvas = viewer.window._qt_viewer.canvas.native

    def is_at_the_picture():
        window.activateWindow()  # another test's window may have come to the front of the display
        return QApplication.focusWidget() is canvas

    qtbot.waitUntil(is_at_the_picture, timeout=PATIENCE_MS)
    before = viewer.dims.current_step
    keyboard.press(".")
    assert viewer.dims.current_step != before
    assert labels.data[viewer.dims.current_step[0]].any()

    correct = dock.page("correct").panel
    keyboard.press(TAB_KEYS["correct"])
    qtbot.waitUntil(lambda: correct.session is not None, timeout=PATIENCE_MS)
    assert dock.page("correct").isAncestorOf(QApplication.focusWidget())
    keyboard.tab_to(correct.controls.more.toggle)
    if not correct.controls.more.toggle.isChecked():
        keyboard.press("Return")
    largest = correct.controls.tidy.buttons["keep largest"]
    keyboard.tab_to(largest)
    keyboard.press("Return")
    qtbot.waitUntil(lambda: not correct.session.queue.busy, timeout=PATIENCE_MS)

    measure = dock.page("measure").panel
    keyboard.press(TAB_KEYS["measure"])
    qtbot.waitUntil(lambda: measure.examination is not None, timeout=PATIENCE_MS)

    keyboard.press(FOOT_KEY)
    assert QApplication.focusWidget() is dock.foot.save_button
    with qtbot.waitSignal(dock.segment.saving.runner.finished, timeout=PATIENCE_MS):
        keyboard.press("Return")
    assert np.count_nonzero(np.asarray(nib.load(tmp_path / "saved.nii.gz").dataobj)) == np.count_nonzero(labels.data)
    keyboard.press(FOOT_KEY)
    keyboard.tab_to(dock.foot.report_button)
    keyboard.press("Return")
    assert len(reports) == 1


def test_the_keys_of_the_dock_are_not_naparis_own(docked):  # noqa: F811
    from napari.settings import get_settings

    viewer, _ = docked()
    keys = {HEAD_KEY, FOOT_KEY, *TAB_KEYS.values()}
    assert len(keys) == 7
    window = viewer.window._qt_window
    menus = {action.shortcut().toString() for action in window.findChildren(type(window.menuBar().actions()[0]))}
    bound = {str(key) for keybindings in get_settings().shortcuts.shortcuts.values() for key in keybindings}
    assert keys.isdisjoint(menus)
    assert keys.isdisjoint(bound)


def test_no_key_of_the_dock_is_lost_in_a_field_that_takes_text(docked, qtbot):  # noqa: F811
    viewer, dock = docked(make_study())
    window = viewer.window._qt_window
    window.show()
    window.activateWindow()
    qtbot.waitUntil(window.isActiveWindow, timeout=PATIENCE_MS)
    keyboard = Keyboard(window, qtbot)
    keyboard.press(TAB_KEYS["data"])
    note = dock.page("data").panel.review.note_edit
    note.setEnabled(True)
    note.setFocus()
    assert isinstance(QApplication.focusWidget(), QWidget)
    keyboard.press(TAB_KEYS["segment"])
    assert dock.view.tab == "segment"
