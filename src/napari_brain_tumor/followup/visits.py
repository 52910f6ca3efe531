"""Examinations of one patient in chronological order, and the sources of their dates."""

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
    """A date and its source."""

    day: datetime.date
    told_by: str


@dataclass(frozen=True, slots=True, eq=False)
class Visit:
    """One examination with its segmentation.

    Parameters
    ----------
    name : str
        Name for tables and pictures, unique among the visits.
    segmentation : Segmentation
        Segmentation on the visit's own grid, on which it is measured.
    study : Study, optional
        The scans; without them, registration and the side of lesions are not available.
    date : FoundDate, optional
        Date of the examination; never taken from a file name.
    facts : VisitFacts
        Clinical facts entered by the user.
    """

    name: str
    segmentation: Segmentation
    study: Study | None = None
    date: FoundDate | None = None
    facts: VisitFacts = field(default_factory=VisitFacts)

    @property
    def day(self) -> datetime.date | None:
        """Date of the examination, if known."""
        return None if self.date is None else self.date.day

    @property
    def title(self) -> str:
        """Name and date for display."""
        return f"{self.name} ({self.day.isoformat()})" if self.day is not None else f"{self.name} (date not known)"


def in_order(visits: Sequence[Visit]) -> tuple[Visit, ...]:
    """Sort visits by date; if no date is known, keep the given order.

    Raises
    ------
    VisitError
        If there are no visits, two have the same name, two are marked as baseline, or only some dates are known and
        they contradict the given order.
    """
    _check(visits)
    days = [visit.day for visit in visits]
    known = [day for day in days if day is not None]
    if len(known) == len(visits):
        return tuple(sorted(visits, key=lambda visit: visit.day or datetime.date.min))  # keeps the order within a day
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
    """Return the index of the visit marked as baseline, or else of the first."""
    return next((i for i, visit in enumerate(visits) if visit.facts.baseline), 0)


def with_spacing(visit: Visit, spacing_mm: tuple[float, float, float]) -> Visit:
    """Return the visit with a different voxel size, for files whose header is known to be wrong."""
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
    """Parse a date such as `2025-01-31` or `20250131`; raises `VisitError` for anything else."""
    parsed = _date_in(text)
    if parsed is None:
        raise VisitError(f"{text!r} is not a date. Give year, month and day: 2025-01-31.")
    return parsed


def date_of(study: Study) -> FoundDate | None:
    """Find the date of a study's scans in DICOM headers or in the JSON sidecar of a file (BIDS); None if there is none.

    File and folder names are not used: something that looks like a date may be that of an export.
    """
    return date_of_sources(study.sources.values())


def date_of_sources(sources: Iterable[Source]) -> FoundDate | None:
    """Find the date of scans from the places they were read from; see `date_of`."""
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
