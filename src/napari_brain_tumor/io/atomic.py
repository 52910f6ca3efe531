"""Write a file, or several files that belong together, either completely or not at all."""

import errno
import os
import shutil
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from napari_brain_tumor.errors import SaveError, attempted
from napari_brain_tumor.leftovers import Move, Note, noted, remove_quietly, temporary_beside

_CANNOT_FLUSH: Final = (errno.EINVAL, errno.ENOTSUP, errno.EBADF, errno.EACCES, errno.EPERM, errno.ENOSYS)
"""Error codes from file systems, mostly network ones, that do not support flushing folders."""


@dataclass(frozen=True, slots=True)
class Part:
    """One of several files, or new folders of files, that are written together.

    Parameters
    ----------
    path : Path
        Final path. An existing file there stays unchanged until all parts have been checked.
    write : callable
        Writes the part under a temporary name with the same suffix.
    check : callable
        Re-opens the temporary file and raises `SaveError` if its contents are not as intended.
    """

    path: Path
    write: Callable[[Path], Any]
    check: Callable[[Path], None]


def write_atomically(
    path: Path, write: Callable[[Path], Any], check: Callable[[Path], None], *, overwrite: bool = True
) -> None:
    """Write to a temporary file beside `path`, check it, and only then rename it to `path`.

    Parameters
    ----------
    path, write, check
        As in `Part`.
    overwrite : bool
        Whether an existing file may be replaced.

    Raises
    ------
    SaveError
        If any step fails; no partly written file is left behind. Without `overwrite`, also if the file exists, even if
        another process wrote it only a moment before.
    """
    write_together([Part(path, write, check)], overwrite=overwrite)


def write_text(path: Path, text: str) -> None:
    """Write a text file completely or not at all, in UTF-8 and without converting line endings.

    Raises
    ------
    SaveError
        If it cannot be written, or does not read back the same.
    """
    content = text.encode("utf-8")

    def check(temporary: Path) -> None:
        if temporary.read_bytes() != content:
            raise SaveError("it did not read back the same")

    write_atomically(path, lambda temporary: temporary.write_bytes(content), check)


def write_together(parts: Sequence[Part], *, overwrite: bool = True) -> None:
    """Write every part under a temporary name, check all of them, and only then rename them.

    If the process is killed while renaming, the next one completes the job (`leftovers.finish_interrupted`). If a part
    cannot be renamed, those already renamed are rolled back.

    Parameters
    ----------
    parts : sequence of Part
        The first is the main file; the others belong to it.
    overwrite : bool
        Whether existing files may be replaced. If not, the first part decides: if two processes write it at the same
        time, one of them is refused and does not change the other parts either.

    Raises
    ------
    SaveError
        If any step fails; the message says whether anything was changed.
    """
    moves = [(temporary_beside(part.path), part.path) for part in parts]
    earlier = [temporary_beside(part.path) for part in parts]
    with attempted() as saving:
        for part in parts:
            part.path.parent.mkdir(parents=True, exist_ok=True)
        with noted([*(source for source, _ in moves), *earlier]) as note:
            try:
                _stage(parts, moves)
                _move(moves, earlier, note, overwrite=overwrite)
            finally:
                for path in (*(source for source, _ in moves), *earlier):
                    remove_quietly(path)
    if saving.error is not None:  # any error that a library raised while writing or reading back
        raise _not_saved(parts[0].path, saving.error) from saving.error
    _flush_folders(parts)


def _not_saved(path: Path, error: Exception) -> SaveError:
    if isinstance(error, _CompleteError):
        return SaveError(str(error))
    reason = getattr(error, "strerror", None) or error
    return SaveError(f"{path} was not saved: {reason}. Nothing was changed; choose another place or free some space.")


