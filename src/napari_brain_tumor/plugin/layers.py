"""The one translation between studies and segmentations and napari's layers.

Layers are (Z, Y, X) on the closest orthogonal RAS grid, in millimetres where the files state the voxel size. What is
needed to get back to the source scan's own grid travels with each layer, as a `SequenceTag` or `SegmentationTag` in
its metadata under `"napari-brain-tumor"`.
"""

import re
import sys
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import takewhile
from typing import Any, Final, Literal, TypeVar

import numpy as np
import numpy.typing as npt
from napari.layers import Image, Labels, Layer, Points, Shapes
from napari.utils.colormaps import DirectLabelColormap
from napari.utils.notifications import show_info, show_warning

from napari_brain_tumor.autosave.changes import digest_of
from napari_brain_tumor.errors import DimensionError, GridMismatchError, LabelSchemaError
from napari_brain_tumor.geometry import Grid, LengthUnit, ViewerWorld, bounding_box, resample
from napari_brain_tumor.io.one_grid import FINEST, bring_onto_one_grid
from napari_brain_tumor.labels import CLASS_COLORS, CLASS_NAMES, Region, label_values, labels_sha256
from napari_brain_tumor.plugin.display import Display
from napari_brain_tumor.plugin.labels_edit import replace_labels
from napari_brain_tumor.study import FileLayout, Role, Segmentation, Source, Study
from napari_brain_tumor.types import Array

KEY: Final = "napari-brain-tumor"
"""Of our entry in a layer's metadata."""
MAP_KEY: Final = "napari-brain-tumor map"
"""Of what tells that an image layer holds computed numbers, not a scan."""
CODES_KEY: Final = "napari-brain-tumor codes"
"""Of what tells that a labels layer holds computed codes, such as agreed and missed, not a segmentation."""
PROMPTS_KEY: Final = "napari-brain-tumor prompts"
"""Of what tells that a layer holds prompts: nothing to be measured, saved or journalled."""

Key = TypeVar("Key", bound=Hashable)
LayerData = tuple[Array, dict[str, Any], str]
"""Data, attributes and type of a layer, as napari's readers return them."""

_FIRST_SHOWN: Final[tuple[Role, ...]] = ("FLAIR", "T1c", "T2", "T1")
_AXES: Final = ("z", "y", "x")
_LINE_WIDTH: Final = 0.8
"""Of lines over labels, in voxels."""
_WORLD_OF_OTHERS: Final[ViewerWorld] = "LPS"
"""Of layers that other programs opened: that of DICOM, and of most readers, which are ITK's."""
_ORIENTATION_OF_OTHERS: Final = (
    "not opened by this plugin, so its orientation is not known: columns are taken to run to the patient's left, rows "
    "to the back and slices to the head; left/right is a guess."
)
_SAMPLE: Final = 2_000_000
"""About how many voxels the contrast limits are taken from."""


@dataclass(frozen=True, slots=True, eq=False)
class SequenceTag:
    """What an image layer remembers of its study.

    Parameters
    ----------
    case : str
        Name of the study.
    grid : Grid
        The scan's own.
    role : Role or None
        None for an image that was opened without one.
    layout, source, notes
        As in `Study`.
    resampled : bool
        Whether it was brought onto `grid` from another one.
    original, displayed : array or None
        Of an oblique scan: the intensities on its own grid, and the array they were shown as.
    """

    case: str
    grid: Grid
    role: Role | None = None
    layout: FileLayout = None
    source: Source | None = None
    notes: tuple[str, ...] = ()
    original: Array | None = None
    displayed: Array | None = None
    resampled: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class SegmentationTag:
    """What a labels layer remembers of its segmentation; fields as in `Segmentation`.

    Parameters
    ----------
    understood : bool
        False where it is not certain what the integers mean.
    original : array or None
        Of an oblique scan: the classes on its own grid.
    digest : str
        Of the labels as they were first shown: tells whether they were edited since.
    refined_digest : str
        Of the labels after a correction by prompts alone, without anything that was painted by hand.
    """

    case: str
    grid: Grid
    layout: FileLayout = None
    class_names: Mapping[int, str] = field(default_factory=lambda: dict(CLASS_NAMES))
    known_regions: tuple[Region, ...] = ("WT", "TC", "ET")
    provenance: Mapping[str, Any] = field(default_factory=dict)
    understood: bool = True
    original: Array | None = None
    digest: str = ""
    refined_digest: str = ""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class LayerView:
    """What is read from a layer, taken at once in napari's thread so that the rest may run in another.

    Parameters
    ----------
    data : (Z, Y, X) array
        The layer's own, not a copy.
    grid : Grid
        Where the layer lies now in the viewer's world, its axes in the order X, Y, Z.
    tag : SequenceTag, SegmentationTag or None
        Ours, as long as the layer was not moved since.
    world : {"RAS", "LPS"} or None
        Which way the viewer's world runs for this layer; None where another program opened it, and nothing tells.
    """

    name: str
    kind: Literal["image", "labels"]
    data: Array
    grid: Grid
    tag: SequenceTag | SegmentationTag | None
    world: ViewerWorld | None = None


