"""The Compare panel in a viewer."""

import numpy as np
import pytest
from compare_cases import add_raters, block

pytest.importorskip("qtpy.QtWidgets", reason="needs a Qt binding")
from napari._qt.qt_viewer import QtViewer  # noqa: F401  (registers napari's own actions)
from napari.layers import Image, Labels, Points, Shapes, Surface
from napari.utils._proxies import PublicOnlyProxy
from napari.utils.key_bindings import coerce_keybinding
from napari.utils.shortcuts import default_shortcuts

from napari_brain_tumor.geometry import Grid
from napari_brain_tumor.io import open_segmentation, save_segmentation
from napari_brain_tumor.plugin import to_layers, viewers
from napari_brain_tumor.plugin.labels_edit import replace_labels
from napari_brain_tumor.plugin.layers import CODES_KEY
from napari_brain_tumor.study import Segmentation
from napari_brain_tumor.widgets import compare_walk, doubt, view_actions
from napari_brain_tumor.widgets.compare import CompareWidget
from napari_brain_tumor.widgets.curate_pages import KEYS as CURATE_KEYS
from napari_brain_tumor.widgets.saved_files import remember_saved

pytestmark = pytest.mark.gui


@pytest.fixture
def told(monkeypatch):
    """What the user is told."""
    messages = []
    for module in ("compare", "compare_walk"):
        monkeypatch.setattr(f"napari_brain_tumor.widgets.{module}.notify", messages.append)
    monkeypatch.setattr(
        "napari_brain_tumor.widgets.compare.notify_error", lambda error: messages.append(f"error: {error}")
    )
    return messages


@pytest.fixture
def session(make_napari_viewer, qtbot, told):
    """A viewer with three raters, and the panel."""
    viewer = make_napari_viewer()
    raters = add_raters(viewer)
    panel = CompareWidget(viewer)
    viewer.window.add_dock_widget(panel, name="Compare", area="right")
    return viewer, raters, panel


@pytest.fixture
def compared(session, qtbot):
    """The same after comparing with the truth."""
    viewer, raters, panel = session
    panel.labels.tick(list(raters.values()))
    panel.labels.choose_reference(raters["truth"])
    run(panel, qtbot)
    return viewer, raters, panel


def run(panel, qtbot):
    with qtbot.waitSignal(panel.differences.runner.finished, timeout=20_000):
        panel.compare()


def choose(panel, qtbot, box, at):
    """Choose whose slices, or which; until they are listed."""
    with qtbot.waitSignal(panel.differences.runner.finished, timeout=20_000):
        box.setCurrentIndex(at)


def wait_for_codes(panel, qtbot, act):
    with qtbot.waitSignal(panel.differences.overlay.runner.finished, timeout=20_000):
        act()


def codes_in(viewer):
    return [layer for layer in viewer.layers if CODES_KEY in layer.metadata]


def test_ticked_layers_are_compared_and_the_tables_filled(compared):
    _, _, panel = compared
    assert panel.status_label.text() == "Compared 3 labels, against truth."
    assert [row[:2] for row in panel.scores.score_table.texts()] == [["near", "0.875"], ["far", "0.625"]]
    assert panel.scores.matrix_table.texts()[1][1:] == ["0.875", "1.000", "0.750"]
    assert [row[0] for row in panel.scores.volume_table.texts()] == ["truth", "near", "far"]
    assert len(panel.differences.table.texts()) == 6
    assert [panel.differences.pair_box.itemText(at) for at in range(panel.differences.pair_box.count())] == [
        "all 3",
        "truth – near",
        "truth – far",
    ]
    panel.scores.region_box.setCurrentIndex(2)
    assert panel.scores.score_table.texts()[0][:2] == ["near", "0.750"]
    panel.scores.metric_box.setCurrentIndex(1)
    assert panel.scores.matrix_table.texts()[1][3] == ""  # of a pair without the reference


def test_nothing_is_compared_before_two_are_ticked(session):
    _, raters, panel = session
    assert not panel.compare_button.isEnabled()
    assert not panel.result_part.isVisibleTo(panel)
    panel.labels.tick([raters["truth"]])
    assert panel.status_label.text().startswith("Tick two")
    panel.labels.tick([raters["truth"], raters["far"]])
    assert panel.compare_button.isEnabled()


