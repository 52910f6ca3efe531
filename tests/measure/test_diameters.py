import numpy as np
import pytest
from bodies import CENTRE, ball, ellipsoid, grid_around, sampled, tube

from napari_brain_tumor.geometry import Grid
from napari_brain_tumor.measure.diameters import Bidimensional, Line, largest_diameters, measuring_axis
from phantoms import axis_orders, tilt

GRIDS = {
    "isotropic": ((1.0, 1.0, 1.0), np.eye(3)),
    "thick slices": ((0.5, 0.5, 5.0), np.eye(3)),
    "three spacings": ((1.0, 2.0, 3.0), np.eye(3)),
    "oblique": ((1.0, 1.0, 1.0), tilt(17.0)),
    "oblique and thick": ((0.8, 0.8, 4.0), tilt(25.0)),
    "sagittal": ((5.0, 0.5, 0.5), np.eye(3)),
}


def measured(body: object, grid: Grid, **options: bool) -> Bidimensional:
    found = largest_diameters(sampled(body, grid), grid, measuring_axis(grid), **options)
    assert found is not None
    return found


def largest_pixel(grid: Grid) -> float:
    return max(step for axis, step in enumerate(grid.spacing) if axis != measuring_axis(grid))


@pytest.mark.parametrize("name", GRIDS)
@pytest.mark.parametrize("radius", [9.3, 20.0])
def test_both_diameters_of_a_ball_are_twice_its_radius_within_a_voxel(name: str, radius: float) -> None:
    spacing, directions = GRIDS[name]
    grid = grid_around(spacing, radius + 4, directions)
    found = measured(ball(radius), grid)
    assert found.long_mm == pytest.approx(2 * radius, abs=0.55 * largest_pixel(grid))
    assert found.short_mm == pytest.approx(2 * radius, abs=0.85 * largest_pixel(grid))
    assert found.angle_degrees == pytest.approx(90)


def test_the_mean_error_over_many_balls_is_less_than_half_a_voxel() -> None:
    random = np.random.default_rng(4)
    errors = []
    for _ in range(25):
        radius = random.uniform(6, 20)
        grid = grid_around((1.0, 1.0, 1.0), radius + 3, shift=random.uniform(-0.5, 0.5))
        found = measured(ball(radius), grid)
        errors.append((found.long_mm - 2 * radius, found.short_mm - 2 * radius))
    assert np.abs(np.mean(errors, axis=0)).max() < 0.5


@pytest.mark.parametrize("name", GRIDS)
def test_the_axes_of_an_ellipsoid_that_is_turned_in_the_plane_are_found(name: str) -> None:
    spacing, directions = GRIDS[name]
    grid = grid_around(spacing, 30, directions)
    axis = measuring_axis(grid)
    semiaxes = np.insert([26.0, 13.0], axis, 18.0)
    found = measured(ellipsoid(semiaxes, 30.0, axis), grid)
    assert found.long_mm == pytest.approx(52, abs=0.75 * largest_pixel(grid))
    assert found.short_mm == pytest.approx(26, abs=0.75 * largest_pixel(grid))
    first, second = (a for a in range(3) if a != axis)
    column = directions[:, first] * np.cos(np.pi / 6) + directions[:, second] * np.sin(np.pi / 6)
    cosine = abs(found.long.vector @ column) / found.long.length_mm
    assert np.degrees(np.arccos(min(1.0, cosine))) < 6
    assert found.index == grid.shape[axis] // 2


