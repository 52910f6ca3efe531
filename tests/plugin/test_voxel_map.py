"""Voxels of a scan and of the layer that shows it: the same place in the world, on every kind of grid."""

from itertools import permutations, product

import numpy as np
import pytest

from napari_brain_tumor.geometry import Grid
from napari_brain_tumor.plugin.display import Display
from napari_brain_tumor.plugin.voxel_map import VoxelMap

SHAPE = (5, 7, 4)


def grids():
    for axes, signs in product(permutations(range(3)), product((1, -1), repeat=3)):
        affine = np.eye(4)
        affine[:3, :3] = (np.eye(3) * signs)[:, axes] * (1.0, 2.0, 0.7)
        affine[:3, 3] = (3.5, -20, 11)
        yield Grid(SHAPE, affine)


def oblique_grid():
    angle = np.deg2rad(20)
    affine = np.eye(4)
    affine[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    return Grid((20, 22, 9), affine)


@pytest.mark.parametrize("grid", list(grids()))
def test_a_voxel_is_where_the_layer_shows_it_in_all_48_orders_of_axes(grid):
    rng = np.random.default_rng(0)
    place, voxels = VoxelMap(Display.of(grid)), rng.permutation(np.argwhere(np.ones(SHAPE)))[:30]
    values = rng.integers(1, 4, len(voxels))
    there, carried = place.to_layer(voxels, values)
    scan = np.zeros(SHAPE, np.uint8)
    scan[tuple(voxels.T)] = values
    shown = np.zeros(place.display.shape, np.uint8)
    shown[tuple(there.T)] = carried
    np.testing.assert_array_equal(shown, place.display.show(scan))
    np.testing.assert_allclose(place.world(there), grid.world(voxels), atol=1e-9)
    back, again = place.to_scan(there, carried)
    np.testing.assert_array_equal(back, voxels)
    np.testing.assert_array_equal(again, values)


@pytest.mark.parametrize("grid", list(grids()))
def test_a_slice_of_the_layer_is_that_slice_of_the_file(grid):
    place = VoxelMap(Display.of(grid))
    for axis in range(3):
        along, number = place.file_axis(axis), place.file_slice(axis, 1)
        scan = np.zeros(SHAPE, np.uint8)
        np.moveaxis(scan, along, 0)[number] = 1
        shown = np.moveaxis(place.display.show(scan), axis, 0)
        assert shown[1].all()
        assert not shown[[0, 2]].any()
        assert place.layer_slice(axis, number) == 1
        last = place.display.shape[axis] - 1
        assert place.runs_back(axis) == (place.file_slice(axis, last) < place.file_slice(axis, 0))


def test_a_block_of_an_oblique_scan_covers_the_same_place_in_the_layer_without_holes():
    grid = oblique_grid()
    place = VoxelMap(Display.of(grid))
    assert not place.one_to_one
    block = np.zeros(grid.shape, np.uint8)
    block[6:14, 7:15, 3:7] = 2
    there, carried = place.to_layer(np.argwhere(block), block[block > 0])
    shown = np.zeros(place.display.shape, np.uint8)
    shown[tuple(there.T)] = carried
    np.testing.assert_array_equal(shown, place.display.show(block, nearest=True))
    back, values = place.to_scan(there, carried)
    again = np.zeros(grid.shape, np.uint8)
    again[tuple(back.T)] = values
    assert 2 * (again & block > 0).sum() / ((again > 0).sum() + (block > 0).sum()) > 0.9


def test_nothing_is_carried_of_nothing_or_beyond_the_border():
    place = VoxelMap(Display.of(oblique_grid()))
    none = np.empty((0, 3), np.intp)
    assert len(place.to_layer(none, np.empty(0, np.uint8))[0]) == 0
    corner, values = place.to_scan(np.array([[0, 0, 0]]), np.array([1]))  # of the box around the tilted scan
    assert len(corner) == len(values) == 0
