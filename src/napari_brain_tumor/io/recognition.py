"""Recognise what a path contains from names and headers alone, fast enough for every file dropped onto napari."""

from pathlib import Path
from typing import Literal

from napari_brain_tumor.errors import BrainTumorError, DuplicateRoleError, UnreadableFileError
from napari_brain_tumor.io import dicom, nifti, tiff
from napari_brain_tumor.io.bids import examinations, is_bids
from napari_brain_tumor.io.formats import NIFTI, TIFF
from napari_brain_tumor.io.reading import AnyPath, images_in, is_image, slices_in, visible
from napari_brain_tumor.io.study_folder import (
    dataset_json,
    dataset_roles,
    find_sequences,
    names_segmentation,
    role_of_file,
)


def recognise(path: AnyPath) -> Literal["study", "segmentation"] | None:
    """Return what a path contains, judging by names and headers alone; None if it is not supported. Never raises."""
    place = Path(path)
    try:
        if place.is_dir():
            return _recognise_folder(place)
        return _recognise_file(place) if place.is_file() else None
    except OSError:
        return None


def _recognise_folder(folder: Path) -> Literal["study", "segmentation"] | None:
    if is_bids(folder):
        return "study" if examinations(folder) else None
    try:
        patients = slices_in(folder)
    except UnreadableFileError:
        return "study"  # two files for one slice: accepted here, so that opening it reports the error
    if any(p.images for p in patients):
        return "study"
    if patients:
        return "segmentation"
    try:
        recognised = find_sequences(images_in(folder))
    except DuplicateRoleError:
        # Two files for one role in the folder itself are an error to report on opening; in subfolders, they are cases.
        return "study" if any(p.is_file() and is_image(p) for p in visible(folder)) else None
    if recognised.sequences:
        return "study"
    return "study" if dicom.holds_dicom(folder) else None


def _recognise_file(path: Path) -> Literal["study", "segmentation"] | None:
    path = nifti.header_of_pair(path)
    if TIFF.fits(path):
        match = tiff.find_slices([path])
        return None if not match else "segmentation" if match[0].masks else "study"
    if not is_image(path):
        return "segmentation" if dicom.is_seg(path) else "study" if dicom.is_dicom(path) else None
    if names_segmentation(path) or path.parent.name.lower().startswith("labels"):
        return "segmentation"
    if role_of_file(path, images_in(path.parent)) is not None:
        return "study"
    return "study" if NIFTI.fits(path) and _is_four_d_with_order(path) else None


def _is_four_d_with_order(path: Path) -> bool:
    if dataset_roles(dataset_json(path)) is None:
        return False
    try:
        return len(nifti.read_nifti_header(path).shape) == 4
    except BrainTumorError:
        return False
