"""What becomes of a head, whatever finds its brain."""

import numpy as np
import pytest
from brains_for_tests import head

from models_for_tests import tiny_model
from napari_brain_tumor import brain_mask, extract_brain, open_study, rerun, save_segmentation, segment
from napari_brain_tumor import segment_with_probabilities as with_probabilities
from napari_brain_tumor.brain.extraction import brain_note, brain_volume_ml, volume_doubt
from napari_brain_tumor.brain.mask_file import check_mask_target, open_mask, save_mask
from napari_brain_tumor.errors import BrainMaskError, GridMismatchError, RecordError, SaveError
from napari_brain_tumor.geometry import Grid
from napari_brain_tumor.preprocessing.intensity import is_skull_stripped
from napari_brain_tumor.preprocessing.pipeline import PreprocessingSpec, prepare
from napari_brain_tumor.preprocessing.traits import traits_of
from napari_brain_tumor.study import ROLES, Study
from phantoms import affine, tilt, write_nifti

AXES = {"as RAS": np.eye(3), "LPS": np.diag([-1.0, -1.0, 1.0]), "tilted": tilt(12)}


@pytest.fixture
def tiny(tmp_path, monkeypatch):
    monkeypatch.setenv("BRAIN_TUMOR_HOME", str(tmp_path / "home"))
    return tiny_model(tmp_path / "home" / "models" / "tiny")[0].folder


def dice(one, other):
    return 2 * (one & other).sum() / (one.sum() + other.sum())


# The mask -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("directions", AXES.values(), ids=AXES)
def test_the_mask_lies_on_the_scans_own_grid(given_brain, directions):
    study, brain = head(directions=directions)
    given_brain(brain)
    mask = brain_mask(study)
    assert mask.shape == study.grid.shape
    assert mask.dtype == bool
    assert dice(mask, brain) > 0.93


def test_islands_are_left_out_and_holes_are_filled(given_brain):
    study, brain = head()
    ruined = brain.copy()
    ruined[22:26, 23:27, 4:8] = False
    ruined[2:5, 2:5, 2] = True
    given_brain(ruined)
    mask = brain_mask(study)
    assert mask[22:26, 23:27, 4:8].all()
    assert not mask[:6, :6].any()


def test_where_nothing_is_found_it_says_so(given_brain):
    study, brain = head()
    given_brain(np.zeros_like(brain))
    with pytest.raises(BrainMaskError, match="No brain was found in head"):
        brain_mask(study)


def test_a_field_too_small_for_a_head_is_not_looked_at():
    noise = np.random.default_rng(0).normal(100, 20, (20, 20, 8)).astype(np.float32)
    for unit in ("mm", "voxel"):
        with pytest.raises(BrainMaskError, match="No brain"):
            brain_mask(Study({"T1": noise}, Grid(noise.shape, np.eye(4), unit)))


# The study ----------------------------------------------------------------------------------------------------------


def test_an_extracted_study_is_as_skull_stripped_ones_come(given_brain):
    study, brain = head()
    given_brain(brain)
    before = {role: volume.copy() for role, volume in study.sequences.items()}
    extracted = extract_brain(study)
    assert traits_of(study).whole_head
    assert not traits_of(extracted).whole_head
    assert study.brain is None
    for role, volume in extracted.sequences.items():
        assert is_skull_stripped(volume)
        assert volume.dtype == before[role].dtype
        np.testing.assert_array_equal(volume[extracted.brain], before[role][extracted.brain])
        assert (volume[~extracted.brain] == before[role].min()).all()
        np.testing.assert_array_equal(study.sequences[role], before[role])
    assert extracted.notes[-1].startswith("The brain was extracted from the whole head: ")
    assert extracted.only(("T1",)).brain is extracted.brain


def test_every_network_sees_the_brain_alone(given_brain):
    study, brain = head(spacing=(2.0, 2.0, 5.0), shape=(90, 96, 10))
    given_brain(brain)
    prepared = prepare(extract_brain(study), ROLES, PreprocessingSpec(plane_spacing_mm=2.0))
    whole = prepare(study, ROLES, PreprocessingSpec(plane_spacing_mm=2.0))
    assert prepared.mask.sum() < 0.9 * whole.mask.sum()
    assert not prepared.channels[:, ~prepared.mask].any()
    assert dice(prepared.work.labels_to_source(prepared.mask.astype(np.uint8), prepared.box) > 0, brain) > 0.95


