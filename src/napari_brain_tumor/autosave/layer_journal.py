"""The journal of one label array, which consists of a base and subsequent changes: writing and recovery.

A journal is a folder. `000000.base.npz` contains the labels at the start and a document that describes them;
`000000.changes` contains the records since. When this file has grown large, a new pair is started: the changes file
at once, and the base in a thread. The older files are removed only when the new base is complete, so that at every
moment one base and all changes after it are present.
"""

import json
import logging
import os
import threading
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Executor, Future
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO, Final

import numpy as np

from napari_brain_tumor.autosave.changes import Change, digest_of, pack_change, unpack_change
from napari_brain_tumor.autosave.records import AUTOMATIC, CHANGE, DOCUMENT, SAVED, frame, read_records
from napari_brain_tumor.errors import BrainTumorError, UnreadableFileError
from napari_brain_tumor.io.json_file import parse_json
from napari_brain_tumor.io.packed import PackedLabels, read_packed, write_packed
from napari_brain_tumor.io.regular_file import read_regular
from napari_brain_tumor.types import LayerLabels

logger = logging.getLogger(__name__)

_FAILURES: Final = (OSError, ValueError, RuntimeError, MemoryError, BrainTumorError)
"""Errors that may end a journal, such as a full disk, a removed folder, a closed file or a stopped thread."""


COMPACT_BYTES: Final = 4_000_000
COMPACT_RECORDS: Final = 2000
"""Bytes or records of changes after which a new base is due; reading that many takes about a second."""
_BASE: Final = ".base.npz"
_CHANGES: Final = ".changes"
_NUMBERED: Final = "[0-9]" * 6
"""Pattern of journal file names, which excludes copies and temporary files left by a crash."""


class LayerJournal:
    """Records the changes of one label array as they happen.

    When `change` returns, the change has been passed to the operating system and survives the end of this process; a
    moment later it is on the disk and survives a power failure. A failure to write, for example on a full disk, is
    reported once and ends the journal; it never interrupts the user's work.

    Parameters
    ----------
    folder : Path
        The journal's own folder, which is created.
    labels : (Z, Y, X) integers
        The current labels; they are neither changed nor kept.
    document : mapping
        JSON-serialisable information that is needed, besides the labels, to show them again.
    thread : Executor
        Executor with a single thread, in which bases are written.
    on_error : callable, optional
        Called once, with the error, if the journal ends early.
    compact_bytes, compact_records : int
        Amount of changes after which a new base is written.
    """

    def __init__(
        self,
        folder: Path,
        labels: LayerLabels,
        document: Mapping[str, Any],
        thread: Executor,
        on_error: Callable[[Exception], None] | None = None,
        *,
        compact_bytes: int = COMPACT_BYTES,
        compact_records: int = COMPACT_RECORDS,
    ) -> None:
        self.folder = folder
        self._document = dict(document)
        self._thread = thread
        self._on_error = on_error
        self._limits = compact_bytes, compact_records
        self._clean = digest_of(labels)
        self._lock = threading.RLock()
        self._file: BinaryIO | None = None
        self._base: Future[None] | None = None
        self._sync: Future[None] | None = None
        self._generation = 0
        self._guarded(lambda: self._begin(labels))

    @property
    def running(self) -> bool:
        """Whether changes are still recorded."""
        return self._file is not None

    @property
    def due(self) -> bool:
        """Whether enough changes have been written for `compact` to be called."""
        compact_bytes, compact_records = self._limits
        waiting = self._base is not None and not self._base.done()
        return self.running and not waiting and (self._bytes > compact_bytes or self._records > compact_records)

    def change(self, change: Change) -> None:
        """Record a change."""
        self._write(CHANGE, pack_change(change))

    def automatic(self, change: Change | None) -> None:
        """Record the difference between the current labels and the last automatic ones."""
        self._write(AUTOMATIC, _packed(change))

    def saved(self, digest: bytes) -> None:
        """Record that the labels with this digest are saved elsewhere; may be called in any thread."""
        with self._lock:
            self._clean = digest
        self._write(SAVED, digest)

    def describe(self, document: Mapping[str, Any]) -> None:
        """Replace the document; may be called in any thread."""
        with self._lock:
            self._document = dict(document)
        self._write(DOCUMENT, json.dumps(document).encode())

    def compact(self, labels: LayerLabels, automatic: Change | None) -> None:
        """Start a new base with the current labels, and their difference from the last automatic ones."""
        self._guarded(lambda: self._begin_next(labels, automatic))

    def begin_anew(self, labels: LayerLabels, automatic: Change | None) -> None:
        """Continue with labels of a different shape or type, which a change cannot express."""

        def begin() -> None:
            self._begin_next(labels, automatic)
            if self._base is not None:
                self._base.result()

        self._guarded(begin)

    def close(self, labels: LayerLabels) -> bool:
        """End the journal.

        Returns
        -------
        bool
            Whether the journal contains unsaved changes.
        """
        with self._lock:
            unsaved = digest_of(labels) != self._clean
            self._end_file()
        return unsaved

    # Files ----------------------------------------------------------------------------------------------------------

    def _begin(self, labels: LayerLabels) -> None:
        make_private(self.folder, exist_ok=False)
        self._open(0)
        self._base = self._thread.submit(self._write_base, 0, np.array(labels), self._described())

    def _open(self, generation: int) -> None:
        self._end_file()
        self._generation = generation
        # Unbuffered, so that everything written is with the operating system even if this process dies.
        path = self.folder / f"{generation:06d}{_CHANGES}"
        self._file = open(path, "ab", buffering=0, opener=_private)  # noqa: SIM115 (closed by `_end_file`)
        self._bytes = self._records = 0

    def _end_file(self) -> None:
        if self._file is not None:
            self._file.close()
        self._file = None

    def _described(self) -> str:
        return json.dumps({"clean": self._clean.hex(), "layer": self._document})

    def _write_base(self, generation: int, labels: LayerLabels, document: str) -> None:
        write_packed(self.folder / f"{generation:06d}{_BASE}", labels, document, private=True)
        for path in self.folder.iterdir():
            if path.name[:6].isdigit() and int(path.name[:6]) < generation:
                path.unlink(missing_ok=True)

    def _begin_next(self, labels: LayerLabels, automatic: Change | None) -> None:
        with self._lock:
            self._open(self._generation + 1)
            self._append(AUTOMATIC, _packed(automatic))
            self._base = self._thread.submit(self._write_base, self._generation, np.array(labels), self._described())

    def _write(self, kind: bytes, payload: bytes) -> None:
        self._guarded(lambda: self._append(kind, payload))

    def _append(self, kind: bytes, payload: bytes) -> None:
        with self._lock:
            if self._file is None:
                return
            if self._base is not None and self._generation == 0:
                self._base.result()  # changes are useless without their base
            record = frame(kind, payload)
            self._file.write(record)
            self._bytes += len(record)
            self._records += 1
            if self._sync is None or self._sync.done():
                self._sync = self._thread.submit(_flush, self._file)

    def _guarded(self, action: Callable[[], None]) -> None:
        try:
            action()
        except _FAILURES as error:  # the user can go on painting
            logger.exception("The journal %s ended early", self.folder)
            self._end_file()
            if self._on_error is not None:
                self._on_error(error)