# Studies and segmentations to layers --------------------------------------------------------------------------------


def study_to_layers(study: Study) -> list[LayerData]:
    """One image layer a sequence, in the order T1, T1c, T2, FLAIR; one is visible, the others wait hidden.

    The arrays are views of the study's own, unless the scan is oblique: then they are resampled and the name says so.
    """
    display = Display.of(study.grid)
    visible = next(role for role in _FIRST_SHOWN if role in study.sequences)
    return [_sequence_to_layer(study, role, display, visible=role == visible) for role in study.roles]


def _sequence_to_layer(study: Study, role: Role, display: Display, *, visible: bool) -> LayerData:
    tag = SequenceTag(study.name, study.grid, role, study.layout, study.sources.get(role), study.notes)
    tag = replace(tag, resampled=role in study.resampled)
    return _image_layer(f"{study.name} {role}", study.sequences[role], tag, display, visible=visible)


def image_to_layer(
    name: str, array: Array, grid: Grid, *, visible: bool = True, notes: tuple[str, ...] = ()
) -> LayerData:
    """An image layer without a role, from an array (X, Y, Z) on its grid. The role may be chosen in the panel."""
    return _image_layer(name, array, SequenceTag(name, grid, notes=notes), Display.of(grid), visible=visible)


def _image_layer(name: str, array: Array, tag: SequenceTag, display: Display, *, visible: bool) -> LayerData:
    displayed = display.show(array)
    if display.resampled:
        tag = replace(tag, original=array, displayed=displayed)
    attributes = {
        **_placement(display),
        "name": _name(name, display),
        "metadata": {KEY: tag},
        "colormap": "gray",
        "contrast_limits": _contrast_limits(displayed),
        "interpolation2d": "linear",
        "visible": visible,
    }
    return displayed, attributes, "image"


def segmentation_to_layer(
    segmentation: Segmentation, *, name: str | None = None, visible: bool = True, opacity: float = 0.6
) -> LayerData:
    """A labels layer with class names on hover, from a copy of the labels.

    Parameters
    ----------
    segmentation : Segmentation
    name : str, optional
        Of the layer; `"<case> segmentation"` where none is given.
    visible : bool
    opacity : float
    """
    display = Display.of(segmentation.grid)
    displayed = np.array(display.show(segmentation.data, nearest=True), order="C")
    tag = SegmentationTag(
        segmentation.name,
        segmentation.grid,
        segmentation.layout,
        dict(segmentation.class_names),
        segmentation.known_regions,
        dict(segmentation.provenance),
        original=segmentation.data if display.resampled else None,
        digest=digest_of(displayed).hex(),
        notes=segmentation.notes,
    )
    attributes = {
        **_placement(display),
        "name": _name(name or f"{segmentation.name} segmentation", display),
        "metadata": {KEY: tag},
        "colormap": _class_colormap(),
        "features": _features(segmentation.class_names),
        "opacity": opacity,
        "visible": visible,
    }
    return displayed, attributes, "labels"


def raw_labels_to_layer(name: str, values: Array, grid: Grid, *, notes: tuple[str, ...] = ()) -> LayerData:
    """A labels layer of integers (X, Y, Z) whose meaning is not certain; it says so on hover and is not saved."""
    display = Display.of(grid)
    names = {value: f"{value} (meaning not known)" for value in sorted(label_values(values) - {0})}
    tag = SegmentationTag(name, grid, class_names=names, known_regions=(), understood=False, notes=notes)
    attributes = {
        **_placement(display),
        "name": _name(name, display),
        "metadata": {KEY: tag},
        "features": _features(names),
        "opacity": 0.6,
    }
    return np.array(display.show(values, nearest=True), order="C"), attributes, "labels"


