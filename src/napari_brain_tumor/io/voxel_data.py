"""Read voxels as declared by a header; bytes beyond them are discarded, and any checksum is verified."""

import bz2
import gzip
import os
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, Final, Literal, Protocol, TypeVar

import numpy as np

from napari_brain_tumor.errors import UnreadableFileError
from napari_brain_tumor.io.regular_file import open_regular
from napari_brain_tumor.types import Array

Packing = Literal["raw", "gzip", "bzip2", "zlib"]

_STEP: Final = 1 << 22
_MOST_PER_BYTE: Final[dict[Packing, int]] = {"raw": 1, "gzip": 1032, "zlib": 1032}
"""Maximum number of bytes that one byte of a file can expand to; bzip2 has no useful bound."""
_SLACK: Final = 1 << 26
"""Maximum surplus bytes that are decompressed and discarded to reach the checksum (takes tenths of a second)."""


class Stream(Protocol):
    """Source of bytes for reading."""

    def read(self, size: int, /) -> bytes: ...


class _Inflating:
    """Reads a zlib stream to its end, where zlib verifies the checksum (Adler-32)."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        self._file, self._left = file, size
        # Adding 32 to the largest window size makes zlib accept gzip headers as well, as ITK does.
        self._inflate = zlib.decompressobj(zlib.MAX_WBITS | 32)

    def read(self, size: int, /) -> bytes:
        while not self._inflate.eof:
            packed = self._inflate.unconsumed_tail or self._file.read(min(_STEP, self._left))
            if not self._inflate.unconsumed_tail:
                self._left -= len(packed)
            inflated = self._inflate.decompress(packed, size)
            if inflated:
                return inflated
            if not packed:
                raise EOFError("the compressed data end before their checksum")
        return b""


def remaining_bytes(file: BinaryIO) -> int:
    """Return the number of bytes from the current position of an open file to its end."""
    return max(0, os.fstat(file.fileno()).st_size - file.tell())


@contextmanager
def unpacked(file: BinaryIO, packing: Packing, path: Path, size: int | None = None) -> Iterator[Stream]:
    """Yield a stream of a file's decompressed bytes from its current position; damage raises `UnreadableFileError`.

    Parameters
    ----------
    packing : {"raw", "gzip", "bzip2", "zlib"}
    path : Path
        Path for messages.
    size : int, optional
        Size of the compressed data in bytes, if the header states it.
    """
    try:
        if packing == "gzip":
            yield gzip.GzipFile(fileobj=file, mode="rb")
        elif packing == "bzip2":
            yield bz2.BZ2File(file)
        elif packing == "zlib":
            yield _Inflating(file, remaining_bytes(file) if size is None else size)
        else:
            yield file
    except (EOFError, zlib.error, OSError) as error:
        what = "cannot be read" if packing == "raw" else f"is a damaged {packing} file"
        msg = f"{path.name} {what} ({error}): it was cut short or changed in transfer. Copy or download it again."
        raise UnreadableFileError(msg) from error


class _NamesData(Protocol):
    """A header with the path of its voxel file; None if the voxels follow the header."""

    @property
    def data_file(self) -> Path | None: ...


Header = TypeVar("Header", bound=_NamesData)


def read_header_and_voxels(
    path: Path,
    read_header: Callable[[BinaryIO, Path], Header],
    voxels: Callable[[BinaryIO, Header, Path], tuple[Array, tuple[str, ...]]],
) -> tuple[Header, Array, tuple[str, ...]]:
    """Read header and voxels of a file, or of a header and the file beside it; both must be regular files.

    Parameters
    ----------
    read_header : callable
        Takes the open file and its path, and leaves the file where its voxels begin if it contains them.
    voxels : callable
        Takes the open voxel file, the header and the file's path; returns the voxels and notes.
    """
    with open_regular(path) as file:
        header = read_header(file, path)
        if header.data_file is None:
            return header, *voxels(file, header, path)
        with open_regular(header.data_file) as data:
            return header, *voxels(data, header, header.data_file)


def read_voxels(
    file: BinaryIO,
    path: Path,
    packing: Packing,
    dtype: np.dtype[Any],
    shape: tuple[int, ...],
    *,
    skip: int = 0,
    size: int | None = None,
) -> tuple[Array, tuple[str, ...]]:
    """Read the voxels that a header declares.

    Parameters
    ----------
    file : binary file
        Open file, positioned where the data begin.
    path : Path
        Path for messages.
    packing : {"raw", "gzip", "bzip2", "zlib"}
    dtype : numpy dtype
        Data type as stored.
    shape : tuple of int
        Lengths of at least 1, fastest axis first.
    skip : int
        Number of decompressed bytes before the voxels; -1 if the voxels are at the end of the file.
    size : int, optional
        Size of the compressed data in bytes, if the header states it.

    Returns
    -------
    array of `shape`, tuple of str
        Voxels, writable, in Fortran order and native byte order; and notes. Data after the voxels are discarded, with
        a note.

    Raises
    ------
    UnreadableFileError
        If there are fewer bytes than declared, they are damaged or fail their checksum, or they exceed the memory of
        the machine.
    """
    promised = dtype.itemsize
    for side in shape:
        promised *= int(side)  # Python's integers do not overflow
    if skip < 0:
        skip = max(0, remaining_bytes(file) - promised)
    _check_possible(path, packing, promised, skip, remaining_bytes(file))
    with unpacked(file, packing, path, size) as stream:
        if packing == "raw":
            file.seek(skip, os.SEEK_CUR)
            content = _filled(file, promised)
            extra: int | None = remaining_bytes(file)
        else:
            before = _discard(stream, skip)
            content = _grown(stream, promised) if before == skip else bytearray()
            extra = _rest(stream, max(_SLACK, promised)) if len(content) == promised else 0
    if len(content) < promised:
        raise UnreadableFileError(_cut_short(path, promised, len(content)))
    values = np.frombuffer(content, dtype)
    if not dtype.isnative:
        values = values.byteswap(inplace=True).view(dtype.newbyteorder("="))
    return values.reshape(shape, order="F"), _notes_on_rest(path, extra)


def _check_possible(path: Path, packing: Packing, promised: int, skip: int, available: int) -> None:
    most = _MOST_PER_BYTE.get(packing)
    if most is not None and promised + skip > most * available:
        raise UnreadableFileError(_cut_short(path, promised, max(0, most * available - skip), most > 1))
    memory = _installed_memory()
    if memory is not None and promised > memory:
        raise UnreadableFileError(
            f"{path.name} promises {promised / 1e9:.0f} GB of voxels, more than the {memory / 1e9:.0f} GB of memory of "
            "this computer. Is its header correct? Crop or resample the image elsewhere first."
        )


def _installed_memory() -> int | None:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return None  # on Windows, where allocation fails immediately instead


def _cut_short(path: Path, promised: int, present: int, at_most: bool = False) -> str:
    how = "can hold at most" if at_most else "holds"
    return (
        f"{path.name} is cut short: its header promises {promised} bytes of voxels, the file {how} {present}. "
        "Copy or download it again."
    )


def _filled(file: BinaryIO, promised: int) -> bytearray:
    """Read the declared number of bytes into a single buffer."""
    content = bytearray(promised)
    view, filled = memoryview(content), 0
    while filled < promised:
        count = file.readinto(view[filled : filled + (1 << 30)])  # type: ignore[attr-defined]
        if not count:
            break
        filled += count
    view.release()
    del content[filled:]
    return content


def _grown(stream: Stream, promised: int) -> bytearray:
    """Read the declared number of bytes, allocating memory only for bytes that arrive, not for those declared."""
    content = bytearray()
    while len(content) < promised:
        part = stream.read(min(_STEP, promised - len(content)))
        if not part:
            break
        content += part
    return content


def _discard(stream: Stream, count: int) -> int:
    discarded = 0
    while discarded < count:
        part = stream.read(min(_STEP, count - discarded))
        if not part:
            break
        discarded += len(part)
    return discarded


def _rest(stream: Stream, limit: int) -> int | None:
    """Return the number of bytes up to the end, where the checksum is verified; None if it exceeds the limit."""
    count = _discard(stream, limit + 1)
    return count if count <= limit else None


def _notes_on_rest(path: Path, extra: int | None) -> tuple[str, ...]:
    if extra == 0:
        return ()
    how_many = "many bytes" if extra is None else f"{extra} byte{'s'[: extra != 1]}"
    unchecked = ", and its checksum was not reached" if extra is None else ""
    return (
        f"{path.name} holds {how_many} more than its header states{unchecked}: they were not read. Is the header "
        "correct?",
    )
