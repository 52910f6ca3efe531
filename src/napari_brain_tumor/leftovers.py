"""What a process that is killed while it saves leaves behind: finished or removed when the next one starts.

Each save notes in the user's own folder which temporary files it makes, and, once all of them are proven, which names
they are about to take. The note is locked for as long as its process lives. Where the lock is free the process has
ended: moves that were decided are finished, everything else temporary is removed.
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
"""A temporary file or folder, and the name that it takes."""

TEMPORARY_NAME: Final = re.compile(r"^\.[0-9a-f]{12}\.(?P<name>.+)$", re.DOTALL)
"""Of files and folders that are not finished. Nothing else is ever removed or moved."""

_FOLDER: Final = "unfinished"
_PATIENCE_S: Final = 5.0
"""For another process that looks whether this one lives."""


def temporary_beside(path: Path) -> Path:
    """A new temporary name in the same folder; the suffix, which decides the format for most libraries, stays."""
    return path.with_name(f".{uuid.uuid4().hex[:12]}.{path.name}")


@dataclass(frozen=True, slots=True)
class Note:
    """The note of one save; `path` is None where the user's folder cannot be written to."""

    path: Path | None
    temporary: Sequence[Path]

    def decide(self, moves: Sequence[Move], *, claim: bool) -> None:
        """Note that these moves will be made: from now on they are finished, whatever happens to this process.

        Parameters
        ----------
        claim : bool
            Whether the first of them must not replace anything. The others are only made if it was.
        """
        self._write({"moves": [[str(a), str(b)] for a, b in moves], "claim": claim})

    def withdraw(self) -> None:
        """Note that the moves will not be made after all."""
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
    """Keep a note of these temporary files until the block ends, however it ends."""
    absolute = [Path(os.path.abspath(path)) for path in temporary]
    path = _notes_folder() / f"{_this_machine()}-{uuid.uuid4().hex}.json"
    lock = _lock_of(path)
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        _write(path, json.dumps({"temporary": []}))  # before the lock, which would never be removed without it
        lock.acquire(timeout=_PATIENCE_S)
    except (OSError, Timeout):
        # A home that is read-only or full must not keep anybody from saving elsewhere.
        yield Note(None, absolute)
        return
    note = Note(path, absolute)
    try:
        note.withdraw()
        yield note
    finally:
        _drop(path, lock)


def finish_interrupted() -> None:
    """Finish or remove what processes of this machine left behind that were killed while they saved."""
    for path in sorted(_notes_folder().glob(f"{_this_machine()}-*.json")):
        lock = _lock_of(path)
        try:
            lock.acquire(timeout=0)
        except (OSError, Timeout):
            continue  # its process lives
        try:
            _settle(path)
        finally:
            _drop(path, lock)


def remove_quietly(path: Path) -> None:
    """Remove a file or a folder if it is there and can be removed."""
    with suppress(OSError):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def _notes_folder() -> Path:
    return home_folder() / _FOLDER


def _this_machine() -> str:
    """Homes are shared in clusters, but whether a process lives is known on its own machine alone."""
    return hashlib.sha256(platform.node().encode()).hexdigest()[:8]


def _lock_of(path: Path) -> FileLock:
    return FileLock(path.with_suffix(".lock"))


def _drop(path: Path, lock: FileLock) -> None:
    """Remove a note; last of all the note itself, without which its other files would stay for good."""
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
    """Whether a move does no more than give a temporary file the name that it was made for."""
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
    # Either the second name of the same file, or the empty one that held the place.
    return source.samefile(target) or (target.is_file() and target.stat().st_size == 0)
