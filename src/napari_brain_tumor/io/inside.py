r"""Check that paths named in a file stay inside their own folder on every operating system.

Data sets, journals, headers and packages come from elsewhere and refer to files. A name that is harmless on one system
may leave the folder on another (`C:/x`, `..\\x`), open a device (`NUL`) or pass through a symbolic link. The text must
therefore be relative on every system, and the resolved path must lie inside the folder; otherwise it is refused before
anything is touched.
"""

import os
import re
from pathlib import Path, PurePosixPath
from typing import Final

from napari_brain_tumor.errors import OutsideFolderError

_DEVICES: Final = frozenset(
    (
        *("con", "prn", "aux", "nul", "conin$", "conout$", "clock$"),
        *(f"{port}{digit}" for port in ("com", "lpt") for digit in "0123456789¹²³"),
    )
)
"""Names reserved for devices on Windows, with any suffix."""
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")


def outside_reason(text: str) -> str:
    """Explain why a text is not a relative path inside a folder on every system; empty if it is one.

    Parameters
    ----------
    text : str
        Path with parts separated by `/`.

    Examples
    --------
    >>> outside_reason("labelsTr/case.nii.gz"), outside_reason("C:/x"), outside_reason("a/../../x")
    ('', "it has a drive or stream, ':'", "it leads up, '..'")
    """
    if not text or text != text.strip():
        return "it is empty or begins or ends with a blank"
    if _CONTROL.search(text):
        return "it has a control character"
    if "\\" in text:
        return "it has a backslash, which Windows takes for a separator"
    if ":" in text:
        return "it has a drive or stream, ':'"
    if text.startswith(("/", "~")) or PurePosixPath(text).is_absolute():
        return "it is absolute"
    return next((reason for part in text.split("/") if (reason := _part_reason(part))), "")


def _part_reason(part: str) -> str:
    if part == "..":
        return "it leads up, '..'"
    if part in ("", "."):
        return "it has an empty part"
    if part.endswith((".", " ")):
        return f"{part!r} ends with a dot or a blank, which Windows drops"
    if part.split(".")[0].rstrip().lower() in _DEVICES:
        return f"{part!r} is a device on Windows"
    return ""


def path_inside(folder: Path, text: str, *, named_by: str, links: bool = False) -> Path:
    """Return the path of a file referred to from a folder, after checking that it lies in it; it need not exist.

    Parameters
    ----------
    folder : Path
        Folder that the path must not leave, neither by its text nor through a symbolic link.
    text : str
        Relative path, parts separated by `/`.
    named_by : str
        The file that refers to it, for the message.
    links : bool
        Whether a symbolic link on the way may lead out of the folder. For scans that are only read, since collections
        are often assembled from links by their owners; the text itself must still stay inside.

    Raises
    ------
    OutsideFolderError
        If it leads outside the folder. Nothing has been read, written or removed.
    """
    reason = outside_reason(text)
    path = folder / text
    if not reason and not links and _leaves(folder, path):
        reason = "a link on the way leads out of the folder"
    if reason:
        raise OutsideFolderError(
            f"{named_by} names the file {text!r}, which is not inside {folder}: {reason}. Nothing was opened or "
            "changed. Correct the name if the file is yours; otherwise do not trust where it came from."
        )
    return path


def refuse_links_outside(folder: Path, paths: tuple[Path, ...] | list[Path]) -> None:
    """Raise `OutsideFolderError` if one of the paths below a folder leads out of it through a symbolic link."""
    for path in paths:
        if _leaves(folder, path):
            raise OutsideFolderError(
                f"{path} is a link that leads out of {folder}. Nothing was opened or changed: copy what it leads to "
                "into the folder, or remove the link."
            )


def _leaves(folder: Path, path: Path) -> bool:
    home, place = os.path.realpath(folder), os.path.realpath(path)
    try:
        return os.path.commonpath((home, place)) != home
    except ValueError:  # different drives
        return True
