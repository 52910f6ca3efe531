"""The box "As code", and the lines of the panels run beside what the panels do."""

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from napari.layers import Points
from panel_cases import SHAPE, make_study

from napari_brain_tumor import cli, open_segmentation, open_study
from napari_brain_tumor.catalogue import find_model
from napari_brain_tumor.dataset import CuratedDataset
from napari_brain_tumor.errors import RecordError
from napari_brain_tumor.plugin import layers, to_layers, viewers
from napari_brain_tumor.requests.actions import LabelFile
from napari_brain_tumor.requests.lines import CommandLines
from napari_brain_tumor.requests.segment import SegmentRequest
from napari_brain_tumor.sample import sample_case_folder, sample_truth_path
from napari_brain_tumor.study import Segmentation
from napari_brain_tumor.widgets import curate_state, panel_lines, result_files, segment_state
from napari_brain_tumor.widgets.saved_files import remember_saved, saved_file
from napari_brain_tumor.widgets.worker import Stop

LINES = CommandLines("print('a')", ("segment", "my case"), ("A note.",))


def scan_layers(study):
    return dict(zip(study.roles, map(layers.layer_of, to_layers.study_to_layers(study)), strict=True))


def label_layer(segmentation):
    return layers.layer_of(to_layers.segmentation_to_layer(segmentation))


def choices_of(study, **changes):
    options = SegmentRequest(device="cpu", **{key: changes.pop(key) for key in ("min_lesion_mm3",) if key in changes})
    return segment_state.Choices(sequences=scan_layers(study), options=options, **changes)


def run_lines(lines, folder, monkeypatch):
    """Run the Python lines in one folder and the shell command in another; returns both folders."""
    made = [folder / "python", folder / "shell"]
    for place in made:
        place.mkdir()
        monkeypatch.chdir(place)
        if place.name == "python":
            exec(lines.python, {})
        else:
            program, *words = shlex.split(lines.shell("posix"))
            assert program == "brain-tumor"
            with pytest.raises(SystemExit) as ended:
                cli.main(words)
            assert not ended.value.code
    return made


def run_lines_as_users_do(lines, folder):
    """The same with an interpreter and a shell of their own."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    program = "from napari_brain_tumor.cli import main; main()"
    made = []
    for name, command in (
        ("python", [sys.executable, "-c", lines.python]),
        ("shell", ["sh", "-c", lines.shell("posix").replace("brain-tumor", f"'{sys.executable}' -c '{program}'", 1)]),
    ):
        place = folder / name
        place.mkdir()
        done = subprocess.run(command, cwd=place, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        made.append(place)
    return made


@pytest.mark.skipif(shutil.which("sh") is None, reason="needs a POSIX shell")
@pytest.mark.parametrize(
    "method",
    ["threshold", pytest.param("unet", marks=pytest.mark.slow), pytest.param("region_growing", marks=pytest.mark.slow)],
)
def test_lines_of_the_segment_panel_give_what_its_run_and_save_give(
    tmp_path, worker, method, small_sample, monkeypatch
):
    """The panel's job in its worker process, the lines in Python and in the shell."""
    study = open_study(small_sample)
    choices = choices_of(study, model=find_model(method), min_lesion_mm3=20.0)
    if method == "region_growing":
        truth = open_segmentation(small_sample / sample_truth_path().name)
        seed = study.grid.world(np.argwhere(truth.data == 3).mean(axis=0))[::-1]
        choices.seeds = Points([seed], ndim=3)
    stop, views = Stop(), {role: layers.view(layer) for role, layer in choices.sequences.items()}
    job = segment_state.segment_steps(stop, views, choices.request, worker)
    from napari_brain_tumor.progress import run_job

    data, _ = run_job(job)
    layer = layers.layer_of(data)
    assert layer.data.any()
    result_files.save_layer(layers.view(layer), [], str(tmp_path / "panel.nii.gz"), "BraTS2018-2022")
    lines = panel_lines.segment_lines_of(choices, format_of(".nii.gz"), "BraTS2018-2022")
    expected = open_segmentation(tmp_path / "panel.nii.gz")
    as_users = method == "region_growing"  # once is enough
    for place in run_lines_as_users_do(lines, tmp_path) if as_users else run_lines(lines, tmp_path, monkeypatch):
        found = open_segmentation(place / f"{study.name}_segmentation.nii.gz")
        np.testing.assert_array_equal(found.data, expected.data)
        assert found.grid == expected.grid


def format_of(suffix):
    return next(one for one in result_files.FORMATS if one.suffix == suffix)


