"""One 3-D image as a file holds it, before anybody says which sequence it is."""

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
    """One 3-D image of a file.

    Parameters
    ----------
    name : str
        What the file calls it: the base name, with the number of the volume or channel where there are several.
    array : (X, Y, Z) array
        Values in file order.
    grid : Grid
        Where the voxels lie.
    path : Path
        File or folder it was read from.
    channel : int or None
        Which volume or channel of the file; None where the file holds one image only.
    layout : NiftiForms, TifSlices or None
        What is needed to save a result as the source was.
    notes : tuple of str
        What the reader noticed and the user should know.
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
    """Time of the last change in ns and size of a file; None where it is no file, or is gone."""
    try:
        status = path.stat()
    except OSError:
        return None
    return (status.st_mtime_ns, status.st_size) if stat.S_ISREG(status.st_mode) else None


def split_images(values: Array, name: str, grid: Grid, path: Path, notes: tuple[str, ...]) -> list[Volume]:
    """The images of a file: one of `(X, Y, Z)`, or one per step of the last axis of `(X, Y, Z, N)`."""
    if values.ndim == 3:
        return [Volume(name, values, grid, path, None, None, notes)]
    return [
        Volume(f"{name} volume {i}", np.asfortranarray(values[..., i]), grid, path, i, None, notes)
        for i in range(values.shape[3])
    ]


def named_path(path: str | os.PathLike[str]) -> Path:
    """The path with `~` expanded; absolute if it has no name of its own, as `.` and `..`."""
    place = Path(path).expanduser()
    return Path(os.path.abspath(place)) if place.name in ("", "..") else place


def short_name(path: Path) -> str:
    """Base name without the suffixes of the files that are read or written: `scan.nii.gz` gives `scan`."""
    stem, suffix = split_suffix(path)
    return stem if is_known_suffix(suffix) else path.name


def integral_labels(array: Array, what: str) -> npt.NDArray[np.uint8]:
    """The same values as uint8, after making sure that they are whole numbers from 0 to 255, within 0.001.

    Parameters
    ----------
    array : array of any shape
        Labels as a file stores them, often float64 or uint16.
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
    """Whole numbers that a scaling in float left a little beside themselves."""
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
    """What is in a file; raises `UnreadableFileError` where it cannot be read or is empty."""
    content = read_regular(path)
    if not content:
        raise UnreadableFileError(f"{path.name} is empty (0 bytes). Copy or download it again.")
    return content
