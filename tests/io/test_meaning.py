"""Labels keep what they mean: beside them, inside them, copied, edited, and saved by a process that is killed."""

import json
import shutil
import struct
from dataclasses import replace

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk
import tifffile

import phantoms
from napari_brain_tumor.errors import LabelSchemaError
from napari_brain_tumor.geometry import Grid
from napari_brain_tumor.io import open_segmentation, save_segmentation
from napari_brain_tumor.io.meaning import Meaning, meaning_inside
from napari_brain_tumor.io.nifti import read_nifti
from napari_brain_tumor.label_schemas import SCHEMAS
from napari_brain_tumor.labels import class_names_of, labels_sha256
from napari_brain_tumor.measure.volumes import measure_volumes
from napari_brain_tumor.study import Segmentation

SUFFIXES = [".nii.gz", ".nii", ".nrrd", ".mha", ".tif", ""]


def segmentation(data=None, **changes):
    labels = phantoms.tumour() if data is None else data
    return replace(Segmentation(labels, Grid(labels.shape, phantoms.affine(spacing=(0.5, 1, 5)))), **changes)


def exchanged():
    """Edema and non-enhancing the other way round: the same integers, so that only the schema tells."""
    return SCHEMAS["BraTS2023"].encode(phantoms.tumour())


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("schema", ["MSD", "BraTS2023", "BraTS2024", "GliODIL"])
def test_a_copy_without_its_json_opens_as_what_was_saved(tmp_path, suffix, schema):
    path = tmp_path / f"seg{suffix}"
    save_segmentation(segmentation(), path, schema)
    (tmp_path / "elsewhere").mkdir()
    copy = tmp_path / "elsewhere" / f"other{suffix}"
    shutil.copytree(path, copy) if path.is_dir() else shutil.copy(path, copy)
    again = open_segmentation(copy)
    np.testing.assert_array_equal(again.data, phantoms.tumour())
    assert again.known_regions == ("WT", "TC", "ET")


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("known", [("WT", "ET"), ("WT", "TC"), ("WT",), ("ET",)])
@pytest.mark.parametrize("with_json", [True, False])
def test_what_labels_do_not_tell_stays_unknown(tmp_path, suffix, known, with_json):
    labels = phantoms.tumour()
    labels[labels == 2] = 1
    before = segmentation(labels, class_names=class_names_of(known), known_regions=known)
    path = tmp_path / f"seg{suffix}"
    save_segmentation(before, path, "BraTS2023", sidecar=with_json)
    again = open_segmentation(path)
    assert again.known_regions == known
    assert again.class_names == class_names_of(known)
    keys = {row.key for row in measure_volumes(again).regions}
    assert keys == set(known)


def test_a_schema_of_one_class_leaves_the_whole_tumour_alone(tmp_path):
    save_segmentation(segmentation(), tmp_path / "seg.nii.gz", "LGG-binary")
    again = open_segmentation(tmp_path / "seg.nii.gz")
    assert again.known_regions == ("WT",)
    assert again.class_names == {1: "whole tumour"}
    assert meaning_inside(tmp_path / "seg.nii.gz").values == {255: "whole tumour"}


@pytest.mark.parametrize("suffix", [".nii.gz", ".nii"])
def test_others_read_the_same_voxels_whether_a_comment_is_there_or_not(tmp_path, suffix):
    path = tmp_path / f"seg{suffix}"
    save_segmentation(segmentation(), path, "BraTS2023")
    image = nib.load(path)
    assert [extension.get_code() for extension in image.header.extensions] == [6]
    document = json.loads(image.header.extensions[0].get_content())
    assert document["napari-brain-tumor"]["schema"] == "BraTS2023"
    assert document["napari-brain-tumor"]["labels_sha256"] == labels_sha256(np.asarray(image.dataobj))
    assert int(image.header["vox_offset"]) % 16 == 0
    itk = sitk.GetArrayFromImage(sitk.ReadImage(str(path))).transpose(2, 1, 0)
    np.testing.assert_array_equal(itk, exchanged())
    np.testing.assert_array_equal(read_nifti(path)[0].array, exchanged())


def test_a_very_long_file_carries_its_meaning_too(tmp_path):
    labels = np.zeros((40_000, 2, 1), np.uint8)
    labels[39_999, 1, 0] = 1
    save_segmentation(Segmentation(labels, Grid(labels.shape, np.eye(4))), tmp_path / "seg.nii", "GliODIL")
    assert isinstance(nib.load(tmp_path / "seg.nii").header, nib.Nifti2Header)
    np.testing.assert_array_equal(open_segmentation(tmp_path / "seg.nii").data, labels)


def test_the_byte_order_of_another_machine_is_understood(tmp_path):
    path = tmp_path / "seg.nii"
    save_segmentation(segmentation(), path, "GliODIL")
    little = nib.load(path)
    text = little.header.extensions[0].get_content()
    header = nib.Nifti1Header(endianness=">")
    header.set_data_dtype(">u1")
    header.set_data_shape((7, 6, 5))
    header.set_sform(little.affine, 1)
    size = 8 + len(text) + -(8 + len(text)) % 16
    header["vox_offset"] = 352 + size
    extension = struct.pack(">2i", size, 6) + text + bytes(size - 8 - len(text))
    values = np.asarray(little.dataobj).tobytes(order="F")
    path.write_bytes(header.binaryblock + b"\1\0\0\0" + extension + values)
    (tmp_path / "seg.json").unlink()
    np.testing.assert_array_equal(open_segmentation(path).data, phantoms.tumour())


