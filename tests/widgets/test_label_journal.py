import time

import numpy as np
import pytest

pytest.importorskip("qtpy.QtWidgets", reason="needs a Qt binding")

import nibabel as nib
from killed_edits import result
from napari.components import ViewerModel
from panel_cases import SHAPE, make_study

from napari_brain_tumor import io
from napari_brain_tumor.autosave.layer_journal import recover
from napari_brain_tumor.autosave.sessions import Session, journals, recover_all
from napari_brain_tumor.geometry import Grid
from napari_brain_tumor.io.source_files import file_sha256
from napari_brain_tumor.plugin import to_layers, viewers
from napari_brain_tumor.plugin.writer import write_labels
from napari_brain_tumor.study import Segmentation
from napari_brain_tumor.widgets.activation import activate
from napari_brain_tumor.widgets.label_journal import ORIGINAL, LabelJournal, journal_of, start_journal


@pytest.fixture
def session(tmp_path):
    made = Session(tmp_path / "journal")
    yield made
    made.finish()


@pytest.fixture
def viewer():
    made = ViewerModel()
    viewers.add_layers(made, to_layers.study_to_layers(make_study()))
    return made


@pytest.fixture
def journal(viewer, session):
    return LabelJournal(viewer, session)


def add(viewer, data=None):
    return viewers.add_layers(viewer, [data or result(0)])[0]


def folder_of(journal, layer):
    return journal.watch_of(layer).mirror.journal.folder


def lost(session):
    """What a next session would find."""
    session.finish()
    return recover_all(journals(session.home))


def test_labels_of_ours_and_labels_over_a_scan_of_ours_are_journalled_and_others_are_not(viewer, journal):
    ours = add(viewer)
    scan = viewer.layers[0]
    over = viewer.add_labels(
        np.zeros(scan.data.shape, np.uint8), scale=scan.scale, translate=scan.translate, units=scan.units
    )
    elsewhere = viewer.add_labels(np.zeros((3, 3, 3), np.uint8))
    stack = viewer.add_labels(np.zeros((2, 3, 3, 3), np.uint8))
    assert [journal.watch_of(layer) is not None for layer in (ours, over, elsewhere, stack)] == [1, 1, 0, 0]


def test_labels_that_were_there_before_are_journalled_too(viewer, session):
    layer = add(viewer)
    assert LabelJournal(viewer, session).watch_of(layer) is not None


def test_labels_are_journalled_once_a_scan_is_opened_under_them(session):
    viewer = ViewerModel()
    journal = LabelJournal(viewer, session)
    opened = to_layers.study_to_layers(make_study())
    like = opened[0][1]
    layer = viewer.add_labels(
        np.zeros(opened[0][0].shape, np.uint8), **{k: like[k] for k in ("scale", "translate", "units")}
    )
    assert journal.watch_of(layer) is None
    viewers.add_layers(viewer, opened)
    assert journal.watch_of(layer) is not None


def test_a_removed_layer_is_kept_only_if_it_was_changed(viewer, journal, session):
    changed, unchanged = add(viewer), add(viewer)
    changed.paint((3, 3, 3), 3)
    kept, gone = folder_of(journal, changed), folder_of(journal, unchanged)
    viewer.layers.remove(changed)
    viewer.layers.remove(unchanged)
    session.flush()
    assert kept.exists()
    assert not gone.exists()
    session.finish()
    assert [one.fate for one in journals(session.home)] == ["closed"]


def test_saving_by_the_panel_and_painting_on_meanwhile(viewer, journal, session):
    layer = add(viewer)
    layer.paint((3, 3, 3), 3)
    point = journal.save_point(layer)
    journal.mark_saved(point)
    assert not recover(folder_of(journal, layer)).unsaved
    point = journal.save_point(layer)
    layer.paint((3, 8, 8), 2)
    journal.mark_saved(point)
    assert recover(folder_of(journal, layer)).unsaved


def test_saving_by_naparis_own_dialog_is_noticed(viewer, journal, tmp_path):
    layer, other = add(viewer), add(viewer)
    for one in (layer, other):
        one.paint((3, 3, 3), 3)
    write_labels(str(tmp_path / "saved.nii.gz"), [layer.as_layer_data_tuple()])
    assert not recover(folder_of(journal, layer)).unsaved
    assert recover(folder_of(journal, other)).unsaved


def test_a_result_is_applied_through_the_journal(viewer, journal):
    layer = add(viewer)
    layer.brush_size = 1
    layer.paint((0, 0, 0), 3)
    applied = journal.apply_result(layer, result(5))
    assert applied.preserved == 1
    assert layer.data[0, 0, 0] == 3
    found = recover(folder_of(journal, layer))
    np.testing.assert_array_equal(found.labels, layer.data)
    np.testing.assert_array_equal(found.automatic, result(5)[0])
    layer.undo()
    np.testing.assert_array_equal(recover(folder_of(journal, layer)).labels, layer.data)


def test_a_result_is_applied_to_a_layer_that_was_not_journalled(session):
    viewer = ViewerModel()
    journal = LabelJournal(viewer, session)
    like = result(0)[1]
    layer = viewer.add_labels(
        np.zeros(result(0)[0].shape, np.uint8), **{k: like[k] for k in ("scale", "translate", "units")}
    )
    assert journal.watch_of(layer) is None
    journal.apply_result(layer, result(0))
    np.testing.assert_array_equal(layer.data, result(0)[0])


