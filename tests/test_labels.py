import hashlib

import numpy as np
import pytest

from napari_brain_tumor import labels as labels_module
from napari_brain_tumor.errors import LabelSchemaError
from napari_brain_tumor.label_schemas import SCHEMAS, guess_schema, schema_named
from napari_brain_tumor.labels import (
    CLASS_NAMES,
    class_names_of,
    classes_from_known,
    classes_from_regions,
    label_values,
    labels_sha256,
    looks_like_labels,
    region_mask,
    slabs_of,
)


@pytest.mark.parametrize("schema", SCHEMAS.values(), ids=SCHEMAS)
def test_every_schema_writes_what_it_reads_back_as_the_same_classes(schema):
    classes = np.array([0, *sorted(schema.from_class)], dtype=np.uint8)
    decoded = schema.decode(schema.encode(classes))
    if schema.name == "LGG-binary":
        np.testing.assert_array_equal(decoded, classes > 0)
    else:
        np.testing.assert_array_equal(decoded, classes)


@pytest.mark.parametrize(
    ("schema", "value", "meaning"),
    [
        ("MSD", 1, 1),
        ("MSD", 3, 3),
        ("BraTS2018-2022", 1, 2),
        ("BraTS2018-2022", 4, 3),
        ("BraTS2023", 3, 3),
        ("BraTS2012-2016", 3, 2),
        ("BraTS2024-post-treatment", 4, 4),
        ("GliODIL", 1, 3),
        ("LGG-binary", 255, 1),
    ],
)
def test_file_integers_become_our_classes(schema, value, meaning):
    assert schema_named(schema).decode(np.array([value], dtype=np.uint8))[0] == meaning


def test_a_value_the_schema_lacks_is_refused_by_name():
    with pytest.raises(LabelSchemaError, match=r"\[4\].*MSD.*edema"):
        SCHEMAS["MSD"].decode(np.array([0, 4]))


def test_a_class_that_cannot_be_written_is_refused():
    with pytest.raises(LabelSchemaError, match=r"\[4\].*MSD"):
        SCHEMAS["MSD"].encode(np.array([0, 1, 4], dtype=np.uint8))


@pytest.mark.parametrize(
    ("values", "name", "labels", "expected"),
    [
        ([1, 2, 4], "Brats18_CBICA_X_1_seg.nii.gz", None, "BraTS2018-2022"),
        ([1, 2, 4], "BraTS2021_00000_seg.nii.gz", None, "BraTS2018-2022"),
        ([1, 2, 3], "BraTS-GLI-00001-000-seg.nii.gz", None, "BraTS2023"),
        ([1, 2, 3, 4], "BraTS-GLI-02078-103-seg.nii.gz", None, "BraTS2024-post-treatment"),
        ([255], "TCGA_CS_4941_19960909_3_mask.tif", None, "LGG-binary"),
        ([255], "anything.tif", None, "LGG-binary"),
        ([1, 2, 3], "case.nii.gz", {"1": "edema", "2": "non-enhancing tumor", "3": "enhancing tumour"}, "MSD"),
        ([], "Brats18_X_seg.nii.gz", None, "BraTS2018-2022"),
    ],
)
def test_schema_is_guessed_where_only_one_fits(values, name, labels, expected):
    assert guess_schema(values, name, labels).name == expected


@pytest.mark.parametrize("values", [[1, 2, 3], [1, 2, 4], [1], []])
def test_ambiguous_labels_are_a_question(values):
    with pytest.raises(LabelSchemaError, match="Name the schema"):
        guess_schema(values, "labels.nii.gz")


def test_a_name_that_contradicts_the_values_is_refused():
    with pytest.raises(LabelSchemaError, match="BraTS2018-2022"):
        guess_schema([1, 2, 3], "Brats18_X_seg.nii.gz")


def test_brats_means_the_common_schema_and_unknown_names_list_the_known():
    assert schema_named("brats").name == "BraTS2018-2022"
    assert schema_named("msd").name == "MSD"
    with pytest.raises(LabelSchemaError, match="LGG-binary"):
        schema_named("nonsense")


