import nibabel as nib
import numpy as np
import pytest

pytest.importorskip("qtpy.QtWidgets", reason="needs a Qt binding")
from panel_cases import make_study
from qtpy.QtCore import QMimeData, QPointF, Qt, QUrl
from qtpy.QtGui import QDragEnterEvent, QDropEvent

from napari_brain_tumor.plugin import to_layers, viewers
from napari_brain_tumor.plugin.default_reader import FOLDERS, PLUGIN
from napari_brain_tumor.plugin.sample_data import synthetic_glioma
from napari_brain_tumor.widgets import reader_offer as module
from napari_brain_tumor.widgets.reader_offer import ReaderOffer, offer_after_opening

pytestmark = pytest.mark.gui


@pytest.fixture
def asked(monkeypatch):
    """Nobody was asked yet, wherever the tests run; lists each time that the question is remembered as asked."""
    times = []
    monkeypatch.setattr(module, "may_offer", lambda: not times)
    monkeypatch.setattr(module, "remember_offer", lambda: times.append(True))
    return times


@pytest.fixture
def viewer(make_napari_viewer, monkeypatch):
    from napari.settings import get_settings

    monkeypatch.setattr(get_settings().plugins, "extension2reader", {"*.czi": "other"})
    return make_napari_viewer()


def offers(viewer):
    return viewer.window._qt_window.findChildren(ReaderOffer)


def preferred():
    from napari.settings import get_settings

    return get_settings().plugins.extension2reader


def open_case(viewer):
    return viewers.add_layers(viewer, to_layers.study_to_layers(make_study()))


def wait_for_offer(viewer, qtbot):
    qtbot.waitUntil(lambda: bool(offers(viewer)), timeout=10_000)
    (offer,) = offers(viewer)
    return offer


def test_the_first_case_brings_the_offer_once(viewer, qtbot, asked):
    offer_after_opening(viewer)
    offer_after_opening(viewer)
    assert offers(viewer) == []
    open_case(viewer)
    wait_for_offer(viewer, qtbot)
    assert asked == [True]
    open_case(viewer)
    qtbot.wait(2 * module._WAIT_MS)
    assert len(offers(viewer)) == 1


def test_yes_makes_us_the_default_and_closes_the_offer(viewer, qtbot, asked):
    offer_after_opening(viewer)
    open_case(viewer)
    wait_for_offer(viewer, qtbot).yes_button.click()
    qtbot.waitUntil(lambda: not offers(viewer), timeout=10_000)
    assert {preferred()[pattern] for pattern in ("*.nii.gz", "*.nii", FOLDERS)} == {PLUGIN}
    assert preferred()["*.czi"] == "other"


def test_folders_are_left_alone_where_they_are_not_wanted(viewer, qtbot):
    offer = ReaderOffer(viewer)
    viewer.window.add_dock_widget(offer, area="bottom")
    offer.folders_box.setChecked(False)
    offer.yes_button.click()
    assert FOLDERS not in preferred()
    assert preferred()["*.nii.gz"] == PLUGIN


def test_not_now_changes_nothing(viewer, qtbot, asked):
    offer_after_opening(viewer)
    open_case(viewer)
    wait_for_offer(viewer, qtbot).later_button.click()
    qtbot.waitUntil(lambda: not offers(viewer), timeout=10_000)
    assert preferred() == {"*.czi": "other"}


@pytest.mark.slow
def test_nothing_is_offered_to_who_was_asked_before_or_opens_the_sample(viewer, qtbot, asked):
    offer_after_opening(viewer)
    viewers.add_layers(viewer, synthetic_glioma())
    viewer.add_image(np.zeros((4, 5, 6)))
    qtbot.wait(2 * module._WAIT_MS)
    assert offers(viewer) == []
    asked.append(True)
    open_case(viewer)
    qtbot.wait(2 * module._WAIT_MS)
    assert offers(viewer) == []


def test_a_file_dropped_on_the_open_case_panel_opens(viewer, qtbot, tmp_path, asked):
    from napari_brain_tumor.widgets.open_case import OpenCaseWidget

    path = tmp_path / "case_flair.nii.gz"
    nib.save(nib.Nifti1Image(np.random.default_rng(0).integers(1, 99, (8, 9, 5)).astype(np.int16), np.eye(4)), path)
    panel = OpenCaseWidget(viewer)
    viewer.window.add_dock_widget(panel, name="Open case")
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(path))])
    held = (Qt.DropAction.CopyAction, data, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier)
    over = QDragEnterEvent(QPointF(9, 9).toPoint(), *held)
    panel.dragEnterEvent(over)
    assert over.isAccepted()
    with qtbot.waitSignal(panel.runner.finished, timeout=15_000):
        panel.dropEvent(QDropEvent(QPointF(9, 9), *held))
    assert [layer.name for layer in viewer.layers] == ["case_flair FLAIR"]
    wait_for_offer(viewer, qtbot)


def test_text_is_not_taken_for_a_file(viewer, asked):
    from napari_brain_tumor.widgets.open_case import OpenCaseWidget

    panel = OpenCaseWidget(viewer)
    viewer.window.add_dock_widget(panel, name="Open case")
    data = QMimeData()
    data.setText("some words")
    over = QDragEnterEvent(
        QPointF(9, 9).toPoint(),
        Qt.DropAction.CopyAction,
        data,
        Qt.MouseButton.LeftButton,
        Qt.KeyboardModifier.NoModifier,
    )
    over.ignore()
    panel.dragEnterEvent(over)
    assert not over.isAccepted()
