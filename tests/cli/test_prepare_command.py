"""`brain-tumor prepare`, and `segment` of raw series: what is shown, written, refused and computed again."""

import json
import pickle
from pathlib import Path

import nibabel as nib
import numpy as np
import pydicom
import pytest
from typer.testing import CliRunner

from napari_brain_tumor import open_prepared, open_segmentation, rerun
from napari_brain_tumor.batch.prepare import PrepareWork, preparation_tasks
from napari_brain_tumor.cli import app
from napari_brain_tumor.errors import SaveError
from napari_brain_tumor.requests.prepare import PrepareOptions
from napari_brain_tumor.sample import sample_case_folder
from napari_brain_tumor.sample.examination import write_examination

GRIDS = {"T1c": 8, "FLAIR": 4}
PICKS = [word for role, number in GRIDS.items() for word in ("--series", f"{role}={number}")]


@pytest.fixture(scope="module")
def examination(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("exam") / "patient"
    write_examination(folder)
    return folder


def run(*words):
    return CliRunner().invoke(app, [str(word) for word in words])


def test_without_an_output_the_table_tells_every_series_and_nothing_is_written(examination, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    told = run("prepare", examination, "--series", "T2=-")
    assert told.exit_code == 0, told.output
    plain = " ".join(told.output.split())
    for words in ("3-PLANE LOC", "GADOVIST", "T2 is left out", "150x130x36 of 1.4x1.4x5 mm", "Nothing was prepared"):
        assert words in plain
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_raw_series_are_prepared_and_labels_lie_on_the_grids_of_the_series(examination, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    told = run("segment", examination, "-o", "labels.nii.gz", "--model", "threshold", *PICKS, "--onto", "flair")
    assert told.exit_code == 0, told.output
    assert "2 different grids" in told.output
    assert "Registered to T1c: FLAIR by 1" in " ".join(told.output.split())
    t1c, flair = open_segmentation("labels.nii.gz"), open_segmentation("labels_on_FLAIR.nii.gz")
    assert t1c.grid.shape == (128, 144, 60)
    assert flair.grid.shape == (140, 160, 34)
    volumes = [float((one.data > 0).sum()) * one.grid.voxel_volume_mm3 for one in (t1c, flair)]
    assert volumes[0] > 1000
    assert volumes[1] == pytest.approx(volumes[0], rel=0.1)
    assert {path.name for path in tmp_path.iterdir()} == {
        "labels.nii.gz", "labels.json", "labels_on_FLAIR.nii.gz", "labels_on_FLAIR.json", "labels_study",
    }  # fmt: skip
    record = json.loads(Path("labels_on_FLAIR.json").read_text(encoding="utf-8"))["provenance"]
    assert record["restored"]["onto"] == "FLAIR"
    for name in ("labels.nii.gz", "labels_on_FLAIR.nii.gz"):
        again = rerun(name)
        assert again.verdict == "identical", again.describe()


@pytest.mark.slow
def test_dicom_results_of_a_prepared_examination_refer_to_the_series_that_they_lie_on(
    examination, tmp_path, monkeypatch
):
    highdicom = pytest.importorskip("highdicom")
    monkeypatch.chdir(tmp_path)
    made = run("segment", examination, "-o", "labels.dcm", "--model", "threshold", *PICKS, "--onto", "FLAIR")
    assert made.exit_code == 0, made.output
    again = run("segment", "labels_study", "-o", "again.nii.gz", "--model", "threshold", "--onto", "FLAIR")
    assert again.exit_code == 0, again.output
    assert run("export", "again_on_FLAIR.nii.gz", "--to", "dicom-seg", "-o", "again.dcm").exit_code == 0
    for name, folder in (("labels.dcm", "08_T1c"), ("labels_on_FLAIR.dcm", "04_FLAIR"), ("again.dcm", "04_FLAIR")):
        slices = [pydicom.dcmread(path) for path in (examination / folder).glob("*.dcm")]
        segments = highdicom.seg.segread(name)
        (series,) = segments.ReferencedSeriesSequence
        assert series.SeriesInstanceUID == slices[0].SeriesInstanceUID
        geometry = segments.get_volume_geometry()
        assert geometry.spatial_shape == (len(slices), slices[0].Rows, slices[0].Columns)
        corners = [np.array(one.ImagePositionPatient, float) for one in slices]
        first, last = (geometry.map_indices_to_reference(np.array([[k, 0, 0]]))[0] for k in (0, len(slices) - 1))
        assert min(np.linalg.norm(first - corner) for corner in corners) < 1e-2
        assert min(np.linalg.norm(last - corner) for corner in corners) < 1e-2
    labels = open_segmentation("labels_on_FLAIR.dcm")
    np.testing.assert_array_equal(labels.data > 0, open_segmentation("again.dcm").data > 0)


@pytest.mark.slow
def test_a_prepared_folder_is_segmented_on_its_own_grid_and_computed_again(examination, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    told = run("prepare", examination, "-o", "study", "--series", "T1=-", "--series", "T2=-", "--grid", "reference")
    assert told.exit_code == 0, told.output
    assert "reference" in told.output
    told = run("segment", "study", "-o", "result.nii.gz", "--model", "threshold", "--onto", "FLAIR")
    assert told.exit_code == 0, told.output
    assert open_segmentation("result.nii.gz").grid.shape == (128, 144, 60)
    assert open_segmentation("result_on_FLAIR.nii.gz").grid.shape == (140, 160, 34)
    assert rerun("result_on_FLAIR.nii.gz").verdict == "identical"
    again = rerun("study")
    assert again.same, again.describe()
    assert again.kind == "prepare"
    told = run("prepare", examination, "-o", "study")
    assert told.exit_code == 1
    assert isinstance(told.exception, Exception)


def test_never_refuses_several_grids_and_onto_needs_a_prepared_examination(examination, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    told = run("segment", examination, *PICKS, "--prepare", "never", "--model", "threshold")
    assert "different grids" in str(told.exception)
    for role, values in (("t1c", 5), ("flair", 9)):
        data = np.random.default_rng(values).normal(100, 10, (20, 20, 20)).astype(np.float32)
        nib.save(nib.Nifti1Image(data, np.eye(4)), tmp_path / f"case_{role}.nii.gz")
    told = run("segment", tmp_path, "-o", tmp_path / "x.nii.gz", "--model", "threshold", "--onto", "FLAIR")
    assert "fit all of them" in str(told.exception)
    assert not Path("x.nii.gz").exists()


# Several examinations -----------------------------------------------------------------------------------------------


@pytest.fixture
def small(tmp_path) -> Path:
    """Two examinations of the sample in 3 mm, FLAIR on a grid of its own; and a folder with nothing to prepare."""
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        for role, file, start in (("T1c", "t1ce", 0), ("FLAIR", "flair", 1)):
            whole = nib.load(next(sample_case_folder().glob(f"*_{file}.nii.gz")))
            whole.slicer[start::3, ::3, ::3].to_filename(tmp_path / name / f"{role}.nii.gz")
    (tmp_path / "three").mkdir()
    return tmp_path


FLAIR_ALONE = ("--series", "T1c=-")
"""Nothing to register."""


def test_several_examinations_get_a_folder_each_and_one_that_fails_stops_no_other(small, monkeypatch):
    monkeypatch.chdir(small)
    told = run("prepare", "one", "three", "two")
    assert "1 of 3 examinations cannot be prepared this way: three" in str(told.exception)
    assert told.output.count("2 series") == 2
    told = run("prepare", "one", "three", "two", "-o", "studies", *FLAIR_ALONE)
    assert "1 of 3 cases were not prepared: three" in str(told.exception)
    assert "3 cases: 2 prepared, 1 failed" in told.output
    assert sorted(path.name for path in Path("studies").iterdir()) == ["one", "two"]
    for name in ("one", "two"):
        assert open_prepared(Path("studies") / name).study.roles == ("FLAIR",)
    told = run("prepare", "one", "two", "-o", "studies", "--skip-existing", *FLAIR_ALONE)
    assert told.exit_code == 0, told.output
    assert "2 cases: 2 skipped" in told.output
    told = run("prepare", "one", "two", "-o", "studies", *FLAIR_ALONE)
    assert "2 of 2 cases were not prepared" in str(told.exception)


def test_a_batch_can_go_to_other_processes(small, monkeypatch):
    monkeypatch.chdir(small)
    work = PrepareWork(PrepareOptions(brain="mask.nii.gz", grid="reference"), skip_existing=True).absolute()
    assert pickle.loads(pickle.dumps(work)) == work
    assert work.options.brain == str(small / "mask.nii.gz")
    assert PrepareWork(PrepareOptions()).absolute().options.brain == "auto"
    tasks = preparation_tasks([Path("one"), Path("two")], Path("studies"))
    assert [task.absolute().folder for task in tasks] == [small / "studies" / "one", small / "studies" / "two"]
    assert preparation_tasks([Path("one")], Path("study"))[0].folder == Path("study")
    (small / "file").write_text("mine", encoding="utf-8")
    with pytest.raises(SaveError, match="is a file"):
        preparation_tasks([Path("one")], Path("file"))
