"""Single-voxel strokes on scans at every tilt: each one is in what is saved, at its place, and nothing else changed."""

import numpy as np
import pytest

from napari_brain_tumor.geometry import Grid
from napari_brain_tumor.plugin import from_layers, layers, to_layers
from napari_brain_tumor.study import Segmentation
from phantoms import tilt

SHAPE = (24, 28, 20)
GRIDS = {
    "1 mm, 20 degrees": (20, (1.0, 1.0, 1.0)),
    "1 mm, 45 degrees": (45, (1.0, 1.0, 1.0)),
    "1 mm, 3 degrees": (3, (1.0, 1.0, 1.0)),
    "thick slices, 12 degrees": (12, (0.9, 0.9, 5.0)),
    "thick slices first, 30 degrees": (30, (4.0, 0.5, 0.5)),
}


@pytest.fixture(params=GRIDS.values(), ids=GRIDS)
def shown(request):
    """A segmentation on an oblique grid, and its layer."""
    degrees, spacing = request.param
    matrix = np.eye(4)
    matrix[:3, :3] = tilt(degrees) @ np.diag(spacing)
    grid = Grid(SHAPE, matrix)
    data = np.zeros(SHAPE, np.uint8)
    data[6:17, 8:20, 5:15], data[9:14, 11:16, 7:12] = 1, 3
    layer = layers.layer_of(to_layers.segmentation_to_layer(Segmentation(data, grid, name="case")))
    return data, grid, layer


def places(layer, grid, data, wanted, count, seed):
    """Voxels of the layer whose centre lies well within the scan, where the layer and the file show that class."""
    index = np.argwhere(layer.data == wanted)
    world = (index * layer.scale + layer.translate)[:, ::-1]
    voxels = np.rint(grid.voxels(world)).astype(int)
    inside = ((voxels > 1) & (voxels < np.array(SHAPE) - 2)).all(1)
    index, voxels, world = index[inside], voxels[inside], world[inside]
    same = data[tuple(voxels.T)] == wanted
    chosen = np.random.default_rng(seed).choice(np.flatnonzero(same), count, replace=False)
    return index[chosen], world[chosen]


def test_nothing_is_changed_without_a_stroke(shown):
    data, _, layer = shown
    np.testing.assert_array_equal(from_layers.segmentation_from_layer(layer).data, data)


@pytest.mark.parametrize(("before", "stroke"), [(0, 2), (1, 0), (1, 3), (3, 2)])
def test_each_stroke_is_saved_where_it_was_painted(shown, before, stroke):
    data, grid, layer = shown
    start = layer.data.copy()
    reach = np.linalg.norm(np.array(layer.scale)) / 2 + np.linalg.norm(grid.spacing) / 2
    for index, world in zip(*places(layer, grid, data, before, 12, before), strict=True):
        layer.data = start.copy()
        layer.data[tuple(index)] = stroke
        saved = from_layers.segmentation_from_layer(layer).data
        changed = np.argwhere(saved != data)
        assert len(changed) > 0
        assert (saved[tuple(changed.T)] == stroke).all()
        assert np.linalg.norm(grid.world(changed) - world, axis=1).max() <= reach


def test_a_stroke_that_is_taken_back_leaves_the_file_as_it_was(shown):
    data, grid, layer = shown
    start = layer.data.copy()
    (index,), _ = places(layer, grid, data, 0, 1, 9)
    layer.data[tuple(index)] = 3
    layer.data = start
    np.testing.assert_array_equal(from_layers.segmentation_from_layer(layer).data, data)
