import os
from pathlib import Path

import pytest

from napari_brain_tumor.io.case_names import bids_name, case_name, distinct_names, folder_name, study_name


@pytest.mark.parametrize(
    ("folder", "name"),
    [
        ("data/P1", "P1"),
        ("data/P1/anat", "P1"),
        ("data/P1/FLAIR", "P1"),
        ("data/P1/T1_post", "P1"),
        ("data/P1/DICOM/FLAIR", "P1"),
        ("data/P1/2019-03-01", "P1_ses-20190301"),
        ("data/P1/20190301/nifti", "P1_ses-20190301"),
        ("data/P1/baseline", "P1_ses-baseline"),
        ("data/P1/preop", "P1_ses-preop"),
        ("data/P1/visit_2", "P1_ses-visit2"),
        ("data/P1/ses-2", "P1_ses-2"),
        # Folders of many people by date: no number in the name above, so it is not taken for one patient.
        ("gliomas/2019-03-01", "gliomas_20190301"),
        ("bids/sub-01", "sub-01"),
        ("bids/sub-01/anat", "sub-01"),
        ("bids/sub-01/ses-2", "sub-01_ses-2"),
        ("bids/sub-01/ses-2/anat", "sub-01_ses-2"),
        ("data/BraTS-GLI-00001-000", "BraTS-GLI-00001-000"),
        ("data/TCGA-CS-4941", "TCGA-CS-4941"),
        ("data/patient_flair", "patient_flair"),
        ("data/posterior_fossa_3", "posterior_fossa_3"),
        # Letters that also stand for an agent or a kind of sequence, but alone are a patient's.
        ("data/c", "c"),
        ("data/KM", "KM"),
        ("data/P1/CE", "CE"),
        ("data/P1/T1", "P1"),
    ],
)
def test_folder_names_the_case_with_the_patient(folder, name):
    assert folder_name(Path("/study") / folder) == name


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("P1/flair.nii.gz", "P1"),
        ("P1/T1_C+.nii.gz", "P1"),
        ("P1/image.nii.gz", "P1"),
        ("P1/2019-03-01/flair.nii.gz", "P1_ses-20190301"),
        ("P1/case7_flair.nii.gz", "case7_flair"),
        ("imagesTr/BRATS_001.nii.gz", "BRATS_001"),
        ("sub-01/anat/sub-01_T1w.nii.gz", "sub-01"),
        ("sub-01/ses-b/anat/sub-01_ses-b_acq-ax_FLAIR.nii.gz", "sub-01_ses-b"),
    ],
)
def test_file_that_tells_nobody_leaves_it_to_its_folder(tmp_path, file, name):
    path = tmp_path / file
    path.parent.mkdir(parents=True)
    path.touch()
    assert study_name([path], path) == name


def test_several_files_are_named_after_their_folder(tmp_path):
    files = [tmp_path / "P7" / name for name in ("x_t1.nii", "x_t2.nii")]
    files[0].parent.mkdir()
    assert study_name(files, tmp_path / "P7") == "P7"
    assert study_name(files, files[0]) == "P7"


@pytest.mark.skipif(os.name == "nt", reason="links need rights there")
def test_case_is_named_after_what_was_typed_not_after_the_target_of_a_link(tmp_path):
    (tmp_path / "store" / "a8f3").mkdir(parents=True)
    link = tmp_path / "patient9"
    link.symlink_to(tmp_path / "store" / "a8f3")
    assert case_name(link) == "patient9"
    target = tmp_path / "store" / "blob.nii.gz"
    target.touch()
    file = tmp_path / "patient8_flair.nii.gz"
    file.symlink_to(target)
    assert case_name(file) == "patient8_flair"
    assert study_name([file], file) == "patient8_flair"


def test_current_folder_has_its_own_name(tmp_path, monkeypatch):
    (tmp_path / "P3").mkdir()
    monkeypatch.chdir(tmp_path / "P3")
    assert case_name(Path(".")) == "P3"


def test_cases_of_one_name_get_the_folder_that_differs(tmp_path):
    for place in ("P1/scan/x", "P2/scan/x", "P3/other/y"):
        (tmp_path / place).mkdir(parents=True)
    assert distinct_names([tmp_path / p for p in ("P1/scan/x", "P2/scan/x", "P3/other/y")]) == ["P1_x", "P2_x", "y"]


def test_cases_where_no_single_folder_differs_get_all_of_them():
    names = distinct_names([Path("/r/A/1/k.nii"), Path("/r/A/2/k.nii"), Path("/r/B/1/k.nii")])
    assert len(set(names)) == 3
    assert all(name.endswith("k") for name in names)


def test_name_with_a_folder_in_front_does_not_meet_another_case():
    names = distinct_names([Path("/r/A/k7.nii"), Path("/r/B/k7.nii"), Path("/r/x/A_k7.nii")])
    assert len(set(names)) == 3


def test_bids_anat_folders_are_told_apart_by_their_entities():
    cases = [Path(f"/set/sub-{s}/ses-{v}/anat") for s in ("01", "02") for v in ("a", "b")]
    for path in cases:
        assert not path.exists()
    assert [folder_name(path) for path in cases] == ["sub-01_ses-a", "sub-01_ses-b", "sub-02_ses-a", "sub-02_ses-b"]


def test_names_that_differ_in_case_alone_are_told_apart(tmp_path):
    assert distinct_names([Path("/x/P1/Scan7.nii"), Path("/x/P2/scan7.nii")]) == ["P1_Scan7", "P2_scan7"]


def test_the_same_path_twice_keeps_one_name():
    assert distinct_names([Path("/x/a7.nii"), Path("/x/../x/a7.nii")]) == ["a7", "a7"]


def test_bids_entities_need_a_subject():
    assert bids_name("sub-01_ses-pre_ce-gd_T1w") == "sub-01_ses-pre"
    assert bids_name("sub-01_T1w") == "sub-01"
    assert bids_name("ses-1_T1w") == ""
    assert bids_name("mysub-01_T1w") == ""
