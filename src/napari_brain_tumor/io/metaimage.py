"""Read and write MetaImage files (.mha, .mhd) strictly: unsupported header entries are refused by name.

The header consists of lines `Key = value` up to `ElementDataFile`; world coordinates are LPS+ millimetres.
"""

import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final

import numpy as np
import numpy.typing as npt

from napari_brain_tumor.errors import DimensionError, UnreadableFileError
from napari_brain_tumor.geometry import Grid, LengthUnit
from napari_brain_tumor.io.lps import LPS_TO_RAS, grid_of_header, matrix_in_lps, right_angled
from napari_brain_tumor.io.regular_file import file_beside, open_regular
from napari_brain_tumor.io.volume import ORIENTATION_NOTE, POSITION_NOTE, SPACING_NOTE, Volume, short_name, split_images
from napari_brain_tumor.io.voxel_data import Packing, read_header_and_voxels, read_voxels

_HEADER_BYTES: Final = 1 << 20
"""More than any valid header; anything else is not read to its end."""

_TYPES: Final[Mapping[str, str]] = {
    "MET_CHAR": "i1",
    "MET_UCHAR": "u1",
    "MET_SHORT": "i2",
    "MET_USHORT": "u2",
    "MET_INT": "i4",
    "MET_UINT": "u4",
    "MET_LONG": "i4",
    "MET_ULONG": "u4",
    "MET_LONG_LONG": "i8",
    "MET_ULONG_LONG": "u8",
    "MET_FLOAT": "f4",
    "MET_DOUBLE": "f8",
}
"""Sizes are those in the file, on every platform."""
_MM_PER_UNIT: Final = {"?": 1.0, "": 1.0, "mm": 1.0, "um": 0.001, "cm": 10.0}
_TRUE, _FALSE = ("true", "t", "1"), ("false", "f", "0")
_SYNONYMS: Final = {
    "position": "offset",
    "origin": "offset",
    "orientation": "transformmatrix",
    "rotation": "transformmatrix",
    "elementbyteordermsb": "binarydatabyteordermsb",
}
_BYTE_ORDER_NOTE: Final = "The header does not state the byte order: little-endian is assumed."


@dataclass(frozen=True, slots=True, eq=False)
class MetaImageHeader:
    """Contents of a header: sizes of all axes, channels per voxel, data type and storage, grid, and notes."""

    sizes: tuple[int, ...]
    channels: int
    dtype: np.dtype[Any]
    packing: Packing
    packed_size: int | None
    skip: int
    data_file: Path | None
    grid: Grid
    notes: tuple[str, ...]


def read_metaimage_header(path: Path) -> MetaImageHeader:
    """Read sizes and grid without the voxels; raises the same errors as `read_metaimage`."""
    with open_regular(path) as file:
        return _header(file, path)


def read_metaimage(path: Path) -> list[Volume]:
    """Read the images of a MetaImage file: one, or one per channel or per step of the fourth axis.

    Returns
    -------
    list of Volume
        Arrays `(X, Y, Z)` in native byte order.

    Raises
    ------
    UnreadableFileError
        If the file is missing, empty, truncated or damaged, fails its checksum, or refers to voxels elsewhere.
    DimensionError
        If it has fewer than three or more than four dimensions.
    """
    header, values, notes = read_header_and_voxels(path, _header, _voxels)
    if header.channels > 1:
        values = np.moveaxis(values, 0, -1)
    elif len(header.sizes) == 4 and header.sizes[3] == 1:
        values = values[..., 0]
    return split_images(values, short_name(path), header.grid, path, (*header.notes, *notes))


def metaimage_bytes(labels: npt.NDArray[np.uint8], grid: Grid, entries: Mapping[str, str] | None = None) -> bytes:
    """Return labels `(X, Y, Z)` as a MetaImage file with compressed voxels; `entries` are added to the header.

    Raises
    ------
    DimensionError
        If the grid is sheared, which the format cannot represent.
    """
    axes, origin = matrix_in_lps(grid)
    directions = right_angled(axes / np.asarray(grid.spacing))
    packed = zlib.compress(labels.tobytes(order="F"))
    lines = {
        "ObjectType": "Image",
        "NDims": 3,
        "BinaryData": True,
        "BinaryDataByteOrderMSB": False,
        "CompressedData": True,
        "CompressedDataSize": len(packed),
        "TransformMatrix": _numbers(directions.T.ravel()),
        "Offset": _numbers(origin),
        "CenterOfRotation": "0 0 0",
        "ElementSpacing": _numbers(grid.spacing),
        "DimSize": " ".join(map(str, labels.shape)),
        "ElementType": "MET_UCHAR",
        **(entries or {}),
        "ElementDataFile": "LOCAL",
    }
    return "".join(f"{key} = {value}\n" for key, value in lines.items()).encode("ascii") + packed


