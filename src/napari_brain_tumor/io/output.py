"""Options passed to a writer, and the files it returns for writing."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from napari_brain_tumor.io.atomic import Part
from napari_brain_tumor.io.meaning import Meaning
from napari_brain_tumor.io.sidecar_paths import PathStyle
from napari_brain_tumor.label_schemas import SCHEMAS, LabelSchema
from napari_brain_tumor.labels import REGIONS, Region
from napari_brain_tumor.study import Segmentation

Axes = Literal["RAS", "LPS"]
"""Orientation of world coordinates when points are written: right, front, up (RAS) or left, back, up (LPS)."""


@dataclass(frozen=True, slots=True)
class SaveOptions:
    """How a segmentation is written; each format uses the options that apply to it.

    Parameters
    ----------
    schema : LabelSchema
        Schema that defines the integer written for each class.
    source : Path or None
        Folder or file of the DICOM series that the labels belong to, if the record does not name it.
    axes : {"RAS", "LPS"}
        Orientation of surfaces.
    regions : tuple of {"WT", "TC", "ET"}
        Regions written as surfaces and contours; empty for all that the labels define.
    subject, session : str or None
        For BIDS, if the file names of the scans do not contain them.
    paths : {"auto", "relative", "absolute", "names"}
        How records refer to scans.
    """

    schema: LabelSchema = SCHEMAS["MSD"]
    source: Path | None = None
    axes: Axes = "RAS"
    regions: tuple[Region, ...] = ()
    subject: str | None = None
    session: str | None = None
    paths: PathStyle = "auto"


@dataclass(frozen=True, slots=True)
class Output:
    """Files to be written together.

    Parameters
    ----------
    parts : sequence of Part
        The first is the main file.
    saved : Path or list of Path
        What was saved, as returned to the caller.
    meaning : Meaning
        Meaning of the integers in the file.
    described : Path
        File or folder that the JSON describes and is placed beside.
    more : mapping
        Additional entries for that JSON.
    """

    parts: Sequence[Part]
    saved: Path | list[Path]
    meaning: Meaning
    described: Path
    more: Mapping[str, Any] = field(default_factory=dict)


def regions_to_save(segmentation: Segmentation, options: SaveOptions) -> tuple[Region, ...]:
    """Return the nested regions to write: those chosen in the options, or else all that the labels define."""
    regions = options.regions or tuple(REGIONS)
    return tuple(region for region in regions if region in segmentation.known_regions)