def flush_to_disk(path: Path) -> None:
    """Flush a file, or the entries of a folder, to disk; on Windows, folders are skipped."""
    if path.is_dir() and os.name == "nt":
        return
    handle = os.open(path, os.O_RDONLY if os.name != "nt" else os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _flush_folders(parts: Sequence[Part]) -> None:
    """Flush the new folder entries as well; file systems that cannot flush a folder are ignored, as nothing is lost."""
    for folder in dict.fromkeys(part.path.parent for part in parts):
        try:
            flush_to_disk(folder)
        except OSError as error:
            if error.errno in _CANNOT_FLUSH:
                continue
            raise SaveError(
                f"{parts[0].path} was written, but the disk did not confirm it: {error.strerror or error}. Check the "
                "disk, then save again."
            ) from error


class _CompleteError(Exception):
    """An error whose message is complete and is shown to the user unchanged."""


def _exists_already(path: Path) -> _CompleteError:
    return _CompleteError(
        f"{path} already exists, perhaps written by another run a moment ago. It was left unchanged: replace it on "
        "purpose (--overwrite, overwrite=True), or choose another name."
    )


def _stage(parts: Sequence[Part], moves: Sequence[Move]) -> None:
    for part, (temporary, _) in zip(parts, moves, strict=True):
        part.write(temporary)
        for file in sorted(temporary.iterdir()) if temporary.is_dir() else [temporary]:
            flush_to_disk(file)
        part.check(temporary)


def _move(moves: Sequence[Move], earlier: Sequence[Path], note: Note, *, overwrite: bool) -> None:
    """Rename all parts to their final names, or none."""
    if overwrite and len(moves) == 1:
        _replace(*moves[0])
        return
    for number, ((_, target), copy) in enumerate(zip(moves, earlier, strict=True)):
        if target.is_file() and (overwrite or number > 0):
            _keep(target, copy)
    note.decide(moves, claim=not overwrite)
    moved: list[tuple[Path, Path]] = []
    with ExitStack() as undo:
        undo.push(lambda _kind, error, _trace: _take_back(moved, error))
        undo.callback(note.withdraw)  # first
        for number, ((source, target), copy) in enumerate(zip(moves, earlier, strict=True)):
            (_claim if number == 0 and not overwrite else _replace)(source, target)
            moved.append((target, copy))
        undo.pop_all()


def _replace(source: Path, target: Path) -> None:
    # A folder can replace at most an empty folder.
    os.replace(source, target)


def _keep(target: Path, copy: Path) -> None:
    """Make a hard link to an existing file, or a copy if the file system does not support hard links."""
    try:
        os.link(target, copy)
    except OSError:
        shutil.copy2(target, copy)


def _claim(source: Path, target: Path) -> None:
    """Rename to a name that is not in use; if several processes try, only one succeeds.

    Raises
    ------
    _CompleteError
        If the name is already in use.
    """
    try:
        if os.name == "nt" or source.is_dir():
            os.rename(source, target)  # fails by itself if the target exists (except, outside Windows, an empty folder)
        else:
            _link(source, target)
    except OSError as error:
        if not target.exists():
            raise
        raise _exists_already(target) from error


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except FileExistsError:
        # On a network file system the reply may get lost, so that a retry finds the link the first attempt made.
        if not source.samefile(target):
            raise
    except OSError:
        os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY))  # file systems without hard links
        os.replace(source, target)


def _take_back(moved: Sequence[tuple[Path, Path]], error: BaseException | None) -> None:
    left = []
    for target, copy in reversed(moved):
        try:
            if copy.exists():
                os.replace(copy, target)
            elif target.is_dir():
                shutil.rmtree(target)
            else:
                target.unlink()
        except OSError:
            left.append(target.name)
    if left and isinstance(error, Exception):
        reason = getattr(error, "strerror", None) or error
        raise _CompleteError(
            f"Saving stopped halfway: {reason}. New already: {', '.join(left)}; what belongs to it is still the "
            "earlier one. Save again, to another place if need be."
        ) from error