def test_a_mask_on_another_grid_does_not_belong_to_a_study():
    study, brain = head()
    with pytest.raises(GridMismatchError, match="brain mask"):
        Study(study.sequences, study.grid, brain=brain[1:])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda brain: brain[:-1], "shape"),
        (np.zeros_like, "is empty"),
        (np.ones_like, "covers every voxel"),
    ],
)
def test_a_mask_that_cannot_be_one_is_refused(change, words, tiny):
    study, brain = head()
    with pytest.raises(BrainMaskError, match=words):
        extract_brain(study, mask=change(brain))
    with pytest.raises(BrainMaskError, match=words):
        segment(study, tiny, "cpu", brain=change(brain))


def test_volumes_are_told_in_millilitres_and_doubted_where_no_brain_is_so_large():
    grid = Grid((20, 20, 20), affine(spacing=(10, 10, 10)))
    mask = np.zeros(grid.shape, bool)
    mask[:10, :10, :14] = True
    assert brain_volume_ml(grid, mask) == pytest.approx(1400)
    assert volume_doubt(1400) == volume_doubt(None) == ""
    assert "700 to 2200 mL" in volume_doubt(300)
    assert brain_note(grid, mask) == "The brain was extracted from the whole head: 1400 mL."
    unknown = Grid(grid.shape, np.eye(4), "voxel")
    assert brain_volume_ml(unknown, mask) is None
    assert brain_note(unknown, mask, own=True) == "The brain was extracted by the given mask."


# Segmentation -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("directions", AXES.values(), ids=AXES)
def test_there_are_no_labels_outside_the_brain(given_brain, tiny, directions):
    study, brain = head(directions=directions)
    given_brain(brain)
    mask = brain_mask(study)
    found, maps = with_probabilities(study, tiny, "cpu", min_lesion_mm3=0, thresholds={"WT": 0.01})
    assert found.data.any()
    assert not found.data[~mask].any()
    assert not maps["WT"][~mask].any()
    assert not maps.uncertainty()[~mask].any()
    assert not maps.with_thresholds({"WT": 0.02}).labels()[~mask].any()
    kept = segment(study, tiny, "cpu", min_lesion_mm3=0, thresholds={"WT": 0.01}, brain="keep")
    assert kept.data[~mask].any()
    method = segment(study, "asymmetry", brain="auto")
    assert not method.data[~mask].any()


def test_the_record_tells_of_the_brain(given_brain, tiny):
    study, brain = head()
    given_brain(brain)
    made = segment(study, tiny, "cpu").provenance
    assert made["settings"]["brain"] == "auto"
    assert made["brain"]["source"] == "network"
    assert made["brain"]["volume_ml"] == pytest.approx(brain_volume_ml(study.grid, brain), rel=0.1)
    assert any(note.startswith("The brain was extracted") for note in made["notes"])
    assert "brain" in made["seconds"]
    kept = segment(study, tiny, "cpu", brain="keep").provenance
    assert kept["settings"]["brain"] == "keep"
    assert "brain" not in kept


def test_scans_without_a_skull_stay_as_they_are(given_brain, tiny):
    study, brain = head()
    given_brain(np.zeros_like(brain))
    bare = Study({role: np.where(brain, v, 0) for role, v in study.sequences.items()}, study.grid)
    automatic, kept = (segment(bare, tiny, "cpu", brain=choice) for choice in ("auto", "keep"))
    np.testing.assert_array_equal(automatic.data, kept.data)
    assert automatic.provenance["settings"] == kept.provenance["settings"]
    assert "brain" not in automatic.provenance


def test_a_head_without_a_brain_is_kept_and_a_note_says_so(given_brain, tiny):
    study, brain = head()
    given_brain(np.zeros_like(brain))
    found = segment(study, tiny, "cpu", min_lesion_mm3=0)
    np.testing.assert_array_equal(found.data, segment(study, tiny, "cpu", min_lesion_mm3=0, brain="keep").data)
    assert any(note.startswith("No brain was found in the head") for note in found.provenance["notes"])