def coded_labels_to_layer(
    name: str, values: Array, grid: Grid, names: Mapping[int, str], colors: Mapping[int, Any], *, of: str
) -> LayerData:
    """A labels layer of computed codes (X, Y, Z), named on hover; it is no segmentation, and is not saved as one.

    Parameters
    ----------
    name : str
    values : (X, Y, Z) array of uint8
    grid : Grid
        That of the segmentations that they were computed from.
    names, colors : mapping of int to str, and to a colour
        What each value means, and how it is shown; 0 is clear.
    of : str
        What it is kept under in the metadata, to find it again.
    """
    display = Display.of(grid)
    displayed = np.array(display.show(values, nearest=True), order="C")
    tag = SegmentationTag(name, grid, class_names=dict(names), known_regions=(), understood=False)
    shades: dict[int | None, Any] = {None: "white", 0: "transparent"}
    attributes = {
        **_placement(display),
        "name": _name(name, display),
        "metadata": {KEY: tag, CODES_KEY: of},
        "colormap": DirectLabelColormap(color_dict=shades | dict(colors)),
        "features": _features(names),
        "opacity": 0.6,
    }
    return displayed, attributes, "labels"


def put_codes(layer: Layer, layer_data: LayerData) -> bool:
    """Show other codes in a layer of codes; False, and nothing is changed, where they lie on another grid."""
    values, attributes, _ = layer_data
    if layer.data.shape != values.shape or not layer.metadata[KEY].grid.same_place(attributes["metadata"][KEY].grid):
        return False
    replace_labels(layer, values)
    for name in ("colormap", "features", "metadata", "name"):
        setattr(layer, name, attributes[name])
    return True


def map_to_layer(name: str, array: Array, grid: Grid, colormap: str, *, of: str = "") -> LayerData:
    """An image layer of numbers (X, Y, Z) from 0 to 1 over a scan, such as probabilities; it is no scan of a study.

    Parameters
    ----------
    name : str
    array : (X, Y, Z) array
    grid : Grid
        The scan's own.
    colormap : str
        Of napari.
    of : str
        What it is kept under in the metadata, to find it again.
    """
    display = Display.of(grid)
    attributes = {
        **_placement(display),
        "name": _name(name, display),
        "metadata": {MAP_KEY: of or name},
        "colormap": colormap,
        "contrast_limits": (0.0, 1.0),
        "blending": "additive",
        "opacity": 0.6,
    }
    return display.show(array), attributes, "image"


def _placement(display: Display) -> dict[str, Any]:
    placement: dict[str, Any] = {"scale": display.scale, "translate": display.translate, "axis_labels": _AXES}
    if display.source.unit == "mm":
        placement["units"] = ("mm", "mm", "mm")
    return placement


def _name(name: str, display: Display) -> str:
    return f"{name} (resampled: oblique)" if display.resampled else name


def display_notes(name: str, grid: Grid) -> tuple[str, ...]:
    """What to tell of how a scan on this grid is shown; nothing unless it is oblique."""
    display = Display.of(grid)
    if not display.resampled:
        return ()
    size = " x ".join(f"{step:.2g}" for step in display.viewer_grid.spacing)
    unit = "mm" if grid.unit == "mm" else "voxels"
    return (
        f"{name} is oblique: its slices are tilted against the patient's axes. It is shown resampled along these axes "
        f"({size} {unit}); labels are computed, measured and saved on its own grid.",
    )


def _contrast_limits(array: Array) -> tuple[float, float]:
    step = max(1, round((array.size / _SAMPLE) ** (1 / 3)))
    sample = array[::step, ::step, ::step]
    sample = sample[np.isfinite(sample)]
    head = sample[sample != 0]
    if not head.size:
        return 0.0, 1.0
    low, high = np.percentile(head, (0.5, 99.8))
    return float(low), float(high if high > low else low + 1)


def _class_colormap() -> DirectLabelColormap:
    # An integer that is no class shows white instead of hiding: painted by mistake, it should be seen.
    colors: dict[int | None, str] = {None: "white", 0: "transparent"}
    return DirectLabelColormap(color_dict=colors | dict(CLASS_COLORS.items()))


