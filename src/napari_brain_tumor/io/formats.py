"""Table of all file formats: their names, suffixes, and the modules that read and write them.

To add a format, add an entry here and a module that reads or writes it; panels, command line and messages use the
table.
"""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Final

from napari_brain_tumor.errors import SaveError


@dataclass(frozen=True, slots=True)
class FileFormat:
    """Description of a file format.

    Parameters
    ----------
    name : str
        Name used in options and in Python.
    title : str
        Name shown to users.
    suffixes : tuple of str
        Suffixes of files read as scans, in lower case, longest first; empty if none are read.
    saved : tuple of str
        Suffixes of files that are written, the usual one first. The empty suffix stands for a folder.
    also : tuple of str
        Alternative spellings of these suffixes.
    reader : str
        `module:function` in this package that takes a path and returns a list of `Volume`; empty if not readable.
    writer : str
        `module:function` in this package that takes segmentation, path and `SaveOptions` and returns an `Output`;
        empty if not writable.
    labels : bool
        Whether labels can be opened again from the written file.
    offered : bool
        Whether the format is registered with napari for reading files and writing labels.
    """

    name: str
    title: str
    suffixes: tuple[str, ...] = ()
    saved: tuple[str, ...] = ()
    also: tuple[str, ...] = ()
    reader: str = ""
    writer: str = ""
    labels: bool = False
    offered: bool = False

    def fits(self, path: Path) -> bool:
        """Whether a file name has one of the suffixes read in this format, regardless of case."""
        return bool(self.suffixes) and path.name.lower().endswith(self.suffixes)

    @property
    def is_folder(self) -> bool:
        """Whether the format is written into a folder."""
        return self.saved == ("",)


NIFTI: Final = FileFormat(
    "nifti",
    "NIfTI",
    suffixes=(".nii.gz", ".nii"),
    saved=(".nii.gz", ".nii"),
    reader="nifti:read_nifti",
    writer="write_nifti:nifti_output",
    labels=True,
    offered=True,
)
NIFTI_PAIR: Final = FileFormat(
    "nifti-pair",
    "NIfTI pair",
    suffixes=(".hdr.gz", ".hdr"),
    also=(".img.gz", ".img"),  # the voxels, stored beside the header
    reader="nifti:read_nifti",
)
NRRD: Final = FileFormat(
    "nrrd",
    "NRRD",
    suffixes=(".nrrd", ".nhdr"),
    saved=(".nrrd",),
    reader="nrrd:read_nrrd",
    writer="write_medical:nrrd_output",
    labels=True,
    offered=True,
)
METAIMAGE: Final = FileFormat(
    "metaimage",
    "MetaImage",
    suffixes=(".mha", ".mhd"),
    saved=(".mha",),
    reader="metaimage:read_metaimage",
    writer="write_medical:metaimage_output",
    labels=True,
    offered=True,
)
# Not registered: napari would otherwise use this plugin for any TIFF, and for saving any labels.
TIFF: Final = FileFormat(
    "tiff",
    "TIFF, one stack",
    suffixes=(".tiff", ".tif"),
    saved=(".tif",),
    also=(".tiff",),
    reader="tiff:read_tif",
    writer="write_tiff:stack_output",
    labels=True,
)
MASKS: Final = FileFormat(
    "masks", "TIFF masks, one per slice", saved=("",), writer="write_tiff:masks_output", labels=True
)
DICOM: Final = FileFormat(
    "dicom", "DICOM series", suffixes=(".dicom", ".dcm", ".ima"), reader="dicom:read_volumes", offered=True
)
DICOM_SEG: Final = FileFormat(
    "dicom-seg", "DICOM segmentation", saved=(".dcm",), writer="dicom.write_seg:seg_output", labels=True
)
RTSTRUCT: Final = FileFormat(
    "rtstruct", "DICOM RT structure set", saved=(".dcm",), writer="dicom.write_rtstruct:rtstruct_output"
)
STL: Final = FileFormat("stl", "STL surfaces", saved=(".stl",), writer="write_surfaces:stl_output")
PLY: Final = FileFormat("ply", "PLY surfaces", saved=(".ply",), writer="write_surfaces:ply_output")
BIDS: Final = FileFormat("bids", "BIDS derivatives", saved=("",), writer="write_bids:bids_output", labels=True)

