"""Convert studies and segmentations to layers: images, labels, codes and maps."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

import numpy as np
from napari.layers import Layer
from napari.utils.colormaps import DirectLabelColormap

from napari_brain_tumor.autosave.changes import digest_of
from napari_brain_tumor.geometry import Grid
from napari_brain_tumor.labels import CLASS_COLORS, label_values
from napari_brain_tumor.plugin.display import Display
from napari_brain_tumor.plugin.labels_edit import replace_labels
from napari_brain_tumor.plugin.layers import CODES_KEY, KEY, MAP_KEY, LayerData, SegmentationTag, SequenceTag
from napari_brain_tumor.study import Role, Segmentation, Study
from napari_brain_tumor.types import Array

_FIRST_SHOWN: Final[tuple[Role, ...]] = ("FLAIR", "T1c", "T2", "T1")
_AXES: Final = ("z", "y", "x")
_SAMPLE: Final = 2_000_000
"""Approximate number of voxels from which contrast limits are computed."""


def study_to_layers(study: Study) -> list[LayerData]:
    """Return an image layer per sequence, in the order T1, T1c, T2, FLAIR; only one of them is visible.

    Arrays are views of the study's own, except for oblique scans, which are resampled and named accordingly.
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
    """Return an image layer without a role, from an array (X, Y, Z); the role can be chosen in the panel."""
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
    """Return a labels layer with a copy of the labels, which shows class names on hover.

    Parameters
    ----------
    name : str, optional
        Name of the layer; defaults to `"<case> segmentation"`.
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
    look = {"colormap": _colormap(CLASS_COLORS), "opacity": opacity, "visible": visible}
    return _labels_layer(displayed, name or f"{segmentation.name} segmentation", tag, **look)


def raw_labels_to_layer(name: str, values: Array, grid: Grid, *, notes: tuple[str, ...] = ()) -> LayerData:
    """Return a layer of integers (X, Y, Z) of uncertain meaning; it says so on hover and is not saved."""
    display = Display.of(grid)
    names = {value: f"{value} (meaning not known)" for value in sorted(label_values(values) - {0})}
    tag = SegmentationTag(name, grid, class_names=names, known_regions=(), understood=False, notes=notes)
    return _labels_layer(np.array(display.show(values, nearest=True), order="C"), name, tag)


def coded_labels_to_layer(
    name: str, values: Array, grid: Grid, names: Mapping[int, str], colors: Mapping[int, Any], *, of: str
) -> LayerData:
    """Return a labels layer of computed codes (X, Y, Z), named on hover; it is not saved as a segmentation.

    Parameters
    ----------
    values : (X, Y, Z) array of uint8
    grid : Grid
        Grid of the segmentations from which the codes were computed.
    names, colors : mapping of int to str, and to a colour
        Meaning and colour of each value; 0 is transparent.
    of : str
        Metadata entry by which the layer can be found again.
    """
    display = Display.of(grid)
    displayed = np.array(display.show(values, nearest=True), order="C")
    tag = SegmentationTag(name, grid, class_names=dict(names), known_regions=(), understood=False)
    layer_data = _labels_layer(displayed, name, tag, colormap=_colormap(colors))
    layer_data[1]["metadata"][CODES_KEY] = of
    return layer_data


def _labels_layer(displayed: Array, name: str, tag: SegmentationTag, **look: Any) -> LayerData:
    display = Display.of(tag.grid)
    rows = {0: "background"} | dict(tag.class_names)
    attributes = {
        **_placement(display),
        "name": _name(name, display),
        "metadata": {KEY: tag},
        "features": {"index": list(rows), "class": list(rows.values())},
        "opacity": 0.6,
        **look,
    }
    return displayed, attributes, "labels"


def put_codes(layer: Layer, layer_data: LayerData) -> bool:
    """Show other codes in a layer of codes; returns False, changing nothing, if they are on another grid."""
    values, attributes, _ = layer_data
    if layer.data.shape != values.shape or not layer.metadata[KEY].grid.same_place(attributes["metadata"][KEY].grid):
        return False
    replace_labels(layer, values)
    for name in ("colormap", "features", "metadata", "name"):
        setattr(layer, name, attributes[name])
    return True


def map_to_layer(name: str, array: Array, grid: Grid, colormap: str, *, of: str = "") -> LayerData:
    """Return an image layer of numbers (X, Y, Z) from 0 to 1, such as probabilities; it is not a scan of a study.

    Parameters
    ----------
    array : (X, Y, Z) array
    grid : Grid
        The scan's own grid.
    colormap : str
        Name of a napari colormap.
    of : str
        Metadata entry by which the layer can be found again.
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
    """Return notes on how a scan on this grid is displayed; none unless it is oblique."""
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


def _colormap(colors: Mapping[int, Any]) -> DirectLabelColormap:
    # Integers outside the schema are shown in white, not hidden, so that labels painted by mistake are noticed.
    shades: dict[int | None, Any] = {None: "white", 0: "transparent"}
    return DirectLabelColormap(color_dict=shades | dict(colors))
