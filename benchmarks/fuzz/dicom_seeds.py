"""Small valid DICOM series: plain, compressed in several ways, and as one file of many frames."""

import io
from collections.abc import Callable, Iterator
from typing import Any, Final

import editors
import imagecodecs
import numpy as np
import openers
from cases import Seed
from image_seeds import noise
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.sequence import Sequence
from pydicom.uid import JPEG2000Lossless, JPEGLosslessSV1, JPEGLSLossless, RLELossless

_EXPLICIT: Final = "1.2.840.10008.1.2.1"
_IMPLICIT: Final = "1.2.840.10008.1.2"
_MR: Final = "1.2.840.10008.5.1.4.1.1.4"
_ENHANCED_MR: Final = "1.2.840.10008.5.1.4.1.1.4.1"
_SEGMENTATION: Final = "1.2.840.10008.5.1.4.1.1.66.4"
_SERIES: Final = "1.2.826.0.1.3680043.2.1125.77"
_EDITS: Final = {".dcm": (editors.dicom_element,)}
_SLICES: Final = 6
_ROWS, _COLUMNS = 16, 12

Encode = Callable[[Any], bytes]


def dicom_seeds() -> Iterator[Seed]:
    """Series of single slices in several transfer syntaxes, one slice alone, and a file of many frames."""
    yield _series("explicit", _EXPLICIT)
    yield _series("implicit", _IMPLICIT)
    yield _series("RLE", RLELossless)
    yield _series(
        "JPEG 2000", JPEG2000Lossless, lambda plane: imagecodecs.jpeg2k_encode(plane, level=0, codecformat="j2k")
    )
    yield _series("JPEG-LS", JPEGLSLossless, imagecodecs.jpegls_encode)
    yield _series("JPEG lossless", JPEGLosslessSV1, imagecodecs.ljpeg_encode)
    files = {"one.dcm": _bytes(_slice(0, noise(21, (_ROWS, _COLUMNS), "<u2"), _EXPLICIT, None))}
    yield Seed("DICOM", "one slice", files, openers.scan(""), _EDITS, whole=frozenset(files))
    files = {"frames.dcm": _bytes(_many_frames())}
    yield Seed("DICOM", "many frames", files, openers.scan(""), _EDITS, whole=frozenset(files))
    files = {"seg.dcm": _bytes(_segmentation())}
    yield Seed("DICOM", "segmentation", files, openers.labels("seg.dcm"), _EDITS, whole=frozenset(files))


def _series(name: str, syntax: str, encode: Encode | None = None) -> Seed:
    planes = noise(20, (_SLICES, _ROWS, _COLUMNS), "<u2")
    files = {f"IM{k:03}.dcm": _bytes(_slice(k, plane, syntax, encode)) for k, plane in enumerate(planes)}
    edits = _EDITS if syntax != _IMPLICIT else {}
    return Seed("DICOM", name, files, openers.scan(""), edits, whole=frozenset(files), series=True)


def _slice(k: int, plane: Any, syntax: str, encode: Encode | None) -> Dataset:
    data = _common(_MR, f"{_SERIES}.{k + 1}", syntax)
    data.InstanceNumber = str(k + 1)
    data.ImagePositionPatient = ["-6", "-8", str(5.0 * k)]
    data.ImageOrientationPatient = ["1", "0", "0", "0", "1", "0"]
    data.PixelSpacing = ["1.5", "0.75"]
    data.SliceThickness = "5"
    if encode is not None:
        data.PixelData = encapsulate([encode(plane)])
        data["PixelData"].VR = "OB"
        data["PixelData"].is_undefined_length = True
        return data
    data.PixelData = plane.tobytes()
    data["PixelData"].VR = "OW"
    if syntax == RLELossless:
        data.file_meta.TransferSyntaxUID = _EXPLICIT
        data.compress(RLELossless, generate_instance_uid=False)
    return data


