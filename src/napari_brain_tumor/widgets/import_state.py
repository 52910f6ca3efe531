"""Logic of the Import page, without Qt: what a labelled folder contains, and how it is interpreted."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from napari_brain_tumor.dataset import CuratedDataset
from napari_brain_tumor.dataset.imports import (
    CaseOutcome,
    CasePreview,
    FoundCase,
    ImportReport,
    ImportRequest,
    import_folder,
    preview_folder,
)
from napari_brain_tumor.dataset.imports.preview import Doubt, files_of, with_placeholder
from napari_brain_tumor.errors import BrainTumorError, RecordError
from napari_brain_tumor.io import open_image
from napari_brain_tumor.progress import Job
from napari_brain_tumor.requests.dataset_actions import import_lines
from napari_brain_tumor.requests.lines import CommandLines
from napari_brain_tumor.study import ROLES, Role
from napari_brain_tumor.widgets.open_state import spacing_of

COLUMNS: Final[Mapping[str, str]] = {
    "case": "Case",
    "sequences": "Sequences",
    "schema": "Labels mean",
    "note": "Note",
    "label": "Label",
}
"""Columns of the table, by the key of a row."""

_ASKS: Final[Mapping[Doubt, str]] = {
    "roles": "The names do not say which scan is which. Choose below.",
    "labels": "What the numbers of the labels mean is not certain. Choose below.",
    "spacing": "The files do not state the voxel size. Give it below.",
    "other": "",
    "": "",
}


@dataclass(frozen=True, slots=True)
class ImportChoices:
    """What the user chose; empty entries are determined from names and files.

    Parameters
    ----------
    folder, images, labels : str
        The folder, and file patterns.
    schema : str
        Meaning of the label numbers.
    roles : mapping of role to str or int
        Files, with `{case}` for the name of the case, or volumes.
    spacing : str
        Three numbers in millimetres.
    accepted : bool
        Whether the labels are marked as accepted.
    """

    folder: str = ""
    images: str = ""
    labels: str = ""
    schema: str = ""
    roles: Mapping[Role, str | int] = field(default_factory=dict)
    spacing: str = ""
    accepted: bool = False

    @property
    def request(self) -> ImportRequest:
        """The import request; raises `SpacingUnknownError` if the voxel size cannot be parsed."""
        return ImportRequest(
            folder=Path(self.folder),
            images=self.images or None,
            labels=self.labels or None,
            roles=dict(self.roles) or None,
            schema_name=self.schema or None,
            spacing_mm=spacing_of(self.spacing),
            state="accepted" if self.accepted else "draft",
        )


@dataclass(frozen=True, slots=True)
class Contents:
    """What a folder contains.

    Parameters
    ----------
    example : CasePreview or None
        The first doubtful case, else the first; its files are offered as sequences.
    places : mapping of str to str or int
        Choices for its sequences: the displayed text, and the file, with `{case}` for its name, or the volume.
    """

    previews: tuple[CasePreview, ...] = ()
    example: CasePreview | None = None
    places: Mapping[str, str | int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ImportView:
    """What the page shows.

    Parameters
    ----------
    rows : tuple of mapping
        Texts, by the keys of `COLUMNS`.
    text : str
        What was found, and what has to be chosen.
    button : str
        Text of the import button.
    obstacle : str
        Why nothing can be imported now; empty if it can.
    asks : bool
        Whether something has to be chosen first, so that the choices are shown.
    """

    rows: tuple[Mapping[str, str], ...]
    text: str
    button: str
    obstacle: str
    asks: bool


def look(choices: ImportChoices) -> Job[Contents]:
    """Examine the chosen folder, as a job; raises what `preview_folder` raises."""
    previews = yield from preview_folder(choices.request)
    example = next((preview for preview in previews if preview.doubt in ("roles", "labels", "spacing")), previews[0])
    return Contents(previews, example, _places(example.case))


def import_job(folder: Path, choices: ImportChoices) -> Job[ImportReport]:
    """Add the cases to the data set in a folder, as a job; raises what `import_folder` raises."""
    return (yield from import_folder(CuratedDataset(folder), choices.request))


def lines_of(dataset: CuratedDataset | None, choices: ImportChoices) -> CommandLines:
    """Return code for Import; raises `RecordError` if nothing is chosen."""
    if dataset is None or not choices.folder:
        msg = "Open a data set and choose a folder first."
        raise RecordError(msg)
    return import_lines(dataset.folder, choices.request)


def resolve(contents: Contents, report: ImportReport | None, *, has_dataset: bool) -> ImportView:
    """Return what is shown for a folder, before and after it was imported."""
    outcomes = {case.name: case for case in report.outcomes} if report is not None else {}
    rows = tuple(_row(preview, outcomes.get(preview.case.name)) for preview in contents.previews)
    problems = [preview for preview in contents.previews if preview.problem]
    good = len(contents.previews) - len(problems)
    doubt: Doubt = contents.example.doubt if contents.example is not None else ""
    return ImportView(
        rows,
        "" if not rows else " ".join(filter(None, (_found_text(len(rows), problems), _ASKS[doubt]))),
        f"Import {_count(good, 'case')}" if good else "Import",
        _obstacle(good, bool(rows), has_dataset),
        bool(_ASKS[doubt]),
    )


def chosen_places(contents: Contents) -> dict[Role, str]:
    """Return, for each sequence of the example, the displayed text of its file or volume."""
    if contents.example is None:
        return {}
    by_role = contents.example.sequences
    return {role: by_role[role] for role in ROLES if by_role.get(role) in contents.places}


def report_text(report: ImportReport) -> str:
    """Summarise what was imported."""
    counts = Counter(case.outcome for case in report.outcomes)
    return f"{counts['added']} added, {counts['already there']} already there, {counts['refused']} refused."


def _places(case: FoundCase) -> dict[str, str | int]:
    if case.scan.is_dir():
        return {path.name: with_placeholder(path.name, case) for path in files_of(case)}
    if not case.scan.is_file():
        return {}
    try:
        volumes = open_image(case.scan)
    except (BrainTumorError, OSError):
        return {}  # the preview gives the reason
    return {f"volume {number} of {case.scan.name}": number for number in range(len(volumes))}


def _row(preview: CasePreview, outcome: CaseOutcome | None) -> Mapping[str, str]:
    note = preview.problem or " ".join(preview.notes)
    if outcome is not None:
        note = ": ".join(filter(None, (outcome.outcome, outcome.text)))
    return {
        "case": preview.case.name,
        "sequences": ", ".join(preview.sequences) or "?",
        "schema": preview.schema or "?",
        "label": preview.case.label.name,
        "note": note,
    }


def _found_text(count: int, problems: Sequence[CasePreview]) -> str:
    refused = f"; {len(problems)} would be refused, see the notes" if problems else ""
    return f"{_count(count, 'labelled case')}{refused}."


def _obstacle(good: int, has_rows: bool, has_dataset: bool) -> str:
    if not has_dataset:
        return "Open a data set, or create a new one, to import into."
    if not has_rows:
        return "Choose a folder of labelled cases first."
    return "" if good else "No case can be imported as it is: see the notes."


def _count(number: int, word: str) -> str:
    return f"{number} {word}" if number == 1 else f"{number} {word}s"
