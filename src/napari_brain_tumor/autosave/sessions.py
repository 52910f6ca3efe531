"""The journals of one run of the program, and those left behind by earlier runs."""

import logging
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, Literal

import numpy.typing as npt
from filelock import FileLock, Timeout

from napari_brain_tumor.autosave.layer_journal import LayerJournal, RecoveredLabels, make_private, recover
from napari_brain_tumor.errors import BrainTumorError, UnreadableFileError
from napari_brain_tumor.home import home_folder

logger = logging.getLogger(__name__)

KEEP_DAYS: Final = 14
KEEP_BYTES: Final = 500_000_000
"""Journals of ended runs are removed after `KEEP_DAYS`, or oldest first if they need more space than this."""

Fate = Literal["lost", "closed", "declined", "restored"]
"""How a journal with unsaved work ended: by a crash; by the user closing the layer or napari; by a crash, and the user
declined to restore it; by a crash, and it was restored."""

_MOST_NAMES: Final = 20
"""Number of names tried for a new session before giving up."""
_FATES: Final[tuple[Fate, ...]] = ("restored", "declined", "closed")


def journal_folder() -> Path:
    """Return the folder for journals: `$BRAIN_TUMOR_HOME/journal`, or `~/.napari-brain-tumor/journal`."""
    return home_folder() / "journal"


class Session:
    """The journals of this run, in a folder that is created with the first one and locked while the run lasts.

    Parameters
    ----------
    home : Path, optional
        `journal_folder()` if not given.
    on_error : callable, optional
        Called, in any thread, if a journal ends early.
    keeps : bool
        False if the user does not want journals; those of earlier runs are still available.
    """

    def __init__(
        self,
        home: Path | None = None,
        on_error: Callable[[Exception], None] | None = None,
        *,
        keeps: bool = True,
    ) -> None:
        self.home = journal_folder() if home is None else home
        self._keeps = keeps
        self.folder: Path | None = None
        self.asked = False
        """Whether the user has already been asked about earlier runs."""
        self._on_error = on_error
        self._thread = ThreadPoolExecutor(1, "journal")
        self._background = ThreadPoolExecutor(1, "journal background")
        self._lock: FileLock | None = None
        self._count = 0

    def open(self, labels: npt.NDArray[Any], document: Mapping[str, Any]) -> LayerJournal | None:
        """Start a journal of these labels; None if journals are off or the folder cannot be created (reported)."""
        if not self._keeps:
            return None
        try:
            folder = self._started()
        except (OSError, NotImplementedError) as error:  # the latter if the file system does not support locks
            logger.exception("No journal can be kept in %s", self.home)
            if self._on_error is not None:
                self._on_error(error)
            return None
        self._count += 1
        return LayerJournal(folder / f"layer-{self._count:03d}", labels, document, self._thread, self._on_error)

    def close(self, journal: LayerJournal, labels: npt.NDArray[Any]) -> None:
        """End a journal; one with unsaved changes is kept for some time."""
        unsaved = journal.close(labels)
        with suppress(RuntimeError):  # Python is shutting down, and its threads have already ended
            self._thread.submit(_settle, journal.folder, unsaved)
            return
        _settle(journal.folder, unsaved)

    def in_background(self, action: Callable[..., Any], *arguments: Any) -> None:
        """Run a possibly slow action in the background, separate from the journals; errors are logged."""
        with suppress(RuntimeError):  # Python is shutting down
            self._background.submit(_logged, action, *arguments)

    def flush(self) -> None:
        """Wait until everything has been written to disk."""
        for thread in (self._background, self._thread):
            thread.submit(lambda: None).result()

    def finish(self) -> None:
        """End the session. Journals that are still open are treated as lost."""
        for thread in (self._background, self._thread):
            thread.shutdown(wait=True)
        if self._lock is not None:
            self._lock.release()
        if self.folder is not None:
            _remove_if_empty(self.folder)
        self.folder = self._lock = None

    def _started(self) -> Path:
        if self.folder is None:
            make_private(self.home)
            folder, self._lock = _locked_folder(self.home)
            make_private(folder)
            self.folder = folder
        return self.folder


def _locked_folder(home: Path) -> tuple[Path, FileLock]:
    """Choose a name for the folder of a new session and lock it.

    The lock is acquired before the folder is created, because a folder without a lock looks like that of an ended run.
    Between creating and locking the lock file, `tidy` in this or another napari may take it for the lock of an ended
    run, hold it for a moment and remove it. In that case another name is tried.
    """
    for _ in range(_MOST_NAMES):
        folder = home / f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{os.getpid()}-{os.urandom(4).hex()}"
        lock = _lock_of(folder)
        with suppress(Timeout):
            lock.acquire(timeout=0)
            return folder, lock
    raise OSError(f"the lock of a new session was taken by another program {_MOST_NAMES} times in a row, in {home}")


