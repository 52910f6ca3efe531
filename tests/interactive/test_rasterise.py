"""Voxels of prompts, against every voxel looked at one by one: grids in any order of axes, tilted, anisotropic."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.path import Path as Outline

from napari_brain_tumor.errors import PromptError
from napari_brain_tumor.geometry import Grid
from napari_brain_tumor.interactive.prompts import Box3D, Lasso, Painted, Point, Stroke
from napari_brain_tumor.interactive.rasterise import rasterise
from phantoms import affine, axis_orders, tilt

SHAPE = (17, 15, 13)
SPACING = (1.0, 1.5, 2.5)
TILTED = Grid(SHAPE, affine(tilt(17), SPACING))
PLAIN = Grid(SHAPE, affine(spacing=SPACING))
GRIDS = [Grid(SHAPE, affine(order, SPACING)) for order in axis_orders()]
HALF = np.array(SHAPE) / 2


def centres(grid):
    voxels = np.stack(np.meshgrid(*map(np.arange, grid.shape), indexing="ij"), axis=-1).reshape(-1, 3)
    return voxels, grid.world(voxels)


def as_set(voxels):
    return {tuple(map(int, one)) for one in voxels}


def distance_to_line(places, points):
    found = np.linalg.norm(places - points[0], axis=1)
    for a, b in pairwise(points):
        share = np.clip((places - a) @ (b - a) / max((b - a) @ (b - a), 1e-12), 0, 1)
        found = np.minimum(found, np.linalg.norm(places - a - share[:, None] * (b - a), axis=1))
    return found


def points_in(grid, seed, count, spread=4.0):
    """World points around the grid's middle, some of them outside the grid where `spread` is large."""
    random = np.random.default_rng(seed)
    return grid.world(HALF + random.uniform(-1, 1, (count, 3)) * spread)


def circle(grid, centre_voxel, radius, u, v, count=60):
    angle = np.linspace(0, 2 * np.pi, count, endpoint=False)[:, None]
    return grid.world(centre_voxel) + radius * (np.cos(angle) * np.asarray(u) + np.sin(angle) * np.asarray(v))


# Points and strokes -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("grid", [*GRIDS, TILTED])
def test_a_point_and_painted_voxels_are_those_at_that_place_of_the_world(grid):
    wanted = np.array([[3, 4, 5], [3, 4, 6], [0, 14, 12], [16, 0, 0]])
    near = grid.world(wanted + 0.3)
    assert as_set(rasterise(Painted(label="edema", points=near.tolist()), grid).inside) == as_set(wanted[:2]) | {
        (0, 14, 12),
        (16, 0, 0),
    }
    assert as_set(rasterise(Point(label="edema", at=tuple(near[0])), grid).inside) == {(3, 4, 5)}


@pytest.mark.parametrize("grid", [*GRIDS[::5], TILTED])
@pytest.mark.parametrize("radius", [0.4, 1.0, 3.3, 9.0])
@pytest.mark.parametrize("count", [1, 2, 7])
def test_a_stroke_holds_exactly_the_voxels_within_its_radius_and_those_it_runs_through(grid, radius, count):
    points = points_in(grid, seed=count, count=count, spread=np.array([7.0, 6.0, 5.0]) * (1 if count < 7 else 1.5))
    voxels, places = centres(grid)
    near = as_set(voxels[distance_to_line(places, points) <= radius])
    through = as_set(rasterise(Stroke(label="edema", points=points.tolist()), grid).inside)
    found = rasterise(Stroke(label="edema", points=points.tolist(), radius=radius), grid)
    assert as_set(found.inside) == near | through
    assert len(found.inside) == len(as_set(found.inside))
    assert not len(found.around)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_voxels_that_a_stroke_runs_through_hang_together(seed):
    points = points_in(TILTED, seed, 4)
    inside = rasterise(Stroke(label="edema", points=points.tolist()), TILTED).inside
    reached, todo = set(), [tuple(inside[0])]
    every = as_set(inside)
    while todo:
        one = todo.pop()
        if one not in reached:
            reached.add(one)
            todo += [other for other in every if max(abs(a - b) for a, b in zip(one, other, strict=True)) == 1]
    assert {tuple(map(int, one)) for one in reached} == every


def test_a_stroke_half_outside_the_scan_keeps_its_part_within():
    points = [tuple(PLAIN.world((-20, 7, 6))), tuple(PLAIN.world((5, 7, 6)))]
    found = rasterise(Stroke(label="edema", points=points, radius=0.5), PLAIN).inside
    assert as_set(found) == {(x, 7, 6) for x in range(6)}


