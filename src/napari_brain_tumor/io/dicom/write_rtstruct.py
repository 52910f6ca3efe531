"""Write segmentations as DICOM RT structure sets: closed contours of each region, on the slices of the source."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import numpy as np

from napari_brain_tumor import __version__
from napari_brain_tumor.errors import SaveError
from napari_brain_tumor.io.atomic import Part
from napari_brain_tumor.io.dicom import concepts
from napari_brain_tumor.io.dicom.contours import closed_contours
from napari_brain_tumor.io.dicom.frames import Frame
from napari_brain_tumor.io.dicom.reference import Reference
from napari_brain_tumor.io.dicom.source_headers import complete_header
from napari_brain_tumor.io.dicom.write_seg import MANUFACTURER, NOTICE, reference_of, series_number
from napari_brain_tumor.io.meaning import Meaning
from napari_brain_tumor.io.origin import Origin, origin_of, record_of
from napari_brain_tumor.io.output import Output, SaveOptions, regions_to_save
from napari_brain_tumor.io.write_nifti import require
from napari_brain_tumor.label_schemas import SCHEMAS
from napari_brain_tumor.labels import CLASS_COLORS, REGIONS, Region
from napari_brain_tumor.study import Segmentation
from napari_brain_tumor.types import Float64Array

_RTSTRUCT: Final = "1.2.840.10008.5.1.4.1.1.481.3"
_STUDY_COMPONENT: Final = "1.2.840.10008.3.1.2.3.1"
_DECIMALS: Final = 4
"""Decimals of coordinates in mm; a decimal string has at most 16 characters."""
_OF_SOURCE: Final = (
    "SpecificCharacterSet", "StudyInstanceUID", "StudyDate", "StudyTime", "StudyID", "StudyDescription",
    "AccessionNumber", "ReferringPhysicianName", "PatientName", "PatientID", "PatientBirthDate", "PatientSex",
    "PatientAge", "PatientSize", "PatientWeight", "PatientIdentityRemoved", "DeidentificationMethod",
    "DeidentificationMethodCodeSequence", "FrameOfReferenceUID",
)  # fmt: skip

Contours = dict[Region, list[tuple[int, Float64Array]]]
"""For each region, the slice index and points (N, 3) of each contour, in LPS millimetres."""


def rtstruct_output(segmentation: Segmentation, target: Path, options: SaveOptions) -> Output:
    """Return the nested regions as a DICOM RT structure set.

    Raises
    ------
    SourceSeriesError
        In the same cases as for DICOM segmentations.
    SaveError
        If there is nothing to outline.
    """
    reference = reference_of(segmentation, record_of(segmentation), options)
    contours = _contours_of(reference, regions_to_save(segmentation, options))
    if not contours:
        missing = ", ".join(options.regions or segmentation.known_regions)
        raise SaveError(f"{target.name} was not saved: the labels of {segmentation.name} contain no {missing}.")
    data = _dataset(reference, contours, origin_of(segmentation))
    part = Part(
        target,
        lambda temporary: data.save_as(temporary, enforce_file_format=True),
        lambda temporary: _check(temporary, contours),
    )
    schema = SCHEMAS["BraTS2024-post-treatment"] if (segmentation.data == 4).any() else SCHEMAS["MSD"]
    return Output([part], target, Meaning.of(segmentation, schema), target, {"contours": list(contours)})


def _contours_of(reference: Reference, regions: Sequence[Region]) -> Contours:
    contours: Contours = {}
    for region in regions:
        mask = np.isin(reference.labels, REGIONS[region])
        curves = [
            (k, _in_world(reference, k, curve))
            for k in np.flatnonzero(mask.any(axis=(0, 1))).tolist()
            for curve in closed_contours(mask[:, :, k])
        ]
        if curves:
            contours[region] = curves
    return contours


def _in_world(reference: Reference, number: int, curve: Float64Array) -> Float64Array:
    """Convert points `(N, 2)` of columns and rows in a slice to `(N, 3)` millimetres, exactly in its image plane."""
    frame, first = reference.stack.frames[number], reference.stack.frames[0]
    assert frame.position is not None
    assert first.orientation is not None
    assert first.pixel_spacing is not None
    along_row, along_column = (np.asarray(direction) for direction in first.orientation)
    rows, columns = first.pixel_spacing
    points: Float64Array = (
        np.asarray(frame.position) + curve[:, :1] * columns * along_row + curve[:, 1:] * rows * along_column
    )
    return points


# The object ---------------------------------------------------------------------------------------------------------


def _dataset(reference: Reference, contours: Contours, origin: Origin) -> Any:
    from pydicom.dataset import FileDataset, FileMetaDataset
    from pydicom.uid import UID, ExplicitVRLittleEndian, generate_uid

    source = complete_header(reference.stack.frames[0].facts.file)
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = UID(_RTSTRUCT), generate_uid()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data = FileDataset("", {}, file_meta=meta, preamble=bytes(128))
    for keyword in _OF_SOURCE:
        if keyword in source:
            data[keyword] = source[keyword]
    data.SOPClassUID, data.SOPInstanceUID = _RTSTRUCT, meta.MediaStorageSOPInstanceUID
    now = datetime.now()
    data.InstanceCreationDate = data.StructureSetDate = data.SeriesDate = now.strftime("%Y%m%d")
    data.InstanceCreationTime = data.StructureSetTime = data.SeriesTime = now.strftime("%H%M%S")
    data.Modality, data.Manufacturer, data.ManufacturerModelName = "RTSTRUCT", MANUFACTURER, MANUFACTURER
    data.SoftwareVersions = __version__[:64]
    data.SeriesInstanceUID, data.SeriesNumber = generate_uid(), series_number(reference, "RTSTRUCT")
    data.SeriesDescription, data.OperatorsName = f"Brain tumour, {origin.name}"[:64], ""
    data.InstanceNumber = 1
    data.PositionReferenceIndicator = source.get("PositionReferenceIndicator", "")
    data.StructureSetLabel, data.StructureSetName = "BRAIN_TUMOUR", "Brain tumour"
    data.StructureSetDescription, data.ApprovalStatus = NOTICE, "UNAPPROVED"
    data.ReferencedFrameOfReferenceSequence = [_referenced(reference, source)]
    data.StructureSetROISequence = list(_regions(contours, source, origin))
    data.ROIContourSequence = list(_outlines(contours, reference.stack.frames, source))
    data.RTROIObservationsSequence = list(_observations(contours))
    return data


def _item(**values: Any) -> Any:
    from pydicom.dataset import Dataset

    item = Dataset()
    for keyword, value in values.items():
        setattr(item, keyword, value)
    return item


def _image(frame: Frame, source: Any) -> Any:
    item = _item(ReferencedSOPClassUID=source.SOPClassUID, ReferencedSOPInstanceUID=frame.facts.sop_uid)
    if frame.store.frames > 1:
        item.ReferencedFrameNumber = frame.index + 1
    return item


def _referenced(reference: Reference, source: Any) -> Any:
    firsts = {frame.facts.sop_uid: frame for frame in reversed(reference.stack.frames)}
    images = [_item(ReferencedSOPClassUID=source.SOPClassUID, ReferencedSOPInstanceUID=uid) for uid in reversed(firsts)]
    series = _item(SeriesInstanceUID=reference.series.uid, ContourImageSequence=images)
    study = _item(
        ReferencedSOPClassUID=_STUDY_COMPONENT,
        ReferencedSOPInstanceUID=source.StudyInstanceUID,
        RTReferencedSeriesSequence=[series],
    )
    return _item(FrameOfReferenceUID=source.FrameOfReferenceUID, RTReferencedStudySequence=[study])


def _regions(contours: Contours, source: Any, origin: Origin) -> Iterator[Any]:
    for number, region in enumerate(contours, 1):
        yield _item(
            ROINumber=number,
            ReferencedFrameOfReferenceUID=source.FrameOfReferenceUID,
            ROIName=f"{region} {concepts.REGION_TITLES[region]}",
            ROIGenerationAlgorithm=origin.maker,
            ROIGenerationDescription=f"{origin.name} {origin.version}"[:64],
        )


def _outlines(contours: Contours, frames: Sequence[Frame], source: Any) -> Iterator[Any]:
    for number, (region, curves) in enumerate(contours.items(), 1):
        colour = CLASS_COLORS[REGIONS[region][0]]
        yield _item(
            ROIDisplayColor=[int(colour[at : at + 2], 16) for at in (1, 3, 5)],
            ReferencedROINumber=number,
            ContourSequence=[
                _item(
                    ContourImageSequence=[_image(frames[k], source)],
                    ContourGeometricType="CLOSED_PLANAR",
                    NumberOfContourPoints=len(points),
                    ContourNumber=at,
                    ContourData=_numbers(points),
                )
                for at, (k, points) in enumerate(curves, 1)
            ],
        )


def _observations(contours: Mapping[Region, Any]) -> Iterator[Any]:
    for number, region in enumerate(contours, 1):
        concept = concepts.concept_of("enhancing") if region == "ET" else concepts.concept_of("whole tumour")
        yield _item(
            ObservationNumber=number,
            ReferencedROINumber=number,
            ROIObservationLabel=region,
            RTROIIdentificationCodeSequence=[
                _item(CodeValue=concept.value, CodingSchemeDesignator=concept.scheme, CodeMeaning=concept.meaning)
            ],
            RTROIInterpretedType="",
            ROIInterpreter="",
        )


def _numbers(points: Float64Array) -> list[str]:
    return [f"{value:.{_DECIMALS}f}" for value in points.ravel()]


def _check(path: Path, contours: Contours) -> None:
    import pydicom

    data: Any = pydicom.dcmread(path)
    require(len(data.ROIContourSequence) == len(contours), "its regions differ")
    for outlines, curves in zip(data.ROIContourSequence, contours.values(), strict=True):
        require(len(outlines.ContourSequence) == len(curves), "it has another number of contours")
        for contour, (_, points) in zip(outlines.ContourSequence, curves, strict=True):
            read = np.array(contour.ContourData, dtype=np.float64).reshape(-1, 3)
            require(np.allclose(read, points, atol=10.0**-_DECIMALS), "its contours lie elsewhere")
