"""Open regular files only: reading from a pipe may block for ever, and a device may never end.

Every reader opens its files here, including those that a header refers to, which must lie beside their header.
"""

import os
import re
import stat
from contextlib import ExitStack
from io import BufferedReader
from pathlib import Path
from typing import Final

from napari_brain_tumor.errors import UnreadableFileError

_KINDS: Final = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)
_SEPARATORS: Final = re.compile(r'[/\\:<>"|?*\x00-\x1f]')
"""Characters not allowed in file names on at least one system; they would make a path, a drive or a pattern."""
_WITHOUT_WAITING: Final = os.O_RDONLY | sum(getattr(os, name, 0) for name in ("O_NONBLOCK", "O_CLOEXEC", "O_BINARY"))
_WINDOWS_DEVICE: Final = re.compile(r"(?:con|prn|aux|nul|conin\$|conout\$|com[\d¹²³]|lpt[\d¹²³])\s*(?:\..*)?", re.I)


def open_regular(path: Path) -> BufferedReader:
    """Open a file for reading.

    Raises
    ------
    UnreadableFileError
        If it is missing, may not be read, or is not a regular file.
    """
    try:
        # Checked before opening, which alone can block or have side effects, and after, in case it was replaced.
        _require_regular(path, path.stat())
        descriptor = os.open(path, _WITHOUT_WAITING)
        with ExitStack() as unfit:
            unfit.callback(os.close, descriptor)
            _require_regular(path, os.fstat(descriptor))
            file = os.fdopen(descriptor, "rb")
            unfit.pop_all()
        return file
    except UnreadableFileError:
        raise
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UnreadableFileError(f"{path} cannot be read: {reason}. Check the path and the permissions.") from error


def read_regular(path: Path, limit: int | None = None) -> bytes:
    """Return the contents of a file.

    Parameters
    ----------
    limit : int, optional
        Maximum size in bytes; larger files are refused.

    Raises
    ------
    UnreadableFileError
        As for `open_regular`, or if the file is larger than the limit.
    """
    try:
        with open_regular(path) as file:
            content = file.read() if limit is None else file.read(limit + 1)
    except OSError as error:
        msg = f"{path} cannot be read: {error.strerror or error}. Check the disk and the permissions."
        raise UnreadableFileError(msg) from error
    if limit is not None and len(content) > limit:
        msg = f"{path.name} is larger than {limit} bytes, which no such file needs. Is it the right file?"
        raise UnreadableFileError(msg)
    return content


def is_plain_name(name: str) -> bool:
    """Whether a text is a plain file name on every system: not a path, drive, device or pattern."""
    return bool(name.strip(" .")) and not _SEPARATORS.search(name) and not _WINDOWS_DEVICE.fullmatch(name.strip())


def file_beside(header: Path, name: str) -> Path:
    """Return the voxel file that a header names, which must lie in the header's own folder.

    Parameters
    ----------
    name : str
        Name as written in the header.

    Raises
    ------
    UnreadableFileError
        If the name is a path, a drive, a device, a pattern, the header's own, or a symbolic link out of the folder; or
        if the file does not exist.
    """
    name = name.removeprefix("./")  # written by some programs
    if not is_plain_name(name):
        raise UnreadableFileError(
            f"{header.name} names {name[:100]!r} as the file of its voxels. Only a file that lies in the same folder "
            "is read: put it there and give its plain name in the header."
        )
    place = header.parent / name
    try:
        target = place.resolve(strict=True)
    except (OSError, RuntimeError) as error:
        msg = f"{header.name} names {name[:100]!r} as the file of its voxels, which is not in its folder. Put it there."
        raise UnreadableFileError(msg) from error
    if target == header.resolve():
        msg = f"{header.name} names itself as the file of its voxels. Name the file that holds them."
        raise UnreadableFileError(msg)
    if target.parent != header.parent.resolve():
        msg = f"{name}, the file of voxels of {header.name}, is a link out of the folder. Put the file itself there."
        raise UnreadableFileError(msg)
    return place


def _require_regular(path: Path, status: os.stat_result) -> None:
    if stat.S_ISREG(status.st_mode):
        return
    kind = next((words for is_kind, words in _KINDS if is_kind(status.st_mode)), "not a file")
    raise UnreadableFileError(f"{path} is {kind}, not an ordinary file. Give the file itself.")
