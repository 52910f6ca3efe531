"""Saved labels that were copied, renamed, replaced or half written: opened as what they are, or asked about."""

import json
import os
import shutil
import sys

import nibabel as nib
import numpy as np
import pytest

from kill_points import kill_at
from napari_brain_tumor import open_segmentation, save_segmentation
from napari_brain_tumor.errors import BrainTumorError, LabelSchemaError
from napari_brain_tumor.geometry import Grid
from napari_brain_tumor.labels import class_names_of
from napari_brain_tumor.study import Segmentation
from phantoms import affine

SHAPE = (9, 8, 7)
SCHEMAS = ("MSD", "BraTS2018-2022", "BraTS2023", "GliODIL", "BraTS2012-2016")


def classes(seed=0):
    """Our classes in numbers that no exchange leaves alike, elsewhere for every seed."""
    data = np.zeros(SHAPE, np.uint8)
    data[1:7, 1:6, 1:5], data[2:6, 2 : 4 + seed, 2:4], data[3:5, 3, 3 + seed % 2] = 1, 2, 3
    return data


def result(seed=0, regions=("WT", "TC", "ET")):
    grid = Grid(SHAPE, affine(spacing=(1.0, 1.1, 3.0)))
    data = classes(seed)
    if regions != ("WT", "TC", "ET"):
        allowed = set(class_names_of(regions))
        data[~np.isin(data, list(allowed))] = 0
    return Segmentation(data, grid, name="case", class_names=class_names_of(regions), known_regions=regions)


def assert_right_or_asked(path, *expected):
    try:
        opened = open_segmentation(path).data
    except BrainTumorError:
        return
    assert any(np.array_equal(opened, data) for data in expected), f"{path.name} was opened with exchanged classes"


@pytest.mark.parametrize("schema", SCHEMAS)
@pytest.mark.parametrize("suffix", [".nii.gz", ".nii"])
def test_a_copy_without_its_sidecar_keeps_its_meaning(tmp_path, schema, suffix):
    path = tmp_path / f"a{suffix}"
    save_segmentation(result(), path, schema=schema)
    copy = tmp_path / "elsewhere" / f"another{suffix}"
    copy.parent.mkdir()
    shutil.copy(path, copy)
    np.testing.assert_array_equal(open_segmentation(copy).data, classes())