def _numbers(values: Any) -> str:
    return " ".join(repr(float(value)) for value in values)


def _voxels(file: BinaryIO, header: MetaImageHeader, path: Path) -> tuple[npt.NDArray[Any], tuple[str, ...]]:
    shape = ((header.channels,) if header.channels > 1 else ()) + header.sizes
    return read_voxels(file, path, header.packing, header.dtype, shape, skip=header.skip, size=header.packed_size)


# The header -------------------------------------------------------------------------------------------------------


class _Fields:
    """The entries of a header, with accessors that check their type."""

    def __init__(self, entries: Mapping[str, str], path: Path) -> None:
        self._entries, self._path = entries, path

    def ruined(self, why: str) -> UnreadableFileError:
        return UnreadableFileError(
            f"{self._path.name} has a header that cannot be used: {why}. Convert it again from its source, as .nii.gz."
        )

    def __contains__(self, key: str) -> bool:
        return key.lower() in self._entries

    def text(self, key: str, default: str | None = None) -> str:
        value = self._entries.get(key.lower(), default)
        if value is None:
            raise self.ruined(f"{key} is missing")
        return value

    def truth(self, key: str, default: bool) -> bool:
        value = self.text(key, str(default)).lower()
        if value not in (*_TRUE, *_FALSE):
            raise self.ruined(f"{key} is {value[:40]!r}, neither True nor False")
        return value in _TRUE

    def whole(self, key: str, default: str | None = None, least: int = 1) -> int:
        (number,) = self.wholes(key, 1, default, least)
        return number

    def wholes(self, key: str, count: int, default: str | None = None, least: int = 1) -> tuple[int, ...]:
        words = self.text(key, default).split()
        if len(words) != count or not all(re.fullmatch(r"-?\d{1,15}", word) and int(word) >= least for word in words):
            what = f"{count} whole number{'s'[: count != 1]} of at least {least}"
            raise self.ruined(f"{key} is {self.text(key, default)[:60]!r}, expected {what}")
        return tuple(map(int, words))

    def reals(self, key: str, count: int) -> npt.NDArray[np.float64]:
        try:
            values = np.array([float(word) for word in self.text(key).split()])
        except ValueError:
            values = np.array([])
        if len(values) != count or not np.isfinite(values).all():
            raise self.ruined(f"{key} is {self.text(key)[:60]!r}, expected {count} numbers")
        return values


def _header(file: BinaryIO, path: Path) -> MetaImageHeader:
    """Read the header of an open file, leaving it where the voxels begin if they are in the same file."""
    fields = _Fields(_entries(file, path), path)
    dims = fields.whole("NDims")
    if dims not in (3, 4):
        raise DimensionError(f"{path.name} has {dims} dimensions; a sequence or segmentation has three.")
    sizes, channels = fields.wholes("DimSize", dims), fields.whole("ElementNumberOfChannels", "1")
    if dims == 4 and channels > 1 and sizes[3] > 1:
        msg = f"{path.name} has {channels} channels at each of {sizes[3]} times. Split it into single volumes first."
        raise DimensionError(msg)
    dtype, notes = _dtype(fields)
    packing, packed_size = _packing(fields)
    data_file = _data_file(fields, path)
    skip = fields.whole("HeaderSize", "0", least=-1)
    if skip and (data_file is None or packing != "raw"):
        raise fields.ruined(f"HeaderSize is {skip} where the voxels are compressed or in the header's own file")
    grid, more = _grid(fields, dims, sizes, path)
    if data_file is not None:
        packed_size = None  # given by the size of the file
    return MetaImageHeader(sizes, channels, dtype, packing, packed_size, skip, data_file, grid, (*notes, *more))


