"""Examinations of one patient in the order in which they were made, and where their dates come from."""

import datetime
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from napari_brain_tumor.errors import VisitError
from napari_brain_tumor.followup.facts import VisitFacts
from napari_brain_tumor.geometry import Grid
from napari_brain_tumor.io import dicom
from napari_brain_tumor.io.json_file import read_json
from napari_brain_tumor.io.volume import short_name
from napari_brain_tumor.study import Segmentation, Source, Study

_JSON_DATES: Final = ("AcquisitionDateTime", "AcquisitionDate", "SeriesDate", "StudyDate")


@dataclass(frozen=True, slots=True)
class FoundDate:
    """A date and what told it."""

    day: datetime.date
    told_by: str


@dataclass(frozen=True, slots=True, eq=False)
class Visit:
    """One examination with its segmentation.

    Parameters
    ----------
    name : str
        For tables and pictures, different for each visit.
    segmentation : Segmentation
        On the visit's own grid, on which it is measured.
    study : Study, optional
        The scans; without them nothing can be registered, and no side is told.
    date : FoundDate, optional
        When it was made; never taken from a file name.
    facts : VisitFacts
        What the user tells of it.
    """

    name: str
    segmentation: Segmentation
    study: Study | None = None
    date: FoundDate | None = None
    facts: VisitFacts = field(default_factory=VisitFacts)

    @property
    def day(self) -> datetime.date | None:
        """When it was made, if that is known."""
        return None if self.date is None else self.date.day

    @property
    def title(self) -> str:
        """Name and date, as people read it."""
        return f"{self.name} ({self.day.isoformat()})" if self.day is not None else f"{self.name} (date not known)"


def in_order(visits: Sequence[Visit]) -> tuple[Visit, ...]:
    """The visits in the order of their dates; where no date is known, as they were given.

    Raises
    ------
    VisitError
        If there is none, two share a name, two are called the baseline, or some dates are known and contradict the
        order that was given for the others.
    """
    _check(visits)
    days = [visit.day for visit in visits]
    known = [day for day in days if day is not None]
    if len(known) == len(visits):
        return tuple(sorted(visits, key=lambda visit: visit.day or datetime.date.min))  # stable within a day
    if known != sorted(known):
        undated = ", ".join(visit.name for visit in visits if visit.day is None)
        raise VisitError(
            f"The dates that are known contradict the order of the visits, and {undated} has none. Give its date, or "
            "put the visits in order."
        )
    return tuple(visits)


def _check(visits: Sequence[Visit]) -> None:
    if not visits:
        raise VisitError("No visit was given. Give at least one examination with its segmentation.")
    names = [visit.name for visit in visits]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise VisitError(f"Two visits are called {', '.join(twice)}. Give each visit its own name.")
    baselines = [visit.name for visit in visits if visit.facts.baseline]
    if len(baselines) > 1:
        raise VisitError(f"{' and '.join(baselines)} are all called the baseline. Only one visit can be it.")


def baseline_index(visits: Sequence[Visit]) -> int:
    """Place of the visit that is called the baseline, or of the first."""
    return next((i for i, visit in enumerate(visits) if visit.facts.baseline), 0)


def with_spacing(visit: Visit, spacing_mm: tuple[float, float, float]) -> Visit:
    """The visit with another voxel size, for files whose header is known to be false."""
    study = visit.study
    return replace(
        visit,
        segmentation=replace(visit.segmentation, grid=_respaced(visit.segmentation.grid, spacing_mm)),
        study=None
        if study is None
        else replace(
            study,
            grid=_respaced(study.grid, spacing_mm),
            notes=(
                *(note for note in study.notes if "may be false" not in note),
                f"The voxel size {'x'.join(f'{s:g}' for s in spacing_mm)} mm was given by hand.",
            ),
        ),
    )


def _respaced(grid: Grid, spacing_mm: tuple[float, float, float]) -> Grid:
    affine = grid.affine.copy()
    affine[:3, :3] *= [target / now for target, now in zip(spacing_mm, grid.spacing, strict=True)]
    return Grid(grid.shape, affine, "mm")


def parse_date(text: str) -> datetime.date:
    """A date from `2025-01-31` or `20250131`; raises `VisitError` for anything else."""
    parsed = _date_in(text)
    if parsed is None:
        raise VisitError(f"{text!r} is not a date. Give year, month and day: 2025-01-31.")
    return parsed


def date_of(study: Study) -> FoundDate | None:
    """When the scans of a study were made: from DICOM headers, or from the JSON beside a file (BIDS); else None.

    Names of files and folders are not asked: what looks like a date there may be one of an export, or none.
    """
    return date_of_sources(study.sources.values())


def date_of_sources(sources: Iterable[Source]) -> FoundDate | None:
    """When scans were made, by where they were read from; see `date_of`."""
    for source in sources:
        date = next(_dates_at(source.path), None)
        if date is not None:
            return date
    return None


def _dates_at(path: Path) -> Iterator[FoundDate]:
    if path.is_dir() or dicom.is_dicom(path):
        yield from _dicom_dates(path)
        return
    for name in _JSON_DATES:
        day = _date_in(str(_sidecar(path).get(name, "")))
        if day is not None:
            yield FoundDate(day, f"{name} in {short_name(path)}.json")


def _sidecar(path: Path) -> dict[str, Any]:
    try:
        content = read_json(path.with_name(f"{short_name(path)}.json"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _dicom_dates(path: Path) -> Iterator[FoundDate]:
    for what, text in dicom.dates_at(path):
        day = _date_in(text)
        if day is not None:
            yield FoundDate(day, f"{what} date of the DICOM header")


def _date_in(text: str) -> datetime.date | None:
    match = re.match(r"\s*(\d{4})-?(\d{2})-?(\d{2})(?!\d*-)", text)
    if match is None:
        return None
    try:
        return datetime.date(*(int(part) for part in match.groups()))
    except ValueError:
        return None
