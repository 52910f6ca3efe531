"""Read images from paths: the image files in a folder, and every 3-D image of a file in any format."""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_brain_tumor.errors import DimensionError, DuplicateRoleError, GridMismatchError, UnreadableFileError
from napari_brain_tumor.geometry import Grid
from napari_brain_tumor.io import dicom, metaimage, nifti, nrrd, tiff
from napari_brain_tumor.io.formats import DICOM, FORMATS, METAIMAGE, NIFTI, NIFTI_PAIR, NRRD, TIFF, image_suffixes, load
from napari_brain_tumor.io.volume import Volume, file_stamp, named_path
from napari_brain_tumor.study import Role

AnyPath = str | PathLike[str]
Spacing = tuple[float, float, float]


def open_image(path: AnyPath, *, spacing_mm: Spacing | None = None) -> list[tuple[str, npt.NDArray[Any], Grid]]:
    """Open every 3-D image of a file as (name, `(X, Y, Z)` array, grid); roles are not needed."""
    return [(volume.name, volume.array, volume.grid) for volume in open_volumes(path, spacing_mm=spacing_mm)]


def open_volumes(path: AnyPath, *, spacing_mm: Spacing | None = None) -> list[Volume]:
    """Open every 3-D image of a file as a `Volume`, which includes the reader's notes."""
    place = existing(path)
    if place.is_dir():
        volumes = dicom.read_volumes(place)
        if not volumes:
            msg = f"{place.name} is a folder without a DICOM series. Open a file, or the folder as a study."
            raise UnreadableFileError(msg)
        return volumes
    return read_volumes(place, spacing_mm)


def existing(path: AnyPath) -> Path:
    place = nifti.header_of_pair(named_path(path))
    if not place.exists():
        raise UnreadableFileError(f"{place} does not exist. Check the spelling of the path.")
    return place


def is_image(path: Path) -> bool:
    """Whether a path has the name of a readable image other than DICOM; of a pair only the header counts."""
    if NIFTI_PAIR.fits(path):
        return nifti.voxels_of_pair(path) is not None
    return path.name.lower().endswith(image_suffixes())


def visible(folder: Path) -> list[Path]:
    try:
        # Names that begin with a dot are hidden; macOS leaves `._scan.nii.gz` beside every copied file.
        return sorted(p for p in folder.iterdir() if not p.name.startswith("."))
    except OSError as error:
        msg = f"{folder} cannot be listed: {error.strerror or error}. Check the permissions."
        raise UnreadableFileError(msg) from error


def images_in(folder: Path) -> list[Path]:
    """Return the image files of a folder or, if it has none, those of its subfolders (one folder per sequence)."""
    entries = visible(folder)
    images = [p for p in entries if p.is_file() and is_image(p)]
    if images:
        return images
    return [p for sub in entries if sub.is_dir() for p in visible(sub) if p.is_file() and is_image(p)]


def folders_within(folder: Path, depth: int = 3) -> list[Path]:
    """Return a folder and its subfolders, a few levels deep."""
    inner = [p for p in visible(folder) if p.is_dir()] if depth else []
    return [folder, *(f for p in inner for f in folders_within(p, depth - 1))]


def grid_of(path: Path) -> Grid | None:
    """Read the grid of an image from its header alone; None for formats whose images must be read to determine it."""
    if NIFTI.fits(path) or nifti.is_pair(path):
        return nifti.read_nifti_header(nifti.header_of_pair(path)).grid
    if NRRD.fits(path):
        return nrrd.read_nrrd_header(path).grid
    return metaimage.read_metaimage_header(path).grid if METAIMAGE.fits(path) else None


def slices_in(folder: Path) -> tuple[tiff.SliceFiles, ...]:
    return tiff.find_slices([p for p in visible(folder) if p.is_file()])


def read_volumes(path: Path, spacing_mm: Spacing | None) -> list[Volume]:
    """Read every 3-D image of a file, with the file's stamp taken just before reading."""
    path = nifti.header_of_pair(path)
    stamp = file_stamp(path)
    volumes = _read_volumes(path, spacing_mm)
    # A DICOM series has a stamp for all its files.
    return [volume if volume.series is not None else replace(volume, stamp=stamp) for volume in volumes]


def _read_volumes(path: Path, spacing_mm: Spacing | None) -> list[Volume]:
    if TIFF.fits(path):
        return tiff.read_tif(path, spacing_mm)
    file_format = next(
        (candidate for candidate in FORMATS if candidate.reader and candidate.fits(path)),
        DICOM if dicom.is_dicom(path) else None,
    )
    if file_format is None:
        msg = f"{path.name} is not of a supported format. Supported are {', '.join(image_suffixes())} and DICOM series."
        raise UnreadableFileError(msg)
    return [with_spacing(volume, spacing_mm) for volume in load(file_format.reader)(path)]


def with_spacing(volume: Volume, spacing_mm: Spacing | None) -> Volume:
    if spacing_mm is None:
        return volume
    if volume.grid.unit == "mm":
        raise GridMismatchError(
            f"{volume.name} has its own geometry ({volume.grid.describe()}), so spacing_mm={spacing_mm} is not "
            "used. Leave it out; if the header is wrong, correct the header first."
        )
    affine = volume.grid.affine @ np.diag([*tiff.checked_spacing(spacing_mm), 1.0])
    return replace(volume, grid=Grid(volume.grid.shape, affine, "mm"), layout=None)


def read_files(files: Mapping[Role, Path], spacing_mm: Spacing | None) -> dict[Role, Volume]:
    # gzip releases the interpreter lock, so several files are decompressed in parallel.
    with ThreadPoolExecutor(max_workers=len(files) or 1) as pool:
        volumes = pool.map(lambda path: _single(path, spacing_mm), files.values())
        return dict(zip(files, volumes, strict=True))


def _single(path: Path, spacing_mm: Spacing | None) -> Volume:
    if path.is_dir():
        return with_spacing(_only_series(path), spacing_mm)
    volumes = read_volumes(path, spacing_mm)
    if len(volumes) > 1:
        raise DimensionError(
            f"{path.name} holds {len(volumes)} images, where one sequence was expected. Open it alone, with the roles "
            "of its volumes in order."
        )
    return volumes[0]


def _only_series(folder: Path) -> Volume:
    contents = dicom.contents_of(folder)
    if len(contents.series) != 1:
        msg = f"{folder.name} holds {len(contents.series)} DICOM series, where one was expected: pick it with series=."
        if contents.series:
            raise DuplicateRoleError(f"{msg}\n{dicom.listing(contents)}")
        raise UnreadableFileError(msg)
    return dicom.read_series(contents.series[0])
