"""Read and write NRRD files (.nrrd, .nhdr): headers with pynrrd, voxels only as far as the header declares."""

import gzip
import math
import os
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, Final

import nrrd
import numpy as np
import numpy.typing as npt

from napari_brain_tumor.errors import DimensionError, UnreadableFileError, translated
from napari_brain_tumor.geometry import Grid, LengthUnit
from napari_brain_tumor.io.lps import LPS_TO_RAS, grid_of_header, matrix_in_lps
from napari_brain_tumor.io.regular_file import file_beside, open_regular
from napari_brain_tumor.io.volume import ORIENTATION_NOTE, POSITION_NOTE, SPACING_NOTE, Volume, short_name, split_images
from napari_brain_tumor.io.voxel_data import Packing, read_header_and_voxels, read_voxels
from napari_brain_tumor.types import Array

_HEADER_BYTES: Final = 1 << 20
"""More than is needed for the segments of a large segmentation or the gradients of a diffusion scan."""

_TYPES: Final[Mapping[str, tuple[str, ...]]] = {
    "i1": ("signed char", "int8", "int8_t"),
    "u1": ("uchar", "unsigned char", "uint8", "uint8_t"),
    "i2": ("short", "short int", "signed short", "signed short int", "int16", "int16_t"),
    "u2": ("ushort", "unsigned short", "unsigned short int", "uint16", "uint16_t"),
    "i4": ("int", "signed int", "int32", "int32_t"),
    "u4": ("uint", "unsigned int", "uint32", "uint32_t"),
    "i8": ("longlong", "long long", "long long int", "signed long long", "signed long long int", "int64", "int64_t"),
    "u8": ("ulonglong", "unsigned long long", "unsigned long long int", "uint64", "uint64_t"),
    "f4": ("float",),
    "f8": ("double",),
}
_TYPE_OF: Final = {name: kind for kind, names in _TYPES.items() for name in names}
_PACKINGS: Final[Mapping[str, Packing]] = {
    "raw": "raw", "gzip": "gzip", "gz": "gzip", "bzip2": "bzip2", "bz2": "bzip2",
}  # fmt: skip
_SPACES: Final[Mapping[str, tuple[int, int, int]]] = {
    **dict.fromkeys(("right-anterior-superior", "ras"), (1, 1, 1)),
    **dict.fromkeys(("left-anterior-superior", "las"), (-1, 1, 1)),
    **dict.fromkeys(("left-posterior-superior", "lps"), (-1, -1, 1)),
}
"""Signs that convert the axes of a space to right, anterior, superior."""
_MM_PER_UNIT: Final = {"": 1.0, "mm": 1.0, "millimeter": 1.0, "millimetre": 1.0, "cm": 10.0, "m": 1000.0, "um": 0.001,
                       "µm": 0.001, "micron": 0.001}  # fmt: skip
_TEXT: Final = frozenset({"ascii", "text", "txt"})
_OF_NUMBERS: Final = b"0123456789+-.eEnaifNAIF \t\r\n\f\v"
_SPATIAL: Final = frozenset({"domain", "space", "???", "none"})
_STEPS: Final = frozenset({"list", "time", "vector", "point", "stub", "scalar", "???", "none", "domain", "space"})
"""Axis kinds along which separate images may be stacked; along others (colours, tensors) a voxel is a unit."""


@dataclass(frozen=True, slots=True, eq=False)
class NrrdHeader:
    """Contents of a header: sizes, the axis that counts images (None for one image), storage, grid, notes."""

    sizes: tuple[int, ...]
    steps: int | None
    dtype: np.dtype[Any]
    packing: Packing | None
    """None if the voxels are written as text."""
    line_skip: int
    byte_skip: int
    data_file: Path | None
    grid: Grid
    notes: tuple[str, ...]


def read_nrrd_header(path: Path) -> NrrdHeader:
    """Read sizes and grid without the voxels; raises the same errors as `read_nrrd`."""
    with open_regular(path) as file:
        return _header(file, path)


