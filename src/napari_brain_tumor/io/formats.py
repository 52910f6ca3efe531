"""Every file format in one table: what it is called, how its files end, and which module reads and writes it.

A new format is an entry here and a module that reads or writes it; panels, shell and messages take it from the table.
"""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Final

from napari_brain_tumor.errors import SaveError


@dataclass(frozen=True, slots=True)
class FileFormat:
    """One kind of files.

    Parameters
    ----------
    name : str
        As options and Python call it.
    title : str
        As people read it.
    suffixes : tuple of str
        Of the files that are read as scans, lower case, longest first; empty where none are.
    saved : tuple of str
        Of the files that are written, the usual one first. The empty suffix stands for a folder.
    also : tuple of str
        Other spellings of these.
    reader : str
        `module:function` in this package, from a path to a list of `Volume`s; empty where nothing is read.
    writer : str
        `module:function` in this package, from segmentation, path and `SaveOptions` to an `Output`; empty where
        nothing is written.
    labels : bool
        Whether the labels can be opened again from what is written.
    offered : bool
        Whether napari hands files of these suffixes to us, to read and to write labels.
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
        """Whether the name of a file ends as files of this format do that are read; case does not matter."""
        return bool(self.suffixes) and path.name.lower().endswith(self.suffixes)

    @property
    def is_folder(self) -> bool:
        """Whether it is written into a folder."""
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
    also=(".img.gz", ".img"),  # the voxels, which lie beside their header
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
# Not offered: napari would hand us everybody's TIFF, and save everybody's labels with us.
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
"""Of two formats that are written with one suffix, the first is meant where only the suffix is given."""

_KNOWN: Final = tuple(
    sorted(
        {suffix for entry in FORMATS for suffix in (*entry.suffixes, *entry.saved, *entry.also) if suffix},
        key=len,
        reverse=True,
    )
)
"""Every suffix, the longest first."""


def image_suffixes() -> tuple[str, ...]:
    """Suffixes of the files, other than DICOM, that are read as scans."""
    return tuple(suffix for entry in FORMATS if entry is not DICOM for suffix in entry.suffixes)


def offered_suffixes() -> tuple[str, ...]:
    """Suffixes of the files, other than DICOM, that napari hands to us."""
    return tuple(suffix for entry in FORMATS if entry is not DICOM and entry.offered for suffix in entry.suffixes)


def saved_formats() -> tuple[FileFormat, ...]:
    """The formats that are written."""
    return tuple(entry for entry in FORMATS if entry.writer)


def saved_suffixes(*, labels: bool = False) -> tuple[str, ...]:
    """Suffixes of the files that are written, each once; optionally only those that hold labels."""
    formats = (entry for entry in saved_formats() if entry.labels or not labels)
    return tuple(dict.fromkeys(suffix for entry in formats for suffix in entry.saved if suffix))


def format_named(name: str) -> FileFormat:
    """The format of that name, as it is written.

    Raises
    ------
    SaveError
        If none of that name is written; the message lists those that are.
    """
    key = name.strip().lower()
    for entry in saved_formats():
        if entry.name == key:
            return entry
    known = ", ".join(entry.name for entry in saved_formats())
    raise SaveError(f"No file format is called {name!r}. Segmentations are saved as {known}.")


def format_to_write(path: Path, name: str | None = None) -> FileFormat:
    """The format that a segmentation is saved in: the one that is named, else the one of its suffix.

    Raises
    ------
    SaveError
        If nothing is written with that suffix, or the format that is named is written with another suffix.
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
    """Stem and suffix of a file's name, as the table has it: `.nii.gz` is one, and of `case.v2` the suffix is `.v2`.

    Examples
    --------
    >>> split_suffix(Path("scan.NII.gz")), split_suffix(Path("notes"))
    (('scan', '.nii.gz'), ('notes', ''))
    """
    name = path.name
    suffix = next((known for known in _KNOWN if name.lower().endswith(known)), path.suffix.lower())
    return name[: len(name) - len(suffix)], suffix


def is_known_suffix(suffix: str) -> bool:
    """Whether files of that suffix, lower case, are read or written."""
    return suffix in _KNOWN


def load(place: str) -> Callable[..., Any]:
    """The function that an entry names: imported when it is needed, since the modules know the table."""
    module, _, name = place.partition(":")
    function: Callable[..., Any] = getattr(import_module(f"napari_brain_tumor.io.{module}"), name)
    return function
