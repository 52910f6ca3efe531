"""List and read the series in DICOM files and folders."""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from os.path import commonpath
from pathlib import Path
from typing import Final

from napari_brain_tumor.errors import UnreadableFileError
from napari_brain_tumor.io.dicom.description import (
    defect_of,
    described,
    first_few,
    numbered,
    without_copies,
    without_frames,
)
from napari_brain_tumor.io.dicom.evidence import BY_FOLDER
from napari_brain_tumor.io.dicom.files import DicomFiles, dicom_files
from napari_brain_tumor.io.dicom.grouping import split
from napari_brain_tumor.io.dicom.headers import Header, NoImage, header_of
from napari_brain_tumor.io.dicom.pixels import stack_pixels
from napari_brain_tumor.io.dicom.series import Series
from napari_brain_tumor.io.dicom.stack import arrange
from napari_brain_tumor.io.volume import Volume

_HIDDEN: Final = "sha256:"


@dataclass(frozen=True, slots=True)
class Contents:
    """DICOM contents of a folder.

    Parameters
    ----------
    series : tuple of Series
        Sorted by examination and number.
    notes : tuple of str
        Notes on other files that were not read.
    """

    series: tuple[Series, ...]
    notes: tuple[str, ...] = ()


def contents_of(place: Path) -> Contents:
    """Return the series below a folder or, for a file, those in its folder that it is part of.

    Raises
    ------
    UnreadableFileError
        If the folder cannot be listed, or the file is not part of a series.
    """
    if place.is_dir():
        return _contents(dicom_files(place))
    header = header_of(place)
    if isinstance(header, NoImage):
        if not (header.what or header.defect):  # a DICOMDIR stands for its folder
            return contents_of(place.parent)
        why = header.defect or f"it is {header.what}"
        msg = f"{place.name} is not part of a DICOM series that can be read: {why}. Open the folder of the series."
        raise UnreadableFileError(msg)
    beside = _contents(dicom_files(place.parent, deepest=0))
    return Contents(tuple(entry for entry in beside.series if place in _all_files(entry)))


def series_of_source(folder: Path, key: str | None) -> tuple[Series, ...]:
    """Return the series below a folder that a result was made from, by `Series.key`; all if no key is given."""
    return tuple(s for s in contents_of(folder).series if key in (None, s.key, s.uid, hidden_key(s.key)))


def hidden_key(key: str) -> str:
    """Return a hash that replaces a `Series.key` in records; only with the files can it be matched to the series.

    The UID itself could identify the patient in an archive.
    """
    return key if key.startswith(_HIDDEN) else _HIDDEN + hashlib.sha256(key.encode()).hexdigest()[:32]


def stamp_of(files: Iterable[Path]) -> tuple[int, int] | None:
    """Return the latest modification time of the files in ns and their total size; it changes with their contents."""
    try:
        known = [path.stat() for path in files]
    except OSError:
        return None
    return (max(status.st_mtime_ns for status in known), sum(status.st_size for status in known)) if known else None


def dates_at(place: Path) -> tuple[tuple[str, str], ...]:
    """Return the dates in the header of the first slice at a path, each with what it dates; empty if there are none."""
    files = [place] if place.is_file() else dicom_files(place).files
    headers = (header_of(path) for path in files)
    first = next((header for header in headers if isinstance(header, Header)), None)
    return () if first is None else first.facts.dates


def read_series(series: Series) -> Volume:
    """Read a series as one image `(X, Y, Z)`, with slices sorted by position.

    Raises
    ------
    UnreadableFileError
        If a file is damaged or the slices do not form a stack; the message says which and where.
    """
    if series.problem:
        raise UnreadableFileError(series.problem)
    stamp = stamp_of(series.files)
    copies = without_copies(series)
    stack = arrange(series.content.frames, series.title)
    notes = [*series.notes, *stack.notes, *copies]
    array = stack_pixels(stack.frames, series.title)
    name = series.description or series.folder.name
    return Volume(name, array, stack.grid, series.folder, notes=tuple(notes), series=series.key, stamp=stamp)


def read_volumes(place: Path) -> list[Volume]:
    """Read every series below a folder, or that a file is part of, as an image."""
    return [read_series(series) for series in contents_of(place).series]


def _all_files(series: Series) -> set[Path]:
    return {*series.files, *(twin.facts.file for _, twin in series.content.twins)}


def _contents(below: DicomFiles) -> Contents:
    headers = [header_of(path) for path in below.files]
    images = [entry for entry in headers if isinstance(entry, Header)]
    damaged = [entry for entry in headers if isinstance(entry, NoImage) and entry.defect]
    left = [entry for entry in headers if isinstance(entry, NoImage) and entry.what]
    groups: dict[tuple[str, str], list[Header]] = {}
    for header in images:
        groups.setdefault(header.facts.identity, []).append(header)
    series = [entry for group in groups.values() for entry in _series_of(group, damaged)]
    series = _without_shared_folders(series)
    if damaged and not series:
        first = damaged[0]
        msg = f"{first.file.name} cannot be read: {first.defect}. Copy it again, or export the series again."
        raise UnreadableFileError(msg)
    return Contents(numbered(series), (*_left_notes(left), *_other_notes(below.others, bool(series))))


def _without_shared_folders(series: Sequence[Series]) -> list[Series]:
    """Ignore the folder name as a description of a series if the folder contains several."""
    uids: dict[Path, set[str]] = {}
    for entry in series:
        for path in entry.files:
            uids.setdefault(path.parent, set()).add(entry.uid)
    return [
        replace(entry, role=None, reason="its description names no sequence", notes=entry.notes[:-1])
        if entry.reason == BY_FOLDER and len(uids[entry.files[0].parent]) > 1
        else entry
        for entry in series
    ]


def _left_notes(left: Sequence[NoImage]) -> list[str]:
    kinds: dict[str, list[str]] = {}
    for image in left:
        kinds.setdefault(image.what, []).append(image.file.name)
    return [f"Not opened, since it is {what}: {first_few(names)}." for what, names in kinds.items()]


def _other_notes(others: Sequence[Path], any_series: bool) -> list[str]:
    names = [path.name for path in others]
    return [f"Not read, since it is not DICOM: {first_few(names)}."] if names and any_series else []


def _series_of(headers: Sequence[Header], damaged: Sequence[NoImage]) -> list[Series]:
    """Return the stacks that share one series UID."""
    folders = {header.facts.file.parent for header in headers}
    suspects = [image for image in damaged if image.file.parent in folders]
    defect = defect_of(headers, suspects)
    folder = Path(commonpath(folders))
    frames = [frame for header in headers for frame in header.frames]
    if not frames:
        return [without_frames(headers[0].facts, defect)]
    parts = split(frames)
    several = len(parts) > 1
    return [
        replace(described(part, at if several else 0, len(parts), defect), folder=folder)
        for at, part in enumerate(parts, 1)
    ]
