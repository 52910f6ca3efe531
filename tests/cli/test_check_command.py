import json

import pytest

import phantoms
from napari_brain_tumor import cli
from napari_brain_tumor.inference.memory import DeviceMemory

SHAPE = (40, 48, 36)
MATRIX = phantoms.affine(spacing=(4, 4, 4))


@pytest.fixture
def case(tmp_path):
    folder = tmp_path / "case"
    for seed, suffix in enumerate(phantoms.BRATS_ROLES.values()):
        phantoms.write_nifti(folder / f"case_{suffix}.nii.gz", phantoms.brain(SHAPE, seed), MATRIX)
    return folder


@pytest.fixture
def pair(case):
    """T1c and FLAIR alone: whether sequences fit is a search for each that is not the first."""
    for role in ("T1", "T2"):
        (case / f"case_{phantoms.BRATS_ROLES[role]}.nii.gz").unlink()
    return case


@pytest.fixture
def run(capfd, monkeypatch):
    devices = [DeviceMemory("cpu", "Processor (cpu)", 2**33)]
    monkeypatch.setattr("napari_brain_tumor.preflight.check.list_memory", lambda: devices)

    def call(*arguments):
        try:
            cli.main(["check", *map(str, arguments)])
            code = 0
        except SystemExit as stopped:
            code = int(stopped.code or 0)
        return code, *capfd.readouterr()

    return call


def test_a_good_case_ends_with_0_and_a_table(run, case):
    code, out, err = run(case)
    assert (code, err) == (0, "")
    assert "Found T1, T1c, T2, FLAIR." in out
    assert "All on 40x48x36 voxels." in out


def test_different_grids_end_with_1_and_the_option_that_helps(run, pair):
    thick = (40, 48, 12)
    matrix = phantoms.affine(spacing=(4, 4, 12))
    phantoms.write_nifti(pair / "case_flair.nii.gz", phantoms.brain(thick, 3), matrix)
    code, out, _ = run(pair)
    assert code == 1
    assert "--resample finest" in out
    code, out, _ = run(pair, "--resample", "T1c")
    assert code == 0
    assert "FLAIR was resampled onto the grid of T1c" in out


def test_json_has_every_row_with_its_fix(run, case):
    (case / "case_flair.nii.gz").unlink()
    (case / "case_t2.nii.gz").unlink()
    code, out, _ = run(case, "--model", "threshold", "--json")
    rows = {row["question"]: row for row in json.loads(out)}
    assert code == 1
    assert rows["Model"]["verdict"] == "fail"
    assert rows["Model"]["fix"] == {"kind": "model", "label": "Use ensemble", "value": "ensemble"}
    assert rows["One grid"]["fix"] is None


def test_a_folder_that_tells_no_roles_is_a_row_that_fails(run, tmp_path):
    phantoms.write_nifti(tmp_path / "x" / "a.nii.gz", phantoms.brain(SHAPE), MATRIX)
    phantoms.write_nifti(tmp_path / "x" / "b.nii.gz", phantoms.brain(SHAPE, 1), MATRIX)
    code, out, _ = run(tmp_path / "x")
    assert code == 1
    assert "No file in x names its sequence" in out
    assert "--roles" in out


def test_labels_whose_schema_is_in_doubt_fail_until_it_is_named(run, pair, tmp_path):
    labels = phantoms.write_nifti(tmp_path / "mask.nii.gz", phantoms.tumour(SHAPE), MATRIX)
    code, out, _ = run(pair, "--segmentation", labels)
    assert code == 1
    assert "not certain" in out
    code, out, _ = run(pair, "--segmentation", labels, "--schema", "MSD")
    assert code == 0
    assert "Read as MSD: 1 edema" in out
