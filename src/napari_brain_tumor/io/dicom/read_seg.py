"""Read DICOM SEG objects from any software as labels: binary, fractional and label maps, also overlapping."""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final, cast

import numpy as np

from napari_brain_tumor.errors import DimensionError, LabelSchemaError, UnreadableFileError, translated
from napari_brain_tumor.geometry import Grid
from napari_brain_tumor.io.dicom import concepts
from napari_brain_tumor.io.dicom.files import open_dicom
from napari_brain_tumor.io.dicom.frames import Frame
from napari_brain_tumor.io.dicom.headers import frames_of
from napari_brain_tumor.io.dicom.stack import Stack, arrange, heights_along_normal, same_place_mm
from napari_brain_tumor.io.meaning import Meaning
from napari_brain_tumor.io.volume import Volume, short_name
from napari_brain_tumor.types import Array, Float64Array, Labels

_LABELMAP: Final = "1.2.840.10008.5.1.4.1.1.66.7"
_MOST_SEGMENTS: Final = 62
_MOST_VOXELS: Final = 1 << 28
_MOST_SLICES: Final = 4096
_LPS_TO_RAS: Final = np.diag([-1.0, -1.0, 1.0, 1.0])


def read_seg(path: Path) -> tuple[Volume, dict[int, str]]:
    """Read the labels of a DICOM SEG object, and the meaning of their numbers in words.

    Labels are segment numbers; if segments overlap, as nested regions do, each combination that occurs gets its own
    number. Slices without a frame are empty.

    Returns
    -------
    Volume
        Labels `(X, Y, Z)` uint8 on the grid of the frames, slices sorted by position.
    dict of int to str
        Meaning of each number; for a combination, the terms of its segments, one per line.

    Raises
    ------
    UnreadableFileError
        If the file is damaged or its frames do not lie on a grid.
    DimensionError
        If it has more segments, or combinations of them, than labels can distinguish.
    """
    from pydicom.config import disable_value_validation

    def refusal(reason: str) -> UnreadableFileError:
        return UnreadableFileError(
            f"{path.name} is a DICOM segmentation that cannot be read: {reason}. Export it again."
        )

    with translated(refusal), warnings.catch_warnings(), disable_value_validation():
        warnings.simplefilter("ignore")  # about values that are irrelevant here
        return _read(path)


def _read(path: Path) -> tuple[Volume, dict[int, str]]:
    import pydicom

    with open_dicom(path) as stream:
        data: Any = pydicom.dcmread(cast("BinaryIO", stream), force=True)
    words = _words_of_segments(data)
    frames = frames_of(path, data)
    planes = _planes_of(frames, path.name, _spacing_of_slices(data))
    marked = _marked(data, frames, planes, list(words), path.name)
    array, texts = _labels(marked, words, path.name)
    notes = list(planes.notes)
    if _is_fractional(data):
        notes.append(f"The segments of {path.name} are probabilities; voxels of at least one half were taken.")
    return Volume(short_name(path), array, planes.grid, path, notes=tuple(notes)), texts


def _is_fractional(data: Any) -> bool:
    return str(data.get("SegmentationType", "")) == "FRACTIONAL"


def _words_of_segments(data: Any) -> dict[int, str]:
    words: dict[int, str] = {}
    for segment in data.SegmentSequence:
        number = int(segment.SegmentNumber)
        if number == 0:  # the background of a label map
            continue
        codes = segment.get("SegmentedPropertyTypeCodeSequence")
        value = str(codes[0].get("CodeValue", "")) if codes else ""
        scheme = str(codes[0].get("CodingSchemeDesignator", "")) if codes else ""
        words[number] = concepts.words_of(value, scheme, str(segment.get("SegmentLabel", "")))
    return words


def meaning_of_segments(texts: Mapping[int, str], name: str) -> Meaning:
    """Return the meaning of numbered segments, from the terms returned by `read_seg`.

    Raises
    ------
    LabelSchemaError
        If the terms are ambiguous.
    """
    try:
        schema = concepts.schema_of_segments(texts)
    except LabelSchemaError as error:
        listed = ", ".join(f"{number} {text!r}" for number, text in texts.items())
        raise LabelSchemaError(
            f"The segments of {name} do not state what they mean: {listed}. State it, for example "
            "schema='1=edema,2=non-enhancing,3=enhancing'."
        ) from error
    values = {number: text.replace("\n", " and ") for number, text in texts.items()}
    return Meaning(schema, values, schema.known_regions, None)


# Geometry -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False)
class _Planes:
    """The grid of the frames, and the slice index of each frame."""

    grid: Grid
    numbers: Sequence[int]
    notes: tuple[str, ...] = ()


def _spacing_of_slices(data: Any) -> float | None:
    groups = data.get("SharedFunctionalGroupsSequence")
    measures = groups[0].get("PixelMeasuresSequence") if groups else None
    spacing = measures[0].get("SpacingBetweenSlices") if measures else None
    return float(spacing) if spacing else None