def _features(names: Mapping[int, str]) -> dict[str, list[Any]]:
    rows = {0: "background"} | dict(names)
    return {"index": list(rows), "class": list(rows.values())}


# Layers to studies and segmentations --------------------------------------------------------------------------------


def view(layer: Layer | LayerView) -> LayerView:
    """Read what is needed from an image or labels layer.

    Raises
    ------
    DimensionError
        If the layer is neither, or is not a volume or slice of single values.
    """
    if isinstance(layer, LayerView):
        return layer
    if not isinstance(layer, (Image, Labels)) or getattr(layer, "rgb", False) or layer.ndim not in (2, 3):
        what = f"{type(layer).__name__} with {layer.ndim} dimensions{', RGB' if getattr(layer, 'rgb', False) else ''}"
        msg = (
            f"Layer {layer.name!r} is {what}; an image or labels layer of one (Z, Y, X) volume is needed. "
            "Split colours or time points first: right-click the layer, then Split Stack or Split RGB."
        )
        raise DimensionError(msg)
    data = layer.data[0] if layer.multiscale else layer.data
    data = data if isinstance(data, np.ndarray) else np.asarray(data)
    grid = _layer_grid(layer, data.shape)
    kind: Literal["image", "labels"] = "labels" if isinstance(layer, Labels) else "image"
    volume = data if data.ndim == 3 else data[np.newaxis]
    tag = layer.metadata.get(KEY)
    if not isinstance(tag, (SequenceTag, SegmentationTag)):
        return LayerView(layer.name, kind, volume, grid, None)
    moved = not Display.of(tag.grid).viewer_grid.in_viewer.same_place(grid)
    return LayerView(layer.name, kind, volume, grid, None if moved else tag, tag.grid.viewer)


def _layer_grid(layer: Layer, shape: tuple[int, ...]) -> Grid:
    """The grid (X, Y, Z) of a layer (Z, Y, X) or (Y, X) in the viewer's world."""
    origin = np.asarray(layer.data_to_world((0,) * layer.ndim))
    columns = [np.asarray(layer.data_to_world(tuple(step))) - origin for step in np.eye(layer.ndim)]
    affine = np.eye(4)
    affine[: layer.ndim, : layer.ndim] = np.stack(columns, axis=1)[::-1, ::-1]
    affine[: layer.ndim, 3] = origin[::-1]
    factor, unit = _millimetres(layer)
    affine[:3] *= factor
    return Grid((*shape[::-1], 1)[:3], affine, unit)  # type: ignore[arg-type]


def _millimetres(layer: Layer) -> tuple[float, LengthUnit]:
    """What one world unit of the layer is in millimetres, if its unit is a length."""
    unit = 1 * layer.units[-1]
    return (float(unit.to("mm").magnitude), "mm") if unit.check("[length]") else (1.0, "voxel")


def world_points(points: Points, scan: Layer) -> tuple[tuple[float, float, float], ...]:
    """World coordinates (x, y, z) of the points of a layer, in the unit of the world of a scan's layer.

    Points that are drawn over a scan have no unit of their own in napari: what counts is where they are seen.
    """
    turn = _turn(_world_of_scan(scan))
    return tuple((float(x), float(y), float(z)) for z, y, x in _seen_at(points, points.data, scan) * turn)


def _seen_at(drawn: Layer, coordinates: Iterable[Any], scan: Layer) -> Array:
    """Where in the viewer's world (N, 3) (z, y, x) something is drawn over a scan, in the unit of the scan's world."""
    factor, _ = _millimetres(scan)
    return np.array([np.asarray(drawn.data_to_world(position)) * factor for position in coordinates]).reshape(
        -1, drawn.ndim
    )


def anchor(scans: Iterable[Layer]) -> Layer:
    """The scan that tells best where a study lies: one that this plugin opened, else the first."""
    present = list(scans)
    return next((layer for layer in present if view(layer).world is not None), present[0])


def _world_of_scan(scan: Layer) -> ViewerWorld:
    """Which way the viewer's world runs for a scan."""
    return view(scan).world or _WORLD_OF_OTHERS


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
    grid = _layer_grid(scan, scan.data.shape)
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
    labels : Labels
    name : str
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
    factor, _ = _millimetres(layer)
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


