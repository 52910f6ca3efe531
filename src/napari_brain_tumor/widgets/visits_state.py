"""Logic of the Visits panel, without Qt: registration, comparison, response, documents."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from napari.layers import Layer

from napari_brain_tumor.errors import RecordError, VisitError
from napari_brain_tumor.followup.document import USER, VisitEntry, open_visits, read_visits
from napari_brain_tumor.followup.facts import VisitFacts
from napari_brain_tumor.followup.followup import Change, FollowUp, VisitResult, compare
from napari_brain_tumor.followup.registration import Registration, checkerboard, describe
from napari_brain_tumor.followup.response import NOT_ASSESSABLE
from napari_brain_tumor.followup.visits import Visit, in_order
from napari_brain_tumor.followup.wording import percent, size_text
from napari_brain_tumor.inference.worker_process import WorkerProcess
from napari_brain_tumor.io.table import Table
from napari_brain_tumor.plugin import to_layers
from napari_brain_tumor.plugin.layers import LayerData
from napari_brain_tumor.progress import Job, Progress
from napari_brain_tumor.requests.lines import CommandLines
from napari_brain_tumor.widgets.diameter_lines import DrawnLines, with_hand_lines
from napari_brain_tumor.widgets.panel_lines import label_file_of, opening_of_layers
from napari_brain_tumor.widgets.visit_entries import _UNUSED, Entry, OpenEntry, scans_of
from napari_brain_tumor.widgets.worker import Stop

REGISTER_TARGET: Final = "napari_brain_tumor.followup.registration:register_job"
COMPARE_TARGET: Final = "napari_brain_tumor.followup.followup:follow_up_job"
REPORT_TARGET: Final = "napari_brain_tumor.reports:report_job"
BOARD: Final = "checkerboard"
_DOCUMENT: Final = "visits.json"


def opened_entries(path: Path) -> Job[list[Entry]]:
    """Open the visits of a document, as a job."""
    yield Progress(0, 0, "Opening visits")
    recorded = read_visits(path).visits
    folder = path.resolve().parent
    entries = []
    for entry, visit in zip(recorded, open_visits(path), strict=True):
        whole = entry.model_copy(
            update={"case": str(folder / entry.case), "segmentation": str(folder / entry.segmentation)}
        )
        entries.append(Entry(visit.name, visit=visit, recorded=whole, date=visit.date, facts=visit.facts))
    return entries


def document_of(entries: Sequence[Entry], all_layers: Iterable[Layer]) -> list[VisitEntry]:
    """Return the visits in the form of a document; raises `RecordError` if one is not in a file."""
    opened = list(all_layers)
    return [_document_entry(entry, opened) for entry in entries if entry.used]


def _document_entry(entry: Entry, all_layers: Sequence[Layer]) -> VisitEntry:
    changes: dict[str, Any] = {"name": entry.name, "facts": entry.facts}
    if entry.date is not None and entry.date.told_by == USER:
        changes["date"] = entry.date.day
    if entry.layer is None:
        assert entry.recorded is not None
        return entry.recorded.model_copy(update={"date": None, **changes})
    scans = scans_of(entry.layer, all_layers)
    if not scans:
        msg = f"The scans of {entry.name} are not open, so they cannot be named. Open its case; then save again."
        raise RecordError(msg)
    opening, labels = opening_of_layers(scans), label_file_of(entry.layer)
    return VisitEntry(
        case=str(opening.path),
        segmentation=str(labels.path),
        **{name: value for name, value in opening.changed().items() if name != "path"},
        label_schema=labels.schema,
        **changes,
    )


def register_job(worker: WorkerProcess, stop: Stop, moving: OpenEntry, fixed: OpenEntry) -> Job[Any]:
    """Register a visit to the baseline, and make a checkerboard for checking it."""
    yield Progress(0, 1, "Taking the scans")
    visit, baseline = moving.opened(), fixed.opened()
    for either in (visit, baseline):
        if either.study is None:
            msg = f"The scans of {either.name} are not open. Open its case; then register again."
            raise VisitError(msg)
    assert visit.study is not None
    assert baseline.study is not None
    registration: Registration = yield from stop.guard(worker.run(REGISTER_TARGET, visit.study, baseline.study))
    board = checkerboard(visit.study, baseline.study, registration)
    grid = baseline.study.grid
    centre = tuple(grid.world([(n - 1) / 2 for n in grid.shape]).tolist())
    return registration, centre, _board_layer(f"{BOARD}: {visit.name} on {baseline.name}", board, baseline)


def _board_layer(name: str, board: Any, baseline: Visit) -> LayerData:
    assert baseline.study is not None
    data, attributes, kind = to_layers.map_to_layer(name, board, baseline.study.grid, "gray", of=BOARD)
    return data, attributes | {"blending": "translucent", "opacity": 1.0}, kind


def compare_job(
    worker: WorkerProcess, stop: Stop, visits: Sequence[OpenEntry], registrations: Mapping[str, Registration]
) -> Job[FollowUp]:
    """Compare the visits in the worker process; only accepted registrations are used."""
    yield Progress(0, 1, "Taking the scans")
    opened = in_order([visit.opened() for visit in visits])
    follow_up: FollowUp = yield from stop.guard(worker.run(COMPARE_TARGET, opened, dict(registrations)))
    lines = {visit.entry_name: visit.lines for visit in visits if visit.lines is not None and visit.lines.moved}
    return _with_lines(follow_up, lines) if lines else follow_up


def _with_lines(follow_up: FollowUp, lines: Mapping[str, DrawnLines]) -> FollowUp:
    """Return the comparison with manually moved diameters in place of the computed ones."""
    results: list[VisitResult] = []
    notes: list[str] = []
    for result in follow_up.visits:
        name = result.visit.name
        if name in lines:
            examination, unused = with_hand_lines(result.examination, lines[name])
            by_hand = [lesion.title for lesion in examination.lesions if lesion.diameters and lesion.diameters.by_hand]
            result = replace(result, examination=examination)
            notes += [f"{name}: diameters of {', '.join(by_hand)} as they were moved by hand."] if by_hand else []
            notes += [_UNUSED.format(name, ", ".join(unused))] if unused else []
        results.append(result)
    again = compare(tuple(results), follow_up.baseline)
    return replace(again, notes=(*again.notes, *notes))


def assessed_again(follow_up: FollowUp, facts: Mapping[str, VisitFacts]) -> FollowUp:
    """Return the comparison with updated facts; nothing is measured or registered again."""
    visits = (
        replace(result.visit, facts=facts.get(result.visit.name, result.visit.facts)) for result in follow_up.visits
    )
    results = tuple(replace(result, visit=visit) for result, visit in zip(follow_up.visits, visits, strict=True))
    return compare(results, follow_up.baseline)


def for_report(follow_up: FollowUp) -> FollowUp:
    """Return the comparison with only the scans needed for the report's pictures, so that less is sent to a process."""

    def light(result: VisitResult) -> VisitResult:
        study, registration = result.visit.study, result.registration
        if study is None:
            return result
        roles = {
            visit_result.registration.fixed_role
            for visit_result in follow_up.visits
            if visit_result.registration is not None
        }
        needed_roles = {registration.moving_role} if registration is not None else roles
        needed = tuple(role for role in study.roles if role in needed_roles)
        return replace(result, visit=replace(result.visit, study=study.only(needed) if needed else None))

    return replace(follow_up, visits=tuple(map(light, follow_up.visits)))


