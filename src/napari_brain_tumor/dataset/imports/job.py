"""Import found cases into a data set one by one; refused cases are reported and the others continue."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from os import PathLike
from typing import TYPE_CHECKING, Literal

from napari_brain_tumor.dataset.duplicates import voxels_sha256
from napari_brain_tumor.dataset.imports.found_case import FoundCase, marked_slices
from napari_brain_tumor.dataset.index import CaseRecord, MadeBy, ReviewState
from napari_brain_tumor.dataset.split import SplitRow, given_rows
from napari_brain_tumor.dataset.store import CuratedDataset
from napari_brain_tumor.dataset.truth import encode, truth_of
from napari_brain_tumor.errors import BrainTumorError, DatasetError, attempted
from napari_brain_tumor.io import open_segmentation, open_study
from napari_brain_tumor.io.formats import TIFF
from napari_brain_tumor.io.table import Table
from napari_brain_tumor.progress import Job, Progress
from napari_brain_tumor.study import Segmentation, Study

if TYPE_CHECKING:
    import pandas

logger = logging.getLogger(__name__)

Spacing = tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class ImportOptions:
    """Options that apply to all cases of an import.

    Parameters
    ----------
    source : str
        Name of the data set that the cases come from; rows of the table for other data sets are ignored.
    schema : str, optional
        Label schema, overriding what names and files indicate.
    spacing_mm : (x, y, z), optional
        Voxel size in mm, for files that do not state it.
    state : ReviewState
        Review state assigned to the cases.
    table : path-like or sequence of SplitRow, optional
        CSV file with the columns patient and split, optionally dataset, case and grade.
    """

    source: str = ""
    schema: str | None = None
    spacing_mm: Spacing | None = None
    state: ReviewState = "draft"
    table: str | PathLike[str] | Sequence[SplitRow] | None = None


@dataclass(frozen=True, slots=True)
class CaseOutcome:
    """Outcome for a found case: its record if it was added, otherwise the reason."""

    name: str
    outcome: Literal["added", "already there", "refused"]
    text: str = ""
    record: CaseRecord | None = None


@dataclass(frozen=True, slots=True)
class ImportReport:
    """Outcomes for all found cases, in order."""

    outcomes: tuple[CaseOutcome, ...]

    def of(self, outcome: Literal["added", "already there", "refused"]) -> tuple[CaseOutcome, ...]:
        """Return the cases with that outcome."""
        return tuple(case for case in self.outcomes if case.outcome == outcome)

    @property
    def table(self) -> Table:
        """Return a table with one row per case: name, outcome, reason, and id in the data set."""
        rows = ((case.name, case.outcome, case.text, case.record and case.record.id) for case in self.outcomes)
        return Table.of_cells(("name", "outcome", "text", "case"), rows)

    def to_dataframe(self) -> "pandas.DataFrame":
        """Return the table as a `pandas.DataFrame`."""
        return self.table.to_dataframe()


def import_cases(
    dataset: CuratedDataset, cases: Sequence[FoundCase], options: ImportOptions | None = None
) -> Job[ImportReport]:
    """Add cases, as a job; each is added completely or not at all, so the job may be stopped and restarted.

    Parameters
    ----------
    dataset : CuratedDataset
        Receives the cases. Cases whose sequences it already contains, voxel by voxel, are skipped.
    cases : sequence of FoundCase
        Cases from `find_cases`.
    options : ImportOptions, optional
        Options that apply to all of them.

    Raises
    ------
    SplitError, DatasetError
        If the table cannot be read. Problems with individual cases are listed in the report.
    """
    settings = options or ImportOptions()
    rows = _rows_by_case(settings)
    outcomes = []
    for number, case in enumerate(cases):
        yield Progress(number, len(cases), case.name)
        outcomes.append(_outcome(dataset, case, rows.get(case.name), settings))
    yield Progress(len(cases), len(cases))
    return ImportReport(tuple(outcomes))


def _rows_by_case(options: ImportOptions) -> dict[str, SplitRow]:
    mine = [row for row in given_rows(options.table) if not options.source or row.dataset in ("", options.source)]
    return {row.case or row.patient: row for row in mine}


def _outcome(dataset: CuratedDataset, case: FoundCase, row: SplitRow | None, options: ImportOptions) -> CaseOutcome:
    if case.problem:
        return CaseOutcome(case.name, "refused", case.problem)
    with attempted() as importing:
        study, label = open_case(case, options)
        return _added(dataset, case, study, label, row, options)
    return CaseOutcome(case.name, "refused", problem_of(importing.error))


def problem_of(error: Exception | None) -> str:
    """Describe why a case was not read; unexpected exceptions from a library are logged in full."""
    if isinstance(error, BrainTumorError | OSError):
        return str(error)
    logger.error("A case was not read", exc_info=error)
    return f"{type(error).__name__}: {str(error) or 'without a message'}"


def open_case(case: FoundCase, options: ImportOptions) -> tuple[Study, Segmentation]:
    """Open the scans and the label of a case; raises the errors of `open_study` and `open_segmentation`."""
    study = replace(open_study(case.scan, case.roles, spacing_mm=_spacing(case, options)), name=case.name)
    label = open_segmentation(case.label, options.schema or case.schema, spacing_mm=_spacing(case, options))
    return study, label


def _added(
    dataset: CuratedDataset,
    case: FoundCase,
    study: Study,
    label: Segmentation,
    row: SplitRow | None,
    options: ImportOptions,
) -> CaseOutcome:
    known = marked_slices(label) if case.known == "marked" else None
    twin = _same_voxels(dataset, study)
    if twin is not None:
        same = voxels_sha256(encode(truth_of(label, None, known))) == twin.label.sha256
        text = f"as {twin.id}" if same else f"as {twin.id}, with another label: relabel it if this one is better"
        return CaseOutcome(case.name, "already there", text, twin)
    record = dataset.add(
        study,
        label,
        patient=row.patient if row else None,
        source=options.source,
        grade=(row.grade if row else None) or case.grade,
        known_slices=known,
        made_by=MadeBy(kind="imported", source=str(case.label)),
        state=options.state,
        split=row.split if row else None,
    )
    remarks = (*(f"{s.kind} as {s.case}" for s in record.similar), *label.notes)
    return CaseOutcome(case.name, "added", ", ".join(remarks), record)


def _spacing(case: FoundCase, options: ImportOptions) -> Spacing | None:
    """Return the spacing for files that do not state it, including folders of slices."""
    return options.spacing_mm if case.scan == case.label or TIFF.fits(case.scan) else None


def _same_voxels(dataset: CuratedDataset, study: Study) -> CaseRecord | None:
    hashes = {role: voxels_sha256(array) for role, array in study.sequences.items()}
    for case in dataset.index.cases:
        if hashes == {role: record.sha256 for role, record in case.sequences.items()}:
            return case
    return None


def require_found(cases: Sequence[FoundCase], where: object, kind: str) -> None:
    """Raise `DatasetError` if no case was found."""
    if not cases:
        msg = (
            f"{where} holds no case with images and a label in the layout of {kind}. Choose the right folder or format."
        )
        raise DatasetError(msg)
