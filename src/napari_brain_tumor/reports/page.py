"""The HTML report: its content is gathered, filled into a template, and written in one step."""

import os
import platform
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

from napari_brain_tumor.errors import SaveError
from napari_brain_tumor.followup.followup import FollowUp
from napari_brain_tumor.io.atomic import write_text
from napari_brain_tumor.io.sidecar import NOTICE, read_sidecar
from napari_brain_tumor.io.source_files import describe_sources, labels_files_sha256
from napari_brain_tumor.io.table import Table
from napari_brain_tumor.label_schemas import schema_named
from napari_brain_tumor.labels import labels_sha256
from napari_brain_tumor.measure.examination import Examination, measure_study_job
from napari_brain_tumor.measure.planes import require_one_grid
from napari_brain_tumor.measure.settings import MeasureSettings
from napari_brain_tumor.preflight import questions
from napari_brain_tumor.preflight.scans import Scans, facts_of
from napari_brain_tumor.progress import Job, Progress, action, part_of
from napari_brain_tumor.reports import tables
from napari_brain_tumor.reports.pictures import (
    Picture,
    board_pictures,
    curves,
    diameter_pictures,
    legend,
    slice_pictures,
)
from napari_brain_tumor.reports.rendering import rendered
from napari_brain_tumor.study import Segmentation, Study

_PACKAGES: Final = ("napari-brain-tumor", "numpy", "scipy", "nibabel", "SimpleITK", "matplotlib")


@dataclass(frozen=True, slots=True)
class _Board:
    """Checkerboards of one visit, and the reason if its registration was not used."""

    title: str
    problem: str
    pictures: tuple[Picture, ...]


@action
def report(
    study: Study,
    segmentation: Segmentation,
    path: str | os.PathLike[str],
    *,
    name: str | None = None,
    found: FollowUp | None = None,
    settings: MeasureSettings | None = None,
    with_paths: bool = False,
) -> Job[Path]:
    """Save a self-contained HTML report of a segmentation, optionally with earlier and later visits.

    Parameters
    ----------
    study : Study
        The scans.
    segmentation : Segmentation
        A segmentation on the study's grid.
    path : path-like
        File to write, ending in `.html`; an existing file is replaced only when the new one is complete.
    name : str, optional
        Name of the case in the report; if not given, the study's own name.
    found : FollowUp, optional
        Follow-up of the patient (`follow_up`) that includes this examination.
    settings : MeasureSettings, optional
        How to measure.
    with_paths : bool
        Whether to include file and folder names, which often contain names of patients and computers.

    Returns
    -------
    Path
        The file that was written.

    Raises
    ------
    GridMismatchError
        If the study and the segmentation lie on different grids.
    SaveError
        If the file cannot be written.

    Examples
    --------
    >>> report(study, segmentation, "report.html")  # doctest: +SKIP
    PosixPath('report.html')
    """
    target = Path(path)
    if target.suffix.lower() not in (".html", ".htm"):
        raise SaveError(f"A report is an HTML file, got {target.name}. End its name with .html.")
    require_one_grid(study, segmentation, "A report")
    examination = yield from part_of(measure_study_job(segmentation, study, settings), 0, 0.3, "measuring")
    yield Progress(0.3, 1, "drawing slices")
    slices = tuple(slice_pictures(study, segmentation))
    yield Progress(0.5, 1, "drawing diameters")
    diameters = tuple(diameter_pictures(study, segmentation, examination))
    yield Progress(0.7, 1, "checking the files")
    content = {
        "title": name or study.name,
        "created": datetime.now(UTC).isoformat(sep=" ", timespec="minutes").replace("+00:00", " UTC"),
        "notice": NOTICE,
        "grid": study.grid.describe(),
        "roles": ", ".join(study.roles),
        "volumes": tables.volume_table(examination),
        "lesions": tables.lesion_table(examination),
        "rim": tuple(tables.rim_rows(examination)),
        "legend": legend(segmentation),
        "slices": slices,
        "diameters": diameters,
        "made": _provenance_rows(segmentation, with_paths=with_paths),
        "inputs": _inputs(study, segmentation, with_paths=with_paths),
        "versions": tuple(_versions()),
        "remarks": _remarks(study, segmentation, examination, with_paths=with_paths),
    }
    yield Progress(0.8, 1, "drawing the visits")
    content |= _follow_up(found, with_paths=with_paths)
    page = rendered("report.html.j2", content)
    yield Progress(0.95, 1, "writing")
    write_text(target, page)
    return target


report_job = report.job
"""`report` as a job: yields `Progress` and returns the same result. Takes the same parameters."""


def _follow_up(follow_up: FollowUp | None, *, with_paths: bool) -> dict[str, Any]:
    if follow_up is None or len(follow_up.visits) < 2:
        return {"follow_up": None}
    baseline = follow_up.visits[follow_up.baseline]
    boards = tuple(
        _Board(result.visit.title, result.problem, tuple(board_pictures(result, baseline)))
        for result in follow_up.visits
        if result.registration is not None
    )
    shown_tables = [tables.series_table(follow_up), tables.response_table(follow_up)]
    shown_tables += [tables.track_table(follow_up)] if follow_up.tracks else []
    shown_tables += [tables.facts_table(follow_up)]
    registered = tables.registration_table(follow_up)
    notes: tuple[str, ...] = follow_up.notes
    if not with_paths:
        for result in follow_up.visits:
            notes = _without_names(notes, result.visit.study, result.visit.segmentation)
    return {
        "follow_up": {
            "curves": curves(follow_up),
            "tables": tuple(_without_file_names(table, follow_up, with_paths=with_paths) for table in shown_tables),
            "registration": registered if registered.rows else None,
            "boards": boards,
            "notes": notes,
        }
    }


