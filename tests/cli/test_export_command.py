"""`brain-tumor export`, and `segment` into the same formats."""

from pathlib import Path

import numpy as np
import pydicom
import pytest

import phantoms
from dicom_results import made, write_source
from napari_brain_tumor import open_segmentation, save_segmentation


@pytest.fixture
def saved(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = made(tmp_path)
    save_segmentation(result, tmp_path / "out" / "case.nii.gz")
    return result


def test_result_goes_out_in_every_format(run, saved, tmp_path):
    code, out, _ = run("export", "out/case.nii.gz", "--to", "dicom-seg", "-o", "out/case.dcm", "--source", "source")
    assert (code, out) == (0, "Wrote out/case.dcm\n")
    np.testing.assert_array_equal(open_segmentation(tmp_path / "out/case.dcm").data, saved.data)
    assert run("export", "out/case.nii.gz", "--to", "rtstruct", "-o", "rt.dcm")[0] == 0
    assert pydicom.dcmread("rt.dcm").Modality == "RTSTRUCT"
    assert run("export", "out/case.dcm", "--to", "nrrd")[0] == 0
    np.testing.assert_array_equal(open_segmentation("case.nrrd").data, saved.data)
    assert run("export", "out/case.dcm", "--to", "ply", "--axes", "lps", "--region", "et", "-o", "et.ply")[0] == 0
    assert b"ET SPACE=LPS" in Path("et.ply").read_bytes()[:200]
    assert run("export", "out/case.nii.gz", "--to", "bids", "-o", "data", "--subject", "7")[0] == 0
    assert Path("data/derivatives/napari-brain-tumor/sub-7/anat/sub-7_space-orig_desc-tumor_dseg.tsv").is_file()


def test_what_cannot_be_done_is_said_with_what_to_do(run, saved):
    Path("source").rename("elsewhere")
    code, _, errors = run("export", "out/case.nii.gz", "--to", "dicom-seg")
    assert code == 1
    assert "--source FOLDER" in " ".join(errors.split())
    assert not Path("case.dcm").exists()
    code, _, errors = run("export", "out/case.nii.gz", "--to", "jpeg")
    assert code == 2
    assert "dicom-seg" in errors
    assert run("export", "out/case.nii.gz", "--to", "stl", "--region", "NEC")[0] == 2
    assert run("export", "out/case.nii.gz", "--to", "stl", "--axes", "RPI")[0] == 2
    assert run("export", "out/case.nii.gz", "--to", "nifti", "-o", "out/case.nii.gz")[0] == 1  # exists


def test_segment_writes_dicom_by_suffix_and_by_name(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_source(tmp_path / "source", "axial")
    code, _, errors = run("segment", "source", "--model", "threshold", "-o", "result.dcm")
    assert code == 0, errors
    data = pydicom.dcmread("result.dcm")
    assert data.SegmentSequence[0].SegmentAlgorithmName == "threshold"
    code, _, errors = run("segment", "source", "--model", "threshold", "--format", "dicom-seg", "-o", "results/")
    assert code == 0, errors
    assert Path("results/source_segmentation.dcm").is_file()
    assert run("segment", "source", "--format", "stl", "-o", "x.dcm")[0] == 2


def test_every_examination_of_a_bids_data_set_gets_its_derivative(run, tmp_path):
    for place in ("sub-01/ses-pre", "sub-01/ses-post", "sub-02"):
        stem = place.replace("/", "_")
        for seed, name in enumerate(("T1w", "ce-gd_T1w", "FLAIR")):
            path = tmp_path / "bids" / place / "anat" / f"{stem}_{name}.nii.gz"
            path.parent.mkdir(parents=True, exist_ok=True)
            phantoms.write_nifti(path, phantoms.noise((12, 11, 9), seed))
    code, out, errors = run("segment", "bids", "--model", "threshold", "--format", "bids", "-o", "bids")
    assert code == 0, errors
    home = tmp_path / "bids" / "derivatives" / "napari-brain-tumor"
    written = sorted(path.name for path in home.rglob("*.nii.gz"))
    stems = ("sub-01_ses-post", "sub-01_ses-pre", "sub-02")
    assert written == [f"{stem}_ce-gd_space-orig_desc-tumor_dseg.nii.gz" for stem in stems]
    assert all(name in "".join(out.split()) for name in written)
    code, _, errors = run("segment", "bids/sub-02", "--model", "threshold", "--format", "bids", "-o", "bids")
    assert (code, "already exists" in " ".join(errors.split())) == (1, True)
