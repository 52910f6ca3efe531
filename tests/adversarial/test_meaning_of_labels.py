"""What integers mean by the words of a `dataset.json`: rightly told, or asked; never exchanged."""

import json

import numpy as np
import pytest

from napari_brain_tumor import open_segmentation
from napari_brain_tumor.errors import LabelSchemaError
from phantoms import write_nifti

E, N, T = 1, 2, 3
"""Our classes: edema, non-enhancing, enhancing."""

TOLD = [
    ({"1": "edema", "2": "non-enhancing tumor", "3": "enhancing tumour"}, {1: E, 2: N, 3: T}),
    ({"1": "oedema", "2": "nonenhancing tumour", "3": "enhancement"}, {1: E, 2: N, 3: T}),
    ({"1": "ED", "2": "NCR", "3": "ET"}, {1: E, 2: N, 3: T}),
    ({"background": 0, "edema": 1, "non_enhancing_tumor": 2, "enhancing_tumor": 3}, {1: E, 2: N, 3: T}),
    ({"background": 0, "whole tumor": [1, 2, 3], "tumor core": [2, 3], "enhancing tumor": [3]}, {1: E, 2: N, 3: T}),
    ({"1": "necrosis", "2": "edema", "3": "enhancing"}, {1: N, 2: E, 3: T}),
    ({"1": "NCR", "2": "ED", "3": "ET"}, {1: N, 2: E, 3: T}),
    ({"1": "non-enhancing", "2": "edema", "3": "enhancing"}, {1: N, 2: E, 3: T}),
    ({"1": "Non enhancing tumor core", "2": "peritumoral edema", "3": "Enhancing"}, {1: N, 2: E, 3: T}),
    ({"1": "NCR/NET", "2": "ED", "4": "ET"}, {1: N, 2: E, 4: T}),
    ({"1": "necrotic and non-enhancing", "2": "edema", "4": "GD-enhancing tumor"}, {1: N, 2: E, 4: T}),
    ({"1": "NETC", "2": "SNFH", "3": "ET", "4": "RC"}, {1: N, 2: E, 3: T, 4: 4}),
    ({"1": "enhancing", "2": "non-enhancing", "3": "edema"}, {1: T, 2: N, 3: E}),
    ({"1": "enhancing tumor", "2": "edema", "3": "non-enhancing tumor"}, {1: T, 2: E, 3: N}),
    ({"1": "non-enhancing tumor", "2": "enhancing tumor", "3": "edema"}, {1: N, 2: T, 3: E}),
    ({"1": "edema", "2": "enhancing", "3": "necrosis"}, {1: E, 2: T, 3: N}),
    ({"1": "unenhanced tumour", "2": "edema", "3": "enhanced tumour"}, {1: N, 2: E, 3: T}),
    ({"1": "ET", "2": "NET", "3": "CC", "4": "ED"}, {1: T, 2: N, 3: N, 4: E}),
    ({"1": "tumor without enhancement", "2": "edema", "3": "tumor with enhancement"}, {1: N, 2: E, 3: T}),
    ({"1": "edema", "2": "not enhancing", "3": "enhancing"}, {1: E, 2: N, 3: T}),
    ({"1": "1", "2": "2", "3": "3"}, {1: None, 2: None, 3: None}),
    ({"1": "left", "2": "right", "3": "both"}, {1: None, 2: None, 3: None}),
    ({"1": "FLAIR hyperintensity (edema)", "2": "enhancing", "3": "resection cavity"}, {1: E, 2: T, 3: 4}),
]


@pytest.mark.parametrize(("words", "classes"), TOLD, ids=lambda value: str(value)[:60])
def test_the_words_of_a_dataset_json_are_right_or_asked_about(tmp_path, words, classes):
    """A class of None cannot be expressed: nothing but a refusal is right where such a value occurs."""
    labels = np.zeros((12, 6, 5), np.uint8)
    for place, value in enumerate(sorted(classes)):
        labels[2 * place : 2 * place + 2, 1:3, 1:3] = value
    path = write_nifti(tmp_path / "labelsTr" / "a.nii.gz", labels)
    (tmp_path / "dataset.json").write_text(json.dumps({"labels": {"0": "background", **words}}))
    try:
        opened = open_segmentation(path).data
    except LabelSchemaError:
        return
    expected = np.zeros_like(labels)
    for value, our_class in classes.items():
        assert our_class is not None, f"{words[str(value)]!r} was opened as class {opened[labels == value][0]}"
        expected[labels == value] = our_class
    np.testing.assert_array_equal(opened, expected)


@pytest.mark.parametrize("words", [TOLD[0][0], TOLD[5][0], TOLD[9][0], TOLD[11][0]])
def test_common_words_are_no_question(tmp_path, words):
    labels = np.zeros((12, 6, 5), np.uint8)
    labels[2:4, 2, 2] = 1
    labels[6:8, 2, 2] = 2
    path = write_nifti(tmp_path / "labelsTr" / "a.nii.gz", labels)
    (tmp_path / "dataset.json").write_text(json.dumps({"labels": {"0": "background", **words}}))
    assert set(np.unique(open_segmentation(path).data)) == {0, 1, 2}


def test_labels_of_children_are_asked_about_since_the_years_differ(tmp_path):
    """BraTS-PEDs: 1 necrosis, 2 edema, 3 enhancing in 2023; 1 enhancing, 2 non-enhancing, 3 cyst, 4 edema since."""
    labels = np.zeros((12, 6, 5), np.uint8)
    labels[2:4, 2, 2], labels[5:7, 2, 2], labels[8:10, 2, 2] = 1, 2, 3
    path = write_nifti(tmp_path / "BraTS-PED-00001-000" / "BraTS-PED-00001-000-seg.nii.gz", labels)
    with pytest.raises(LabelSchemaError):
        open_segmentation(path)
