"""NRRD and MetaImage (MHA, MHD), read with SimpleITK.

ITK's world is LPS+ millimetres; ours is RAS+, so the first two rows of the matrix change sign. A voxel stays at the
same place in the patient.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk

from napari_brain_tumor.errors import BrainTumorError, DimensionError, UnreadableFileError
from napari_brain_tumor.geometry import Grid
from napari_brain_tumor.io.volume import Volume, short_name

__all__ = [
    "affine_of_image",
    "image_of_labels",
    "is_itk",
    "read_itk",
]

_SUFFIXES: Final = (".nrrd", ".nhdr", ".mha", ".mhd")
_META_SUFFIXES: Final = (".mha", ".mhd")
_NRRD_SPACING: Final = (b"spacings:", b"space directions:")
_HEADER_BYTES: Final = 16_384
"""More than the text at the start of these files takes."""
_SPACING_NOTE: Final = (
    "The header does not tell the voxel size: sizes are in voxels until spacing_mm=(x, y, z) is given."
)
_LPS_TO_RAS: Final = np.diag([-1.0, -1.0, 1.0, 1.0])


def is_itk(path: Path) -> bool:
    """Whether the file name ends in `.nrrd`, `.nhdr`, `.mha` or `.mhd`, in any case."""
    return path.name.lower().endswith(_SUFFIXES)


def read_itk(path: Path) -> list[Volume]:
    """The images of a NRRD or MetaImage file: one, or one per component or fourth-axis step.

    Returns
    -------
    list of Volume
        Arrays `(X, Y, Z)`.

    Raises
    ------
    UnreadableFileError
        If the file is missing, empty, truncated or ruined.
    DimensionError
        If it has less than three or more than four dimensions.
    """
    if not path.is_file():
        msg = f"{path} cannot be read: no such file. Check the path."
        raise UnreadableFileError(msg)
    try:
        with _quiet_itk():
            image = sitk.ReadImage(str(path))
    except RuntimeError as error:
        raise UnreadableFileError(_reason(path, error)) from error
    volumes = _volumes(image, short_name(path), path)
    return volumes if tells_spacing(path) else [_in_voxels(volume) for volume in volumes]


def affine_of_image(image: Any) -> npt.NDArray[np.float64]:
    """Voxel-to-world RAS+ mm matrix of a SimpleITK image's first three axes."""
    dims = image.GetDimension()
    direction = np.array(image.GetDirection()).reshape(dims, dims)[:3, :3]
    affine = np.eye(4)
    affine[:3, :3] = direction * np.array(image.GetSpacing()[:3])
    affine[:3, 3] = image.GetOrigin()[:3]
    return _LPS_TO_RAS @ affine


def image_of_labels(data: npt.NDArray[np.uint8], grid: Grid) -> Any:
    """A SimpleITK image of labels `(X, Y, Z)` on a grid.

    Raises
    ------
    DimensionError
        If the grid is sheared, which these formats cannot express.
    """
    affine = _LPS_TO_RAS @ grid.affine
    spacing = np.asarray(grid.spacing)
    direction = affine[:3, :3] / spacing
    if not np.allclose(direction.T @ direction, np.eye(3), atol=1e-4):
        msg = "The axes of this grid are not at right angles, which NRRD and MHA cannot store. Save as .nii.gz."
        raise DimensionError(msg)
    image = sitk.GetImageFromArray(np.ascontiguousarray(data.transpose(2, 1, 0)))
    image.SetSpacing(spacing.tolist())
    image.SetDirection(direction.ravel().tolist())
    image.SetOrigin(affine[:3, 3].tolist())
    return image


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


def tells_spacing(path: Path) -> bool:
    """Whether the header states a voxel size; ITK says 1 mm where it does not."""
    with path.open("rb") as file:
        head = file.read(_HEADER_BYTES).lower()
    words = (b"elementspacing", b"elementsize") if path.suffix.lower() in _META_SUFFIXES else _NRRD_SPACING
    return any(word in head for word in words)


def _in_voxels(volume: Volume) -> Volume:
    return replace(volume, grid=Grid(volume.grid.shape, volume.grid.affine, "voxel"), notes=(_SPACING_NOTE,))


def _split(values: npt.NDArray[Any], dims: int, components: int) -> Sequence[npt.NDArray[Any]]:
    if dims == 4:
        return [step.transpose(2, 1, 0) for step in values]
    if components > 1:
        return [np.ascontiguousarray(values[..., c]).transpose(2, 1, 0) for c in range(components)]
    return [values.transpose(2, 1, 0)]


@contextmanager
def _quiet_itk() -> Iterator[None]:
    """Keep ITK's own warnings off the terminal: what matters of them is in our errors."""
    shown = sitk.ProcessObject.GetGlobalWarningDisplay()
    sitk.ProcessObject.GlobalWarningDisplayOff()
    try:
        yield
    finally:
        sitk.ProcessObject.SetGlobalWarningDisplay(shown)


def _reason(path: Path, error: RuntimeError) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    why = lines[-1] if lines else "no reason given"
    return f"{path.name} cannot be read: {why}. Copy it again, or convert it from its source."
