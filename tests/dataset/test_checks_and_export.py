import json

import nibabel as nib
import numpy as np
import pytest
from dataset_cases import add_case
from typer.testing import CliRunner

from napari_brain_tumor.cli.data import data
from napari_brain_tumor.dataset import CuratedDataset
from napari_brain_tumor.dataset.checks import check_dataset
from napari_brain_tumor.dataset.nnunet_export import NnunetTarget, export_nnunet
from napari_brain_tumor.errors import DatasetError
from napari_brain_tumor.geometry import Grid
from napari_brain_tumor.progress import run_job
from napari_brain_tumor.study import ROLES, Segmentation, Study
from phantoms import noise, tumour, write_nifti

SHAPE = (40, 44, 36)


@pytest.fixture
def dataset(tmp_path):
    return CuratedDataset.create(tmp_path / "set", "set")


def classes():
    """Nested balls on one side of the head: edema, core, enhancing."""
    x, y, z = np.indices(SHAPE)
    radius = np.sqrt((x - 12) ** 2 + (y - 16) ** 2 + (z - 14) ** 2)
    return ((radius < 7).astype(np.uint8) + (radius < 5) + (radius < 3)).astype(np.uint8)


def scan(spacing=4.0, **replaced):
    """A bright head in air, with the tumour bright in every sequence."""
    rng = np.random.default_rng(3)
    x, y, z = np.indices(SHAPE)
    head = ((x - 20) / 17) ** 2 + ((y - 22) / 19) ** 2 + ((z - 18) / 15) ** 2 < 1
    images = {r: (head * (rng.normal(100, 9, SHAPE) + 60 * (classes() > 0))).astype(np.float32) for r in ROLES}
    return Study({**images, **replaced}, Grid(SHAPE, np.diag([spacing, spacing, spacing, 1])), name="scan")


def findings(dataset, label=None, study=None, **options):
    study = study or scan()
    data = classes() if label is None else label
    dataset.add(study, Segmentation(data, study.grid, name="scan", **options), state="accepted")
    return {(f.check, f.severity) for f in run_job(check_dataset(dataset))}


def test_a_good_case_has_nothing_to_tell(dataset):
    assert findings(dataset) == {("all", "ok")}


def test_a_label_mirrored_left_to_right_is_suspected(dataset):
    assert ("flip", "warning") in findings(dataset, np.flip(classes(), 0).copy())


def test_an_empty_label_is_told(dataset):
    assert findings(dataset, np.zeros(SHAPE, np.uint8)) == {("empty", "warning")}


def test_a_label_outside_the_head_is_told(dataset):
    label = classes()
    label[:5, :5, :5] = 1
    assert ("outside", "warning") in findings(dataset, label)


def test_many_tiny_islands_are_told(dataset):
    label = classes()
    label[24:32:2, 20:28:2, 16:20:2] = 1
    assert ("islands", "warning") in findings(dataset, label)


def test_bare_enhancing_tumour_is_told(dataset):
    assert ("nesting", "warning") in findings(dataset, np.where(classes() > 0, 3, 0).astype(np.uint8))


def test_inner_classes_in_a_label_of_the_whole_tumour_are_an_error(dataset):
    assert ("regions", "error") in findings(dataset, known_regions=("WT",))


def test_one_sequence_that_is_another_is_an_error(dataset):
    assert ("repeats", "error") in findings(dataset, study=scan(T2=scan().sequences["FLAIR"] * 2))


def test_a_head_of_the_size_of_a_fist_is_told(dataset):
    assert ("spacing", "warning") in findings(dataset, study=scan(spacing=1.0))


def test_missing_and_changed_files_are_errors(dataset):
    findings(dataset)
    path = dataset.image_path("scan")
    image = nib.load(path)
    nib.save(nib.Nifti1Image(np.asarray(image.dataobj) + 1, image.affine, image.header), path)
    assert ("hash", "error") in {(f.check, f.severity) for f in run_job(check_dataset(dataset))}
    path.unlink()
    assert {f.check for f in run_job(check_dataset(dataset, ["scan"]))} == {"files"}