FORMATS: Final = (NIFTI, NIFTI_PAIR, NRRD, METAIMAGE, TIFF, MASKS, DICOM, DICOM_SEG, RTSTRUCT, STL, PLY, BIDS)
"""If two formats share a suffix for writing, the first is used when only the suffix is given."""

_KNOWN: Final = tuple(
    sorted(
        {suffix for entry in FORMATS for suffix in (*entry.suffixes, *entry.saved, *entry.also) if suffix},
        key=len,
        reverse=True,
    )
)
"""All suffixes, longest first."""


def image_suffixes() -> tuple[str, ...]:
    """Return the suffixes of files read as scans, other than DICOM."""
    return tuple(suffix for entry in FORMATS if entry is not DICOM for suffix in entry.suffixes)


def offered_suffixes() -> tuple[str, ...]:
    """Return the suffixes of files, other than DICOM, that are registered with napari."""
    return tuple(suffix for entry in FORMATS if entry is not DICOM and entry.offered for suffix in entry.suffixes)


def saved_formats() -> tuple[FileFormat, ...]:
    """Return the formats that can be written."""
    return tuple(entry for entry in FORMATS if entry.writer)


def saved_suffixes(*, labels: bool = False) -> tuple[str, ...]:
    """Return the suffixes of files that are written, without duplicates; optionally only those of label files."""
    formats = (entry for entry in saved_formats() if entry.labels or not labels)
    return tuple(dict.fromkeys(suffix for entry in formats for suffix in entry.saved if suffix))


def format_named(name: str) -> FileFormat:
    """Return the writable format with the given name.

    Raises
    ------
    SaveError
        If no writable format has that name; the message lists those that exist.
    """
    key = name.strip().lower()
    for entry in saved_formats():
        if entry.name == key:
            return entry
    known = ", ".join(entry.name for entry in saved_formats())
    raise SaveError(f"No file format is called {name!r}. Segmentations are saved as {known}.")


def format_to_write(path: Path, name: str | None = None) -> FileFormat:
    """Return the format to save a segmentation in: the named one, or else the one that matches the suffix.

    Raises
    ------
    SaveError
        If no format is written with that suffix, or the named format is written with a different suffix.
    """
    suffix = "" if path.is_dir() else split_suffix(path)[1]
    if name is not None:
        file_format = format_named(name)
        if file_format.is_folder or suffix in (*file_format.saved, *file_format.also):
            return file_format
        msg = f"{path.name} does not have a suffix of the format {file_format.name}: {', '.join(file_format.saved)}."
        raise SaveError(msg)
    for entry in saved_formats():
        if suffix in (*entry.saved, *entry.also):
            return entry
    raise SaveError(
        f"{path.name} has a suffix that cannot be written. Use one of {', '.join(saved_suffixes())}, or a folder for "
        "<patient>_<k>_mask.tif files."
    )


def split_suffix(path: Path) -> tuple[str, str]:
    """Split a file name into stem and suffix as in the table: `.nii.gz` is one suffix, that of `case.v2` is `.v2`.

    Examples
    --------
    >>> split_suffix(Path("scan.NII.gz")), split_suffix(Path("notes"))
    (('scan', '.nii.gz'), ('notes', ''))
    """
    name = path.name
    suffix = next((known for known in _KNOWN if name.lower().endswith(known)), path.suffix.lower())
    return name[: len(name) - len(suffix)], suffix


def is_known_suffix(suffix: str) -> bool:
    """Whether files with this lower-case suffix can be read or written."""
    return suffix in _KNOWN


def load(place: str) -> Callable[..., Any]:
    """Return the function that an entry names, imported only when needed because the modules import this table."""
    module, _, name = place.partition(":")
    function: Callable[..., Any] = getattr(import_module(f"napari_brain_tumor.io.{module}"), name)
    return function