def study_from_layers(layers: Mapping[Role, Layer | LayerView]) -> Study:
    """The study that those layers show, on the grid of their source scan.

    Parameters
    ----------
    layers : mapping of role to layer
        Layers that this plugin opened give back the scan's own grid. Other image layers tell no orientation: where
        one lies on a layer of ours it has its orientation, else its world is taken as that of ITK (left, back, head),
        and a note says so. No layer is altered.

    Raises
    ------
    DimensionError
        If a layer is not one volume of single values.
    GridMismatchError
        If the layers do not lie on one grid.
    """
    views = {role: view(layer) for role, layer in layers.items()}
    on_grid = intensities_of_all(views)
    grids = {role: grid for role, (_, grid) in on_grid.items()}
    _require_one_grid({f"{role} ({views[role].name})": grid for role, grid in grids.items()})
    tags = {role: layer_view.tag for role, layer_view in views.items() if isinstance(layer_view.tag, SequenceTag)}
    names = list(dict.fromkeys(tag.case for tag in tags.values()))
    first = next(iter(tags.values()), None)
    return Study(
        {role: array for role, (array, _) in on_grid.items()},
        next(iter(grids.values())),
        name=names[0] if names else next(iter(views.values())).name,
        sources={role: tag.source for role, tag in tags.items() if tag.source is not None},
        layout=first.layout if first is not None and len(names) == 1 else None,
        notes=notes_of(views),
        resampled=tuple(role for role, tag in tags.items() if tag.resampled),
    )


def resampled_layers(layers: Mapping[Role, Layer | LayerView], onto: str = FINEST) -> list[LayerData]:
    """Layers of sequences that lie on different grids, brought onto one; the given layers are not altered.

    Parameters
    ----------
    layers : mapping of role to layer
    onto : str
        As for `open_study`.

    Raises
    ------
    DimensionError, RoleError, GridMismatchError
        If a layer is no volume, there is no such role, or they cannot be brought onto one grid.
    """
    views = {role: view(layer) for role, layer in layers.items()}
    resampled = bring_onto_one_grid(intensities_of_all(views), onto)
    tags = {role: layer_view.tag for role, layer_view in views.items() if isinstance(layer_view.tag, SequenceTag)}
    reference = tags.get(resampled.reference) if resampled.reference is not None else None
    study = Study(
        resampled.arrays,
        resampled.grid,
        name=f"{_common_name(list(tags.values()))} one grid",
        sources={role: tag.source for role, tag in tags.items() if tag.source is not None},
        layout=reference.layout if reference is not None else None,
        notes=(*notes_of(views), *resampled.notes),
        resampled=tuple(role for role in views if role in resampled.resampled or _was_resampled(tags.get(role))),
    )
    return study_to_layers(study)


def _was_resampled(tag: SequenceTag | None) -> bool:
    return tag is not None and tag.resampled


def _common_name(tags: Sequence[SequenceTag]) -> str:
    """What the names of scans of one examination have in common up to a separator, or the folder that they lie in."""
    names = list(dict.fromkeys(tag.case for tag in tags))
    if len(names) == 1:
        return names[0]
    same = takewhile(lambda letters: len(set(letters)) == 1, zip(*names, strict=False))
    prefix = re.split(r"[ _.-](?=[^ _.-]*$)", "".join(first for first, *_ in same))[0]
    folders = {tag.source.path.parent.name for tag in tags if tag.source is not None}
    return prefix or (folders.pop() if len(folders) == 1 else "") or "scans"


def intensities_of_all(views: Mapping[Key, LayerView]) -> dict[Key, tuple[Array, Grid]]:
    """The array (X, Y, Z) of each image's view on its own grid, that of its source scan if this plugin opened it."""
    return {key: _intensities_of(layer_view, views.values()) for key, layer_view in views.items()}


def _intensities_of(layer_view: LayerView, beside: Iterable[LayerView]) -> tuple[Array, Grid]:
    tag = layer_view.tag
    if not isinstance(tag, SequenceTag):
        return np.ascontiguousarray(layer_view.data.T), _grid_of_other(layer_view, beside)
    if tag.original is not None and layer_view.data is tag.displayed:
        return tag.original, tag.grid
    return Display.of(tag.grid).restore(layer_view.data), tag.grid


