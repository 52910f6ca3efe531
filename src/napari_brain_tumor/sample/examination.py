"""A synthetic DICOM study to try `prepare` with: the sample as four series, its head turned between them."""

from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

import nibabel as nib
import numpy as np
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import UID, ExplicitVRLittleEndian

from napari_brain_tumor.geometry import Grid, resample
from napari_brain_tumor.types import Array, Float64Array

_ROOT: Final = "1.2.826.0.1.3680043.2.1125.77"
_MR: Final = "1.2.840.10008.5.1.4.1.1.4"
_ENHANCED_MR: Final = "1.2.840.10008.5.1.4.1.1.4.1"
_TO_LPS: Final = np.array([-1.0, -1.0, 1.0])
_GREY_LEVELS: Final = 1000.0

MOTIONS: Final[dict[str, tuple[float, tuple[float, float, float], tuple[float, float, float]]]] = {
    "T1c": (0.0, (1.0, 0.0, 0.0), (0.0, 0.0, 0.0)),
    "T1": (4.0, (1.0, 0.5, 0.0), (3.0, -2.0, 2.0)),
    "T2": (7.0, (0.0, 1.0, 1.0), (-5.0, 4.0, 3.0)),
    "FLAIR": (11.0, (1.0, 0.3, -0.6), (6.0, 8.0, -7.0)),
}
"""How the head was turned (degrees, axis) and shifted (mm) between the scan after contrast agent and each series."""

_GRIDS: Final[dict[str, tuple[tuple[int, int, int], tuple[float, float, float], str]]] = {
    "T1c": ((128, 144, 60), (1.5, 1.5, 3.0), "axial"),
    "T1": ((150, 130, 36), (1.4, 1.4, 5.0), "sagittal"),
    "T2": ((160, 190, 32), (1.1, 1.1, 5.5), "axial"),
    "FLAIR": ((140, 160, 34), (1.25, 1.25, 5.0), "axial"),
}
"""Columns, rows and slices of each series, their spacing, and the plane."""
_NAMES: Final = {"T1c": "AX T1 POST GAD", "T1": "SAG T1", "T2": "AX T2 TSE", "FLAIR": "AX T2 FLAIR"}
_NUMBERS: Final = {"T1": 2, "T2": 3, "FLAIR": 4, "T1c": 8}


def write_examination(folder: Path) -> dict[str, Float64Array]:
    """Write the sample as a DICOM study: a scout, four series on grids of their own, and a second, shorter FLAIR.

    Parameters
    ----------
    folder : Path
        One folder a series is made in it.

    Returns
    -------
    mapping of role to (4, 4) array
        How the head was moved: from the world of the scan after contrast agent to that of each series, RAS+ mm.
    """
    matrices: dict[str, Float64Array] = {}
    for role, number in _NUMBERS.items():
        matrices[role] = _motion(*MOTIONS[role])
        array, grid = _scanned(role, matrices[role])
        tags: dict[str, Any] = {"ContrastBolusAgent": "GADOVIST"} if role == "T1c" else {}
        write_dicom_series(folder / f"{number:02}_{role}", array, grid, _NAMES[role], number, tags)
        if role == "FLAIR":
            few, thick = _every_second(array, grid)
            write_dicom_series(folder / "05_FLAIR_short", few, thick, "AX T2 FLAIR REPEAT SHORT", 5)
        if role == "T2":
            scout = Grid((array.shape[0], array.shape[1], 3), grid.affine @ np.diag([1, 1, 8, 1]))
            tags = {"ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"]}
            write_dicom_series(folder / "01_scout", array[:, :, 4:28:8], scout, "3-PLANE LOC", 1, tags)
    return matrices


def write_dicom_series(
    folder: Path,
    array: Array,
    grid: Grid,
    description: str,
    number: int,
    tags: Mapping[str, Any] | None = None,
    *,
    enhanced: bool = False,
    study: str = "1",
) -> None:
    """Write an `(X, Y, Z)` array of whole numbers as a DICOM series, a slice a file, or one file of many frames.

    Parameters
    ----------
    array : (X, Y, Z) array
        Between 0 and 65535; slices along the last axis.
    grid : Grid
        Its axes are at right angles.
    number : int
        Of the series.
    tags : mapping of keyword to value, optional
        In every file.
    enhanced : bool
        One multi-frame file, as enhanced MR has it.
    study : str
        The end of the study's UID.
    """
    folder.mkdir(parents=True, exist_ok=True)
    values = np.ascontiguousarray(np.asarray(array).transpose(2, 1, 0).astype("<u2"))
    axes = grid.affine[:3, :3] / np.asarray(grid.spacing)
    orientation = [*(axes[:, 0] * _TO_LPS), *(axes[:, 1] * _TO_LPS)]
    positions = [grid.world((0, 0, k)) * _TO_LPS for k in range(array.shape[2])]
    place = _Geometry(
        [_text(one) for one in orientation],
        [[_text(one) for one in position] for position in positions],
        [_text(grid.spacing[1]), _text(grid.spacing[0])],
        _text(grid.spacing[2]),
    )
    head = {"SeriesDescription": description, "SeriesNumber": number} | dict(tags or {})
    head |= {"StudyInstanceUID": f"{_ROOT}.{study}", "SeriesInstanceUID": f"{_ROOT}.{study}.{number}"}
    head |= {"FrameOfReferenceUID": f"{_ROOT}.{study}.0"}
    if enhanced:
        _enhanced(values, place, head).save_as(folder / "frames.dcm", enforce_file_format=True)
        return
    for k, plane in enumerate(values):
        data = _file(_MR, f"{head['SeriesInstanceUID']}.{k + 1}", plane, head)
        data.InstanceNumber = k + 1
        data.ImageOrientationPatient = place.orientation
        data.ImagePositionPatient = place.positions[k]
        data.PixelSpacing, data.SliceThickness = place.pixels, place.thickness
        data.save_as(folder / f"{k + 1:03}.dcm", enforce_file_format=True)