def test_a_saved_result_is_what_the_lines_name(tmp_path):
    choices = choices_of(open_study(sample_case_folder()), model=find_model("threshold"))
    lines = panel_lines.segment_lines_of(choices, format_of(".nrrd"), "MSD")
    assert lines.arguments[-2:] == ("--output", "synthetic_glioma_segmentation.nrrd")
    assert lines.arguments[1:4] == (str(sample_case_folder()), "--model", "threshold")
    lines = panel_lines.segment_lines_of(choices, format_of(".nrrd"), "MSD", str(tmp_path / "mine.nii"))
    assert lines.arguments[-1] == str(tmp_path / "mine.nii")
    assert lines.notes[-1].startswith("To compute the saved result again and compare: brain-tumor rerun ")
    edited = label_layer(open_segmentation(sample_truth_path()))
    edited.data[0] = 1
    assert "edited by hand" in panel_lines.segment_lines_of(choices, format_of(".nrrd"), "MSD", result=edited).notes[0]
    choices.sequences = {"FLAIR": choices.sequences["FLAIR"]}
    assert "--roles" in panel_lines.segment_lines_of(choices, format_of(".nrrd"), "MSD").shell("posix") or (
        panel_lines.segment_lines_of(choices, format_of(".nrrd"), "MSD").arguments[1].endswith("flair.nii.gz")
    )


def test_arrays_are_to_be_saved_first_and_obstacles_are_told():
    choices = choices_of(make_study(), model=find_model("threshold"))
    with pytest.raises(RecordError, match=r"case T1.* is not from a file.*save the layer first"):
        panel_lines.segment_lines_of(choices, format_of(".nii.gz"), "MSD")
    with pytest.raises(RecordError, match="Open a case"):
        panel_lines.segment_lines_of(segment_state.Choices(), format_of(".nii.gz"), "MSD")


def test_a_labels_layer_is_a_file_once_it_was_saved_and_until_it_is_painted_on(tmp_path):
    layer = label_layer(Segmentation(np.zeros(SHAPE, np.uint8), make_study().grid, "case"))
    with pytest.raises(RecordError, match=r"viewer's memory alone. Save the layer first"):
        panel_lines.label_file_of(layer)
    remember_saved(layer, tmp_path / "x.nii.gz", "MSD")
    assert panel_lines.label_file_of(layer) == saved_file(layer) == LabelFile(tmp_path / "x.nii.gz", "MSD")
    layer.data[0] = 1
    with pytest.raises(RecordError):
        panel_lines.label_file_of(layer)
    opened = label_layer(open_segmentation(sample_truth_path()))
    assert panel_lines.label_file_of(opened).path == sample_truth_path()
    opened.data[0] = 1
    with pytest.raises(RecordError):
        panel_lines.label_file_of(opened)


def test_lines_of_adding_a_case_add_the_same_case(tmp_path, small_sample):
    scans = scan_layers(open_study(small_sample))
    label = label_layer(open_segmentation(small_sample / sample_truth_path().name))
    views = {role: layers.view(layer) for role, layer in scans.items()}
    request = curate_state.AddRequest(views, layers.view(label), grade="HGG", state="accepted", slices=[20, 21])
    CuratedDataset.create(tmp_path / "panel")
    expected = curate_state.add_case(tmp_path / "panel", request)
    CuratedDataset.create(tmp_path / "lines")
    lines = panel_lines.add_lines_of(tmp_path / "lines", scans, label, request.request, request.slices)
    exec(lines.python, {})
    (found,) = CuratedDataset(tmp_path / "lines").cases()
    for name in ("id", "patient", "grade", "state", "split", "roles", "grid"):
        assert getattr(found, name) == getattr(expected, name), name
    assert (found.label.sha256, found.label.known_slices) == (expected.label.sha256, expected.label.known_slices)
    assert found.label.made_by == expected.label.made_by


def test_a_label_that_is_gone_is_told():
    with pytest.raises(RecordError, match="were removed from the viewer"):
        panel_lines.relabel_lines_of(Path("set"), "case", None, "draft", "")


# The box ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def box(qtbot):
    pytest.importorskip("qtpy.QtWidgets", reason="needs a Qt binding")
    from napari_brain_tumor.widgets.action_lines import ActionLines

    def make(*arguments):
        widget = ActionLines(*arguments)
        qtbot.addWidget(widget)
        widget.show()
        return widget

    return make