# Records that are of other labels -----------------------------------------------------------------------------------


def test_a_json_of_other_labels_is_not_believed(tmp_path):
    path = tmp_path / "seg.nii.gz"
    save_segmentation(segmentation(), path, "BraTS2023")
    other = phantoms.tumour()
    other[0, 0, 0] = 1
    phantoms.write_nifti(path, other)
    with pytest.raises(
        LabelSchemaError, match=r"JSON beside seg.nii.gz belongs to other labels \(schema BraTS2023\).*MSD"
    ):
        open_segmentation(path)
    np.testing.assert_array_equal(open_segmentation(path, "MSD").data, other)


def test_the_file_itself_answers_where_its_json_is_of_other_labels(tmp_path):
    path = tmp_path / "seg.nii.gz"
    save_segmentation(segmentation(), path, "BraTS2023")
    earlier = (tmp_path / "seg.json").read_bytes()
    save_segmentation(segmentation(exchanged()), path, "MSD")
    (tmp_path / "seg.json").write_bytes(earlier)  # as if the process had been killed between the two names
    again = open_segmentation(path)
    np.testing.assert_array_equal(again.data, exchanged())
    assert again.provenance["schema"] == "MSD"


def test_the_file_wins_over_a_json_with_the_same_integers_in_another_schema(tmp_path):
    path = tmp_path / "seg.nii.gz"
    save_segmentation(segmentation(exchanged()), path, "BraTS2023")
    save_segmentation(segmentation(phantoms.tumour()), path, "MSD", sidecar=False)
    np.testing.assert_array_equal(open_segmentation(path).data, phantoms.tumour())


@pytest.mark.parametrize("suffix", [".nii.gz", ".nrrd", ".mha"])
def test_labels_edited_by_a_program_that_keeps_the_text_are_asked_about(tmp_path, suffix):
    path = tmp_path / f"seg{suffix}"
    save_segmentation(segmentation(), path, "BraTS2023")
    if suffix == ".nii.gz":
        image = nib.load(path)
        values = np.asarray(image.dataobj).copy()
        values[0, 0, 0] = 2
        nib.save(nib.Nifti1Image(values, image.affine, image.header), path)
    else:
        image = sitk.ReadImage(str(path))
        image[0, 0, 0] = 2
        sitk.WriteImage(image, str(path))
    assert meaning_inside(path).schema.name == "BraTS2023"
    (tmp_path / "seg.json").unlink()
    with pytest.raises(LabelSchemaError, match=r"record inside .* belongs to other labels"):
        open_segmentation(path)


def test_a_json_of_the_first_versions_that_has_no_hash_is_believed(tmp_path):
    path = phantoms.write_nifti(tmp_path / "seg.nii.gz", exchanged())
    old = {"program": "napari-brain-tumor", "file": "seg.nii.gz", "schema": "BraTS2023", "known_regions": ["WT"]}
    (tmp_path / "seg.json").write_text(json.dumps(old))
    again = open_segmentation(path)
    np.testing.assert_array_equal(again.data, phantoms.tumour())
    assert again.known_regions == ("WT",)


@pytest.mark.parametrize(
    "document",
    [
        None,
        [],
        {"schema": 7},
        {"schema": "of a later version"},
        {"schema": "MSD", "labels_sha256": 3},
    ],
)
def test_a_record_that_is_not_understood_says_nothing(document):
    assert Meaning.read(document) is None


@pytest.mark.parametrize("known", [3, ["WT", "XX", 4], [["WT"]], "WT"])
def test_regions_that_are_none_are_passed_over(known):
    regions = Meaning.read({"schema": "MSD", "known_regions": known}).known_regions
    assert regions == (("WT",) if known == ["WT", "XX", 4] else () if known == [["WT"]] else ("WT", "TC", "ET"))


@pytest.mark.parametrize(
    "damage",
    [
        lambda b: b[:352] + struct.pack("<2i", -16, 6) + b[360:],
        lambda b: b[:352] + struct.pack("<2i", 2**30, 6) + b[360:],
        lambda b: b[:360] + b"[" * 200 + b[560:],
        lambda b: b[:350],
    ],
)
def test_a_ruined_comment_says_nothing(tmp_path, damage):
    path = tmp_path / "seg.nii"
    save_segmentation(segmentation(), path)
    path.write_bytes(damage(path.read_bytes()))
    assert meaning_inside(path) is None


def test_masks_of_two_results_are_no_result(tmp_path):
    folder = tmp_path / "masks"
    save_segmentation(segmentation(), folder, "BraTS2023")
    second = tmp_path / "second"
    save_segmentation(segmentation(exchanged()), second, "MSD")
    for name in ("segmentation_2_mask.tif", "segmentation_3_mask.tif"):
        shutil.copy(second / name, folder / name)
    with pytest.raises(LabelSchemaError, match="to other labels"):
        open_segmentation(folder)


def test_masks_tell_what_they_are_one_by_one(tmp_path):
    save_segmentation(segmentation(), tmp_path / "masks", "BraTS2023")
    with tifffile.TiffFile(tmp_path / "masks" / "segmentation_1_mask.tif") as file:
        document = file.shaped_metadata[0]["napari-brain-tumor"]
    assert document["schema"] == "BraTS2023"
