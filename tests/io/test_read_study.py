import json
import subprocess
import sys
import time

import nibabel as nib
import numpy as np
import pytest

import phantoms
from napari_brain_tumor.errors import (
    DimensionError,
    DuplicateRoleError,
    GridMismatchError,
    RoleError,
    UnreadableFileError,
)
from napari_brain_tumor.io import open_image, open_study
from napari_brain_tumor.study import NiftiForms, Source

MODALITY = {"modality": {"0": "FLAIR", "1": "T1w", "2": "t1gd", "3": "T2w"}}


def test_case_folder_gives_its_sequences_in_our_order_and_leaves_the_truth(tmp_path):
    folder = phantoms.write_brats_case(tmp_path / "BraTS2021_00001", phantoms.tumour())
    study = open_study(folder)
    assert study.roles == ("T1", "T1c", "T2", "FLAIR")
    assert study.name == "BraTS2021_00001"
    assert study.notes == ()
    for seed, role in enumerate(phantoms.BRATS_ROLES):
        np.testing.assert_array_equal(study.sequences[role], phantoms.noise(seed=seed))
    assert study.sources["T1c"] == Source(folder / "BraTS2021_00001_t1ce.nii.gz")
    assert isinstance(study.layout, NiftiForms)


def test_paths_may_be_text_and_one_file_is_a_study(tmp_path):
    folder = phantoms.write_brats_case(tmp_path / "case")
    study = open_study(str(folder / "case_t2.nii.gz"))
    assert study.roles == ("T2",)


def test_one_folder_per_sequence_opens_as_one_study(tmp_path):
    for seed, name in enumerate(("VSD.Brain.XX.O.MR_T1.1", "VSD.Brain.XX.O.MR_T1c.2", "VSD.Brain.XX.O.OT.3")):
        phantoms.write_nifti(tmp_path / "pat" / name / f"{name}.nii", phantoms.noise(seed=seed))
    assert open_study(tmp_path / "pat").roles == ("T1", "T1c")


def test_file_of_unknown_sequence_is_noted_not_silently_left(tmp_path):
    folder = phantoms.write_brats_case(tmp_path / "case")
    phantoms.write_nifti(folder / "case_adc.nii.gz", phantoms.noise())
    assert any("case_adc.nii.gz was not opened" in note for note in open_study(folder).notes)


def test_hidden_files_are_not_files_of_the_case(tmp_path):
    folder = phantoms.write_brats_case(tmp_path / "case")
    (folder / "._case_t1.nii.gz").write_bytes(b"left by a Mac")
    assert len(open_study(folder).roles) == 4


def test_role_from_the_folder_name_is_noted(tmp_path):
    phantoms.write_nifti(tmp_path / "t1gd" / "image.nii", phantoms.noise())
    study = open_study(tmp_path / "t1gd" / "image.nii")
    assert study.roles == ("T1c",)
    assert any("name of its folder" in note for note in study.notes)


def test_unnamed_file_asks_for_its_role_and_takes_it(tmp_path):
    path = phantoms.write_nifti(tmp_path / "case" / "scan.nii.gz", phantoms.noise())
    with pytest.raises(RoleError, match=r'scan.nii.gz.*roles=\{"T1c": "scan.nii.gz"\}'):
        open_study(path)
    for roles in ({"T1c": path}, {"t1ce": "scan.nii.gz"}, {"T1Gd": 0}, ("t1gd",), "t1ce"):
        study = open_study(path, roles)
        assert study.roles == ("T1c",)


def test_folder_without_any_role_lists_its_files(tmp_path):
    for name in ("a.nii", "b.nii"):
        phantoms.write_nifti(tmp_path / "case" / name, phantoms.noise())
    with pytest.raises(RoleError, match=r"a.nii, b.nii.*roles="):
        open_study(tmp_path / "case")
    study = open_study(tmp_path / "case", {"T1": "a.nii", "flair": tmp_path / "case" / "b.nii"})
    assert study.roles == ("T1", "FLAIR")


