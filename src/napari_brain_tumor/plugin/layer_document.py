"""Serialise everything about a labels layer, except its labels, that is needed to restore it in another session."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt
from napari.layers import Layer
from napari.utils.colormaps import DirectLabelColormap
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import to_jsonable_python

from napari_brain_tumor.dataset.index import GridRecord
from napari_brain_tumor.errors import BrainTumorError, UnreadableFileError
from napari_brain_tumor.geometry import Grid
from napari_brain_tumor.plugin import layers
from napari_brain_tumor.plugin.layers import KEY, LayerData, SegmentationTag, SequenceTag
from napari_brain_tumor.study import FileLayout, NiftiForms, Role, Source, TifSlices

RESTORED: Final = f"{KEY}: restored"
"""Key of our entry in the metadata of a restored layer."""

_COLORS_OF_NONE: Final = "none"


class _Document(BaseModel):
    # Journals may be read by another version than the one that wrote them.
    model_config = ConfigDict(extra="ignore", frozen=True)


class LayoutDocument(_Document):
    """A serialised `NiftiForms` or `TifSlices`."""

    kind: Literal["nifti", "tif"]
    sform: list[list[float]] | None = None
    sform_code: int = 0
    qform: list[list[float]] | None = None
    qform_code: int = 0
    patient: str = ""
    numbers: list[int] = Field(default_factory=list)

    @classmethod
    def of(cls, layout: FileLayout) -> "LayoutDocument | None":
        if isinstance(layout, TifSlices):
            return cls(kind="tif", patient=layout.patient, numbers=list(layout.numbers))
        if isinstance(layout, NiftiForms):
            qform = None if layout.qform is None else layout.qform.tolist()
            return cls(
                kind="nifti",
                sform=layout.sform.tolist(),
                sform_code=layout.sform_code,
                qform=qform,
                qform_code=layout.qform_code,
            )
        return None

    @property
    def layout(self) -> FileLayout:
        """The layout that it describes."""
        if self.kind == "tif":
            return TifSlices(self.patient, tuple(self.numbers))
        qform = None if self.qform is None else np.array(self.qform)
        return NiftiForms(np.array(self.sform), self.sform_code, qform, self.qform_code)


class TagDocument(_Document):
    """A serialised `SegmentationTag` without its arrays."""

    case: str
    shape: tuple[int, int, int]
    affine: list[list[float]]
    unit: Literal["mm", "voxel"]
    viewer: Literal["RAS", "LPS"] = "RAS"
    layout: LayoutDocument | None = None
    class_names: dict[int, str]
    known_regions: list[Literal["WT", "TC", "ET"]]
    provenance: dict[str, Any] = Field(default_factory=dict)
    understood: bool = True
    digest: str = ""
    notes: list[str] = Field(default_factory=list)

    @classmethod
    def of(cls, tag: SegmentationTag) -> "TagDocument":
        return cls(
            case=tag.case,
            shape=tag.grid.shape,
            affine=tag.grid.affine.tolist(),
            unit=tag.grid.unit,
            viewer=tag.grid.viewer,
            layout=LayoutDocument.of(tag.layout),
            class_names=dict(tag.class_names),
            known_regions=list(tag.known_regions),
            provenance=_plain(tag.provenance),
            understood=tag.understood,
            digest=tag.digest,
            notes=list(tag.notes),
        )

    def tag(self, original: npt.NDArray[Any] | None) -> SegmentationTag:
        """Return the tag that it describes; `original` as in `SegmentationTag`."""
        return SegmentationTag(
            self.case,
            Grid(self.shape, np.array(self.affine), self.unit, self.viewer),
            self.layout.layout if self.layout is not None else None,
            dict(self.class_names),
            tuple(self.known_regions),
            dict(self.provenance),
            self.understood,
            original,
            self.digest,
            notes=tuple(self.notes),
        )


class SourceDocument(_Document):
    """The source of a sequence under the labels, as given by `io.source_files.describe_sources`."""

    path: Path
    channel: int | None = None
    series: str | None = None
    sha256: str | None = None

    @classmethod
    def of(cls, source: Source) -> "SourceDocument":
        return cls(path=source.path.absolute(), channel=source.channel, series=source.series)

    @property
    def source(self) -> Source:
        """The source that it describes."""
        return Source(self.path, self.channel, self.series)


class LayerDocument(_Document):
    """A serialised labels layer without its labels.

    Parameters
    ----------
    attributes : dict
        Attributes of the layer, as accepted by `Layer.create`.
    colors : dict, optional
        Colours of a colormap that defines one for each label.
    case : str
        Name of the study under the layer.
    sources : dict of role to SourceDocument
        Files of that study.
    spacing_mm : (x, y, z), optional
        Voxel spacing, for files that lack it.
    scan_grid : GridRecord, optional
        Grid of that study, if some of its sequences were resampled to it.
    """

    name: str
    ndim: Literal[2, 3] = 3
    attributes: dict[str, Any] = Field(default_factory=dict)
    colors: dict[str, list[float]] | None = None
    tag: TagDocument | None = None
    case: str = ""
    sources: dict[Role, SourceDocument] = Field(default_factory=dict)
    spacing_mm: tuple[float, float, float] | None = None
    scan_grid: GridRecord | None = None

    @classmethod
    def read(cls, document: Mapping[str, Any]) -> "LayerDocument":
        """Parse the document of a journal; raises `UnreadableFileError` if it is invalid."""
        try:
            return cls.model_validate(document)
        except ValidationError as error:
            msg = f"The journal does not describe a layer ({error.errors(include_url=False)[0]['msg']}). Delete it."
            raise UnreadableFileError(msg) from error

    @property
    def study_sources(self) -> dict[Role, Source]:
        """Sources of the study under the labels."""
        return {role: document.source for role, document in self.sources.items()}


def document_of(layer: Any, scans: Iterable[SequenceTag] = ()) -> LayerDocument:
    """Return everything that has to be stored of a labels layer over these scans."""
    tag = layers.segmentation_tag(layer)
    tags = list(scans)
    case = tag.case if tag is not None else next((scan.case for scan in tags), "")
    sliced = next((scan.grid for scan in tags if isinstance(scan.layout, TifSlices) and scan.grid.unit == "mm"), None)
    return LayerDocument(
        name=layer.name,
        ndim=layer.ndim,
        attributes=_attributes(layer),
        colors=_colors(layer.colormap),
        tag=TagDocument.of(tag) if tag is not None else None,
        case=case,
        sources={
            scan.role: SourceDocument.of(scan.source)
            for scan in tags
            if scan.role is not None and scan.source is not None
        },
        spacing_mm=sliced.spacing_mm if sliced is not None else None,
        scan_grid=next((GridRecord.of(scan.grid) for scan in tags if scan.resampled), None),
    )


def scans_under(layer: Any, all_layers: Iterable[Layer]) -> list[SequenceTag]:
    """Return the tags of our scans in the same place as a labels layer, limited to its own case if that is known."""
    try:
        own = layers.view(layer)
    except BrainTumorError:
        return []
    views = [view for view in layers.readable_views(all_layers) if view.grid.same_place(own.grid)]
    tags = [view.tag for view in views if isinstance(view.tag, SequenceTag)]
    case = own.tag.case if own.tag is not None else (tags[-1].case if tags else "")
    return [tag for tag in tags if tag.case == case]


def restored_layer(
    labels: npt.NDArray[Any], document: LayerDocument, changed_at: datetime, original: npt.NDArray[Any] | None = None
) -> LayerData:
    """Return a layer of restored labels (Z, Y, X), marked as such in its name and metadata."""
    when = changed_at.isoformat(timespec="seconds")
    metadata: dict[str, Any] = {RESTORED: when}
    if document.tag is not None:
        tag = document.tag.model_copy(update={"provenance": {**document.tag.provenance, "restored_from_journal": when}})
        metadata[KEY] = tag.tag(original)
    attributes = {**document.attributes, "name": f"{document.name} (restored)", "metadata": metadata}
    if document.colors is not None:
        attributes["colormap"] = DirectLabelColormap(color_dict=_color_dict(document.colors))
    return labels if document.ndim == 3 else labels[0], attributes, "labels"


def _attributes(layer: Any) -> dict[str, Any]:
    return _plain(
        {
            "scale": layer.scale,
            "translate": layer.translate,
            "rotate": layer.rotate,
            "shear": layer.shear,
            "affine": layer.affine.affine_matrix,
            "units": [str(unit) for unit in layer.units],
            "axis_labels": list(layer.axis_labels),
            "opacity": layer.opacity,
            "blending": str(layer.blending),
            "features": {name: list(values) for name, values in layer.features.items()},
        }
    )


def _colors(colormap: Any) -> dict[str, list[float]] | None:
    if not isinstance(colormap, DirectLabelColormap):
        return None
    return {_COLORS_OF_NONE if k is None else str(k): [float(x) for x in v] for k, v in colormap.color_dict.items()}


def _color_dict(colors: Mapping[str, list[float]]) -> dict[int | None, npt.NDArray[np.float64]]:
    return {None if k == _COLORS_OF_NONE else int(k): np.array(v) for k, v in colors.items()}


def _plain(values: Mapping[str, Any]) -> dict[str, Any]:
    plain: dict[str, Any] = to_jsonable_python(values, fallback=_as_json)
    return plain


def _as_json(value: Any) -> Any:
    return value.tolist() if hasattr(value, "tolist") else str(value)
