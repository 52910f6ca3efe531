import numpy as np
import pytest
from bodies import ball, grid_around, sampled, shell

from napari_brain_tumor.geometry import Grid
from napari_brain_tumor.measure.rim import rim_thickness
from phantoms import tilt


def ring_tumour(grid: Grid, outer: float, inner: float) -> np.ndarray:
    classes = np.ones(grid.shape, np.uint8)
    classes[sampled(shell(outer, inner), grid)] = 3
    classes[sampled(ball(inner), grid)] = 2
    return classes


@pytest.mark.parametrize(
    ("spacing", "directions"),
    [((1, 1, 1), np.eye(3)), ((0.5, 0.5, 2), np.eye(3)), ((1, 2, 3), np.eye(3)), ((1, 1, 1), tilt())],
)
@pytest.mark.parametrize(("outer", "inner"), [(20, 16), (20, 12), (22, 15)])
def test_the_thickness_of_a_shell_is_found_within_half_the_thickest_voxel(
    spacing: tuple[float, float, float], directions: np.ndarray, outer: float, inner: float
) -> None:
    grid = grid_around(spacing, outer + 3, directions)
    rim = rim_thickness(ring_tumour(grid, outer, inner), grid)
    assert rim is not None
    assert rim.mean_mm == pytest.approx(outer - inner, abs=0.5 * max(spacing))
    assert rim.median_mm == pytest.approx(outer - inner, abs=0.5 * max(spacing))
    assert rim.max_mm == pytest.approx(outer - inner, abs=0.8 * max(spacing))
    assert rim.covered_fraction == pytest.approx(1)


@pytest.mark.parametrize("thickness", [1, 2, 3, 4, 5])
def test_flat_walls_are_exactly_as_thick_as_their_voxels(thickness: int) -> None:
    classes = np.zeros((32, 32, 32), np.uint8)
    classes[8 - thickness : 24 + thickness, 8 - thickness : 24 + thickness, 8 - thickness : 24 + thickness] = 3
    classes[8:24, 8:24, 8:24] = 2
    rim = rim_thickness(classes, Grid(classes.shape, np.diag([1.5, 1.5, 1.5, 1.0])))
    assert rim is not None
    assert rim.median_mm == pytest.approx(1.5 * thickness)


def test_a_wall_twice_as_thick_on_one_half_has_a_mean_between_and_the_thick_half_as_its_largest() -> None:
    classes = np.zeros((40, 41, 9), np.uint8)
    classes[2:10] = 2
    classes[10:13, :20] = 3
    classes[10:16, 20:] = 3
    rim = rim_thickness(classes, Grid(classes.shape, np.eye(4)))
    assert rim is not None
    assert rim.max_mm == pytest.approx(6)
    assert 3 < rim.mean_mm < 6


def test_a_core_that_is_half_covered_says_so() -> None:
    classes = np.zeros((10, 10, 10), np.uint8)
    classes[4:6, 2:8, 2:8] = 2
    classes[6:8, 2:8, 2:8] = 3
    rim = rim_thickness(classes, Grid(classes.shape, np.eye(4)))
    assert rim is not None
    assert rim.covered_fraction == pytest.approx(36 / (2 * 36 + 4 * 12))


def test_enhancing_tissue_apart_from_any_core_is_no_rim() -> None:
    classes = np.zeros((20, 10, 10), np.uint8)
    classes[2:5, 2:8, 2:8] = 2
    classes[5:7, 2:8, 2:8] = 3
    alone = rim_thickness(classes, Grid(classes.shape, np.eye(4)))
    classes[10:19, 1:9, 1:9] = 3
    assert rim_thickness(classes, Grid(classes.shape, np.eye(4))) == alone


@pytest.mark.parametrize("value", [0, 1, 2, 3])
def test_one_class_alone_has_no_rim(value: int) -> None:
    classes = np.zeros((8, 8, 8), np.uint8)
    classes[2:5, 2:5, 2:5] = value
    assert rim_thickness(classes, Grid(classes.shape, np.eye(4))) is None
