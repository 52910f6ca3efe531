"""`brain-tumor report` and `brain-tumor follow-up` from files to files."""

import json
from pathlib import Path

import nibabel as nib
import pytest

from napari_brain_tumor import cli
from napari_brain_tumor.errors import UnreadableFileError, VisitError
from napari_brain_tumor.followup.document import VisitEntry, open_visits, read_visits, save_visits
from napari_brain_tumor.sample import sample_case_folder, sample_truth_path


def run(*arguments: object) -> int:
    with pytest.raises(SystemExit) as ended:
        cli.main([str(word) for word in arguments])
    return int(ended.value.code or 0)


@pytest.fixture
def cases(tmp_path: Path, monkeypatch) -> Path:
    """Two visits: the sample in voxels of 3 mm, and its upper half as the labels of the second."""
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        for role in ("t1", "t1c"):
            source = next(sample_case_folder().glob(f"*_{'t1ce' if role == 't1c' else role}.nii.gz"))
            nib.load(source).slicer[::3, ::3, ::3].to_filename(tmp_path / name / f"x_{role}.nii.gz")
        truth = nib.load(sample_truth_path()).slicer[::3, ::3, ::3]
        data = truth.get_fdata().astype("uint8")
        if name == "two":
            data[:, :, : data.shape[2] // 2] = 0
        nib.save(nib.Nifti1Image(data, truth.affine), tmp_path / name / "x_seg.nii.gz")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_report_of_one_examination(cases, capsys) -> None:
    words = ("report", "one", "--segmentation", "one/x_seg.nii.gz", "--schema", "MSD", "-o", "page.html")
    assert run(*words, "--name", "case 7") == 0
    assert "case 7" in Path("page.html").read_text(encoding="utf-8")
    assert "Wrote page.html" in capsys.readouterr().out
    assert run(*words) == 1
    assert "--overwrite" in capsys.readouterr().err


@pytest.mark.slow
def test_report_with_an_earlier_visit_compares_them(cases, capsys) -> None:
    words = ("report", "two", "--segmentation", "two/x_seg.nii.gz", "--schema", "MSD", "--date", "2025-03-01")
    assert run(*words, "--visit", "one,one/x_seg.nii.gz,2025-01-01") == 0
    told = capsys.readouterr().out
    assert "Not assessable" in told
    assert "Checkerboard" in Path("report.html").read_text(encoding="utf-8")
    assert run(*words, "--visit", "one", "--overwrite") == 2


@pytest.mark.slow
def test_follow_up_writes_table_document_curves_and_report(cases, capsys) -> None:
    entries = [
        VisitEntry(case="one", segmentation="one/x_seg.nii.gz", name="a", label_schema="MSD", facts={"baseline": True}),
        VisitEntry(case="two", segmentation="two/x_seg.nii.gz", name="b", label_schema="MSD", date="2025-03-01"),
    ]
    save_visits(entries, "visits.json")
    assert read_visits("visits.json").visits == tuple(entries)
    assert run("follow-up", "visits.json", "-o", "out") == 0
    assert {path.name for path in Path("out").iterdir()} == {"visits.csv", "visits.json", "visits.svg", "report.html"}
    told = json.loads(Path("out/visits.json").read_text(encoding="utf-8"))
    assert told["series"]["WT"]["change_from_baseline"][1] < -0.1
    assert told["visits"][1]["registration"]["trusted"] is True
    assert "order in which they were given" in capsys.readouterr().err


def test_a_false_voxel_size_is_overruled(cases) -> None:
    entry = VisitEntry(case="one", segmentation="one/x_seg.nii.gz", label_schema="MSD", spacing_mm=(3, 3, 6))
    save_visits([entry], "visits.json")
    (visit,) = open_visits("visits.json")
    assert visit.segmentation.grid.spacing == pytest.approx((3, 3, 6))
    assert any("given by hand" in note for note in visit.study.notes)


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("{", VisitError, "not a list of visits"),
        ('{"visits": [{"case": "a"}]}', VisitError, "segmentation"),
        ('{"visits": []}', VisitError, "visits"),
        (None, UnreadableFileError, "cannot be read"),
    ],
    ids=["no JSON", "no labels", "none", "no file"],
)
def test_a_document_that_is_wrong_is_refused_with_the_place(tmp_path, text, error, message) -> None:
    path = tmp_path / "visits.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(error, match=message):
        read_visits(path)