def _planes_of(frames: Sequence[Frame], name: str, spacing: float | None) -> _Planes:
    if any(frame.position is None or frame.orientation is None for frame in frames):
        raise UnreadableFileError(f"{name} is a DICOM segmentation whose frames have no position. Export it again.")
    groups = same_place_mm(frames)
    firsts = [group[0] for group in groups]
    steps = _steps(firsts, spacing, name)
    number_of = {id(frame): step for group, step in zip(groups, steps, strict=True) for frame in group}
    numbers = [number_of[id(frame)] for frame in frames]
    count = steps[-1] + 1
    if count > _MOST_SLICES:
        msg = f"The frames of {name} lie on {count} slices, which no brain scan has. Export it again."
        raise UnreadableFileError(msg)
    if count == len(firsts):
        stack: Stack = arrange(firsts, name)
        return _Planes(stack.grid, numbers, stack.notes)
    return _Planes(_grid_with_gaps(firsts, count), numbers)


def _steps(firsts: Sequence[Frame], spacing: float | None, name: str) -> list[int]:
    """Return the index of each position along the stack, counting slices in between that have no frame."""
    heights = heights_along_normal(firsts)
    gaps = np.diff(heights)
    if gaps.size == 0:
        return [0]
    step = float(gaps.min()) if spacing is None or not _divides(spacing, gaps) else spacing
    if not _divides(step, gaps):
        msg = f"The frames of {name} lie {gaps.min():.4g} to {gaps.max():.4g} mm apart, which is not a regular stack."
        raise UnreadableFileError(msg)
    # Rounding errors add up over many slices, so each gap is counted separately.
    return [0, *(int(at) for at in np.cumsum(np.rint(gaps / step)))]


def _divides(step: float, gaps: Float64Array) -> bool:
    counts = np.rint(gaps / step)
    return bool((counts >= 1).all() and (np.abs(gaps - counts * step) <= 0.1 * step).all())


def _grid_with_gaps(firsts: Sequence[Frame], count: int) -> Grid:
    first, last = firsts[0], firsts[-1]
    assert first.orientation is not None
    rows, columns = first.pixel_spacing or (1.0, 1.0)
    affine = np.eye(4)
    affine[:3, 0] = np.asarray(first.orientation[0]) * columns
    affine[:3, 1] = np.asarray(first.orientation[1]) * rows
    affine[:3, 2] = (np.asarray(last.position) - np.asarray(first.position)) / (count - 1)
    affine[:3, 3] = np.asarray(first.position)
    return Grid((first.store.columns, first.store.rows, count), _LPS_TO_RAS @ affine)


# Labels -------------------------------------------------------------------------------------------------------------


def _marked(data: Any, frames: Sequence[Frame], planes: _Planes, numbers: Sequence[int], name: str) -> Array:
    """Return, for each voxel, one bit for every segment it belongs to, in segment order."""
    if len(numbers) > _MOST_SEGMENTS:
        raise DimensionError(f"{name} has {len(numbers)} segments; up to {_MOST_SEGMENTS} can be read at once.")
    if int(np.prod(planes.grid.shape)) > _MOST_VOXELS:
        msg = f"{name} spans a grid of {'x'.join(map(str, planes.grid.shape))} voxels, which no brain scan has."
        raise UnreadableFileError(msg)
    pixels = np.asarray(data.pixel_array).reshape(len(frames), frames[0].store.rows, frames[0].store.columns)
    kind = np.min_scalar_type((1 << len(numbers)) - 1)
    bit_of = {number: kind.type(1 << at) for at, number in enumerate(numbers)}
    marked = np.zeros(planes.grid.shape, kind)
    half = (int(data.get("MaximumFractionalValue", 255)) + 1) // 2 if _is_fractional(data) else 1
    is_map = str(data.get("SOPClassUID", "")) == _LABELMAP or str(data.get("SegmentationType", "")) == "LABELMAP"
    for at, (frame, plane) in enumerate(zip(pixels, planes.numbers, strict=True)):
        if is_map:
            for number in np.unique(frame[frame > 0]):
                marked[:, :, plane][number == frame.T] |= bit_of[int(number)]
        elif frame.any():
            marked[:, :, plane][half <= frame.T] |= bit_of[_segment_of(data, at)]
    return marked


def _segment_of(data: Any, at: int) -> int:
    for groups in (data.get("PerFrameFunctionalGroupsSequence", ())[at], data.SharedFunctionalGroupsSequence[0]):
        references = groups.get("SegmentIdentificationSequence")
        if references:
            return int(references[0].ReferencedSegmentNumber)
    raise ValueError("a frame does not name its segment")


def _labels(marked: Array, words: Mapping[int, str], name: str) -> tuple[Labels, dict[int, str]]:
    """Return numbers of segments, or of the combinations that occur, and their meanings."""
    texts = list(words.values())
    occurring = [int(bits) for bits in np.unique(marked) if bits]
    singles = [1 << at for at in range(len(texts))]
    if all(bits in singles for bits in occurring):
        combined, numbers = singles, list(words)
    else:  # each region with the regions that contain it, one per line, as in data sets
        combined = sorted(occurring, key=lambda bits: (bits.bit_count(), bits))
        numbers = list(range(1, len(combined) + 1))
    if not numbers or max(numbers) > 255:
        raise DimensionError(f"{name} has {len(numbers)} segments or combinations of them; labels count from 1 to 255.")
    array = np.zeros(marked.shape, np.uint8)
    for bits, number in zip(combined, numbers, strict=True):
        if bits in occurring:
            array[marked == bits] = number
    listed = {
        number: "\n".join(text for at, text in enumerate(texts) if bits >> at & 1)
        for bits, number in zip(combined, numbers, strict=True)
    }
    return array, listed
