import nibabel as nib
import numpy as np
import pytest

pytest.importorskip("qtpy.QtWidgets", reason="needs a Qt binding")
from killed_edits import result
from napari.components import ViewerModel
from panel_cases import SHAPE, make_study

from napari_brain_tumor import io
from napari_brain_tumor.autosave.layer_journal import recover
from napari_brain_tumor.autosave.sessions import Session, journals, mark
from napari_brain_tumor.plugin import from_layers, to_layers, viewers
from napari_brain_tumor.plugin.layer_document import RESTORED
from napari_brain_tumor.plugin.layers import KEY, SequenceTag
from napari_brain_tumor.study import Segmentation
from napari_brain_tumor.widgets import restore_state as state
from napari_brain_tumor.widgets.label_journal import LabelJournal

pytestmark = pytest.mark.gui

PATIENCE_MS = 20_000


@pytest.fixture
def home(tmp_path):
    return tmp_path / "journal"


@pytest.fixture
def case(tmp_path):
    """A case on disk."""
    folder = tmp_path / "patient7"
    folder.mkdir()
    for seed, role in enumerate(("t1ce", "flair")):
        values = np.random.default_rng(seed).integers(1, 99, SHAPE).astype(np.int16)
        nib.save(nib.Nifti1Image(values, np.diag([-1.0, -1.0, 2.0, 1.0])), folder / f"patient7_{role}.nii.gz")
    return folder


def lose(home, case, *, fate=None):
    """Paint over a case in a session that ends as by a crash; returns the labels and the automatic ones."""
    session, viewer = Session(home), ViewerModel()
    journal = LabelJournal(viewer, session)
    study = io.open_study(case)
    viewers.add_layers(viewer, to_layers.study_to_layers(study))
    data = np.zeros(SHAPE, np.uint8)
    data[3:9, 3:9, 2:6] = 1
    (layer,) = viewers.add_layers(viewer, [to_layers.segmentation_to_layer(Segmentation(data, study.grid, study.name))])
    first = layer.data.copy()
    layer.brush_size = 3
    layer.paint((4, 5, 5), 3)
    session.flush()
    folder = journal.watch_of(layer).mirror.journal.folder
    session.finish()
    if fate is not None:
        mark(folder, fate)
    return layer.data.copy(), first


@pytest.fixture
def notice(make_napari_viewer, home, qtbot):
    """Makes a viewer and the notice, as in a later session, and waits for the search."""
    from qtpy.QtWidgets import QVBoxLayout, QWidget

    from napari_brain_tumor.widgets.restore import RestoreNotice

    sessions = []

    def make(session=None):
        viewer = make_napari_viewer()
        sessions.append(session or Session(home))
        made = RestoreNotice(viewer, sessions[-1])
        panel = QWidget()
        QVBoxLayout(panel).addWidget(made)
        viewer.window.add_dock_widget(panel, name="panel", area="right")
        qtbot.waitUntil(lambda: not made.search_runner.running, timeout=PATIENCE_MS)
        qtbot.wait(50)
        return viewer, made

    yield make
    for session in sessions:
        session.finish()


def test_nothing_is_asked_where_nothing_was_lost(notice, home, case):
    lose(home, case, fate="closed")
    lose(home, case, fate="declined")
    _, made = notice()
    assert made.isHidden()
    assert made.offers == []


def test_lost_labels_come_back_with_their_scans_and_are_journalled_as_unsaved(notice, home, case, qtbot):
    labels, automatic = lose(home, case)
    viewer, made = notice()
    assert not made.isHidden()
    assert "patient7 segmentation" in made.text_label.text()
    assert len(viewer.layers) == 0
    with qtbot.waitSignal(made.runner.finished, timeout=PATIENCE_MS):
        made.restore_button.click()
    assert made.isHidden()
    assert [layer.name for layer in viewer.layers] == [
        "patient7 T1c",
        "patient7 FLAIR",
        "patient7 segmentation (restored)",
    ]
    layer = viewer.layers[-1]
    assert viewer.layers.selection.active is layer
    assert RESTORED in layer.metadata
    np.testing.assert_array_equal(layer.data, labels)
    segmentation = from_layers.segmentation_from_layer(layer)
    assert segmentation.grid.same_place(io.open_study(case).grid)
    from napari_brain_tumor.widgets.label_journal import journal_of

    watch = journal_of(viewer).watch_of(layer)
    np.testing.assert_array_equal(watch.mirror.automatic, automatic)
    assert recover(watch.mirror.journal.folder).unsaved
    assert [one.fate for one in journals(home)] == ["restored"]


def test_scans_that_are_open_are_not_opened_again(notice, home, case, qtbot):
    lose(home, case)
    viewer, made = notice()
    viewers.add_layers(viewer, to_layers.study_to_layers(io.open_study(case)))
    with qtbot.waitSignal(made.runner.finished, timeout=PATIENCE_MS):
        made.restore()
    assert len(viewer.layers) == 3


def test_two_lost_layers_of_one_study_bring_its_scans_once(notice, home, case, qtbot):
    lose(home, case)
    lose(home, case)
    viewer, made = notice()
    with qtbot.waitSignal(made.runner.finished, timeout=PATIENCE_MS):
        made.restore()
    assert sum(isinstance(layer.metadata.get(KEY), SequenceTag) for layer in viewer.layers) == 2
    assert len(viewer.layers) == 4