def test_a_huge_stroke_is_computed_piece_by_piece():
    grid = Grid((220, 220, 140), np.eye(4))
    angle = np.linspace(0, 30, 600)
    points = np.stack([110 + 3 * angle * np.cos(angle), 110 + 3 * angle * np.sin(angle), np.full(600, 70.0)], axis=1)
    found = rasterise(Stroke(label="edema", points=points.tolist(), radius=5), grid).inside
    chosen = np.random.default_rng(0).integers(0, grid.shape, (3000, 3))
    near = distance_to_line(chosen.astype(float), points) <= 5
    every = as_set(found)
    assert [tuple(map(int, one)) in every for one in chosen] == near.tolist()


# Lassos -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("grid", GRIDS)
@pytest.mark.parametrize("axis", range(3))
def test_a_lasso_on_a_slice_of_the_scan_fills_that_slice_alone(grid, axis):
    u, v = np.delete(np.eye(3), axis, axis=0)
    directions = grid.affine[:3, :3] / np.linalg.norm(grid.affine[:3, :3], axis=0)
    points = circle(grid, (8, 7, 6), 5.2, directions @ u, directions @ v)
    found = rasterise(Lasso(label="tumour core", points=points.tolist()), grid)
    voxels, places = centres(grid)
    middle = np.linalg.norm(places - grid.world((8, 7, 6)), axis=1)
    on_slice = voxels[:, axis] == (8, 7, 6)[axis]
    apothem = 5.2 * np.cos(np.pi / 60)
    assert as_set(voxels[on_slice & (middle <= apothem)]) <= as_set(found.inside)
    assert as_set(found.inside) <= as_set(voxels[on_slice & (middle <= 5.2 + 1e-6)])
    to_inside = np.linalg.norm(places[:, None] - grid.world(found.inside)[None], axis=2).min(axis=1)
    assert as_set(found.around) == as_set(voxels[on_slice & (to_inside > 0) & (to_inside <= 2 * 1.5)])
    assert not as_set(found.inside) & as_set(found.around)


@pytest.mark.parametrize("normal", [(0, 0, 1), (0, 1, 0), (1, 0, 0), (1, 1, 0), (1, 2, 3), (-2, 1, 5)])
def test_a_lasso_in_any_plane_of_a_tilted_scan_has_no_gaps_and_one_layer(normal):
    normal = np.array(normal) / np.linalg.norm(normal)
    u = np.cross(normal, [0.3, -0.5, 0.8])
    u /= np.linalg.norm(u)
    v = np.cross(normal, u)
    points = circle(TILTED, (8, 7, 6), 6, u, v)
    inside = rasterise(Lasso(label="edema", points=points.tolist()), TILTED).inside
    projected = np.abs(TILTED.affine[:3, :3].T @ normal)
    dominant = int(projected.argmax())
    off = (TILTED.world(inside) - TILTED.world((8, 7, 6))) @ normal
    assert np.abs(off).max() <= projected[dominant] / 2 + 1e-6
    columns = [tuple(np.delete(one, dominant)) for one in inside]
    assert len(columns) == len(set(columns))  # one voxel of every column along the axis that crosses the plane most
    assert abs(len(inside) * _facet(TILTED, dominant, normal) - np.pi * 36) < 20


def _facet(grid, dominant, normal):
    """Area of the plane within one column of voxels along an axis."""
    a, b = np.delete(grid.affine[:3, :3].T, dominant, axis=0)
    return abs(np.cross(a, b) @ grid.affine[:3, dominant]) / abs(grid.affine[:3, dominant] @ normal)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_voxels_within_a_star_are_those_that_another_library_finds(seed):
    random = np.random.default_rng(seed)
    angle = np.sort(random.uniform(0, 2 * np.pi, 9))
    radius = random.uniform(1.5, 6, 9)
    points = np.stack([8 + radius * np.cos(angle), 10 + radius * np.sin(angle), np.full(9, 5.0)], axis=1)
    grid = Grid((17, 20, 9), np.eye(4))
    voxels, places = centres(grid)
    layer = voxels[:, 2] == 5
    expected = as_set(voxels[layer][Outline(points[:, :2]).contains_points(places[layer][:, :2])])
    if expected:
        assert as_set(rasterise(Lasso(label="edema", points=points.tolist()), grid).inside) == expected


def test_a_line_that_overshoots_its_beginning_leaves_no_hole_and_an_eight_has_two_lobes():
    grid = Grid((30, 30, 3), np.eye(4))
    angle = np.linspace(0, 2.4 * np.pi, 80)
    twice = np.stack([15 + 8.4 * np.cos(angle), 15 + 8.4 * np.sin(angle), np.ones(80)], axis=1)
    found = as_set(rasterise(Lasso(label="edema", points=twice.tolist()), grid).inside)
    assert {(x, 15, 1) for x in range(7, 24)} | {(18, 18, 1)} <= found
    eight = [(5, 5, 1), (25, 25, 1), (25, 5, 1), (5, 25, 1)]
    found = as_set(rasterise(Lasso(label="edema", points=eight), grid).inside)
    assert {(7, 15, 1), (23, 15, 1)} <= found
    assert not {(15, 7, 1), (15, 23, 1)} & found


