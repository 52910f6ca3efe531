import json

import numpy as np
import pytest

import phantoms
from napari_brain_tumor.errors import DimensionError, LabelSchemaError, UnreadableFileError
from napari_brain_tumor.io import open_segmentation, open_truth
from napari_brain_tumor.label_schemas import SCHEMAS

DECATHLON = {"labels": {"0": "background", "1": "edema", "2": "non-enhancing tumor", "3": "enhancing tumour"}}


def write(path, classes, schema, dtype=np.uint8):
    return phantoms.write_nifti(path, SCHEMAS[schema].encode(classes).astype(dtype))


@pytest.mark.parametrize(
    ("name", "schema"),
    [
        ("Brats18_2013_2_1_seg.nii.gz", "BraTS2018-2022"),
        ("BraTS2021_00001_seg.nii.gz", "BraTS2018-2022"),
        ("BraTS-GLI-00001-000-seg.nii.gz", "BraTS2023"),
        ("BraTS-GLI-02063-104-seg.nii.gz", "BraTS2024-post-treatment"),
        ("VSD.Brain.XX.O.OT.54517.nii", "BraTS2012-2016"),
    ],
)
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int32, np.float32, np.float64])
def test_every_dialect_becomes_our_classes_whatever_its_type(tmp_path, name, schema, dtype):
    result = open_segmentation(write(tmp_path / name, phantoms.tumour(), schema, dtype))
    np.testing.assert_array_equal(result.data, phantoms.tumour())
    assert result.data.dtype == np.uint8
    assert result.provenance["schema"] == schema
    assert result.class_names == SCHEMAS[schema].class_names
    np.testing.assert_allclose(result.grid.affine, phantoms.affine())


def test_case_folder_name_tells_the_schema_where_the_file_does_not(tmp_path):
    path = write(tmp_path / "BraTS-GLI-00001-000" / "seg.nii.gz", phantoms.tumour(), "BraTS2023")
    assert open_segmentation(path).provenance["schema"] == "BraTS2023"


def test_dataset_json_wins_over_the_file_name(tmp_path):
    path = write(tmp_path / "labelsTr" / "Brats18_2013_2_1.nii.gz", phantoms.tumour(), "MSD")
    (tmp_path / "dataset.json").write_text(json.dumps(DECATHLON))
    result = open_segmentation(path)
    np.testing.assert_array_equal(result.data, phantoms.tumour())
    assert result.provenance["schema"] == "MSD"


def test_ambiguous_labels_are_a_question_that_a_schema_answers(tmp_path):
    path = write(tmp_path / "seg.nii.gz", phantoms.tumour(), "BraTS2023")
    with pytest.raises(LabelSchemaError, match=r"not certain.*MSD.*BraTS2023"):
        open_segmentation(path)
    np.testing.assert_array_equal(open_segmentation(path, "BraTS2023").data, phantoms.tumour())


def test_given_schema_that_lacks_a_value_is_refused(tmp_path):
    path = write(tmp_path / "seg.nii.gz", phantoms.tumour(), "BraTS2018-2022")
    with pytest.raises(LabelSchemaError, match=r"\[4\]"):
        open_segmentation(path, "MSD")


def test_name_that_the_values_contradict_is_refused(tmp_path):
    path = write(tmp_path / "BraTS2021_00001_seg.nii.gz", phantoms.tumour(), "BraTS2023")
    with pytest.raises(LabelSchemaError, match=r"holds \[1, 2, 3\]"):
        open_segmentation(path)


def test_segmentation_without_any_label_opens(tmp_path):
    path = phantoms.write_nifti(tmp_path / "seg.nii.gz", np.zeros((7, 6, 5), np.uint8))
    assert not open_segmentation(path).data.any()


@pytest.mark.parametrize(
    ("value", "message"),
    [(0.5, "1 values that are not whole"), (np.nan, "1 NaN"), (-1, "from -1"), (256, "to 256")],
)
def test_values_that_cannot_be_labels_are_refused(tmp_path, value, message):
    array = phantoms.tumour().astype(np.float64)
    array[0, 0, 0] = value
    with pytest.raises(LabelSchemaError, match=message):
        open_segmentation(phantoms.write_nifti(tmp_path / "seg.nii.gz", array), "MSD")


def test_4d_file_is_not_a_segmentation_but_a_trailing_singleton_is(tmp_path):
    path = phantoms.write_nifti(tmp_path / "seg.nii.gz", phantoms.noise((7, 6, 5, 4)))
    with pytest.raises(DimensionError, match="holds 4 images"):
        open_segmentation(path)
    path = phantoms.write_nifti(tmp_path / "seg.nii.gz", phantoms.tumour()[..., np.newaxis])
    np.testing.assert_array_equal(open_segmentation(path, "MSD").data, phantoms.tumour())


def test_truth_is_found_in_the_case_folder_and_beside_a_sequence(tmp_path):
    folder = phantoms.write_brats_case(
        tmp_path / "BraTS2021_00001", SCHEMAS["BraTS2018-2022"].encode(phantoms.tumour())
    )
    for path in (folder, folder / "BraTS2021_00001_flair.nii.gz"):
        np.testing.assert_array_equal(open_truth(path).data, phantoms.tumour())


def test_truth_of_a_decathlon_image_is_its_twin(tmp_path):
    image = phantoms.write_nifti(tmp_path / "imagesTr" / "BRATS_001.nii.gz", phantoms.noise((7, 6, 5, 4)))
    assert open_truth(image) is None
    phantoms.write_nifti(tmp_path / "labelsTr" / "BRATS_001.nii.gz", phantoms.tumour())
    (tmp_path / "dataset.json").write_text(json.dumps(DECATHLON))
    np.testing.assert_array_equal(open_truth(image).data, phantoms.tumour())


def test_case_without_truth_has_none_and_a_brain_mask_is_no_truth(tmp_path):
    folder = phantoms.write_brats_case(tmp_path / "case")
    phantoms.write_nifti(folder / "case_brain_mask.nii.gz", phantoms.tumour())
    assert open_truth(folder) is None


def test_two_truths_are_a_question(tmp_path):
    folder = phantoms.write_brats_case(tmp_path / "case", phantoms.tumour())
    phantoms.write_nifti(folder / "case_second_seg.nii.gz", phantoms.tumour())
    with pytest.raises(LabelSchemaError, match=r"case_second_seg.nii.gz.*by its path"):
        open_truth(folder)


def test_folder_without_masks_is_not_a_segmentation(tmp_path):
    with pytest.raises(UnreadableFileError, match=r"_mask\.tif"):
        open_segmentation(tmp_path)


@pytest.mark.real_data
def test_real_truths_open_in_their_own_schemas(real_data):
    assert open_truth(real_data / "cases/brats2018/Brats18_TCIA02_135_1").provenance["schema"] == "BraTS2018-2022"
    no_enhancing = open_truth(real_data / "cases/brats2021_no_enhancing/BraTS2021_01477")
    assert set(np.unique(no_enhancing.data)) == {0, 1, 2}
    decathlon = open_truth(real_data / "glioma3d/imagesTr/Brats18_2013_11_1.nii.gz")
    assert decathlon.provenance["schema"] == "MSD"
    assert open_truth(real_data / "cases/brats2023_ras_no_truth/BraTS-MET-00110-000") is None
