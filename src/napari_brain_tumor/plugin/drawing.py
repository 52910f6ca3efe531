"""Points, boxes and lines that are drawn over a scan, and where they lie in its world."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import numpy as np
from napari.layers import Layer, Points, Shapes

from napari_brain_tumor.geometry import ViewerWorld
from napari_brain_tumor.plugin.layers import WORLD_OF_OTHERS, layer_grid, millimetres_of, view
from napari_brain_tumor.types import Array

_LINE_WIDTH: Final = 0.8
"""Of lines over labels, in voxels."""


def world_points(points: Points, scan: Layer) -> tuple[tuple[float, float, float], ...]:
    """World coordinates (x, y, z) of the points of a layer, in the unit of the world of a scan's layer.

    Points that are drawn over a scan have no unit of their own in napari: what counts is where they are seen.
    """
    turn = _turn(_world_of_scan(scan))
    return tuple((float(x), float(y), float(z)) for z, y, x in _seen_at(points, points.data, scan) * turn)


def _seen_at(drawn: Layer, coordinates: Iterable[Any], scan: Layer) -> Array:
    """Where in the viewer's world (N, 3) (z, y, x) something is drawn over a scan, in the unit of the scan's world."""
    factor, _ = millimetres_of(scan)
    return np.array([np.asarray(drawn.data_to_world(position)) * factor for position in coordinates]).reshape(
        -1, drawn.ndim
    )


def anchor(scans: Iterable[Layer]) -> Layer:
    """The scan that tells best where a study lies: one that this plugin opened, else the first."""
    present = list(scans)
    return next((layer for layer in present if view(layer).world is not None), present[0])


def _world_of_scan(scan: Layer) -> ViewerWorld:
    """Which way the viewer's world runs for a scan."""
    return view(scan).world or WORLD_OF_OTHERS


def _turn(world: ViewerWorld) -> Array:
    """Signs that bring (z, y, x) of the viewer's world into the patient's, and back."""
    return np.array((1.0, 1.0, 1.0) if world == "RAS" else (1.0, -1.0, -1.0))


def world_box(shapes: Shapes, scan: Layer) -> tuple[float, float, float, float, float, float] | None:
    """The box (x0, x1, y0, y1, z0, z1) around all shapes of a layer, in the unit of the world of a scan's layer.

    Along an axis across which nothing is drawn, as a rectangle in one slice tells nothing of the other slices, it
    reaches over the whole scan. None where the layer is empty.
    """
    corners = _seen_at(shapes, (corner for shape in shapes.data for corner in shape), scan)
    if not len(corners):
        return None
    low, high = np.min(corners, axis=0), np.max(corners, axis=0)
    grid = layer_grid(scan, scan.data.shape)
    faces = grid.world(np.array([(0, 0, 0), grid.shape]) - 0.5)[:, ::-1]
    flat = high - low < 1e-3 * np.array(grid.spacing[::-1])
    low, high = np.where(flat, faces.min(axis=0), low), np.where(flat, faces.max(axis=0), high)
    ends = np.stack([low, high]) * _turn(_world_of_scan(scan))
    low, high = ends.min(axis=0), ends.max(axis=0)
    z0, y0, x0, z1, y1, x1 = (round(float(end), 2) for end in (*low, *high))
    return x0, x1, y0, y1, z0, z1


def rectangles_over(scan: Layer, name: str) -> Shapes:
    """An empty layer of shapes in the world of a scan's layer and in its unit."""
    width = 0.5 * float(min(scan.scale))
    return Shapes(
        ndim=scan.ndim, name=name, units=scan.units, edge_width=width, edge_color="yellow", face_color="#ffff0022"
    )


def lines_over(
    labels: Layer,
    name: str,
    lines: Sequence[Any],
    colors: Sequence[str],
    features: Mapping[str, Sequence[Any]],
    world: ViewerWorld = "RAS",
) -> Shapes:
    """A layer of straight lines that lies where a labels layer lies.

    Parameters
    ----------
    lines : sequence of (2, 3) arrays
        Both ends of each in the world (x, y, z), in the unit of the labels' world.
    colors : sequence of str
        One a line.
    features : mapping of str to sequence
        Of each line; what `text` tells is written beside it.
    world : {"RAS", "LPS"}
        That of the grid of what was measured.
    """
    placed = {key: getattr(labels, key) for key in ("scale", "translate", "rotate", "shear", "affine", "units")}
    shapes = Shapes(ndim=labels.ndim, name=name, opacity=1.0, axis_labels=labels.axis_labels, **placed)
    draw_lines(shapes, labels, lines, colors, features, world)
    return shapes


def draw_lines(
    shapes: Shapes,
    labels: Layer,
    lines: Sequence[Any],
    colors: Sequence[str],
    features: Mapping[str, Sequence[Any]],
    world: ViewerWorld = "RAS",
) -> None:
    """Show these lines in a layer of `lines_over` instead of what it shows."""
    drawn = [np.stack([shapes.world_to_data(shown_point(labels, end, world)) for end in line]) for line in lines]
    shapes.data = []
    if not drawn:
        return
    shapes.add(drawn, shape_type="line", edge_width=_LINE_WIDTH, edge_color=list(colors))
    shapes.features = {key: list(values) for key, values in features.items()}
    shapes.text = {"string": "{text}", "size": 11, "color": "white", "anchor": "upper_left"}


def shown_point(layer: Layer, point: Sequence[float], world: ViewerWorld = "RAS") -> Array:
    """A point of the world (x, y, z) of a layer, in the unit of its grid, as napari's coordinates (z, y, x)."""
    factor, _ = millimetres_of(layer)
    return in_viewer(point, world) / factor


def in_viewer(point: Sequence[float], world: ViewerWorld) -> Array:
    """A point of the patient's world (x, y, z) as (z, y, x) of the viewer's, which runs that way for its scan."""
    turned: Array = np.asarray(point, dtype=np.float64)[::-1] * _turn(world)
    return turned


def world_lines(shapes: Shapes, labels: Layer, world: ViewerWorld = "RAS") -> list[Array | None]:
    """Both ends `(2, 3)` of each shape in the world (x, y, z) of a labels layer; None where it is no straight line."""
    turn = _turn(world)
    return [(_seen_at(shapes, line, labels) * turn)[:, ::-1] if len(line) == 2 else None for line in shapes.data]


def points_over(scan: Layer, name: str) -> Points:
    """An empty layer of points in the world of a scan's layer and in its unit."""
    size = 3 * float(min(scan.scale))
    return Points(ndim=scan.ndim, name=name, units=scan.units, size=size, face_color="yellow")
