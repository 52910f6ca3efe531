import numpy as np
import pytest

from napari_brain_tumor import extract_brain
from napari_brain_tumor.classical.symmetry import MirrorPlane
from napari_brain_tumor.errors import SpacingUnknownError
from napari_brain_tumor.geometry import Grid, resample
from napari_brain_tumor.io import open_study
from napari_brain_tumor.measure.examination import measure_study
from napari_brain_tumor.measure.midline import MidsagittalPlane, find_midsagittal_plane
from napari_brain_tumor.measure.mirror_fit import fit_mirror_plane
from napari_brain_tumor.measure.settings import MeasureSettings
from napari_brain_tumor.sample import sample_case_folder
from napari_brain_tumor.study import Segmentation, Study

PLANE = MidsagittalPlane((1.0, 0.0, 0.0), 5.0)


def turned(axis: int, degrees: float) -> np.ndarray:
    angle = np.deg2rad(degrees)
    first, second = (a for a in range(3) if a != axis)
    matrix = np.eye(3)
    matrix[[first, second], [first, second]] = np.cos(angle)
    matrix[first, second], matrix[second, first] = -np.sin(angle), np.sin(angle)
    return matrix


def brain(normal: np.ndarray, offset: float, grid: Grid) -> Study:
    """A brain alike on both sides of a plane, with a bright tumour on one side alone."""
    world = grid.world(np.stack(np.meshgrid(*[np.arange(n) for n in grid.shape], indexing="ij"), axis=-1))
    across = world @ normal - offset
    # Axes of the head: the normal, and two at right angles to it that are nearly the front and the head.
    front = np.array([0, 1, 0]) - normal[1] * normal
    front /= np.linalg.norm(front)
    up = np.cross(normal, front)
    y, z = world @ front, world @ up
    inside = (across / 62) ** 2 + (y / 80) ** 2 + (z / 60) ** 2 <= 1
    ventricles = ((np.abs(across) - 12) / 6) ** 2 + (y / 25) ** 2 + (z / 15) ** 2 <= 1
    folds = np.sin(np.abs(across) / 6) + np.sin(y / 7) + np.cos(z / 5)
    image = np.where(inside, 400 + 40 * folds, 0) - np.where(ventricles, 200, 0)
    tumour = (across - 35) ** 2 + (y - 20) ** 2 + z**2 <= 15**2
    return Study({"FLAIR": np.where(tumour, 800, image).astype(np.float32)}, grid)


@pytest.mark.parametrize(("axis", "degrees", "offset"), [(2, 0, 0), (2, 7, 4), (1, -7, -6), (1, 9, 10)])
@pytest.mark.parametrize("spacing", [(2.0, 2.0, 2.0), (1.5, 1.5, 5.0)])
def test_the_plane_of_a_turned_and_shifted_head_is_found(
    axis: int, degrees: float, offset: float, spacing: tuple[float, float, float]
) -> None:
    normal = turned(axis, degrees)[:, 0]
    shape = tuple(int(190 / step) for step in spacing)
    affine = np.diag([-spacing[0], -spacing[1], spacing[2], 1.0])
    affine[:3, 3] = -affine[:3, :3] @ (np.array(shape) / 2)
    plane = find_midsagittal_plane(brain(normal, offset, Grid(shape, affine)))
    assert np.degrees(np.arccos(min(1.0, np.dot(plane.normal, normal)))) < 1.2
    assert plane.beyond_mm(offset * normal) == pytest.approx(0, abs=0.8)


def test_the_plane_stays_where_it_is_in_the_world_if_the_grid_is_tilted() -> None:
    study = open_study(sample_case_folder())
    centre = study.grid.world((np.array(study.grid.shape) - 1) / 2)
    affine = study.grid.affine.copy()
    affine[:3, :3] = turned(2, 6) @ affine[:3, :3]
    affine[:3, 3] = centre - affine[:3, :3] @ ((np.array(study.grid.shape) - 1) / 2)
    oblique = Grid(study.grid.shape, affine)
    tilted = Study({"FLAIR": resample(study.sequences["FLAIR"], study.grid, oblique)}, oblique)
    found, straight = find_midsagittal_plane(tilted), find_midsagittal_plane(study)
    assert oblique.is_oblique
    assert np.degrees(np.arccos(min(1.0, np.dot(found.normal, straight.normal)))) < 0.3
    assert found.beyond_mm(centre) == pytest.approx(straight.beyond_mm(centre), abs=0.2)


