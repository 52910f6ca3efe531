"""The headers of DICOM files, read with pydicom up to the pixels, as plain values."""

import math
import os
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, BinaryIO, Final, cast

from napari_brain_tumor.errors import attempted
from napari_brain_tumor.io.dicom.files import BoundedFile, open_dicom
from napari_brain_tumor.io.dicom.frames import FileFacts, Frame, PixelStore

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
"""Files from which the UID of the series was removed are taken as one series, which is then checked as any other."""
_MOST_FRAMES: Final = 20_000
_MOST_PIXELS: Final = 1 << 26
_DATES: Final = (
    ("AcquisitionDate", "acquisition"),
    ("AcquisitionDateTime", "acquisition"),
    ("SeriesDate", "series"),
    ("StudyDate", "study"),
)


@dataclass(frozen=True, slots=True)
class NoImage:
    """A file without slices of a sequence: what it is instead, empty for a DICOMDIR; or the defect of a damaged one."""

    file: Path
    what: str = ""
    defect: str = ""


@dataclass(frozen=True, slots=True)
class Header:
    """A file with slices."""

    facts: FileFacts
    frames: tuple[Frame, ...]


def header_of(path: Path) -> Header | NoImage:
    """The facts of a file and its frames; never raises: what cannot be read is a `NoImage` with its defect."""
    try:
        about = os.stat(path)
    except OSError as error:
        return NoImage(path, defect=error.strerror or str(error))
    return _header_at(path, about.st_mtime_ns, about.st_size)


@lru_cache(maxsize=8192)
def _header_at(path: Path, _modified: int, size: int) -> Header | NoImage:
    if size == 0:
        return NoImage(path, defect="it is empty (0 bytes)")
    with attempted() as reading:  # pydicom raises whatever a ruined header leads to
        return _read(path)
    error = reading.error
    if isinstance(error, OSError):
        return NoImage(path, defect=error.strerror or str(error))
    return NoImage(path, defect=f"its header is damaged ({str(error) or type(error).__name__})")


