"""Decompression of DICOM pixel data by transfer syntax, after checking the size that a stream declares.

The codecs are from imagecodecs (libjpeg-turbo, OpenJPEG, CharLS), which the TIFF reader needs anyway.
"""

from collections.abc import Callable
from typing import Any, Final

import numpy as np

from napari_brain_tumor.errors import UnreadableFileError, translated
from napari_brain_tumor.types import Array

_JPEG_2000_START: Final = b"\xff\x4f\xff\x51"
_JPEG_END: Final = b"\xff\xd9"
_NO_FRAME_HEADERS: Final = (0xC4, 0xC8, 0xCC)
_WITHOUT_LENGTH: Final = (0x01, *range(0xD0, 0xDA))


def _jpeg(data: bytes) -> Array:
    import imagecodecs

    # The codec fills in missing data without reporting it.
    if not data.rstrip(b"\0").endswith(_JPEG_END):
        raise ValueError("they end before their end marker")
    return np.asarray(imagecodecs.jpeg8_decode(data))


def _jpeg_2000(data: bytes) -> Array:
    import imagecodecs

    return np.asarray(imagecodecs.jpeg2k_decode(data))


def _jpeg_ls(data: bytes) -> Array:
    import imagecodecs

    return np.asarray(imagecodecs.jpegls_decode(data))


def _jpeg_size(data: bytes) -> tuple[int, int]:
    """Return the rows and columns declared by a JPEG or JPEG-LS stream."""
    at = 2
    while at + 9 <= len(data) and data[:2] == b"\xff\xd8":
        if data[at] != 0xFF:
            break
        marker = data[at + 1]
        if marker == 0xFF or marker in _WITHOUT_LENGTH:
            at += 1 if marker == 0xFF else 2
            continue
        if (0xC0 <= marker <= 0xCF and marker not in _NO_FRAME_HEADERS) or marker == 0xF7:
            if data[at + 9 : at + 10] != b"\x01":
                break
            return int.from_bytes(data[at + 5 : at + 7], "big"), int.from_bytes(data[at + 7 : at + 9], "big")
        at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    raise ValueError("its compressed pixels do not begin as a picture of one channel")


def _jpeg_2000_size(data: bytes) -> tuple[int, int]:
    """Return the rows and columns declared by a JPEG 2000 stream."""
    at = data.find(_JPEG_2000_START)
    if at < 0 or len(data) < at + 44 or data[at + 40 : at + 42] != b"\x00\x01":
        raise ValueError("its compressed pixels do not begin as a picture of one channel")
    right, bottom, left, top = (int.from_bytes(data[at + 8 + 4 * k : at + 12 + 4 * k], "big") for k in range(4))
    return bottom - top, right - left


_Decoder = tuple[Callable[[bytes], Array], Callable[[bytes], tuple[int, int]]]
_1_2_840: Final = "1.2.840.10008.1.2."
_DECODERS: Final[dict[str, _Decoder]] = {
    **dict.fromkeys((f"{_1_2_840}4.{n}" for n in (50, 51, 57, 70)), (_jpeg, _jpeg_size)),
    **dict.fromkeys((f"{_1_2_840}4.{n}" for n in (80, 81)), (_jpeg_ls, _jpeg_size)),
    **dict.fromkeys((f"{_1_2_840}4.{n}" for n in (90, 91, 201, 202, 203)), (_jpeg_2000, _jpeg_2000_size)),
}
_RLE: Final = f"{_1_2_840}5"


def can_unpack(syntax: str) -> bool:
    """Whether compressed pixel data with this transfer syntax can be decompressed."""
    return syntax == _RLE or syntax in _DECODERS


def unpack_frame(data: bytes, syntax: str, rows: int, columns: int, dtype: np.dtype[Any]) -> Array:
    """Decompress one frame to `(rows, columns)` of unsigned or signed integers, as returned by the codec.

    Parameters
    ----------
    syntax : str
        UID of the transfer syntax.
    rows, columns : int
        Size according to the header; a stream that declares another size is refused before memory is allocated.
    dtype : dtype
        Type of the stored values, for RLE, which does not state it.

    Raises
    ------
    ValueError
        If it is damaged or does not match its header.
    """
    if syntax == _RLE:
        return _unpack_rle(data, rows, columns, dtype)
    decode, size = _DECODERS[syntax]
    stated = size(data)
    if stated != (rows, columns):
        msg = f"its header states {rows} rows of {columns} pixels, its compressed pixels {stated[0]} of {stated[1]}"
        raise ValueError(msg)
    with translated(lambda reason: UnreadableFileError(f"its compressed pixels are damaged ({reason})")):
        image = decode(data)
    if image.shape != (rows, columns) or image.dtype.kind not in "iu":
        raise ValueError(f"its compressed pixels unpack to {image.shape} {image.dtype}")
    return image


def _unpack_rle(data: bytes, rows: int, columns: int, dtype: np.dtype[Any]) -> Array:
    """Decode run-length encoding, which expands data to at most 64 times its size."""
    import imagecodecs

    size = rows * columns * dtype.itemsize
    with translated(lambda reason: UnreadableFileError(f"its runs of pixels are damaged ({reason})")):
        values = bytes(imagecodecs.dicomrle_decode(data, dtype.str))
    if len(values) < size:
        raise ValueError(f"its runs of pixels end after {len(values)} of {size} bytes")
    return np.frombuffer(values[:size], dtype).reshape(rows, columns)