# Masks of the user's own --------------------------------------------------------------------------------------------


@pytest.fixture
def case(tmp_path):
    study, brain = head()
    for role, volume in study.sequences.items():
        write_nifti(tmp_path / "case" / f"case_{role.lower()}.nii.gz", volume, study.grid.affine)
    return open_study(tmp_path / "case"), brain


def test_a_mask_in_a_file_is_taken_instead(case, tiny, tmp_path):
    study, brain = case
    own = brain & (np.arange(brain.shape[0])[:, None, None] < 24)
    path = tmp_path / "own.nii.gz"
    save_mask(own, study, path)
    np.testing.assert_array_equal(open_mask(path, study), own)
    found = segment(study, tiny, "cpu", min_lesion_mm3=0, brain=path)
    assert found.data.any()
    assert not found.data[~own].any()
    np.testing.assert_array_equal(found.data, segment(study, tiny, "cpu", min_lesion_mm3=0, brain=own).data)
    assert found.provenance["settings"]["brain"] == "mask"
    assert found.provenance["brain"]["path"] == str(path)
    assert any(note.startswith("The brain was extracted by the given mask") for note in found.provenance["notes"])


def test_a_mask_file_on_another_grid_is_refused(case, tmp_path):
    study, brain = case
    path = write_nifti(tmp_path / "elsewhere.nii.gz", brain.astype(np.uint8), affine(spacing=(1, 1, 1)))
    with pytest.raises(BrainMaskError, match=r"elsewhere\.nii\.gz lies on"):
        segment(study, brain=path)


def test_masks_are_written_where_they_may_be(case, tmp_path):
    study, brain = case
    with pytest.raises(SaveError, match=r"\.nii"):
        check_mask_target(tmp_path / "mask.nrrd", overwrite=True)
    scan = next(iter(study.sources.values())).path
    with pytest.raises(SaveError, match="already exists"):
        check_mask_target(scan, overwrite=False)
    with pytest.raises(SaveError, match="one of the scans"):
        save_mask(brain, study, scan)


# Replay -------------------------------------------------------------------------------------------------------------


def test_a_result_within_an_extracted_brain_is_computed_again(case, tiny, tmp_path, given_brain):
    study, brain = case
    given_brain(brain)
    path = save_segmentation(segment(study, tiny, "cpu", min_lesion_mm3=0), tmp_path / "result.nii.gz")
    again = rerun(path)
    assert again.same_labels
    assert not any("brain" in note for note in again.notes)
    given_brain(brain & (np.arange(brain.shape[0])[:, None, None] < 24))
    changed = rerun(path)
    assert changed.same_labels is False
    assert any(note.startswith("The brain is not exactly") for note in changed.notes)


def test_a_result_within_an_own_mask_needs_that_mask(case, tiny, tmp_path):
    study, brain = case
    own = tmp_path / "own.nii.gz"
    save_mask(brain, study, own)
    path = save_segmentation(segment(study, tiny, "cpu", min_lesion_mm3=0, brain=own), tmp_path / "result.nii.gz")
    assert rerun(path).same_labels
    save_mask(brain & (np.arange(brain.shape[0])[:, None, None] < 24), study, own)
    with pytest.raises(RecordError, match="The brain mask was changed"):
        rerun(path)
    own.unlink()
    with pytest.raises(RecordError, match="The brain mask is missing"):
        rerun(path)


def test_a_mask_that_was_in_memory_alone_cannot_be_taken_again(case, tiny, tmp_path):
    study, brain = case
    path = save_segmentation(segment(study, tiny, "cpu", brain=brain), tmp_path / "result.nii.gz")
    with pytest.raises(RecordError, match="only in memory"):
        rerun(path)


def test_a_record_from_before_brain_extraction_gives_what_it_gave(case, tiny, tmp_path, given_brain):
    study, brain = case
    given_brain(brain)
    kept = segment(study, tiny, "cpu", min_lesion_mm3=0, brain="keep")
    kept.provenance["settings"].pop("brain")
    assert rerun(save_segmentation(kept, tmp_path / "old.nii.gz")).same_labels
