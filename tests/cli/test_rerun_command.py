"""`brain-tumor rerun` and `measure` as people call them; the method without weights is quick and exact."""

import json
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from phantoms import affine, ball, write_nifti

SHAPE = (24, 26, 12)
AXES = affine(spacing=(2, 2, 3))
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def result(tmp_path: Path, run: Run) -> Path:
    """What `segment` saved of a head with a bright ball."""
    random = np.random.default_rng(0)
    inside, lesion = ball(SHAPE, (12, 13, 6), 10), ball(SHAPE, (8, 11, 6), 3)
    for suffix in ("t1ce", "flair"):
        image = np.where(inside, random.normal(100, 5, SHAPE) + 80 * lesion, 0).astype(np.float32)
        write_nifti(tmp_path / "case" / f"case_{suffix}.nii.gz", image, AXES)
    code, _, err = run("segment", "case", "--model", "threshold", "--min-lesion-mm3", 0)
    assert code == 0, err
    return tmp_path / "case_segmentation.nii.gz"


def test_a_result_that_comes_out_the_same_ends_with_0(result: Path, run: Run) -> None:
    code, out, err = run("rerun", "case_segmentation.json")
    assert (code, err) == (0, "")
    assert out.startswith("The same: the labels are exactly those of the record.\n0 of 7488 voxels differ")
    assert not (result.parent / "again.nii.gz").exists()


def test_a_result_that_does_not_ends_with_1_and_json_tells_how_far(result: Path, run: Run) -> None:
    sidecar = result.with_name("case_segmentation.json")
    document = json.loads(sidecar.read_text())
    document["provenance"]["settings"]["min_lesion_mm3"] = 1e9
    sidecar.write_text(json.dumps(document))
    code, out, _ = run("rerun", sidecar, "--json", "-o", "again.nii.gz")
    told = json.loads(out)
    assert (code, told["verdict"], told["same"], told["task"]) == (1, "different", False, "segment")
    assert told["differing_voxels"] == np.count_nonzero(np.asarray(nib.load(result).dataobj))
    assert told["inputs"]["FLAIR"].endswith("case_flair.nii.gz")
    assert not np.asarray(nib.load("again.nii.gz").dataobj).any()


def test_changed_scans_are_refused_with_what_to_do(result: Path, run: Run, tmp_path: Path) -> None:
    (tmp_path / "case").rename(tmp_path / "moved")
    code, out, err = run("rerun", result)
    assert (code, out) == (1, "")
    assert "T1c of case is missing" in err
    assert "--data FOLDER" in err
    code, out, _ = run("rerun", result, "--data", "moved")
    assert code == 0


def test_an_earlier_output_is_not_replaced_unasked(result: Path, run: Run, tmp_path: Path) -> None:
    (tmp_path / "again.nii.gz").touch()
    code, _, err = run("rerun", result, "-o", "again.nii.gz")
    assert (code, "--overwrite" in err) == (1, True)
    code, out, _ = run("rerun", result, "-o", "again.nii.gz", "--overwrite")
    assert (code, "Wrote again.nii.gz" in out) == (0, True)


def test_volumes_of_a_saved_segmentation(result: Path, run: Run) -> None:
    voxels = np.count_nonzero(np.asarray(nib.load(result).dataobj))
    code, out, _ = run("measure", result)
    (line,) = (line for line in out.splitlines() if line.startswith("whole tumour"))
    assert (code, line.split()[-2:]) == (0, [f"{voxels * 12 / 1000:.2f}", str(voxels)])
    code, out, _ = run("measure", result, "--json")
    assert {row["key"]: row["voxels"] for row in json.loads(out)}["WT"] == voxels


@pytest.mark.parametrize("style", ["auto", "names", "relative"])
def test_a_case_that_was_moved_with_its_result_is_found_again(
    result: Path, run: Run, tmp_path: Path, style: str
) -> None:
    words = ("segment", "case", "--model", "threshold", "--min-lesion-mm3", 0, "-o", "new.nii.gz", "--paths", style)
    assert run(*words)[0] == 0
    text = (tmp_path / "new.json").read_text()
    assert str(tmp_path) not in text
    (tmp_path / "moved" / "to").mkdir(parents=True)
    for name in ("case", "new.nii.gz", "new.json"):
        (tmp_path / name).rename(tmp_path / "moved" / "to" / name)
    found = ("--data", "moved/to") if style == "names" else ()
    code, out, _ = run("rerun", "moved/to/new.json", *found)
    assert code == 0
    assert out.startswith("The same")
