"""What a writer is given, and the files that it returns to be written."""

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
"""Which way the world runs in which points are written: to the right, front and head, or to the left, back and head."""


@dataclass(frozen=True, slots=True)
class SaveOptions:
    """How a segmentation is written; each format takes what concerns it.

    Parameters
    ----------
    schema : LabelSchema
        Which integers stand for our classes.
    source : Path or None
        Folder or file of the DICOM series that the labels lie on, if the record does not name it.
    axes : {"RAS", "LPS"}
        Of surfaces.
    regions : tuple of {"WT", "TC", "ET"}
        Those of which surfaces and contours are written; empty for all that the labels define.
    subject, session : str or None
        Of BIDS, if the names of the scans do not contain them.
    paths : {"auto", "relative", "absolute", "names"}
        How scans are named in records.
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
    """Files that are to be written together.

    Parameters
    ----------
    parts : sequence of Part
        The first is the one that counts.
    saved : Path or list of Path
        What was saved, for the caller.
    meaning : Meaning
        Of the integers in the file.
    described : Path
        What the JSON lies beside.
    more : mapping
        Further entries of that JSON.
    """

    parts: Sequence[Part]
    saved: Path | list[Path]
    meaning: Meaning
    described: Path
    more: Mapping[str, Any] = field(default_factory=dict)


def regions_to_save(segmentation: Segmentation, options: SaveOptions) -> tuple[Region, ...]:
    """The nested regions that are written: those of the options, else all that the labels define."""
    regions = options.regions or tuple(REGIONS)
    return tuple(region for region in regions if region in segmentation.known_regions)
