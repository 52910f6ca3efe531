"""Response category of each visit after RANO 2.0, for enhancing tumours (Wen 2023, 10.1200/JCO.23.01059).

The following rules are applied to the sum of products of the target lesions (area) and to their volume:

======== ================================= ================================= ==============================
category area                              volume                            also
======== ================================= ================================= ==============================
PD       >= 25 % above the nadir           >= 40 % above the nadir           or a new measurable lesion,
                                                                             or clinically worse
CR       nothing enhances                  nothing enhances                  no steroids, confirmed
PR       >= 50 % below the baseline        >= 65 % below the baseline        steroids not raised, confirmed
SD       anything else                     anything else                     steroids not raised
======== ================================= ================================= ==============================

CR and PR must be confirmed by a scan at least four weeks later. Progression within twelve weeks after radiotherapy
may be pseudoprogression and must also be confirmed by a scan at least four weeks later. The nadir is the smallest value
from the baseline on. Tumours that do not enhance are not assessed here; their criteria add a minor response. If a
necessary fact is unknown, the visit is "not assessable", and the category by imaging alone is given in addition.
"""

import datetime
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from napari_brain_tumor.followup.facts import VisitFacts
from napari_brain_tumor.followup.wording import percent

Measure = Literal["area", "volume"]
Category = Literal["CR", "PR", "SD", "PD"]
Verdict = Literal["CR", "PR", "SD", "PD", "not assessable", "baseline", "before the baseline"]

NOT_ASSESSABLE: Final = "not assessable"
CATEGORY_NAMES: Final[dict[Category, str]] = {
    "CR": "complete response",
    "PR": "partial response",
    "SD": "stable disease",
    "PD": "progressive disease",
}
"""Full names of the categories."""

_CONFIRMED_DAYS: Final = 28
_AFTER_RADIOTHERAPY_DAYS: Final = 84
_ROUNDING: Final = 1e-9
"""Tolerance, because sums of measured numbers may miss a threshold through rounding alone."""


@dataclass(frozen=True, slots=True)
class Threshold:
    """Relative change from which it is progression (from the nadir) or response (from the baseline)."""

    progression: float
    response: float


THRESHOLDS: Final[dict[Measure, Threshold]] = {"area": Threshold(0.25, 0.50), "volume": Threshold(0.40, 0.65)}
"""Thresholds of RANO 2.0."""


@dataclass(frozen=True, slots=True)
class Burden:
    """The enhancing tumour at one visit, as seen on the images.

    Parameters
    ----------
    name : str
        Name of the visit.
    value : float or None
        Sum of products in mm², or volume in mL, of the target lesions; None if it cannot be determined.
    enhancing : bool
        Whether there is any enhancement.
    measurable : bool
        Whether there is a measurable lesion: both diameters at least 10 mm.
    date : date, optional
        Date of the examination.
    new_lesion : bool, optional
        Whether there is a new measurable lesion; None if that could not be determined.
    non_target_grew : bool
        Whether a non-target lesion became measurable, which a reader has to assess.
    facts : VisitFacts
        Clinical facts entered by the user.
    unknown : str
        What is needed to determine the value, if it is None.
    """

    name: str
    value: float | None
    enhancing: bool
    measurable: bool
    date: datetime.date | None = None
    new_lesion: bool | None = None
    non_target_grew: bool = False
    facts: VisitFacts = field(default_factory=VisitFacts)
    unknown: str = ""

    @property
    def has_new_lesion(self) -> bool | None:
        """The reader's assessment if there is one, otherwise the result of lesion matching."""
        return self.new_lesion if self.facts.new_lesion is None else self.facts.new_lesion


