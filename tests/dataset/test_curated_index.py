import json

import pytest
from dataset_cases import SHAPE, add_case, make_label, make_study

from napari_brain_tumor import CuratedDataset
from napari_brain_tumor.dataset import DatasetIndex, case_id_from
from napari_brain_tumor.errors import DatasetError


@pytest.fixture
def dataset(tmp_path):
    made = CuratedDataset.create(tmp_path / "set")
    add_case(made, "one", patient="A", split="train")
    add_case(made, "two", patient="B", split="val", known_slices=[3])
    return made


def edited(dataset, edit):
    """The index on disk, changed by hand."""
    path = dataset.folder / "index.json"
    content = json.loads(path.read_text())
    edit(content)
    path.write_text(json.dumps(content))
    return CuratedDataset


def test_an_index_comes_back_from_its_text(dataset):
    assert DatasetIndex.model_validate_json(dataset.index.to_json()) == dataset.index


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda c: c["cases"][1].update(id="ONE"), "the id one occurs more than once"),
        (lambda c: c["cases"][1].update(image="imagesTr/one.nii.gz"), "more than once"),
        (lambda c: c["cases"][1].update(image="../one.nii.gz"), "must be folder/file inside"),
        (lambda c: c["cases"][1].update(image="/etc/passwd"), "must be folder/file inside"),
        (lambda c: c["cases"][0].update(split="val"), "its patient A on train"),
        (lambda c: c["cases"][0].update(patient="B"), "its patient B on val"),
        (lambda c: c["patients"].pop("A"), "its patient A on None"),
        (lambda c: c["patients"]["A"].update(same_person=["B"]), "on different sides"),
        (lambda c: c["cases"][0].update(colour="red"), "Extra inputs"),
        (lambda c: c.update(format=2), "Input should be 1"),
        (lambda c: c["cases"][1]["label"].update(known_slices={"axis": 2, "numbers": [SHAPE[2]]}), "it has 12 slices"),
        (lambda c: c["cases"][0]["sequences"].pop("T1"), "channels of T1c, T2, FLAIR"),
        (lambda c: c["cases"][0]["grid"].update(affine=[[0.0] * 4] * 4), "invertible"),
        (lambda c: c["policy"].update(val_fraction=0.6, test_fraction=0.5), "nothing to train on"),
        (lambda c: c["cases"][0].update(added_at="2026-01-01T00:00:00"), "timezone"),
    ],
)
def test_an_index_that_contradicts_itself_is_refused(dataset, edit, message):
    with pytest.raises(DatasetError, match=message):
        edited(dataset, edit)(dataset.folder)


def test_an_index_that_is_cut_short_is_refused(dataset):
    path = dataset.folder / "index.json"
    path.write_text(path.read_text()[:500])
    with pytest.raises(DatasetError, match="does not describe a valid data set"):
        CuratedDataset(dataset.folder)


def test_regions_that_are_not_known_have_no_volume(dataset):
    study = make_study("binary", seed=77)
    case = dataset.add(study, make_label(study, known_regions=("WT",)))
    assert case.region_voxels("WT") == (make_label(study).data > 0).sum()
    assert case.region_voxels("ET") is None
    assert case.region_ml("ET") is None


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("W39_1998.09.19", "W39_1998-09-19"),
        ("a b/c", "a-b-c"),
        ("___", "case"),
        ("é", "case"),
        ("x" * 300, "x" * 120),
    ],
)
def test_an_id_is_made_from_any_name(name, expected):
    assert case_id_from(name) == expected
