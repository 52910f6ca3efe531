"""The metadata that links our layers to their studies, and a uniform view of layers of any kind.

Layers are (Z, Y, X) on the closest orthogonal RAS grid, in millimetres if the files contain the voxel size. The data
needed to return to the source scan's own grid is attached to each layer as a `SequenceTag` or `SegmentationTag`, in its
metadata under `"napari-brain-tumor"`.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal

import numpy as np
from napari.layers import Image, Labels, Layer

from napari_brain_tumor.autosave.changes import digest_of
from napari_brain_tumor.errors import DimensionError
from napari_brain_tumor.geometry import Grid, LengthUnit, ViewerWorld
from napari_brain_tumor.labels import CLASS_NAMES, Region
from napari_brain_tumor.plugin.display import Display
from napari_brain_tumor.study import FileLayout, Role, Source
from napari_brain_tumor.types import Array

KEY: Final = "napari-brain-tumor"
"""Key of our entry in a layer's metadata."""
MAP_KEY: Final = "napari-brain-tumor map"
"""Metadata key that marks an image layer as computed values, not a scan."""
CODES_KEY: Final = "napari-brain-tumor codes"
"""Metadata key that marks a labels layer as computed codes, such as agreed and missed, not a segmentation."""
PROMPTS_KEY: Final = "napari-brain-tumor prompts"
"""Metadata key that marks a layer of prompts, which is not to be measured, saved or journalled."""
LayerData = tuple[Array, dict[str, Any], str]
"""Data, attributes and type of a layer, as returned by napari's readers."""
WORLD_OF_OTHERS: Final[ViewerWorld] = "LPS"
"""World of layers opened by other programs: that of DICOM and of most readers, which use ITK."""


@dataclass(frozen=True, slots=True, eq=False)
class SequenceTag:
    """Metadata that links an image layer to its study.

    Parameters
    ----------
    case : str
        Name of the study.
    grid : Grid
        The scan's own grid.
    role : Role or None
        None for an image opened without a role.
    layout, source, notes
        As in `Study`.
    resampled : bool
        Whether the scan was resampled to `grid` from another grid.
    original, displayed : array or None
        For an oblique scan: intensities on its own grid, and the array displayed for them.
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
    """Metadata that links a labels layer to its segmentation; fields as in `Segmentation`.

    Parameters
    ----------
    understood : bool
        False if the meaning of the integers is uncertain.
    original : array or None
        For an oblique scan: classes on its own grid.
    digest : str
        Hash of the labels as first displayed, to detect whether they were edited since.
    refined_digest : str
        Hash of the labels after a correction with prompts only, without any manual edits.
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
    """The data of a layer, read at once in napari's thread so that they can be processed in another.

    Parameters
    ----------
    data : (Z, Y, X) array
        The layer's own array, not a copy.
    grid : Grid
        Current position of the layer in the viewer's world, with axes in the order X, Y, Z.
    tag : SequenceTag, SegmentationTag or None
        This plugin's metadata, unless the layer was moved since.
    world : {"RAS", "LPS"} or None
        Orientation of the viewer's world for this layer; None if another program opened it and it is unknown.
    """

    name: str
    kind: Literal["image", "labels"]
    data: Array
    grid: Grid
    tag: SequenceTag | SegmentationTag | None
    world: ViewerWorld | None = None


def view(layer: Layer | LayerView) -> LayerView:
    """Read the relevant data of an image or labels layer.

    Raises
    ------
    DimensionError
        If the layer is neither, or is not a single volume or slice of scalar values.
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
    grid = layer_grid(layer, data.shape)
    kind: Literal["image", "labels"] = "labels" if isinstance(layer, Labels) else "image"
    volume = data if data.ndim == 3 else data[np.newaxis]
    tag = layer.metadata.get(KEY)
    if not isinstance(tag, (SequenceTag, SegmentationTag)):
        return LayerView(layer.name, kind, volume, grid, None)
    moved = not Display.of(tag.grid).viewer_grid.in_viewer.same_place(grid)
    return LayerView(layer.name, kind, volume, grid, None if moved else tag, tag.grid.viewer)


def copied_view(layer: Layer) -> LayerView:
    """Return a view with a copy of the data, which another thread may read while the user continues to paint."""
    live_view = view(layer)
    return replace(live_view, data=np.array(live_view.data))


def layer_grid(layer: Layer, shape: tuple[int, ...]) -> Grid:
    """Return the grid (X, Y, Z) of a layer (Z, Y, X) or (Y, X) in the viewer's world."""
    origin = np.asarray(layer.data_to_world((0,) * layer.ndim))
    columns = [np.asarray(layer.data_to_world(tuple(step))) - origin for step in np.eye(layer.ndim)]
    affine = np.eye(4)
    affine[: layer.ndim, : layer.ndim] = np.stack(columns, axis=1)[::-1, ::-1]
    affine[: layer.ndim, 3] = origin[::-1]
    factor, unit = millimetres_of(layer)
    affine[:3] *= factor
    return Grid((*shape[::-1], 1)[:3], affine, unit)  # type: ignore[arg-type]


def millimetres_of(layer: Layer) -> tuple[float, LengthUnit]:
    """Return the size of the layer's world unit in millimetres and "mm", or 1 and "voxel" if it is not a length."""
    unit = 1 * layer.units[-1]
    return (float(unit.to("mm").magnitude), "mm") if unit.check("[length]") else (1.0, "voxel")


def sequence_tag(layer: Layer | None) -> SequenceTag | None:
    """Return the tag of an image layer of this plugin; None for others."""
    tag = layer.metadata.get(KEY) if layer is not None else None
    return tag if isinstance(tag, SequenceTag) else None


def segmentation_tag(layer: Layer | None) -> SegmentationTag | None:
    """Return the tag of a labels layer of this plugin; None for others."""
    tag = layer.metadata.get(KEY) if layer is not None else None
    return tag if isinstance(tag, SegmentationTag) else None


def case_of(layer: Layer) -> str:
    """Return the name of a layer's case, or the layer's own name if it is not one of this plugin."""
    tag = sequence_tag(layer) or segmentation_tag(layer)
    return tag.case if tag is not None else str(layer.name)


def is_edited(layer: Layer) -> bool:
    """Whether the labels of one of this plugin's layers differ from those first displayed."""
    tag = segmentation_tag(layer)
    return tag is not None and digest_of(layer.data).hex() != tag.digest


def is_prompt_layer(layer: Layer | None) -> bool:
    """Whether prompts of a correction are drawn in this layer."""
    return layer is not None and PROMPTS_KEY in layer.metadata


def readable_views(all_layers: Iterable[Layer]) -> list[LayerView]:
    """Return views of those layers that contain a single volume."""
    return [view(layer) for layer in all_layers if is_readable(layer)]


def is_readable(layer: Layer | LayerView) -> bool:
    if isinstance(layer, LayerView):
        return True
    return isinstance(layer, (Image, Labels)) and layer.ndim in (2, 3) and not getattr(layer, "rgb", False)


def layer_of(data: LayerData) -> Layer:
    """Create the layer described by a layer data tuple."""
    return Layer.create(*data)
