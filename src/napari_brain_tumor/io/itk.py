"""DICOM series, read with SimpleITK.

ITK's world is LPS+ millimetres; ours is RAS+, so the first two rows of the matrix change sign. A voxel stays at the
same place in the patient.
"""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk

from napari_brain_tumor.errors import BrainTumorError, DimensionError, UnreadableFileError
from napari_brain_tumor.geometry import Grid
from napari_brain_tumor.io.volume import Volume

__all__ = [
    "DicomSeries",
    "affine_of_image",
    "find_series",
    "is_dicom",
    "read_series",
]

_LPS_TO_RAS: Final = np.diag([-1.0, -1.0, 1.0, 1.0])


@dataclass(frozen=True, slots=True)
class DicomSeries:
    """The files of one DICOM series in order, and what the scanner called it."""

    description: str
    uid: str
    files: tuple[Path, ...]


def is_dicom(path: Path) -> bool:
    """Whether a file is DICOM: `.dcm`, `.ima`, or the letters DICM after the preamble."""
    if path.suffix.lower() in (".dcm", ".ima"):
        return True
    # Series often have no suffix, or numbers for one (1.2.840...).
    if path.suffix and not re.fullmatch(r"\.\d+", path.suffix):
        return False
    try:
        with path.open("rb") as file:
            return file.read(132)[128:] == b"DICM"
    except OSError:
        return False


def find_series(folder: Path) -> tuple[DicomSeries, ...]:
    """The DICOM series among the files of one folder, subfolders not included."""
    if not any(is_dicom(path) for path in folder.iterdir() if path.is_file()):
        return ()
    with _quiet_itk():
        return tuple(_series(folder, uid) for uid in sitk.ImageSeriesReader.GetGDCMSeriesIDs(str(folder)))


def read_series(series: DicomSeries) -> Volume:
    """A DICOM series as one image `(X, Y, Z)`, slices in order of their position.

    Raises
    ------
    UnreadableFileError
        If a file does not open or the slices do not form a stack.
    """
    folder = series.files[0].parent
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames([str(f) for f in series.files])
    try:
        with _quiet_itk():
            image = reader.Execute()
    except RuntimeError as error:
        raise UnreadableFileError(_reason(folder, error)) from error
    name = series.description or folder.name
    volumes = _volumes(image, name, folder)
    if len(volumes) != 1:
        msg = f"The DICOM series {name} holds {len(volumes)} values per voxel; an MRI sequence holds one."
        raise DimensionError(msg)
    return replace(volumes[0], series=series.uid)


def affine_of_image(image: Any) -> npt.NDArray[np.float64]:
    """Voxel-to-world RAS+ mm matrix of a SimpleITK image's first three axes."""
    dims = image.GetDimension()
    direction = np.array(image.GetDirection()).reshape(dims, dims)[:3, :3]
    affine = np.eye(4)
    affine[:3, :3] = direction * np.array(image.GetSpacing()[:3])
    affine[:3, 3] = image.GetOrigin()[:3]
    return _LPS_TO_RAS @ affine


def _volumes(image: Any, name: str, path: Path) -> list[Volume]:
    dims, components = image.GetDimension(), image.GetNumberOfComponentsPerPixel()
    if dims not in (3, 4) or (dims == 4 and components > 1):
        msg = f"{path.name} has {dims} dimensions {image.GetSize()}; a sequence or segmentation has three."
        raise DimensionError(msg)
    if "complex" in image.GetPixelIDTypeAsString():
        msg = f"{path.name} holds complex values. MRI sequences and labels are plain numbers."
        raise UnreadableFileError(msg)
    values = sitk.GetArrayFromImage(image)
    try:
        grid = Grid(image.GetSize()[:3], affine_of_image(image))
    except BrainTumorError as error:
        msg = f"{path.name} has a ruined header: {error}"
        raise UnreadableFileError(msg) from error
    arrays = _split(values, dims, components)
    if len(arrays) == 1:
        return [Volume(name, arrays[0], grid, path)]
    return [Volume(f"{name} volume {i}", array, grid, path, i) for i, array in enumerate(arrays)]


def _split(values: npt.NDArray[Any], dims: int, components: int) -> Sequence[npt.NDArray[Any]]:
    if dims == 4:
        return [step.transpose(2, 1, 0) for step in values]
    if components > 1:
        return [np.ascontiguousarray(values[..., c]).transpose(2, 1, 0) for c in range(components)]
    return [values.transpose(2, 1, 0)]


def _series(folder: Path, uid: str) -> DicomSeries:
    files = tuple(Path(f) for f in sitk.ImageSeriesReader.GetGDCMSeriesFileNames(str(folder), uid))
    # The protocol's name stands in for a description that was removed with the patient's name.
    return DicomSeries(_tag(files[0], "0008|103e") or _tag(files[0], "0018|1030"), uid, files)


@contextmanager
def _quiet_itk() -> Iterator[None]:
    """Keep ITK's own warnings off the terminal: what matters of them is in our errors."""
    shown = sitk.ProcessObject.GetGlobalWarningDisplay()
    sitk.ProcessObject.GlobalWarningDisplayOff()
    try:
        yield
    finally:
        sitk.ProcessObject.SetGlobalWarningDisplay(shown)


def _tag(file: Path, key: str) -> str:
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(file))
    try:
        reader.ReadImageInformation()
    except RuntimeError:
        return ""
    return str(reader.GetMetaData(key)).strip() if reader.HasMetaDataKey(key) else ""


def _reason(path: Path, error: RuntimeError) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    why = lines[-1] if lines else "no reason given"
    return f"{path.name} cannot be read: {why}. Copy it again, or convert it from its source."
