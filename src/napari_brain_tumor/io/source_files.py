"""Source files of a study's sequences, and their hashes, for the provenance of results."""

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from napari_brain_tumor.errors import BrainTumorError
from napari_brain_tumor.io import dicom, metaimage, nifti, nrrd
from napari_brain_tumor.io.formats import METAIMAGE, NRRD
from napari_brain_tumor.io.reading import slices_in
from napari_brain_tumor.io.regular_file import open_regular
from napari_brain_tumor.io.volume import file_stamp
from napari_brain_tumor.study import Role, Source


def source_files(source: Source) -> tuple[Path, ...]:
    """Return the files that a sequence is read from, the main one first, without other files in the same folder.

    Parameters
    ----------
    source : Source
        A file, a header with its voxel file, a folder of one patient's TIFF slices, or a folder of DICOM series.
    """
    path = source.path
    if path.is_file():
        return (path, *_voxel_files(path))
    if not path.is_dir():
        return ()
    slices = [file for patient in slices_in(path) for file in patient.images.values()]
    if slices:
        return tuple(slices)
    fitting = dicom.series_of_source(path, source.series)
    return tuple(dict.fromkeys(file for series in fitting for file in series.files))


def describe_sources(sources: Mapping[Role, Source]) -> dict[str, dict[str, Any]]:
    """Return path, volume and SHA-256 of every sequence, as stored in provenance; each file is read once.

    A file that was changed since its sequence was read has no hash, because it would describe other bytes
    (`changes_since_read` reports it). For several files, `sha256` is the hash of their concatenated hashes, and `files`
    lists each by name, once for all sequences that share them.
    """
    described: dict[str, dict[str, Any]] = {}
    known: dict[tuple[Path, str | None], str] = {}
    for role, source in sources.items():
        place = source.path, source.series
        entry: dict[str, Any] = {"path": str(source.path)}
        if place not in known:
            hashes = {file: file_sha256(file) for file in source_files(source)}
            known[place] = "" if _was_changed(source) else combined_sha256(hashes.values())
            if len(hashes) > 1:
                entry["files"] = {file.name: sha256 for file, sha256 in hashes.items()}
        if known[place]:
            entry["sha256"] = known[place]
        entry |= {"channel": source.channel} if source.channel is not None else {}
        entry |= {"series": source.series} if source.series is not None else {}
        described[role] = entry
    return described


def changes_since_read(sources: Mapping[Role, Source]) -> tuple[str, ...]:
    """Return a note for every file that has been changed, replaced or removed since its sequence was read."""
    changed = dict.fromkeys(source.path for source in sources.values() if _was_changed(source))
    return tuple(
        f"{path.name} was changed after it was read: the result is from its earlier content, so its hash is not "
        "recorded."
        for path in changed
    )


def _was_changed(source: Source) -> bool:
    if source.stamp is None:
        return False
    if source.series is None:
        return file_stamp(source.path) != source.stamp
    try:
        return dicom.stamp_of(source_files(source)) != source.stamp
    except BrainTumorError:  # the file can no longer be read
        return True


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file's bytes; raises `UnreadableFileError` if it is missing or not a regular file."""
    with open_regular(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def labels_files_sha256(path: Path) -> str:
    """Return the hash of a label file, or of the masks in a folder, in order; empty if there are none."""
    files = [path] if path.is_file() else [mask for patient in slices_in(path) for mask in patient.masks.values()]
    return combined_sha256(map(file_sha256, files))


def combined_sha256(hashes: Iterable[str]) -> str:
    """Return a single hash unchanged, or the hash of several hashes in order; empty if there are none."""
    several = list(hashes)
    if len(several) < 2:
        return "".join(several)
    return hashlib.sha256(b"".join(map(bytes.fromhex, several))).hexdigest()


def _voxel_files(header: Path) -> tuple[Path, ...]:
    if (voxels := nifti.voxels_of_pair(header)) is not None:
        return (voxels,)
    if not (NRRD.fits(header) or METAIMAGE.fits(header)):
        return ()
    read = nrrd.read_nrrd_header if NRRD.fits(header) else metaimage.read_metaimage_header
    try:
        data_file = read(header).data_file
    except BrainTumorError:
        return ()  # nothing was read from it in the first place
    return () if data_file is None else (data_file,)