def read_nrrd(path: Path) -> list[Volume]:
    """Read the images of a NRRD file: one, or one per step of a non-spatial axis.

    Returns
    -------
    list of Volume
        Arrays `(X, Y, Z)` in native byte order.

    Raises
    ------
    UnreadableFileError
        If the file is missing, empty, truncated or damaged, fails its checksum, or refers to voxels elsewhere.
    DimensionError
        If it does not have three spatial axes, or has one of colours or tensors.
    """
    header, values, notes = read_header_and_voxels(path, _header, _voxels)
    if header.steps is not None:
        values = np.moveaxis(values, header.steps, -1)
        values = values[..., 0] if values.shape[-1] == 1 else values
    return split_images(values, short_name(path), header.grid, path, (*header.notes, *notes))


def nrrd_bytes(labels: npt.NDArray[np.uint8], grid: Grid, entries: Mapping[str, str] | None = None) -> bytes:
    """Return labels `(X, Y, Z)` as a NRRD file with compressed voxels; `entries` become custom header fields."""
    axes, origin = matrix_in_lps(grid)
    lines = [
        "NRRD0004",
        "type: uint8",
        "dimension: 3",
        "space: left-posterior-superior",
        f"sizes: {' '.join(map(str, labels.shape))}",
        f"space directions: {' '.join(map(_vector, axes.T))}",
        "kinds: domain domain domain",
        "encoding: gzip",
        f"space origin: {_vector(origin)}",
        *(f"{key}:={text}" for key, text in (entries or {}).items()),
    ]
    # No time stamp, so that the same labels give the same bytes.
    return "".join(f"{line}\n" for line in (*lines, "")).encode("ascii") + gzip.compress(
        labels.tobytes(order="F"), compresslevel=6, mtime=0
    )


def _vector(values: npt.NDArray[np.float64]) -> str:
    return f"({','.join(repr(float(value)) for value in values)})"


def _voxels(file: BinaryIO, header: NrrdHeader, path: Path) -> tuple[Array, tuple[str, ...]]:
    for _ in range(header.line_skip):
        if not file.readline(_HEADER_BYTES):
            break
    if header.packing is None:
        return _numbers(file, header, path), ()
    return read_voxels(file, path, header.packing, header.dtype, header.sizes, skip=header.byte_skip)


def _numbers(file: BinaryIO, header: NrrdHeader, path: Path) -> Array:
    """Read voxels that are written as text."""
    file.seek(header.byte_skip, os.SEEK_CUR)
    content = file.read()
    count = math.prod(header.sizes)
    # Any other character would stop numpy's parser with no more than a warning.
    odd = content.translate(None, _OF_NUMBERS)[:1]
    values = np.array([])
    if not odd and 2 * count <= len(content) + 1:
        with suppress(ValueError):  # such as 1-2: valid characters in an invalid order
            values = np.fromstring(content, np.float64, sep=" ")
    if len(values) != count:
        there = "other text" if odd else f"{len(values)} that can be read"
        raise UnreadableFileError(f"{path.name} promises {count} numbers as text and holds {there}. Copy it again.")
    with np.errstate(all="ignore"):
        typed = values.astype(header.dtype)
    if header.dtype.kind != "f" and not np.array_equal(typed, values):
        msg = f"{path.name} holds numbers that are no {header.dtype}, as its header says. Convert it from its source."
        raise UnreadableFileError(msg)
    return typed.reshape(header.sizes, order="F")


# The header -------------------------------------------------------------------------------------------------------


def _ruined(path: Path, why: str) -> UnreadableFileError:
    return UnreadableFileError(
        f"{path.name} has a header that cannot be used: {why}. Convert it again from its source, as .nii.gz."
    )


def _header(file: BinaryIO, path: Path) -> NrrdHeader:
    """Read the header of an open file, leaving it where the voxels begin if they are in the same file."""
    lines = _lines(file, path)
    with translated(partial(_ruined, path)), np.errstate(all="raise"):
        fields = dict(nrrd.read_header(lines))
    sizes = _sizes(fields, lines, path)
    steps = _steps_axis(fields, sizes, path)
    spatial = [axis for axis in range(len(sizes)) if axis != steps]
    grid, notes = _grid(fields, [sizes[axis] for axis in spatial], spatial, path)
    encoding = str(fields.get("encoding", "")).lower()
    packing = _PACKINGS.get(encoding)
    if packing is None and encoding not in _TEXT:
        raise _ruined(path, f"its encoding is {encoding[:40]!r}; expected raw, gzip, bzip2 or ascii")
    line_skip, byte_skip = _skips(fields, packing, path)
    data_file = _data_file(fields, path)
    dtype = _dtype(fields, path, swapped=packing is not None)
    return NrrdHeader(sizes, steps, dtype, packing, line_skip, byte_skip, data_file, grid, notes)


