"""Complete, ordered and consistent headers of the source images that a DICOM object refers to."""

import warnings
from collections.abc import Iterable, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any, BinaryIO, Final, cast

from napari_brain_tumor.io.dicom.files import open_dicom
from napari_brain_tumor.io.dicom.frames import Frame
from napari_brain_tumor.io.dicom.reference import Reference

_MAY_BE_ABSENT: Final = (
    "PatientName", "PatientID", "PatientBirthDate", "PatientSex", "AccessionNumber", "StudyID", "StudyDate",
    "StudyTime", "ReferringPhysicianName",
)  # fmt: skip
"""Attributes that every object must have, if only empty; anonymised headers often lack them."""
_SHARED: Final = ("PlaneOrientationSequence", "PixelMeasuresSequence")


def complete_header(path: Path) -> Any:
    """Return the header of a file as a pydicom dataset, without pixels, with all mandatory attributes."""
    import pydicom

    with open_dicom(path) as stream, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about slightly invalid values in the source images
        data = pydicom.dcmread(cast("BinaryIO", stream), stop_before_pixels=True, force=True)
        for keyword in _MAY_BE_ABSENT:
            if keyword not in data:
                setattr(data, keyword, "")
    return data


def slice_spacing(reference: Reference) -> float | None:
    """Return the distance between adjacent slices in mm; None for a single slice."""
    return reference.stack.step if len(reference.stack.frames) > 1 else None


def source_headers(reference: Reference) -> list[Any]:
    """Return a dataset for each slice or, for multi-frame files, a single one with the slices in order as frames.

    All have the orientation and spacing of the first slice, as in the grid, since values in the headers are rounded.
    """
    frames = reference.stack.frames
    if any(frame.store.frames > 1 for frame in frames) or _is_enhanced(frames[0]):
        return [_joined(reference, frames)]
    return [_plain(reference, frame) for frame in frames]


def _is_enhanced(frame: Frame) -> bool:
    return "PerFrameFunctionalGroupsSequence" in complete_header(frame.facts.file)


def _plain(reference: Reference, frame: Frame) -> Any:
    data = complete_header(frame.facts.file)
    first = reference.stack.frames[0]
    assert first.orientation is not None
    assert first.pixel_spacing is not None
    data.ImageOrientationPatient = _decimals(value for direction in first.orientation for value in direction)
    data.PixelSpacing = _decimals(first.pixel_spacing)
    _set_thickness(data, reference)
    return data


def _set_thickness(item: Any, reference: Reference) -> None:
    """Set thickness and spacing of slices; a spacing that contradicts the positions must not be copied."""
    spacing = slice_spacing(reference)
    if spacing is not None:
        (item.SpacingBetweenSlices,) = _decimals([spacing])
    elif "SpacingBetweenSlices" in item:
        del item.SpacingBetweenSlices
    if not item.get("SliceThickness"):
        (item.SliceThickness,) = _decimals([reference.stack.frames[0].thickness or spacing or 1])


def _decimals(values: Iterable[float]) -> list[str]:
    """Format numbers as DICOM decimal strings, which have at most 16 characters; source headers may exceed that."""
    from pydicom.valuerep import format_number_as_ds

    return [format_number_as_ds(float(value)) for value in values]


def _joined(reference: Reference, frames: Sequence[Frame]) -> Any:
    """Return one multi-frame header whose frames are the slices in order, whichever files and frames they come from."""
    from pydicom.dataset import Dataset

    headers = {path: complete_header(path) for path in dict.fromkeys(frame.facts.file for frame in frames)}
    first = frames[0]
    data = Dataset()
    data.update(headers[first.facts.file])
    shared, groups = _shared_groups(data), []
    for frame in frames:
        own = deepcopy(headers[frame.facts.file].PerFrameFunctionalGroupsSequence[frame.index])
        for keyword in _SHARED:
            if keyword in own:
                delattr(own, keyword)
        place = Dataset()
        assert frame.position is not None
        place.ImagePositionPatient = _decimals(frame.position)
        own.PlanePositionSequence = [place]
        groups.append(own)
    assert first.orientation is not None
    assert first.pixel_spacing is not None
    plane, measures = Dataset(), Dataset()
    plane.ImageOrientationPatient = _decimals(value for direction in first.orientation for value in direction)
    measures.PixelSpacing = _decimals(first.pixel_spacing)
    _set_thickness(measures, reference)
    shared.PlaneOrientationSequence, shared.PixelMeasuresSequence = [plane], [measures]
    data.SharedFunctionalGroupsSequence = [shared]
    data.PerFrameFunctionalGroupsSequence = groups
    data.NumberOfFrames = len(frames)
    return data


def _shared_groups(data: Any) -> Any:
    from pydicom.dataset import Dataset

    groups = data.get("SharedFunctionalGroupsSequence")
    return groups[0] if groups else Dataset()
