"""The sample that ships: it opens like any case, its truth is exact, and it stays small."""

import json
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from napari_brain_tumor import open_segmentation, open_study
from napari_brain_tumor.sample import sample_case_folder, sample_truth_path
from napari_brain_tumor.study import ROLES


def provenance() -> dict[str, Any]:
    sidecar = sample_truth_path().with_name("synthetic_glioma_seg.json").read_text(encoding="utf-8")
    return json.loads(sidecar)["provenance"]


def test_the_sample_opens_as_a_study_of_four_sequences():
    study = open_study(sample_case_folder())
    assert study.roles == ROLES
    assert study.grid.spacing_mm == pytest.approx((1, 1, 1))
    assert study.grid.axis_codes == "LPS"


def test_the_truth_opens_in_the_schema_of_its_sidecar_and_lies_on_the_study():
    study, truth = open_study(sample_case_folder()), open_segmentation(sample_truth_path())
    assert truth.grid.same_place(study.grid)
    assert truth.known_regions == ("WT", "TC", "ET")
    np.testing.assert_array_equal(truth.data, np.asarray(nib.load(sample_truth_path()).dataobj))


def test_the_volumes_of_the_sidecar_are_those_of_the_truth():
    truth = open_segmentation(sample_truth_path())
    made = json.loads(sample_truth_path().with_name("synthetic_glioma_seg.json").read_text(encoding="utf-8"))[
        "provenance"
    ]
    counted = {name: np.count_nonzero(truth.data == value) / 1000 for value, name in truth.class_names.items()}
    assert counted == pytest.approx(made["volumes_ml"], abs=1e-3)
    assert min(counted.values()) > 5


def test_the_tumour_lies_within_the_brain_and_enhances():
    study, truth = open_study(sample_case_folder()), open_segmentation(sample_truth_path())
    brain = study.sequences["T1"] > 0
    assert not (truth.data[~brain] > 0).any()
    healthy = np.median(study.sequences["T1c"][brain & (truth.data == 0)])
    assert np.median(study.sequences["T1c"][truth.data == 3]) > 1.4 * healthy


def test_the_sample_is_small_enough_to_ship():
    sizes = [file.stat().st_size for file in sample_case_folder().iterdir()]
    assert sum(sizes) < 6_000_000


def test_the_folder_holds_the_notice_of_the_template():
    notice = (sample_case_folder().parent / "README.md").read_text(encoding="utf-8")
    assert "Louis Collins, McConnell Brain Imaging Centre" in notice


@pytest.mark.slow
def test_the_generator_still_makes_the_sample():
    """Nearly: another processor may round another way, which a grey level then shows."""
    pytest.importorskip("nilearn", reason="nilearn, whose tissue maps the sample is made from, is not installed")
    from napari_brain_tumor_training.synthetic import SyntheticSpec, make_case

    made = json.loads(sample_truth_path().with_name("synthetic_glioma_seg.json").read_text(encoding="utf-8"))[
        "provenance"
    ]
    study, truth = make_case(made["seed"], spec=SyntheticSpec(grade=made["spec"]["grade"]))
    shipped, shipped_truth = open_study(sample_case_folder()), open_segmentation(sample_truth_path())
    assert study.grid.same_place(shipped.grid)
    assert np.mean(truth.data == shipped_truth.data) > 0.9999
    for role in ROLES:
        difference = np.abs(study.sequences[role].astype(int) - np.asarray(shipped.sequences[role]).astype(int))
        assert np.mean(difference <= 1) > 0.999
