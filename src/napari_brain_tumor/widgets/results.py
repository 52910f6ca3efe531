"""Placement of a new result: in its own layer or in that of the previous one, where manual edits are kept."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from napari.layers import Labels, Layer

from napari_brain_tumor.errors import BrainTumorError, LabelSchemaError
from napari_brain_tumor.plugin import layers
from napari_brain_tumor.plugin.display import Display
from napari_brain_tumor.plugin.label_watch import Applied
from napari_brain_tumor.plugin.layers import KEY, LayerData, SegmentationTag
from napari_brain_tumor.preprocessing.world_box import inside_box
from napari_brain_tumor.widgets.label_journal import start_journal
from napari_brain_tumor.widgets.segment_state import outcome_text
from napari_brain_tumor.widgets.stored_maps import keep


@dataclass(frozen=True, slots=True, eq=False)
class PlacedResult:
    """The layer that now shows a result, and a sentence about what was done."""

    layer: Labels
    text: str


def add_result(viewer: Any, result: LayerData) -> PlacedResult:
    """Add a new layer for a result."""
    layer = viewer.add_layer(layers.layer_of(result))
    return PlacedResult(layer, outcome_text(layer))


def replace_result(viewer: Any, layer: Layer, result: LayerData) -> PlacedResult:
    """Put a result into the layer of the previous one; if that is not possible, into a new layer."""
    try:
        applied = put_into(viewer, layer, result)
    except BrainTumorError as error:
        placed = add_result(viewer, result)
        return PlacedResult(placed.layer, f"{placed.text} It could not replace {layer.name}: {error}")
    return PlacedResult(layer, applied_text(layer, applied))


def put_into(viewer: Any, layer: Layer, result: LayerData) -> Applied:
    """Replace the automatic labels of a layer as one step that Ctrl+Z undoes; manual edits are kept.

    A result within a box replaces only what is in the box.

    Raises
    ------
    GridMismatchError, LabelSchemaError
        If the result is on another grid than the layer, or the layer's labels have other meanings.
    """
    journal = start_journal(viewer)
    data, attributes, kind = result
    tag = attributes["metadata"][KEY]
    _check_classes(layer, tag)
    box = tag.provenance.get("settings", {}).get("box")
    before = journal.watch(layer).mirror.automatic.reshape(layer.data.shape)
    if box is not None and before.shape == data.shape:
        inside = inside_box(Display.of(tag.grid).viewer_grid, tuple(box)).T
        data = np.where(inside, data, before)
    applied = journal.apply_result(layer, (data, attributes, kind), keep_edits=True)
    keep(layer, attributes)
    return applied


def applied_text(layer: Layer, applied: Applied) -> str:
    """Describe the outcome of putting a result into a layer."""
    preserved = f" {applied.preserved} voxels that were painted by hand were kept." if applied.preserved else ""
    if not applied.changed:
        return f"Nothing changed in {layer.name}.{preserved}"
    return f"Replaced labels in {layer.name}: {applied.changed} voxels changed.{preserved} Ctrl+Z undoes it."


def _check_classes(layer: Layer, tag: SegmentationTag) -> None:
    held = layers.segmentation_tag(layer)
    if held is not None and dict(held.class_names) != dict(tag.class_names):
        here, there = (", ".join(names.values()) for names in (held.class_names, tag.class_names))
        msg = f"its classes are {here}, those of the result {there}."
        raise LabelSchemaError(msg)