@pytest.mark.gui
def test_the_box_is_folded_and_asks_for_lines_only_when_it_is_opened(box, qtbot):
    asked = []

    def make():
        asked.append(1)
        return LINES

    widget = box(make)
    widget.refresh()
    assert not widget.body.isVisible()
    assert asked == []
    widget.toggle.click()
    assert widget.body.isVisible()
    assert asked == [1]
    assert widget.python_edit.toPlainText() == "print('a')"
    assert widget.note_label.text() == "A note."
    for _ in range(3):
        widget.refresh()
    qtbot.waitUntil(lambda: len(asked) == 2, timeout=5000)


@pytest.mark.gui
def test_each_shell_has_its_quotes_and_the_buttons_copy(box):
    from qtpy.QtWidgets import QApplication

    widget = box(lambda: LINES)
    widget.toggle.click()
    shown = {}
    for at in range(widget.shell_box.count()):
        widget.shell_box.setCurrentIndex(at)
        shown[widget.shell_box.currentData()] = widget.shell_edit.toPlainText()
    assert shown == {
        "posix": "brain-tumor segment 'my case'",
        "powershell": "brain-tumor segment 'my case'",
        "cmd": 'brain-tumor segment "my case"',
    }
    widget.shell_button.click()
    assert QApplication.clipboard().text() == shown["cmd"]
    widget.python_button.click()
    assert QApplication.clipboard().text() == "print('a')"
    assert widget.note_label.text() == "Copied the Python lines."


@pytest.mark.gui
def test_what_cannot_be_scripted_says_why(box):
    def refuse():
        raise RecordError("Save the layer first.")

    widget = box(refuse)
    widget.toggle.click()
    assert widget.note_label.text() == "Save the layer first."
    assert not widget.python_button.isEnabled()
    assert not widget.shell_button.isEnabled()
    widget.show_action(lambda: CommandLines("x = 1", (), ("The shell has no option for it.",)))
    widget._show_lines()
    assert widget.python_button.isEnabled()
    assert not widget.shell_button.isEnabled()


@pytest.mark.gui
def test_the_box_is_reached_and_left_by_keyboard_and_is_narrow(box, qtbot):
    from qtpy.QtCore import Qt
    from qtpy.QtWidgets import QComboBox, QPlainTextEdit, QPushButton, QToolButton

    widget = box(lambda: LINES)
    widget.toggle.setFocus()
    qtbot.keyClick(widget.toggle, Qt.Key.Key_Space)
    assert widget.body.isVisible()
    for kind in (QToolButton, QPushButton, QComboBox, QPlainTextEdit):
        for control in widget.findChildren(kind):
            if control.objectName().startswith("qt_"):
                continue
            assert control.toolTip(), control
            assert control.focusPolicy() & Qt.FocusPolicy.TabFocus, control
    assert widget.python_edit.tabChangesFocus()
    assert widget.shell_edit.isReadOnly()
    widget.python_edit.ensurePolished()
    metrics = widget.python_edit.fontMetrics()
    assert metrics.horizontalAdvance("iiii") == metrics.horizontalAdvance("WWWW")
    assert widget.minimumSizeHint().width() <= 310


@pytest.mark.gui
def test_panels_show_the_lines_of_what_they_do(make_napari_viewer, worker, qtbot, tmp_path, small_sample):
    from napari_brain_tumor.widgets.segment import SegmentWidget

    viewer = make_napari_viewer()
    viewers.add_layers(viewer, to_layers.study_to_layers(open_study(small_sample)))
    widget = SegmentWidget(viewer, worker, models=[find_model("threshold"), find_model("region_growing")])
    widget.devices.asked = True
    viewer.window.add_dock_widget(widget, name="Segment", area="right")
    widget.code_box.toggle.click()
    assert "--model threshold" in widget.code_box.shell_edit.toPlainText().replace("\n", " ")
    widget.more.controls.control("min_lesion_mm3").setValue(70)
    qtbot.waitUntil(lambda: "min_lesion_mm3=70.0" in widget.code_box.python_edit.toPlainText(), timeout=10_000)
    widget.schema_box.setCurrentText("BraTS2018-2022")
    qtbot.waitUntil(lambda: "BraTS2018-2022" in widget.code_box.shell_edit.toPlainText(), timeout=10_000)
    label = label_layer(open_segmentation(small_sample / sample_truth_path().name))
    viewer.add_layer(label)
    viewer.layers.selection = {label}
    with qtbot.waitSignal(widget.saving.runner.finished, timeout=30_000):
        widget.saving.save(str(tmp_path / "mine.nii.gz"))
    qtbot.waitUntil(lambda: "mine.nii.gz" in widget.code_box.python_edit.toPlainText(), timeout=10_000)
    assert saved_file(label).schema == "BraTS2018-2022"


