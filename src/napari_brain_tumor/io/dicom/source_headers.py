"""Headers of the images that a DICOM object refers to, as the object needs them: whole, in order, of one geometry."""

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
"""What every object has, though it may be empty; anonymised headers often lack it."""
_SHARED: Final = ("PlaneOrientationSequence", "PixelMeasuresSequence")


def complete_header(path: Path) -> Any:
    """The header of a file as a pydicom dataset, without pixels, with what every object has."""
    import pydicom

    with open_dicom(path) as stream, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of values that are not quite as they should be in somebody's images
        data = pydicom.dcmread(cast("BinaryIO", stream), stop_before_pixels=True, force=True)
        for keyword in _MAY_BE_ABSENT:
            if keyword not in data:
                setattr(data, keyword, "")
    return data


def slice_spacing(reference: Reference) -> float | None:
    """Distance of neighbouring slices in mm; None for one slice."""
    return reference.stack.step if len(reference.stack.frames) > 1 else None


def source_headers(reference: Reference) -> list[Any]:
    """A dataset for each slice; for multi-frame files a single one, whose frames are the slices in order.

    All have the orientation and spacing of the first slice, as the grid has them, since headers round.
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
    """Thickness and spacing of slices; a spacing that contradicts the positions must not be copied."""
    spacing = slice_spacing(reference)
    if spacing is not None:
        (item.SpacingBetweenSlices,) = _decimals([spacing])
    elif "SpacingBetweenSlices" in item:
        del item.SpacingBetweenSlices
    if not item.get("SliceThickness"):
        (item.SliceThickness,) = _decimals([reference.stack.frames[0].thickness or spacing or 1])


def _decimals(values: Iterable[float]) -> list[str]:
    """Numbers as DICOM's decimal strings, which have 16 characters at most; headers do not always keep to that."""
    from pydicom.valuerep import format_number_as_ds

    return [format_number_as_ds(float(value)) for value in values]


def _joined(reference: Reference, frames: Sequence[Frame]) -> Any:
    """One multi-frame header whose frames are the slices in order, whatever files and frames they are."""
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