def make_private(folder: Path, *, exist_ok: bool = True) -> None:
    """Create a folder that other users of the machine cannot read, because journals contain patients' names and labels.

    An existing folder is made private, too. On systems without such permissions nothing is changed.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=exist_ok)
    with suppress(OSError, NotImplementedError):
        folder.chmod(0o700)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _packed(change: Change | None) -> bytes:
    return pack_change(change) if change is not None else b""


def _flush(file: BinaryIO) -> None:
    with suppress(OSError, ValueError):  # already closed: not flushed, but nothing is lost in a crash of the program
        os.fsync(file.fileno())


# Reading back -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False)
class RecoveredLabels:
    """The state recovered from a journal.

    Parameters
    ----------
    folder : Path
        Folder of the journal.
    labels : (Z, Y, X) integers
        Last state of the labels.
    automatic : (Z, Y, X) integers
        Labels as left by the last automatic step; differences from `labels` were made by hand.
    document : mapping
        Last state of the document.
    clean : bytes
        Digest of the last saved labels, or else of the initial ones.
    changed_at : datetime
        Time of the last record.
    """

    folder: Path
    labels: LayerLabels
    automatic: LayerLabels
    document: Mapping[str, Any]
    clean: bytes
    changed_at: datetime

    @property
    def unsaved(self) -> bool:
        """Whether the labels differ from the initial and the last saved ones."""
        return digest_of(self.labels) != self.clean


def recover(folder: Path) -> RecoveredLabels:
    """Recover the last state from a journal, ignoring an incomplete record at its end.

    Raises
    ------
    UnreadableFileError
        If none of its bases can be read.
    """
    generation, base = _newest_base(folder)
    files = [path for path in sorted(folder.glob(f"{_NUMBERED}{_CHANGES}")) if int(path.name[:6]) >= generation]
    if files and int(files[0].name[:6]) != generation and _newest_base(folder)[0] != generation:
        return recover(folder)  # this base and its changes were replaced by newer ones while being read
    state = _State(base)
    for path in files:
        records, whole = read_records(read_regular(path))
        if not (state.replay(records) and whole):
            logger.warning("%s ends in an incomplete or damaged record, which is ignored.", path)
            break
    at = max((path.stat().st_mtime for path in files), default=folder.stat().st_mtime)
    changed_at = datetime.fromtimestamp(at, UTC)
    return RecoveredLabels(folder, state.labels, state.automatic, state.document, state.clean, changed_at)


def _newest_base(folder: Path) -> tuple[int, PackedLabels]:
    problem: Exception | None = None
    for path in sorted(folder.glob(f"{_NUMBERED}{_BASE}"), reverse=True):
        try:
            return int(path.name[:6]), read_packed(path)
        except UnreadableFileError as error:
            problem = error
    msg = f"The journal {folder} has no readable starting labels, so its changes cannot be applied. Delete that folder."
    raise UnreadableFileError(msg) from problem


class _State:
    """Labels, automatic labels, document and digest of the saved labels, updated by records."""

    def __init__(self, base: PackedLabels) -> None:
        document = parse_json(base.document)
        self.labels = base.labels
        self.automatic = np.array(base.labels)
        self.document: Mapping[str, Any] = document["layer"]
        self.clean = bytes.fromhex(document["clean"])

    def replay(self, records: Iterable[tuple[bytes, bytes]]) -> bool:
        """Apply records; returns whether all of them could be applied."""
        try:
            for kind, payload in records:
                self._take(kind, payload)
        except (UnreadableFileError, IndexError, ValueError):
            logger.warning("A record does not fit the labels before it.", exc_info=True)
            return False
        return True

    def _take(self, kind: bytes, payload: bytes) -> None:
        if kind == CHANGE:
            unpack_change(payload).apply(self.labels)
        elif kind == AUTOMATIC:
            self.automatic = np.array(self.labels)
            if payload:
                unpack_change(payload).apply(self.automatic)
        elif kind == SAVED:
            self.clean = payload
        elif kind == DOCUMENT:
            self.document = parse_json(payload)