def _lines(file: BinaryIO, path: Path) -> list[str]:
    """Return the lines of a header up to the empty line, with field names in lower case."""
    first = file.readline(64)
    if not re.fullmatch(rb"NRRD000[1-5]\s*", first):
        what = "is empty. Copy or download it again." if not first else "is not a NRRD file of version 1 to 5."
        raise UnreadableFileError(f"{path.name} {what}")
    lines, left = [first.decode("ascii")], _HEADER_BYTES
    while True:
        line = file.readline(left)
        left -= len(line)
        if left <= 0:
            raise _ruined(path, "it does not end")
        text = line.decode("latin-1").rstrip()
        if not text:
            return lines
        lines.append(_lower_field(text))


def _lower_field(line: str) -> str:
    field, colon, value = line.partition(":")
    return line if line.startswith("#") or value.startswith("=") else f"{field.strip().lower()}{colon}{value}"


def _sizes(fields: Mapping[str, Any], lines: Sequence[str], path: Path) -> tuple[int, ...]:
    # Parsed from the text, because pynrrd would truncate 5.7 to 5.
    words = next((line.partition(":")[2].split() for line in lines if line.startswith("sizes:")), [])
    if not words or not all(re.fullmatch(r"\d{1,15}", word) and int(word) > 0 for word in words):
        raise _ruined(path, f"its sizes are {' '.join(words)[:60]!r}, expected whole numbers above 0")
    if fields.get("dimension") != len(words):
        raise _ruined(path, f"its dimension is {fields.get('dimension')}, but it states {len(words)} sizes")
    if len(words) not in (3, 4):
        msg = f"{path.name} has {len(words)} dimensions ({', '.join(words[:8])}); a sequence or segmentation has three."
        raise DimensionError(msg)
    return tuple(map(int, words))


def _steps_axis(fields: Mapping[str, Any], sizes: tuple[int, ...], path: Path) -> int | None:
    """Return the axis along which images are stacked, recognised by its kind or by having no spatial direction."""
    kinds = [str(kind).lower() for kind in fields.get("kinds", ())] or ["domain"] * len(sizes)
    if len(kinds) != len(sizes):
        raise _ruined(path, f"it states {len(kinds)} kinds for {len(sizes)} axes")
    directions = _directions(fields, len(sizes), path)
    apart = [
        axis
        for axis, kind in enumerate(kinds)
        if kind not in _SPATIAL or (directions is not None and not np.isfinite(directions[axis]).all())
    ]
    if not apart and len(sizes) == 4:
        apart = [3]
    if len(sizes) - len(apart) != 3:
        msg = f"{path.name} has {len(sizes) - len(apart)} axes of space (kinds {', '.join(kinds)}); an image has three."
        raise DimensionError(msg)
    if not apart:
        return None
    (axis,) = apart
    if kinds[axis] not in _STEPS and sizes[axis] > 1:
        raise DimensionError(
            f"{path.name} holds a {kinds[axis]} in each voxel; a sequence or segmentation holds one number. Convert it "
            "to single volumes first."
        )
    return axis


def _directions(fields: Mapping[str, Any], dims: int, path: Path) -> npt.NDArray[np.float64] | None:
    """Return the direction of each axis, one per row (non-finite if it has none); None if the header gives none."""
    vectors = fields.get("space directions")
    if vectors is None:
        return None
    rows = np.asarray(vectors, dtype=np.float64)
    if rows.shape != (dims, 3):
        raise _ruined(path, f"its space directions are {rows.shape[0]} vectors, expected {dims} of 3 numbers")
    return rows