@pytest.mark.parametrize("directions", axis_orders()[::5])
def test_the_order_of_the_axes_in_the_file_changes_nothing_in_the_world(directions: np.ndarray) -> None:
    expected = measured(ellipsoid((20.0, 11.0, 14.0), 30.0), grid_around((0.7, 0.7, 4.0), 24))
    straight = grid_around((0.7, 0.7, 4.0), 24)
    mask = sampled(ellipsoid((20.0, 11.0, 14.0), 30.0), straight)
    order = np.abs(directions).argmax(axis=0)
    turned = mask.transpose(order)
    flips = [axis for axis in range(3) if directions[order[axis], axis] < 0]
    affine = np.eye(4)
    affine[:3, :3] = directions * np.asarray(straight.spacing)[order]
    affine[:3, 3] = CENTRE - affine[:3, :3] @ (np.array(turned.shape) // 2)
    grid = Grid(turned.shape, affine)
    found = largest_diameters(np.flip(turned, flips), grid, measuring_axis(grid))
    assert found is not None
    assert order[found.axis] == 2
    assert found.long_mm == pytest.approx(expected.long_mm, abs=1e-6)
    assert found.short_mm == pytest.approx(expected.short_mm, abs=0.05)
    ends = np.sort([found.long.start, found.long.stop], axis=0)
    other = np.sort([expected.long.start, expected.long.stop], axis=0)
    mirrored = np.sort(2 * CENTRE - [expected.long.start, expected.long.stop], axis=0)
    assert np.allclose(ends, other, atol=1.0) or np.allclose(ends, mirrored, atol=1.0)


def test_lines_of_a_thick_ring_lie_in_its_wall() -> None:
    outer, inner = 24.0, 10.0
    found = measured(tube(outer, inner, 8), grid_around((1.0, 1.0, 1.0), 28))
    chord = 2 * np.sqrt(outer**2 - inner**2)  # touches the hole; so does the longest line across it
    assert found.long_mm == pytest.approx(chord, abs=1)
    assert found.short_mm == pytest.approx(chord, abs=1)


def test_lines_of_a_thin_ring_lie_in_its_wall() -> None:
    outer, inner = 24.0, 20.0
    found = measured(tube(outer, inner, 8), grid_around((1.0, 1.0, 1.0), 28))
    assert found.long_mm == pytest.approx(2 * np.sqrt(outer**2 - inner**2), abs=1.5)
    # The line across is longest at an end of the chord.
    assert found.short_mm == pytest.approx(inner - np.sqrt(2 * inner**2 - outer**2), abs=1)


def test_with_cavities_filled_a_ring_is_as_wide_as_its_outer_border() -> None:
    found = measured(tube(24.0, 20.0, 8), grid_around((1.0, 1.0, 1.0), 28), fill_cavities=True)
    assert found.long_mm == pytest.approx(48, abs=1)
    assert found.short_mm == pytest.approx(48, abs=1)


@pytest.mark.parametrize("name", GRIDS)
def test_every_point_of_both_lines_lies_within_a_voxel_of_an_irregular_lesion(name: str) -> None:
    spacing, directions = GRIDS[name]
    grid = grid_around(spacing, 16, directions)
    random = np.random.default_rng(7)
    waves = random.uniform(0.5, 1.0, 7)

    def inside(mm: np.ndarray) -> np.ndarray:
        around = np.arctan2(mm[..., 1], mm[..., 2] + mm[..., 0])
        bumps = sum(w * np.cos((k + 1) * around + k) for k, w in enumerate(waves))
        return np.linalg.norm(mm, axis=-1) <= 9 + 2 * bumps

    mask = sampled(inside, grid)
    found = largest_diameters(mask, grid, measuring_axis(grid))
    assert found is not None
    for line in (found.long, found.short):
        points = np.linspace(line.start, line.stop, 50)
        voxels = grid.voxels(points)
        assert np.allclose(voxels[:, found.axis], found.index, atol=1e-6)
        low, high = np.floor(voxels + 1e-6).astype(int), np.ceil(voxels - 1e-6).astype(int)
        corners = [mask[tuple(np.where(pick, high, low).T)] for pick in np.ndindex(2, 2, 2)]
        assert np.any(corners, axis=0).all()


def test_both_lines_cross() -> None:
    found = measured(ellipsoid((20.0, 8.0, 9.0), 30.0), grid_around((1.0, 1.0, 1.0), 24))
    along = found.long.vector / found.long.length_mm
    across = found.short.vector / found.short.length_mm
    foot = (np.array(found.short.start) - found.long.start) @ along
    assert 0 <= foot <= found.long.length_mm
    sides = [(np.array(end) - found.long.start) @ across for end in (found.short.start, found.short.stop)]
    assert min(sides) <= 1e-9 <= max(sides)


def test_the_slice_with_the_largest_product_counts_not_the_one_with_the_longest_line() -> None:
    mask = np.zeros((50, 50, 3), bool)
    mask[2:42, 20:23, 0] = True  # 40 x 3
    mask[5:30, 10:30, 1] = True  # 25 x 20
    found = largest_diameters(mask, Grid(mask.shape, np.eye(4)), 2)
    assert found is not None
    assert found.index == 1


def test_a_single_voxel_has_two_short_diameters() -> None:
    mask = np.zeros((5, 5, 5), bool)
    mask[2, 2, 2] = True
    found = largest_diameters(mask, Grid(mask.shape, np.diag([2.0, 2.0, 2.0, 1.0])), 2)
    assert found is not None
    assert 0 < found.short_mm <= found.long_mm <= 2


def test_an_empty_mask_has_no_diameters() -> None:
    assert largest_diameters(np.zeros((4, 4, 4), bool), Grid((4, 4, 4), np.eye(4)), 0) is None


def test_a_line_that_touches_the_border_of_the_volume_is_measured_to_it() -> None:
    mask = np.ones((30, 12, 1), bool)
    found = largest_diameters(mask, Grid(mask.shape, np.eye(4)), 2)
    assert found is not None
    assert found.long_mm == pytest.approx(np.hypot(30, 12), abs=1)


@pytest.mark.parametrize(
    ("spacing", "plane", "axis"),
    [
        ((1.0, 1.0, 1.0), "acquisition", 2),
        ((1.0, 1.0, 1.2), "acquisition", 2),
        ((1.2, 1.0, 1.0), "acquisition", 2),
        ((5.0, 0.5, 0.5), "acquisition", 0),
        ((1.0, 4.0, 1.0), "acquisition", 1),
        ((5.0, 0.5, 0.5), "axial", 2),
        ((1.0, 1.0, 1.0), "coronal", 1),
        ((1.0, 1.0, 1.0), "sagittal", 0),
    ],
)
def test_diameters_are_measured_in_the_plane_of_thick_slices_else_in_the_axial_one(
    spacing: tuple[float, float, float], plane: str, axis: int
) -> None:
    assert measuring_axis(Grid((8, 8, 8), np.diag([*spacing, 1.0])), plane) == axis


def test_the_axial_plane_is_found_in_any_order_of_axes() -> None:
    affine = np.eye(4)
    affine[:3, :3] = [[0, 1, 0], [0, 0, -1], [1, 0, 0]]
    assert measuring_axis(Grid((8, 8, 8), affine)) == 0


def test_lengths_product_and_angle_come_from_the_lines_and_the_longer_one_is_the_long_one() -> None:
    first, second = Line((0, 0, 0), (3, 4, 0)), Line((0, 0, 0), (6, 8, 0))
    pair = Bidimensional(2, 0, first, second)
    assert (pair.long_mm, pair.short_mm, pair.product_mm2) == (10, 5, 50)
    assert pair.angle_degrees == pytest.approx(0, abs=1e-5)
    assert Bidimensional(2, 0, first, Line((0, 0, 0), (0, 1, 1))).angle_degrees == pytest.approx(
        np.degrees(np.arccos(4 / 5 / np.sqrt(2)))
    )
    assert Bidimensional(2, 0, first, Line((1, 1, 1), (1, 1, 1))).angle_degrees == 90
