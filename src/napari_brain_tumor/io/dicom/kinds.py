"""Recognise DICOM objects that contain results instead of images: segmentations and contours."""

from pathlib import Path
from typing import Final

from napari_brain_tumor.errors import BrainTumorError
from napari_brain_tumor.io.dicom.files import dicom_files, is_dicom
from napari_brain_tumor.io.dicom.headers import NoImage, header_of

_SEG: Final = "a segmentation"
_RESULTS: Final = (_SEG, "contours")


def is_seg(path: Path) -> bool:
    """Whether a file is a DICOM SEG object."""
    return _kind(path) == _SEG


def holds_results(path: Path) -> bool:
    """Whether a file is a DICOM object that contains segments or contours, and no image."""
    return _kind(path) in _RESULTS


def seg_in(folder: Path) -> Path | None:
    """Return the DICOM SEG object in a folder, if there is exactly one."""
    try:
        objects = [path for path in dicom_files(folder, deepest=0).files if is_seg(path)]
    except BrainTumorError:
        return None
    return objects[0] if len(objects) == 1 else None


def _kind(path: Path) -> str:
    if not is_dicom(path):
        return ""
    header = header_of(path)
    return header.what if isinstance(header, NoImage) else ""