def _read(path: Path) -> Header | NoImage:
    import pydicom
    from pydicom.config import disable_value_validation

    with open_dicom(path) as stream, disable_value_validation(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what matters of them is in our messages
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
        return Header(facts, tuple(_frames(data, facts, store)) if store is not None else ())


def _syntax(data: Any) -> str:
    uid = _text(getattr(data, "file_meta", None), "TransferSyntaxUID")
    if uid:
        return uid
    implicit, little = data.original_encoding
    return _IMPLICIT if implicit else _NATIVE[1] if little else _EXPLICIT_BIG


# Values -------------------------------------------------------------------------------------------------------------


def _value(data: Any, keyword: str) -> Any:
    with attempted():
        return data.get(keyword) if data is not None else None
    return None  # a value that cannot be understood counts as one that is not there


def _text(data: Any, keyword: str) -> str:
    value = _value(data, keyword)
    return "" if value is None else " ".join(str(value).replace("\0", " ").split())


def _texts(data: Any, keyword: str) -> tuple[str, ...]:
    value = _value(data, keyword)
    several = [value] if isinstance(value, str) else value if isinstance(value, Sequence) else []
    return tuple(str(part).strip().upper() for part in several)


def _floats(data: Any, keyword: str, count: int) -> tuple[float, ...] | None:
    value = _value(data, keyword)
    parts = value if not isinstance(value, str) and hasattr(value, "__len__") else [value]
    try:
        numbers = tuple(float(part) for part in parts)
    except (TypeError, ValueError):
        return None
    return numbers if len(numbers) == count and all(map(math.isfinite, numbers)) else None


def _float(data: Any, *keywords: str) -> float | None:
    for keyword in keywords:
        numbers = _floats(data, keyword, 1)
        if numbers is not None:
            return numbers[0]
    return None


def _positive(data: Any, keyword: str) -> float | None:
    number = _float(data, keyword)
    return number if number is not None and number > 0 else None


def _int(data: Any, keyword: str) -> int | None:
    number = _float(data, keyword)
    return None if number is None or number != int(number) else int(number)


def _item(data: Any, keyword: str) -> Any:
    """The first item of a sequence, or None."""
    value = _value(data, keyword)
    try:
        return value[0] if value else None
    except (TypeError, IndexError, KeyError):
        return None


# A file -------------------------------------------------------------------------------------------------------------


def _why_no_image(path: Path, data: Any) -> NoImage | None:
    # Where the file was cut in the middle of the first, the second still tells it whole.
    kinds = _text(data, "SOPClassUID"), _text(getattr(data, "file_meta", None), "MediaStorageSOPClassUID")
    kind = kinds[0] or kinds[1]
    if kind == _DIRECTORY:
        return NoImage(path)
    modality = _text(data, "Modality").upper()
    what = _NO_IMAGES.get(kind) or _KINDS.get(modality)
    without_rows = _int(data, "Rows") is None and bool(_text(data, "SeriesInstanceUID"))
    if what is None and without_rows and kind and not any(map(_is_kind_of_image, kinds)):
        what = "an object without an image"
    if what is None and (_int(data, "SamplesPerPixel") or 1) != 1:
        what = "a colour picture"
    if what is None and kind.startswith(_SECONDARY) and _value(data, "ImagePositionPatient") is None:
        what = "a screenshot" if _value(data, "PerFrameFunctionalGroupsSequence") is None else None
    return None if what is None else NoImage(path, what)


def _is_kind_of_image(kind: str) -> bool:
    """Whether the standard calls it an image: then a file without rows is cut short, any other is whole."""
    from pydicom.uid import UID

    return "Image" in UID(kind).name


def _facts(path: Path, data: Any) -> FileFacts:
    agent = _text(data, "ContrastBolusAgent")
    coded = _item(data, "ContrastBolusAgentSequence")
    return FileFacts(
        file=path,
        study_uid=_text(data, "StudyInstanceUID"),
        series_uid=_text(data, "SeriesInstanceUID"),
        sop_uid=_text(data, "SOPInstanceUID"),
        modality=_text(data, "Modality").upper(),
        # The protocol's name stands in for a description that was removed with the patient's name.
        description=_text(data, "SeriesDescription") or _text(data, "ProtocolName"),
        series_number=_int(data, "SeriesNumber"),
        study_description=_text(data, "StudyDescription"),
        patient=_text(data, "PatientID"),
        contrast_agent=agent or _text(coded, "CodeMeaning"),
        frame_of_reference=_text(data, "FrameOfReferenceUID"),
        images_in_acquisition=_int(data, "ImagesInAcquisition"),
        dates=tuple((what, date) for keyword, what in _DATES if (date := _text(data, keyword))),
    )


@dataclass(frozen=True, slots=True)
class _PixelElement:
    """Where the value of the pixel data begins and, for native data, its length; what is left of the file."""

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
    """How the pixels are written, and what is wrong with that."""
    if pixels is None:
        return None, "it ends before its pixels, or has none"
    rows, columns = _int(data, "Rows") or 0, _int(data, "Columns") or 0
    allocated = _int(data, "BitsAllocated") or 0
    stored = _int(data, "BitsStored") or allocated
    high = _int(data, "HighBit")
    frames = _int(data, "NumberOfFrames")
    store = PixelStore(
        transfer_syntax=syntax,
        offset=pixels.offset,
        rows=rows,
        columns=columns,
        frames=1 if frames is None else frames,
        bits_allocated=allocated,
        bits_stored=stored,
        high_bit=stored - 1 if high is None else high,
        signed=_int(data, "PixelRepresentation") == 1,
        inverted=_text(data, "PhotometricInterpretation").upper() == "MONOCHROME1",
        big_endian=syntax == _EXPLICIT_BIG,
        words=pixels.words,
        lossy=_text(data, "LossyImageCompression") == "01" or syntax in _LOSSY,
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
    # Less than a row may be padding; more was dropped by a header that tells too few rows or frames.
    if promised <= there < promised + store.frame_bytes // store.rows:
        return ""
    return f"its header promises {promised} bytes of pixels, {max(0, there)} are there"


def frames_of(path: Path, data: Any) -> tuple[Frame, ...]:
    """The frames of a multi-frame object that is not an image, such as a segmentation, from its whole header."""
    store = PixelStore(
        transfer_syntax=_syntax(data),
        offset=0,
        rows=_int(data, "Rows") or 0,
        columns=_int(data, "Columns") or 0,
        frames=_int(data, "NumberOfFrames") or 1,
        bits_allocated=_int(data, "BitsAllocated") or 0,
        bits_stored=_int(data, "BitsStored") or 0,
        high_bit=_int(data, "HighBit") or 0,
        signed=False,
        inverted=False,
        big_endian=False,
        words=False,
        lossy=False,
    )
    return tuple(_frames(data, _facts(path, data), store))


# Frames -------------------------------------------------------------------------------------------------------------


def _frames(data: Any, facts: FileFacts, store: PixelStore) -> Iterator[Frame]:
    groups = _value(data, "PerFrameFunctionalGroupsSequence")
    if not groups:
        plain = _plain_frame(data, facts, store)
        # One place in the header cannot be that of several frames.
        several = replace(plain, position=None) if store.frames > 1 else plain
        yield from (replace(several, index=index) for index in range(store.frames))
        return
    if len(groups) != store.frames:
        msg = f"it has {store.frames} frames and describes {len(groups)}"
        raise ValueError(msg)
    shared = _item(data, "SharedFunctionalGroupsSequence")
    plain = _plain_frame(data, facts, store)
    places = _index_places(data)
    for index, own in enumerate(groups):
        yield _functional_frame(replace(plain, index=index), own, shared, places)


def _plain_frame(data: Any, facts: FileFacts, store: PixelStore) -> Frame:
    day = _text(data, "AcquisitionDate") or _text(data, "ContentDate") or _text(data, "SeriesDate")
    return Frame(
        facts=facts,
        store=store,
        position=_vector(data, "ImagePositionPatient"),
        orientation=_orientation(data),
        pixel_spacing=_spacing(data),
        thickness=_positive(data, "SliceThickness"),
        slice_spacing=_positive(data, "SpacingBetweenSlices"),
        location=_float(data, "SliceLocation"),
        instance=_int(data, "InstanceNumber"),
        image_type=_texts(data, "ImageType"),
        stack=_text(data, "StackID"),
        echo=_int(data, "EchoNumbers"),
        echo_time=_positive(data, "EchoTime"),
        repetition_time=_positive(data, "RepetitionTime"),
        inversion_time=_positive(data, "InversionTime"),
        b_value=_float(data, "DiffusionBValue"),
        gradient=_vector(data, "DiffusionGradientOrientation"),
        temporal=_int(data, "TemporalPositionIdentifier"),
        trigger_time=_float(data, "TriggerTime"),
        acquisition=_int(data, "AcquisitionNumber"),
        acquired=_text(data, "AcquisitionDateTime") or _moment(day, _text(data, "AcquisitionTime")),
        slope=_float(data, "RescaleSlope") or 1.0,
        intercept=_float(data, "RescaleIntercept") or 0.0,
    )


def _moment(day: str, time: str) -> str:
    return f"{day}{time}" if time else ""


def _vector(data: Any, keyword: str) -> tuple[float, float, float] | None:
    numbers = _floats(data, keyword, 3)
    return None if numbers is None else (numbers[0], numbers[1], numbers[2])


def _orientation(data: Any) -> tuple[tuple[float, float, float], tuple[float, float, float]] | None:
    """Directions of a row and of a column; None where they are not two directions at right angles."""
    numbers = _floats(data, "ImageOrientationPatient", 6)
    if numbers is None:
        return None
    row, column = numbers[:3], numbers[3:]
    if abs(math.hypot(*row) - 1) > 0.02 or abs(math.hypot(*column) - 1) > 0.02:
        return None
    if abs(sum(a * b for a, b in zip(row, column, strict=True))) > 0.02:
        return None
    return (row[0], row[1], row[2]), (column[0], column[1], column[2])


def _spacing(data: Any) -> tuple[float, float] | None:
    """Distance of neighbouring rows, and of neighbouring columns."""
    numbers = _floats(data, "PixelSpacing", 2)
    return (numbers[0], numbers[1]) if numbers is not None and min(numbers) > 0 else None


def _index_places(data: Any) -> tuple[int, ...]:
    """Places of the dimension indices that do not only count the slices along a stack."""
    from pydicom.datadict import tag_for_keyword

    along = {tag_for_keyword(k) for k in ("InStackPositionNumber", "ImagePositionPatient", "StackID")}
    dimensions = _value(data, "DimensionIndexSequence") or ()
    return tuple(at for at, entry in enumerate(dimensions) if _value(entry, "DimensionIndexPointer") not in along)


def _functional_frame(plain: Frame, own: Any, shared: Any, places: tuple[int, ...]) -> Frame:
    def group(keyword: str) -> Any:
        inner = _item(own, keyword)
        return inner if inner is not None else _item(shared, keyword)

    content, echo = _item(own, "FrameContentSequence"), group("MREchoSequence")
    timing, diffusion = group("MRTimingAndRelatedParametersSequence"), group("MRDiffusionSequence")
    measures, values = group("PixelMeasuresSequence"), group("PixelValueTransformationSequence")
    frame_type = _texts(group("MRImageFrameTypeSequence"), "FrameType")
    numbers = _value(content, "DimensionIndexValues")
    listed = list(numbers) if isinstance(numbers, Sequence) else []
    return replace(
        plain,
        position=_vector(group("PlanePositionSequence"), "ImagePositionPatient"),
        orientation=_orientation(group("PlaneOrientationSequence")),
        pixel_spacing=_spacing(measures),
        thickness=_positive(measures, "SliceThickness"),
        slice_spacing=_positive(measures, "SpacingBetweenSlices"),
        image_type=frame_type or plain.image_type,
        stack=_text(content, "StackID"),
        echo_time=_positive(echo, "EffectiveEchoTime") or plain.echo_time,
        repetition_time=_positive(timing, "RepetitionTime") or plain.repetition_time,
        inversion_time=_inversion(group("MRModifierSequence")) or plain.inversion_time,
        b_value=_float(diffusion, "DiffusionBValue"),
        gradient=_vector(_item(diffusion, "DiffusionGradientDirectionSequence"), "DiffusionGradientOrientation"),
        temporal=_int(content, "TemporalPositionIndex"),
        acquisition=_int(content, "FrameAcquisitionNumber"),
        acquired=_text(content, "FrameAcquisitionDateTime") or plain.acquired,
        other_indices=tuple(int(listed[at]) for at in places if at < len(listed)),
        slope=_float(values, "RescaleSlope") or plain.slope,
        intercept=_first(_float(values, "RescaleIntercept"), plain.intercept),
    )


def _first(value: float | None, otherwise: float) -> float:
    return otherwise if value is None else value


def _inversion(modifier: Any) -> float | None:
    value = _value(modifier, "InversionTimes")
    first = value[0] if isinstance(value, Sequence) and not isinstance(value, str) and value else value
    try:
        return float(first) if first else None
    except (TypeError, ValueError):
        return None