def _lock_of(session: Path) -> FileLock:
    return FileLock(session.with_name(f"{session.name}.lock"), mode=0o600)


def _logged(action: Callable[..., Any], *arguments: Any) -> None:
    try:
        action(*arguments)
    except (OSError, ValueError, BrainTumorError):  # no work is lost
        logger.exception("A journal is incomplete: %s failed", getattr(action, "__name__", action))


def _settle(folder: Path, unsaved: bool) -> None:
    if unsaved:
        mark(folder, "closed")
    else:
        shutil.rmtree(folder, ignore_errors=True)


# Earlier runs -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class StoredJournal:
    """The folder of a journal left by an earlier run, and how it ended."""

    folder: Path
    fate: Fate


def journals(home: Path | None = None, own: Path | None = None) -> list[StoredJournal]:
    """List the journals of ended runs, newest first.

    Parameters
    ----------
    home : Path, optional
        `journal_folder()` if not given.
    own : Path, optional
        Folder of the current session, of which only journals of layers closed without saving are included.
    """
    home = journal_folder() if home is None else home
    if not home.is_dir():
        return []
    entries: list[StoredJournal] = []
    for session in sorted((path for path in home.iterdir() if path.is_dir()), reverse=True):
        if session == own:
            closed = (folder for folder in _layers(session) if (folder / "closed").exists())
            entries += [StoredJournal(folder, _fate(folder)) for folder in closed]
            continue
        with _ended(session) as ended:
            if ended:
                entries += [StoredJournal(folder, _fate(folder)) for folder in _layers(session)]
    return entries


def _layers(session: Path) -> list[Path]:
    try:
        return sorted(session.glob("layer-*"))
    except FileNotFoundError:  # removed in the meantime by its own run, or by another napari that tidies up
        return []


def recover_all(entries: list[StoredJournal]) -> list[tuple[StoredJournal, RecoveredLabels]]:
    """Recover the journals that can be read and contain unsaved changes."""
    recoveries: list[tuple[StoredJournal, RecoveredLabels]] = []
    for entry in entries:
        try:
            recovered = recover(entry.folder)
        except (UnreadableFileError, OSError):
            logger.warning("The journal %s cannot be read", entry.folder, exc_info=True)
            continue
        if recovered.unsaved:
            recoveries.append((entry, recovered))
    return recoveries


def mark(folder: Path, fate: Fate) -> None:
    """Mark how a journal ended; does nothing if the folder no longer exists."""
    if folder.is_dir():
        (folder / fate).touch()


def forget(folder: Path) -> None:
    """Remove a journal for good."""
    shutil.rmtree(folder, ignore_errors=True)


def tidy(home: Path | None = None, *, keep_days: float = KEEP_DAYS, keep_bytes: int = KEEP_BYTES) -> None:
    """Remove journals of ended runs: old ones, empty ones, and the oldest if they need too much space.

    Journals that were closed, declined or restored by the user are removed before those that were lost.
    """
    home = journal_folder() if home is None else home
    sized = list(_sized(journals(home)))
    oldest = datetime.now(UTC) - timedelta(days=keep_days)
    total = sum(size for _, size, _ in sized)
    for entry, size, touched in sorted(sized, key=lambda item: (item[0].fate == "lost", item[2])):
        if touched < oldest or total > keep_bytes:
            forget(entry.folder)
            total -= size
    if home.is_dir():
        for session in {path.with_suffix("") for path in home.iterdir()}:
            _remove_if_empty(session)


def _remove_if_empty(session: Path) -> None:
    if _layers(session):
        return
    with _ended(session) as ended:
        if ended:
            shutil.rmtree(session, ignore_errors=True)
            # Removed while still locked. After the release another session may lock the file, and would then hold a
            # lock without a name, which protects nothing. Windows forbids it now; there the lock removes the file.
            with suppress(OSError):
                session.with_name(f"{session.name}.lock").unlink()


@contextmanager
def _ended(session: Path) -> Iterator[bool]:
    """Check that a run has ended, that is, nobody holds its lock; the lock is held within the `with` block."""
    lock = _lock_of(session)
    try:
        lock.acquire(timeout=0)
    except (Timeout, OSError, NotImplementedError):
        yield False
        return
    try:
        yield True
    finally:
        lock.release()


def _fate(folder: Path) -> Fate:
    return next((fate for fate in _FATES if (folder / fate).exists()), "lost")


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _touched(folder: Path) -> datetime:
    return datetime.fromtimestamp(max((p.stat().st_mtime for p in folder.iterdir()), default=0), UTC)


def _sized(entries: Iterable[StoredJournal]) -> Iterator[tuple[StoredJournal, int, datetime]]:
    for entry in entries:
        with suppress(OSError):  # another napari may be tidying up at the same time
            yield entry, _size(entry.folder), _touched(entry.folder)
