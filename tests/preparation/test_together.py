"""Sequences that were moved are told with the numbers, sequences that were not are not; nor are their contrasts."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

import phantoms
from napari_brain_tumor.geometry import Grid, resample
from napari_brain_tumor.io import open_study
from napari_brain_tumor.preflight import Scans, check_scans
from napari_brain_tumor.preflight.coverage import gaps_in
from napari_brain_tumor.preflight.scans import facts_of
from napari_brain_tumor.preparation.together import judge_together
from napari_brain_tumor.sample import sample_case_folder


@pytest.fixture(scope="module")
def sample():
    """The synthetic sample in voxels of 2 mm: four contrasts of one anatomy."""
    study = open_study(sample_case_folder())
    target = study.grid
    thin = Grid(tuple((n + 1) // 2 for n in target.shape), target.affine @ np.diag([2, 2, 2, 1]))
    return Scans(
        "sample",
        {role: np.ascontiguousarray(array[::2, ::2, ::2]) for role, array in study.sequences.items()},
        dict.fromkeys(study.roles, thin),
    )


def moved(found, role, degrees=0.0, shift=(0, 0, 0)):
    """One sequence turned about the middle of the scan and shifted, on the same grid."""
    grid = found.grids[role]
    centre = grid.world((np.asarray(grid.shape) - 1) / 2)
    motion = np.eye(4)
    motion[:3, :3] = Rotation.from_rotvec(np.deg2rad(degrees) * np.array([0.6, 0.48, 0.64])).as_matrix()
    motion[:3, 3] = centre - motion[:3, :3] @ centre + shift
    there = resample(found.sequences[role], Grid(grid.shape, motion @ grid.affine), grid)
    return replace(found, sequences={**found.sequences, role: there})


@pytest.fixture(scope="module")
def three(sample):
    """Without T1c: who is wrong is settled by three, sooner."""
    return replace(sample, sequences={role: sample.sequences[role] for role in ("T1", "T2", "FLAIR")})


def fits(found):
    return judge_together(found.sequences, found.grids)


def row(found, question):
    return next(row for row in check_scans(found, "unet", "cpu", devices=()) if row.question == question)


@pytest.mark.slow
def test_sequences_that_lie_on_one_another_pass(sample):
    found = fits(sample)
    assert (found.misfits, found.unjudged) == ((), "")
    verdicts = {row.question: row.verdict for row in check_scans(sample, "unet", "cpu", devices=())}
    assert verdicts["Fit"] == verdicts["Coverage"] == "pass"


@pytest.mark.parametrize("role", ["T1", "T1c", "T2", "FLAIR"])
def test_a_sequence_that_was_turned_is_the_one_that_is_told(sample, role):
    (found,) = fits(moved(sample, role, degrees=5)).misfits
    assert found.role == role
    assert found.degrees == pytest.approx(5, abs=1.2)
    assert found.shift_mm < 2


@pytest.mark.parametrize("shift", [(6, 0, 0), (0, -4, 4.5)])
def test_a_sequence_that_was_shifted_is_told_in_millimetres(three, shift):
    (found,) = fits(moved(three, "T2", shift=shift)).misfits
    assert found.role == "T2"
    assert found.shift_mm == pytest.approx(np.linalg.norm(shift), abs=1.2)
    assert found.degrees < 2


def test_a_small_misfit_is_no_warning(three):
    assert fits(moved(three, "T2", degrees=1, shift=(1, 0, 0))).misfits == ()


@pytest.mark.parametrize(
    ("role", "axes", "sides"), [("FLAIR", 2, "head and feet"), ("T1", 1, "front and back"), ("T2", 0, "left and right")]
)
def test_a_sequence_whose_sides_are_exchanged_is_told_with_which(three, role, axes, sides):
    flipped = np.flip(three.sequences[role], axes)
    (mirrored,) = fits(replace(three, sequences={**three.sequences, role: flipped})).mirrored
    assert (mirrored.role, mirrored.sides) == (role, (sides,))


def test_the_row_says_which_sides_are_exchanged(three):
    upside_down = {**three.sequences, "FLAIR": three.sequences["FLAIR"][:, :, ::-1]}
    told = row(replace(three, sequences=upside_down), "Fit")
    assert told.verdict == "warn"
    assert told.words.startswith("FLAIR is not aligned with T1, but would be with head and feet exchanged")


def test_the_row_says_by_how_much_and_what_to_do(three):
    told = row(moved(three, "FLAIR", degrees=5, shift=(0, 6, 0)), "Fit")
    assert told.verdict == "warn"
    assert told.words.startswith("FLAIR is not aligned with T1: it is rotated by ")
    assert "degrees and shifted by" in told.words
    assert told.words.endswith("Register it rigidly to T1 first, or leave it out.")
    assert told.fix is not None
    assert told.fix.kind == "roles"


def test_what_cannot_be_judged_is_not_warned_of(sample):
    alone = replace(sample, sequences={"T1": sample.sequences["T1"]}, grids={"T1": sample.grids["T1"]})
    assert "only one sequence" in row(alone, "Fit").words
    slab = Grid((*sample.grids["T1"].shape[:2], 6), sample.grids["T1"].affine)
    thin = {role: array[:, :, 30:36] for role, array in sample.sequences.items()}
    assert "too few slices" in judge_together(thin, dict.fromkeys(thin, slab)).unjudged
    unknown = replace(sample.grids["T1"], unit="voxel")
    assert "voxel size" in judge_together(sample.sequences, dict.fromkeys(sample.grids, unknown)).unjudged


def test_noise_in_place_of_anatomy_is_no_misfit():
    grid = Grid((40, 48, 36), phantoms.affine(spacing=(4, 4, 4)))
    images = {role: phantoms.brain(grid.shape, seed) for seed, role in enumerate(("T1", "T2", "FLAIR"))}
    assert judge_together(images, dict.fromkeys(images, grid)).misfits == ()


# Coverage -----------------------------------------------------------------------------------------------------------


def cut(found, role, where):
    array = found.sequences[role].copy()
    array[where] = 0
    return replace(found, sequences={**found.sequences, role: array})


@pytest.fixture(scope="module", params=[False, True], ids=["stripped", "with skull"])
def whole_heads(request):
    """Three scans that show the whole brain, without and with its skull."""
    grid = Grid((60, 60, 40), phantoms.affine(spacing=(3.2, 3.2, 4)))
    roles = ("T1", "T2", "FLAIR")
    images = {role: phantoms.brain(grid.shape, seed, skull=request.param) for seed, role in enumerate(roles)}
    return Scans("case", images, dict.fromkeys(images, grid))


def test_scans_that_show_the_whole_brain_have_no_gap(whole_heads):
    assert facts_of(whole_heads).gaps == {}


@pytest.mark.parametrize(
    ("where", "place"),
    [
        (np.s_[:, :, :13], "lowest"),
        (np.s_[:, :, 27:], "uppermost"),
        (np.s_[:22], "left"),
        (np.s_[:, 40:], "front"),
    ],
)
def test_a_field_of_view_that_ends_within_the_brain_is_told_with_its_share(where, place, whole_heads):
    facts = facts_of(cut(whole_heads, "T1", where))
    assert list(facts.gaps) == ["T1"]
    assert facts.gaps["T1"].place == place
    shape = whole_heads.grids["T1"].shape
    brain = phantoms.brain(shape) > 0
    lost = np.zeros(shape, bool)
    lost[where] = True
    assert facts.gaps["T1"].share == pytest.approx((brain & lost).sum() / brain.sum(), abs=0.03)


def test_the_row_says_how_much_of_the_brain_a_sequence_shows(three):
    told = row(cut(three, "T1", np.s_[:, :, :35]), "Coverage")
    assert told.verdict == "warn"
    assert told.words.startswith("T1 shows only ")
    assert "its lowest part was not scanned" in told.words


def test_masks_that_differ_at_the_rim_and_dark_ventricles_are_no_gap():
    brain = phantoms.brain((80, 96, 72), 0)
    smaller = np.where(phantoms.ball((80, 96, 72), (40, 48, 36), 34), brain, brain)
    inside = brain > 0
    rim = inside & ~(np.roll(inside, 1, 0) & np.roll(inside, -1, 0) & np.roll(inside, 1, 1) & np.roll(inside, -1, 1))
    smaller = np.where(rim, 0, smaller)
    ventricles = np.where(phantoms.ball((80, 96, 72), (40, 48, 36), 14), 0, phantoms.brain((80, 96, 72), 2))
    samples = {"T1": smaller, "FLAIR": ventricles, "T2": phantoms.brain((80, 96, 72), 3)}
    assert gaps_in(samples, inside, (2.0, 2.0, 2.0)) == {}
