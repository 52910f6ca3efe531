"""Follow-up of one patient: visits are measured, registered and matched, and the response is assessed."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from napari_brain_tumor.errors import RegistrationError
from napari_brain_tumor.followup.matching import LesionVoxels, MatchSettings, Track, lesion_voxels, match_lesions
from napari_brain_tumor.followup.registration import Registration, register_job
from napari_brain_tumor.followup.response import Burden, Measure, Response, assess
from napari_brain_tumor.followup.rigid import RigidTransform
from napari_brain_tumor.followup.visits import Visit, baseline_index, in_order
from napari_brain_tumor.labels import REGIONS, Region
from napari_brain_tumor.measure.examination import Examination, measure_study_job
from napari_brain_tumor.measure.lesions import Lesion
from napari_brain_tumor.measure.settings import MeasureSettings
from napari_brain_tumor.progress import Job, Progress, action, part_of

if TYPE_CHECKING:
    import pandas

_MOST_TARGETS: Final = 2
"""Maximum number of target lesions of an enhancing tumour in RANO 2.0."""


@dataclass(frozen=True, slots=True)
class Change:
    """A value at one visit, and its relative change from the baseline and from the previous nadir."""

    value: float | None
    from_baseline: float | None
    from_nadir: float | None


@dataclass(frozen=True, slots=True)
class Series:
    """A size at each visit."""

    key: str
    name: str
    unit: str
    changes: tuple[Change, ...]


@dataclass(frozen=True, slots=True, eq=False)
class VisitResult:
    """Measurements of one visit, and its registration to the baseline.

    `registration` is None for the baseline itself and for visits that were not registered; `problem` then says why.
    """

    visit: Visit
    examination: Examination
    registration: Registration | None = None
    problem: str = ""

    @property
    def transform(self) -> RigidTransform | None:
        """Transform from the baseline's world to this visit's; None if it is not reliable enough to be used."""
        return None if self.problem or self.registration is None else self.registration.transform


@dataclass(frozen=True, slots=True, eq=False)
class FollowUp:
    """Comparison of one patient's visits.

    Parameters
    ----------
    visits : tuple of VisitResult
        The visits in chronological order.
    baseline : int
        Index of the visit with which the others are compared.
    series : tuple of Series
        Volumes of regions, followed by products and volume of the target lesions.
    tracks : tuple of Track
        Enhancing lesions over time.
    targets : tuple of str
        The target lesions at baseline, such as `"ET 1"`.
    responses : mapping of measure to tuple of Response
        Responses at each visit.
    notes : tuple of str
        Notes for the user.
    """

    visits: tuple[VisitResult, ...]
    baseline: int
    series: tuple[Series, ...]
    tracks: tuple[Track, ...]
    targets: tuple[str, ...]
    responses: Mapping[Measure, tuple[Response, ...]]
    notes: tuple[str, ...] = ()

    def __getitem__(self, key: str) -> Series:
        """Return the series of a region or of the targets by key."""
        for series in self.series:
            if series.key == key:
                return series
        raise KeyError(f"There is no series {key!r}; there are {[series.key for series in self.series]}.")

    def to_dataframe(self) -> "pandas.DataFrame":
        """Return every size at every visit as a `pandas.DataFrame`, with the columns of the CSV."""
        from napari_brain_tumor.followup.tables import follow_up_table

        return follow_up_table(self).to_dataframe()

    def as_dict(self) -> dict[str, Any]:
        """Return the content of the JSON file."""
        return {
            "baseline": self.visits[self.baseline].visit.name,
            "visits": [_visit_dict(result) for result in self.visits],
            "series": {
                series.key: {
                    "name": series.name,
                    "unit": series.unit,
                    "values": [change.value for change in series.changes],
                    "change_from_baseline": [change.from_baseline for change in series.changes],
                    "change_from_nadir": [change.from_nadir for change in series.changes],
                }
                for series in self.series
            },
            "targets": list(self.targets),
            "tracks": [track.as_dict() for track in self.tracks],
            "responses": {
                measure: [response.as_dict() for response in assessed] for measure, assessed in self.responses.items()
            },
            "notes": list(self.notes),
        }


def _visit_dict(result: VisitResult) -> dict[str, Any]:
    visit = result.visit
    return {
        "name": visit.name,
        "date": None if visit.day is None else visit.day.isoformat(),
        "date_told_by": None if visit.date is None else visit.date.told_by,
        "facts": visit.facts.model_dump(mode="json"),
        "registration": None if result.registration is None else result.registration.as_dict(),
        "problem": result.problem,
        "examination": result.examination.as_dict(),
    }


@action
def follow_up(
    visits: Sequence[Visit],
    registrations: Mapping[str, Registration] | None = None,
    *,
    settings: MeasureSettings | None = None,
    match: MatchSettings | None = None,
    seed: int = 0,
) -> Job[FollowUp]:
    """Compare the examinations of one patient.

    Parameters
    ----------
    visits : sequence of Visit
        Any number of visits; they are sorted by date.
    registrations : mapping of visit's name to Registration, optional
        Registrations of visits to the baseline. If given, visits that are not in it count as unregistered. If not
        given, every visit with scans is registered; a failed registration is reported and not used.
    settings : MeasureSettings, optional
        How to measure.
    match : MatchSettings, optional
        How lesions are matched between visits.
    seed : int
        Random seed of the registrations.

    Raises
    ------
    VisitError
        If the visits cannot be put in order.

    Examples
    --------
    >>> found = follow_up([before, after])  # doctest: +SKIP
    >>> found["WT"].changes[1].from_baseline  # doctest: +SKIP
    -0.31
    """
    ordered = in_order(visits)
    start = baseline_index(ordered)
    results = []
    for place, visit in enumerate(ordered):
        low, high = place / len(ordered), (place + 1) / len(ordered)
        yield Progress(low, 1, visit.name)
        measured = measure_study_job(visit.segmentation, visit.study, settings)
        examination = yield from part_of(measured, low, (low + high) / 2, visit.name)
        placed = _placed_job(visit, ordered[start], registrations, seed)
        registration, problem = yield from part_of(placed, (low + high) / 2, high, visit.name)
        results.append(VisitResult(visit, examination, registration, problem))
    return compare(tuple(results), start, match)


follow_up_job = follow_up.job
"""`follow_up` as a job: yields `Progress` and returns the same result. Takes the same parameters."""


def compare(results: tuple[VisitResult, ...], start: int, match: MatchSettings | None = None) -> FollowUp:
    """Compare visits that have already been measured and registered; `start` is the index of the baseline."""
    tracks = match_lesions([_lesions_in_baseline(result, at == start) for at, result in enumerate(results)], match)
    targets = _targets(results[start].examination)
    burdens = [_burden(results, tracks, targets, start, at) for at in range(len(results))]
    areas, volumes = ([burden[measure] for burden in burdens] for measure in (0, 1))
    responses: dict[Measure, tuple[Response, ...]] = {
        "area": assess(areas, "area"),
        "volume": assess(volumes, "volume"),
    }
    series = (
        *_region_series(results, start),
        Series("area", "products of the target lesions", "mm²", _changes([size.value for size in areas], start)),
        Series("volume", "volume of the target lesions", "mL", _changes([size.value for size in volumes], start)),
    )
    titles = tuple(lesion.title for lesion in targets)
    return FollowUp(results, start, series, tracks, titles, responses, tuple(_notes(results, start)))


def _placed_job(
    visit: Visit, baseline: Visit, registrations: Mapping[str, Registration] | None, seed: int
) -> Job[tuple[Registration | None, str]]:
    """Register a visit to the baseline; returns the registration, and the reason if there is none to use."""
    if visit is baseline:
        return None, ""
    if registrations is not None:
        existing = registrations.get(visit.name)
        return existing, "" if existing is not None else "not registered"
    if visit.study is None or baseline.study is None:
        return None, "not registered: there are no scans of it, or none of the baseline"
    if "voxel" in (visit.study.grid.unit, baseline.study.grid.unit):
        return None, "not registered: the voxel size is not known"
    try:
        registration = yield from register_job(visit.study, baseline.study, seed=seed)
    except RegistrationError as error:
        return None, str(error)
    return registration, "" if registration.trusted else f"the registration failed: {'; '.join(registration.problems)}"


def _lesions_in_baseline(result: VisitResult, is_baseline: bool) -> tuple[LesionVoxels, ...] | None:
    transform = RigidTransform(np.eye(4)) if is_baseline else result.transform
    known = "ET" in result.visit.segmentation.known_regions and result.examination.grid.unit == "mm"
    if transform is None or not known:
        return None
    segmentation = result.visit.segmentation
    return lesion_voxels(result.examination.of_region("ET"), segmentation.data, segmentation.grid, transform)


def _targets(examination: Examination) -> tuple[Lesion, ...]:
    """Return the measurable enhancing lesions with the largest products, at most two."""
    measurable = [lesion for lesion in examination.of_region("ET") if lesion.measurable]
    return tuple(sorted(measurable, key=lambda lesion: -_product(lesion))[:_MOST_TARGETS])


def _product(lesion: Lesion) -> float:
    return 0.0 if lesion.diameters is None else lesion.diameters.product_mm2


def _burden(
    results: Sequence[VisitResult], tracks: Sequence[Track], targets: Sequence[Lesion], start: int, at: int
) -> tuple[Burden, Burden]:
    result = results[at]
    visit, lesions = result.visit, result.examination.of_region("ET")
    unknown = _unknown(result)
    counted = _counted(lesions, tracks, targets, start, at)
    compared = bool(tracks) and all(track.lesions[at] is not None for track in tracks)
    nothing = not lesions and not unknown
    shared = {
        "enhancing": (visit.segmentation.data == 3).any().item(),
        "measurable": any(lesion.measurable for lesion in lesions),
        "date": visit.day,
        "new_lesion": False if nothing or at == start else _has_new(tracks, start, at) if compared else None,
        "non_target_grew": compared and _non_target_grew(tracks, targets, start, at),
        "facts": visit.facts,
        "unknown": unknown,
    }
    area = None if unknown else sum(_product(lesion) for lesion in counted)
    volume = None if unknown else sum(lesion.volume_ml or 0.0 for lesion in counted)
    return Burden(visit.name, area, **shared), Burden(visit.name, volume, **shared)


def _unknown(result: VisitResult) -> str:
    if "ET" not in result.visit.segmentation.known_regions:
        return f"labels of {result.visit.name} that mark enhancing tumour"
    return "" if result.examination.grid.unit == "mm" else f"the voxel size of {result.visit.name}"


def _counted(
    lesions: Sequence[Lesion], tracks: Sequence[Track], targets: Sequence[Lesion], start: int, at: int
) -> Sequence[Lesion]:
    """Return a visit's lesions that correspond to the targets; the two largest if visits could not be compared."""
    if at == start:
        return targets
    followed = [track for track in tracks if set(targets) & set(track.lesions[start] or ())]
    if any(track.lesions[at] is None for track in tracks):
        return sorted(lesions, key=lambda lesion: -_product(lesion))[:_MOST_TARGETS]
    return [lesion for track in followed for lesion in track.lesions[at] or ()]