def _many_frames() -> Dataset:
    data = _common(_ENHANCED_MR, f"{_SERIES}.1", _EXPLICIT)
    data.NumberOfFrames = str(_SLICES)
    shared, measures, plane = Dataset(), Dataset(), Dataset()
    measures.PixelSpacing, measures.SliceThickness = ["1.5", "0.75"], "5"
    plane.ImageOrientationPatient = ["1", "0", "0", "0", "1", "0"]
    shared.PixelMeasuresSequence, shared.PlaneOrientationSequence = Sequence([measures]), Sequence([plane])
    data.SharedFunctionalGroupsSequence = Sequence([shared])
    frames = []
    for k in range(_SLICES):
        position, frame = Dataset(), Dataset()
        position.ImagePositionPatient = ["-6", "-8", str(5.0 * k)]
        frame.PlanePositionSequence = Sequence([position])
        frames.append(frame)
    data.PerFrameFunctionalGroupsSequence = Sequence(frames)
    data.PixelData = noise(22, (_SLICES, _ROWS, _COLUMNS), "<u2").tobytes()
    data["PixelData"].VR = "OW"
    return data


def _segmentation() -> Dataset:
    data = _common(_SEGMENTATION, f"{_SERIES}.1", _EXPLICIT)
    data.Modality, data.SegmentationType, data.NumberOfFrames = "SEG", "BINARY", str(_SLICES)
    data.BitsAllocated, data.BitsStored, data.HighBit = 1, 1, 0
    data.SegmentSequence = Sequence([_segment(1, "79654002", "SCT", "Edema"), _segment(2, "C113842", "NCIt", "Lesion")])
    shared, measures, plane = Dataset(), Dataset(), Dataset()
    measures.PixelSpacing, measures.SliceThickness = ["1.5", "0.75"], "5"
    plane.ImageOrientationPatient = ["1", "0", "0", "0", "1", "0"]
    shared.PixelMeasuresSequence, shared.PlaneOrientationSequence = Sequence([measures]), Sequence([plane])
    data.SharedFunctionalGroupsSequence = Sequence([shared])
    frames = []
    for k in range(_SLICES):
        position, named, frame = Dataset(), Dataset(), Dataset()
        position.ImagePositionPatient = ["-6", "-8", str(5.0 * (k // 2))]
        named.ReferencedSegmentNumber = k % 2 + 1
        frame.PlanePositionSequence, frame.SegmentIdentificationSequence = Sequence([position]), Sequence([named])
        frames.append(frame)
    data.PerFrameFunctionalGroupsSequence = Sequence(frames)
    # Of each pair of segments the second marks what the first does not.
    first = noise(23, (_SLICES // 2, _ROWS, _COLUMNS), "<u2") % 2
    bits = np.stack([first, 1 - first], axis=1).ravel().astype(np.uint8)
    data.PixelData = np.packbits(bits, bitorder="little").tobytes()
    data["PixelData"].VR = "OB"
    return data


def _segment(number: int, code: str, scheme: str, meaning: str) -> Dataset:
    item, coded = Dataset(), Dataset()
    coded.CodeValue, coded.CodingSchemeDesignator, coded.CodeMeaning = code, scheme, meaning
    item.SegmentNumber, item.SegmentLabel, item.SegmentAlgorithmType = number, meaning, "MANUAL"
    item.SegmentedPropertyTypeCodeSequence = Sequence([coded])
    return item


def _common(kind: str, instance: str, syntax: str) -> Dataset:
    data = Dataset()
    data.file_meta = FileMetaDataset()
    data.file_meta.MediaStorageSOPClassUID, data.file_meta.MediaStorageSOPInstanceUID = kind, instance
    data.file_meta.TransferSyntaxUID = syntax
    data.SOPClassUID, data.SOPInstanceUID = kind, instance
    data.StudyInstanceUID, data.SeriesInstanceUID = f"{_SERIES}.0", _SERIES
    data.FrameOfReferenceUID = f"{_SERIES}.9"
    data.Modality, data.SeriesDescription, data.PatientID, data.PatientName = "MR", "AX FLAIR", "X1", "X^Y"
    data.StudyDate, data.SeriesNumber, data.EchoTime, data.RepetitionTime = "20200102", "4", "90", "9000"
    data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
    data.Rows, data.Columns = _ROWS, _COLUMNS
    data.BitsAllocated, data.BitsStored, data.HighBit, data.PixelRepresentation = 16, 16, 15, 0
    return data


def _bytes(data: Dataset) -> bytes:
    buffer = io.BytesIO()
    data.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()
