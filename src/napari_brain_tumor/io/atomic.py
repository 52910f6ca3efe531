"""Write a file whole or not at all."""

import os
import uuid
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from napari_brain_tumor.errors import SaveError

__all__ = ["flush_to_disk", "write_atomically"]


def write_atomically(path: Path, write: Callable[[Path], Any], check: Callable[[Path], None]) -> None:
    """Write to a temporary file beside `path`, check it, and only then give it its name.

    Parameters
    ----------
    path : Path
        The file to write; an earlier one stays as it was until the new one is proven.
    write : callable
        Writes the temporary file, whose name has the same suffix.
    check : callable
        Re-opens it and raises `SaveError` if it is not what was meant.

    Raises
    ------
    SaveError
        If any step fails; nothing half-written is left.
    """
    # The suffix decides the format for most libraries, so it stays at the end.
    temporary = path.with_name(f".{uuid.uuid4().hex[:12]}.{path.name}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write(temporary)
        flush_to_disk(temporary)
        check(temporary)
        os.replace(temporary, path)
        flush_to_disk(path.parent)
    except Exception as error:
        # Whatever a library raises while it writes or reads back, to the user it means one thing.
        reason = getattr(error, "strerror", None) or error
        msg = f"{path} was not saved: {reason}. Nothing was changed; choose another place or free some space."
        raise SaveError(msg) from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def flush_to_disk(path: Path) -> None:
    """Have the system write a file, or the entries of a folder, to the disk now; folders only where it can."""
    if path.is_dir() and os.name == "nt":
        return
    handle = os.open(path, os.O_RDONLY if os.name != "nt" else os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
