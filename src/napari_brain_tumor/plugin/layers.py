"""What our layers remember of their studies, and what is read from a layer of any kind.

Layers are (Z, Y, X) on the closest orthogonal RAS grid, in millimetres where the files state the voxel size. What is
needed to get back to the source scan's own grid travels with each layer, as a `SequenceTag` or `SegmentationTag` in
its metadata under `"napari-brain-tumor"`.
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
"""Of our entry in a layer's metadata."""
MAP_KEY: Final = "napari-brain-tumor map"
"""Of what tells that an image layer holds computed numbers, not a scan."""
CODES_KEY: Final = "napari-brain-tumor codes"
"""Of what tells that a labels layer holds computed codes, such as agreed and missed, not a segmentation."""
PROMPTS_KEY: Final = "napari-brain-tumor prompts"
"""Of what tells that a layer holds prompts: nothing to be measured, saved or journalled."""
LayerData = tuple[Array, dict[str, Any], str]
"""Data, attributes and type of a layer, as napari's readers return them."""
WORLD_OF_OTHERS: Final[ViewerWorld] = "LPS"
"""Of layers that other programs opened: that of DICOM, and of most readers, which are ITK's."""


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
    grid = layer_grid(layer, data.shape)
    kind: Literal["image", "labels"] = "labels" if isinstance(layer, Labels) else "image"
    volume = data if data.ndim == 3 else data[np.newaxis]
    tag = layer.metadata.get(KEY)
    if not isinstance(tag, (SequenceTag, SegmentationTag)):
        return LayerView(layer.name, kind, volume, grid, None)
    moved = not Display.of(tag.grid).viewer_grid.in_viewer.same_place(grid)
    return LayerView(layer.name, kind, volume, grid, None if moved else tag, tag.grid.viewer)


def copied_view(layer: Layer) -> LayerView:
    """The same with a copy of the data, which another thread may read while the user paints on."""
    live_view = view(layer)
    return replace(live_view, data=np.array(live_view.data))


def layer_grid(layer: Layer, shape: tuple[int, ...]) -> Grid:
    """The grid (X, Y, Z) of a layer (Z, Y, X) or (Y, X) in the viewer's world."""
    origin = np.asarray(layer.data_to_world((0,) * layer.ndim))
    columns = [np.asarray(layer.data_to_world(tuple(step))) - origin for step in np.eye(layer.ndim)]
    affine = np.eye(4)
    affine[: layer.ndim, : layer.ndim] = np.stack(columns, axis=1)[::-1, ::-1]
    affine[: layer.ndim, 3] = origin[::-1]
    factor, unit = millimetres_of(layer)
    affine[:3] *= factor
    return Grid((*shape[::-1], 1)[:3], affine, unit)  # type: ignore[arg-type]


def millimetres_of(layer: Layer) -> tuple[float, LengthUnit]:
    """What one world unit of the layer is in millimetres, if its unit is a length."""
    unit = 1 * layer.units[-1]
    return (float(unit.to("mm").magnitude), "mm") if unit.check("[length]") else (1.0, "voxel")


def sequence_tag(layer: Layer | None) -> SequenceTag | None:
    """What an image layer of ours remembers."""
    tag = layer.metadata.get(KEY) if layer is not None else None
    return tag if isinstance(tag, SequenceTag) else None


def segmentation_tag(layer: Layer | None) -> SegmentationTag | None:
    """What a labels layer of ours remembers."""
    tag = layer.metadata.get(KEY) if layer is not None else None
    return tag if isinstance(tag, SegmentationTag) else None


def case_of(layer: Layer) -> str:
    """The name of a layer's case; its own where it is none of ours."""
    tag = sequence_tag(layer) or segmentation_tag(layer)
    return tag.case if tag is not None else str(layer.name)


def is_edited(layer: Layer) -> bool:
    """Whether the labels of a layer of ours are not those that it was first shown with."""
    tag = segmentation_tag(layer)
    return tag is not None and digest_of(layer.data).hex() != tag.digest


def is_prompt_layer(layer: Layer | None) -> bool:
    """Whether a layer is one of those in which prompts of a correction are drawn."""
    return layer is not None and PROMPTS_KEY in layer.metadata


def readable_views(all_layers: Iterable[Layer]) -> list[LayerView]:
    """Views of those layers that hold one volume."""
    return [view(layer) for layer in all_layers if is_readable(layer)]


def is_readable(layer: Layer | LayerView) -> bool:
    if isinstance(layer, LayerView):
        return True
    return isinstance(layer, (Image, Labels)) and layer.ndim in (2, 3) and not getattr(layer, "rgb", False)


def layer_of(data: LayerData) -> Layer:
    """The layer that such a tuple describes."""
    return Layer.create(*data)
