"""Where results go, settled before anything is computed. No input is ever overwritten."""

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from napari_brain_tumor.errors import SaveError
from napari_brain_tumor.io.volume import short_name
from napari_brain_tumor.study import Study

__all__ = ["Task", "check_inputs_are_kept", "plan_tasks"]

_TIF_SUFFIXES: Final = (".tif", ".tiff")
_WRITTEN_SUFFIXES: Final = (".nii.gz", ".nii", ".nrrd", ".mha", *_TIF_SUFFIXES)


@dataclass(frozen=True, slots=True)
class Task:
    """One case to segment, and the file (or, for a tif study, perhaps the folder) that its result is written to."""

    case: Path
    target: Path


def plan_tasks(cases: Sequence[Path], output: str | None, *, overwrite: bool = False) -> list[Task]:
    """Decide where the result of each case goes.

    Parameters
    ----------
    cases : sequence of Path
        Files or folders.
    output : str, optional
        A file, or a folder: one that exists, ends with a slash or has no suffix. Without it,
        `<case>_segmentation.nii.gz` in the current folder. A folder for a single tif case takes one mask per slice.
    overwrite : bool
        Whether earlier results may be replaced.

    Raises
    ------
    SaveError
        If a result is there already, two results would get one name, a result would replace its own input, its
        format is not one that can be written, or its folder cannot be written to.
    """
    tasks = [Task(case, _target(case, output, several=len(cases) > 1)) for case in cases]
    for target, count in Counter(task.target.resolve() for task in tasks).items():
        if count > 1:
            msg = f"{count} cases would be written to {target}. Give their folders different names, or run them apart."
            raise SaveError(msg)
    for task in tasks:
        _check_target(task, overwrite=overwrite)
    return tasks


def check_inputs_are_kept(study: Study, target: Path) -> None:
    """Raise `SaveError` if the result would replace a file that the study was read from."""
    taken = {source.path.resolve() for source in study.sources.values()}
    if target.resolve() in taken:
        msg = f"{target} is one of the scans of {study.name} and is never overwritten. Choose another name with -o."
        raise SaveError(msg)


def _target(case: Path, output: str | None, *, several: bool) -> Path:
    default = f"{short_name(case.resolve())}_segmentation.nii.gz"
    if output is None:
        return Path(default)
    if _names_folder(output):
        return Path(output) if _is_tif(case) and not several else Path(output) / default
    if several:
        msg = f"With several cases -o names a folder, got {output!r}. End it with a slash or leave out the suffix."
        raise SaveError(msg)
    if not output.lower().endswith(_WRITTEN_SUFFIXES):
        known = ", ".join(_WRITTEN_SUFFIXES)
        msg = (
            f"A segmentation cannot be written as {output!r}. End it with one of {known}, or with a slash for a folder."
        )
        raise SaveError(msg)
    return Path(output)


def _names_folder(output: str) -> bool:
    return Path(output).is_dir() or output.endswith(("/", os.sep)) or not Path(output).suffix


def _is_tif(case: Path) -> bool:
    candidates = case.iterdir() if case.is_dir() else [case]
    return any(path.suffix.lower() in _TIF_SUFFIXES for path in candidates)


def _check_target(task: Task, *, overwrite: bool) -> None:
    case, target = task.case, task.target
    if target.resolve() == case.resolve():
        msg = f"The result would be written over its input {case}. Choose another place with -o."
        raise SaveError(msg)
    there = _already_there(target)
    if there and not overwrite:
        msg = f"{there[0]} exists already. Give --overwrite to replace it, or another name with -o."
        raise SaveError(msg)
    folder = next(parent for parent in (target, *target.absolute().parents) if parent.is_dir())
    if not os.access(folder, os.W_OK):
        msg = f"The folder {folder} cannot be written to. Choose another place with -o."
        raise SaveError(msg)


def _already_there(target: Path) -> list[Path]:
    if target.is_dir():
        return sorted(target.glob("*_mask.tif*"))
    return [target] if target.exists() else []