class _Geometry:
    """Where the slices of a series lie, as DICOM has it."""

    def __init__(self, orientation: list[str], positions: list[list[str]], pixels: list[str], thickness: str) -> None:
        self.orientation, self.positions, self.pixels, self.thickness = orientation, positions, pixels, thickness


def _text(number: float) -> str:
    """A decimal string of DICOM: at most 16 letters."""
    return f"{number:.8g}"[:16]


def _file(kind: str, uid: str, plane: Array, head: Mapping[str, Any]) -> FileDataset:
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = UID(kind), UID(uid)
    data = FileDataset("", {}, file_meta=meta, preamble=bytes(128))
    known = {
        "SOPClassUID": kind,
        "SOPInstanceUID": uid,
        "Modality": "MR",
        "PatientID": "SYNTHETIC",
        "PatientName": "Synthetic",
        "PatientBirthDate": "",
        "PatientSex": "",
        "StudyDate": "20240301",
        "StudyTime": "101500",
        "StudyID": "1",
        "AccessionNumber": "",
        "ReferringPhysicianName": "",
        "Rows": plane.shape[-2],
        "Columns": plane.shape[-1],
        "SamplesPerPixel": 1,
        "PhotometricInterpretation": "MONOCHROME2",
        "BitsAllocated": 16,
        "BitsStored": 16,
        "HighBit": 15,
        "PixelRepresentation": 0,
        "ImageType": ["ORIGINAL", "PRIMARY", "M"],
    }
    for keyword, value in {**known, **head}.items():
        setattr(data, keyword, value)
    data.PixelData = plane.tobytes()
    data["PixelData"].VR = "OW"
    return data


def _enhanced(values: Array, place: _Geometry, head: Mapping[str, Any]) -> FileDataset:
    data = _file(_ENHANCED_MR, f"{head['SeriesInstanceUID']}.1", values, head)
    data.NumberOfFrames, data.InstanceNumber = len(values), 1
    shared = Dataset()
    shared.PixelMeasuresSequence = _item(PixelSpacing=place.pixels, SliceThickness=place.thickness)
    shared.PlaneOrientationSequence = _item(ImageOrientationPatient=place.orientation)
    data.SharedFunctionalGroupsSequence = Sequence([shared])
    frames = []
    for position in place.positions:
        frame = Dataset()
        frame.PlanePositionSequence = _item(ImagePositionPatient=position)
        frames.append(frame)
    data.PerFrameFunctionalGroupsSequence = Sequence(frames)
    return data


def _item(**tags: Any) -> Sequence:
    one = Dataset()
    for keyword, value in tags.items():
        setattr(one, keyword, value)
    return Sequence([one])


def _motion(degrees: float, axis: tuple[float, float, float], shift: tuple[float, float, float]) -> Float64Array:
    """Rodrigues' formula about an axis through the world's origin, then a shift."""
    x, y, z = np.asarray(axis) / np.linalg.norm(axis)
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    angle = np.deg2rad(degrees)
    matrix = np.eye(4)
    matrix[:3, :3] += np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross
    matrix[:3, 3] = shift
    return matrix


def _scanned(role: str, matrix: Float64Array) -> tuple[Array, Grid]:
    """What a scanner sees of a sequence of the sample when the head was moved."""
    image: Any = nib.load(str(files(__package__) / "synthetic_glioma" / f"synthetic_glioma_{_SUFFIXES[role]}.nii.gz"))
    source = np.asarray(image.dataobj)
    lies = Grid(source.shape, matrix @ image.affine)
    grid = _grid(role, lies.world((np.asarray(source.shape) - 1) / 2))
    values = resample(source.astype(np.float32), lies, grid)
    return np.round(values * np.float32(_GREY_LEVELS / max(float(values.max()), 1e-6))).astype(np.uint16), grid


def _grid(role: str, centre: Float64Array) -> Grid:
    shape, spacing, plane = _GRIDS[role]
    columns = np.array([[0, 0, 1], [-1, 0, 0], [0, -1, 0]]) if plane == "sagittal" else np.diag([-1, -1, 1])
    affine = np.eye(4)
    affine[:3, :3] = columns * spacing
    affine[:3, 3] = centre - affine[:3, :3] @ ((np.asarray(shape) - 1) / 2)
    return Grid(shape, affine)


def _every_second(array: Array, grid: Grid) -> tuple[Array, Grid]:
    few = array[:, :, ::2]
    return few, Grid(few.shape, grid.affine @ np.diag([1, 1, 2, 1]))


_SUFFIXES: Final = {"T1": "t1", "T1c": "t1ce", "T2": "t2", "FLAIR": "flair"}
