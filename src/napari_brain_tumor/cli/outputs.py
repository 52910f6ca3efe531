"""Where results go, settled before anything is computed. No input is ever overwritten."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import typer

from napari_brain_tumor.errors import SaveError
from napari_brain_tumor.io.bids import examinations, is_bids
from napari_brain_tumor.io.case_names import distinct_names
from napari_brain_tumor.io.formats import BIDS, NIFTI, TIFF, FileFormat, format_to_write, saved_suffixes
from napari_brain_tumor.study import Study

__all__ = ["Task", "check_inputs_are_kept", "exists_already", "plan_tasks"]


@dataclass(frozen=True, slots=True)
class Task:
    """One case to segment, and the file (or, for a tif study, perhaps the folder) that its result is written to.

    Parameters
    ----------
    case, target : Path
    obstacle : str
        Why nothing can be written there, found before anything is computed; empty where nothing is in the way.
    existing : tuple of Path
        Earlier results that are there.
    """

    case: Path
    target: Path
    obstacle: str = ""
    existing: tuple[Path, ...] = field(default=())


def plan_tasks(
    cases: Sequence[Path],
    output: str | None,
    *,
    overwrite: bool = False,
    skip_existing: bool = False,
    file_format: FileFormat | None = None,
) -> list[Task]:
    """Decide where the result of each case goes.

    Parameters
    ----------
    cases : sequence of Path
        Files or folders; one that is given twice is done once, and of a folder of BIDS every examination.
    output : str, optional
        A file, or a folder: one that exists, ends with a slash or has no suffix. Without it,
        `<case>_segmentation.nii.gz` in the current folder. A folder for a single tif case takes one mask per slice.
    overwrite, skip_existing : bool
        Whether earlier results may be replaced, or are passed over.
    file_format : FileFormat, optional
        In which results are saved; without it the suffix tells, else NIfTI.

    Raises
    ------
    SaveError
        If there is one case and nothing can be written for it: a result is there already, it would replace its own
        input, or its folder cannot be written to. Of several cases the task tells it.
    typer.BadParameter
        If a file is named for several results, or a format that cannot be written.
    """
    each = (examination for case in cases for examination in _examinations(case))
    unique = list({os.path.abspath(case): case for case in each}.values())
    targets = _targets(unique, output, file_format)
    tasks = [_task(case, target, file_format) for case, target in zip(unique, targets, strict=True)]
    if len(tasks) == 1 and (tasks[0].obstacle or (tasks[0].existing and not (overwrite or skip_existing))):
        raise SaveError(tasks[0].obstacle or exists_already(tasks[0].existing[0]))
    return tasks


def _examinations(case: Path) -> tuple[Path, ...]:
    """Those of a BIDS data set or subject with several, else the case itself."""
    folders = examinations(case) if is_bids(case) else ()
    return folders if len(folders) > 1 else (case,)


def exists_already(path: Path) -> str:
    """What to say of an earlier result that is in the way."""
    return f"{path} exists already. Give --overwrite to replace it, or another name with -o."


def check_inputs_are_kept(study: Study, target: Path) -> None:
    """Raise `SaveError` if the result would replace a file that the study was read from."""
    inputs = {source.path.resolve() for source in study.sources.values()}
    if target.resolve() in inputs:
        msg = f"{target} is one of the scans of {study.name} and is never overwritten. Choose another name with -o."
        raise SaveError(msg)


def _targets(cases: Sequence[Path], output: str | None, file_format: FileFormat | None) -> list[Path]:
    if file_format is BIDS:
        return [Path(output or ".")] * len(cases)
    several = len(cases) > 1
    suffix = (file_format or NIFTI).saved[0]
    names = [f"{name}_segmentation{suffix}" for name in distinct_names(cases)]
    if output is None:
        return [Path(name) for name in names]
    if _names_folder(output):
        masks = [file_format is None and _is_tif(case) and not several for case in cases]
        return [Path(output) if alone else Path(output) / name for alone, name in zip(masks, names, strict=True)]
    if several:
        msg = f"With several cases -o names a folder, got {output!r}. End it with a slash or leave out the suffix."
        raise typer.BadParameter(msg, param_hint="--output")
    _check_suffix(output, file_format)
    return [Path(output)]


def _check_suffix(output: str, file_format: FileFormat | None) -> None:
    try:
        format_to_write(Path(output), None if file_format is None else file_format.name)
    except SaveError as error:
        known = ", ".join(saved_suffixes() if file_format is None else file_format.saved)
        msg = (
            f"A segmentation cannot be written as {output!r}. End it with one of {known}, or with a slash for a folder."
        )
        raise typer.BadParameter(msg, param_hint="--output") from error


def _names_folder(output: str) -> bool:
    return Path(output).is_dir() or output.endswith(("/", os.sep)) or not Path(output).suffix


def _is_tif(case: Path) -> bool:
    try:
        candidates = list(case.iterdir()) if case.is_dir() else [case]
    except OSError:
        return False  # opening the case tells why
    return any(map(TIFF.fits, candidates))


def _task(case: Path, target: Path, file_format: FileFormat | None) -> Task:
    try:
        existing = () if file_format is BIDS else tuple(_already_there(target))
        return Task(case, target, _obstacle(case, target, within=file_format is BIDS), existing)
    except OSError as error:
        return Task(
            case, target, f"{target} cannot be written: {error.strerror or error}. Choose another name with -o."
        )


def _obstacle(case: Path, target: Path, *, within: bool) -> str:
    """Why a file cannot be written; results that lie within a data set may have the folder of the case."""
    if target.resolve() == case.resolve() and not within:
        return f"The result would be written over its input {case}. Choose another place with -o."
    folder = next(parent for parent in (target, *target.absolute().parents) if parent.is_dir())
    if not os.access(folder, os.W_OK):
        return f"The folder {folder} cannot be written to. Choose another place with -o."
    return ""


def _already_there(target: Path) -> list[Path]:
    if target.is_dir():
        return sorted(target.glob("*_mask.tif*"))
    return [target] if target.exists() else []
