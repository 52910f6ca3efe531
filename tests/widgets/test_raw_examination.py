"""Which opened scans have to be registered first, and what one click does about it."""

from pathlib import Path

import numpy as np
import pytest

from napari_brain_tumor.geometry import Grid
from napari_brain_tumor.preparation.pipeline import PreparationReport
from napari_brain_tumor.study import Source
from napari_brain_tumor.widgets.dock.raw_examination import OpenScan, raw_examination
from phantoms import noise, write_nifti

ONE, OTHER = Grid((8, 8, 6), np.eye(4)), Grid((8, 8, 9), np.diag([1, 1, 2, 1]))
PATIENCE_MS = 20_000


def scan(role, grid=ONE, path="exam/t1.nii", case="case", series=None):
    return OpenScan(case, role, grid, Source(Path(path), series=series))


def test_files_of_a_folder_on_several_grids_are_offered_and_those_on_one_are_not():
    apart = [scan("T1"), scan("FLAIR", OTHER, "exam/flair.nii")]
    offered = raw_examination([scan("T1", OTHER, "first/t1.nii"), *apart])
    assert (offered.folder, offered.scans) == (Path("exam"), (1, 2))
    assert "exam: The sequences lie on 2 different grids. Register them" in offered.question
    assert raw_examination([scan("T1"), scan("FLAIR", ONE, "exam/flair.nii")]) is None
    assert raw_examination(apart, [Path("exam")]) is None
    assert raw_examination([]) is None


def test_scans_of_several_patients_in_one_folder_are_no_examination():
    assert raw_examination([scan("T1"), scan("T1", OTHER, "exam/other_t1.nii")]) is None


def test_dicom_series_of_one_case_belong_together_wherever_they_lie():
    series = [scan("T1", path="exam/one/1.dcm", series="1.2"), scan("T2", OTHER, "exam/two/1.dcm", series="1.3")]
    assert raw_examination(series).folder == Path("exam")


@pytest.mark.gui
def test_one_click_prepares_the_examination_and_opens_the_study_in_place_of_its_series(
    make_napari_viewer, qtbot, tmp_path, monkeypatch
):
    from napari_brain_tumor.plugin import layers, reader, viewers
    from napari_brain_tumor.widgets import prepare_state
    from napari_brain_tumor.widgets.dock.widget import BrainTumorWidget

    exam, study = tmp_path / "exam", tmp_path / "study"
    for name, depth in (("t1", 14), ("flair", 9)):
        write_nifti(exam / f"case_{name}.nii.gz", noise((16, 16, depth)), np.diag([1.0, 1.0, 28.0 / depth, 1.0]))

    def prepared(worker, stop, request, output):
        for role in ("T1", "FLAIR"):
            write_nifti(study / f"{role}.nii.gz", noise((8, 8, 6)), np.eye(4))
        yield from ()
        return PreparationReport(study, "T1", (("FLAIR", 1.0, 2.0, 0.9, 0.5),), (), {})

    monkeypatch.setattr(prepare_state, "prepare_job", prepared)
    monkeypatch.setattr(viewers, "tell", lambda *_, **__: None)
    viewer = make_napari_viewer()
    viewers.add_layers(viewer, reader.read_path(exam))  # the first case brings the dock
    widget = BrainTumorWidget(viewer)
    viewer.window.add_dock_widget(widget, name="Brain Tumor", area="right")
    notice = widget.dock.head.raw_notice
    assert not notice.isHidden()
    notice.register_button.click()
    assert notice.isHidden()
    qtbot.waitUntil(lambda: widget.dock.head.case_box.currentText() == "study", timeout=PATIENCE_MS)
    sources = {layer.metadata[layers.KEY].source.path.parent for layer in viewer.layers}
    assert sources == {study}
    panel = widget.dock.opening._raw().panel
    assert "FLAIR: turned by 1.0°" in panel.status_label.text()
    widget.dock.opening._raw().close()
