"""Write segmentations as DICOM SEG objects: one segment per class, with references to the source slices."""

import warnings
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from napari_brain_tumor import __version__
from napari_brain_tumor.errors import SaveError
from napari_brain_tumor.io.atomic import Part
from napari_brain_tumor.io.dicom import concepts
from napari_brain_tumor.io.dicom.read_seg import read_seg
from napari_brain_tumor.io.dicom.reference import Reference, reference_at, reference_in
from napari_brain_tumor.io.dicom.source_headers import source_headers
from napari_brain_tumor.io.meaning import Meaning
from napari_brain_tumor.io.origin import Origin, Record, origin_of, record_of
from napari_brain_tumor.io.output import Output, SaveOptions
from napari_brain_tumor.io.write_nifti import SAME_PLACE_VOXELS, require
from napari_brain_tumor.labels import CLASS_COLORS, labels_sha256
from napari_brain_tumor.study import Segmentation
from napari_brain_tumor.types import Labels

if TYPE_CHECKING:
    from highdicom.content import AlgorithmIdentificationSequence
    from highdicom.seg import SegmentDescription

MANUFACTURER: Final = "napari-brain-tumor"
NOTICE: Final = "For research only, not for clinical use"
_MOST_TEXT: Final = 64
"""Maximum number of characters of a DICOM long string."""
_SERIES_NUMBERS: Final = {"SEG": 9000, "RTSTRUCT": 9500}
"""Offset added to the source's series number, so that results are listed after all images of a study."""


def seg_output(segmentation: Segmentation, target: Path, options: SaveOptions) -> Output:
    """Return the labels as a DICOM SEG object.

    Every slice of the source has a frame in each segment, even if it is empty, so that readers get the whole grid.
    Classes that the labels define have a segment even if no voxel belongs to them.

    Raises
    ------
    SourceSeriesError
        If the series that the labels belong to is not DICOM, unknown or unavailable.
    """
    record = record_of(segmentation)
    reference = reference_of(segmentation, record, options)
    words = concepts.segment_words(segmentation, options.schema)
    numbered = _numbered(reference.labels, words, joined=len(options.schema.known_regions) == 1)
    texts = dict(enumerate(words.values(), 1))
    data = _dataset(reference, numbered, texts, origin_of(segmentation), words)
    schema = concepts.schema_of_segments(texts)
    known = tuple(region for region in schema.known_regions if region in segmentation.known_regions)
    meaning = Meaning(schema, texts, known, labels_sha256(numbered), segmentation.notes)
    part = Part(
        target,
        lambda temporary: data.save_as(temporary, enforce_file_format=True),
        lambda temporary: _check(temporary, reference, numbered, texts),
    )
    return Output([part], target, meaning, target)


def reference_of(segmentation: Segmentation, record: Record, options: SaveOptions) -> Reference:
    """Return the series that the labels belong to: the one given, or else that of their record."""
    if options.source is not None:
        return reference_at(segmentation, options.source)
    return reference_in(segmentation, record.provenance, record.folder)


def series_number(reference: Reference, modality: str) -> int:
    """Return a number for the series of a result, based on that of its source."""
    return _SERIES_NUMBERS[modality] + min(reference.stack.frames[0].facts.series_number or 0, 99_999)


def _numbered(labels: Labels, words: Mapping[int, str], *, joined: bool) -> Labels:
    """Renumber the segments consecutively from 1, as DICOM requires."""
    if joined:
        return (labels > 0).astype(np.uint8)
    table = np.zeros(256, np.uint8)
    table[list(words)] = np.arange(1, len(words) + 1)
    numbered: Labels = table[labels]
    return numbered


def _highdicom() -> ModuleType:
    try:
        return import_module("highdicom")
    except ImportError as error:
        raise SaveError(
            "DICOM segmentations are written with highdicom, which is not installed. Install it with: "
            'pip install "napari-brain-tumor[dicom]"'
        ) from error


