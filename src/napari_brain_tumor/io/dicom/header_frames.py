"""Extract the frames that a DICOM header describes: their position, and acquisition time and parameters."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from napari_brain_tumor.io.dicom.frames import FileFacts, Frame, PixelStore
from napari_brain_tumor.io.dicom.values import (
    float_of,
    floats_of,
    int_of,
    item_of,
    positive_of,
    text_of,
    texts_of,
    value_of,
)


def frames_in(data: Any, facts: FileFacts, store: PixelStore) -> Iterator[Frame]:
    groups = value_of(data, "PerFrameFunctionalGroupsSequence")
    if not groups:
        plain = _plain_frame(data, facts, store)
        # A single position in the header cannot apply to several frames.
        several = replace(plain, position=None) if store.frames > 1 else plain
        yield from (replace(several, index=index) for index in range(store.frames))
        return
    if len(groups) != store.frames:
        raise ValueError(f"it has {store.frames} frames and describes {len(groups)}")
    shared = item_of(data, "SharedFunctionalGroupsSequence")
    plain = _plain_frame(data, facts, store)
    places = _index_places(data)
    for index, own in enumerate(groups):
        yield _functional_frame(replace(plain, index=index), own, shared, places)


def _plain_frame(data: Any, facts: FileFacts, store: PixelStore) -> Frame:
    day = text_of(data, "AcquisitionDate") or text_of(data, "ContentDate") or text_of(data, "SeriesDate")
    return Frame(
        facts=facts,
        store=store,
        position=vector_of(data, "ImagePositionPatient"),
        orientation=_orientation(data),
        pixel_spacing=_spacing(data),
        thickness=positive_of(data, "SliceThickness"),
        slice_spacing=positive_of(data, "SpacingBetweenSlices"),
        location=float_of(data, "SliceLocation"),
        instance=int_of(data, "InstanceNumber"),
        image_type=texts_of(data, "ImageType"),
        stack=text_of(data, "StackID"),
        echo=int_of(data, "EchoNumbers"),
        echo_time=positive_of(data, "EchoTime"),
        repetition_time=positive_of(data, "RepetitionTime"),
        inversion_time=positive_of(data, "InversionTime"),
        b_value=float_of(data, "DiffusionBValue"),
        gradient=vector_of(data, "DiffusionGradientOrientation"),
        temporal=int_of(data, "TemporalPositionIdentifier"),
        trigger_time=float_of(data, "TriggerTime"),
        acquisition=int_of(data, "AcquisitionNumber"),
        acquired=text_of(data, "AcquisitionDateTime") or _moment(day, text_of(data, "AcquisitionTime")),
        slope=float_of(data, "RescaleSlope") or 1.0,
        intercept=float_of(data, "RescaleIntercept") or 0.0,
    )


def _moment(day: str, time: str) -> str:
    return f"{day}{time}" if time else ""


def vector_of(data: Any, keyword: str) -> tuple[float, float, float] | None:
    numbers = floats_of(data, keyword, 3)
    return None if numbers is None else (numbers[0], numbers[1], numbers[2])


def _orientation(data: Any) -> tuple[tuple[float, float, float], tuple[float, float, float]] | None:
    """Return the directions of rows and columns; None if they are not two directions at right angles."""
    numbers = floats_of(data, "ImageOrientationPatient", 6)
    if numbers is None:
        return None
    row, column = numbers[:3], numbers[3:]
    if abs(math.hypot(*row) - 1) > 0.02 or abs(math.hypot(*column) - 1) > 0.02:
        return None
    if abs(sum(a * b for a, b in zip(row, column, strict=True))) > 0.02:
        return None
    return (row[0], row[1], row[2]), (column[0], column[1], column[2])


def _spacing(data: Any) -> tuple[float, float] | None:
    """Return the distance between adjacent rows, and between adjacent columns."""
    numbers = floats_of(data, "PixelSpacing", 2)
    return (numbers[0], numbers[1]) if numbers is not None and min(numbers) > 0 else None


def _index_places(data: Any) -> tuple[int, ...]:
    """Return the positions of those dimension indices that do more than count the slices along a stack."""
    from pydicom.datadict import tag_for_keyword

    along = {tag_for_keyword(k) for k in ("InStackPositionNumber", "ImagePositionPatient", "StackID")}
    dimensions = value_of(data, "DimensionIndexSequence") or ()
    return tuple(at for at, entry in enumerate(dimensions) if value_of(entry, "DimensionIndexPointer") not in along)


def _functional_frame(plain: Frame, own: Any, shared: Any, places: tuple[int, ...]) -> Frame:
    def group(keyword: str) -> Any:
        inner = item_of(own, keyword)
        return inner if inner is not None else item_of(shared, keyword)

    content, echo = item_of(own, "FrameContentSequence"), group("MREchoSequence")
    timing, diffusion = group("MRTimingAndRelatedParametersSequence"), group("MRDiffusionSequence")
    measures, values = group("PixelMeasuresSequence"), group("PixelValueTransformationSequence")
    frame_type = texts_of(group("MRImageFrameTypeSequence"), "FrameType")
    numbers = value_of(content, "DimensionIndexValues")
    listed = list(numbers) if isinstance(numbers, Sequence) else []
    return replace(
        plain,
        position=vector_of(group("PlanePositionSequence"), "ImagePositionPatient"),
        orientation=_orientation(group("PlaneOrientationSequence")),
        pixel_spacing=_spacing(measures),
        thickness=positive_of(measures, "SliceThickness"),
        slice_spacing=positive_of(measures, "SpacingBetweenSlices"),
        image_type=frame_type or plain.image_type,
        stack=text_of(content, "StackID"),
        echo_time=positive_of(echo, "EffectiveEchoTime") or plain.echo_time,
        repetition_time=positive_of(timing, "RepetitionTime") or plain.repetition_time,
        inversion_time=_inversion(group("MRModifierSequence")) or plain.inversion_time,
        b_value=float_of(diffusion, "DiffusionBValue"),
        gradient=vector_of(item_of(diffusion, "DiffusionGradientDirectionSequence"), "DiffusionGradientOrientation"),
        temporal=int_of(content, "TemporalPositionIndex"),
        acquisition=int_of(content, "FrameAcquisitionNumber"),
        acquired=text_of(content, "FrameAcquisitionDateTime") or plain.acquired,
        other_indices=tuple(int(listed[at]) for at in places if at < len(listed)),
        slope=float_of(values, "RescaleSlope") or plain.slope,
        intercept=_first(float_of(values, "RescaleIntercept"), plain.intercept),
    )


def _first(value: float | None, otherwise: float) -> float:
    return otherwise if value is None else value


def _inversion(modifier: Any) -> float | None:
    value = value_of(modifier, "InversionTimes")
    first = value[0] if isinstance(value, Sequence) and not isinstance(value, str) and value else value
    try:
        return float(first) if first else None
    except (TypeError, ValueError):
        return None
