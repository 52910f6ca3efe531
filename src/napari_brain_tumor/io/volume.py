"""A single 3-D image as read from a file, before it is assigned to a sequence."""

import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from napari_brain_tumor.errors import DimensionError, LabelSchemaError, UnreadableFileError
from napari_brain_tumor.geometry import Grid
from napari_brain_tumor.io.formats import is_known_suffix, split_suffix
from napari_brain_tumor.io.regular_file import read_regular
from napari_brain_tumor.labels import LABEL_TOLERANCE
from napari_brain_tumor.study import FileLayout
from napari_brain_tumor.types import Array

ORIENTATION_NOTE: Final = (
    "The header states no orientation: the axes are taken to run to the patient's left, back and head; left/right is a "
    "guess."
)
POSITION_NOTE: Final = "The header states no position: the first voxel is taken to lie at the origin, which is a guess."
SPACING_NOTE: Final = (
    "The header does not state the voxel size: sizes are in voxels until spacing_mm=(x, y, z) is given."
)


@dataclass(frozen=True, slots=True, eq=False)
class Volume:
    """A single 3-D image of a file.

    Parameters
    ----------
    name : str
        Base name of the file, with the number of the volume or channel if there are several.
    array : (X, Y, Z) array
        Values in file order.
    grid : Grid
        Position of the voxels in space.
    path : Path
        File or folder the image was read from.
    channel : int or None
        Index of the volume or channel in the file; None if the file contains only one image.
    layout : NiftiForms, TifSlices or None
        Information needed to save a result in the same form as the source.
    notes : tuple of str
        Notes for the user made while reading.
    series : str or None
        UID of the DICOM series; None for other files.
    stamp : (int, int) or None
        `file_stamp` of the file just before it was read; None for folders.
    """

    name: str
    array: Array
    grid: Grid
    path: Path
    channel: int | None = None
    layout: FileLayout = None
    notes: tuple[str, ...] = ()
    series: str | None = None
    stamp: tuple[int, int] | None = None


def file_stamp(path: Path) -> tuple[int, int] | None:
    """Return modification time in ns and size of a file; None if it is not a file or does not exist."""
    try:
        status = path.stat()
    except OSError:
        return None
    return (status.st_mtime_ns, status.st_size) if stat.S_ISREG(status.st_mode) else None


def split_images(values: Array, name: str, grid: Grid, path: Path, notes: tuple[str, ...]) -> list[Volume]:
    """Return the images of a file: one of `(X, Y, Z)`, or one per step of the last axis of `(X, Y, Z, N)`."""
    if values.ndim == 3:
        return [Volume(name, values, grid, path, None, None, notes)]
    return [
        Volume(f"{name} volume {i}", np.asfortranarray(values[..., i]), grid, path, i, None, notes)
        for i in range(values.shape[3])
    ]


def named_path(path: str | os.PathLike[str]) -> Path:
    """Return the path with `~` expanded, made absolute if it has no name itself, such as `.` and `..`."""
    place = Path(path).expanduser()
    return Path(os.path.abspath(place)) if place.name in ("", "..") else place


def short_name(path: Path) -> str:
    """Return the base name without known file suffixes: `scan.nii.gz` gives `scan`."""
    stem, suffix = split_suffix(path)
    return stem if is_known_suffix(suffix) else path.name


def integral_labels(array: Array, what: str) -> npt.NDArray[np.uint8]:
    """Return the values as uint8 after checking that they are whole numbers from 0 to 255, within 0.001.

    Parameters
    ----------
    array : array of any shape
        Labels as stored in a file, often float64 or uint16.
    what : str
        Name of the file, for messages.

    Raises
    ------
    LabelSchemaError
        For NaN, fractions, negative values or values above 255.
    """
    if array.size == 0:
        raise DimensionError(f"{what} holds no voxel at all.")
    if array.dtype == np.uint8:
        return array
    if not np.isfinite(array).all():
        count = int(array.size - np.isfinite(array).sum())
        msg = f"{what} holds {count} NaN or infinite values; labels are whole numbers. Export the labels again."
        raise LabelSchemaError(msg)
    values = _rounded(array, what) if array.dtype.kind == "f" else array
    low, high = values.min(), values.max()
    if low < 0 or high > 255:
        msg = f"{what} holds values from {low:g} to {high:g}; labels lie between 0 and 255. Is it an image?"
        raise LabelSchemaError(msg)
    return values.astype(np.uint8)


def _rounded(array: Array, what: str) -> Array:
    """Round whole numbers that are slightly off because of floating-point scaling."""
    values = np.rint(array)
    away = np.abs(array - values)
    count = int(np.count_nonzero(away > LABEL_TOLERANCE))
    if count:
        raise LabelSchemaError(
            f"{what} holds {count} values that are not whole numbers, such as {array.flat[int(away.argmax())]:.6g}, so "
            "it is an image or a probability map, not labels. Open it as an image, or threshold it first."
        )
    return values


def file_bytes(path: Path) -> bytes:
    """Return the contents of a file; raises `UnreadableFileError` if it cannot be read or is empty."""
    content = read_regular(path)
    if not content:
        raise UnreadableFileError(f"{path.name} is empty (0 bytes). Copy or download it again.")
    return content
