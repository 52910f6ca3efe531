"""`refine`: what comes out, what is told of it, and whether it comes out again."""

import json

import nibabel as nib
import numpy as np
import pytest

import napari_brain_tumor
from models_for_tests import tiny_model
from napari_brain_tumor import (
    Refiner,
    open_segmentation,
    open_study,
    read_prompts,
    refine,
    refine_job,
    rerun,
    save_prompts,
    save_segmentation,
    segment,
    segment_with_probabilities,
)
from napari_brain_tumor.errors import PromptError, RecordError
from napari_brain_tumor.interactive import Interpolate, Point, PromptFile, Stroke
from napari_brain_tumor.labels import labels_sha256
from napari_brain_tumor.study import Segmentation
from phantoms import affine, ball, write_nifti

SHAPE = (28, 30, 12)
AXES = affine(spacing=(1, 1, 2))


@pytest.fixture
def study(tmp_path):
    """A head of noise with a brighter ball in it, in files."""
    random = np.random.default_rng(0)
    inside, lesion = ball(SHAPE, (14, 15, 6), 13), ball(SHAPE, (9, 12, 6), 4)
    for suffix in ("t1", "t1ce", "t2", "flair"):
        image = np.where(inside, random.normal(100, 20, SHAPE) + 80 * lesion, 0).astype(np.float32)
        write_nifti(tmp_path / "case" / f"case_{suffix}.nii.gz", image, AXES)
    return open_study(tmp_path / "case")


@pytest.fixture
def model(tmp_path, monkeypatch):
    monkeypatch.setenv("BRAIN_TUMOR_HOME", str(tmp_path / "home"))
    return tiny_model(tmp_path / "home" / "models" / "tiny")[0]


def stroke(study, *voxels, label="enhancing", radius=2.0):
    return Stroke(label=label, points=study.grid.world(voxels).tolist(), radius=radius)


def steps_of(study):
    return (
        stroke(study, (9, 12, 4)),
        stroke(study, (9, 12, 8), label="non-enhancing"),
        Interpolate(axis=2, slices=(4, 8)),
    )


def test_the_public_names_are_there():
    assert {"refine", "refine_job", "Refiner", "read_prompts", "save_prompts"} <= set(napari_brain_tumor.__all__)


def test_it_does_what_the_refiner_does_and_tells_how_far_it_is(study):
    made = Refiner(study)
    for step in steps_of(study):
        made.apply(step)
    job = refine_job(study, None, steps_of(study))
    messages = []
    while True:
        try:
            messages.append(next(job).message)
        except StopIteration as stopped:
            found = stopped.value
            break
    np.testing.assert_array_equal(found.data, made.labels)
    assert messages == ["stroke 1 of 3", "stroke 2 of 3", "interpolate 3 of 3"]
    told = found.provenance["refinement"]
    assert told["from_labels_sha256"] == labels_sha256(np.zeros(SHAPE, np.uint8))
    assert len(told["seconds"]) == len(told["voxels"]) == 3
    assert found.provenance["labels_sha256"] == labels_sha256(found.data)


def test_a_correction_from_nothing_comes_out_the_same_again(study, tmp_path):
    found = refine(study, None, steps_of(study))
    assert found.provenance["task"] == "refine"
    saved = save_segmentation(found, tmp_path / "out.nii.gz", schema="BraTS")
    again = rerun(saved)
    assert (again.verdict, again.agreement.differing, again.model) == ("identical", 0, "")
    document = json.loads((tmp_path / "out.json").read_text())
    document["provenance"]["refined"].pop()
    (tmp_path / "out.json").write_text(json.dumps(document))
    assert rerun(saved).verdict == "different"


@pytest.mark.parametrize("with_probabilities", [True, False])
def test_a_models_corrected_result_comes_out_the_same_again(study, model, tmp_path, with_probabilities):
    begun, maps = segment_with_probabilities(study, "tiny", "cpu", min_lesion_mm3=3)
    found = refine(study, begun, steps_of(study), probabilities=maps if with_probabilities else None)
    assert found.provenance["model"]["name"] == "tiny"
    assert found.provenance["refinement"]["probabilities"] is with_probabilities
    assert found.provenance["refinement"]["from_labels_sha256"] == labels_sha256(begun.data)
    saved = save_segmentation(found, tmp_path / "out.nii.gz")
    again = rerun(saved)
    assert (again.verdict, again.same_labels, again.model) == ("identical", True, "tiny")
    np.testing.assert_array_equal(again.segmentation.data, found.data)


