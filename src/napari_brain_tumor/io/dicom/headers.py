"""Read the headers of DICOM files with pydicom, up to the pixels, as plain values."""

import os
import warnings
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, BinaryIO, Final, cast

from napari_brain_tumor.errors import attempted
from napari_brain_tumor.io.dicom.files import BoundedFile, open_dicom
from napari_brain_tumor.io.dicom.frames import FileFacts, Frame, PixelStore
from napari_brain_tumor.io.dicom.header_frames import frames_in
from napari_brain_tumor.io.dicom.values import int_of, item_of, text_of, value_of

_MOST_FRAMES: Final = 20_000

_KEYWORDS: Final = (
    "ImageType SOPClassUID SOPInstanceUID StudyDate SeriesDate AcquisitionDate ContentDate AcquisitionDateTime "
    "StudyTime SeriesTime AcquisitionTime Modality StudyDescription SeriesDescription PatientID ContrastBolusAgent "
    "ContrastBolusAgentSequence ProtocolName SliceThickness RepetitionTime EchoTime InversionTime EchoNumbers "
    "SpacingBetweenSlices TriggerTime DiffusionBValue DiffusionGradientOrientation StudyInstanceUID SeriesInstanceUID "
    "SeriesNumber AcquisitionNumber InstanceNumber ImagePositionPatient ImageOrientationPatient FrameOfReferenceUID "
    "TemporalPositionIdentifier ImagesInAcquisition SliceLocation StackID DimensionIndexSequence SamplesPerPixel "
    "PhotometricInterpretation NumberOfFrames Rows Columns PixelSpacing BitsAllocated BitsStored HighBit "
    "PixelRepresentation RescaleIntercept RescaleSlope LossyImageCompression SharedFunctionalGroupsSequence "
    "PerFrameFunctionalGroupsSequence"
)
_TAGS: Final = tuple(_KEYWORDS.split())
_EXPLICIT_BIG: Final = "1.2.840.10008.1.2.2"
_IMPLICIT: Final = "1.2.840.10008.1.2"
_NATIVE: Final = (_IMPLICIT, "1.2.840.10008.1.2.1", _EXPLICIT_BIG)
_LOSSY: Final = ("1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.51", "1.2.840.10008.1.2.4.81")
_DIRECTORY: Final = "1.2.840.10008.1.3.10"
_NO_IMAGES: Final = {
    "1.2.840.10008.5.1.4.1.1.66.4": "a segmentation",
    "1.2.840.10008.5.1.4.1.1.66.7": "a segmentation",
    "1.2.840.10008.5.1.4.1.1.30": "a parametric map",
}
_KINDS: Final = {"SR": "a report", "SEG": "a segmentation", "RTSTRUCT": "contours", "PR": "a display setting"}
_SECONDARY: Final = "1.2.840.10008.5.1.4.1.1.7"
_NO_UID: Final = "without UID"
"""Files whose series UID was removed are treated as one series, which is then checked like any other."""
_MOST_PIXELS: Final = 1 << 26
_DATES: Final = (
    ("AcquisitionDate", "acquisition"),
    ("AcquisitionDateTime", "acquisition"),
    ("SeriesDate", "series"),
    ("StudyDate", "study"),
)


@dataclass(frozen=True, slots=True)
class NoImage:
    """A file without image slices: what it is instead (empty for a DICOMDIR), or the defect of a damaged file."""

    file: Path
    what: str = ""
    defect: str = ""


@dataclass(frozen=True, slots=True)
class Header:
    """A file with slices."""

    facts: FileFacts
    frames: tuple[Frame, ...]


def header_of(path: Path) -> Header | NoImage:
    """Read a file's facts and frames; never raises, but returns a `NoImage` with the defect if it cannot be read."""
    try:
        about = os.stat(path)
    except OSError as error:
        return NoImage(path, defect=error.strerror or str(error))
    return _header_at(path, about.st_mtime_ns, about.st_size)


