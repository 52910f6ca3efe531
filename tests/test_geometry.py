import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_brain_tumor import geometry
from napari_brain_tumor.errors import DimensionError, SpacingUnknownError
from napari_brain_tumor.geometry import Box, Grid, bounding_box, orthogonal_grid, resample, to_ras
from phantoms import affine, axis_orders, tilt

STRAIGHT = np.eye(3)


def grid(directions=STRAIGHT, spacing=(1.0, 2.0, 3.5), shape=(5, 6, 7), unit="mm"):
    return Grid(shape, affine(directions, spacing), unit)


def voxels_of(grid):
    """Indices `(X, Y, Z, 3)` of every voxel."""
    return np.stack(np.meshgrid(*map(np.arange, grid.shape), indexing="ij"), axis=-1)


@pytest.mark.parametrize("directions", axis_orders())
def test_reorientation_keeps_every_voxel_at_its_world_point(directions):
    source = grid(directions)
    turn = to_ras(source)
    for axis in range(3):
        turned = turn.apply(source.world(voxels_of(source))[..., axis])
        np.testing.assert_allclose(turned, turn.target.world(voxels_of(turn.target))[..., axis], atol=1e-9)
    assert turn.target.axis_codes == "RAS"


@pytest.mark.parametrize("directions", [*axis_orders(), tilt(17)])
def test_reorientation_undo_inverts_apply(directions):
    turn = to_ras(grid(directions))
    array = np.arange(5 * 6 * 7).reshape(5, 6, 7)
    np.testing.assert_array_equal(turn.undo(turn.apply(array)), array)


def test_reorientation_refuses_an_array_of_another_shape():
    with pytest.raises(DimensionError, match="shape"):
        to_ras(grid()).apply(np.zeros((2, 2, 2)))


def test_spacing_and_volume_come_from_the_affine():
    oblique = Grid((4, 4, 4), affine(tilt(30), (0.5, 0.7, 5.0)))
    np.testing.assert_allclose(oblique.spacing_mm, (0.5, 0.7, 5.0))
    assert oblique.voxel_volume_mm3 == pytest.approx(0.5 * 0.7 * 5.0)
    assert oblique.is_oblique
    assert not grid().is_oblique


def test_millimetres_of_unknown_spacing_are_refused():
    unknown = grid(unit="voxel")
    assert unknown.spacing == (1.0, 2.0, 3.5)
    with pytest.raises(SpacingUnknownError, match="spacing_mm"):
        _ = unknown.voxel_volume_mm3
    with pytest.raises(SpacingUnknownError):
        _ = unknown.spacing_mm
    assert "mm" not in unknown.describe()


def test_same_place_tolerates_rounding_but_not_a_shift():
    matrix = affine()
    rounded, shifted = matrix.copy(), matrix.copy()
    rounded[0, 3] += 1e-4
    shifted[0, 3] += 0.5
    reference = Grid((10, 10, 10), matrix)
    assert reference.same_place(Grid((10, 10, 10), rounded))
    assert not reference.same_place(Grid((10, 10, 10), shifted))
    assert not reference.same_place(Grid((10, 10, 9), matrix))


@given(st.lists(st.floats(-50, 50), min_size=3, max_size=3))
@settings(max_examples=50, deadline=None)
def test_voxels_invert_world(point):
    tilted = Grid((8, 9, 10), affine(tilt(23), (0.9, 1.1, 4.0)))
    np.testing.assert_allclose(tilted.world(tilted.voxels(point)), point, atol=1e-8)


def test_cropped_grid_keeps_voxels_in_place():
    whole = Grid((9, 9, 9), affine(tilt(10), (1, 2, 3)))
    part = whole.cropped(Box((2, 3, 4), (5, 7, 9)))
    assert part.shape == (3, 4, 5)
    np.testing.assert_allclose(part.world((1, 1, 1)), whole.world((3, 4, 5)))


def test_bounding_box_is_tight_and_grows_only_to_the_border():
    mask = np.zeros((6, 7, 8), dtype=bool)
    mask[2:4, 5, 1:8] = True
    box = bounding_box(mask)
    assert box == Box((2, 5, 1), (4, 6, 8))
    assert box.grown((1, 3, 1), mask.shape) == Box((1, 2, 0), (5, 7, 8))
    assert bounding_box(np.zeros((2, 2, 2), dtype=bool)) is None