def test_labels_come_back_without_scans_that_are_gone(notice, home, case, qtbot):
    labels, _ = lose(home, case)
    for path in case.iterdir():
        path.unlink()
    viewer, made = notice()
    with qtbot.waitSignal(made.runner.finished, timeout=PATIENCE_MS):
        made.restore()
    (layer,) = viewer.layers
    np.testing.assert_array_equal(layer.data, labels)


def test_scans_that_changed_since_are_told(home, case):
    lose(home, case)
    changed = case / "patient7_flair.nii.gz"
    values = np.random.default_rng(9).integers(1, 99, SHAPE).astype(np.int16)
    nib.save(nib.Nifti1Image(values, np.diag([-1.0, -1.0, 2.0, 1.0])), changed)
    (offer,) = state.offers(home=home)
    assert state.load(offer).notes == (f"Changed since the labels were painted: {changed}.",)


def test_who_says_not_now_is_not_asked_again_but_finds_it_in_the_list(notice, home, case):
    lose(home, case)
    _, made = notice()
    made.later_button.click()
    assert made.isHidden()
    _, later = notice()
    assert later.isHidden()
    assert [offer.fate for offer in state.offers(home=home)] == ["declined"]


def test_only_the_first_panel_of_a_session_asks(notice, home, case):
    lose(home, case)
    session = Session(home)
    _, first = notice(session)
    _, second = notice(session)
    assert (first.isHidden(), second.isHidden()) == (False, True)


def test_the_text_of_the_notice_names_a_few_and_counts_the_rest(home, case):
    for _ in range(2):
        lose(home, case)
    offers = state.offers(home=home) * 4
    text = state.notice_text(offers)
    assert text.count("patient7 segmentation, changed 20") == 5
    assert "… and 3 more" in text


def test_the_panel_lists_restores_and_deletes(make_napari_viewer, home, case, qtbot):
    from napari_brain_tumor.widgets.restore import RestoreWidget

    labels, _ = lose(home, case)
    lose(home, case, fate="closed")
    viewer, session = make_napari_viewer(), Session(home)
    panel = RestoreWidget(viewer, session)
    viewer.window.add_dock_widget(panel, name="Restore", area="right")
    qtbot.waitUntil(lambda: panel.list.count() == 2, timeout=PATIENCE_MS)
    assert [offer.fate for offer in panel.ticked] == ["lost"]
    with qtbot.waitSignal(panel.runner.finished, timeout=PATIENCE_MS):
        panel.restore_button.click()
    np.testing.assert_array_equal(viewer.layers[-1].data, labels)
    qtbot.waitUntil(lambda: "before" in panel.list.item(0).text() + panel.list.item(1).text(), timeout=PATIENCE_MS)
    assert not panel.restore_button.isEnabled()
    for row in range(panel.list.count()):
        panel.list.item(row).setCheckState(panel.list.item(row).checkState().__class__.Checked)
    panel.delete_button.click()
    qtbot.waitUntil(lambda: panel.list.count() == 0, timeout=PATIENCE_MS)
    assert panel.status_label.text() == "There are no unsaved labels."
    session.finish()


def test_the_dock_carries_the_notice(make_napari_viewer):
    from napari_brain_tumor.widgets.dock.widget import BrainTumorWidget
    from napari_brain_tumor.widgets.restore import RestoreNotice

    viewer = make_napari_viewer()
    viewers.add_layers(viewer, [*to_layers.study_to_layers(make_study()), result(0)])
    panel = BrainTumorWidget(viewer)
    viewer.window.add_dock_widget(panel, name="Brain Tumor", area="right")
    assert len(panel.findChildren(RestoreNotice)) == 1
    from napari_brain_tumor.widgets.label_journal import journal_of

    assert journal_of(viewer).watch_of(viewer.layers[-1]) is not None


def test_labels_that_were_removed_in_this_session_are_listed_and_come_back(make_napari_viewer, home, case, qtbot):
    from napari_brain_tumor.widgets.restore import RestoreWidget

    viewer, session = make_napari_viewer(), Session(home)
    panel = RestoreWidget(viewer, session)
    viewer.window.add_dock_widget(panel, name="Restore", area="right")
    study = io.open_study(case)
    viewers.add_layers(viewer, to_layers.study_to_layers(study))
    untouched, painted = viewers.add_layers(viewer, [result(1), result(1)])
    qtbot.waitUntil(lambda: panel.status_label.text() == "There are no unsaved labels.", timeout=PATIENCE_MS)
    painted.brush_size = 3
    painted.paint((4, 5, 5), 3)
    labels = painted.data.copy()
    for layer in (untouched, painted):
        viewer.layers.remove(layer)
    qtbot.waitUntil(lambda: panel.list.count() == 1, timeout=PATIENCE_MS)
    assert "closed without saving" in panel.list.item(0).text()
    assert panel.status_label.text() == ""
    panel.list.item(0).setCheckState(panel.list.item(0).checkState().__class__.Checked)
    with qtbot.waitSignal(panel.runner.finished, timeout=PATIENCE_MS):
        panel.restore_button.click()
    np.testing.assert_array_equal(viewer.layers[-1].data, labels)
    session.finish()