@lru_cache(maxsize=8192)
def _header_at(path: Path, _modified: int, size: int) -> Header | NoImage:
    if size == 0:
        return NoImage(path, defect="it is empty (0 bytes)")
    with attempted() as reading:  # pydicom can raise any exception for a damaged header
        return _read(path)
    error = reading.error
    if isinstance(error, OSError):
        return NoImage(path, defect=error.strerror or str(error))
    return NoImage(path, defect=f"its header is damaged ({str(error) or type(error).__name__})")


def _read(path: Path) -> Header | NoImage:
    import pydicom
    from pydicom.config import disable_value_validation

    with open_dicom(path) as stream, disable_value_validation(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # relevant problems are reported in our own messages
        data = pydicom.dcmread(cast("BinaryIO", stream), stop_before_pixels=True, force=True, specific_tags=list(_TAGS))
        syntax = _syntax(data)
        no_image = _why_no_image(path, data)
        if no_image is not None:
            return no_image
        facts, pixels = _facts(path, data), _pixel_element(stream, syntax)
        if not facts.series_uid and pixels is None:
            return NoImage(path, defect="its header ends before it names its series")
        store, defect = _store(data, syntax, pixels)
        facts = replace(facts, series_uid=facts.series_uid or _NO_UID, defect=defect)
        return Header(facts, tuple(frames_in(data, facts, store)) if store is not None else ())


def _syntax(data: Any) -> str:
    uid = text_of(getattr(data, "file_meta", None), "TransferSyntaxUID")
    if uid:
        return uid
    implicit, little = data.original_encoding
    return _IMPLICIT if implicit else _NATIVE[1] if little else _EXPLICIT_BIG


def _why_no_image(path: Path, data: Any) -> NoImage | None:
    # If the file was truncated within the first of these, the second is still complete.
    kinds = text_of(data, "SOPClassUID"), text_of(getattr(data, "file_meta", None), "MediaStorageSOPClassUID")
    kind = kinds[0] or kinds[1]
    if kind == _DIRECTORY:
        return NoImage(path)
    modality = text_of(data, "Modality").upper()
    what = _NO_IMAGES.get(kind) or _KINDS.get(modality)
    without_rows = int_of(data, "Rows") is None and bool(text_of(data, "SeriesInstanceUID"))
    if what is None and without_rows and kind and not any(map(_is_kind_of_image, kinds)):
        what = "an object without an image"
    if what is None and (int_of(data, "SamplesPerPixel") or 1) != 1:
        what = "a colour picture"
    if what is None and kind.startswith(_SECONDARY) and value_of(data, "ImagePositionPatient") is None:
        what = "a screenshot" if value_of(data, "PerFrameFunctionalGroupsSequence") is None else None
    return None if what is None else NoImage(path, what)


def _is_kind_of_image(kind: str) -> bool:
    """Whether the standard calls it an image; an image file without rows is truncated, any other file is complete."""
    from pydicom.uid import UID

    return "Image" in UID(kind).name


def _facts(path: Path, data: Any) -> FileFacts:
    agent = text_of(data, "ContrastBolusAgent")
    coded = item_of(data, "ContrastBolusAgentSequence")
    return FileFacts(
        file=path,
        study_uid=text_of(data, "StudyInstanceUID"),
        series_uid=text_of(data, "SeriesInstanceUID"),
        sop_uid=text_of(data, "SOPInstanceUID"),
        modality=text_of(data, "Modality").upper(),
        # The protocol name replaces a description that was removed with the patient's name.
        description=text_of(data, "SeriesDescription") or text_of(data, "ProtocolName"),
        series_number=int_of(data, "SeriesNumber"),
        study_description=text_of(data, "StudyDescription"),
        patient=text_of(data, "PatientID"),
        contrast_agent=agent or text_of(coded, "CodeMeaning"),
        frame_of_reference=text_of(data, "FrameOfReferenceUID"),
        images_in_acquisition=int_of(data, "ImagesInAcquisition"),
        dates=tuple((what, date) for keyword, what in _DATES if (date := text_of(data, keyword))),
    )


@dataclass(frozen=True, slots=True)
class _PixelElement:
    """Start of the pixel data's value and, for native data, its length; and the bytes left in the file."""

    offset: int
    length: int | None
    left: int
    words: bool


def _pixel_element(stream: BoundedFile, syntax: str) -> _PixelElement | None:
    order: Any = "big" if syntax == _EXPLICIT_BIG else "little"
    start = stream.read(8)
    if len(start) < 8 or start[:4] != (b"\x7f\xe0\x00\x10" if order == "big" else b"\xe0\x7f\x10\x00"):
        return None
    explicit = start[4:6].isalpha() and start[4:6].isupper()
    length = int.from_bytes(stream.read(4) if explicit else start[4:], order)
    offset = stream.tell()
    words = start[4:6] == b"OW" or not explicit
    return _PixelElement(offset, None if length == 0xFFFFFFFF else length, stream.size - offset, words)


def _store(data: Any, syntax: str, pixels: _PixelElement | None) -> tuple[PixelStore | None, str]:
    """Return how the pixels are stored, and what is wrong with them."""
    if pixels is None:
        return None, "it ends before its pixels, or has none"
    rows, columns = int_of(data, "Rows") or 0, int_of(data, "Columns") or 0
    allocated = int_of(data, "BitsAllocated") or 0
    stored = int_of(data, "BitsStored") or allocated
    high = int_of(data, "HighBit")
    frames = int_of(data, "NumberOfFrames")
    store = PixelStore(
        transfer_syntax=syntax,
        offset=pixels.offset,
        rows=rows,
        columns=columns,
        frames=1 if frames is None else frames,
        bits_allocated=allocated,
        bits_stored=stored,
        high_bit=stored - 1 if high is None else high,
        signed=int_of(data, "PixelRepresentation") == 1,
        inverted=text_of(data, "PhotometricInterpretation").upper() == "MONOCHROME1",
        big_endian=syntax == _EXPLICIT_BIG,
        words=pixels.words,
        lossy=text_of(data, "LossyImageCompression") == "01" or syntax in _LOSSY,
    )
    defect = _defect(store) or (_wrong_length(store, pixels) if syntax in _NATIVE else "")
    return (None if defect else store), defect


def _defect(store: PixelStore) -> str:
    if not (0 < store.rows <= 65535 and 0 < store.columns <= 65535 and store.rows * store.columns <= _MOST_PIXELS):
        return f"its header states {store.rows} rows of {store.columns} pixels"
    if not 0 < store.frames <= _MOST_FRAMES:
        return f"its header states {store.frames} frames"
    bits = store.bits_allocated, store.bits_stored, store.high_bit
    if store.bits_allocated not in (8, 16, 32) or not 0 < store.bits_stored <= store.high_bit + 1 <= bits[0]:
        return f"its header states pixels of {bits[0]} bits, {bits[1]} of them used, up to bit {bits[2]}"
    return ""


def _wrong_length(store: PixelStore, pixels: _PixelElement) -> str:
    promised = store.frame_bytes * store.frames
    there = pixels.left if pixels.length is None else min(pixels.left, pixels.length)
    # An excess of less than a row may be padding; more means that the header declares too few rows or frames.
    if promised <= there < promised + store.frame_bytes // store.rows:
        return ""
    return f"its header promises {promised} bytes of pixels, {max(0, there)} are there"


def frames_of(path: Path, data: Any) -> tuple[Frame, ...]:
    """Return the frames of a multi-frame object that is not an image, such as a segmentation, from its full header."""
    store = PixelStore(
        transfer_syntax=_syntax(data),
        offset=0,
        rows=int_of(data, "Rows") or 0,
        columns=int_of(data, "Columns") or 0,
        frames=int_of(data, "NumberOfFrames") or 1,
        bits_allocated=int_of(data, "BitsAllocated") or 0,
        bits_stored=int_of(data, "BitsStored") or 0,
        high_bit=int_of(data, "HighBit") or 0,
        signed=False,
        inverted=False,
        big_endian=False,
        words=False,
        lossy=False,
    )
    return tuple(frames_in(data, _facts(path, data), store))