def test_regions_are_made_nested():
    whole = np.array([1, 1, 1, 0, 0], dtype=bool)
    core = np.array([0, 1, 1, 1, 0], dtype=bool)
    enhancing = np.array([0, 0, 1, 1, 1], dtype=bool)
    np.testing.assert_array_equal(classes_from_regions(np.stack([whole, core, enhancing])), [1, 2, 3, 0, 0])


def test_region_masks_leave_the_resection_cavity_out():
    classes = np.array([0, 1, 2, 3, 4])
    np.testing.assert_array_equal(region_mask(classes, "WT"), [0, 1, 1, 1, 0])
    np.testing.assert_array_equal(region_mask(classes, "TC"), [0, 0, 1, 1, 0])
    np.testing.assert_array_equal(region_mask(classes, "ET"), [0, 0, 0, 1, 0])


def test_labels_are_told_from_intensities():
    random = np.random.default_rng(0)
    assert looks_like_labels(random.choice([0, 1, 2, 4], size=(5, 5, 5)).astype(np.float64))
    assert looks_like_labels(random.choice([0, 255], size=(5, 5, 5)).astype(np.uint8))
    assert not looks_like_labels(random.integers(0, 63, size=(20, 20, 20)).astype(np.uint8))
    assert not looks_like_labels(random.normal(size=(5, 5, 5)))
    assert not looks_like_labels(np.array([[[np.nan, 1.0]]]))
    assert not looks_like_labels(np.array([[[-1, 0, 1]]]))


def test_regions_that_are_not_told_add_no_class():
    whole, core, enhancing = np.array([[1, 1, 1, 1, 0], [0, 0, 1, 1, 0], [0, 0, 0, 1, 1]], dtype=bool)
    np.testing.assert_array_equal(classes_from_known({"WT": whole}), [1, 1, 1, 1, 0])
    np.testing.assert_array_equal(classes_from_known({"ET": enhancing, "WT": whole}), [1, 1, 1, 3, 0])
    np.testing.assert_array_equal(classes_from_known({"WT": whole, "TC": core}), [1, 1, 2, 2, 0])
    np.testing.assert_array_equal(classes_from_known({"TC": core, "ET": enhancing}), [0, 0, 2, 3, 0])
    np.testing.assert_array_equal(classes_from_known({"ET": enhancing}), [0, 0, 0, 3, 3])
    # The order in which a network tells them does not matter.
    np.testing.assert_array_equal(
        classes_from_known({"ET": enhancing, "TC": core, "WT": whole}),
        classes_from_regions(np.stack([whole, core, enhancing])),
    )


def test_classes_are_named_by_what_the_regions_tell():
    assert class_names_of(["WT"]) == {1: "whole tumour"}
    assert class_names_of(["ET", "WT"]) == {1: "edema and non-enhancing", 3: "enhancing"}
    assert class_names_of(["TC"]) == {2: "tumour core"}
    assert class_names_of(["ET", "TC", "WT"]) == CLASS_NAMES


@pytest.mark.parametrize("order", ["C", "F"])
def test_large_labels_are_counted_and_encoded_in_slabs_to_the_same_values(monkeypatch, order):
    labels = np.asarray(np.random.default_rng(0).choice([0, 1, 3], (4, 5, 23)), np.uint8, order=order)
    values, encoded = label_values(labels), SCHEMAS["BraTS2018-2022"].encode(labels)
    monkeypatch.setattr(labels_module, "_SLAB_VOXELS", 100)
    assert [slab.shape for slab in slabs_of(labels)] == [(4, 5, 5)] * 4 + [(4, 5, 3)]
    assert label_values(labels) == values == {0, 1, 3}
    np.testing.assert_array_equal(SCHEMAS["BraTS2018-2022"].encode(labels), encoded)
    np.testing.assert_array_equal(encoded, np.choose(labels, [0, 2, 1, 4]))


def test_the_hash_of_labels_is_that_of_shape_and_bytes():
    labels = np.arange(24, dtype=np.int64).reshape(2, 3, 4)
    expected = hashlib.sha256(b"(2, 3, 4)" + bytes(range(24))).hexdigest()
    assert labels_sha256(labels) == labels_sha256(np.asfortranarray(labels)) == expected
    assert labels_sha256(np.zeros((0, 2))) == hashlib.sha256(b"(0, 2)").hexdigest()