@dataclass(frozen=True, slots=True)
class Response:
    """The response category of one visit by one measure.

    Parameters
    ----------
    measure : {"area", "volume"}
    verdict : str
        A category, "not assessable", "baseline" or "before the baseline".
    imaging : Category or None
        Category by imaging alone; None if even the images are insufficient.
    missing : tuple of str
        Necessary facts that are unknown.
    reasons : tuple of str
        Reasons for the category.
    change_from_baseline, change_from_nadir : float or None
        Relative changes: 0.25 is an increase of 25 %.
    """

    measure: Measure
    verdict: Verdict
    imaging: Category | None = None
    missing: tuple[str, ...] = ()
    reasons: tuple[str, ...] = ()
    change_from_baseline: float | None = None
    change_from_nadir: float | None = None

    @property
    def sentence(self) -> str:
        """Verdict with reasons or missing facts, for display."""
        if self.verdict != NOT_ASSESSABLE:
            why = f" ({'; '.join(self.reasons)})" if self.reasons else ""
            return f"{self.verdict}{why}"
        alone = f"by imaging alone: {self.imaging}" if self.imaging else "imaging alone does not tell either"
        return f"not assessable; {alone}. Missing: {'; '.join(self.missing)}."

    def as_dict(self) -> dict[str, Any]:
        """Return the content for the JSON file."""
        return {
            "measure": self.measure,
            "category": self.verdict,
            "imaging_alone": self.imaging,
            "missing": list(self.missing),
            "reasons": list(self.reasons),
            "change_from_baseline": self.change_from_baseline,
            "change_from_nadir": self.change_from_nadir,
        }


@dataclass(frozen=True, slots=True)
class _Observation:
    """Findings on the images of one visit, before clinical facts are considered."""

    category: Category | None
    reason: str
    from_baseline: float | None = None
    from_nadir: float | None = None


def assess(burdens: Sequence[Burden], measure: Measure) -> tuple[Response, ...]:
    """Determine the response category of every visit.

    Parameters
    ----------
    burdens : sequence of Burden
        Burdens in chronological order. The baseline is the one marked as such in its facts; if none is marked, changes
        are given relative to the first, and no visit is assessable.
    measure : {"area", "volume"}
    """
    if not burdens:
        return ()
    baselines = [i for i, burden in enumerate(burdens) if burden.facts.baseline]
    start = baselines[0] if baselines else 0
    observations = [_observation(burdens, start, i, measure) for i in range(len(burdens))]
    return tuple(
        _response(burdens, observations, start, i, measure, known_baseline=len(baselines) == 1)
        for i in range(len(observations))
    )


def _observation(burdens: Sequence[Burden], start: int, here: int, measure: Measure) -> _Observation:
    if here <= start:
        return _Observation(None, "")
    values = [burden.value for burden in burdens[start : here + 1]]
    if any(value is None for value in values):
        return _Observation(None, "a size cannot be given")
    *earlier, value = [float(v) for v in values if v is not None]
    baseline, nadir = earlier[0], min(earlier)
    from_baseline, from_nadir = _change(value, baseline), _change(value, nadir)
    category, reason = _category(burdens[here], burdens[start].measurable, measure, (from_baseline, from_nadir))
    return _Observation(category, reason, from_baseline, from_nadir)


def _change(value: float, before: float) -> float | None:
    return (value - before) / before if before > 0 else None


def _category(
    burden: Burden, measurable_before: bool, measure: Measure, changes: tuple[float | None, float | None]
) -> tuple[Category, str]:
    limits = THRESHOLDS[measure]
    from_baseline, from_nadir = changes
    if burden.has_new_lesion:
        return "PD", "a new measurable lesion"
    if from_nadir is not None and from_nadir >= limits.progression - _ROUNDING:
        return "PD", f"{percent(from_nadir)} from nadir"
    if from_nadir is None and burden.measurable and (burden.value or 0) > 0:
        return "PD", "a target lesion has recurred and is measurable"
    if not burden.enhancing:
        return "CR", "no enhancement"
    if measurable_before and from_baseline is not None and from_baseline <= -limits.response + _ROUNDING:
        return "PR", f"{percent(from_baseline)} from baseline"
    change = "" if from_nadir is None else f": {percent(from_nadir)} from nadir"
    return "SD", f"between the thresholds{change}"


def _response(
    burdens: Sequence[Burden],
    observations: Sequence[_Observation],
    start: int,
    here: int,
    measure: Measure,
    *,
    known_baseline: bool,
) -> Response:
    if here <= start:
        name: Verdict = "baseline" if here == start else "before the baseline"
        if here == start and not known_baseline:
            return Response(measure, NOT_ASSESSABLE, missing=(_WHICH_BASELINE,))
        return Response(measure, name)
    now = observations[here]
    missing = tuple(_missing(burdens, now, start, here, known_baseline=known_baseline))
    verdict, reason, unsettled = _verdict(burdens, observations, here)
    missing = (*missing, *unsettled)
    settled = verdict is not None and not missing
    return Response(
        measure,
        verdict if verdict is not None and settled else NOT_ASSESSABLE,
        now.category,
        missing,
        (reason,) if settled else (),
        now.from_baseline,
        now.from_nadir,
    )