def _entries(file: BinaryIO, path: Path) -> dict[str, str]:
    entries: dict[str, str] = {}
    left = _HEADER_BYTES
    while "elementdatafile" not in entries:
        line = file.readline(left)
        left -= len(line)
        if not line or left <= 0:
            what = "is empty. Copy or download it again." if file.tell() == 0 else (
                "is not a MetaImage file: its header does not end with ElementDataFile. Convert it from its source."
            )  # fmt: skip
            raise UnreadableFileError(f"{path.name} {what}")
        key, equals, value = line.decode("latin-1").partition("=")
        key = key.strip().lower()
        key = _SYNONYMS.get(key, key)
        if not equals and key:
            msg = f"{path.name} is not a MetaImage file: {line[:40]!r} is not a header line. Is it the right file?"
            raise UnreadableFileError(msg)
        if key in entries:
            msg = f"{path.name} states {key} twice in its header. Convert it again from its source."
            raise UnreadableFileError(msg)
        entries[key] = value.strip()
    return entries


def _dtype(fields: _Fields) -> tuple[np.dtype[Any], tuple[str, ...]]:
    if fields.text("ObjectType", "Image").lower() != "image":
        raise fields.ruined(f"it holds a {fields.text('ObjectType')[:40]}, not an image")
    if not fields.truth("BinaryData", True):
        raise fields.ruined("its voxels are written as text (BinaryData = False), which is not read")
    scaling = (("ElementToIntensityFunctionSlope", 1), ("ElementToIntensityFunctionOffset", 0))
    if any(key in fields and fields.reals(key, 1)[0] != neutral for key, neutral in scaling):
        raise fields.ruined("its values are to be scaled (ElementToIntensityFunction), which is not done here")
    name = fields.text("ElementType").upper()
    if name not in _TYPES:
        raise fields.ruined(f"ElementType is {name[:40]!r}; plain numbers are {', '.join(_TYPES)}")
    kind = np.dtype(_TYPES[name])
    stated = "BinaryDataByteOrderMSB" in fields
    big = fields.truth("BinaryDataByteOrderMSB", False)
    return kind.newbyteorder(">" if big else "<"), () if stated or kind.itemsize == 1 else (_BYTE_ORDER_NOTE,)


def _packing(fields: _Fields) -> tuple[Packing, int | None]:
    if not fields.truth("CompressedData", False):
        return "raw", None
    # 0 means that the size was not known when the header was written.
    return "zlib", (fields.whole("CompressedDataSize", "0", least=0) or None)


def _data_file(fields: _Fields, path: Path) -> Path | None:
    name = fields.text("ElementDataFile")
    if name.upper() == "LOCAL":
        return None
    if name.upper().split()[:1] == ["LIST"] or "%" in name:
        raise fields.ruined(f"its voxels are in many files ({name[:40]!r}); only one file is read")
    return file_beside(path, name)


def _grid(fields: _Fields, dims: int, sizes: tuple[int, ...], path: Path) -> tuple[Grid, tuple[str, ...]]:
    key = "ElementSpacing" if "ElementSpacing" in fields else "ElementSize"
    notes = []
    unit: LengthUnit = "mm"
    if key in fields:
        spacing = fields.reals(key, dims)[:3]
        if (spacing <= 0).any():
            raise fields.ruined(f"{key} is {fields.text(key)[:60]!r}, expected lengths above 0")
    else:
        spacing, unit = np.ones(3), "voxel"
        notes.append(SPACING_NOTE)
    directions, origin = np.eye(3), np.zeros(3)
    if "TransformMatrix" in fields:
        directions = fields.reals("TransformMatrix", dims * dims).reshape(dims, dims)[:3, :3].T
    else:
        notes.append(ORIENTATION_NOTE)
    if "Offset" in fields:
        origin = fields.reals("Offset", dims)[:3]
    elif "TransformMatrix" in fields:
        notes.append(POSITION_NOTE)
    length = fields.text("DistanceUnits", "mm").lower()
    if length not in _MM_PER_UNIT:
        raise fields.ruined(f"DistanceUnits is {length[:40]!r}, expected mm, cm or um")
    factor = _MM_PER_UNIT[length]
    x, y, z = sizes[:3]
    axes = LPS_TO_RAS @ (directions * spacing) * factor
    return grid_of_header((x, y, z), axes, LPS_TO_RAS @ origin * factor, unit, path.name), tuple(notes)
