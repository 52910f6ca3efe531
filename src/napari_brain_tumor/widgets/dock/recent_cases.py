"""Cases that were opened last, for the menu of Open."""

import json
from contextlib import suppress
from pathlib import Path
from typing import Final

from napari.layers import Layer

from napari_brain_tumor.errors import SaveError
from napari_brain_tumor.home import home_folder
from napari_brain_tumor.io import recognise
from napari_brain_tumor.io.atomic import write_text
from napari_brain_tumor.io.json_file import read_json
from napari_brain_tumor.plugin.layers import KEY, SequenceTag
from napari_brain_tumor.sample import sample_case_folder

_COUNT: Final = 8


def recent_cases() -> list[Path]:
    """Folders and files of the cases that were opened last and are still there, the newest first."""
    try:
        return [Path(entry) for entry in read_json(_file()) if Path(entry).exists()]
    except (OSError, ValueError, TypeError):
        return []  # a convenience: without it the case is chosen again


def remember_case(path: Path) -> None:
    """Put a case at the head of the recent ones."""
    place = path.resolve()
    recent = [place, *(other for other in recent_cases() if other != place)][:_COUNT]
    with suppress(SaveError):
        write_text(_file(), json.dumps([str(entry) for entry in recent], indent=2))


def case_folder_of(layer: Layer) -> Path | None:
    """Where a scan was opened from: its folder if that is a case, else its file; None for the sample, or of no file."""
    tag = layer.metadata.get(KEY)
    if not isinstance(tag, SequenceTag) or tag.source is None or sample_case_folder() in tag.source.path.parents:
        return None
    path = tag.source.path
    return path.parent if path.is_file() and recognise(path.parent) == "study" else path


def _file() -> Path:
    return home_folder() / "recent_cases.json"