@pytest.mark.parametrize("turn", [1, -1])
@pytest.mark.parametrize("start", range(4))
def test_a_rectangle_through_the_centres_of_voxels_holds_its_border_whichever_way_it_runs(turn, start):
    corners = np.roll([(2, 3, 4), (6, 3, 4), (6, 9, 4), (2, 9, 4)], start, axis=0)[::turn]
    found = rasterise(Lasso(label="edema", points=PLAIN.world(corners).tolist()), PLAIN).inside
    assert as_set(found) == {(x, y, 4) for x in range(2, 7) for y in range(3, 10)}


def test_a_lasso_smaller_than_a_voxel_is_the_voxel_that_it_is_drawn_in():
    points = circle(PLAIN, (6.2, 7.2, 5), 0.15, (1, 0, 0), (0, 1, 0), 12)
    found = rasterise(Lasso(label="edema", points=points.tolist()), PLAIN)
    assert as_set(found.inside) == {(6, 7, 5)}
    assert (6, 7, 5) not in as_set(found.around)


def test_a_lasso_between_two_slices_takes_one_of_them():
    points = circle(PLAIN, (8, 7, 5.5), 4, (1, 0, 0), (0, 1, 0))
    assert set(rasterise(Lasso(label="edema", points=points.tolist()), PLAIN).inside[:, 2]) == {6}


def test_a_lasso_half_outside_the_scan_keeps_its_part_within():
    points = circle(PLAIN, (0, 7, 5), 4, (1, 0, 0), (0, 1, 0))
    found = rasterise(Lasso(label="edema", points=points.tolist()), PLAIN)
    assert as_set(found.inside) >= {(0, 7, 5), (3, 7, 5)}
    assert (found.inside >= 0).all()
    assert (found.around >= 0).all()


@pytest.mark.parametrize(
    "points",
    [
        [(0, 0, 0), (1, 1, 1), (2, 2, 2)],
        [(1, 1, 1)] * 4,
        [(0, 0, 0), (9, 0, 0), (9, 9, 0), (0, 9, 20)],
    ],
)
def test_a_lasso_of_one_line_one_place_or_several_slices_is_refused(points):
    with pytest.raises(PromptError, match="one plane"):
        rasterise(Lasso(label="edema", points=points), Grid((30, 30, 30), np.eye(4)))


# Boxes --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("grid", [*GRIDS[::7], TILTED])
def test_a_box_holds_the_voxels_between_its_corners_in_the_world_in_any_order_of_corners(grid):
    low, high = (grid.world(HALF) + np.array(step) for step in ((-4.1, -3.2, -5.3), (2.2, 4.4, 3.1)))
    voxels, places = centres(grid)
    expected = as_set(voxels[((places >= low) & (places <= high)).all(axis=1)])
    for flip in np.ndindex(2, 2, 2):
        first, second = np.where(flip, high, low), np.where(flip, low, high)
        found = rasterise(Box3D(label="whole tumour", corners=(tuple(first), tuple(second))), grid)
        assert as_set(found.inside) == expected
        assert not found.sure
        assert not as_set(found.around) & expected
        beside = ((places >= low - 2) & (places <= high + 2)).all(axis=1)
        assert as_set(voxels[beside]) <= expected | as_set(found.around)


@pytest.mark.parametrize("axis", range(3))
def test_a_flat_box_keeps_to_the_slice_that_it_was_drawn_on_with_what_is_around_it(axis):
    low, high = np.array([3, 4, 5]), np.array([8, 9, 10])
    high[axis] = low[axis]
    world = PLAIN.world([low, high])
    found = rasterise(Box3D(label="edema", corners=(tuple(world[0]), tuple(world[1]))), PLAIN)
    expected = {tuple(int(v) for v in low + step) for step in np.ndindex(*(high - low + 1))}
    assert as_set(found.inside) == expected
    assert len(found.around)
    assert set(found.around[:, axis]) == {low[axis]}


@pytest.mark.parametrize(
    "prompt",
    [
        Point(label="edema", at=(900, 0, 0)),
        Painted(label="edema", points=[(0, -900, 0)]),
        Stroke(label="edema", points=[(900, 0, 0), (950, 0, 0)], radius=3),
        Lasso(label="edema", points=[(900, 0, 0), (950, 0, 0), (950, 9, 0)]),
        Box3D(label="edema", corners=((900, 0, 0), (950, 9, 9))),
    ],
)
def test_a_prompt_outside_the_scan_is_refused_with_the_scans_place(prompt):
    with pytest.raises(PromptError, match="touches no voxel") as told:
        rasterise(prompt, PLAIN)
    assert "first voxel at (-10, 20, 5)" in str(told.value)