def _grid(fields: Mapping[str, Any], shape: list[int], spatial: list[int], path: Path) -> tuple[Grid, tuple[str, ...]]:
    x, y, z = shape
    directions = _directions(fields, len(fields["sizes"]), path)
    if directions is None:
        return _grid_of_spacings(fields, (x, y, z), spatial, path)
    space = str(fields.get("space", "")).lower()
    signs, notes = _SPACES.get(space), []
    if signs is None:
        signs = _SPACES["lps"]
        notes.append(ORIENTATION_NOTE if not space else f"{ORIENTATION_NOTE} ({space[:60]!r} names no side.)")
    origin = np.asarray(fields.get("space origin", (np.nan,) * 3), dtype=np.float64)
    if origin.shape != (3,) or not np.isfinite(origin).all():
        origin = np.zeros(3)
        notes.append(POSITION_NOTE)
    factor, unit, more = _length(fields.get("space units"), (0, 1, 2))
    axes = np.diag(signs) @ directions[spatial].T * factor
    grid = grid_of_header((x, y, z), axes, np.asarray(signs) * origin * factor, unit, path.name)
    return grid, (*notes, *more)


def _grid_of_spacings(
    fields: Mapping[str, Any], shape: tuple[int, int, int], spatial: list[int], path: Path
) -> tuple[Grid, tuple[str, ...]]:
    spacings = np.asarray(fields.get("spacings", ()), dtype=np.float64)
    spacing = spacings[spatial] if len(spacings) == len(fields["sizes"]) else np.full(3, np.nan)
    if not np.isfinite(spacing).all():
        grid = grid_of_header(shape, LPS_TO_RAS, np.zeros(3), "voxel", path.name)
        return grid, (SPACING_NOTE, ORIENTATION_NOTE)
    if (spacing <= 0).any():
        raise _ruined(path, f"its spacings are {spacing.tolist()}, expected lengths above 0")
    factor, unit, notes = _length(fields.get("units"), spatial)
    axes = LPS_TO_RAS @ np.diag(spacing) * factor
    mins = fields.get("axis mins", fields.get("axismins"))
    unused = () if mins is None else (f"{POSITION_NOTE} (Its axis mins say for no side of the patient where that is.)",)
    return grid_of_header(shape, axes, np.zeros(3), unit, path.name), (ORIENTATION_NOTE, *unused, *notes)


def _length(units: Any, axes: Sequence[int]) -> tuple[float, LengthUnit, tuple[str, ...]]:
    """Return millimetres per unit; sizes count as voxels if the unit is not a known unit of length."""
    words = [str(word).strip().lower() for word in units or ()]
    axis_units = {words[axis] for axis in axes if axis < len(words)} or {""}
    if len(axis_units) == 1 and (word := axis_units.pop()) in _MM_PER_UNIT:
        return _MM_PER_UNIT[word], "mm", ()
    return 1.0, "voxel", (f"{SPACING_NOTE} (Its units are {' '.join(words)[:60]!r}.)",)


def _dtype(fields: Mapping[str, Any], path: Path, *, swapped: bool) -> np.dtype[Any]:
    name = str(fields.get("type", "")).lower()
    if name not in _TYPE_OF:
        raise _ruined(path, f"its type is {name[:40]!r}, which is not a plain number")
    kind = np.dtype(_TYPE_OF[name])
    endian = str(fields.get("endian", "")).lower()
    if not swapped:
        return kind
    if kind.itemsize > 1 and endian not in ("little", "big"):
        raise _ruined(path, f"its endian is {endian[:40]!r}, expected little or big")
    return kind.newbyteorder(">" if endian == "big" else "<")


def _skips(fields: Mapping[str, Any], packing: Packing | None, path: Path) -> tuple[int, int]:
    lines = fields.get("line skip", fields.get("lineskip", 0))
    count = fields.get("byte skip", fields.get("byteskip", 0))
    least = -1 if packing == "raw" else 0
    if not 0 <= lines <= _HEADER_BYTES or not least <= count <= np.iinfo(np.int64).max:
        raise _ruined(path, f"it skips {lines} lines and {count} bytes before its voxels")
    return lines, count


def _data_file(fields: Mapping[str, Any], path: Path) -> Path | None:
    name = fields.get("data file", fields.get("datafile"))
    if name is None:
        return None
    if str(name).upper().split()[:1] == ["LIST"] or "%" in str(name):
        raise _ruined(path, f"its voxels are in many files ({str(name)[:40]!r}); only one file is read")
    return file_beside(path, os.fspath(str(name)))