def _grid_of_other(layer_view: LayerView, beside: Iterable[LayerView]) -> Grid:
    """The grid in the patient's world of a layer that another program opened, or that was made from one of ours."""
    known = _ours_there(layer_view, beside)
    world = (layer_view if known is None else known).world or _WORLD_OF_OTHERS
    return layer_view.grid if world == "RAS" else layer_view.grid.as_in_lps_viewer()


def _ours_there(layer_view: LayerView, beside: Iterable[LayerView]) -> LayerView | None:
    """What lies there and tells which way the world runs: the layer itself, or another one."""
    return next(
        (
            candidate
            for candidate in (layer_view, *beside)
            if candidate.world is not None and candidate.grid.same_place(layer_view.grid)
        ),
        None,
    )


def _require_one_grid(grids: Mapping[str, Grid]) -> None:
    (first_name, first), *others = grids.items()
    if all(first.same_place(grid) for _, grid in others):
        return
    listed = "; ".join(f"{name}: {grid.describe()}" for name, grid in grids.items())
    msg = (
        f"The selected layers are not on one grid ({listed}). A study needs one grid: choose layers of the same scan "
        f"as {first_name}, or co-register and resample the others onto it first."
    )
    raise GridMismatchError(msg)


def notes_of(views: Mapping[Role, LayerView]) -> tuple[str, ...]:
    """What is known to be guessed of layers that make a study: what their readers noticed, and where they lie."""
    tags = [layer_view.tag for layer_view in views.values() if isinstance(layer_view.tag, SequenceTag)]
    notes = list(dict.fromkeys(note for tag in tags for note in tag.notes))
    others = {role: layer_view for role, layer_view in views.items() if not isinstance(layer_view.tag, SequenceTag)}
    alone = [
        f"{role} ({layer_view.name})"
        for role, layer_view in others.items()
        if _ours_there(layer_view, views.values()) is None
    ]
    if alone:
        notes.append(f"{', '.join(alone)}: {_ORIENTATION_OF_OTHERS}")
    names = list(dict.fromkeys(tag.case for tag in tags))
    if len(names) > 1:
        notes.append(f"The sequences come from different files or cases: {', '.join(names)}.")
    return tuple(notes)


def segmentation_from_layer(layer: Layer | LayerView, references: Iterable[Layer | LayerView] = ()) -> Segmentation:
    """The segmentation in a labels layer, on the source scan's own grid.

    Parameters
    ----------
    layer : Labels or LayerView
        One of ours, or painted from scratch.
    references : iterable of layers
        Opened layers; labels that are not ours are matched to one of them by where they lie in the world.

    Raises
    ------
    LabelSchemaError
        If the meaning of the integers is not known, or they are not integers from 0 to 255.
    GridMismatchError
        If the labels belong to none of the references, or to several.
    """
    labels_view = view(layer)
    tag = labels_view.tag if isinstance(labels_view.tag, SegmentationTag) else None
    if tag is None:
        reference = _reference(
            labels_view, [view(layer_of_scan) for layer_of_scan in references if _readable(layer_of_scan)]
        )
        return _on_reference(labels_view, reference)
    if not tag.understood:
        msg = (
            f"What the labels in {labels_view.name!r} mean is not known, so they cannot be measured or saved. "
            "Open the file "
            "again with Open… > Files that need details… in the Brain Tumor panel and choose what the labels mean."
        )
        raise LabelSchemaError(msg)
    data = Display.of(tag.grid).restore_labels(_classes(labels_view), tag.original)
    provenance = dict(tag.provenance)
    if digest_of(labels_view.data).hex() not in (tag.digest, tag.refined_digest):
        provenance["edited_by_hand"] = True
    if "refined" in provenance:
        provenance["labels_sha256"] = labels_sha256(data)
    names = tag.class_names
    return Segmentation(data, tag.grid, tag.case, names, tag.known_regions, tag.layout, provenance, tag.notes)


def is_edited(layer: Layer) -> bool:
    """Whether the labels of a layer of ours are not those that it was first shown with."""
    tag = layer.metadata.get(KEY)
    return isinstance(tag, SegmentationTag) and digest_of(layer.data).hex() != tag.digest


def is_prompt_layer(layer: Layer | None) -> bool:
    """Whether a layer is one of those in which prompts of a correction are drawn."""
    return layer is not None and PROMPTS_KEY in layer.metadata


