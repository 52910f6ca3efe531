"""The Visits panel: layers become visits, what is told stays, registrations wait for the user, results can be saved."""

import json

import numpy as np
import pytest

pytest.importorskip("qtpy.QtWidgets", reason="needs a Qt binding")

from napari_brain_tumor.errors import RecordError, VisitError
from napari_brain_tumor.followup.document import read_visits
from napari_brain_tumor.geometry import Grid
from napari_brain_tumor.io import save_segmentation
from napari_brain_tumor.plugin import from_layers, layers, to_layers, viewers
from napari_brain_tumor.study import Segmentation, Study
from napari_brain_tumor.widgets import visit_entries
from napari_brain_tumor.widgets import visits_state as state
from napari_brain_tumor.widgets.visits import VisitsWidget
from phantoms import affine, ball

pytestmark = pytest.mark.gui

GRID = Grid((40, 44, 36), affine(spacing=(4.0, 4.0, 4.0), origin=(-80, -90, -70)))


def head(seed: int = 0) -> np.ndarray:
    """A head with structure that registration can hold on to."""
    random = np.random.default_rng(seed)
    inside = sum(((np.indices(GRID.shape)[a] - (n - 1) / 2) / (0.42 * n)) ** 2 for a, n in enumerate(GRID.shape)) <= 1
    image = np.zeros(GRID.shape, np.float32)
    for _ in range(30):
        centre = [int(random.integers(n // 4, 3 * n // 4)) for n in GRID.shape]
        image[ball(GRID.shape, centre, int(random.integers(2, 6)))] += random.random()
    return np.where(inside, image + 1, 0).astype(np.float32)


def make_visit(name: str, radius: int, shift: int = 0) -> tuple[Study, Segmentation]:
    """One head, perhaps shifted by whole voxels, with an enhancing ball."""
    data = np.zeros(GRID.shape, np.uint8)
    data[ball(GRID.shape, (15, 22, 18), radius)] = 3
    study = Study({"T1": np.roll(head(), shift, axis=1)}, GRID, name)
    return study, Segmentation(np.roll(data, shift, axis=1), GRID, name)


def open_in(viewer, study: Study, segmentation: Segmentation) -> None:
    viewers.add_layers(viewer, [*to_layers.study_to_layers(study), to_layers.segmentation_to_layer(segmentation)])


@pytest.fixture
def panel(make_napari_viewer, qtbot, worker):
    viewer = make_napari_viewer()
    for name, radius, shift in (("before", 5, 0), ("after", 4, 2)):
        open_in(viewer, *make_visit(name, radius, shift))
    made = VisitsWidget(viewer, worker)
    viewer.window.add_dock_widget(made, name="Visits")
    qtbot.waitUntil(lambda: len(made.visits.entries) == 2)
    yield made
    for runner in (made.runner, made.register_runner, made.results.save_runner, made.visits.date_runner):
        runner.wait(30)


def tell(panel, row: int, column: int, text: str) -> None:
    panel.visits.list.item(row, column).setText(text)


def register(panel, qtbot, row: int = 1) -> None:
    panel.visits.list.setCurrentCell(row, 0)
    with qtbot.waitSignal(panel.register_runner.finished, timeout=60_000):
        panel.register_button.click()
    qtbot.waitUntil(lambda: panel.visits.entries[row].registration is not None)


def compare(panel, qtbot) -> None:
    with qtbot.waitSignal(panel.runner.finished, timeout=60_000):
        panel.compare()
    qtbot.waitUntil(lambda: panel.results.follow_up is not None)


def test_each_labels_layer_is_a_visit_and_what_was_told_stays(panel, qtbot) -> None:
    assert [entry.name for entry in panel.visits.entries] == ["before", "after"]
    tell(panel, 0, 0, "first")
    tell(panel, 0, 1, "2025-01-31")
    qtbot.waitUntil(lambda: panel.visits.list.item(0, 1).text() == "2025-01-31")
    open_in(panel._viewer, *make_visit("later", 6))
    qtbot.waitUntil(lambda: len(panel.visits.entries) == 3)
    assert [entry.name for entry in panel.visits.entries] == ["first", "after", "later"]
    assert panel.visits.entries[0].date_text == "2025-01-31"


def test_a_removed_layer_takes_its_visit_away(panel, qtbot) -> None:
    panel._viewer.layers.remove(panel.visits.entries[0].layer)
    qtbot.waitUntil(lambda: [entry.name for entry in panel.visits.entries] == ["after"])


def test_what_is_no_date_is_said_and_not_taken(panel, qtbot) -> None:
    tell(panel, 0, 1, "last spring")
    qtbot.waitUntil(lambda: panel.visits.list.item(0, 1).text() == "")
    assert "not a date" in panel.status_label.text()
    assert panel.visits.entries[0].date is None


@pytest.mark.slow
def test_a_registration_is_shown_as_a_checkerboard_and_used_only_when_accepted(panel, qtbot) -> None:
    register(panel, qtbot)
    boards = [layer for layer in panel._viewer.layers if layer.metadata.get(layers.MAP_KEY) == state.BOARD]
    assert len(boards) == 1
    found = panel.visits.entries[1].registration
    assert found.trusted
    assert found.transform.apply((0, 0, 0)) == pytest.approx((0, 8, 0), abs=0.5)
    compare(panel, qtbot)
    assert panel.results.follow_up.tracks[0].states == ("first seen", "not compared")
    panel.visits.list.setCurrentCell(1, 0)
    panel.accept_button.click()
    assert not [layer for layer in panel._viewer.layers if layer.metadata.get(layers.MAP_KEY) == state.BOARD]
    compare(panel, qtbot)
    assert panel.results.follow_up.tracks[0].states == ("first seen", "shrunk")


@pytest.mark.slow
def test_rejecting_forgets_the_registration(panel, qtbot) -> None:
    register(panel, qtbot)
    panel.reject_button.click()
    assert panel.visits.entries[1].registration is None
    assert panel.visits.list.item(1, 3).text() == "not yet"


@pytest.mark.slow
def test_another_baseline_forgets_registrations_onto_the_old_one(panel, qtbot) -> None:
    register(panel, qtbot)
    panel._settle(accepted=True)
    panel.visits._on_baseline_chosen(1, True)
    assert [entry.facts.baseline for entry in panel.visits.entries] == [False, True]
    assert panel.visits.entries[1].registration is None


def test_comparison_shows_sizes_curves_and_what_is_missing(panel, qtbot) -> None:
    panel.visits._on_baseline_chosen(0, True)
    compare(panel, qtbot)
    volume = (panel.visits.entries[0].layer.data == 3).sum() * 64 / 1000
    assert panel.results.sizes.texts()[0][1] == f"{volume:.2f} mL"
    assert "to baseline" in panel.results.sizes.texts()[0][2]
    assert panel.results.canvas.isVisibleTo(panel)
    assert panel.results.canvas.figure.axes
    assert "before: baseline" in panel.results.response_label.text()
    assert "after: not assessable" in panel.results.response_label.text()
    assert "clinical status" in panel.results.response_label.text()


def test_facts_change_the_response_without_measuring_again(panel, qtbot) -> None:
    panel.visits._on_baseline_chosen(0, True)
    compare(panel, qtbot)
    measured = panel.results.follow_up.visits[1].examination
    panel.visits.list.setCurrentCell(1, 0)
    panel.visits.facts.clinical_box.setCurrentIndex(panel.visits.facts.clinical_box.findData("worse"))
    with qtbot.waitSignal(panel.runner.finished, timeout=10_000):
        panel.visits.facts.clinical_box.activated.emit(panel.visits.facts.clinical_box.currentIndex())
    qtbot.waitUntil(lambda: "by area PD (clinically worse)" in panel.results.response_label.text())
    assert panel.results.follow_up.visits[1].examination is measured


def test_a_date_of_radiotherapy_that_is_none_is_refused(panel) -> None:
    panel.visits.facts.radiotherapy_edit.setText("in June")
    panel.visits.facts.radiotherapy_edit.editingFinished.emit()
    assert "not a date" in panel.status_label.text()
    panel.visits.facts.radiotherapy_edit.setText("none")
    panel.visits.facts.radiotherapy_edit.editingFinished.emit()
    assert panel.visits.entries[0].facts.radiotherapy_end == "none"


@pytest.mark.slow
def test_report_table_and_document_are_saved(panel, qtbot, tmp_path) -> None:
    compare(panel, qtbot)
    for save, name in (
        (panel.results.save_table, "a.csv"),
        (panel.results.save_json, "a.json"),
        (panel.results.save_report, "a.html"),
    ):
        with qtbot.waitSignal(panel.results.save_runner.finished, timeout=60_000):
            save(tmp_path / name)
        qtbot.waitUntil(lambda: not panel.results.save_runner.running)
    assert (tmp_path / "a.csv").read_text(encoding="utf-8").startswith("visit,date,what")
    assert json.loads((tmp_path / "a.json").read_text(encoding="utf-8"))["baseline"] == "before"
    assert "not assessable" in (tmp_path / "a.html").read_text(encoding="utf-8").lower()


def test_a_list_whose_layers_are_in_no_file_cannot_be_saved_and_says_what_to_do(panel, tmp_path) -> None:
    panel.save_document(tmp_path / "visits.json")
    assert not (tmp_path / "visits.json").exists()
    assert "save" in panel.status_label.text().lower()


def test_visits_of_a_document_are_listed_without_layers_and_saved_again(panel, qtbot, tmp_path) -> None:
    import nibabel as nib

    study, segmentation = make_visit("filed", 6)
    (tmp_path / "filed").mkdir()
    nib.save(nib.Nifti1Image(study.sequences["T1"], GRID.affine), tmp_path / "filed" / "x_t1.nii.gz")
    save_segmentation(segmentation, tmp_path / "filed_seg.nii.gz")
    document = tmp_path / "visits.json"
    visits = [{"case": "filed", "segmentation": "filed_seg.nii.gz", "date": "2024-01-02"}]
    document.write_text(json.dumps({"visits": visits}))
    with qtbot.waitSignal(panel.open_runner.finished, timeout=30_000):
        panel.open_document(document)
    qtbot.waitUntil(lambda: len(panel.visits.entries) == 3)
    assert panel.visits.entries[2].date_text == "2024-01-02"
    for row in (0, 1):
        panel.visits.entries[row].used = False
    panel.save_document(tmp_path / "again.json")
    (kept,) = read_visits(tmp_path / "again.json").visits
    assert kept.date.isoformat() == "2024-01-02"
    panel._viewer.layers.clear()
    qtbot.waitUntil(lambda: len(panel.visits.entries) == 1)
    compare(panel, qtbot)
    assert panel.results.follow_up["ET"].changes[0].value > 0


def test_the_lines_name_the_document_and_the_command(panel, tmp_path) -> None:
    lines = state.lines_of(panel.visits.entries, None)
    assert lines.arguments == ("follow-up", "visits.json", "-o", "follow-up")
    assert "Save list" in lines.notes[0]
    compile(lines.python, "lines", "exec")
    assert str(tmp_path) in state.lines_of(panel.visits.entries, tmp_path / "v.json").python
    with pytest.raises(RecordError, match="no visit yet"):
        state.lines_of([], None)


def test_two_visits_of_one_name_cannot_be_compared(panel) -> None:
    tell(panel, 1, 0, "before")
    assert not panel.compare_button.isEnabled()
    assert "its own name" in panel.status_label.text()


def test_without_scans_a_visit_cannot_be_registered_and_says_so(panel, qtbot) -> None:
    panel._viewer.layers.remove("after T1")
    panel.visits.list.setCurrentCell(1, 0)
    with qtbot.waitSignal(panel.register_runner.failed, timeout=30_000) as told:
        panel.register()
    assert isinstance(told.args[0], VisitError)
    assert "Open its case" in panel.status_label.text()


def test_every_control_says_what_it_is(panel) -> None:
    from qtpy.QtWidgets import QAbstractButton, QComboBox, QLineEdit

    for kind in (QAbstractButton, QComboBox, QLineEdit):
        for control in panel.findChildren(kind):
            if control.objectName().startswith("qt_") or control.parent() in (panel.visits.list, panel.results.sizes):
                continue
            assert control.toolTip(), control
            assert control.accessibleName() or getattr(control, "text", str)(), control


def test_the_panel_goes_with_its_viewer_while_a_job_runs(panel) -> None:
    panel.visits.list.setCurrentCell(1, 0)
    panel.register()
    panel.register_runner.cancel()
    panel.register_runner.wait(30)
    assert not panel.register_runner.running


def result_of(study: Study, name: str, radius: int = 4) -> layers.LayerData:
    """Another result of the same scans, as another model gives it."""
    data = np.zeros(GRID.shape, np.uint8)
    data[ball(GRID.shape, (15, 22, 18), radius)] = 3
    return to_layers.segmentation_to_layer(Segmentation(data, GRID, study.name), name=name)


def test_several_results_of_one_examination_are_one_visit_whose_labels_are_chosen(panel, qtbot) -> None:
    viewer = panel._viewer
    study, _ = make_visit("before", 5)
    viewers.add_layers(viewer, [result_of(study, "second"), result_of(study, "third", 3)])
    qtbot.waitUntil(lambda: len(panel.visits.entries[0].results) == 3)
    assert [entry.name for entry in panel.visits.entries] == ["before", "after"]
    first = panel.visits.entries[0].layer
    assert first.name == "before segmentation"
    panel.visits.list.setCurrentCell(0, 0)
    assert panel.visits.labels_part.isVisibleTo(panel.visits.details.body)
    panel.visits.labels_box.setCurrentIndex(panel.visits.labels_box.findText("third"))
    panel.visits.labels_box.activated.emit(panel.visits.labels_box.currentIndex())
    assert panel.visits.entries[0].layer is viewer.layers["third"]
    assert visit_entries.gather(panel.visits.entries[0], viewer.layers).labels.name == "third"
    viewer.layers.remove("third")  # the next result stands in for it
    qtbot.waitUntil(lambda: panel.visits.entries[0].layer is first)
    panel.visits.list.setCurrentCell(1, 0)
    assert not panel.visits.labels_part.isVisibleTo(panel.visits.details.body)


def test_an_examination_is_known_by_its_files_and_hashes_and_not_by_the_name_of_its_case(tmp_path) -> None:
    from napari_brain_tumor.study import Source
    from napari_brain_tumor.widgets.examinations import identity_of_labels, identity_of_sources

    def labels_of(case, **inputs):
        provenance = {
            "inputs": {role: {"path": str(path), "sha256": digest} for role, (path, digest) in inputs.items()}
        }
        made = Segmentation(np.zeros(GRID.shape, np.uint8), GRID, case, provenance=provenance)
        return layers.layer_of(to_layers.segmentation_to_layer(made))

    def same(one, other):
        return bool(identity_of_labels(one, ()) & identity_of_labels(other, ()))

    first = labels_of("P1", T1=(tmp_path / "v1" / "t1.nii.gz", "a"), FLAIR=(tmp_path / "v1" / "flair.nii.gz", "b"))
    assert same(first, labels_of("P1", FLAIR=(tmp_path / "v1" / "flair.nii.gz", "b")))
    assert same(first, labels_of("P1", T2=(tmp_path / "v1" / "t2.nii.gz", "c")))  # no scan in common, but the folder
    assert same(first, labels_of("copy", T1=(tmp_path / "elsewhere" / "x.nii.gz", "a")))  # the same bytes
    assert not same(first, labels_of("P1", T1=(tmp_path / "v2" / "t1.nii.gz", "d")))
    assert not same(first, labels_of("P1"))
    in_one_folder = [labels_of(name, T1=(tmp_path / "all" / f"{name}.nii.gz", name)) for name in ("one", "two")]
    assert not same(*in_one_folder)
    series = [identity_of_sources([Source(tmp_path, series=uid)], "case") for uid in ("1.2", "1.2", "1.3")]
    assert series[0] & series[1]
    (tmp_path / "dicom").mkdir()
    assert not {one for one in series[0] & series[2] if one[0] == "series"}


@pytest.mark.slow
def test_diameters_that_were_moved_by_hand_are_used(panel, qtbot) -> None:
    from napari_brain_tumor.measure.examination import measure_study
    from napari_brain_tumor.widgets import diameter_lines

    viewer, labels = panel._viewer, panel.visits.entries[0].layer
    segmentation = from_layers.segmentation_from_layer(labels)
    examination = measure_study(segmentation)
    shapes = viewer.add_layer(diameter_lines.new_lines_layer(examination, labels))
    compare(panel, qtbot)
    computed = panel.results.follow_up["area"].changes[0].value
    assert "by hand" not in panel.status_label.text()
    data = shapes.data
    data[0][1] = (data[0][0] + data[0][1]) / 2
    shapes.data = data
    diameter_lines.put_lines_away(labels, shapes)  # as leaving the tab that measures does
    viewer.layers.remove(shapes)
    compare(panel, qtbot)
    assert panel.results.follow_up["area"].changes[0].value == pytest.approx(computed / 2, rel=1e-3)
    assert "before: diameters of ET 1 as they were moved by hand." in panel.results.follow_up.notes
    labels.data_setitem(np.nonzero(labels.data), 0)
    labels.data_setitem((np.array([18, 18]), np.array([22, 23]), np.array([24, 24])), 3)
    compare(panel, qtbot)
    assert any("are not used: the labels were changed since" in note for note in panel.results.follow_up.notes)


def test_closing_the_panel_stops_what_it_computes(panel, qtbot) -> None:
    panel.visits.list.setCurrentCell(1, 0)
    panel.register()
    panel._viewer.window.remove_dock_widget(panel)
    panel.register_runner.wait(30)
    assert not panel.register_runner.running
    qtbot.wait(50)
    assert not [layer for layer in panel._viewer.layers if layer.metadata.get(layers.MAP_KEY) == state.BOARD]
