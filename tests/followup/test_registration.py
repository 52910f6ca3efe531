"""Registration finds a known motion again, says when it fails, and carries arrays without moving the world."""

import numpy as np
import pytest
from visit_phantoms import motion, moved_study

from napari_brain_tumor import open_study
from napari_brain_tumor.errors import RegistrationError, RoleError, SpacingUnknownError
from napari_brain_tumor.followup.registration import Registration, checkerboard, no_motion, register
from napari_brain_tumor.followup.rigid import RigidTransform, resample_moved
from napari_brain_tumor.followup.scan_agreement import Agreement
from napari_brain_tumor.geometry import Grid
from napari_brain_tumor.io import open_segmentation
from napari_brain_tumor.sample import sample_case_folder, sample_truth_path
from napari_brain_tumor.study import Study
from phantoms import affine, ball, tilt


@pytest.fixture(scope="module")
def sample() -> Study:
    """The sample in voxels of 2 mm: registering takes a second, and must find as much."""
    whole = open_study(sample_case_folder()).only(("T1", "FLAIR"))
    return Study({role: array[::2, ::2, ::2] for role, array in whole.sequences.items()}, every_second(whole.grid))


def every_second(grid: Grid) -> Grid:
    return Grid(tuple((n + 1) // 2 for n in grid.shape), grid.affine @ np.diag([2, 2, 2, 1]))


def errors_of(found: RigidTransform, truth: np.ndarray, study: Study) -> tuple[float, float]:
    """Degrees, and the largest error in mm of the scan's corners."""
    rest = RigidTransform(np.linalg.inv(truth) @ found.matrix)
    corners = study.grid.world(np.array(np.meshgrid(*[(0, n - 1) for n in study.grid.shape])).reshape(3, -1).T)
    return rest.angle_degrees, float(np.linalg.norm(rest.apply(corners) - corners, axis=1).max())


def oblique_grid() -> Grid:
    """Tilted by 20 degrees, in slices of 3 mm, around the sample's head."""
    shape, place = (150, 160, 60), affine(tilt(20), (1.2, 1.2, 3.0), (0, 0, 0))
    place[:3, 3] = (4, -14, 2) - place[:3, :3] @ ((np.array(shape) - 1) / 2)
    return Grid(shape, place)


@pytest.mark.parametrize(
    ("truth", "grid"),
    [
        (motion(18, (0, 1, 1), (20, -12, 10)), None),
        pytest.param(motion(9, (3, -1, 1), (-6, 4, 2)), oblique_grid(), marks=pytest.mark.slow),
    ],
    ids=["large", "on an oblique grid of thick slices"],
)
def test_a_known_motion_is_found_within_half_a_millimetre_and_half_a_degree(sample, truth, grid) -> None:
    found = register(moved_study(sample, truth, grid), sample)
    degrees, millimetres = errors_of(found.transform, truth, sample)
    assert degrees < 0.5
    assert millimetres < 0.5
    assert found.trusted
    assert found.after.mutual_information > found.before.mutual_information + 0.3
    assert found.moving_role == found.fixed_role == "T1"


@pytest.mark.slow
def test_two_sequences_of_different_contrast_find_one_another(sample) -> None:
    truth = motion(7, (1, 1, 0), (5, 6, -4))
    found = register(moved_study(sample, truth).only(("FLAIR",)), sample.only(("T1",)))
    degrees, millimetres = errors_of(found.transform, truth, sample)
    assert (found.moving_role, found.fixed_role) == ("FLAIR", "T1")
    assert degrees < 0.5
    assert millimetres < 1.0
    assert found.trusted


@pytest.mark.slow
def test_the_same_scans_and_seed_give_the_same_motion(sample) -> None:
    coarse = Study({"T1": sample.sequences["T1"][::2, ::2, ::2]}, every_second(sample.grid))
    moving = moved_study(coarse, motion(4, (0, 0, 1), (3, 0, 0)))
    first, second = register(moving, coarse, seed=5), register(moving, coarse, seed=5)
    assert np.allclose(first.transform.matrix, second.transform.matrix, atol=1e-5)


@pytest.mark.slow
def test_another_anatomy_is_said_to_have_failed(sample) -> None:
    upside_down = Study({"T1": sample.sequences["T1"][:, :, ::-1].copy()}, sample.grid, name="other")
    found = register(upside_down, sample)
    assert not found.trusted
    assert "two patients" in found.problems[0]


def test_scans_that_do_not_overlap_as_they_lie_are_said_to() -> None:
    def half(shift: float) -> Study:
        array = np.random.default_rng(3).random((30, 30, 30), np.float32) + 1
        return Study({"T1": array}, Grid((30, 30, 30), affine(spacing=(4, 4, 4), origin=(shift, 0, 0))))

    there = no_motion(half(500), half(0))
    assert there.after.overlap == 0
    assert "overlap by 0%" in there.problems[0]


def test_voxels_of_unknown_size_are_refused(sample) -> None:
    unknown = Study(sample.sequences, Grid(sample.grid.shape, sample.grid.affine, "voxel"))
    with pytest.raises(SpacingUnknownError, match="spacing_mm"):
        register(unknown, sample)


def test_a_sequence_that_one_lacks_is_refused(sample) -> None:
    with pytest.raises(RoleError, match="T2 was to be registered"):
        register(sample, sample, role="T2")


def test_inverse_takes_points_back() -> None:
    transform = RigidTransform(motion(33, (1, 2, 3), (10, 20, 30)))
    points = np.random.default_rng(0).normal(0, 50, (5, 3))
    assert np.allclose(transform.inverse.apply(transform.apply(points)), points)
    assert transform.angle_degrees == pytest.approx(33)


def test_a_matrix_that_stretches_is_refused() -> None:
    with pytest.raises(RegistrationError, match="proper rotation"):
        RigidTransform(np.diag([1.1, 1, 1, 1]))


def test_a_point_is_found_where_the_motion_puts_it_on_oblique_and_flipped_grids() -> None:
    truth = RigidTransform(motion(25, (1, -1, 2), (12, -7, 9)))
    source = Grid((40, 44, 36), affine(tilt(25), (1.5, 1.0, 2.0), (-20, -30, -25)))
    target = Grid((60, 60, 60), affine(-np.eye(3)[[1, 0, 2]], (1.0, 1.0, 1.0), (35, 30, 30)))
    labels = np.zeros(source.shape, np.uint8)
    labels[ball(source.shape, (20, 22, 18), 6)] = 3
    moved = resample_moved(labels == 3, source, target, truth) > 0.5
    centre = target.world(np.argwhere(moved)).mean(axis=0)
    expected = truth.inverse.apply(source.world(np.argwhere(labels == 3)).mean(axis=0))
    assert np.linalg.norm(centre - expected) < 0.2
    volume = moved.sum() * target.voxel_volume_mm3
    assert volume == pytest.approx((labels == 3).sum() * source.voxel_volume_mm3, rel=0.05)


def test_checkerboard_shows_either_scan_in_turns(sample) -> None:
    bright = Study({"T1": sample.sequences["T1"]}, sample.grid)
    still = no_motion(bright, sample)
    same = checkerboard(bright, sample, still)
    assert same.shape == sample.grid.shape
    low, high = np.percentile(sample.sequences["T1"][sample.sequences["T1"] > 0], (1, 99))
    assert np.allclose(same, np.clip((sample.sequences["T1"] - low) / (high - low), 0, 1), atol=1e-3)
    shifted = Registration(RigidTransform(motion(0, (1, 0, 0), (40, 0, 0))), "T1", "T1", *[Agreement(0, 0, 0)] * 2)
    other = checkerboard(bright, sample, shifted)
    changed = np.abs(other - same) > 1e-3
    side = 2 * 89 / 8
    assert changed.any()
    cubes = 2 * np.indices(sample.grid.shape) // side
    assert not changed[cubes.sum(axis=0) % 2 == 0].any()


def test_nearest_neighbour_invents_no_value(sample) -> None:
    labels = open_segmentation(sample_truth_path()).data
    carried = resample_moved(
        labels, sample.grid, sample.grid, RigidTransform(motion(11, (1, 0, 1), (3, 2, 1))), nearest=True
    )
    assert set(np.unique(carried)) <= set(np.unique(labels))
