"""Find and open DICOM files: regular files only, never read past their end."""

import re
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import SEEK_CUR, SEEK_END, SEEK_SET, BytesIO
from pathlib import Path
from typing import BinaryIO, Final

from napari_brain_tumor.errors import UnreadableFileError
from napari_brain_tumor.io.formats import DICOM
from napari_brain_tumor.io.regular_file import open_regular

_MOST_FILES: Final = 100_000
_MOST_LOOKED_AT: Final = 400
"""Number of files examined before a folder is taken to contain no DICOM, where a quick answer is needed."""
_DEEPEST: Final = 12
_MAGIC_AT: Final = 128
_META_BYTES: Final = 1024
_DEFLATED: Final = b"1.2.840.10008.1.2.1.99"
_EXPLICIT: Final = b"1.2.840.10008.1.2.1"
_MOST_TIMES_UNPACKED: Final = 32
_FEWEST_READS: Final = 20_000
_BYTES_PER_READ: Final = 64


@dataclass(frozen=True, slots=True)
class DicomFiles:
    """The files below a folder: those that are DICOM or should be, and the others."""

    files: tuple[Path, ...]
    others: tuple[Path, ...]


class BoundedFile:
    """A file that never reads past its end and stops a parser that would not terminate.

    pydicom requests as many bytes as a header declares, which may be four gigabytes in a file of nine kilobytes, and
    creates an object for every item of a sequence.
    """

    def __init__(self, file: BinaryIO, name: str) -> None:
        self._file = file
        self.name = name
        self.size = file.seek(0, SEEK_END)
        file.seek(0)
        self._was_too_short = False
        self._reads_left = _FEWEST_READS + self.size // _BYTES_PER_READ

    @property
    def was_too_short(self) -> bool:
        """Whether more bytes were requested than there are: an element declares a length beyond the end of file."""
        return self._was_too_short

    def read(self, size: int | None = -1) -> bytes:
        """Read the next bytes, fewer at the end of the file."""
        self._reads_left -= 1
        if self._reads_left < 0:
            raise ValueError("it has more parts than a header has")
        left = max(0, self.size - self._file.tell())
        self._was_too_short |= size is not None and 0 < left < size
        return self._file.read(left if size is None or size < 0 else min(size, left))

    def seek(self, offset: int, whence: int = SEEK_SET) -> int:
        """Move the position, but never beyond the end."""
        start = {SEEK_SET: 0, SEEK_CUR: self._file.tell(), SEEK_END: self.size}[whence]
        return self._file.seek(min(max(0, start + offset), self.size))

    def tell(self) -> int:
        """Return the current position."""
        return self._file.tell()


@contextmanager
def open_dicom(path: Path) -> Iterator[BoundedFile]:
    """Open a DICOM file; if it is deflated as a whole, it is decompressed up to a limit based on its size."""
    with open_regular(path) as file:
        start = file.read(_META_BYTES)
        file.seek(0)
        yield BoundedFile(file if _DEFLATED not in start else BytesIO(_unpacked(file.read())), path.name)


def _unpacked(content: bytes) -> bytes:
    # The first element gives the length of the file meta group, which is never compressed.
    end = _MAGIC_AT + 16 + int.from_bytes(content[_MAGIC_AT + 12 : _MAGIC_AT + 16], "little")
    most = _MOST_TIMES_UNPACKED * len(content) + (1 << 20)
    unpacker = zlib.decompressobj(-zlib.MAX_WBITS)
    data = unpacker.decompress(content[end:], most)
    if unpacker.unconsumed_tail:
        raise ValueError(f"it unpacks to more than {_MOST_TIMES_UNPACKED} times its size")
    return content[:end].replace(_DEFLATED, _EXPLICIT.ljust(len(_DEFLATED), b"\0")) + data


def is_dicom(path: Path) -> bool:
    """Whether a regular file is DICOM: by the letters DICM after its preamble, a usual suffix, or a bare data set."""
    if not path.is_file():  # also excludes pipes and devices, from which reading may never end
        return False
    if DICOM.fits(path):
        return True
    try:
        with open_regular(path) as file:
            start = file.read(_MAGIC_AT + 4)
    except (OSError, UnreadableFileError):
        return False
    return start[_MAGIC_AT:] == b"DICM" or (_has_plain_suffix(path) and _is_bare_data_set(start))


def holds_dicom(folder: Path) -> bool:
    """Whether a folder, or one within it, contains DICOM; examines a few hundred files at most."""
    for count, path in enumerate(_walk(folder)):
        if count >= _MOST_LOOKED_AT:
            return False
        if is_dicom(path):
            return True
    return False


def dicom_files(place: Path, *, deepest: int = _DEEPEST) -> DicomFiles:
    """Return the DICOM files below a folder, down to a given depth, sorted by path.

    A file that is not DICOM but is named like the DICOM files beside it is included, as it is presumably a damaged one.

    Raises
    ------
    UnreadableFileError
        If there are more files than an examination can have.
    """
    files: list[Path] = []
    others: list[Path] = []
    for count, path in enumerate(_walk(place, deepest)):
        if count >= _MOST_FILES:
            msg = f"{place} holds more than {_MOST_FILES} files. Open the folder of one examination."
            raise UnreadableFileError(msg)
        (files if is_dicom(path) else others).append(path)
    patterns = {_pattern(path) for path in files}
    damaged = {path for path in others if path.is_file() and _pattern(path) in patterns}
    return DicomFiles(tuple(sorted({*files, *damaged})), tuple(path for path in others if path not in damaged))


def _walk(folder: Path, deepest: int = _DEEPEST) -> Iterator[Path]:
    """Yield every visible entry that is not a folder, following links to folders but visiting each only once."""
    visited: set[tuple[int, int]] = set()
    todo = [(folder, 0)]
    while todo:
        place, depth = todo.pop()
        try:
            about = place.stat()
            entries = sorted(p for p in place.iterdir() if not p.name.startswith("."))
        except OSError as error:
            msg = f"{place} cannot be listed: {error.strerror or error}. Check the permissions."
            raise UnreadableFileError(msg) from error
        if (about.st_dev, about.st_ino) in visited and about.st_ino:
            continue
        visited.add((about.st_dev, about.st_ino))
        folders = []
        for entry in entries:
            if entry.is_dir():
                folders.append(entry)
            else:
                yield entry
        if depth < deepest:
            todo.extend((inner, depth + 1) for inner in reversed(folders))


def _pattern(path: Path) -> tuple[Path, str]:
    return path.parent, re.sub(r"\d+", "#", path.name)


def _has_plain_suffix(path: Path) -> bool:
    """Whether the name has no suffix, or a numeric one, as series without DICOM's preamble often have."""
    return not path.suffix or re.fullmatch(r"\.\d+", path.suffix) is not None


def _is_bare_data_set(start: bytes) -> bool:
    """Whether the bytes begin like a data set without a preamble: group 2 or 8, a small element, and a short value."""
    if len(start) < 16 or start[:2] not in (b"\x08\x00", b"\x02\x00") or start[3] != 0:
        return False
    explicit = start[4:6].isalpha() and start[4:6].isupper()
    return explicit or int.from_bytes(start[4:8], "little") < 1024