@pytest.mark.gui
def test_the_curate_panel_shows_the_lines_of_its_last_action(
    make_napari_viewer, worker, qtbot, tmp_path, monkeypatch, small_sample
):
    from napari_brain_tumor.widgets.curate import CurateWidget

    monkeypatch.setenv("BRAIN_TUMOR_HOME", str(tmp_path / "home"))
    dataset = CuratedDataset.create(tmp_path / "set")
    dataset.add(open_study(small_sample), open_segmentation(small_sample / sample_truth_path().name))
    viewer = make_napari_viewer()
    widget = CurateWidget(viewer, worker, models=[])
    viewer.window.add_dock_widget(widget, name="Curate", area="right")
    widget.open_dataset(tmp_path / "set")
    widget.code_box.toggle.click()
    assert widget.code_box.note_label.text() == "Nothing has been done yet."
    with qtbot.waitSignal(widget.runner.finished, timeout=60_000):
        widget.cases.open_case("synthetic_glioma")
    qtbot.waitUntil(lambda: widget.cases.case_id is not None, timeout=60_000)
    with qtbot.waitSignal(widget.runner.finished, timeout=60_000):
        widget.cases.decide("accepted")
    qtbot.waitUntil(lambda: ".review(" in widget.code_box.python_edit.toPlainText(), timeout=10_000)
    assert "accepted" in widget.code_box.shell_edit.toPlainText()


@pytest.mark.gui
def test_the_train_panel_shows_the_lines_of_start(make_napari_viewer, worker, tmp_path):
    from napari_brain_tumor.widgets.train import TrainWidget

    (tmp_path / "mine.toml").touch()
    widget = TrainWidget(make_napari_viewer(), worker, runs_folder=tmp_path / "runs")
    widget.form.choose_source(str(tmp_path / "mine.toml"))
    widget.form.batch_box.setValue(3)
    widget.code_box.toggle.click()
    assert "batch=3" in widget.code_box.python_edit.toPlainText()
    assert f"--data {tmp_path}" in widget.code_box.shell_edit.toPlainText()
    widget.deleteLater()


@pytest.mark.slow
def test_lines_of_the_correct_panel_give_its_labels_with_every_setting_of_the_run(tmp_path, small_sample, monkeypatch):
    from correct_cases import carry_out

    from napari_brain_tumor.interactive import Stroke, save_prompts
    from napari_brain_tumor.progress import run_job
    from napari_brain_tumor.widgets.correct_start import begin_job, starts
    from napari_brain_tumor.widgets.stored_maps import result_layer
    from napari_brain_tumor.workflow import segment_with_probabilities_job

    study = open_study(small_sample)
    middle = open_segmentation(small_sample / sample_truth_path().name).data.nonzero()
    centre = study.grid.world([float(axis.mean()) for axis in middle])
    box = tuple(float(end) for at in centre for end in (at - 25, at + 25))
    options = {"precision": "float32", "thresholds": {"WT": 0.35}, "min_lesion_mm3": 0.0, "box": box}
    found, maps = run_job(segment_with_probabilities_job(study, "unet", "cpu", **options))
    shown = [*scan_layers(study).values(), layers.layer_of(result_layer(found, maps))]
    start = starts(shown)[0]
    origin = panel_lines.origin_of(start.layer)
    assert origin.request.changed() == {"model": "unet"} | options
    correction = run_job(begin_job(start, shown)).correction_of(start.layer)
    carry_out(correction, correction.action(Stroke(label="enhancing", points=(tuple(centre.tolist()),), radius=3.0)))
    prompts = save_prompts(correction.file, tmp_path / "prompts.json")
    lines = panel_lines.refine_lines_of(start.study.sequences, origin, str(prompts))
    for folder in run_lines(lines, tmp_path, monkeypatch):
        (made,) = folder.glob("*.nii.gz")
        np.testing.assert_array_equal(open_segmentation(made).data, correction.refiner.labels)


def test_a_result_without_its_probabilities_is_opened_from_its_file(tmp_path):
    from napari_brain_tumor.requests.actions import ModelRun

    provenance = {"task": "segment", "model": {"name": "unet"}, "settings": {"flips": True, "temperatures": {}}}
    study = make_study()
    layer = label_layer(Segmentation(np.ones(SHAPE, np.uint8), study.grid, "case", provenance=provenance))
    run = panel_lines.origin_of(layer)
    assert isinstance(run, ModelRun)
    assert run.request.changed() == {"model": "unet", "flips": True}
    path = io_save(layer, tmp_path / "x.nii.gz")
    assert panel_lines.origin_of(layer).path == path


def io_save(layer, path):
    result_files.save_layer(layers.view(layer), [], str(path), "MSD")
    remember_saved(layer, str(path), "MSD")
    return path
