"""What is edited on a tilted scan, shown resampled, is what is saved: stroke by stroke, on many grids."""

import numpy as np
import pytest

from napari_brain_tumor.geometry import Grid
from napari_brain_tumor.plugin import from_layers, layers, to_layers
from napari_brain_tumor.plugin.carry import carry
from napari_brain_tumor.plugin.display import Display
from napari_brain_tumor.study import Segmentation

STEPS = [(1.0, 1.0, 1.0), (0.5, 0.5, 5.0), (1.0, 3.0, 0.7), (6.0, 0.4, 0.4)]
ANGLES = [(20, 0, 0), (3, -12, 0), (7, 25, 40), (44, 44, 44)]


def tilted(steps, angles, shape=(14, 16, 12)):
    turn = np.eye(3)
    for axis, angle in enumerate(np.deg2rad(angles)):
        a, b = [k for k in range(3) if k != axis]
        step = np.eye(3)
        step[[a, a, b, b], [a, b, a, b]] = np.cos(angle), -np.sin(angle), np.sin(angle), np.cos(angle)
        turn = turn @ step
    affine = np.eye(4)
    affine[:3, :3] = turn @ np.diag(steps)
    affine[:3, 3] = (-31, 12, 7)
    return Grid(shape, affine)


def shown_inside(grid):
    """Voxels (z, y, x) of the layer whose centres lie in the scan."""
    display = Display.of(grid)
    z_y_x = np.argwhere(np.ones(display.shape, bool))
    at = grid.voxels(display.viewer_grid.world(z_y_x[:, ::-1]))
    return z_y_x[((at > -0.5) & (at < np.array(grid.shape) - 0.5)).all(axis=1)], display


@pytest.mark.parametrize("steps", STEPS)
@pytest.mark.parametrize("angles", ANGLES)
@pytest.mark.parametrize(("stroke", "value"), [("brush", 3), ("eraser", 0)])
def test_no_single_voxel_stroke_is_lost_and_nothing_else_changes(steps, angles, stroke, value):
    grid = tilted(steps, angles)
    rng = np.random.default_rng(0)
    before = rng.integers(1, 3, grid.shape).astype(np.uint8)
    inside, display = shown_inside(grid)
    layer = layers.layer_of(to_layers.segmentation_to_layer(Segmentation(before, grid)))
    start = layer.data.copy()
    reach = 0.5 + 0.5 * np.abs(np.linalg.inv(grid.affine)[:3, :3] @ display.viewer_grid.affine[:3, :3]).sum(axis=1)
    for at in inside[rng.choice(len(inside), 24, replace=False)]:
        layer.data = start.copy()
        layer.data[tuple(at)] = value
        after = from_layers.segmentation_from_layer(layer).data
        changed = np.argwhere(after != before)
        assert len(changed) >= 1, f"the {stroke} at {at} is lost"
        assert (after[tuple(changed.T)] == value).all()
        # What changed touches the voxel that was edited.
        centre = grid.voxels(display.viewer_grid.world(at[::-1]))
        assert (np.abs(changed - centre) < reach + 1e-6).all()


@pytest.mark.parametrize("angles", ANGLES)
def test_a_line_that_is_one_voxel_wide_arrives_whole(angles):
    grid = tilted((1.0, 1.0, 1.0), angles)
    inside, display = shown_inside(grid)
    middle = np.array(display.shape) // 2
    line = inside[(inside[:, 0] == middle[0]) & (inside[:, 1] == middle[1])]
    empty = Segmentation(np.zeros(grid.shape, np.uint8), grid)
    layer = layers.layer_of(to_layers.segmentation_to_layer(empty))
    layer.data[tuple(line.T)] = 2
    after = np.argwhere(from_layers.segmentation_from_layer(layer).data)
    there = display.viewer_grid.world(line[:, ::-1])
    nearest = np.linalg.norm(grid.world(after)[:, None] - there[None], axis=2).min(axis=0)
    assert nearest.max() <= np.sqrt(3) / 2 + 1e-6


def test_a_body_keeps_its_size_within_a_few_parts_in_a_hundred():
    grid = tilted((1.0, 1.0, 1.0), (7, 25, 40), (40, 40, 40))
    display = Display.of(grid)
    z_y_x = np.indices(display.shape).reshape(3, -1).T
    ball = (np.linalg.norm(z_y_x - np.array(display.shape) / 2, axis=1) < 10).reshape(display.shape)
    restored = display.restore_labels(ball.astype(np.uint8), None)
    assert abs(int(restored.sum()) - int(ball.sum())) < 0.04 * ball.sum()


def test_labels_that_nobody_altered_come_back_exactly():
    grid = tilted((0.5, 0.5, 5.0), (7, 25, 40))
    before = np.random.default_rng(1).integers(0, 4, grid.shape).astype(np.uint8)
    display = Display.of(grid)
    np.testing.assert_array_equal(display.restore_labels(display.show(before, nearest=True), before), before)


def test_two_values_that_meet_in_one_voxel_leave_that_whose_voxel_holds_the_centre():
    source = Grid((4, 1, 1), np.diag([0.5, 1.0, 1.0, 1.0]))
    target = Grid((2, 1, 1), np.array([[1.0, 0, 0, 0.3], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]))
    # Centres of the target lie at 0.3 and 1.3: in voxels 1 and 3 of the source, whose voxels 0 and 2 hold none.
    voxels = np.array([[0, 0, 0], [1, 0, 0], [2, 0, 0]])
    at, values = carry(voxels, np.array([5, 6, 7]), source, target, every=True)
    assert dict(zip(at[:, 0].tolist(), values.tolist(), strict=True)) == {0: 6, 1: 7}
    at, values = carry(voxels, np.array([5, 6, 7]), source, target)
    assert dict(zip(at[:, 0].tolist(), values.tolist(), strict=True)) == {0: 6}


def test_what_lies_beyond_the_scan_gets_no_place():
    grid = tilted((1.0, 1.0, 1.0), (44, 44, 44))
    display = Display.of(grid)
    corner = np.zeros(display.shape, np.uint8)
    corner[0, 0, 0] = 1
    assert not display.restore_labels(corner, None).any()
