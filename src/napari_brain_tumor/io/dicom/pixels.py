"""Read the pixels of DICOM slices into one array, each slice once, allocating no more than the file can contain."""

import struct
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO, Final, cast

import numpy as np
import numpy.typing as npt

from napari_brain_tumor.errors import UnreadableFileError
from napari_brain_tumor.io.dicom.codecs import can_unpack, unpack_frame
from napari_brain_tumor.io.dicom.files import BoundedFile, open_dicom
from napari_brain_tumor.io.dicom.frames import Frame, PixelStore
from napari_brain_tumor.types import Array

_NATIVE: Final = ("1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2")
_MOST_TIMES_PACKED: Final = 2000
"""Maximum expansion of compressed data; a black slice reaches a factor of 1700."""
_ALWAYS_ALLOWED: Final = 1 << 26


def stack_pixels(frames: Sequence[Frame], name: str) -> Array:
    """Return the slices' values as `(X, Y, Z)`, as stored or, if the headers scale them, as scaled float32.

    Parameters
    ----------
    frames : sequence of Frame
        All of the same size, in the order of Z.
    name : str
        Name of the series, for messages.

    Raises
    ------
    UnreadableFileError
        If a file is damaged or truncated; the message names it.
    """
    _check_promise(frames, name)
    first = frames[0].store
    volume = np.empty((len(frames), first.rows, first.columns), _dtype(frames))
    places: dict[Path, dict[int, int]] = {}
    for k, frame in enumerate(frames):
        places.setdefault(frame.facts.file, {})[frame.index] = k
    for file, slice_of_frame in places.items():
        for index, image in _images(file, frames[next(iter(slice_of_frame.values()))].store, set(slice_of_frame)):
            k = slice_of_frame[index]
            volume[k] = _scaled(image, frames[k]) if volume.dtype.kind == "f" else image
    return volume.transpose(2, 1, 0)


def same_pixels(first_frame: Frame, second_frame: Frame) -> bool:
    """Whether two frames have identical values."""
    size = first_frame.store.rows, first_frame.store.columns
    if size != (second_frame.store.rows, second_frame.store.columns):
        return False
    first, second = (_scaled(_image(frame), frame) for frame in (first_frame, second_frame))
    return bool(np.array_equal(first, second))


def _image(frame: Frame) -> Array:
    return next(image for _, image in _images(frame.facts.file, frame.store, {frame.index}))


def _check_promise(frames: Sequence[Frame], name: str) -> None:
    """Raise if compressed data would expand by more than such data can."""
    files = {frame.facts.file: frame.store for frame in frames}
    promised = sum(frame.store.frame_bytes for frame in frames)
    there = sum(path.stat().st_size for path in files)
    if promised > max(_ALWAYS_ALLOWED, _MOST_TIMES_PACKED * there):
        raise UnreadableFileError(
            f"{name} is not read: its headers promise {promised / 1e6:.0f} MB of pixels, its files have "
            f"{there / 1e6:.2g} MB. They are damaged; export the series again."
        )


def _dtype(frames: Sequence[Frame]) -> np.dtype[Any]:
    if any(frame.slope != 1.0 or frame.intercept != 0.0 for frame in frames):
        return np.dtype(np.float32)
    kinds = {_value_dtype(frame.store) for frame in frames}
    return np.result_type(*kinds)


def _value_dtype(store: PixelStore) -> np.dtype[Any]:
    bits = max(16, store.bits_allocated) if store.signed else store.bits_allocated
    return np.dtype(f"{'i' if store.signed else 'u'}{bits // 8}")


def _scaled(image: Array, frame: Frame) -> Array:
    return image.astype(np.float32) * np.float32(frame.slope) + np.float32(frame.intercept)


def _images(file: Path, store: PixelStore, frame_numbers: set[int]) -> Iterator[tuple[int, Array]]:
    """Yield index and stored values `(rows, columns)` of the requested frames of a file."""
    missing = set(frame_numbers)
    try:
        with open_dicom(file) as stream:
            source = _native if store.transfer_syntax in _NATIVE else _compressed
            for index, image in source(stream, store, frame_numbers):
                missing.discard(index)
                yield index, _values(image, store)
    except (OSError, ValueError, TypeError, LookupError, struct.error) as error:
        msg = f"{file.name} cannot be read: {error}. Copy it again, or export the series again."
        raise UnreadableFileError(msg) from error
    if missing:
        msg = f"{file.name} is cut short: {len(missing)} of its frames are missing. Export the series again."
        raise UnreadableFileError(msg)


def _native(stream: BoundedFile, store: PixelStore, frame_numbers: set[int]) -> Iterator[tuple[int, Array]]:
    dtype = np.dtype(f"{'>' if store.big_endian else '<'}u{store.bits_allocated // 8}")
    swapped = store.big_endian and store.words and store.bits_allocated == 8
    for index in sorted(frame_numbers):
        stream.seek(store.offset + index * store.frame_bytes)
        content = stream.read(store.frame_bytes)
        if len(content) < store.frame_bytes:
            raise ValueError(f"its pixels end after {len(content)} of {store.frame_bytes} bytes")
        if swapped:  # in big-endian files, the bytes within each word are swapped
            content = np.frombuffer(content[: len(content) // 2 * 2], ">u2").astype("<u2").tobytes() + content[-1:]
        yield index, np.frombuffer(content, dtype, store.rows * store.columns).reshape(store.rows, store.columns)


def _compressed(stream: BoundedFile, store: PixelStore, frame_numbers: set[int]) -> Iterator[tuple[int, Array]]:
    from pydicom.encaps import generate_frames

    if not can_unpack(store.transfer_syntax):
        raise ValueError(f"its pixels are compressed in a way that is not read ({store.transfer_syntax})")
    stream.seek(store.offset)
    dtype = np.dtype(f"<u{store.bits_allocated // 8}")
    packed = generate_frames(cast("BinaryIO", stream), number_of_frames=store.frames)
    for index, data in enumerate(packed):
        if stream.was_too_short:
            raise ValueError("its compressed pixels are cut short")
        if index > max(frame_numbers):
            return
        if index in frame_numbers:
            yield index, unpack_frame(data, store.transfer_syntax, store.rows, store.columns, dtype)


def _values(image: Array, store: PixelStore) -> Array:
    """Extract values from the stored bits: clear unused bits, extend the sign, and invert MONOCHROME1."""
    unsigned: Array = image.astype(image.dtype.newbyteorder("="), copy=False)
    if unsigned.dtype.kind == "i":
        unsigned = unsigned.view(f"u{unsigned.dtype.itemsize}")
    wide = np.dtype(np.int64) if store.bits_allocated == 32 else np.dtype(np.int32)
    shift = store.high_bit + 1 - store.bits_stored if store.transfer_syntax in _NATIVE else 0
    numbers: npt.NDArray[np.signedinteger[Any]] = unsigned.astype(wide)
    numbers = (numbers >> shift) & ((1 << store.bits_stored) - 1)
    if store.signed:
        numbers -= (numbers >> (store.bits_stored - 1)) << store.bits_stored
    if store.inverted:
        numbers = (-1 if store.signed else (1 << store.bits_stored) - 1) - numbers
    values: Array = numbers.astype(_value_dtype(store))
    return values
