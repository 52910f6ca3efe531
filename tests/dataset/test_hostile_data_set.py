"""Data sets from elsewhere whose files name others: nothing outside the folder is read, written or removed."""

import json
import os
import shutil

import pytest
from dataset_cases import add_case, make_label, make_study

from napari_brain_tumor.dataset import CuratedDataset
from napari_brain_tumor.dataset.drafts import draft_path
from napari_brain_tumor.dataset.imports import find_cases
from napari_brain_tumor.errors import BrainTumorError, DatasetError, OutsideFolderError

OUTSIDE = [
    "../precious.txt", "labelsTr/../../precious.txt", "/etc/passwd", "C:/precious.txt", "C:precious.txt",
    "\\\\host\\share\\x", "..\\precious.txt", "labelsTr\\..\\..\\precious.txt", "NUL", "labelsTr/NUL.nii.gz",
    "labelsTr/..", "index.json", "a/b/c",
]  # fmt: skip


@pytest.fixture
def dataset(tmp_path):
    dataset = CuratedDataset.create(tmp_path / "set")
    add_case(dataset, "anna", 1)
    (tmp_path / "precious.txt").write_text("mine")
    return dataset


def everything(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


@pytest.mark.parametrize("name", OUTSIDE)
def test_journal_that_names_what_is_not_inside_removes_nothing(dataset, tmp_path, name):
    (dataset.folder / ".changes.json").write_text(json.dumps({"files": ["labelsTr/stray.nii.gz", name]}))
    (dataset.folder / "labelsTr" / "stray.nii.gz").write_text("stray")
    before = everything(tmp_path)
    with pytest.raises(DatasetError, match=r"\.changes\.json"):
        add_case(dataset, "bert", 2)
    after = everything(tmp_path)
    assert {path: after.get(path) for path in before} == before
    assert set(after) - set(before) <= {"set/.lock"}


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes")
def test_a_pipe_in_place_of_the_journal_is_refused_and_not_waited_for(dataset):
    os.mkfifo(dataset.folder / ".changes.json")
    with pytest.raises(DatasetError, match=r"\.changes\.json is a pipe.*Nothing was changed"):
        add_case(dataset, "bert", 2)
    assert [case.id for case in CuratedDataset(dataset.folder).cases()] == ["anna"]


@pytest.mark.parametrize("name", OUTSIDE)
@pytest.mark.parametrize("field", ["image", "label"])
def test_index_that_names_what_is_not_inside_does_not_open(dataset, name, field):
    path = dataset.folder / "index.json"
    content = json.loads(path.read_text())
    case = content["cases"][0]
    if field == "image":
        case["image"] = name
    else:
        case["label"]["file"] = name
    path.write_text(json.dumps(content))
    with pytest.raises(DatasetError, match="inside the data set"):
        CuratedDataset(dataset.folder)


@pytest.mark.skipif(os.name == "nt", reason="links need rights there")
def test_folder_that_is_a_link_out_of_the_data_set_is_neither_read_nor_written(dataset, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    shutil.move(dataset.folder / "labelsTr", elsewhere)
    (dataset.folder / "labelsTr").symlink_to(elsewhere)
    before = everything(elsewhere)
    with pytest.raises(OutsideFolderError, match="link"):
        dataset.truth("anna")
    with pytest.raises(BrainTumorError, match="link"):
        dataset.relabel("anna", make_label(make_study("anna", 1)))
    with pytest.raises(BrainTumorError, match="link"):
        add_case(dataset, "bert", 2)
    with pytest.raises(BrainTumorError, match="link"):
        dataset.remove("anna")
    assert everything(elsewhere) == before


@pytest.mark.skipif(os.name == "nt", reason="links need rights there")
def test_journal_through_a_link_removes_nothing(dataset, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "x.nii.gz").write_text("mine")
    (dataset.folder / "linked").symlink_to(elsewhere)
    (dataset.folder / ".changes.json").write_text(json.dumps({"files": ["linked/x.nii.gz"]}))
    with pytest.raises(OutsideFolderError, match="link"):
        add_case(dataset, "bert", 2)
    assert (elsewhere / "x.nii.gz").read_text() == "mine"


@pytest.mark.parametrize("case", ["../anna", "a/../../b", "C:x", "nul"])
def test_draft_lies_inside_the_data_set_whatever_the_case_is_called(dataset, case):
    with pytest.raises(OutsideFolderError):
        draft_path(dataset.folder, case)


@pytest.mark.parametrize("name", ["../x.nii.gz", "/etc/hosts", "C:/x.nii.gz", "..\\x.nii.gz"])
def test_dataset_json_that_names_what_is_not_inside_imports_nothing(tmp_path, name):
    (tmp_path / "dataset.json").write_text(json.dumps({"training": [{"image": name, "label": "./labelsTr/a.nii.gz"}]}))
    with pytest.raises(OutsideFolderError, match="not inside"):
        find_cases(tmp_path)
