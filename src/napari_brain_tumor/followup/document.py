"""A JSON document of a patient's visits, with the path, date and clinical facts of each examination."""

import datetime
import json
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, Field, ValidationError

from napari_brain_tumor.errors import UnreadableFileError, VisitError
from napari_brain_tumor.followup.facts import VisitFacts
from napari_brain_tumor.followup.visits import FoundDate, Visit, date_of, with_spacing
from napari_brain_tumor.io import open_segmentation, open_study
from napari_brain_tumor.io.atomic import write_text
from napari_brain_tumor.io.regular_file import read_regular
from napari_brain_tumor.io.volume import short_name

USER = "the user"
"""Source recorded for a date that is given in the document."""


class VisitEntry(BaseModel, extra="forbid", frozen=True):
    """One examination; paths are relative to the document's folder."""

    case: str = Field(min_length=1)
    """Folder or file of the scans, as accepted by `open_study`."""
    segmentation: str = Field(min_length=1)
    """File or folder of the labels."""
    name: str = ""
    """Name for tables; if empty, the name of the case."""
    date: datetime.date | None = None
    """Date of the examination; if not given, it is taken from DICOM or BIDS headers."""
    roles: dict[str, str | int] | list[str | None] | None = None
    """As for `open_study`."""
    series: dict[str, str | int] | None = None
    """As for `open_study`; selects from several DICOM series."""
    resample: str | None = None
    """As for `open_study`."""
    spacing_mm: tuple[float, float, float] | None = None
    """Voxel size, if the files do not state it or are wrong."""
    label_schema: str | None = None
    """Label schema of the segmentation, if it is ambiguous."""
    facts: VisitFacts = Field(default_factory=VisitFacts)
    """Facts that cannot be derived from images."""


class VisitsDocument(BaseModel, extra="forbid", frozen=True):
    """The visits of one patient, in chronological order if dates are unknown."""

    format: Literal[1] = 1
    visits: tuple[VisitEntry, ...] = Field(min_length=1)


def read_visits(path: str | os.PathLike[str]) -> VisitsDocument:
    """Read a document of visits; raises `UnreadableFileError` or `VisitError` with a description of the problem."""
    place = Path(path)
    try:
        content = read_regular(place).decode("utf-8")
    except (UnreadableFileError, UnicodeDecodeError) as error:
        raise UnreadableFileError(f"{place.name} is not a JSON document of visits: {error}") from error
    try:
        return VisitsDocument.model_validate_json(content)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the document"
        expected = '{"visits": [{"case": ..., "segmentation": ...}, ...]}'
        msg = f"{place.name} is not a list of visits: {where}: {first['msg']}. Expected {expected}."
        raise VisitError(msg) from error


def save_visits(entries: Sequence[VisitEntry], path: str | os.PathLike[str]) -> Path:
    """Save a document of visits, leaving out empty fields; raises `SaveError` if that fails."""
    target = Path(path)
    document = VisitsDocument(visits=tuple(entries))
    content = document.model_dump(mode="json", exclude_defaults=True, exclude_none=True)
    text = json.dumps({"format": document.format, **content}, indent=2, ensure_ascii=False) + "\n"
    write_text(target, text)
    return target


def open_visits(path: str | os.PathLike[str]) -> tuple[Visit, ...]:
    """Open all examinations in a document of visits.

    Examples
    --------
    >>> visits = open_visits("visits.json")  # doctest: +SKIP
    >>> [visit.title for visit in visits]  # doctest: +SKIP
    ['before (2025-01-06)', 'after (2025-04-02)']
    """
    folder = Path(path).parent
    return tuple(open_visit(entry, folder) for entry in read_visits(path).visits)


def open_visit(entry: VisitEntry, folder: Path = Path()) -> Visit:
    """Open one examination with its segmentation.

    Parameters
    ----------
    folder : Path
        Folder to which its paths are relative.

    Raises
    ------
    BrainTumorError
        If its files cannot be opened.
    VisitError
        If the labels and the scans lie on different grids.
    """
    study = open_study(folder / entry.case, entry.roles, series=entry.series, resample=entry.resample)
    segmentation = open_segmentation(folder / entry.segmentation, entry.label_schema)
    if not study.grid.same_place(segmentation.grid):
        raise VisitError(
            f"{entry.segmentation} lies on {segmentation.grid.describe()}, the scans of {entry.case} on "
            f"{study.grid.describe()}. Give the scans on which the labels were drawn."
        )
    date = date_of(study) if entry.date is None else FoundDate(entry.date, USER)
    name = entry.name or study.name or short_name(Path(entry.case))
    visit = Visit(name, segmentation, replace(study, name=name), date, entry.facts)
    return visit if entry.spacing_mm is None else with_spacing(visit, entry.spacing_mm)
