"""What the dock shows, derived from the user's choices and the current state. No Qt, no napari."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

Tab = Literal["segment", "correct", "measure", "compare", "data"]

TABS: Final[Mapping[Tab, tuple[str, str]]] = {
    "segment": ("Segment", "Let a model segment the tumour."),
    "correct": (
        "Correct",
        "Correct the labels with outlines, strokes and lassos. Starts and ends with this tab.",
    ),
    "measure": ("Measure", "Volumes, lesions and diameters of this examination, and several over time."),
    "compare": ("Compare", "How far several results agree, and where they differ."),
    "data": ("Data && training", "Collect, review and add cases; train a model on them."),
}
"""Title and tooltip of each tab."""

_NO_CASE: Final = "no case is open"


@dataclass(frozen=True, slots=True)
class CaseFacts:
    """An open case: its name, and the number of labels layers on its scans."""

    name: str
    results: int = 0


@dataclass(frozen=True, slots=True)
class Facts:
    """The current state, independent of the user's choices.

    Parameters
    ----------
    cases : sequence of CaseFacts
        In the order they were opened.
    unsaved : sequence of str
        Names of labels layers with unsaved changes.
    saved_at : str
        Time of the last save in this session, such as `"12:03"`; empty before the first.
    """

    cases: Sequence[CaseFacts] = ()
    unsaved: Sequence[str] = ()
    saved_at: str = ""


@dataclass(frozen=True, slots=True)
class Choices:
    """What the user chose: a case by its position, or None if none is open, and a tab."""

    case: int | None = None
    tab: Tab = "segment"


@dataclass(frozen=True, slots=True)
class View:
    """What the dock shows.

    Parameters
    ----------
    cases : tuple of str
        Items of the case box; a note if there is no case.
    case : int
        Index of the current case.
    closed : mapping of str to str
        Tabs that cannot be opened now, with the reason.
    tab : str
        The current tab.
    report_obstacle : str
        Why no report can be written; empty if it can.
    state_text : str
        What has been saved and what has not.
    """

    cases: tuple[str, ...]
    case: int
    closed: Mapping[Tab, str]
    tab: Tab
    report_obstacle: str
    state_text: str


def resolve(choices: Choices, facts: Facts) -> View:
    """Derive what the dock shows."""
    case = _case_of(choices, facts)
    closed = _closed_tabs(case)
    position = choices.case if choices.case is not None and case is not None else 0
    return View(
        cases=_case_texts(facts.cases),
        case=position,
        closed=closed,
        tab="segment" if choices.tab in closed else choices.tab,
        report_obstacle=_report_obstacle(case),
        state_text=_state_text(facts),
    )


def _case_of(choices: Choices, facts: Facts) -> CaseFacts | None:
    at = choices.case
    return facts.cases[at] if at is not None and 0 <= at < len(facts.cases) else None


def _case_texts(cases: Sequence[CaseFacts]) -> tuple[str, ...]:
    """Return the names, numbered if several cases share one."""
    if not cases:
        return (_NO_CASE,)
    counts = Counter(case.name for case in cases)
    seen: Counter[str] = Counter()
    texts = []
    for case in cases:
        seen[case.name] += 1
        texts.append(f"{case.name} ({seen[case.name]})" if counts[case.name] > 1 else case.name)
    return tuple(texts)


def _closed_tabs(case: CaseFacts | None) -> Mapping[Tab, str]:
    results = case.results if case is not None else 0
    if results >= 2:
        return {}
    return {"compare": "Two results of this case are needed: run another model, or open other labels of it."}


def _report_obstacle(case: CaseFacts | None) -> str:
    if case is None:
        return "Open a case first."
    return "" if case.results else "There are no labels to report: segment the case, or open its labels."


def _state_text(facts: Facts) -> str:
    parts = [f"Saved {facts.saved_at}"] if facts.saved_at else []
    if len(facts.unsaved) == 1:
        parts.append(f"{facts.unsaved[0]} is not saved")
    elif facts.unsaved:
        parts.append(f"{len(facts.unsaved)} results are not saved")
    return " · ".join(parts)


@dataclass(frozen=True, slots=True)
class JobFacts:
    """A running job: its title, its current step, the fraction done from 0 to 1, and the time left."""

    title: str
    message: str = ""
    fraction: float | None = None
    time_left: str = ""


def job_text(job: JobFacts) -> str:
    """Describe a job by its current step and the time left."""
    words = ", ".join(filter(None, (job.message, job.time_left)))
    return f"{job.title}{': ' + words if words else '…'}"
