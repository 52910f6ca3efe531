"""Change a data set completely or not at all, one process at a time.

A change proceeds as follows: write a journal with the names of the files to be added and dropped; write the new files,
under names unknown to the old index; replace the index in one step; write `dataset.json`, which is derived from the
index; remove the dropped files; remove the journal. If the process is killed before the index is replaced, the old data
set remains, afterwards the new one; the next change removes files that are in the journal but not in the index. Readers
need no lock, since the index is replaced as a whole and its files are never overwritten.
"""

import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, Final

from filelock import FileLock, Timeout
from pydantic import BaseModel, ValidationError

from napari_brain_tumor.dataset.decathlon import dataset_text
from napari_brain_tumor.dataset.index import DatasetIndex, RelativeFile
from napari_brain_tumor.errors import DatasetBusyError, DatasetError, SaveError, UnreadableFileError
from napari_brain_tumor.io.atomic import write_text
from napari_brain_tumor.io.inside import path_inside, refuse_links_outside
from napari_brain_tumor.io.json_file import read_json
from napari_brain_tumor.io.regular_file import read_regular

INDEX_FILE: Final = "index.json"
DATASET_FILE: Final = "dataset.json"
JOURNAL_FILE: Final = ".changes.json"
LOCK_FILE: Final = ".lock"
FOLDERS: Final = ("imagesTr", "labelsTr")

_TEMPORARY: Final = re.compile(r"^\.[0-9a-f]{12}\.(?P<name>.+)$")
"""Names that `write_atomically` gives to unfinished files."""
_OWN_DOCUMENTS: Final = (INDEX_FILE, DATASET_FILE, JOURNAL_FILE)

Write = Callable[[Path], Any]


class _Journal(BaseModel, extra="forbid"):
    """Relative paths of the files that the current change adds and drops."""

    files: tuple[RelativeFile, ...]


def read_index(folder: Path) -> DatasetIndex:
    """Read the index of a data set and validate it as a whole.

    Raises
    ------
    DatasetError
        If there is none, or it is inconsistent.
    """
    path = folder / INDEX_FILE
    try:
        content = read_regular(path)
    except UnreadableFileError as error:
        hint = "Create one there, or give the folder that holds index.json."
        raise DatasetError(f"{folder} is not a curated data set. {error} {hint}") from error
    try:
        return DatasetIndex.model_validate_json(content)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"])) or "the whole"
        raise DatasetError(
            f"{path} does not describe a valid data set, {where}: {first['msg']}. Undo what was changed in it by hand, "
            "or open it with the version of this program that wrote it."
        ) from error


@contextmanager
def locked(folder: Path, timeout_s: float) -> Iterator[None]:
    """Prevent other processes from writing, and clean up after a killed one.

    Raises
    ------
    DatasetBusyError
        If another process does not finish within that time.
    DatasetError
        If the folder is not writable.
    """
    try:
        lock = FileLock(folder / LOCK_FILE)
        lock.acquire(timeout=timeout_s)
    except Timeout as error:
        raise DatasetBusyError(
            f"Another process has been writing to {folder} for {timeout_s:g} seconds. Nothing was changed: wait until "
            "it is done, or close the other program."
        ) from error
    except OSError as error:
        msg = f"{folder} cannot be written to ({error.strerror or error}). Check that it exists, and its permissions."
        raise DatasetError(msg) from error
    try:
        _recover(folder)
        yield
    finally:
        lock.release()


def write_first(folder: Path, index: DatasetIndex) -> None:
    """Create folders and index of a new data set; the index comes last and makes the data set valid."""
    for name in FOLDERS:
        (folder / name).mkdir(exist_ok=True)
    _write_dataset(folder, index)
    _write_index(folder, index)


