"""The journal of one labels array: a base, the changes since, and both read back.

A journal is a folder. `000000.base.npz` holds the labels as they were when it began and a document about them;
`000000.changes` the records since. When these have grown, a new pair begins: first the changes, at once, then the base,
in a thread, and only when that is whole are the older ones removed. So at every moment one base and all the changes
after it are there.
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
"""A full disk, a removed folder, a closed file, threads that ended: what may end a journal."""


COMPACT_BYTES: Final = 4_000_000
COMPACT_RECORDS: Final = 2000
"""So many bytes or records of changes and a new base is due: reading them back takes about a second."""
_BASE: Final = ".base.npz"
_CHANGES: Final = ".changes"
_NUMBERED: Final = "[0-9]" * 6
"""Pattern of our names: not of copies, nor of temporary files that a crash left."""


class LayerJournal:
    """Writes down the changes of one labels array as they come.

    A change is with the system, and so survives the end of this process, when `change` returns; it is on the disk, and
    survives the end of the power, a moment later. What cannot be written, for want of space say, is told once and ends
    the journal: it never disturbs the work.

    Parameters
    ----------
    folder : Path
        Its own; it is made.
    labels : (Z, Y, X) integers
        As they are now; not changed and not kept.
    document : mapping
        What is needed beside the labels to show them again, as JSON takes it.
    thread : Executor
        Of one thread, where bases are written.
    on_error : callable, optional
        Told once, with the error, when the journal ends early.
    compact_bytes, compact_records : int
        A new base is written after so much.
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
        """Whether changes are still written down."""
        return self._file is not None

    @property
    def due(self) -> bool:
        """Whether so much was written that it is time to `compact`."""
        compact_bytes, compact_records = self._limits
        waiting = self._base is not None and not self._base.done()
        return self.running and not waiting and (self._bytes > compact_bytes or self._records > compact_records)

    def change(self, change: Change) -> None:
        """Write a change down."""
        self._write(CHANGE, pack_change(change))

    def automatic(self, change: Change | None) -> None:
        """Write down how the last automatic labels differ from the labels as they are now."""
        self._write(AUTOMATIC, _packed(change))

    def saved(self, digest: bytes) -> None:
        """The labels of this digest are saved elsewhere: they need no restoring. Any thread may tell."""
        with self._lock:
            self._clean = digest
        self._write(SAVED, digest)

    def describe(self, document: Mapping[str, Any]) -> None:
        """From now on this is the document. Any thread may tell."""
        with self._lock:
            self._document = dict(document)
        self._write(DOCUMENT, json.dumps(document).encode())

    def compact(self, labels: LayerLabels, automatic: Change | None) -> None:
        """Begin a new base with the labels as they are now, and how the last automatic ones differ from them."""
        self._guarded(lambda: self._begin_next(labels, automatic))

    def begin_anew(self, labels: LayerLabels, automatic: Change | None) -> None:
        """Go on with labels of another shape or type, which no change can tell."""

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
            Whether something unsaved is in it.
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
        # Unbuffered: what was written is with the system, whatever becomes of this process.
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
                self._base.result()  # changes without a base would tell nothing
            record = frame(kind, payload)
            self._file.write(record)
            self._bytes += len(record)
            self._records += 1
            if self._sync is None or self._sync.done():
                self._sync = self._thread.submit(_flush, self._file)

    def _guarded(self, action: Callable[[], None]) -> None:
        try:
            action()
        except _FAILURES as error:  # painting goes on
            logger.exception("The journal %s ended early", self.folder)
            self._end_file()
            if self._on_error is not None:
                self._on_error(error)


def make_private(folder: Path, *, exist_ok: bool = True) -> None:
    """Make a folder that nobody else on the machine may look into: names and labels of patients are in journals.

    One that is there is closed to others too; systems without such rights are as they are.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=exist_ok)
    with suppress(OSError, NotImplementedError):
        folder.chmod(0o700)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _packed(change: Change | None) -> bytes:
    return pack_change(change) if change is not None else b""


def _flush(file: BinaryIO) -> None:
    with suppress(OSError, ValueError):  # closed by now, which flushes less but loses nothing of a crash
        os.fsync(file.fileno())


# Reading back -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False)
class RecoveredLabels:
    """What a journal tells.

    Parameters
    ----------
    folder : Path
        Of the journal.
    labels : (Z, Y, X) integers
        As they were last.
    automatic : (Z, Y, X) integers
        As the last automatic step alone would have left them: where they differ from `labels`, a hand was at work.
    document : mapping
        As it was told last.
    clean : bytes
        Digest of the labels that were saved last, or that were there at first.
    changed_at : datetime
        When the last record was written.
    """

    folder: Path
    labels: LayerLabels
    automatic: LayerLabels
    document: Mapping[str, Any]
    clean: bytes
    changed_at: datetime

    @property
    def unsaved(self) -> bool:
        """Whether the labels are others than at first, and than those that were saved."""
        return digest_of(self.labels) != self.clean


def recover(folder: Path) -> RecoveredLabels:
    """The last state that a journal tells; what was torn off its end is left out.

    Raises
    ------
    UnreadableFileError
        If no base of it can be read.
    """
    generation, base = _newest_base(folder)
    files = [path for path in sorted(folder.glob(f"{_NUMBERED}{_CHANGES}")) if int(path.name[:6]) >= generation]
    if files and int(files[0].name[:6]) != generation and _newest_base(folder)[0] != generation:
        return recover(folder)  # a newer base took the place of this one and its changes while it was read
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
    """Labels, the automatic ones, the document and the digest of what is clean, as records tell of them."""

    def __init__(self, base: PackedLabels) -> None:
        document = parse_json(base.document)
        self.labels = base.labels
        self.automatic = np.array(base.labels)
        self.document: Mapping[str, Any] = document["layer"]
        self.clean = bytes.fromhex(document["clean"])

    def replay(self, records: Iterable[tuple[bytes, bytes]]) -> bool:
        """Take the records in; whether all of them could be."""
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
