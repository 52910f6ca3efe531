"""`brain-tumor segment` with thresholds, a box, probabilities and uncertainty, by a tiny network."""

import json

import nibabel as nib
import numpy as np
import pytest
import typer

from models_for_tests import tiny_model
from napari_brain_tumor import open_study, segment_with_probabilities
from napari_brain_tumor.preprocessing.world_box import check_box, inside_box
from napari_brain_tumor.requests.actions import segment_lines
from napari_brain_tumor.requests.opening import OpenRequest
from napari_brain_tumor.requests.segment import SegmentRequest
from napari_brain_tumor.requests.shell import request_from
from phantoms import BRATS_ROLES, affine, ball, write_nifti

SHAPE = (24, 26, 10)


@pytest.fixture
def case(tmp_path):
    inside = ball(SHAPE, (12, 13, 5), 11)
    for seed, suffix in enumerate(BRATS_ROLES.values()):
        image = np.where(inside, np.random.default_rng(seed).normal(100, 20, SHAPE), 0).astype(np.float32)
        write_nifti(tmp_path / "case" / f"case_{suffix}.nii.gz", image, affine(np.diag([-1.0, -1.0, 1.0])))
    return tmp_path / "case"


@pytest.fixture
def tiny(tmp_path):
    return tiny_model(tmp_path / "tiny")[0].folder


def box_of(study):
    return tuple(study.grid.world([(6, 8, 3), (17, 18, 7)]).T.ravel().tolist())


def test_maps_are_written_beside_the_labels_and_are_those_of_python(case, tiny, run, tmp_path):
    study = open_study(case)
    box = box_of(study)
    text = ",".join(map(str, box))
    options = ("--threshold", "WT=0.45", f"--box={text}", "--probabilities", "--uncertainty", "--min-lesion-mm3", 0)
    code, out, err = run("segment", case, "--model", tiny, "--device", "cpu", "-o", "seg.nii.gz", *options)
    assert code == 0, err
    labels, found = segment_with_probabilities(study, tiny, "cpu", thresholds={"WT": 0.45}, box=box, min_lesion_mm3=0)
    np.testing.assert_array_equal(np.asarray(nib.load("seg.nii.gz").dataobj), labels.data)
    assert labels.data.any()
    assert not labels.data[~inside_box(study.grid, check_box(box, study.grid))].any()
    expected = {f"probability_{region}": found[region] for region in found.regions}
    expected["uncertainty"] = found.uncertainty()
    for name, values in expected.items():
        image = nib.load(f"seg_{name}.nii.gz")
        assert (image.get_data_dtype(), image.shape) == (np.float32, SHAPE)
        np.testing.assert_allclose(image.affine, study.grid.affine)
        np.testing.assert_array_equal(np.asarray(image.dataobj), values.astype(np.float32))
        assert f"Wrote seg_{name}.nii.gz" in out
    settings = json.loads((tmp_path / "seg.json").read_text())["provenance"]["settings"]
    assert settings["thresholds"] == {"WT": 0.45, "TC": 0.5, "ET": 0.5}
    assert tuple(settings["box"]) == pytest.approx(tuple(np.sort(np.reshape(box, (3, 2))).ravel()))


def test_an_earlier_map_is_kept_and_nothing_is_computed(case, tiny, run, tmp_path):
    (tmp_path / "seg_uncertainty.nii.gz").write_bytes(b"mine")
    code, _, err = run("segment", case, "--model", tiny, "-o", "seg.nii.gz", "--uncertainty")
    assert code == 1
    assert "seg_uncertainty.nii.gz already exists" in err
    assert (tmp_path / "seg_uncertainty.nii.gz").read_bytes() == b"mine"
    assert not (tmp_path / "seg.nii.gz").exists()


@pytest.mark.parametrize("option", ["--probabilities", "--uncertainty", "--threshold=WT=0.4"])
def test_methods_without_weights_refuse_probabilities_and_thresholds(case, run, tmp_path, option):
    code, _, err = run("segment", case, "--model", "threshold", option)
    assert code == 2
    assert "threshold is a method without weights" in " ".join(err.replace("│", " ").split())
    assert not (tmp_path / "case_segmentation.nii.gz").exists()


@pytest.mark.parametrize("texts", [["WT"], ["WT=1"], ["WT=0"], ["XX=0.5"], ["WT=0.5", "wt=0.6"], ["WT=a"]])
def test_thresholds_that_are_none_are_wrong_usage(texts):
    with pytest.raises(typer.BadParameter, match="each region once"):
        request_from(SegmentRequest, {"thresholds": texts})


@pytest.mark.parametrize("text", ["", "1,2,3", "1,2,3,4,5,x", "1,2,3,4,5,nan"])
def test_boxes_that_are_none_are_wrong_usage(text):
    with pytest.raises(typer.BadParameter, match="six world coordinates"):
        request_from(SegmentRequest, {"box": text})


def test_lines_to_copy_hold_thresholds_and_box(tmp_path):
    box = (-20.0, 30.5, -10.0, 40.0, 0.0, 50.0)
    opening = OpenRequest(path=tmp_path / "case")
    lines = segment_lines(
        opening, SegmentRequest(model="unet", thresholds={"ET": 0.35, "WT": 0.4}, box=box), "x.nii.gz"
    )
    assert "thresholds={'ET': 0.35, 'WT': 0.4}" in lines.python
    assert f"box={box}" in lines.python
    assert {"--threshold=ET=0.35", "--threshold=WT=0.4", "--box=-20.0,30.5,-10.0,40.0,0.0,50.0"} <= set(lines.arguments)
    plain = segment_lines(opening, SegmentRequest(model="unet"), "x.nii.gz")
    assert "thresholds" not in plain.python
    assert not [word for word in plain.arguments if word.startswith(("--threshold", "--box"))]