def _has_new(tracks: Sequence[Track], start: int, at: int) -> bool:
    born = (track for track in tracks if not track.lesions[start])
    return any(lesion.measurable for track in born for lesion in track.lesions[at] or ())


def _non_target_grew(tracks: Sequence[Track], targets: Sequence[Lesion], start: int, at: int) -> bool:
    others = (track for track in tracks if track.lesions[start] and not set(targets) & set(track.lesions[start] or ()))
    small = (track for track in others if not any(lesion.measurable for lesion in track.lesions[start] or ()))
    return any(lesion.measurable for track in small for lesion in track.lesions[at] or ())


def _region_series(results: Sequence[VisitResult], start: int) -> Iterator[Series]:
    for region in REGIONS:
        rows = [_row(result, region) for result in results]
        present = [row for row in rows if row is not None]
        if not present:
            continue
        in_ml = all(row.ml is not None for row in present)
        values = [None if row is None else row.ml if in_ml else float(row.voxels) for row in rows]
        yield Series(region, present[0].name, "mL" if in_ml else "voxels", _changes(values, start))


def _row(result: VisitResult, region: Region) -> Any:
    return next((row for row in result.examination.volumes.regions if row.key == region), None)


def _changes(values: Sequence[float | None], start: int) -> tuple[Change, ...]:
    changes = []
    for at, value in enumerate(values):
        earlier = [previous for previous in values[start:at] if previous is not None]
        if value is None or at <= start or values[start] is None or not earlier:
            changes.append(Change(value, None, None))
            continue
        changes.append(Change(value, _share(value, earlier[0]), _share(value, min(earlier))))
    return tuple(changes)


def _share(value: float, before: float) -> float | None:
    return (value - before) / before if before > 0 else None


def _notes(results: Sequence[VisitResult], start: int) -> Iterator[str]:
    units = {result.examination.grid.unit for result in results}
    if len(units) > 1:
        yield "The voxel size of some visits is not known: sizes cannot be compared in millilitres."
    elif units == {"voxel"}:
        yield "The voxel size is not known: numbers of voxels compare only between scans of one voxel size."
    for result in results:
        visit = result.visit
        guesses = dict.fromkeys((*visit.segmentation.notes, *(visit.study.notes if visit.study is not None else ())))
        yield from (f"{visit.name}: {note}" for note in guesses)
        if result.problem:
            yield (
                f"{result.visit.name} is {result.problem}; its lesions are not matched, and in its sums the largest "
                f"{_MOST_TARGETS} stand for the targets."
                if result.problem.startswith("not registered")
                else f"{result.visit.name}: {result.problem}. Its lesions are not matched."
            )
    if any(result.visit.day is None for result in results) and len(results) > 1:
        yield "Not every date is known: visits are in the order in which they were given."
    if not results[start].visit.facts.baseline and len(results) > 1:
        yield f"No baseline was named: numbers compare with the first visit, {results[start].visit.name}."