def _dataset(
    reference: Reference, numbered: Labels, texts: Mapping[int, str], origin: Origin, words: Mapping[int, str]
) -> Any:
    highdicom = _highdicom()
    from highdicom.seg import Segmentation as SegmentationObject
    from highdicom.seg import SegmentationTypeValues

    headers = source_headers(reference)
    title = f"Brain tumour, {origin.name}"[:_MOST_TEXT]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about values in the source's headers
        data = SegmentationObject(
            source_images=headers,
            pixel_array=np.ascontiguousarray(numbered.transpose(2, 1, 0)),
            segmentation_type=SegmentationTypeValues.BINARY,
            segment_descriptions=_descriptions(texts, list(words), origin),
            series_instance_uid=highdicom.UID(),
            series_number=series_number(reference, "SEG"),
            sop_instance_uid=highdicom.UID(),
            instance_number=1,
            manufacturer=MANUFACTURER,
            manufacturer_model_name=MANUFACTURER,
            software_versions=__version__[:_MOST_TEXT],
            device_serial_number="none",
            content_label="BRAIN_TUMOUR",
            content_description=NOTICE,
            series_description=title,
            omit_empty_frames=False,
        )
    if len(headers) == 1:
        _refer_to_frames(data, reference)
    return data


def _descriptions(texts: Mapping[int, str], classes: Sequence[int], origin: Origin) -> "list[SegmentDescription]":
    from highdicom.color import CIELabColor
    from highdicom.seg import SegmentDescription

    algorithm = _algorithm(origin)
    described = []
    for (number, text), value in zip(texts.items(), classes, strict=True):
        colour = CLASS_COLORS.get(value, CLASS_COLORS[1])
        red, green, blue = (int(colour[at : at + 2], 16) for at in (1, 3, 5))
        described.append(
            SegmentDescription(
                segment_number=number,
                segment_label=text,
                segmented_property_category=_code(concepts.ABNORMAL),
                segmented_property_type=_code(concepts.concept_of(text)),
                algorithm_type=origin.maker,
                algorithm_identification=algorithm,
                anatomic_regions=[_code(concepts.BRAIN)],
                display_color=CIELabColor.from_rgb(red, green, blue),
            )
        )
    return described


def _algorithm(origin: Origin) -> "AlgorithmIdentificationSequence | None":
    from highdicom.content import AlgorithmIdentificationSequence
    from pydicom.sr.codedict import codes

    if origin.maker == "MANUAL":
        return None
    settings = {key: value.replace(",", ";") for key, value in origin.settings.items()}
    return AlgorithmIdentificationSequence(
        origin.name[:_MOST_TEXT],
        codes.DCM.ArtificialIntelligence if "weights_sha256" in settings else codes.DCM.NeighborhoodAnalysis,
        origin.version[:_MOST_TEXT],
        MANUFACTURER,
        settings or None,
    )


def _code(concept: concepts.Concept) -> Any:
    from pydicom.sr.coding import Code

    return Code(concept.value, concept.scheme, concept.meaning)


def _refer_to_frames(data: Any, reference: Reference) -> None:
    """Refer to the actual frames and files of the slices; the combined header numbered them consecutively."""
    frames = reference.stack.frames
    images = {
        id(image): image  # each only once: the frames of all segments share them
        for group in data.PerFrameFunctionalGroupsSequence
        for derived in group.get("DerivationImageSequence", ())
        for image in derived.SourceImageSequence
    }
    for image in images.values():
        frame = frames[int(image.ReferencedFrameNumber) - 1]
        image.ReferencedSOPInstanceUID = frame.facts.sop_uid
        image.ReferencedFrameNumber = frame.index + 1
    _refer_to_instances(data, [frame.facts.sop_uid for frame in frames])


def _refer_to_instances(data: Any, uids: Sequence[str]) -> None:
    """List every file of the series among the referenced instances."""
    from copy import deepcopy

    (series,) = data.ReferencedSeriesSequence
    (first,) = series.ReferencedInstanceSequence
    listed = []
    for uid in dict.fromkeys(uids):
        item = deepcopy(first)
        item.ReferencedSOPInstanceUID = uid
        listed.append(item)
    series.ReferencedInstanceSequence = listed


def _check(path: Path, reference: Reference, numbered: Labels, texts: Mapping[int, str]) -> None:
    """Read the file back like any other DICOM SEG object and compare it."""
    volume, read = read_seg(path)
    require(volume.grid.same_place(reference.stack.grid, SAME_PLACE_VOXELS), "its voxels lie elsewhere in the world")
    require(np.array_equal(volume.array, numbered), "its labels differ")
    require(list(read) == list(texts), "its segments differ")