def readable_views(all_layers: Iterable[Layer]) -> list[LayerView]:
    """Views of those layers that hold one volume."""
    return [view(layer) for layer in all_layers if _readable(layer)]


def _readable(layer: Layer | LayerView) -> bool:
    if isinstance(layer, LayerView):
        return True
    return isinstance(layer, (Image, Labels)) and layer.ndim in (2, 3) and not getattr(layer, "rgb", False)


def _classes(labels_view: LayerView) -> npt.NDArray[np.uint8]:
    if labels_view.data.dtype == np.uint8:
        return labels_view.data
    low, high = int(labels_view.data.min()), int(labels_view.data.max())
    if low < 0 or high > 255:
        msg = (
            f"The labels in {labels_view.name!r} run from {low} to {high}; classes are 1 to {max(CLASS_COLORS)}. "
            "Relabel them."
        )
        raise LabelSchemaError(msg)
    return labels_view.data.astype(np.uint8)


def _reference(labels_view: LayerView, candidates: Sequence[LayerView]) -> LayerView:
    """The opened layer on whose scan the labels were painted."""
    others = [
        scan for scan in candidates if scan.name != labels_view.name and (scan.tag is not None or scan.kind == "image")
    ]
    exact = [scan for scan in others if scan.grid.same_place(labels_view.grid)]
    holding = exact or [scan for scan in others if _holds(scan, labels_view)]
    # A tagged layer knows its file; a plain image only where it lies.
    holding.sort(key=lambda scan: scan.tag is None)
    if not holding:
        listed = "; ".join(f"{scan.name}: {scan.grid.describe()}" for scan in others) or "none"
        msg = (
            f"The labels layer {labels_view.name!r} ({labels_view.grid.describe()}) lies on no opened scan "
            f"({listed}). Open the scan "
            "it belongs to, or select a scan's layer before making a new labels layer."
        )
        raise GridMismatchError(msg)
    if not exact and any(not holding[0].grid.same_place(scan.grid) for scan in holding[1:]):
        names = ", ".join(scan.name for scan in holding)
        msg = (
            f"The labels layer {labels_view.name!r} lies on several opened scans with different grids ({names}). "
            "Remove the layers that it does not belong to, or paint on labels made with one scan selected."
        )
        raise GridMismatchError(msg)
    return holding[0]


def _holds(reference: LayerView, labels_view: LayerView) -> bool:
    """Whether every painted voxel lies within the reference's volume."""
    box = bounding_box(labels_view.data.T != 0)
    if reference.grid.unit != labels_view.grid.unit or box is None:
        return False
    corners = np.array(np.meshgrid(*zip(box.start, np.array(box.stop) - 1, strict=True))).reshape(3, -1).T
    at = reference.grid.voxels(labels_view.grid.world(corners))
    return bool((at >= -0.51).all() and (at <= np.array(reference.grid.shape) - 0.49).all())


def _doubts_of(reference: LayerView) -> tuple[str, ...]:
    return () if reference.world is not None else (f"{reference.name}: {_ORIENTATION_OF_OTHERS}",)


def _inputs_of(tag: SequenceTag | SegmentationTag | None) -> dict[str, Any]:
    """The DICOM series that labels were painted on, so that what is made of them can refer to it."""
    source = tag.source if isinstance(tag, SequenceTag) and not tag.resampled else None
    if source is None or source.series is None:
        return {}
    role = tag.role if isinstance(tag, SequenceTag) else None
    return {"inputs": {role or "scan": {"path": str(source.path), "series": source.series}}}


def _on_reference(labels_view: LayerView, reference: LayerView) -> Segmentation:
    tag = reference.tag
    source = tag.grid if tag is not None else _grid_of_other(reference, ())
    if not reference.grid.same_place(labels_view.grid):
        data = resample(_classes(labels_view).T, labels_view.grid, source.in_viewer, nearest=True)
    elif tag is not None:
        data = Display.of(source).restore_labels(_classes(labels_view), None)
    else:
        data = np.ascontiguousarray(_classes(labels_view).T)
    return Segmentation(
        data,
        source,
        tag.case if tag is not None else reference.name,
        layout=tag.layout if tag is not None else None,
        provenance={"method": "painted by hand", **_inputs_of(tag)},
        notes=tag.notes if tag is not None else _doubts_of(reference),
    )


