"""An earlier result is passed over only where it is of the scans that are there now."""

import csv
import shutil
from pathlib import Path

import numpy as np
import pytest

import phantoms
from napari_brain_tumor import open_study, save_segmentation, segment
from napari_brain_tumor.batch.changed_scans import changes_since_result
from napari_brain_tumor.cli import main


def write_scan(path, seed=0):
    x, y, z = np.ogrid[:36, :36, :18]
    head = ((x - 18) ** 2 + (y - 18) ** 2 + (2 * z - 18) ** 2 < 15**2) * 100.0
    head[10:17, 12:18, 6:10] = 260
    head += np.random.default_rng(seed).normal(0, 3, head.shape)
    return phantoms.write_nifti(path, head.astype(np.float32))


@pytest.fixture
def case(tmp_path):
    folder = tmp_path / "cases" / "p1"
    write_scan(folder / "p1_flair.nii.gz")
    write_scan(folder / "p1_t1.nii.gz", 1)
    return folder


@pytest.fixture
def result(tmp_path, case):
    target = tmp_path / "out" / "p1_segmentation.nii.gz"
    save_segmentation(segment(open_study(case), "threshold"), target)
    return target


def test_the_same_scans_are_the_same_wherever_they_lie(tmp_path, case, result):
    assert changes_since_result(result, case) == ""
    elsewhere = shutil.move(case, tmp_path / "moved")
    assert changes_since_result(result, Path(elsewhere)) == ""
    (tmp_path / "link").symlink_to(elsewhere)
    assert changes_since_result(result, tmp_path / "link") == ""


def test_a_scan_that_was_changed_removed_or_added_is_told(case, result):
    write_scan(case / "p1_t1.nii.gz", 2)
    assert changes_since_result(result, case) == "T1 was changed (p1_t1.nii.gz)"
    (case / "p1_t1.nii.gz").unlink()
    assert changes_since_result(result, case) == "T1 is no longer there (p1_t1.nii.gz)"
    write_scan(case / "p1_t1.nii.gz", 1)
    write_scan(case / "p1_t2.nii.gz", 3)
    assert changes_since_result(result, case) == "T2 is new (p1_t2.nii.gz)"
    assert changes_since_result(result, case, chosen=True) == ""


def test_the_record_of_another_place_does_not_stand_for_the_case(tmp_path, case, result):
    other = tmp_path / "other" / "p1"
    shutil.copytree(case, other)
    write_scan(other / "p1_flair.nii.gz", 7)
    assert changes_since_result(result, other) == "FLAIR was changed (p1_flair.nii.gz)"


def test_a_case_of_one_file_and_a_result_without_a_record(tmp_path):
    scan = write_scan(tmp_path / "p2_flair.nii.gz")
    save_segmentation(segment(open_study(scan), "threshold"), tmp_path / "seg.nii.gz")
    assert changes_since_result(tmp_path / "seg.nii.gz", scan) == ""
    write_scan(scan, 5)
    assert changes_since_result(tmp_path / "seg.nii.gz", scan) == "FLAIR was changed (p2_flair.nii.gz)"
    (tmp_path / "seg.json").unlink()
    assert changes_since_result(tmp_path / "seg.nii.gz", scan) is None


def test_a_batch_says_which_result_is_of_other_scans_and_leaves_it(tmp_path, case, monkeypatch, capsys):
    write_scan(tmp_path / "cases" / "p2" / "p2_flair.nii.gz", 4)
    monkeypatch.chdir(tmp_path)
    command = ["segment", "cases/p1", "cases/p2", "--model", "threshold", "-o", "out/", "--skip-existing"]
    with pytest.raises(SystemExit) as stop:
        main(command)
    assert stop.value.code == 0
    before = Path("out/p1_segmentation.nii.gz").read_bytes()
    write_scan(case / "p1_flair.nii.gz", 9)
    with pytest.raises(SystemExit) as stop:
        main(command)
    assert stop.value.code == 1
    told = capsys.readouterr()
    assert "1 skipped, 1 with a result from other scans" in told.out
    assert "FLAIR was changed (p1_flair.nii.gz). It was left unchanged; --overwrite replaces it." in told.out
    assert Path("out/p1_segmentation.nii.gz").read_bytes() == before
    with Path("out/segmentation_results.csv").open(newline="") as file:
        rows = {row["case"]: row for row in csv.DictReader(file)}
    assert {case: row["status"] for case, row in rows.items()} == {"cases/p1": "outdated", "cases/p2": "skipped"}
    assert "This is a baseline without training" in rows["cases/p2"]["notes"]