def test_a_brain_that_is_alike_everywhere_keeps_the_first_plane() -> None:
    first = MirrorPlane(3.0, 0.1, -0.1)
    flat = np.zeros((10, 12, 14), np.float32)
    assert fit_mirror_plane(flat, np.zeros(flat.shape, bool), (1.0, 1.0, 1.0), first) is first


def test_the_plane_needs_millimetres() -> None:
    grid = Grid((10, 10, 10), np.eye(4), "voxel")
    study = Study({"FLAIR": np.arange(1000, dtype=np.float32).reshape(10, 10, 10)}, grid)
    with pytest.raises(SpacingUnknownError):
        find_midsagittal_plane(study)


@pytest.mark.parametrize(
    ("xs", "side", "distance"),
    [
        ((15.0, 25.0), "right", 10.0),
        ((-15.0, -5.0), "left", 10.0),
        ((0.0, 20.0), "both sides", 0.0),
        ((3.0, 25.0), "right", 0.0),
    ],
)
def test_side_and_distance_of_points(xs: tuple[float, float], side: str, distance: float) -> None:
    points = np.array([(x, 3.0, -8.0) for x in xs])
    position = PLANE.position(points, margin_mm=3.0)
    assert (position.side, position.distance_mm) == (side, distance)
    assert position.crosses == (side == "both sides")


def test_distances_to_a_tilted_plane_are_at_right_angles_to_it() -> None:
    normal = turned(2, 10)[:, 0]
    plane = MidsagittalPlane(tuple(normal), 4.0)
    along = np.array([normal[1], -normal[0], 0.0])
    assert plane.beyond_mm((4.0 + 12.5) * normal + 30 * along) == pytest.approx(12.5)


def head_and_brain() -> tuple[Study, np.ndarray, Segmentation]:
    """A brain, mirrored about x = 0, in a head whose scalp and air are not; and labels of its tumour."""
    affine = np.diag([3.0, 3.0, 3.0, 1.0])
    affine[:3, 3] = -96
    grid = Grid((64, 64, 64), affine)
    study = brain(np.array([1.0, 0, 0]), 0.0, grid)
    image = study.sequences["FLAIR"]
    inside = image > 0
    x, y, z = grid.world(np.stack(np.meshgrid(*[np.arange(n) for n in grid.shape], indexing="ij"), axis=-1)).T
    shell = (((x - 9) / 84) ** 2 + (y / 92) ** 2 + (z / 76) ** 2).T
    random = np.random.default_rng(0)
    head = np.where(shell < 1, np.where(shell > 0.85, 700.0, 30.0), 0) + np.abs(random.normal(0, 6, grid.shape))
    whole = Study({"FLAIR": np.where(inside, image, head).astype(np.float32)}, grid, "head")
    return whole, inside, Segmentation((image == 800).astype(np.uint8), grid)


def test_the_midline_of_a_whole_head_is_that_of_its_brain(given_brain) -> None:
    study, inside, labels = head_and_brain()
    given_brain(inside)
    examination = measure_study(labels, study)
    assert np.degrees(np.arccos(min(1.0, examination.midline.normal[0]))) < 1.5
    assert examination.midline.offset_mm == pytest.approx(0, abs=1.5)
    assert any("The brain was extracted from the whole head" in note for note in examination.notes)


@pytest.mark.slow
def test_the_midline_is_found_in_a_mask_of_the_users_own_or_in_the_head_as_it_is(given_brain) -> None:
    study, inside, labels = head_and_brain()
    given_brain(np.zeros(study.grid.shape))  # the network finds nothing
    own = measure_study(labels, extract_brain(study, mask=inside))
    assert own.midline.offset_mm == pytest.approx(0, abs=1.5)
    assert any("by the given mask" in note for note in own.notes)
    kept = measure_study(labels, study, MeasureSettings(brain="keep"))
    lost = measure_study(labels, study)
    assert kept.midline == lost.midline
    assert not any("brain" in note.lower() for note in kept.notes)
    assert any("No brain was found in the head" in note for note in lost.notes)


def test_a_brain_that_comes_without_its_skull_is_measured_as_before(given_brain) -> None:
    study, inside, labels = head_and_brain()
    stripped = Study({"FLAIR": np.where(inside, study.sequences["FLAIR"], 0)}, study.grid)
    examination = measure_study(labels, stripped)
    assert examination.midline == find_midsagittal_plane(stripped)
    assert not any("brain" in note.lower() for note in examination.notes)
