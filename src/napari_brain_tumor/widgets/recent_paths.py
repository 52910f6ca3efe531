"""Lists of recently opened paths, kept in a file for convenience."""

import json
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

from napari_brain_tumor.errors import SaveError
from napari_brain_tumor.io.atomic import write_text
from napari_brain_tumor.io.json_file import read_json

_COUNT: Final = 8


def recent_paths(file: Path, exists: Callable[[Path], bool] = Path.exists) -> list[Path]:
    """Return the paths in a list that still exist, newest first."""
    try:
        return [Path(entry) for entry in read_json(file) if exists(Path(entry))]
    except (OSError, ValueError, TypeError):
        return []


def remember_path(file: Path, path: Path) -> None:
    """Put a path at the top of a list."""
    newest = path.resolve()
    paths = [newest, *(other for other in recent_paths(file) if other != newest)][:_COUNT]
    with suppress(SaveError):
        write_text(file, json.dumps([str(entry) for entry in paths], indent=2))