def test_segmentation_is_not_opened_as_a_sequence(tmp_path):
    path = phantoms.write_nifti(tmp_path / "case_t1_seg.nii.gz", phantoms.tumour())
    with pytest.raises(RoleError, match="names a segmentation"):
        open_study(path)


def test_two_files_for_one_role_are_both_named(tmp_path):
    folder = phantoms.write_brats_case(tmp_path / "case")
    phantoms.write_nifti(folder / "other_T1Gd.nii.gz", phantoms.noise())
    with pytest.raises(DuplicateRoleError, match=r"case_t1ce.nii.gz and .*other_T1Gd.nii.gz"):
        open_study(folder)


def test_same_role_given_twice_in_two_spellings_is_refused(tmp_path):
    folder = phantoms.write_brats_case(tmp_path / "case")
    with pytest.raises(DuplicateRoleError, match="T1c is given twice"):
        open_study(folder, {"t1ce": "case_t1ce.nii.gz", "T1Gd": "case_t1.nii.gz"})


def test_missing_file_of_a_role_is_named(tmp_path):
    folder = phantoms.write_brats_case(tmp_path / "case")
    with pytest.raises(UnreadableFileError, match=r"nowhere.nii.gz does not exist"):
        open_study(folder, {"T1": "nowhere.nii.gz"})


def test_different_grids_are_all_described_with_their_roles(tmp_path):
    folder = phantoms.write_brats_case(tmp_path / "case")
    phantoms.write_nifti(folder / "case_flair.nii.gz", phantoms.noise((8, 6, 5)), phantoms.affine(spacing=(2, 2, 3)))
    with pytest.raises(GridMismatchError, match=r"T1, T1c, T2: 7x6x5 .*; FLAIR: 8x6x5 voxels of 2x2x3 mm.*resample"):
        open_study(folder)


def test_rounding_between_headers_does_not_make_a_different_grid(tmp_path):
    folder = phantoms.write_brats_case(tmp_path / "case")
    moved = phantoms.affine(origin=(-10.0001, 20.0, 5.0))
    phantoms.write_nifti(folder / "case_flair.nii.gz", phantoms.noise(), moved)
    assert len(open_study(folder).roles) == 4


@pytest.mark.parametrize("where", ["beside", "above"])
def test_4d_file_takes_its_order_from_dataset_json(tmp_path, where):
    array = phantoms.noise((7, 6, 5, 4))
    path = phantoms.write_nifti(tmp_path / "imagesTr" / "BRATS_001.nii.gz", array)
    place = tmp_path if where == "above" else path.parent
    (place / "dataset.json").write_text(json.dumps(MODALITY))
    study = open_study(path)
    for index, role in enumerate(("FLAIR", "T1", "T1c", "T2")):
        np.testing.assert_array_equal(study.sequences[role], array[..., index])
        assert study.sources[role] == Source(path, index)


def test_4d_file_without_dataset_json_asks_for_the_order_and_takes_it(tmp_path):
    array = phantoms.noise((7, 6, 5, 4))
    path = phantoms.write_nifti(tmp_path / "BRATS_001.nii.gz", array)
    with pytest.raises(RoleError, match=r'4 volumes.*roles=\("FLAIR", "T1", "T1c", "T2"\)'):
        open_study(path)
    study = open_study(path, ("flair", "t1", None, "t2w"))
    assert study.roles == ("T1", "T2", "FLAIR")
    assert any("Volume 2" in note for note in study.notes)
    np.testing.assert_array_equal(open_study(path, {"t1ce": 2}).sequences["T1c"], array[..., 2])
    assert open_study(path.parent, ("T1", "T1c", "T2", "FLAIR")).roles == ("T1", "T1c", "T2", "FLAIR")


@pytest.mark.parametrize("roles", [("T1",), ("T1", "T1c", "T2", "FLAIR", "T1"), {"T1": 4}, {"T1": -1}, (None,) * 4])
def test_order_that_does_not_fit_the_volumes_is_refused(tmp_path, roles):
    path = phantoms.write_nifti(tmp_path / "x.nii.gz", phantoms.noise((7, 6, 5, 4)))
    with pytest.raises(RoleError):
        open_study(path, roles)


