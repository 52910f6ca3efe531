"""What is drawn in napari's layers, as prompts in the world, and back."""

import numpy as np
import pytest
from napari.layers import Labels

from napari_brain_tumor.geometry import Grid
from napari_brain_tumor.interactive.prompts import PROMPT_LABELS, Box3D, Lasso, Painted, Point, Stroke
from napari_brain_tumor.interactive.rasterise import rasterise
from napari_brain_tumor.plugin import layers, prompt_layers, to_layers
from napari_brain_tumor.plugin.display import Display
from napari_brain_tumor.plugin.prompt_layers import Meaning
from napari_brain_tumor.plugin.voxel_map import VoxelMap
from napari_brain_tumor.study import Segmentation

SHAPE = (20, 24, 12)
GRID = Grid(SHAPE, np.array([[-1.5, 0, 0, 40], [0, -1, 0, 7], [0, 0, 2, -30.5], [0, 0, 0, 1]]))
PLACE = VoxelMap(Display.of(GRID))
NOT_CORE = Meaning("tumour core", False)


@pytest.fixture
def labels():
    return layers.layer_of(to_layers.segmentation_to_layer(Segmentation(np.zeros(SHAPE, np.uint8), GRID, "case")))


def on_layer(prompt):
    """Voxels (z, y, x) of the layer that the refiner takes a prompt for."""
    voxels = rasterise(prompt, GRID).inside
    return {tuple(one) for one in PLACE.to_layer(voxels, np.zeros(len(voxels)))[0].tolist()}


def test_every_meaning_has_its_code_and_colour_and_not_is_greyer():
    meanings = [Meaning(label, add) for label in PROMPT_LABELS for add in (True, False)]
    assert [Meaning.of_code(meaning.code) for meaning in meanings] == meanings
    assert len({prompt_layers.color_of(meaning) for meaning in meanings}) == 10
    assert [Meaning.of_code(code) for code in (0, 6, 10, 16, 255)] == [None] * 5
    for label in PROMPT_LABELS:
        vivid, grey = (np.ptp(prompt_layers.color_of(Meaning(label, add))) for add in (True, False))
        assert grey < 0.5 * vivid
    assert NOT_CORE.text == "not tumour core"


def test_painted_voxels_come_back_as_the_same_voxels(labels):
    voxels = np.array([(3, 4, 5), (3, 4, 6), (11, 23, 19), (0, 0, 0)])
    prompt = prompt_layers.painted_prompt(voxels, NOT_CORE, PLACE)
    assert (prompt.label, prompt.add) == ("tumour core", False)
    assert on_layer(prompt) == set(map(tuple, voxels.tolist()))
    ((again, code),) = prompt_layers.strokes_to_paint([prompt], PLACE)
    np.testing.assert_array_equal(again, voxels)
    assert code == NOT_CORE.code


def test_strokes_lie_voxel_for_voxel_over_the_labels_and_count_as_no_result(labels):
    strokes = prompt_layers.strokes_over(labels, "strokes")
    assert isinstance(strokes, Labels)
    assert strokes.data.shape == labels.data.shape
    np.testing.assert_allclose(strokes.data_to_world((3, 4, 5)), labels.data_to_world((3, 4, 5)))
    assert strokes.units == labels.units
    assert layers.is_prompt_layer(strokes)
    assert not layers.is_prompt_layer(labels)


def test_a_point_is_where_it_was_clicked(labels):
    points = prompt_layers.points_over_labels(labels, "points")
    points.add((3, 4.2, 5))
    prompt = prompt_layers.point_prompt(points.data[0], Meaning(), PLACE)
    assert isinstance(prompt, Point)
    assert on_layer(prompt) == {(3, 4, 5)}
    np.testing.assert_allclose(prompt.at[::-1], points.data_to_world((3, 4.2, 5)), atol=1e-3)
    ((at, meaning),) = prompt_layers.points_to_draw([prompt], PLACE)
    np.testing.assert_allclose(at, (3, 4.2, 5), atol=1e-2)
    assert meaning == Meaning()


@pytest.mark.parametrize("axis", range(3))
def test_a_rectangle_is_a_flat_box_in_any_plane(labels, axis):
    low, high = np.array([3.0, 3, 3]), np.array([8.0, 9, 7])
    low[axis] = high[axis] = 5
    outlines = prompt_layers.outlines_over(labels, "outlines")
    outlines.add_rectangles([prompt_layers._rectangle(np.stack([low, high]))])
    prompt = prompt_layers.shape_prompt(outlines, 0, Meaning("edema"), PLACE)
    assert isinstance(prompt, Box3D)
    found = np.array(sorted(on_layer(prompt)))
    np.testing.assert_array_equal(found.min(axis=0), low)
    np.testing.assert_array_equal(found.max(axis=0), high)
    extent = prompt_layers.extent_of(prompt, PLACE)
    assert [extent.slice_along(one) for one in range(3)] == [5 if one == axis else None for one in range(3)]
    ((corners, kind, _),) = prompt_layers.outlines_to_draw([prompt], PLACE)
    assert kind == "rectangle"
    np.testing.assert_allclose(np.sort(corners, axis=0), np.sort(outlines.data[0], axis=0), atol=1e-2)


def test_polygons_and_ellipses_are_lassos_and_lines_are_strokes(labels):
    outlines = prompt_layers.outlines_over(labels, "outlines")
    square = np.array([(5.0, 3, 3), (5, 9, 3), (5, 9, 8), (5, 3, 8)])
    outlines.add([square, square, square[:2]], shape_type=["polygon", "ellipse", "line"], edge_width=3)
    polygon, ellipse, line = (prompt_layers.shape_prompt(outlines, at, Meaning(), PLACE) for at in range(3))
    assert isinstance(polygon, Lasso)
    assert isinstance(ellipse, Lasso)
    assert {(5, y, x) for y in range(4, 9) for x in range(4, 8)} <= on_layer(polygon)
    inner = on_layer(ellipse)
    assert (5, 6, 5) in inner
    assert (5, 4, 3) not in inner
    assert 0.5 < len(inner) / len(on_layer(polygon)) < 0.95  # pi / 4, but for the border
    assert isinstance(line, Stroke)
    assert line.radius == pytest.approx(1.5)
    assert {(5, y, 3) for y in range(3, 10)} <= on_layer(line)
    ((voxels, code),) = prompt_layers.strokes_to_paint([line], PLACE)
    assert set(map(tuple, voxels.tolist())) == on_layer(line)
    assert code == Meaning().code


def test_extent_tells_the_slice_and_is_cut_at_the_border():
    prompt = Painted(label="edema", points=tuple(map(tuple, PLACE.world(np.array([(4, 2, 3), (4, 50, 9)])).tolist())))
    extent = prompt_layers.extent_of(prompt, PLACE)
    assert extent.slice_along(0) == 4
    assert extent.slice_along(2) is None
    assert extent.high == (4, 23, 9)
    assert extent.middle == (4, 12, 6)