def test_a_row_leads_to_its_slice_and_shows_the_difference_alone(compared, qtbot):
    viewer, raters, panel = compared
    choose(panel, qtbot, panel.differences.pair_box, 1)
    wait_for_codes(panel, qtbot, lambda: panel.differences.table.row_chosen.emit(3))
    number = int(panel.differences.table.texts()[3][0])
    assert viewer.dims.current_step[0] == number
    (layer,) = codes_in(viewer)
    assert (layer.name, layer.visible) == ("WT: truth and near", True)
    assert not any(rater.visible for rater in raters.values())
    assert "missed by near" in panel.differences.legend_label.text()
    assert viewer.layers.selection.active is not layer  # the Segment panel would measure it


def test_keys_walk_worst_first_around_and_back_and_the_table_follows(compared, qtbot):
    viewer, _, panel = compared
    wait_for_codes(panel, qtbot, lambda: compare_walk.next_differing_slice(viewer))
    assert panel.differences.table.selected_row == 0
    compare_walk.next_differing_slice(viewer)
    assert panel.differences.table.selected_row == 1
    compare_walk.previous_differing_slice(viewer)
    compare_walk.previous_differing_slice(viewer)
    assert panel.differences.table.selected_row == 5
    assert viewer.status.startswith("6 of 6: WT differs in ")
    assert len(codes_in(viewer)) == 1


def test_another_kind_of_slices_turns_the_viewer(compared, qtbot):
    viewer, _, panel = compared
    choose(panel, qtbot, panel.differences.axis_box, panel.differences.axis_box.findData("sagittal"))
    wait_for_codes(panel, qtbot, lambda: compare_walk.go_to(viewer, 0))
    assert tuple(viewer.dims.order) == (2, 0, 1)
    assert viewer.dims.current_step[2] == int(panel.differences.table.texts()[0][0])


def test_one_layer_follows_pair_and_region_and_another_counts(compared, qtbot):
    viewer, raters, panel = compared
    wait_for_codes(panel, qtbot, panel.differences.agreement_button.click)
    (first,) = codes_in(viewer)
    assert first.name == "WT: truth and near"
    wait_for_codes(panel, qtbot, panel.differences.count_button.click)
    assert [(layer.name, layer.visible) for layer in codes_in(viewer)] == [
        ("WT: truth and near", False),
        ("WT: how many of 3", True),
    ]
    wait_for_codes(panel, qtbot, lambda: panel.scores.region_box.setCurrentIndex(1))
    assert codes_in(viewer)[1].name == "TC: how many of 3"
    choose(panel, qtbot, panel.scores.region_box, 0)
    choose(panel, qtbot, panel.differences.pair_box, 2)
    qtbot.waitUntil(lambda: first.name == "WT: truth and far", timeout=20_000)
    with qtbot.waitSignal(panel.differences.overlay.runner.finished, timeout=20_000):
        panel.scores.region_box.setCurrentIndex(2)
    qtbot.waitUntil(lambda: first.name == "ET: truth and far")
    assert len(codes_in(viewer)) == 2
    assert first.visible
    assert raters["truth"].data.any()


def test_strokes_undo_and_removal_since_the_comparison_are_told(compared, qtbot):
    viewer, raters, panel = compared
    assert not panel.notice.isVisibleTo(panel)
    changed = raters["near"].data.copy()
    changed[5, 10, 10] = 2
    replace_labels(raters["near"], changed)
    qtbot.waitUntil(lambda: "near changed" in panel.notice.text(), timeout=5000)
    raters["near"].undo()
    qtbot.waitUntil(lambda: not panel.notice.isVisibleTo(panel), timeout=5000)
    viewer.layers.remove(raters["far"])
    qtbot.waitUntil(lambda: "far removed" in panel.notice.text(), timeout=5000)
    assert panel.choices.layers == (raters["truth"], raters["near"])
    wait_for_codes(panel, qtbot, lambda: compare_walk.next_differing_slice(viewer))  # what was found is still there
    assert panel.differences.table.selected_row == 0
    run(panel, qtbot)
    assert not panel.notice.isVisibleTo(panel)
    assert len(panel.scores.score_table.texts()) == 1


def test_the_layer_being_compared_may_be_painted_on_and_is_told_so(session, qtbot):
    _, raters, panel = session
    panel.labels.tick(list(raters.values()))
    with qtbot.waitSignal(panel.differences.runner.finished, timeout=20_000):
        panel.compare()
        raters["truth"].data[...] = 0
    assert panel.scores.score_table.texts()[0][1] == "0.875"
    assert "truth changed" in panel.notice.text()