def test_orthogonal_grid_covers_every_corner_of_an_oblique_grid():
    oblique = Grid((12, 10, 8), affine(tilt(25), (1.0, 1.5, 3.0)))
    straight = orthogonal_grid(oblique)
    assert not straight.is_oblique
    assert straight.axis_codes == "RAS"
    corners = np.array(np.meshgrid(*[(-0.5, n - 0.5) for n in oblique.shape])).reshape(3, -1).T
    inside = straight.voxels(oblique.world(corners))
    assert (inside >= -0.5 - 1e-6).all()
    assert (inside <= np.array(straight.shape) - 0.5 + 1e-6).all()


def test_resampling_a_linear_ramp_onto_a_finer_grid_is_exact_inside():
    coarse = Grid((10, 10, 10), affine(spacing=(2, 2, 2), origin=(0, 0, 0)))
    fine = Grid((15, 15, 15), affine(spacing=(1, 1, 1), origin=(1, 1, 1)))
    ramp = coarse.world(voxels_of(coarse)) @ [1.0, 2.0, -1.0]
    wanted = fine.world(voxels_of(fine)) @ [1.0, 2.0, -1.0]
    np.testing.assert_allclose(resample(ramp, coarse, fine), wanted, atol=1e-4)


@pytest.mark.parametrize("fill", [None, 0.0, -7.0])
@pytest.mark.parametrize("factor", [0.37, 1.0, 2.6])
@pytest.mark.parametrize("shift", [0.0, -4.0, 9.5])
def test_large_volumes_are_resampled_in_slabs_to_the_same_values(monkeypatch, fill, factor, shift):
    source = grid(shape=(9, 8, 31))
    matrix = source.affine @ np.diag([1.7, 1.1, factor, 1.0])
    matrix[:3, 3] += (0, 0, shift)
    target = Grid((5, 7, round(31 / factor)), matrix)
    array = np.random.default_rng(0).integers(-500, 500, source.shape).astype(np.int16)
    whole = resample(array, source, target, fill=fill)
    monkeypatch.setattr(geometry, "_SLAB_VOXELS", 72 * 5)
    slabs, resample_part = [], geometry.resample
    monkeypatch.setattr(geometry, "resample", lambda *a, **k: slabs.append(a[0].size) or resample_part(*a, **k))
    monkeypatch.setattr(geometry, "_LARGE_VOXELS", 72 * 15)
    np.testing.assert_allclose(resample_part(array, source, target, fill=fill), whole, atol=1e-3)
    assert len(slabs) > 3
    assert max(slabs) < array.size / 2


def test_nearest_resampling_invents_no_label():
    labels = np.random.default_rng(0).choice([0, 3], size=(9, 9, 9)).astype(np.uint8)
    source = Grid((9, 9, 9), affine(spacing=(2, 2, 2)))
    result = resample(labels, source, orthogonal_grid(Grid((9, 9, 9), affine(tilt(12), (2, 2, 2)))), nearest=True)
    assert result.dtype == np.uint8
    assert set(np.unique(result)) <= {0, 3}


def in_one_plane(length):
    """Steps of which the first is so long, and so much along the second, that they span no volume."""
    matrix = np.diag([0.9, -1.1, 3.0, 1.0])
    matrix[1, 0] = length
    return matrix


@pytest.mark.parametrize(
    "matrix",
    [
        np.zeros((4, 4)),
        np.full((4, 4), np.nan),
        np.eye(3),
        in_one_plane(4e18),
        in_one_plane(1e300),
        np.diag([1e200] * 4),
    ],
)
def test_a_grid_needs_an_invertible_affine(matrix):
    with pytest.raises(DimensionError, match="invertible"):
        Grid((2, 2, 2), matrix)


def test_a_stack_that_is_tilted_far_still_spans_a_volume():
    matrix = affine(spacing=(1, 1, 4))
    matrix[1, 2] = 9.0
    assert Grid((3, 3, 3), matrix).voxel_volume_mm3 == pytest.approx(4)