# The viewer ---------------------------------------------------------------------------------------------------------


def orient_viewer(viewer: Any) -> None:
    """Show axial slices as radiologists do, front up and the patient's right on the left, at the tumour or the middle.

    Parameters
    ----------
    viewer : napari.Viewer
        With or without layers.
    """
    turn_camera(viewer)
    own = [layer for layer in viewer.layers if KEY in layer.metadata]
    if not own:
        return
    labels = [layer for layer in own if isinstance(layer, Labels) and layer.data.any()]
    point = _tumour_point(labels[-1]) if labels else own[-1].extent.world.mean(axis=0)
    first = viewer.dims.ndim - len(point)
    for axis, at in enumerate(point):
        viewer.dims.set_point(first + axis, at)
    viewer.reset_view()


def camera_of(viewer: Any) -> Any:
    """The viewer's camera; `viewer.camera` is deprecated from napari 0.9 on, where the scene has it."""
    return viewer.scene.camera if hasattr(viewer, "scene") else viewer.camera


def turn_camera(viewer: Any, horizontal: Literal["left", "right"] = "left") -> None:
    """Show RAS volumes upright, the patient's right towards that side of the screen, and not mirrored in 3D.

    Seen so that x grows to the left and y upwards, z must grow away from us: napari's own choice shows a mirror image.
    """
    camera_of(viewer).orientation = ("away" if horizontal == "left" else "towards", "up", horizontal)


def show_tumour(viewer: Any, layer: Labels) -> None:
    """Go to the largest section of the labels, across the axis that the viewer cuts; other planes go there too."""
    if layer.ndim < 3 or not layer.data.any():
        return
    first = viewer.dims.ndim - layer.ndim
    cut = int(viewer.dims.order[-3]) - first
    point = _tumour_point(layer, cut if 0 <= cut < layer.ndim else 0)
    viewer.dims.set_point(range(first, viewer.dims.ndim), [float(coordinate) for coordinate in point])


def _tumour_point(layer: Labels, axis: int = 0) -> npt.NDArray[np.float64]:
    """World point of the labelled voxel nearest to the middle of the largest section across an axis."""
    sections = np.count_nonzero(layer.data, axis=tuple(other for other in range(layer.ndim) if other != axis))
    section = int(sections.argmax())
    voxels = np.argwhere(np.take(layer.data, section, axis))
    nearest = voxels[np.square(voxels - voxels.mean(axis=0)).sum(axis=1).argmin()]
    return np.asarray(layer.data_to_world(np.insert(nearest, axis, section)))


def current_viewer() -> Any:
    """The viewer that is in use; None where there is none."""
    # Readers may be called without a window; then napari.viewer, which brings one, is not even loaded.
    module = sys.modules.get("napari.viewer")
    return module.current_viewer() if module is not None else None


def orient_current_viewer(layers: Sequence[LayerData]) -> None:
    """Orient the viewer that is about to receive these layers from a reader, if it is still empty."""
    viewer = current_viewer()
    if viewer is None or len(viewer.layers) > 0:
        return
    turn_camera(viewer)
    if any(kind == "labels" for *_, kind in layers):
        _orient_at_last(viewer, len(layers))


def _orient_at_last(viewer: Any, count: int) -> None:
    def on_inserted(event: Any) -> None:
        if len(viewer.layers) >= count:
            viewer.layers.events.inserted.disconnect(on_inserted)
            orient_viewer(viewer)

    viewer.layers.events.inserted.connect(on_inserted)


def layer_of(data: LayerData) -> Layer:
    """The layer that such a tuple describes."""
    return Layer.create(*data)


def current_layers() -> list[Layer]:
    """Layers of the viewer that is in use; none where there is no viewer."""
    viewer = current_viewer()
    return list(viewer.layers) if viewer is not None else []


def add_layers(viewer: Any, layers: Iterable[LayerData]) -> list[Layer]:
    """Add layers to a viewer; orient it if it was empty."""
    was_empty = len(viewer.layers) == 0
    added = [viewer.add_layer(layer_of(layer_data)) for layer_data in layers]
    if was_empty:
        orient_viewer(viewer)
    return added


def tell(notes: Iterable[str], *, warn: bool = False) -> None:
    """Show notes to the user as napari's notifications."""
    for note in notes:
        (show_warning if warn else show_info)(note)
