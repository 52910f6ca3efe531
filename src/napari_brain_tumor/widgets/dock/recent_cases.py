"""Cases that were opened last, for the menu of Open."""

from pathlib import Path

from napari.layers import Layer

from napari_brain_tumor.home import home_folder
from napari_brain_tumor.io import recognise
from napari_brain_tumor.plugin.layers import sequence_tag
from napari_brain_tumor.sample import sample_case_folder
from napari_brain_tumor.widgets.recent_paths import recent_paths, remember_path


def recent_cases() -> list[Path]:
    """Folders and files of the cases that were opened last and are still there, the newest first."""
    return recent_paths(_file())


def remember_case(path: Path) -> None:
    """Put a case at the head of the recent ones."""
    remember_path(_file(), path)


def case_folder_of(layer: Layer) -> Path | None:
    """Where a scan was opened from: its folder if that is a case, else its file; None for the sample, or of no file."""
    tag = sequence_tag(layer)
    if tag is None or tag.source is None or sample_case_folder() in tag.source.path.parents:
        return None
    path = tag.source.path
    return path.parent if path.is_file() and recognise(path.parent) == "study" else path


def _file() -> Path:
    return home_folder() / "recent_cases.json"