def test_labels_of_one_slice_are_compared_and_their_strokes_told(make_napari_viewer, qtbot, told):
    viewer = make_napari_viewer()
    first = viewer.add_labels(np.kron(np.eye(2, dtype=np.uint8), np.ones((6, 6), np.uint8)), name="first")
    second = viewer.add_labels(np.roll(first.data, 2, axis=1), name="second")
    viewer.add_image(np.zeros(first.data.shape), name="scan")
    panel = CompareWidget(viewer)
    viewer.window.add_dock_widget(panel, name="Compare", area="right")
    panel.labels.tick([first, second])
    run(panel, qtbot)
    assert panel.scores.score_table.texts()[0][:2] == ["first – second", "0.667"]
    assert panel.differences.table.texts() == [["0", "48", "0.667"]]
    assert not panel.notice.isVisibleTo(panel)
    second.fill((0, 0), 3)
    qtbot.waitUntil(lambda: "second changed" in panel.notice.text(), timeout=5000)
    wait_for_codes(panel, qtbot, lambda: compare_walk.next_differing_slice(viewer))
    assert codes_in(viewer)[0].data.shape == (1, 12, 12)


def test_names_and_ticks_follow_the_layer_list(compared, qtbot):
    _, raters, panel = compared
    raters["near"].name = "anna"
    qtbot.waitUntil(lambda: panel.labels.item(1).text() == "anna")
    assert panel.choices.layers == tuple(raters.values())
    assert panel.labels.reference_box.currentText() == "truth"
    assert panel.scores.score_table.texts()[0][0] == "near"  # as it was called when it was compared
    raters["truth"].name = "gold"
    qtbot.waitUntil(lambda: panel.labels.reference_box.currentText() == "gold")


def test_a_removed_reference_is_no_reference(compared, qtbot):
    viewer, raters, panel = compared
    viewer.layers.remove(raters["truth"])
    qtbot.waitUntil(lambda: panel.labels.reference_box.currentText().startswith("none"))
    assert panel.choices.reference is None


def test_files_are_added_as_ticked_layers(session, qtbot, tmp_path):
    viewer, raters, panel = session
    save_segmentation(block(2), tmp_path / "anna.nii.gz")
    panel.labels.tick([raters["truth"]])
    panel.labels.add_files([tmp_path / "anna.nii.gz"])
    qtbot.waitUntil(lambda: [layer.name for layer in panel.choices.layers] == ["truth", "anna"], timeout=10_000)
    assert viewer.layers["anna"].data.any()
    run(panel, qtbot)
    assert panel.scores.score_table.texts()[0][1] == "0.750"


def test_a_file_that_cannot_be_opened_is_told(session, qtbot, tmp_path, told):
    _, _, panel = session
    (tmp_path / "ruin.nii.gz").write_bytes(b"no image")
    panel.labels.add_files([tmp_path / "ruin.nii.gz"])
    qtbot.waitUntil(lambda: bool(told), timeout=10_000)
    assert told[0].startswith("error: ")
    assert panel.labels.file_button.isEnabled()


def test_labels_on_another_grid_are_refused_unless_resampling_is_asked_for(session, qtbot, told):
    viewer, raters, panel = session
    steps = np.diag([-0.5, -0.5, 2, 1])
    steps[:2, 3] = 0.25  # voxels of half the size that fill the same box
    labels = np.kron(block(1).data, np.ones((2, 2, 1), np.uint8))
    (fine,) = viewers.add_layers(
        viewer, [to_layers.segmentation_to_layer(Segmentation(labels, Grid(labels.shape, steps)), name="fine")]
    )
    panel.labels.tick([raters["truth"], fine])
    with qtbot.waitSignal(panel.runner.failed, timeout=20_000):
        panel.compare()
    assert "on the same grid" in told[0]
    assert panel.compare_button.isEnabled()
    panel.labels.resample_box.setChecked(True)
    run(panel, qtbot)
    assert "resampled onto one grid" in panel.status_label.text()
    assert panel.scores.score_table.texts()[0][1] == "0.875"


def test_a_consensus_becomes_a_layer_that_can_be_saved(compared, qtbot, tmp_path):
    viewer, _, panel = compared
    wait_for_codes(panel, qtbot, panel.differences.agreement_button.click)
    panel.consensus.method_box.setCurrentIndex(panel.consensus.method_box.findData("staple"))
    with qtbot.waitSignal(panel.consensus.runner.finished, timeout=20_000):
        panel.consensus.button.click()
    layer = viewer.layers[-1]
    assert layer.name == "case consensus (staple)"
    assert not any(one.visible for one in codes_in(viewer))
    assert panel.consensus.quality_table.texts()[0][0] == "near, WT"
    assert "Add a third" in panel.status_label.text()
    viewer.layers.selection = {layer}
    (saved,) = viewer.layers.save(str(tmp_path / "joined.nii.gz"), selected=True, plugin="napari-brain-tumor")
    assert open_segmentation(saved).provenance["path"] == saved


