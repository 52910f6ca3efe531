"""The Prepare panel: its table follows the choices, its code does the same, and what was done is shown."""

import ast
from pathlib import Path

import numpy as np
import pytest

from napari_brain_tumor.cli import app
from napari_brain_tumor.errors import RecordError
from napari_brain_tumor.preparation import candidates_of
from napari_brain_tumor.preparation.pipeline import PreparationReport
from napari_brain_tumor.requests.prepare import PrepareRequest
from napari_brain_tumor.widgets import prepare_state as state
from phantoms import noise, write_nifti


@pytest.fixture
def examination(tmp_path) -> Path:
    folder = tmp_path / "exam"
    folder.mkdir()
    for name, slices in (("flair", 40), ("flair_short", 20), ("t1_gd", 40), ("localizer", 3)):
        write_nifti(folder / f"{name}.nii.gz", noise((8, 8, slices)), np.diag([1.0, 1.0, 3.0, 1.0]))
    return folder


def uses(view):
    return {row["name"].split(".")[0]: row["role"] for row in view.rows}


def test_a_choice_moves_the_role_and_leaves_the_others(examination):
    candidates = candidates_of(examination)
    view = state.view_of(candidates, {})
    assert uses(view) == {"flair": "FLAIR", "flair_short": "", "localizer": "", "t1_gd": "T1c"}
    number = next(row["number"] for row in view.rows if row["name"].startswith("flair_short"))
    series = state.after_choosing(view, number, "FLAIR")
    view = state.view_of(candidates, series)
    assert uses(view) == {"flair": "", "flair_short": "FLAIR", "localizer": "", "t1_gd": "T1c"}
    series = state.after_choosing(view, number, "")
    assert series["FLAIR"] == "-"
    assert uses(state.view_of(candidates, series))["t1_gd"] == "T1c"
    last = next(row["number"] for row in view.rows if row["role"] == "T1c")
    nothing = state.after_choosing(state.view_of(candidates, series), last, "")
    assert "states which sequence" in state.view_of(candidates, nothing).problem


def test_a_folder_that_is_there_is_never_proposed(examination):
    first = state.free_folder(examination)
    assert first.name == "exam_study"
    first.mkdir()
    assert state.free_folder(examination).name == "exam_study_2"


def test_the_lines_are_those_of_the_choices_and_the_shell_takes_them(examination):
    import typer

    plain = state.lines_of(PrepareRequest(path=examination), Path("out"))
    assert "series" not in plain.python
    options = {"series": {"FLAIR": "2", "T1": "-"}, "grid": "reference", "bias_correction": True, "brain": "keep"}
    lines = state.lines_of(PrepareRequest(path=examination, **options), Path("out"))
    call = ast.parse(lines.python).body[-1].value
    given = {word.arg: ast.literal_eval(word.value) for word in call.keywords}
    assert given == options | {"output": "out"}
    command = typer.main.get_command(app).commands["prepare"]
    parsed = command.make_context("prepare", list(lines.arguments[1:])).params
    assert parsed["series"] == ["FLAIR=2", "T1=-"]
    assert (parsed["grid"].value, parsed["bias_correction"], parsed["brain"]) == ("reference", True, "keep")
    with pytest.raises(RecordError, match="Choose an examination"):
        state.lines_of(PrepareRequest(path=Path("nowhere")), Path("out"))


@pytest.mark.gui
def test_the_panel_lists_series_and_shows_what_was_done(make_napari_viewer, qtbot, examination):
    from napari_brain_tumor.widgets.prepare import PrepareWidget

    viewer = make_napari_viewer()
    panel = PrepareWidget(viewer)
    viewer.window.add_dock_widget(panel, name="Prepare")
    panel.prepare()
    assert "first" in panel.status_label.text()
    with qtbot.waitSignal(panel.headers_runner.finished, timeout=20_000):
        panel.show_examination(str(examination))
    qtbot.waitUntil(lambda: panel.table.rowCount() == 4, timeout=5_000)
    assert panel.output_edit.text().endswith("exam_study")
    assert panel.table.item(0, 1).text() == "flair.nii.gz"
    panel.choose("2", "FLAIR")
    assert panel.request.series == {"T1": "-", "T1c": "4", "T2": "-", "FLAIR": "2"}
    assert panel.table.cellWidget(1, 0).currentText() == "FLAIR"
    study = examination.parent / "study"
    study.mkdir()
    for name in ("T1c", "FLAIR"):
        write_nifti(study / f"{name}.nii.gz", noise((8, 8, 6)), np.eye(4))
    board = np.arange(600).astype(np.uint8).reshape(20, 30)
    report = PreparationReport(study, "T1c", (("FLAIR", 4.25, 3.0, 0.97, 0.61),), (), {"FLAIR": board})
    with qtbot.waitSignal(panel.open_runner.finished, timeout=20_000):
        panel._on_prepared(report)
    assert "FLAIR: turned by 4.2°, moved by 3.0 mm; heads overlap by 97%" in panel.status_label.text()
    assert panel.picture_label.pixmap().width() >= 200
    qtbot.waitUntil(lambda: len(viewer.layers) == 2, timeout=5_000)
