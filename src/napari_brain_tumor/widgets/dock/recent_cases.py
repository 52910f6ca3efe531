"""Recently opened cases, for the Open menu."""

from pathlib import Path

from napari.layers import Layer

from napari_brain_tumor.home import home_folder
from napari_brain_tumor.io import recognise
from napari_brain_tumor.plugin.layers import sequence_tag
from napari_brain_tumor.sample import sample_case_folder
from napari_brain_tumor.widgets.recent_paths import recent_paths, remember_path


def recent_cases() -> list[Path]:
    """Return the recently opened folders and files that still exist, newest first."""
    return recent_paths(_file())


def remember_case(path: Path) -> None:
    """Put a case at the top of the recent ones."""
    remember_path(_file(), path)


def case_folder_of(layer: Layer) -> Path | None:
    """Return the case folder of a scan, or else its file; None for the sample data or a scan without a file."""
    tag = sequence_tag(layer)
    if tag is None or tag.source is None or sample_case_folder() in tag.source.path.parents:
        return None
    path = tag.source.path
    return path.parent if path.is_file() and recognise(path.parent) == "study" else path


def _file() -> Path:
    return home_folder() / "recent_cases.json"