def test_tables_are_saved(compared, qtbot, tmp_path):
    _, _, panel = compared
    for name in ("scores.csv", "all.json"):
        with qtbot.waitSignal(panel.scores.save_runner.finished, timeout=20_000):
            panel.scores.save(str(tmp_path / name))
        assert panel.status_label.text() == f"Saved {tmp_path / name}."
    assert (tmp_path / "scores.csv").read_text().startswith("first,second,region,")
    with qtbot.waitSignal(panel.scores.save_runner.failed, timeout=20_000):
        panel.scores.save(str(tmp_path / "scores.csv" / "below.csv"))
    assert "was not saved" in panel.status_label.text()
    assert panel.scores.csv_button.isEnabled()


def test_the_lines_are_those_of_the_ticked_layers_and_the_consensus(compared, qtbot, tmp_path):
    _, raters, panel = compared
    panel.code_box.toggle.setChecked(True)
    assert "memory alone" in panel.code_box.note_label.text()
    for name, layer in raters.items():
        save_segmentation(block({"truth": 0, "near": 1, "far": 3}[name]), tmp_path / f"{name}.nii.gz")
        remember_saved(layer, tmp_path / f"{name}.nii.gz", "MSD")
    panel.consensus.method_box.setCurrentIndex(panel.consensus.method_box.findData("majority"))
    panel.make_consensus()
    qtbot.waitUntil(lambda: "--consensus majority" in panel.code_box.shell_edit.toPlainText(), timeout=20_000)
    assert "compare_segmentations(segmentations, reference='truth')" in panel.code_box.python_edit.toPlainText()


def test_the_keys_are_nobody_elses():
    ours = {str(coerce_keybinding(one.key)) for one in compare_walk.KEYS}
    others = {str(key) for keys in default_shortcuts.values() for key in keys}
    for kind in (Image, Labels, Points, Shapes, Surface):
        others |= {str(key) for key in kind.class_keymap if key is not Ellipsis}
    others |= {str(coerce_keybinding(one.key)) for one in (*view_actions.KEYS, *doubt.KEYS)}
    others |= {str(coerce_keybinding(key)) for key in CURATE_KEYS.values()}
    assert not ours & others
    assert len(ours) == 2


def test_keys_without_a_comparison_say_what_to_do(session, told):
    viewer, _, _ = session
    compare_walk.next_differing_slice(viewer)
    assert "compare labels" in told[0]


@pytest.mark.filterwarnings("ignore:Private attribute access:FutureWarning")  # of the journal, which every panel starts
def test_the_panel_works_with_the_viewer_that_napari_gives_to_plugins(session, qtbot):
    viewer, raters, _ = session
    panel = CompareWidget(PublicOnlyProxy(viewer))
    qtbot.addWidget(panel)
    panel.labels.tick(list(raters.values()))
    run(panel, qtbot)
    wait_for_codes(panel, qtbot, lambda: compare_walk.next_differing_slice(viewer))  # as the key does
    assert panel.differences.table.selected_row == 0
    wait_for_codes(panel, qtbot, panel.differences.agreement_button.click)
    wait_for_codes(panel, qtbot, lambda: panel.scores.region_box.setCurrentIndex(1))
    assert [layer.name for layer in codes_in(viewer)] == ["WT: how many of 3", "TC: truth and near"]
    assert [layer.visible for layer in codes_in(viewer)] == [False, True]
    assert not any(rater.visible for rater in raters.values())
    changed = raters["near"].data.copy()
    changed[5, 10, 10] = 2
    replace_labels(raters["near"], changed)
    viewer.layers.remove(raters["far"])
    qtbot.waitUntil(lambda: "near changed; far removed" in panel.notice.text(), timeout=5000)


def test_a_closed_panel_lets_go_of_the_layers(compared, qtbot):
    viewer, raters, panel = compared
    panel.deleteLater()
    qtbot.wait(50)
    raters["near"].name = "other"
    raters["near"].data = np.zeros_like(raters["near"].data)
    viewer.layers.remove(raters["far"])
    compare_walk.next_differing_slice(viewer)
    qtbot.wait(50)
