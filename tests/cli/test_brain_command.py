"""`brain-tumor brain`, and what `segment` and `check` are told of it."""

import json

import nibabel as nib
import numpy as np
import pytest

from models_for_tests import tiny_model
from napari_brain_tumor.brain import network
from napari_brain_tumor.progress import Progress
from napari_brain_tumor.requests.actions import segment_lines
from napari_brain_tumor.requests.opening import OpenRequest
from napari_brain_tumor.requests.segment import SegmentRequest
from phantoms import affine, ball, write_nifti

SHAPE = (48, 50, 12)
AXES = affine(spacing=(4, 4, 10))
BRAIN = ball(SHAPE, (24, 25, 6), 16)


@pytest.fixture
def case(tmp_path, monkeypatch):
    """A head on disk, a tiny network, and another one that finds its brain."""
    monkeypatch.setenv("BRAIN_TUMOR_HOME", str(tmp_path / "home"))
    tiny_model(tmp_path / "home" / "models" / "tiny")
    random = np.random.default_rng(0)
    skull, scalp = (ball(SHAPE, (24, 25, 6), radius) for radius in (18, 20))
    image = np.abs(random.normal(0, 3, SHAPE)) + 150 * scalp - 140 * skull + 90 * BRAIN + 5 * random.random(SHAPE)
    write_nifti(tmp_path / "case" / "case_flair.nii.gz", image.astype(np.float32), AXES)

    def probabilities(study, small, device="auto"):
        yield Progress(0.5, 1)
        return small.averaged(BRAIN)

    monkeypatch.setattr(network, "brain_probabilities", probabilities)
    model = tiny_model(tmp_path / "network", target="brain")[0]
    monkeypatch.setattr(network, "brain_model", lambda: model)
    return tmp_path / "case"


def test_the_mask_is_written_on_the_scans_grid_and_its_volume_told(run, case, tmp_path):
    code, out, err = run("brain", case, "-o", "mask.nii.gz")
    assert code == 0, err
    image = nib.load(tmp_path / "mask.nii.gz")
    mask = np.asarray(image.dataobj)
    assert set(np.unique(mask)) == {0, 1}
    np.testing.assert_allclose(image.affine, AXES)
    assert 2 * (mask.astype(bool) & BRAIN).sum() / (mask.sum() + BRAIN.sum()) > 0.93
    assert f"{mask.sum() * 0.16:.0f} mL" in out
    assert run("brain", case, "-o", "mask.nii.gz")[0] == 1
    assert run("brain", case, "-o", "mask.nii.gz", "--overwrite")[0] == 0
    assert run("brain", case, "-o", "mask.tif")[0] == 1


@pytest.mark.parametrize("brain", ["auto", "keep", "mask.nii.gz"])
def test_segment_does_what_it_is_told_with_a_head(run, case, tmp_path, brain):
    own = BRAIN & (np.arange(48)[:, None, None] < 24)
    write_nifti(tmp_path / "mask.nii.gz", own.astype(np.uint8), AXES)
    arguments = ("--model", "tiny", "--device", "cpu", "--min-lesion-mm3", 0, "--threshold", "WT=0.01")
    code, out, err = run("segment", case, "-o", "found.nii.gz", "--brain", brain, *arguments)
    assert code == 0, err
    labels = np.asarray(nib.load(tmp_path / "found.nii.gz").dataobj) > 0
    made = json.loads((tmp_path / "found.json").read_text())["provenance"]
    assert made["settings"]["brain"] == ("mask" if brain.endswith(".gz") else brain)
    allowed = {"auto": ball(SHAPE, (24, 25, 6), 18), "keep": np.ones(SHAPE, bool), "mask.nii.gz": own}[brain]
    assert labels.any()
    assert not labels[~allowed].any()
    assert labels[~BRAIN].any() == (brain == "keep")
    assert ("The brain was extracted" in " ".join((out + err).split())) == (brain != "keep")


def test_a_mask_that_is_not_there_stops_the_run(run, case):
    code, _, err = run("segment", case, "--model", "tiny", "--brain", "nothing.nii.gz")
    assert code == 1
    assert "nothing.nii.gz does not exist" in " ".join(err.split())


def test_check_tells_how_large_the_brain_is(run, case):
    _, out, _ = run("check", case, "--model", "tiny", "--device", "cpu", "--json")
    (row,) = (row for row in json.loads(out) if row["question"] == "Brain or head")
    assert "the brain is extracted before it is segmented" in row["words"]
    assert "mL" in row["words"]


@pytest.mark.parametrize("brain", ["keep", "masks/own mask.nii.gz"])
def test_lines_say_what_becomes_of_a_head_where_it_is_not_the_usual(case, brain):
    opening = OpenRequest(path=case)
    lines = segment_lines(opening, SegmentRequest(model="tiny", brain=brain), "found.nii.gz")
    assert f"brain={brain!r}" in lines.python
    assert lines.arguments[lines.arguments.index("--brain") + 1] == brain
    usual = segment_lines(opening, SegmentRequest(model="tiny", brain="auto"), "found.nii.gz")
    assert "brain=" not in usual.python
    assert "--brain" not in usual.arguments