@pytest.mark.parametrize("suffix", [".nrrd", ".mha"])
def test_a_copy_in_a_format_without_room_for_words_is_right_or_asked_about(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    save_segmentation(result(), path, schema="BraTS2023")
    shutil.copy(path, tmp_path / f"b{suffix}")
    assert_right_or_asked(tmp_path / f"b{suffix}", classes())


@pytest.mark.parametrize("suffix", [".nii.gz", ".nrrd", ".mha"])
@pytest.mark.parametrize(("old", "new"), [("BraTS2018-2022", "MSD"), ("BraTS2023", "MSD"), ("MSD", "BraTS2023")])
def test_labels_that_another_program_put_in_place_are_not_read_by_the_old_sidecar(tmp_path, suffix, old, new):
    path, other = tmp_path / f"a{suffix}", tmp_path / f"new{suffix}"
    save_segmentation(result(0), path, schema=old)
    save_segmentation(result(1), other, schema=new)
    shutil.copy(other, path)
    assert_right_or_asked(path, classes(1))


def test_numbers_changed_under_the_old_header_are_not_read_as_before(tmp_path):
    path = tmp_path / "a.nii.gz"
    save_segmentation(result(), path, schema="BraTS2023")
    image = nib.load(path)
    values = np.asarray(image.dataobj)
    remapped = np.select([values == 1, values == 2, values == 3], [2, 1, 3]).astype(np.uint8)
    nib.save(nib.Nifti1Image(remapped, image.affine, image.header), path)
    assert_right_or_asked(path, classes())


@pytest.mark.parametrize("suffix", [".nii.gz", ".nrrd"])
def test_sidecars_that_were_exchanged_are_noticed(tmp_path, suffix):
    for name, seed, schema in (("a", 0, "MSD"), ("b", 1, "BraTS2023")):
        save_segmentation(result(seed), tmp_path / f"{name}{suffix}", schema=schema)
    texts = {name: (tmp_path / f"{name}.json").read_text() for name in "ab"}
    (tmp_path / "a.json").write_text(texts["b"].replace(f"b{suffix}", f"a{suffix}"))
    (tmp_path / "b.json").write_text(texts["a"].replace(f"a{suffix}", f"b{suffix}"))
    assert_right_or_asked(tmp_path / f"a{suffix}", classes(0))
    assert_right_or_asked(tmp_path / f"b{suffix}", classes(1))


@pytest.mark.parametrize("suffix", [".nii.gz", ".nrrd", ".mha"])
def test_labels_renamed_with_their_sidecar_are_right_or_asked_about(tmp_path, suffix):
    save_segmentation(result(), tmp_path / f"a{suffix}", schema="BraTS2023")
    (tmp_path / f"a{suffix}").rename(tmp_path / f"c{suffix}")
    (tmp_path / "a.json").rename(tmp_path / "c.json")
    assert_right_or_asked(tmp_path / f"c{suffix}", classes())


@pytest.mark.parametrize("suffix", [".nii.gz", ".nrrd", ".mha"])
@pytest.mark.parametrize("regions", [("WT",), ("WT", "TC"), ("WT", "ET"), ("WT", "TC", "ET")])
def test_what_is_known_survives_the_file(tmp_path, suffix, regions):
    path = tmp_path / f"a{suffix}"
    save_segmentation(result(regions=regions), path)
    opened = open_segmentation(path)
    assert set(opened.known_regions) == set(regions)
    assert dict(opened.class_names) == class_names_of(regions)


@pytest.mark.parametrize(
    "content",
    [
        '{"program": "napari-brain-tumor", "file": ""}',
        "[" * 100_000,
        '{"a":' * 5000,
        "[]",
        "nul",
        "\x00",
        "{}",
        '{"labels": 3}',
    ],
)
@pytest.mark.parametrize("name", ["a.json", "dataset.json", "a.napari-brain-tumor.json"])
def test_a_strange_document_beside_labels_is_no_crash(tmp_path, content, name):
    path = tmp_path / "a.nii.gz"
    nib.save(nib.Nifti1Image(classes(), affine()), path)
    (tmp_path / name).write_text(content)
    with pytest.raises(LabelSchemaError):
        open_segmentation(path)
    np.testing.assert_array_equal(open_segmentation(path, "MSD").data, classes())


@pytest.mark.skipif(sys.platform == "win32", reason="needs fork")
@pytest.mark.parametrize("suffix", [".nii.gz", ".nrrd", ".mha"])
def test_killed_while_saving_over_an_earlier_result_the_meaning_is_old_or_new(tmp_path, suffix):
    """A child dies at each of its calls that change a file; then one of the results is there, or none is believed."""
    for point in range(1, 60):
        folder = tmp_path / str(point)
        folder.mkdir()
        path = folder / f"a{suffix}"
        save_segmentation(result(0), path, schema="BraTS2018-2022")
        child = os.fork()
        if child == 0:
            kill_at(point)
            save_segmentation(result(1), path, schema="MSD")
            os._exit(0)
        _, status = os.waitpid(child, 0)
        assert_right_or_asked(path, classes(0), classes(1))
        if status == 0:
            np.testing.assert_array_equal(open_segmentation(path).data, classes(1))
            assert {p.name for p in folder.iterdir()} == {path.name, "a.json"}
            break
        assert os.WIFSIGNALED(status)
        save_segmentation(result(1), path, schema="MSD")
        left = {p.name for p in folder.iterdir() if not p.name.endswith(".lock")}
        assert left == {path.name, "a.json"}, f"left behind at point {point}: {left}"
    else:
        pytest.fail("saving never ended")


def test_a_record_is_true_to_the_labels_beside_it(tmp_path):
    path = tmp_path / "a.nii.gz"
    save_segmentation(result(), path, schema="BraTS2023")
    told = json.loads((tmp_path / "a.json").read_text())
    assert told["schema"] == "BraTS2023"
    assert told["labels_sha256"]
