import numpy as np
import pytest
from brain_phantoms import SHAPE, SPACING, ellipsoid
from scipy import ndimage

from napari_brain_tumor.classical.symmetry import MirrorPlane, find_mirror_plane


def test_mirroring_twice_gives_the_image_again():
    plane = MirrorPlane(5.0, 0.1, -0.05)
    image = ndimage.gaussian_filter(ellipsoid((20, 30, 25)).astype(np.float32), 2)
    twice = plane.mirror(plane.mirror(image, SPACING), SPACING)
    assert np.abs(twice - image).max() < 0.1
    assert np.abs(plane.mirror(image, SPACING) - image).max() > 0.3


def test_a_straight_plane_in_the_middle_flips_left_and_right():
    image = np.random.default_rng(0).random((4, 5, 6)).astype(np.float32)
    np.testing.assert_allclose(MirrorPlane(0, 0, 0).mirror(image, (5, 1, 1)), image[:, :, ::-1], atol=1e-6)


def test_the_plane_leaves_its_own_points_in_place():
    plane, shape, spacing = MirrorPlane(6.0, 0.2, 0.1), (31, 41, 51), (4.0, 1.0, 2.0)
    z, y = 20, 30
    x = (plane.offset_mm + plane.turn * (y - 20) * 1.0 + plane.tilt * (z - 15) * 4.0) / 2.0 + 25
    ramp = np.indices(shape).astype(np.float32)
    for axis, expected in enumerate((z, y, x)):
        mirrored = plane.mirror(ramp[axis], spacing)[z, y]
        assert np.interp(x, np.arange(51), mirrored) == pytest.approx(expected, abs=0.02)


@pytest.mark.parametrize(("offset", "degrees", "lesion"), [(0, 0, True), (9, 0, False), (-6, 5, False), (4, -8, True)])
def test_the_plane_of_a_moved_and_turned_brain_is_found(offset, degrees, lesion):
    brain = ndimage.rotate(ellipsoid((50, 85, 60)).astype(np.float32), degrees, axes=(1, 2), reshape=False, order=1)
    brain = ndimage.shift(brain, (0, 0, offset / 2), order=1) > 0.5
    image = np.random.default_rng(0).normal(0, 1, SHAPE).astype(np.float32)
    if lesion:
        image[ellipsoid((20, 20, 20), centre=(34, 60, 52))] = 6
    found = find_mirror_plane(np.where(brain, image, 0), brain, SPACING)
    slope = np.tan(np.deg2rad(degrees))
    assert found.offset_mm == pytest.approx(offset, abs=2)
    assert abs(found.turn) == pytest.approx(abs(slope), abs=0.06)
    assert abs(found.tilt) < 0.06


def test_an_empty_brain_has_some_plane():
    empty = np.zeros((6, 8, 10), dtype=bool)
    assert np.isfinite(find_mirror_plane(empty.astype(np.float32), empty, (1, 1, 1)).offset_mm)


def test_the_side_is_the_distance_along_x_from_the_plane():
    plane, shape, spacing = MirrorPlane(6.0, 0.2, 0.1), (3, 5, 41), (4.0, 1.0, 2.0)
    side = plane.side(shape, spacing)
    assert side.shape == shape
    # In the middle of the array x is 0, one slice up and one row to the front of it the plane has moved.
    assert side[1, 2, 20] == pytest.approx(-6.0)
    assert side[2, 3, 25] == pytest.approx(10 - 6.0 - 0.2 * 1.0 - 0.1 * 4.0)


def test_a_slab_of_few_slices_has_a_plane_too():
    brain = ellipsoid((3, 85, 60), (2, 96, 80), (1.0, 2.0, 2.0))
    image = np.random.default_rng(0).normal(0, 1, brain.shape).astype(np.float32)
    assert abs(find_mirror_plane(image, brain, (1.0, 2.0, 2.0)).offset_mm) < 4
