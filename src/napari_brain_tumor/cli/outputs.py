"""Where results go, settled before anything is computed. No input is ever overwritten."""

import os
from collections.abc import Sequence
from pathlib import Path

import typer

from napari_brain_tumor.batch.targets import Task, exists_already, task_of
from napari_brain_tumor.errors import SaveError, UnreadableFileError
from napari_brain_tumor.io.case_folders import case_folders
from napari_brain_tumor.io.case_names import distinct_names
from napari_brain_tumor.io.formats import BIDS, NIFTI, TIFF, FileFormat, format_to_write, saved_suffixes


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
        Files or folders; one that is given twice is done once. A folder of cases, or a BIDS data set, stands for every
        case in it, and a `.txt` file for the cases that its lines name, from its own folder.
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
    unique = listed_examinations(cases)
    targets = _targets(unique, output, file_format)
    tasks = [task_of(case, target, file_format) for case, target in zip(unique, targets, strict=True)]
    if len(tasks) == 1 and (tasks[0].obstacle or (tasks[0].existing and not (overwrite or skip_existing))):
        raise SaveError(tasks[0].obstacle or exists_already(tasks[0].existing[0]))
    return tasks


def listed_examinations(cases: Sequence[Path]) -> list[Path]:
    """Each examination once: of folders of cases those in them, of text files those that their lines name."""
    each = (examination for given in cases for case in _listed(given) for examination in _examinations(case))
    return list({os.path.abspath(case): case for case in each}.values())


def _listed(case: Path) -> list[Path]:
    """Return the cases that a text file names, one a line; else the case itself."""
    if case.suffix.lower() != ".txt" or not case.is_file():
        return [case]
    try:
        lines = case.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        msg = f"{case} cannot be read as a list of cases, one path per line: {error}"
        raise UnreadableFileError(msg) from error
    named = [line.strip() for line in lines if line.strip() and not line.lstrip().startswith("#")]
    if not named:
        msg = f"{case} names no case. Write one path per line."
        raise UnreadableFileError(msg)
    return [case.parent / Path(name).expanduser() for name in named]


def _examinations(case: Path) -> Sequence[Path]:
    """Return those of a folder of cases, or a BIDS data set or subject, with several; else the case itself."""
    inside = [folders.path for folders in case_folders(case)] if case.is_dir() else []
    return inside if len(inside) > 1 else (case,)


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