def test_the_windows_record_without_details_comes_out_the_same_and_edits_by_hand_are_told(study, model, tmp_path):
    begun, maps = segment_with_probabilities(study, "tiny", "cpu", min_lesion_mm3=3)
    for probabilities in (maps, None):
        found = refine(study, begun, steps_of(study), probabilities=probabilities)
        plain = {key: value for key, value in found.provenance.items() if key != "refinement"}
        window = Segmentation(found.data, found.grid, "case", layout=found.layout, provenance=plain)
        saved = save_segmentation(window, tmp_path / "out.nii.gz")
        assert rerun(saved).verdict == "identical"
    edited = found.data.copy()
    edited[14, 15, 6] = (edited[14, 15, 6] + 1) % 4
    plain |= {"edited_by_hand": True, "labels_sha256": labels_sha256(edited)}
    save_segmentation(Segmentation(edited, found.grid, "case", layout=found.layout, provenance=plain), saved)
    again = rerun(saved)
    assert again.verdict == "different"
    assert any("edited by hand, which no record holds" in note for note in again.notes)


def test_a_correction_of_a_file_needs_that_file_as_it_was(study, tmp_path):
    save_segmentation(segment(study, "threshold", min_lesion_mm3=0), tmp_path / "first.nii.gz")
    begun = open_segmentation(tmp_path / "first.nii.gz")
    saved = save_segmentation(refine(study, begun, steps_of(study)), tmp_path / "out.nii.gz")
    assert rerun(saved).verdict == "identical"
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "first.nii.gz").rename(tmp_path / "elsewhere" / "first.nii.gz")
    with pytest.raises(RecordError, match=r"first\.nii\.gz is not there.*--data"):
        rerun(saved)
    assert rerun(saved, data=tmp_path).verdict == "identical"
    (tmp_path / "elsewhere" / "first.nii.gz").rename(tmp_path / "first.nii.gz")
    image = nib.load(tmp_path / "first.nii.gz")
    values = np.asarray(image.dataobj).copy()
    values[0, 0, 0] = 3
    nib.save(nib.Nifti1Image(values, image.affine, image.header), tmp_path / "first.nii.gz")
    with pytest.raises(RecordError, match="holds other labels than then"):
        rerun(saved)


def test_a_correction_that_goes_on_keeps_all_its_prompts(study, tmp_path):
    steps = steps_of(study)
    first = refine(study, None, steps[:1])
    second = refine(study, first, steps[1:])
    assert len(second.provenance["refined"]) == 3
    assert second.provenance["refinement"]["from_labels_sha256"] == labels_sha256(np.zeros(SHAPE, np.uint8))


def test_recorded_prompts_are_used_on_what_they_were_recorded_on(study, tmp_path):
    made = Refiner(study)
    for step in steps_of(study):
        made.apply(step)
    prompts = read_prompts(save_prompts(made.prompts, tmp_path / "p.json"))
    found = refine(study, None, prompts)
    np.testing.assert_array_equal(found.data, made.labels)
    assert found.provenance["refinement"]["notes"] == []
    other = Segmentation(np.ones(SHAPE, np.uint8), study.grid, "case")
    with pytest.raises(PromptError, match=r"recorded on other labels.*anyway=True"):
        refine(study, other, prompts)
    (told,) = refine(study, other, prompts, anyway=True).provenance["refinement"]["notes"]
    assert "recorded on other labels" in told


def test_another_case_and_edits_by_hand_are_told_and_another_unit_is_refused(study):
    prompts = PromptFile(case="b", edited_by_hand=2, steps=(stroke(study, (9, 12, 6)),))
    notes = refine(study, None, prompts).provenance["refinement"]["notes"]
    assert "on case b; this is case" in notes[0]
    assert "by hand 2 times" in notes[1]
    with pytest.raises(PromptError, match="given in voxels of unknown size, the study case in millimetres"):
        refine(study, None, PromptFile(unit="voxel", steps=prompts.steps))


def test_of_a_whole_tumour_mask_prompts_about_the_core_make_it_known(study, tmp_path):
    whole = Segmentation(
        ball(SHAPE, (9, 12, 6), 5).astype(np.uint8), study.grid, "case", {1: "whole tumour"}, known_regions=("WT",)
    )
    kept = refine(study, whole, [stroke(study, (18, 18, 6), label="whole tumour")])
    assert (kept.known_regions, kept.class_names) == (("WT",), {1: "whole tumour"})
    core = refine(study, whole, [stroke(study, (9, 12, 6), label="tumour core")])
    assert (core.known_regions, core.class_names) == (("WT", "TC"), {1: "edema", 2: "tumour core"})
    assert core.data.max() == 2
    full = refine(study, whole, [stroke(study, (9, 12, 6))])
    assert full.known_regions == ("WT", "TC", "ET")
    assert full.data.max() == 3


def test_no_prompts_leave_everything_as_it_was(study):
    begun = segment(study, "threshold", min_lesion_mm3=0)
    found = refine(study, begun)
    np.testing.assert_array_equal(found.data, begun.data)
    assert found.provenance["refined"] == []


def test_a_prompt_that_is_refused_names_its_place(study):
    with pytest.raises(PromptError, match="touches no voxel"):
        refine(study, None, [Point(label="edema", at=(999, 0, 0))])
