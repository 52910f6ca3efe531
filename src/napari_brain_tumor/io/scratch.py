"""Folders that are made beside their place and then take it, so that a kill at any moment loses nothing.

A scratch folder is locked for as long as its process lives. One whose lock is free was left by a process that ended:
what it had taken away is put back if nothing took its place, and the rest is removed.
"""

import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from filelock import FileLock, Timeout

_PREFIX: Final = ".scratch-"
_LOCK: Final = ".lock"
_NAME: Final = "name.txt"
_OLD: Final = "old"
_EARLIER: Final = (".import-", ".making-")
"""Scratch folders of earlier versions, which had no lock."""
_EARLIER_KEEP_S: Final = 24 * 3600.0


@contextmanager
def scratch_beside(target: Path) -> Iterator[Path]:
    """A new empty folder beside a folder, removed at the end; what killed processes left there is settled first.

    Parameters
    ----------
    target : Path
        That what is made in the scratch folder will replace; its parent is made if need be.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    recover_scratch(target.parent)
    scratch = Path(tempfile.mkdtemp(dir=target.parent, prefix=_PREFIX))
    lock = FileLock(scratch / _LOCK)
    with suppress(OSError, NotImplementedError):  # some network disks have no locks
        lock.acquire(timeout=0)
    try:
        yield scratch
    finally:
        _put_back(scratch)
        lock.release()
        shutil.rmtree(scratch, ignore_errors=True)


def swap_in(new: Path, target: Path, scratch: Path) -> None:
    """Give a folder within the scratch folder the place of another one, which is there again should that fail.

    Parameters
    ----------
    new : Path
        Within `scratch`, whole.
    target : Path
        Beside `scratch`; it may or may not be there.
    scratch : Path
        From `scratch_beside`.
    """
    if target.exists() or target.is_symlink():
        (scratch / _NAME).write_text(target.name, encoding="utf-8")
        os.replace(target, scratch / _OLD)
    os.replace(new, target)


def recover_scratch(parent: Path) -> None:
    """Put back what killed processes had taken away in a folder, and remove what they left there.

    Only scratch folders of this program are touched, and only those whose process has ended.
    """
    with suppress(OSError):
        for path in parent.glob(".*-*"):
            if path.name.startswith(_PREFIX):
                _settle(path)
            elif path.name.startswith(_EARLIER) and time.time() - path.stat().st_mtime > _EARLIER_KEEP_S:
                shutil.rmtree(path, ignore_errors=True)


def _settle(scratch: Path) -> None:
    lock = FileLock(scratch / _LOCK)
    try:
        if not (scratch / _LOCK).exists() and time.time() - scratch.stat().st_mtime < _EARLIER_KEEP_S:
            return  # just made, not locked yet
        lock.acquire(timeout=0)
    except (Timeout, OSError, NotImplementedError):
        return
    try:
        _put_back(scratch)
    finally:
        lock.release()
    shutil.rmtree(scratch, ignore_errors=True)


def _put_back(scratch: Path) -> None:
    """Give what was replaced its name again, where nothing has it."""
    old = scratch / _OLD
    try:
        name = (scratch / _NAME).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return
    target = scratch.parent / Path(name).name
    if name and Path(name).name == name and old.exists() and not target.exists():
        with suppress(OSError):
            os.replace(old, target)