def registration_text(entry: Entry) -> str:
    """Describe the registration and whether it failed, in lines; empty if there was none."""
    registration = entry.registration
    if registration is None:
        return ""
    rows = [f"{name}: {value}" for name, value in describe(registration, entry.centre).items()]
    if entry.accepted:
        return "\n".join(rows)
    if registration.problems:
        return "\n".join(["⚠ Registration failed:", *registration.problems, *rows])
    return "\n".join([*rows, "Check that edges continue across the fields of the checkerboard."])


def size_table(follow_up: FollowUp) -> Table:
    """Return a table with a row for each size and a column for each visit."""
    visits = tuple(result.visit.name for result in follow_up.visits)
    rows = (
        (series.name, *(_change_text(change, series.unit) for change in series.changes)) for series in follow_up.series
    )
    return Table.of_cells(("", *visits), rows, right=frozenset(visits))


def _change_text(change: Change, unit: str) -> str:
    shares = _against("baseline", change.from_baseline), _against("nadir", change.from_nadir)
    return "\n".join(filter(None, (size_text(change.value, unit), *shares)))


def _against(what: str, share: float | None) -> str:
    return f"{percent(share)} to {what}" if share is not None else ""


def response_text(follow_up: FollowUp) -> str:
    """Describe each visit's response by area and by volume, and what is missing for it."""
    lines = []
    for at, result in enumerate(follow_up.visits):
        area, volume = (follow_up.responses[measure][at] for measure in ("area", "volume"))
        if area.verdict in ("baseline", "before the baseline"):
            lines.append(f"{result.visit.name}: {area.verdict}")
        elif area.verdict == volume.verdict == NOT_ASSESSABLE:
            alone = " / ".join(response.imaging or "unknown" for response in (area, volume))
            missing = "; ".join(dict.fromkeys((*area.missing, *volume.missing)))
            lines.append(
                f"{result.visit.name}: not assessable. Imaging alone, area / volume: {alone}. Missing: {missing}."
            )
        else:
            lines.append(f"{result.visit.name}: by area {area.sentence}; by volume {volume.sentence}")
    return "\n".join(lines)


def lines_of(entries: Sequence[Entry], document: Path | None) -> CommandLines:
    """Return code for what the panel does; raises `RecordError` while there is nothing to do."""
    used = [entry for entry in entries if entry.used]
    if not used:
        msg = "There is no visit yet. Open a case with its labels; each labels layer is a visit."
        raise RecordError(msg)
    path = str(document) if document is not None else _DOCUMENT
    python = "\n".join(
        [
            "from napari_brain_tumor import follow_up, open_visits, report",
            "from napari_brain_tumor.followup.tables import save_csv",
            "",
            f"found = follow_up(open_visits({path!r}))",
            'save_csv(found, "visits.csv")',
            "last = found.visits[-1].visit",
            'report(last.study, last.segmentation, "report.html", found=found)',
        ]
    )
    first = () if document is not None else (f"{_DOCUMENT} is what Save list… writes.",)
    rejected = [entry.name for entry in used if entry.registration is not None and not entry.accepted]
    notes = (
        f"These lines register every visit again and use all that succeed; here {', '.join(rejected)} is not used.",
    )
    return CommandLines(python, ("follow-up", path, "-o", "follow-up"), (*first, *(notes if rejected else ())))


def obstacle_of(entries: Sequence[Entry]) -> str:
    """Return why the visits cannot be compared; empty if they can."""
    stand_ins = [entry for entry in entries if entry.used]
    if not stand_ins:
        return "Open a case with its labels: each labels layer is a visit."
    names = [entry.name for entry in stand_ins]
    twice = sorted({name for name in names if names.count(name) > 1})
    return f"Two visits are called {', '.join(twice)}. Give each its own name." if twice else ""