def _without_file_names(table: Table, follow_up: FollowUp, *, with_paths: bool) -> Table:
    """Remove file names from the sources of dates in a table."""
    if with_paths:
        return table
    rows = table.rows
    for result in follow_up.visits:
        names = _names(result.visit.study, result.visit.segmentation)
        rows = tuple({column: _scrubbed(cell, names) for column, cell in row.items()} for row in rows)
    return replace(table, rows=rows)


def _record(segmentation: Segmentation) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """Return the provenance of the labels, and their sidecar if they were opened from a file saved by this package."""
    provenance = segmentation.provenance
    if "task" in provenance or "path" not in provenance or "record_disagrees" in provenance:
        return provenance, {}
    sidecar = read_sidecar(Path(provenance["path"]))
    return {**provenance, **sidecar.get("provenance", {})}, sidecar


def _provenance_rows(segmentation: Segmentation, *, with_paths: bool) -> tuple[tuple[str, str], ...]:
    provenance, _ = _record(segmentation)
    rows = list(tables.made_rows(provenance))
    if not any(title == "Model" for title, _ in rows):
        rows.insert(0, ("Model", "not known: the labels carry no record of how they were made"))
    if with_paths and provenance.get("path"):
        rows.append(("Labels", str(provenance["path"])))
    return tuple(rows)


def _inputs(study: Study, segmentation: Segmentation, *, with_paths: bool) -> Table:
    described = describe_sources(study.sources)
    rows = [
        (str(role), *((entry["path"],) if with_paths else ()), entry.get("sha256", "not a file"))
        for role, entry in described.items()
    ]
    path = segmentation.provenance.get("path")
    labels = labels_files_sha256(Path(path)) if path is not None else ""
    rows.append(
        ("Labels", *((str(path or "in memory"),) if with_paths else ()), labels or labels_sha256(segmentation.data))
    )
    columns = ("Input", "File", "SHA-256") if with_paths else ("Input", "SHA-256")
    note = "" if with_paths else "Names and folders of files are left out, as they may identify the patient."
    return Table.of_cells(columns, rows, title="Inputs", note=note)


def _remarks(
    study: Study, segmentation: Segmentation, examination: Examination, *, with_paths: bool
) -> tuple[str, ...]:
    """Return all notes that are relevant to the reliability of the numbers."""
    distinct = dict.fromkeys(
        (*study.notes, *segmentation.notes, *examination.notes, *_of_labels(segmentation), *_of_scans(study))
    )
    remarks = tuple(distinct)
    return remarks if with_paths else _without_names(remarks, study, segmentation)


def _of_labels(segmentation: Segmentation) -> Iterator[str]:
    provenance, sidecar = _record(segmentation)
    yield from (str(note) for note in provenance.get("notes", ()))
    known = sidecar.get("labels_sha256")
    changed = known is not None and known != labels_sha256(
        schema_named(str(sidecar["schema"])).encode(segmentation.data)
    )
    if provenance.get("edited_by_hand") or changed:
        yield "The labels were edited by hand after they were made."


def _of_scans(study: Study) -> Iterator[str]:
    facts = facts_of(Scans.of_study(study))
    for ask in (questions.sequences, questions.grids, questions.orientation, questions.intensities):
        row = ask(facts)
        if row.verdict != "pass":
            yield f"{row.question}: {row.words}"


def _names(study: Study | None, segmentation: Segmentation) -> dict[str, str]:
    """Return names that identify files and their replacements, longest names first."""
    words: dict[str, str] = {}
    for role, source in (study.sources if study is not None else {}).items():
        words |= {str(source.path): f"the file of {role}", source.path.name: f"the file of {role}"}
        words |= {source.path.name.split(".")[0]: f"the file of {role}", str(source.path.parent): "its folder"}
    if segmentation.provenance.get("path"):
        path = Path(segmentation.provenance["path"])
        words |= {str(path): "the label file", path.name: "the label file", str(path.parent): "its folder"}
    long_enough = {name: word for name, word in words.items() if len(name) > 3}
    return dict(sorted(long_enough.items(), key=lambda pair: -len(pair[0])))


def _without_names(texts: Iterable[str], study: Study | None, segmentation: Segmentation) -> tuple[str, ...]:
    names = _names(study, segmentation)
    return tuple(_scrubbed(text, names) for text in texts)


def _scrubbed(text: str, names: Mapping[str, str]) -> str:
    for name, word in names.items():
        text = text.replace(name, word)
    return text


def _versions() -> Iterator[tuple[str, str]]:
    yield "Python", platform.python_version()
    for package in _PACKAGES:
        try:
            yield package, version(package)
        except PackageNotFoundError:
            continue
