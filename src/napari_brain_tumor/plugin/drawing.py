"""Points, boxes and lines drawn over a scan, and their positions in the scan's world."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import numpy as np
from napari.layers import Layer, Points, Shapes

from napari_brain_tumor.geometry import ViewerWorld
from napari_brain_tumor.plugin.layers import WORLD_OF_OTHERS, layer_grid, millimetres_of, view
from napari_brain_tumor.types import Array

_LINE_WIDTH: Final = 0.8
"""Width of lines over labels, in voxels."""


def world_points(points: Points, scan: Layer) -> tuple[tuple[float, float, float], ...]:
    """Return the world coordinates (x, y, z) of a layer's points, in the unit of the scan layer's world.

    Points drawn over a scan have no unit of their own in napari, so their displayed position counts.
    """
    turn = _turn(_world_of_scan(scan))
    return tuple((float(x), float(y), float(z)) for z, y, x in _seen_at(points, points.data, scan) * turn)


def _seen_at(drawn: Layer, coordinates: Iterable[Any], scan: Layer) -> Array:
    """Return the displayed positions (N, 3) (z, y, x) of a drawing over a scan, in the unit of the scan's world."""
    factor, _ = millimetres_of(scan)
    return np.array([np.asarray(drawn.data_to_world(position)) * factor for position in coordinates]).reshape(
        -1, drawn.ndim
    )


def anchor(scans: Iterable[Layer]) -> Layer:
    """Return the scan that best determines a study's position: one opened by this plugin, otherwise the first."""
    present = list(scans)
    return next((layer for layer in present if view(layer).world is not None), present[0])


def _world_of_scan(scan: Layer) -> ViewerWorld:
    """Return the orientation of the viewer's world for a scan."""
    return view(scan).world or WORLD_OF_OTHERS


def _turn(world: ViewerWorld) -> Array:
    """Return the signs that convert (z, y, x) between the viewer's and the patient's world."""
    return np.array((1.0, 1.0, 1.0) if world == "RAS" else (1.0, -1.0, -1.0))


def world_box(shapes: Shapes, scan: Layer) -> tuple[float, float, float, float, float, float] | None:
    """Return the box (x0, x1, y0, y1, z0, z1) around all shapes of a layer, in the unit of the scan layer's world.

    Along an axis in which the drawing has no extent, such as the slice axis for a rectangle on one slice, the box
    covers the whole scan. None if the layer is empty.
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
    """Return an empty shapes layer in the world and unit of a scan's layer."""
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
    """Return a layer of straight lines at the position of a labels layer.

    Parameters
    ----------
    lines : sequence of (2, 3) arrays
        Both ends of each line in the world (x, y, z), in the unit of the labels' world.
    colors : sequence of str
        One colour per line.
    features : mapping of str to sequence
        Features of the lines; the value of `text` is written next to each line.
    world : {"RAS", "LPS"}
        World of the grid on which the lines were measured.
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
    """Replace the lines shown in a layer made by `lines_over`."""
    drawn = [np.stack([shapes.world_to_data(shown_point(labels, end, world)) for end in line]) for line in lines]
    shapes.data = []
    if not drawn:
        return
    shapes.add(drawn, shape_type="line", edge_width=_LINE_WIDTH, edge_color=list(colors))
    shapes.features = {key: list(values) for key, values in features.items()}
    shapes.text = {"string": "{text}", "size": 11, "color": "white", "anchor": "upper_left"}


def shown_point(layer: Layer, point: Sequence[float], world: ViewerWorld = "RAS") -> Array:
    """Convert a point (x, y, z) in a layer's world, in the unit of its grid, to napari's coordinates (z, y, x)."""
    factor, _ = millimetres_of(layer)
    return in_viewer(point, world) / factor


def in_viewer(point: Sequence[float], world: ViewerWorld) -> Array:
    """Convert a point (x, y, z) of the patient's world to (z, y, x) in the viewer's world of this orientation."""
    turned: Array = np.asarray(point, dtype=np.float64)[::-1] * _turn(world)
    return turned


def world_lines(shapes: Shapes, labels: Layer, world: ViewerWorld = "RAS") -> list[Array | None]:
    """Return both ends `(2, 3)` of each shape in a labels layer's world (x, y, z); None if it is no straight line."""
    turn = _turn(world)
    return [(_seen_at(shapes, line, labels) * turn)[:, ::-1] if len(line) == 2 else None for line in shapes.data]


def points_over(scan: Layer, name: str) -> Points:
    """Return an empty points layer in the world and unit of a scan's layer."""
    size = 3 * float(min(scan.scale))
    return Points(ndim=scan.ndim, name=name, units=scan.units, size=size, face_color="yellow")
