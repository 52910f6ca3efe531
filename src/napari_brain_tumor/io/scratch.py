"""Build folders beside their destination and then swap them in, so that being killed at any moment loses nothing.

A scratch folder is locked for as long as its process runs. If its lock is free, its process has ended: the folder it
had set aside is put back unless something has taken its place, and the rest is removed.
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
"""Prefixes of scratch folders made by earlier versions, which had no lock."""
_EARLIER_KEEP_S: Final = 24 * 3600.0


@contextmanager
def scratch_beside(target: Path) -> Iterator[Path]:
    """Create an empty folder beside `target` and remove it at the end; first clean up after killed processes.

    Parameters
    ----------
    target : Path
        Folder that will be replaced by the one built in the scratch folder; its parent is created if necessary.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    recover_scratch(target.parent)
    scratch = Path(tempfile.mkdtemp(dir=target.parent, prefix=_PREFIX))
    lock = FileLock(scratch / _LOCK)
    with suppress(OSError, NotImplementedError):  # some network drives do not support locks
        lock.acquire(timeout=0)
    try:
        yield scratch
    finally:
        _put_back(scratch)
        lock.release()
        shutil.rmtree(scratch, ignore_errors=True)


def swap_in(new: Path, target: Path, scratch: Path) -> None:
    """Replace a folder by one built within the scratch folder; on failure the original is put back.

    Parameters
    ----------
    new : Path
        The complete new folder, within `scratch`.
    target : Path
        Destination beside `scratch`; it may or may not exist.
    scratch : Path
        The folder from `scratch_beside`.
    """
    if target.exists() or target.is_symlink():
        (scratch / _NAME).write_text(target.name, encoding="utf-8")
        os.replace(target, scratch / _OLD)
    os.replace(new, target)


def recover_scratch(parent: Path) -> None:
    """Restore the folders that killed processes had set aside in `parent`, and remove their leftovers.

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
            return  # just created, not locked yet
        lock.acquire(timeout=0)
    except (Timeout, OSError, NotImplementedError):
        return
    try:
        _put_back(scratch)
    finally:
        lock.release()
    shutil.rmtree(scratch, ignore_errors=True)


def _put_back(scratch: Path) -> None:
    """Rename a replaced folder back to its original name, unless that name is in use."""
    old = scratch / _OLD
    try:
        name = (scratch / _NAME).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return
    target = scratch.parent / Path(name).name
    if name and Path(name).name == name and old.exists() and not target.exists():
        with suppress(OSError):
            os.replace(old, target)