def test_nnunet_finds_channels_labels_and_split(dataset, tmp_path):
    add_case(dataset, "anna", 1, split="train", state="accepted")
    add_case(dataset, "bert", 2, split="val", state="accepted", known_slices=[3, 4])
    add_case(dataset, "cora", 3, split="test", state="accepted")
    add_case(dataset, "dora", 4, split="train")
    report = run_job(export_nnunet(dataset, tmp_path / "raw", NnunetTarget(7, "Glioma", regions=True)))
    assert report.folder.name == "Dataset007_Glioma"
    assert report.cases == ("anna", "bert", "cora")
    assert report.left_out == {"dora": "it is draft"}
    document = json.loads((report.folder / "dataset.json").read_text())
    assert document["channel_names"] == {"0": "T1", "1": "T1c", "2": "T2", "3": "FLAIR"}
    assert document["labels"]["tumour_core"] == [2, 3]
    assert document["labels"]["ignore"] == 4
    assert document["numTraining"] == len(list((report.folder / "labelsTr").iterdir())) == 2
    # nnU-Net looks for the split beside what it preprocessed, not in the raw folder.
    assert report.split == tmp_path / "nnUNet_preprocessed" / "Dataset007_Glioma" / "splits_final.json"
    assert json.loads(report.split.read_text()) == [{"train": ["anna"], "val": ["bert"]}]
    assert not (report.folder / "splits_final.json").exists()
    channel = nib.load(report.folder / "imagesTr" / "anna_0003.nii.gz")
    np.testing.assert_array_equal(channel.get_fdata(), dataset.study("anna").sequences["FLAIR"])
    labels = nib.load(report.folder / "labelsTr" / "bert.nii.gz").get_fdata()
    truth = dataset.truth("bert")
    np.testing.assert_array_equal(labels[truth.known], truth.segmentation.data[truth.known])
    assert (labels[~truth.known] == 4).all()
    assert (report.folder / "imagesTs" / "cora_0000.nii.gz").is_file()


def test_the_split_goes_where_the_variable_of_nnunet_says(dataset, tmp_path, monkeypatch):
    add_case(dataset, "anna", 1, split="train", state="accepted")
    monkeypatch.setenv("nnUNet_preprocessed", str(tmp_path / "elsewhere"))
    report = run_job(export_nnunet(dataset, tmp_path / "raw", NnunetTarget(7, "Glioma")))
    assert report.split == tmp_path / "elsewhere" / "Dataset007_Glioma" / "splits_final.json"
    given = run_job(export_nnunet(dataset, tmp_path / "raw", NnunetTarget(8, "Glioma"), tmp_path / "given"))
    assert given.split == tmp_path / "given" / "Dataset008_Glioma" / "splits_final.json"


def test_another_split_that_nnunet_would_use_is_not_overwritten(dataset, tmp_path):
    add_case(dataset, "anna", 1, split="train", state="accepted")
    other = tmp_path / "nnUNet_preprocessed" / "Dataset007_Glioma" / "splits_final.json"
    other.parent.mkdir(parents=True)
    other.write_text("[]")
    with pytest.raises(DatasetError, match="another split"):
        run_job(export_nnunet(dataset, tmp_path / "raw", NnunetTarget(7, "Glioma")))
    assert other.read_text() == "[]"
    assert not (tmp_path / "raw").exists()


def test_an_export_without_cases_leaves_nothing(dataset, tmp_path):
    add_case(dataset, "anna", 1)
    with pytest.raises(DatasetError, match="1 cases: it is draft"):
        run_job(export_nnunet(dataset, tmp_path / "raw", NnunetTarget(7, "Glioma")))
    assert not (tmp_path / "raw").exists()


def test_an_export_replaces_nothing(dataset, tmp_path):
    add_case(dataset, "anna", 1, split="train", state="accepted")
    target = NnunetTarget(7, "Glioma", whole_tumour_only=True)
    report = run_job(export_nnunet(dataset, tmp_path / "raw", target))
    values = np.unique(nib.load(report.folder / "labelsTr" / "anna.nii.gz").get_fdata())
    assert values.tolist() == [0, 1]
    with pytest.raises(DatasetError, match="already exists"):
        run_job(export_nnunet(dataset, tmp_path / "raw", target))


def test_the_shell_imports_checks_and_exports(dataset, tmp_path):
    write_nifti(tmp_path / "x" / "p1" / "flair.nii.gz", noise((14, 13, 12), 3))
    write_nifti(tmp_path / "x" / "p1" / "seg.nii.gz", tumour((14, 13, 12)))
    folder, runner = str(dataset.folder), CliRunner()
    patterns = ["--images", "*/flair.nii.gz", "--labels", "*/seg.nii.gz", "--schema", "MSD", "--state", "accepted"]
    done = runner.invoke(data, ["import", folder, str(tmp_path / "x"), *patterns])
    assert (done.exit_code, done.stdout) == (0, "1 added, 0 already there, 0 refused\n")
    dataset.image_path("p1").rename(tmp_path / "away.nii.gz")
    done = runner.invoke(data, ["check", folder])
    assert done.exit_code == 1
    assert "error: p1: imagesTr/p1.nii.gz missing" in done.stdout
    (tmp_path / "away.nii.gz").rename(dataset.image_path("p1"))
    done = runner.invoke(data, ["export", folder, str(tmp_path / "raw"), "--number", "3", "--roles", "FLAIR"])
    assert done.exit_code == 0, done.output
    assert (tmp_path / "raw" / "Dataset003_set" / "imagesTr" / "p1_0000.nii.gz").is_file()
