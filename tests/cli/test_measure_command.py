"""`brain-tumor measure` beyond the volumes: lesions, tables, several files, scans for the midline."""

import csv
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from napari_brain_tumor.sample import sample_truth_path
from phantoms import affine, ball, write_nifti

Run = Callable[..., tuple[int, str, str]]


def enhancing_ball(path: Path, radius: int, spacing: tuple[float, float, float] = (1.0, 1.0, 2.0)) -> Path:
    shape = (40, 40, 30)
    return write_nifti(path, (ball(shape, (20, 20, 15), radius) * 3).astype(np.uint8), affine(spacing=spacing))


def rows_of(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(path.read_text(encoding="utf-8").splitlines()))


def test_lesions_are_printed_when_they_are_asked_for(tmp_path: Path, run: Run) -> None:
    path = enhancing_ball(tmp_path / "one_seg.nii.gz", 8)
    code, out, err = run("measure", path, "--schema", "MSD", "--lesions")
    (line,) = (line for line in out.splitlines() if line.startswith("ET 1"))
    assert code == 0
    assert "not assessable" in line
    assert float(line.split("mm")[0].split()[-1]) == pytest.approx(16, abs=1)
    assert "No scan was given" in err
    _, plain, _ = run("measure", path, "--schema", "MSD")
    assert "ET 1" not in plain


def test_several_files_give_one_tidy_table(tmp_path: Path, run: Run) -> None:
    paths = [enhancing_ball(tmp_path / f"{name}_seg.nii.gz", radius) for name, radius in (("a", 6), ("b", 9))]
    code, out, _ = run("measure", *paths, "--schema", "MSD", "--csv", "all.csv")
    assert (code, out.splitlines()[-1]) == (0, "Wrote all.csv")
    rows = rows_of(tmp_path / "all.csv")
    enhancing = [row for row in rows if (row["kind"], row["key"]) == ("lesion", "ET")]
    assert len({row["case"] for row in enhancing}) == 2
    assert [float(row["long_mm"]) for row in enhancing] == pytest.approx([12, 18], abs=1)


def test_the_json_file_holds_what_is_measured_and_the_printed_json_stays_the_volumes(tmp_path: Path, run: Run) -> None:
    path = enhancing_ball(tmp_path / "one_seg.nii.gz", 8)
    code, out, _ = run("measure", path, "--schema", "MSD", "--json", "-o", "one.json", "--plane", "sagittal")
    assert (code, {row["key"] for row in json.loads(out)}) == (0, {1, 2, 3, "WT", "TC", "ET"})
    document = json.loads((tmp_path / "one.json").read_text(encoding="utf-8"))
    assert document["examinations"][0]["settings"]["plane"] == "sagittal"
    assert document["examinations"][0]["lesions"][0]["diameters"]["axis"] == 0


def test_scans_tell_the_sides(run: Run, small_sample: Path) -> None:
    code, out, _ = run("measure", small_sample / sample_truth_path().name, "--study", small_sample)
    lines = {line[:4]: line for line in out.splitlines()}
    assert code == 0
    assert "left" in lines["ET 1"]
    assert "both sides" in lines["WT 1"]
    assert any(line.startswith("Enhancing rim: mean") for line in out.splitlines())


def test_the_smallest_lesion_can_be_chosen(tmp_path: Path, run: Run) -> None:
    path = enhancing_ball(tmp_path / "one_seg.nii.gz", 3, (1.0, 1.0, 1.0))
    run("measure", path, "--schema", "MSD", "--csv", "a.csv", "--least-mm3", 1000)
    run("measure", path, "--schema", "MSD", "--csv", "b.csv", "--least-mm3", 10)
    found = [[row["kind"] for row in rows_of(tmp_path / name)].count("lesion") for name in ("a.csv", "b.csv")]
    assert found == [0, 3]


def test_a_plane_that_is_none_is_refused(tmp_path: Path, run: Run) -> None:
    path = enhancing_ball(tmp_path / "one_seg.nii.gz", 3)
    code, _, err = run("measure", path, "--schema", "MSD", "--plane", "slanted")
    assert code == 2
    words = " ".join(err.replace("│", " ").split())
    assert "'slanted' is not one of 'acquisition', 'axial', 'coronal', 'sagittal'" in words


def test_a_table_that_cannot_be_written_says_so(tmp_path: Path, run: Run) -> None:
    path = enhancing_ball(tmp_path / "one_seg.nii.gz", 3)
    (tmp_path / "file").touch()
    code, _, err = run("measure", path, "--schema", "MSD", "--csv", "file/all.csv")
    assert code == 1
    assert "was not saved" in err
