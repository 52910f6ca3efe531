"""Saving a labels layer to files, without Qt: formats, label schemas, and what else a format needs to know."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from napari.layers import Layer

from napari_brain_tumor import io
from napari_brain_tumor.io.formats import BIDS, DICOM_SEG, MASKS, RTSTRUCT, saved_formats
from napari_brain_tumor.io.origin import record_of
from napari_brain_tumor.io.write_bids import names_subject
from napari_brain_tumor.label_schemas import SCHEMAS
from napari_brain_tumor.measure.volumes import VolumeTable, measure_volumes
from napari_brain_tumor.plugin import from_layers, layers
from napari_brain_tumor.plugin.layers import LayerView
from napari_brain_tumor.plugin.preferences import AS_THE_SCANS, read_preferences
from napari_brain_tumor.study import FileLayout, TifSlices


@dataclass(frozen=True, slots=True)
class Format:
    """A file format for saving, with what the dialog needs."""

    label: str
    suffix: str
    """File suffix; empty for a folder."""
    name: str
    """Name of the entry in `io.formats`."""
    labels: bool
    """Whether the file can be opened again as labels."""


FORMATS: Final = tuple(
    Format(f"{one.title} ({suffix or 'folder'})", suffix, one.name, one.labels)
    for one in saved_formats()
    for suffix in one.saved
)


def default_format(layout: FileLayout) -> Format:
    """Return the format that the user prefers; otherwise the source's kind: TIFF for slices, NIfTI for all others."""
    preferred = read_preferences().saving.file_format
    suffix = preferred if preferred != AS_THE_SCANS else ".tif" if isinstance(layout, TifSlices) else ".nii.gz"
    return next(choice for choice in FORMATS if choice.suffix == suffix)


def schema_meanings(name: str) -> str:
    """Return the meanings of a schema's integers."""
    return ", ".join(f"{value} {meaning}" for value, meaning in SCHEMAS[name].meanings.items())


def measure_layer(layer: LayerView, references: Sequence[LayerView]) -> VolumeTable:
    """Return the volumes of a labels layer, counted on its scan's own grid."""
    return measure_volumes(from_layers.segmentation_from_layer(layer, references))


def still_needed(
    layer: LayerView, references: Sequence[LayerView], file_format: Format
) -> Literal["", "source", "subject"]:
    """Return what a format needs that is not known yet: the folder of a DICOM series, or a subject for BIDS."""
    if file_format.name not in (DICOM_SEG.name, RTSTRUCT.name, BIDS.name):
        return ""
    segmentation = from_layers.segmentation_from_layer(layer, references)
    if file_format.name == BIDS.name:
        return "" if names_subject(segmentation) else "subject"
    inputs = record_of(segmentation).provenance.get("inputs")
    entries = inputs.values() if isinstance(inputs, Mapping) else ()
    return "" if any(isinstance(entry, Mapping) and entry.get("series") for entry in entries) else "source"


def save_layer(
    layer: LayerView,
    references: Sequence[LayerView],
    path: str,
    schema: str,
    file_format: str | None = None,
    more: Mapping[str, str] | None = None,
) -> str:
    """Save a labels layer on its scan's own grid; return a message for the user.

    `more` are further arguments of `io.save_segmentation`, such as those that `still_needed` returns.

    Raises what `from_layers.segmentation_from_layer` and `io.save_segmentation` raise.
    """
    segmentation = from_layers.segmentation_from_layer(layer, references)
    saved = io.save_segmentation(
        segmentation,
        path,
        schema,
        format=file_format,
        overwrite=True,
        **(more or {}),  # type: ignore[arg-type]
    )
    if isinstance(saved, Path):
        return f"Saved {saved}, read back and verified."
    if file_format in (None, MASKS.name):
        return f"Saved {len(saved)} masks in {saved[0].parent if saved else path}, read back and verified."
    return f"Saved {', '.join(one.name for one in saved)} in {saved[0].parent}, read back and verified."


def layout_of(layer: Layer) -> FileLayout:
    """Return the file layout of a layer's scan."""
    tag = layers.segmentation_tag(layer)
    return tag.layout if tag is not None else None
