"""Open the cases of a batch as studies, or as raw series that must be prepared before segmentation."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from napari_brain_tumor.errors import DuplicateRoleError, RegistrationError, RoleError
from napari_brain_tumor.io import Sequences, open_sequences, open_study, save_segmentation
from napari_brain_tumor.io.case_names import folder_name
from napari_brain_tumor.io.volume import short_name
from napari_brain_tumor.preparation import (
    PreparationSettings,
    PreparedStudy,
    candidates_of,
    open_prepared,
    save_prepared,
    select,
    why_prepare,
)
from napari_brain_tumor.preparation.folder import is_prepared, require_free
from napari_brain_tumor.preparation.pipeline import brain_word, prepare_volumes_job
from napari_brain_tumor.progress import Job
from napari_brain_tumor.requests.opening import OpenOptions
from napari_brain_tumor.requests.prepare import RawSeriesRequest
from napari_brain_tumor.requests.segment import SegmentRequest
from napari_brain_tumor.study import Role, Segmentation, Study


@dataclass(frozen=True, slots=True, eq=False)
class RawSeries:
    """Sequences that are not yet aligned.

    Parameters
    ----------
    why : str
        Why they must be prepared, in a sentence.
    table : tuple of mapping
        All series as text, if some were selected by rules.
    """

    sequences: Sequences
    why: str
    table: tuple[dict[str, str], ...] = ()

    @property
    def notes(self) -> Iterator[str]:
        """Yield what is done and, if there was a choice, which series are used."""
        yield f"{self.why} It is prepared first: registered and brought onto one grid (--prepare never skips this)."
        for row in self.table:
            used = f"is used as {row['role']}" if row["role"] else "is not used"
            yield f"Series {row['number']} ({row['name']}) {used}: {row['why']}."


def study_folder(target: Path) -> Path:
    """Return the folder for a prepared study next to a result."""
    return target.with_name(f"{short_name(target)}_study")


def open_scans(case: Path, opening: OpenOptions, raw: RawSeriesRequest) -> Study | PreparedStudy | RawSeries:
    """Open an examination, as raw series if they must be prepared or this was requested.

    Raises
    ------
    BrainTumorError
        As for `open_study`.
    """
    if is_prepared(case) and not opening.changed():
        return open_prepared(case)
    if raw.prepare == "never" or opening.resample is not None:
        return open_study(case, **opening.changed())
    sequences, table = _sequences(case, opening, always=raw.prepare == "always")
    why = "It was requested." if raw.prepare == "always" else why_prepare(sequences.volumes)
    return RawSeries(sequences, why, table) if why else sequences.together()


def _sequences(case: Path, opening: OpenOptions, *, always: bool) -> tuple[Sequences, tuple[dict[str, str], ...]]:
    """Find sequences by headers or names; if there are several series for one role, the best one is used."""
    several: DuplicateRoleError | None = None
    if not always or opening.series:
        try:
            return open_sequences(case, **opening.changed()), ()
        except DuplicateRoleError as error:
            if opening.series:
                raise
            several = error
    selection = select(candidates_of(case, opening.roles, spacing_mm=opening.spacing_mm))
    if several is not None and selection.tied:
        raise several
    volumes = {role: candidate.read() for role, candidate in selection.by_role.items()}
    texts = (*selection.notes, *(text for volume in volumes.values() for text in volume.notes))
    notes = tuple(dict.fromkeys(texts))
    return Sequences(volumes, folder_name(case) if case.is_dir() else short_name(case), notes), selection.rows()


def prepared_job(series: RawSeries, request: SegmentRequest, folder: Path, *, overwrite: bool) -> Job[PreparedStudy]:
    """Prepare raw series and save the study in a folder, as a job.

    Raises
    ------
    RegistrationError
        If a series cannot be aligned with the others; the message says how to proceed.
    SaveError
        If the folder contains something else, or a study that may not be replaced.
    """
    require_free(folder, overwrite=overwrite)
    settings = PreparationSettings(brain=brain_word(request.brain))
    opened = series.sequences
    try:
        prepared = yield from prepare_volumes_job(
            opened.volumes, opened.name, settings, request.brain, request.device, series.table
        )
    except RegistrationError as error:
        msg = f"{error} To segment the scans without registration: --prepare never --resample finest."
        raise RegistrationError(msg) from error
    save_prepared(prepared, folder, overwrite=overwrite)
    return prepared


def restored(
    prepared: PreparedStudy | None,
    segmentation: Segmentation,
    onto: Sequence[Role],
    target: Path,
    saving: Mapping[str, Any],
) -> list[Path]:
    """Save labels on the grids of the given series next to the result; returns the files.

    Raises
    ------
    RoleError
        If a series is missing, or nothing was prepared.
    """
    if prepared is None and onto:
        raise RoleError("The sequences lie on one grid, so the labels fit all of them: leave --onto out.")
    files: list[Path] = []
    for role in onto:
        beside = target.with_name(f"{short_name(target)}_on_{role}{target.name[len(short_name(target)) :]}")
        assert prepared is not None
        saved = save_segmentation(prepared.restore(segmentation, role), beside, **saving)
        files += saved if isinstance(saved, list) else [saved]
    return files
