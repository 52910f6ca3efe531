"""Clean-up after a process was killed while saving; the next process completes or removes what it left behind.

Each save records its temporary files in a note in the user's folder and, when all of them are verified, the names to
which they will be moved. The note is locked while its process is alive. If the lock is free, the process has ended:
moves that were decided are completed, and all other temporary files are removed.
"""

import hashlib
import json
import os
import platform
import re
import shutil
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from filelock import FileLock, Timeout

from napari_brain_tumor.home import home_folder

Move = tuple[Path, Path]
"""A temporary file or folder, and its final name."""

TEMPORARY_NAME: Final = re.compile(r"^\.[0-9a-f]{12}\.(?P<name>.+)$", re.DOTALL)
"""Pattern of the names of unfinished files and folders. Nothing else is ever removed or moved."""

_FOLDER: Final = "unfinished"
_PATIENCE_S: Final = 5.0
"""Time to wait while another process checks whether this one is alive."""


def temporary_beside(path: Path) -> Path:
    """Return a new temporary name in the same folder; the suffix is kept, as it determines the format."""
    return path.with_name(f".{uuid.uuid4().hex[:12]}.{path.name}")


@dataclass(frozen=True, slots=True)
class Note:
    """The note of one save; `path` is None if the user's folder is not writable."""

    path: Path | None
    temporary: Sequence[Path]

    def decide(self, moves: Sequence[Move], *, claim: bool) -> None:
        """Record that these moves will be made; from now on they will be completed even if this process dies.

        Parameters
        ----------
        claim : bool
            Whether the first of them must not replace anything. The others are only made if it succeeded.
        """
        self._write({"moves": [[str(a), str(b)] for a, b in moves], "claim": claim})

    def withdraw(self) -> None:
        """Record that the moves will not be made after all."""
        self._write({})

    def _write(self, more: dict[str, Any]) -> None:
        if self.path is None:
            return
        text = json.dumps({"temporary": [str(path) for path in self.temporary], **more})
        fresh = self.path.with_suffix(".new")
        with suppress(OSError):
            _write(fresh, text)
            os.replace(fresh, self.path)


@contextmanager
def noted(temporary: Sequence[Path]) -> Iterator[Note]:
    """Keep a note of these temporary files until the block ends, normally or by an error."""
    absolute = [Path(os.path.abspath(path)) for path in temporary]
    path = _notes_folder() / f"{_this_machine()}-{uuid.uuid4().hex}.json"
    lock = _lock_of(path)
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        _write(path, json.dumps({"temporary": []}))  # before the lock file, which would never be removed without it
        lock.acquire(timeout=_PATIENCE_S)
    except (OSError, Timeout):
        # A home folder that is read-only or full must not prevent saving elsewhere.
        yield Note(None, absolute)
        return
    note = Note(path, absolute)
    try:
        note.withdraw()
        yield note
    finally:
        _drop(path, lock)


def finish_interrupted() -> None:
    """Complete or remove what killed processes of this machine left behind while saving."""
    for path in sorted(_notes_folder().glob(f"{_this_machine()}-*.json")):
        lock = _lock_of(path)
        try:
            lock.acquire(timeout=0)
        except (OSError, Timeout):
            continue  # its process is alive
        try:
            _settle(path)
        finally:
            _drop(path, lock)


def remove_quietly(path: Path) -> None:
    """Remove a file or folder if it exists and can be removed."""
    with suppress(OSError):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def _notes_folder() -> Path:
    return home_folder() / _FOLDER


def _this_machine() -> str:
    """Return an ID of this machine: home folders may be shared, but only this machine can check its processes."""
    return hashlib.sha256(platform.node().encode()).hexdigest()[:8]


def _lock_of(path: Path) -> FileLock:
    return FileLock(path.with_suffix(".lock"))


def _drop(path: Path, lock: FileLock) -> None:
    """Remove a note, with the note file itself last, because without it the others would never be removed."""
    remove_quietly(path.with_suffix(".new"))
    lock.release()
    remove_quietly(Path(lock.lock_file))
    remove_quietly(path)


def _write(path: Path, text: str) -> None:
    with path.open("w", encoding="ascii") as file:
        file.write(text)


def _settle(path: Path) -> None:
    try:
        content = json.loads(path.read_bytes())
        moves = [(Path(a), Path(b)) for a, b in content.get("moves", ())]
        temporary = [Path(file) for file in content["temporary"]]
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return
    with suppress(OSError):
        if all(map(_is_plain_move, moves)):
            _finish(moves, claim=bool(moves) and bool(content.get("claim")))
    for file in temporary:
        if TEMPORARY_NAME.match(file.name):
            remove_quietly(file)


def _is_plain_move(move: Move) -> bool:
    """Whether a move only gives a temporary file the name for which it was created."""
    source, target = move
    match = TEMPORARY_NAME.match(source.name)
    return match is not None and match["name"] == target.name and source.parent == target.parent


def _finish(moves: Sequence[Move], *, claim: bool) -> None:
    if claim and not _was_claimed(*moves[0]):
        return
    for source, target in moves:
        if source.exists():
            os.replace(source, target)


def _was_claimed(source: Path, target: Path) -> bool:
    if not source.exists():
        return True
    if not target.exists():
        return False
    # Either the second name of the same file, or the empty placeholder.
    return source.samefile(target) or (target.is_file() and target.stat().st_size == 0)
