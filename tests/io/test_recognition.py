import json

import numpy as np
import pytest
import tifffile

import phantoms
from napari_brain_tumor.io import recognise


def test_folders_are_told_apart(tmp_path):
    phantoms.write_brats_case(tmp_path / "cases" / "a", phantoms.tumour())
    phantoms.write_brats_case(tmp_path / "cases" / "b", phantoms.tumour())
    phantoms.write_lgg_patient(tmp_path / "lgg")
    phantoms.write_lgg_patient(tmp_path / "masks")
    for path in (tmp_path / "masks").glob("masks_*[0-9].tif"):
        path.unlink()
    (tmp_path / "empty").mkdir()
    assert recognise(tmp_path / "cases" / "a") == "study"
    assert recognise(tmp_path / "cases") is None
    assert recognise(tmp_path / "lgg") == "study"
    assert recognise(tmp_path / "masks") == "segmentation"
    assert recognise(tmp_path / "empty") is None
    assert recognise(tmp_path / "absent") is None


def test_files_are_told_apart_by_name(tmp_path):
    folder = phantoms.write_brats_case(tmp_path / "a", phantoms.tumour())
    phantoms.write_nifti(tmp_path / "b" / "scan.nii.gz", phantoms.noise())
    phantoms.write_nifti(tmp_path / "labelsTr" / "BRATS_001.nii.gz", phantoms.tumour())
    assert recognise(folder / "a_flair.nii.gz") == "study"
    assert recognise(str(folder / "a_seg.nii.gz")) == "segmentation"
    assert recognise(tmp_path / "labelsTr" / "BRATS_001.nii.gz") == "segmentation"
    assert recognise(tmp_path / "b" / "scan.nii.gz") is None


def test_4d_file_is_a_study_only_where_its_order_is_told(tmp_path):
    path = phantoms.write_nifti(tmp_path / "x.nii.gz", phantoms.noise((7, 6, 5, 2)))
    assert recognise(path) is None
    (tmp_path / "dataset.json").write_text(json.dumps({"modality": {"0": "FLAIR", "1": "T1w"}}))
    assert recognise(path) == "study"


def test_other_peoples_tifs_are_not_claimed(tmp_path):
    tifffile.imwrite(tmp_path / "cells.tif", np.zeros((4, 4), np.uint8))
    phantoms.write_lgg_patient(tmp_path / "p", [1])
    assert recognise(tmp_path / "cells.tif") is None
    assert recognise(tmp_path / "p" / "p_1.tif") == "study"
    assert recognise(tmp_path / "p" / "p_1_mask.tif") == "segmentation"


@pytest.mark.parametrize("name", ["broken_t1.nii.gz", "broken.nii.gz", "broken_seg.nii", "x_1.tif", "noext", "a.dcm"])
def test_ruined_files_raise_nothing(tmp_path, name):
    (tmp_path / name).write_bytes(b"\x1f\x8bnothing")
    (tmp_path / "dataset.json").write_text("{not json")
    assert recognise(tmp_path / name) in ("study", "segmentation", None)
