import os
import shutil
from pathlib import Path

import pytest

from napari_brain_tumor.errors import RecordError
from napari_brain_tumor.io import open_study
from napari_brain_tumor.io.source_files import describe_sources
from napari_brain_tumor.records.places import Places, find_sources
from napari_brain_tumor.records.records import InputRecord
from napari_brain_tumor.study import Source
from phantoms import write_brats_case, write_lgg_patient


def recorded(study):
    return {role: InputRecord.model_validate(entry) for role, entry in describe_sources(study.sources).items()}


@pytest.fixture
def case(tmp_path):
    folder = write_brats_case(tmp_path / "case")
    return folder, recorded(open_study(folder))


def test_files_where_they_were_are_taken(case, tmp_path):
    _, inputs = case
    found = find_sources(inputs, Places(tmp_path), "case")
    assert found == {role: Source(one.path) for role, one in inputs.items()}


def test_moved_files_are_found_by_name_and_renamed_ones_by_what_they_hold(case, tmp_path):
    folder, inputs = case
    moved = tmp_path / "elsewhere" / "deep"
    shutil.move(folder, moved)
    (moved / "case_t1.nii.gz").rename(moved / "renamed.nii.gz")
    with pytest.raises(RecordError, match=r"T1 of case is missing: .*--data FOLDER"):
        find_sources(inputs, Places(tmp_path), "case")
    found = find_sources(inputs, Places(tmp_path, tmp_path / "elsewhere"), "case")
    assert found["T1"].path == moved / "renamed.nii.gz"
    assert found["FLAIR"].path == moved / "case_flair.nii.gz"


def test_files_beside_the_record_are_found_without_being_asked(case, tmp_path):
    folder, inputs = case
    shutil.move(folder, tmp_path / "new")
    assert find_sources(inputs, Places(tmp_path / "new"), "case")["T2"].path == tmp_path / "new" / "case_t2.nii.gz"


def test_a_changed_file_is_named_and_an_original_elsewhere_taken_instead(case, tmp_path):
    folder, inputs = case
    shutil.copytree(folder, tmp_path / "backup" / "case")
    shutil.copy(folder / "case_t2.nii.gz", folder / "case_flair.nii.gz")
    with pytest.raises(RecordError, match=r"FLAIR of case was changed: .*case_flair.nii.gz: its SHA-256 is"):
        find_sources(inputs, Places(tmp_path), "case")
    found = find_sources(inputs, Places(tmp_path, tmp_path / "backup"), "case")
    assert found["FLAIR"].path == tmp_path / "backup" / "case" / "case_flair.nii.gz"
    with pytest.raises(RecordError, match="is not a folder"):
        find_sources(inputs, Places(tmp_path, tmp_path / "nothing"), "case")


@pytest.mark.skipif(os.name == "nt", reason="Windows has no pipes and devices among its files")
def test_a_record_that_names_a_pipe_or_a_device_is_not_waited_for(case, tmp_path):
    folder, inputs = case
    os.mkfifo(folder / "pipe.nii.gz")
    for place in (folder / "pipe.nii.gz", Path("/dev/zero")):
        other = {"T1": inputs["T1"].model_copy(update={"path": place})}
        with pytest.raises(RecordError, match="is missing"):
            find_sources(other, Places(tmp_path), "case")
    pipe = {"T1": inputs["T1"].model_copy(update={"path": folder / "pipe.nii.gz"})}
    assert find_sources(pipe, Places(tmp_path, folder), "case")["T1"].path == folder / "case_t1.nii.gz"


def test_of_a_folder_it_is_told_which_slices_changed(tmp_path):
    write_lgg_patient(tmp_path / "p", range(1, 6))
    inputs = recorded(open_study(tmp_path / "p"))
    (tmp_path / "p" / "p_5.tif").unlink()
    shutil.copy(tmp_path / "p" / "p_1.tif", tmp_path / "p" / "p_2.tif")
    shutil.copy(tmp_path / "p" / "p_1.tif", tmp_path / "p" / "p_9.tif")
    with pytest.raises(RecordError, match=r"missing: p_5.tif; new: p_9.tif; changed: p_2.tif"):
        find_sources(inputs, Places(tmp_path), "p")


def test_a_renamed_folder_of_slices_is_found_by_what_it_holds(tmp_path):
    write_lgg_patient(tmp_path / "p", range(1, 4))
    inputs = recorded(open_study(tmp_path / "p"))
    shutil.move(tmp_path / "p", tmp_path / "q" / "other")
    found = find_sources(inputs, Places(tmp_path, tmp_path / "q"), "p")
    assert found["FLAIR"] == Source(tmp_path / "q" / "other", 1)


def test_hashes_of_the_first_format_are_understood(tmp_path):
    """They were of every file in the folder, masks among them, and told no single file."""
    from napari_brain_tumor.io.source_files import combined_sha256, file_sha256

    write_lgg_patient(tmp_path / "p", range(1, 4))
    inputs = recorded(open_study(tmp_path / "p"))
    everything = combined_sha256(map(file_sha256, sorted((tmp_path / "p").iterdir())))
    old = {role: one.model_copy(update={"sha256": everything, "files": {}}) for role, one in inputs.items()}
    assert set(find_sources(old, Places(tmp_path), "p")) == set(inputs)


def test_scans_from_memory_cannot_be_found(tmp_path):
    with pytest.raises(RecordError, match="came from memory"):
        find_sources({}, Places(tmp_path), "case")