_WHICH_BASELINE: Final = "which one visit is the baseline (the first after radiotherapy, or before a new treatment)"


def _missing(
    burdens: Sequence[Burden], now: _Observation, start: int, here: int, *, known_baseline: bool
) -> Iterator[str]:
    burden, facts = burdens[here], burdens[here].facts
    if not known_baseline:
        yield _WHICH_BASELINE
    yield from dict.fromkeys(
        other.unknown or f"the size of {other.name}" for other in burdens[start : here + 1] if other.value is None
    )
    if facts.clinical_status is None:
        yield "clinical status"
    if facts.clinical_status == "worse":
        return  # sufficient for progression by itself
    if facts.steroids is None:
        yield "dose of steroids compared with baseline"
    if burden.has_new_lesion is None:
        yield "whether there is a new measurable lesion (register the visits, or state it)"
    if burden.non_target_grew and facts.non_target_worse is None:
        yield "whether non-target lesions clearly progress (one became measurable)"
    if now.category != "PD" and not burdens[start].measurable:
        yield "measurable disease at the baseline (a lesion of at least 10 x 10 mm)"


_Outcome = tuple[Category | None, str, tuple[str, ...]]


def _verdict(burdens: Sequence[Burden], observations: Sequence[_Observation], here: int) -> _Outcome:
    """Return the category with its reason, and what is missing for it to be final."""
    facts, now = burdens[here].facts, observations[here]
    if facts.clinical_status == "worse":
        return "PD", "clinically worse", ()
    if facts.non_target_worse:
        return "PD", "non-target lesions progress", ()
    if now.category is None:
        return None, now.reason, ()
    if now.category == "PD":
        return _progression(burdens, observations, here)
    if facts.steroids == "increased":
        return None, "", ("why steroids were increased, while images and patient are stable; assess again when known",)
    if now.category == "SD":
        return "SD", now.reason, ()
    return _confirmed_response(burdens, observations, here)


def _progression(burdens: Sequence[Burden], observations: Sequence[_Observation], here: int) -> _Outcome:
    burden, now = burdens[here], observations[here]
    if burden.facts.steroids == "reduced":
        return None, "", ("a scan on a stable dose: steroids were reduced, which alone can let enhancement grow",)
    ended = burden.facts.radiotherapy_end
    if ended is None:
        return None, "", ("when radiotherapy ended, or that there was none",)
    if ended == "none":
        return "PD", now.reason, ()
    if burden.date is None:
        return None, "", ("the date of the visit",)
    if (burden.date - ended).days > _AFTER_RADIOTHERAPY_DAYS:
        return "PD", now.reason, ()
    held = _held(burdens, observations, here, ("PD",))
    if held is None:
        return None, "", ("a scan at least 4 weeks later: within 12 weeks after radiotherapy it must be confirmed",)
    return ("PD", f"{now.reason}, confirmed", ()) if held else ("SD", "a later scan did not confirm progression", ())


def _confirmed_response(burdens: Sequence[Burden], observations: Sequence[_Observation], here: int) -> _Outcome:
    now, dose = observations[here], burdens[here].facts.steroids
    complete = now.category == "CR" and dose == "none"
    category: Category = "CR" if complete else "PR"
    held = _held(burdens, observations, here, ("CR",) if complete else ("CR", "PR"))
    if held is None:
        return None, "", (f"a scan at least 4 weeks later that confirms {category}, with the dates of both",)
    if not held:
        return "SD", f"a later scan did not confirm {category}", ()
    why = f"{now.reason}, confirmed" if complete or now.category == "PR" else "no enhancement, but on steroids"
    return category, why, ()


def _held(
    burdens: Sequence[Burden], observations: Sequence[_Observation], here: int, as_good: tuple[Category, ...]
) -> bool | None:
    """Whether scans up to the first one at least four weeks later confirm it; None if there is no such scan yet."""
    first = burdens[here].date
    if first is None:
        return None
    for later, burden in list(enumerate(burdens))[here + 1 :]:
        if burden.date is None or observations[later].category is None:
            return None
        if observations[later].category not in as_good:
            return False
        if (burden.date - first).days >= _CONFIRMED_DAYS:
            return True
    return None
