"""Import of a labelled folder: what the page shows of it, without Qt and with it."""

from pathlib import Path

import numpy as np
import pytest

from napari_brain_tumor.dataset import CuratedDataset
from napari_brain_tumor.dataset.imports import CaseOutcome, CasePreview, FoundCase, ImportReport
from napari_brain_tumor.errors import RecordError, SpacingUnknownError
from napari_brain_tumor.progress import run_job
from phantoms import noise, tumour, write_nifti

pytest.importorskip("qtpy.QtWidgets", reason="needs a Qt binding")

from napari_brain_tumor.widgets import import_state as state

SHAPE = (7, 6, 5)
GOOD = CasePreview(FoundCase("anna", Path("anna"), Path("anna/seg.nii.gz")), {"T1": "t1.nii", "T2": "t2.nii"}, "MSD")
DOUBTFUL = CasePreview(
    FoundCase("bert", Path("bert"), Path("bert/seg.nii.gz")), problem="two schemas fit", doubt="labels"
)
PATIENCE_MS = 20_000


def test_what_is_in_doubt_is_asked_for_and_the_others_can_be_imported():
    view = state.resolve(state.Contents((GOOD, DOUBTFUL), DOUBTFUL), None, has_dataset=True)
    assert view.rows[0] == {
        "case": "anna", "sequences": "T1, T2", "schema": "MSD", "label": "seg.nii.gz", "note": ""
    }  # fmt: skip
    assert (view.rows[1]["sequences"], view.rows[1]["note"]) == ("?", "two schemas fit")
    assert view.asks
    assert view.text.startswith("2 labelled cases; 1 would be refused")
    assert (view.button, view.obstacle) == ("Import 1 case", "")


def test_nothing_is_imported_without_a_data_set_a_folder_or_a_good_case():
    assert "data set" in state.resolve(state.Contents((GOOD,), GOOD), None, has_dataset=False).obstacle
    assert "Choose a folder" in state.resolve(state.Contents(), None, has_dataset=True).obstacle
    assert "see the notes" in state.resolve(state.Contents((DOUBTFUL,), DOUBTFUL), None, has_dataset=True).obstacle


def test_outcomes_take_the_place_of_notes():
    report = ImportReport((CaseOutcome("anna", "added"), CaseOutcome("bert", "refused", "two schemas fit")))
    view = state.resolve(state.Contents((GOOD, DOUBTFUL), DOUBTFUL), report, has_dataset=True)
    assert [row["note"] for row in view.rows] == ["added", "refused: two schemas fit"]
    assert state.report_text(report) == "1 added, 0 already there, 1 refused."


def test_files_are_offered_with_a_placeholder_for_the_case(tmp_path):
    for number in (2, 4):
        write_nifti(tmp_path / "anna" / f"anna_{number}.nii.gz", noise(SHAPE, number))
    write_nifti(tmp_path / "anna" / "anna_seg.nii.gz", tumour(SHAPE))
    contents = run_job(state.look(state.ImportChoices(str(tmp_path))))
    assert contents.places == {"anna_2.nii.gz": "{case}_2.nii.gz", "anna_4.nii.gz": "{case}_4.nii.gz"}
    assert contents.example is not None
    assert contents.example.doubt == "roles"
    chosen = state.ImportChoices(str(tmp_path), schema="MSD", roles={"T1c": "{case}_2.nii.gz"})
    assert state.chosen_places(run_job(state.look(chosen))) == {"T1c": "anna_2.nii.gz"}


def test_choices_that_make_no_request_say_why(tmp_path):
    with pytest.raises(SpacingUnknownError, match="three positive numbers"):
        _ = state.ImportChoices(str(tmp_path), spacing="1 1").request
    with pytest.raises(RecordError, match="Open a data set"):
        state.lines_of(None, state.ImportChoices(str(tmp_path)))


@pytest.mark.gui
def test_a_folder_in_doubt_is_imported_after_its_files_were_chosen(qtbot, tmp_path):
    from napari_brain_tumor.widgets.import_page import ImportPage

    for seed, name in enumerate(("anna", "bert")):
        for number in (2, 4):
            write_nifti(tmp_path / "scans" / name / f"{name}_{number}.nii.gz", noise(SHAPE, 10 * seed + number))
        write_nifti(tmp_path / "scans" / name / f"{name}_seg.nii.gz", tumour(SHAPE))
    dataset = CuratedDataset.create(tmp_path / "set")
    page = ImportPage(lambda: dataset)
    qtbot.addWidget(page)

    def choose(box, position):
        with qtbot.waitSignal(page.look_runner.finished, timeout=PATIENCE_MS):
            box.setCurrentIndex(position)
            box.activated.emit(position)

    with qtbot.waitSignal(page.look_runner.finished, timeout=PATIENCE_MS):
        page.show_folder(str(tmp_path / "scans"))
    assert page.table.rowCount() == 2
    assert page.more.toggle.isChecked()
    assert not page.import_button.isEnabled()
    choose(page.role_boxes["T1c"], page.role_boxes["T1c"].findText("anna_2.nii.gz"))
    choose(page.role_boxes["FLAIR"], page.role_boxes["FLAIR"].findText("anna_4.nii.gz"))
    choose(page.schema_box, page.schema_box.findData("MSD"))
    assert page.import_button.text() == "Import 2 cases"
    assert "schema_name='MSD'" in page.lines().python
    with qtbot.waitSignal(page.imported, timeout=PATIENCE_MS):
        page.import_button.click()
    assert page.text_label.text() == "2 added, 0 already there, 0 refused."
    assert {page.table.item(at, 3).text() for at in range(2)} == {"added"}
    np.testing.assert_array_equal(dataset.study("bert").sequences["FLAIR"], noise(SHAPE, 14))
