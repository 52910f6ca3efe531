"""Choosing DICOM series in the Open case panel."""

import numpy as np
import pytest

from dicom_phantoms import AXIAL, write_enhanced, write_series, write_stack
from napari_brain_tumor.errors import RoleError
from napari_brain_tumor.plugin import layers, viewers
from napari_brain_tumor.plugin.reader import read_path
from napari_brain_tumor.requests.opening import ViewRequest
from napari_brain_tumor.widgets.open_state import open_case, open_lines, series_at
from phantoms import noise, write_nifti


def write_export(folder):
    write_series(folder / "a", "AX FLAIR", uid="1", SeriesNumber=3)
    write_series(folder / "b", "SAG FLAIR", seed=1, uid="2", SeriesNumber=4)
    write_stack(folder / "c", noise((9, 8, 7)), uid="3", SeriesDescription="AX T1 POST", SeriesNumber=5)
    write_stack(folder / "d", noise((9, 8, 7)), uid="4", SeriesDescription="AX T2", SeriesNumber=6)
    (folder / "d" / "003.dcm").unlink()
    return folder


def scans(opened):
    return {one[1]["metadata"][layers.KEY].role: layers.layer_of(one) for one in opened}


def test_picked_series_open_each_where_it_lies(tmp_path, monkeypatch):
    told = []
    monkeypatch.setattr(viewers, "tell", lambda notes, **_: told.extend(notes))
    request = ViewRequest(path=write_export(tmp_path), series={"T1c": "5", "FLAIR": "4"})
    opened = scans(open_case(request))
    assert set(opened) == {"T1c", "FLAIR"}
    assert opened["T1c"].data.size == 9 * 8 * 7
    assert opened["FLAIR"].data.size == 7 * 6 * 5
    assert any("different grids" in note for note in told)
    lines = open_lines(request)
    assert "series={'T1c': '5', 'FLAIR': '4'}" in lines.python.replace('"', "'")
    assert "--series=T1c=5" in lines.arguments


def test_an_export_on_several_grids_dropped_on_the_window_is_shown(tmp_path, monkeypatch):
    monkeypatch.setattr(viewers, "tell", lambda notes, **_: None)
    write_series(tmp_path / "a", "AX FLAIR", uid="1")
    write_stack(tmp_path / "c", noise((9, 8, 7)), uid="3", SeriesDescription="AX T1 POST")
    assert set(scans(read_path(tmp_path))) == {"T1c", "FLAIR"}


def test_there_is_nothing_to_choose_where_there_is_no_dicom(tmp_path):
    path = write_nifti(tmp_path / "x_t1.nii.gz", noise())
    assert series_at(tmp_path) == []
    assert series_at(path) == []


def test_stacks_of_one_file_are_told_by_their_numbers(tmp_path):
    from napari_brain_tumor import open_study
    from napari_brain_tumor.requests.reopening import opening_of

    array = noise((7, 6, 5))
    frames = [{"position": (0, 0, 4 * k), "echo": echo} for echo in (12.0, 90.0) for k in range(5)]
    planes = [array[:, :, k].T + shift for shift in (0, 1) for k in range(5)]
    write_enhanced(tmp_path / "e.dcm", planes, frames, {"orientation": AXIAL}, SeriesNumber=3)
    study = open_study(tmp_path, series={"T1": "3.1", "T2": "3.2"})
    opening = opening_of(study.sources, study.roles, study.grid)
    assert opening.series == {"T1": "3.1", "T2": "3.2"}
    again = open_study(opening.path, series=dict(opening.series))
    np.testing.assert_array_equal(again.sequences["T2"], study.sequences["T2"])


@pytest.mark.gui
def test_a_table_chooses_what_the_headers_leave_open(make_napari_viewer, qtbot, tmp_path, monkeypatch):
    from napari_brain_tumor.widgets import open_case as module

    monkeypatch.setattr(module, "notify_error", lambda error: None)
    viewer = make_napari_viewer()
    panel = module.OpenCaseWidget(viewer)
    viewer.window.add_dock_widget(panel, name="Open case")
    panel.path_edit.setText(str(write_export(tmp_path)))
    with qtbot.waitSignal(panel._series_runner.finished, timeout=30_000):
        panel.open_button.click()
    table = panel.series_table
    assert panel.series_panel.isVisibleTo(panel)
    assert table.rowCount() == 4
    assert [table.item(at, 1).text() for at in range(4)] == ["3", "4", "5", "6"]
    assert "AX T1 POST" in table.item(2, 1).toolTip()
    assert table.picks == {"T1c": "5"}  # the only one; of FLAIR there are two, and T2 cannot be opened
    assert not table.cellWidget(3, 0).isEnabled()
    table.choose("3", "FLAIR")
    table.choose("4", "FLAIR")
    assert table.picks == {"T1c": "5", "FLAIR": "4"}  # a role has one series
    with qtbot.waitSignal(panel.runner.finished, timeout=30_000):
        panel.open_button.click()
    assert sorted(layer.metadata[layers.KEY].role for layer in viewer.layers) == ["FLAIR", "T1c"]
    assert panel.widget().minimumSizeHint().width() <= 330
    panel.path_edit.setText(str(tmp_path / "a"))
    assert panel.request.series is None


def test_a_refusal_of_dicom_names_the_option_by_which_the_panel_knows_it(tmp_path):
    with pytest.raises(RoleError, match="--series"):
        open_case(ViewRequest(path=write_export(tmp_path)))