def test_where_the_scans_came_from_is_written_down_with_their_hashes(session, tmp_path):
    path = tmp_path / "case" / "case_flair.nii.gz"
    path.parent.mkdir()
    nib.save(nib.Nifti1Image(np.random.default_rng(0).integers(1, 99, SHAPE).astype(np.int16), np.eye(4)), path)
    viewer = ViewerModel()
    journal = LabelJournal(viewer, session)
    study = io.open_study(path)
    viewers.add_layers(viewer, to_layers.study_to_layers(study))
    layer = add(
        viewer, to_layers.segmentation_to_layer(Segmentation(np.zeros(SHAPE, np.uint8), study.grid, study.name))
    )
    session.flush()
    source = recover(folder_of(journal, layer)).document["sources"]["FLAIR"]
    assert source["path"] == str(path)
    assert source["sha256"] == file_sha256(path)


def test_a_new_name_is_written_down(viewer, journal, session):
    layer = add(viewer)
    layer.name = "renamed"
    journal._describe_all()
    session.flush()
    assert recover(folder_of(journal, layer)).document["name"] == "renamed"


def test_oblique_labels_are_kept_with_those_on_the_scans_own_grid(viewer, journal, session):
    turn = np.eye(4)
    turn[:2, :2] = [[0.96, -0.28], [0.28, 0.96]]
    data = np.random.default_rng(0).integers(0, 4, SHAPE).astype(np.uint8)
    layer = add(viewer, to_layers.segmentation_to_layer(Segmentation(data, Grid(SHAPE, turn), "oblique")))
    session.flush()
    assert (folder_of(journal, layer) / ORIGINAL).exists()


def test_closing_the_journal_ends_it(viewer, journal, session):
    layer = add(viewer)
    folder = folder_of(journal, layer)
    journal.close()
    layer.paint((3, 3, 3), 3)
    session.flush()
    assert not folder.exists()
    assert journal.watch_of(layer) is None


def test_what_was_not_closed_is_lost_and_found(viewer, journal, session):
    layer = add(viewer)
    layer.paint((3, 3, 3), 3)
    layer.undo()
    layer.redo()
    ((found, recovered),) = lost(session)
    assert found.fate == "lost"
    np.testing.assert_array_equal(recovered.labels, layer.data)


def test_writing_down_a_stroke_takes_less_than_five_milliseconds(session):
    grid = Grid((240, 240, 155), np.eye(4))
    viewer = ViewerModel()
    journal = LabelJournal(viewer, session)
    layer = add(viewer, to_layers.segmentation_to_layer(Segmentation(np.zeros(grid.shape, np.uint8), grid, "big")))
    session.flush()
    layer.brush_size = 20
    with layer.block_history():
        for step in range(40):
            layer.paint((70, 100 + step, 60 + 2 * step), 1)
    atoms = layer._undo_history[-1]
    journal.watch_of(layer).mirror.labels[...] = 0
    seconds = []
    for _ in range(9):
        journal.watch_of(layer).mirror.labels[...] = 0
        start = time.thread_time()  # of this thread alone, however busy the machine is
        layer.events.paint(value=atoms)
        seconds.append(time.thread_time() - start)
    np.testing.assert_array_equal(journal.watch_of(layer).mirror.labels, layer.data)
    assert np.median(seconds) < 0.005


@pytest.mark.gui
def test_a_viewer_has_one_journal_and_closing_its_window_ends_it(make_napari_viewer, session):
    viewer = make_napari_viewer()
    viewers.add_layers(viewer, to_layers.study_to_layers(make_study()))
    assert journal_of(viewer) is None
    journal = start_journal(viewer, session)
    assert start_journal(viewer) is journal
    layer = add(viewer)
    folder = folder_of(journal, layer)
    layer.paint((3, 3, 3), 3)
    viewer.close()
    session.flush()
    assert (folder / "closed").exists()


@pytest.mark.gui
def test_a_window_that_would_not_close_goes_on(make_napari_viewer, session):
    from qtpy.QtCore import QEvent, QObject

    class Refuse(QObject):
        def eventFilter(self, watched, event):
            if event.type() == QEvent.Type.Close:
                event.ignore()
                return True
            return False

    viewer = make_napari_viewer(show=True)
    viewers.add_layers(viewer, to_layers.study_to_layers(make_study()))
    journal = start_journal(viewer, session)
    layer = add(viewer)
    refuse = Refuse(viewer.window._qt_window)
    viewer.window._qt_window.installEventFilter(refuse)
    viewer.window._qt_window.close()
    assert journal.watch_of(layer) is not None
    viewer.window._qt_window.removeEventFilter(refuse)
    viewer.close()
    assert journal.watch_of(layer) is None


@pytest.mark.gui
def test_what_is_written_into_the_array_is_seen_soon(make_napari_viewer, session, qtbot):
    viewer = make_napari_viewer()
    viewers.add_layers(viewer, to_layers.study_to_layers(make_study()))
    journal = start_journal(viewer, session)
    layer = add(viewer)
    layer.data[1, 2, 3] = 4
    layer.refresh()
    qtbot.waitUntil(lambda: journal.watch_of(layer).mirror.labels[1, 2, 3] == 4, timeout=5000)
    layer.paint((3, 3, 3), 3)
    layer.visible = False
    layer.undo()
    qtbot.waitUntil(lambda: np.array_equal(journal.watch_of(layer).mirror.labels, layer.data), timeout=5000)


@pytest.mark.gui
def test_the_first_use_of_the_plugin_starts_the_journal_of_the_viewer(make_napari_viewer):
    activate()
    viewer = make_napari_viewer()
    activate()
    assert journal_of(viewer) is not None


def test_a_journal_that_cannot_start_does_not_keep_files_from_opening(monkeypatch, caplog):
    monkeypatch.setattr("napari_brain_tumor.plugin.viewers.current_viewer", object)
    monkeypatch.setattr("napari_brain_tumor.widgets.label_journal.start_journal", lambda viewer: 1 / 0)
    activate()
    assert "not journalled" in caplog.text
