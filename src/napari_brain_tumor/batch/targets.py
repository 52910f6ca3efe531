"""The output file of each case, and any obstacle to writing it. Inputs are never overwritten."""

import os
from dataclasses import dataclass, field, replace
from pathlib import Path

from napari_brain_tumor.errors import SaveError
from napari_brain_tumor.io.formats import BIDS, FileFormat
from napari_brain_tumor.io.given_roles import Roles
from napari_brain_tumor.study import Study


@dataclass(frozen=True, slots=True)
class Task:
    """One case to segment, and the file (or, for a tif study, possibly the folder) for its result.

    Parameters
    ----------
    obstacle : str
        Why the result cannot be written, checked before anything is computed; empty if it can.
    existing : tuple of Path
        Results that already existed when the batch was planned.
    roles : mapping or sequence, optional
        Which of its files or volumes is which sequence, as for `open_study`.
    """

    case: Path
    target: Path
    obstacle: str = ""
    existing: tuple[Path, ...] = field(default=())
    roles: Roles = None

    def absolute(self) -> "Task":
        """Return a copy with absolute paths, for a process that runs in another folder."""
        return replace(self, case=self.case.absolute(), target=self.target.absolute())


def exists_already(path: Path) -> str:
    """Return the message about an existing result."""
    return f"{path} already exists. Use --overwrite to replace it, or choose another name with -o."


def check_inputs_are_kept(study: Study, target: Path) -> None:
    """Raise `SaveError` if the result would replace a file from which the study was read."""
    inputs = {source.path.resolve() for source in study.sources.values()}
    if target.resolve() in inputs:
        msg = f"{target} is one of the scans of {study.name} and is never overwritten. Choose another name with -o."
        raise SaveError(msg)


def task_of(case: Path, target: Path, file_format: FileFormat | None = None) -> Task:
    """Create the task of a case, including any obstacle."""
    try:
        existing = () if file_format is BIDS else tuple(already_there(target))
        return Task(case, target, _obstacle(case, target, within=file_format is BIDS), existing)
    except OSError as error:
        return Task(
            case, target, f"{target} cannot be written: {error.strerror or error}. Choose another name with -o."
        )


def _obstacle(case: Path, target: Path, *, within: bool) -> str:
    """Explain why a file cannot be written; results inside a data set may share the folder of the case."""
    if target.resolve() == case.resolve() and not within:
        return f"The result would be written over its input {case}. Choose another place with -o."
    folder = next(parent for parent in (target, *target.absolute().parents) if parent.is_dir())
    if not os.access(folder, os.W_OK):
        return f"The folder {folder} cannot be written to. Choose another place with -o."
    return ""


def already_there(target: Path) -> list[Path]:
    """List existing results: the file, or masks in the folder."""
    if target.is_dir():
        return sorted(target.glob("*_mask.tif*"))
    return [target] if target.exists() else []