def test_4d_file_cannot_be_one_of_several_sequences(tmp_path):
    folder = phantoms.write_brats_case(tmp_path / "case")
    phantoms.write_nifti(folder / "case_t1.nii.gz", phantoms.noise((7, 6, 5, 4)))
    with pytest.raises(DimensionError, match="holds 4 images"):
        open_study(folder)


def test_dataset_json_with_another_number_of_modalities_is_refused(tmp_path):
    path = phantoms.write_nifti(tmp_path / "x.nii.gz", phantoms.noise((7, 6, 5, 3)))
    (tmp_path / "dataset.json").write_text(json.dumps(MODALITY))
    with pytest.raises(RoleError, match=r"3 volumes.*names 4"):
        open_study(path)


def test_empty_folder_and_foreign_file_are_refused(tmp_path):
    with pytest.raises(UnreadableFileError, match="no image"):
        open_study(tmp_path)
    (tmp_path / "notes.txt").write_text("t1")
    with pytest.raises(UnreadableFileError, match="not of a supported format"):
        open_study(tmp_path / "notes.txt")


def test_open_image_needs_no_role(tmp_path):
    array = phantoms.noise((7, 6, 5, 2))
    named = open_image(phantoms.write_nifti(tmp_path / "scan.nii.gz", array))
    assert [name for name, _, _ in named] == ["scan volume 0", "scan volume 1"]
    np.testing.assert_array_equal(named[1][1], array[..., 1])
    np.testing.assert_allclose(named[0][2].affine, phantoms.affine())


def test_reading_loads_neither_torch_nor_qt_nor_napari(tmp_path):
    folder = phantoms.write_brats_case(tmp_path / "case")
    code = (
        "import sys; from napari_brain_tumor import open_study; open_study(sys.argv[1]); "
        "print([m for m in ('torch', 'qtpy', 'napari', 'magicgui', 'PyQt6', 'PySide6') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code, str(folder)], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.real_data
def test_real_grids_that_differ_are_refused_and_one_of_them_opens(real_data):
    folder = real_data / "cases" / "raw_four_grids" / "TCGA-FG-6692"
    with pytest.raises(GridMismatchError, match=r"3 different grids.*T1, T1c: 256x224x26"):
        open_study(folder)
    files = {role: next(folder.glob(f"*_{end}.nii.gz")) for role, end in (("T1", "t1"), ("T1c", "t1c"))}
    assert open_study(folder, files).roles == ("T1", "T1c")


@pytest.mark.real_data
@pytest.mark.parametrize(
    "case",
    [
        "brats2021_no_enhancing/BraTS2021_01477",
        "brats2023_ras_no_truth/BraTS-MET-00110-000",
        "multiple_sclerosis_control/patient07",
    ],
)
def test_real_case_folders_open_with_four_sequences(real_data, case):
    study = open_study(real_data / "cases" / case)
    assert study.roles == ("T1", "T1c", "T2", "FLAIR")
    assert study.notes == ()


@pytest.mark.real_data
def test_two_scans_of_one_patient_are_not_taken_for_pre_and_post_contrast(real_data):
    with pytest.raises(DuplicateRoleError, match=r"Post_Scan_T1.nii.gz and .*Pre_Scan_T1.nii.gz"):
        open_study(real_data / "cases" / "follow_up_treated" / "01")


@pytest.mark.real_data
def test_reading_a_real_case_takes_no_longer_than_nibabel(real_data):
    folder = real_data / "cases" / "brats2018" / "Brats18_TCIA02_135_1"
    files = [folder / f"{folder.name}_{suffix}.nii.gz" for suffix in phantoms.BRATS_ROLES.values()]

    def seconds(call):
        def once():
            start = time.perf_counter()
            call()
            return time.perf_counter() - start

        return min(once() for _ in range(3))

    by_nibabel = seconds(lambda: [np.asarray(nib.load(f).dataobj) for f in files])
    # The margin is for a busy machine.
    assert seconds(lambda: open_study(folder)) < 1.5 * by_nibabel + 0.2