def commit(folder: Path, before: DatasetIndex, after: DatasetIndex, new_files: Mapping[str, Write]) -> DatasetIndex:
    """Replace `before` by `after` in the folder; to be called inside `locked`.

    Parameters
    ----------
    folder : Path
        Folder of the data set.
    before, after : DatasetIndex
        The current index and the intended one, whose revision is increased here.
    new_files : mapping of relative path to callable
        Functions that write the files added in `after`, atomically, at the path they are given.

    Returns
    -------
    DatasetIndex
        The new index as written.

    Raises
    ------
    DatasetError
        If a file that is not part of the data set is in the way.
    SaveError
        If a file cannot be written; the data set is then unchanged.
    """
    refuse_links_outside(folder, [folder / name for name in FOLDERS])
    after = DatasetIndex.model_validate({**dict(after), "revision": before.revision + 1})
    added, dropped = after.files - before.files, before.files - after.files
    if added != set(new_files):
        raise AssertionError(f"{sorted(added)} are new in the index, {sorted(new_files)} are to be written")
    _refuse_strangers(folder, added)
    with ExitStack() as undo:
        undo.callback(_recover_if_possible, folder)  # if that fails, too, the journal stays for the next change
        if added or dropped:
            _write_journal(folder, added | dropped)
        for name, write in new_files.items():
            write(folder / name)
        _write_index(folder, after)
        undo.pop_all()
    # From here on, the change is in effect; the remaining steps are done now or by the next change.
    with suppress(OSError, SaveError):
        _write_dataset(folder, after)
        _recover(folder)
    return after


def _recover_if_possible(folder: Path) -> None:
    with suppress(OSError, SaveError, DatasetError):
        _recover(folder)


def _recover(folder: Path) -> None:
    """Remove what an unfinished change left behind; files not listed in a journal are never touched."""
    _remove_temporaries(folder, _OWN_DOCUMENTS)
    journal = _read_journal(folder)
    if journal is None:
        return
    index = read_index(folder)
    paths = {file: path_inside(folder, file, named_by=JOURNAL_FILE) for file in journal.files}
    for file, path in paths.items():
        _remove_temporaries(path.parent, (path.name,))
        if file not in index.files and not path.is_dir():
            path.unlink(missing_ok=True)
    _write_dataset(folder, index)
    (folder / JOURNAL_FILE).unlink(missing_ok=True)


def _remove_temporaries(folder: Path, names: Iterable[str]) -> None:
    targets = set(names)
    for path in folder.glob(".*"):
        match = _TEMPORARY.match(path.name)
        if match is not None and match["name"] in targets:
            path.unlink(missing_ok=True)


def _refuse_strangers(folder: Path, files: Iterable[str]) -> None:
    there = sorted(file for file in files if (folder / file).exists())
    if there:
        raise DatasetError(
            f"{folder / there[0]} already exists, but is not part of the data set. It is left unchanged: move it "
            "away, or give the case another id."
        )


def _read_journal(folder: Path) -> _Journal | None:
    path = folder / JOURNAL_FILE
    if not os.path.lexists(path):
        return None
    try:
        return _Journal.model_validate_json(read_regular(path))
    except UnreadableFileError as error:
        why: Exception | str = error
    except ValidationError as error:
        why = f"{path} is not in the format of this program ({error.errors(include_url=False)[0]['msg']})."
    msg = f"{why} Nothing was changed. Remove it if nobody is writing to the data set; the index is not affected."
    raise DatasetError(msg)


def _write_journal(folder: Path, files: Iterable[str]) -> None:
    text = _Journal(files=tuple(sorted(files))).model_dump_json()
    write_text(folder / JOURNAL_FILE, text)


def _write_index(folder: Path, index: DatasetIndex) -> None:
    write_text(folder / INDEX_FILE, index.to_json())


def _write_dataset(folder: Path, index: DatasetIndex) -> None:
    path = folder / DATASET_FILE
    text = dataset_text(index, _json_object(path))
    # The file may have been overwritten by another program with undecodable content.
    if not path.is_file() or path.read_text(encoding="utf-8", errors="replace") != text:
        write_text(path, text)


def _json_object(path: Path) -> dict[str, Any]:
    try:
        content = read_json(path)
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}
