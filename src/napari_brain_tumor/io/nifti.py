"""Read NIfTI-1 and NIfTI-2 files: values, grid, and the two matrices needed to write results back.

A file is either single or a pair of header (`.hdr`) and voxels (`.img`). The voxel-to-world matrix is the sform if its
code is set, otherwise the qform if its code is set, otherwise what follows from the voxel sizes alone (nibabel's
choice: first axis to the left, origin in the centre), with a note. No more of a compressed file is decompressed than
its header declares.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final

import nibabel as nib
import numpy as np
import numpy.typing as npt
from nibabel.volumeutils import apply_read_scaling

from napari_brain_tumor.errors import BrainTumorError, DimensionError, UnreadableFileError
from napari_brain_tumor.geometry import Grid, LengthUnit
from napari_brain_tumor.io.formats import NIFTI
from napari_brain_tumor.io.regular_file import open_regular
from napari_brain_tumor.io.volume import SPACING_NOTE, Volume, short_name
from napari_brain_tumor.io.voxel_data import Packing, read_header_and_voxels, read_voxels, unpacked
from napari_brain_tumor.study import NiftiForms
from napari_brain_tumor.types import Array

SPACING_UNKNOWN_MARK: Final = "voxel size unknown"
"""Text in the header's `descrip` of files that this package writes for a study of unknown spacing."""

_MM_PER_UNIT: Final = {0: 1.0, 1: 1000.0, 2: 1.0, 3: 0.001}
"""Millimetres per unit of length, by the lower bits of `xyzt_units`: unknown (taken as mm), metre, mm, micrometre."""

_HEADER_BYTES: Final = 540
"""Size of the NIfTI-2 header, the larger of the two."""

_THIN_HEAD_MM: Final = 50.0
"""If a stack of at least 16 slices covers less than this, the spacing of the head scan is most likely wrong."""


_LONGEST_QUATERNION: Final = 1.01
"""Quaternion length up to which an excess over 1 is taken for rounding; a longer one is invalid."""

_ODD_NUMBERS: Final = (ValueError, KeyError, OverflowError, FloatingPointError)
"""Exceptions raised for headers with NaN, infinite or unknown numbers."""

_RUINED_QFORM: Final = "The header's qform is not a rotation; it is not needed, the sform is used."


_PAIRS: Final = ((".hdr.gz", ".img.gz"), (".hdr", ".img"))


@dataclass(frozen=True, slots=True, eq=False)
class NiftiHeader:
    """Contents of a header: shape without trailing singletons, grid of the first three axes, matrices, notes."""

    packing: Packing
    data_file: Path | None
    """File with the voxels of a pair; None if they are in the same file as the header."""
    raw: Any
    shape: tuple[int, ...]
    grid: Grid
    forms: NiftiForms
    notes: tuple[str, ...]


def is_pair(path: Path) -> bool:
    """Whether the path is a header or voxel file of a pair and both files exist."""
    return any(_other(path, *ends) is not None for pair in _PAIRS for ends in (pair, pair[::-1]))


def header_of_pair(path: Path) -> Path:
    """Return the header of a pair if the path is its voxel file; any other path is returned unchanged."""
    return next((found for head, image in _PAIRS if (found := _other(path, image, head)) is not None), path)


def voxels_of_pair(header: Path) -> Path | None:
    """Return the voxel file beside the header of a pair; None if it is missing, or the path is not such a header."""
    return next((found for head, image in _PAIRS if (found := _other(header, head, image)) is not None), None)


def _other(path: Path, end: str, other: str) -> Path | None:
    """Return the other file of a pair: with the same compression, and with its suffix in the same case."""
    if not path.name.lower().endswith(end):
        return None
    suffix = other.upper() if path.name[-len(end) :].isupper() else other
    beside = path.with_name(path.name[: -len(end)] + suffix)
    return beside if beside.is_file() else None


def read_nifti_header(path: Path) -> NiftiHeader:
    """Read shape and grid of a NIfTI file without reading its voxels.

    Raises
    ------
    UnreadableFileError
        If the file is missing, empty or not NIfTI, or its header is damaged.
    DimensionError
        If the image has fewer than three or more than four dimensions.
    """
    with open_regular(path) as file:
        return _header(file, path)


def read_nifti(path: Path) -> list[Volume]:
    """Read the 3-D images of a NIfTI file, or of a pair by its header: one, or one per volume of a 4-D file.

    Integers stay integers unless the header scales them. The checksum of a gzip file is verified.

    Returns
    -------
    list of Volume
        Arrays `(X, Y, Z)` in file order, native byte order.

    Raises
    ------
    UnreadableFileError
        If the file is missing, empty, truncated, damaged, or contains complex or colour values.
    DimensionError
        If the image has fewer than three or more than four dimensions.
    """
    header, array, notes = read_header_and_voxels(path, _header, _voxels)
    name, notes = short_name(path), (*header.notes, *notes)
    if array.ndim == 3:
        return [Volume(name, array, header.grid, path, None, header.forms, notes)]
    return [
        Volume(f"{name} volume {i}", array[..., i], header.grid, path, i, header.forms, notes)
        for i in range(array.shape[3])
    ]


def _header(file: BinaryIO, path: Path) -> NiftiHeader:
    """Read the header of an open file, leaving it at the beginning."""
    packing = _packing(file)
    with unpacked(file, packing, path) as stream:
        content = stream.read(_HEADER_BYTES)
    file.seek(0)
    data_file = None
    if not NIFTI.fits(path):
        data_file = voxels_of_pair(path)
        if data_file is None:
            msg = f"{path.name} is a header without voxels: the file .img of the same name is not beside it."
            raise UnreadableFileError(msg)
    raw, tells_size = _raw_header(content, path, pair=data_file is not None)
    shape = _spatial_shape(raw, path)
    try:
        forms, affine, notes = _matrices(raw)
        by_sform = forms.sform_code > 0
        unit: LengthUnit = "mm" if (by_sform or tells_size) and _tells_spacing(raw, forms) else "voxel"
        grid = Grid(shape[:3], affine, unit)  # type: ignore[arg-type]
    except (BrainTumorError, nib.spatialimages.HeaderDataError, ValueError, OverflowError) as error:
        msg = f"{path.name} has a damaged header: {error} Convert it again from its source."
        raise UnreadableFileError(msg) from error
    return NiftiHeader(packing, data_file, raw, shape, grid, forms, (*notes, *_thin_head_notes(grid)))


def _packing(file: BinaryIO) -> Packing:
    """Return the compression of an open file, leaving it at the beginning."""
    packing: Packing = "gzip" if file.read(2) == b"\x1f\x8b" else "raw"
    file.seek(0)
    return packing


def _raw_header(content: bytes, path: Path, *, pair: bool) -> tuple[Any, bool]:
    """Return the header as repaired by nibabel, and whether all three voxel sizes were valid before."""
    if not content:
        raise UnreadableFileError(f"{path.name} is empty. Copy or download it again.")
    size = int.from_bytes(content[:4], "little")
    is_second = 540 in (size, int.from_bytes(content[:4], "big"))
    kinds: Any = (nib.Nifti1Pair, nib.Nifti2Pair) if pair else (nib.Nifti1Image, nib.Nifti2Image)
    kind = kinds[is_second].header_class
    length = 540 if is_second else 348
    magic = content[4:12] if is_second else content[344:348]
    if pair and not magic.startswith((b"ni1", b"ni2")):
        raise UnreadableFileError(_why_no_pair(path, magic))
    try:
        if len(content) < length:
            raise ValueError(f"it holds {len(content)} bytes, a header needs {length}.")
        header = kind(content[:length], check=True)
        sizes = np.asarray(kind(content[:length], check=False)["pixdim"][1:4], dtype=np.float64)
    except (nib.spatialimages.HeaderDataError, nib.wrapstruct.WrapStructError, *_ODD_NUMBERS) as error:
        msg = f"{path.name} is not a readable NIfTI file: {error} Convert or download it again."
        raise UnreadableFileError(msg) from error
    if not pair and not magic.startswith((b"n+1", b"n+2")):
        msg = f"{path.name} is not a single-file NIfTI image (its mark is {magic!r}). Convert it to .nii.gz."
        raise UnreadableFileError(msg)
    return header, bool(np.isfinite(sizes).all() and (sizes != 0).all())


def _why_no_pair(path: Path, magic: bytes) -> str:
    if not magic.strip(b"\0"):
        return (
            f"{path.name} is a header of Analyze 7.5, which does not distinguish left from right. Convert it with "
            "a program that knows where it comes from, as NIfTI (.nii.gz)."
        )
    return f"{path.name} is not the header of a NIfTI pair (its mark is {magic!r}). Convert it to .nii.gz."


def _spatial_shape(raw: Any, path: Path) -> tuple[int, ...]:
    try:
        full = tuple(int(n) for n in raw.get_data_shape())
    except nib.spatialimages.HeaderDataError:
        full = (0,)
    if any(n < 1 for n in full):
        msg = f"{path.name} has a damaged header: its shape is {full}. Convert it again from its source."
        raise UnreadableFileError(msg)
    shape = full
    while len(shape) > 3 and shape[-1] == 1:
        shape = shape[:-1]
    if len(shape) not in (3, 4):
        raise DimensionError(
            f"{path.name} has {len(full)} dimensions {full}. A study is made of 3-D images, or of one 4-D file "
            "with a sequence per volume. Choose or convert the file that holds the scan itself."
        )
    return shape


def _matrices(raw: Any) -> tuple[NiftiForms, npt.NDArray[np.float64], tuple[str, ...]]:
    """Return both matrices in mm, the one in use, and notes on the choice. The one not in use may be invalid."""
    scale = np.diag([*[_MM_PER_UNIT.get(int(raw["xyzt_units"]) & 7, 1.0)] * 3, 1.0])
    sform_code, qform_code = int(raw["sform_code"]), int(raw["qform_code"])
    with np.errstate(all="ignore"):
        sform = scale @ np.asarray(raw.get_sform(), dtype=np.float64)
    qform = _qform(raw, scale) if qform_code > 0 else None
    if sform_code > 0:
        forms = NiftiForms(sform, sform_code, qform, qform_code if qform is not None else 0)
        ruined = qform_code > 0 and qform is None
        notes = (_RUINED_QFORM,) if ruined else _disagreement_notes(raw, sform, qform)
        return forms, sform, notes or _size_notes(raw, sform)
    if not np.isfinite(sform).all():
        sform = np.diag([0.0, 0.0, 0.0, 1.0])  # as in a header that was never filled in
    forms = NiftiForms(sform, 0, qform, qform_code)
    if qform is not None:
        return forms, qform, ()
    if qform_code > 0:
        raise ValueError("its only matrix, the qform, is not that of a rotation.")
    note = "The header states no orientation (sform and qform codes are 0): left/right and the position are a guess."
    return forms, scale @ np.asarray(raw.get_base_affine(), dtype=np.float64), (note,)


def _is_usable(affine: npt.NDArray[np.float64]) -> bool:
    return bool(np.isfinite(affine).all() and abs(np.linalg.det(affine[:3, :3])) >= 1e-12)


def _qform(raw: Any, scale: npt.NDArray[np.float64]) -> npt.NDArray[np.float64] | None:
    """Return the qform in mm; None if it is invalid. A quaternion rounded to a few digits is renormalised."""
    rounded = np.array([float(raw[f"quatern_{name}"]) for name in "bcd"])
    length = np.linalg.norm(rounded)
    if not length <= _LONGEST_QUATERNION:
        return None
    header = raw.copy()
    if length > 1:
        for name, part in zip("bcd", rounded / length, strict=True):
            header[f"quatern_{name}"] = part
        header.quaternion_threshold = -1e-6
    try:
        with np.errstate(all="ignore"):
            qform = scale @ np.asarray(header.get_qform(), dtype=np.float64)
    except (ValueError, nib.spatialimages.HeaderDataError):
        return None
    return qform if _is_usable(qform) else None


def _disagreement_notes(
    raw: Any, sform: npt.NDArray[np.float64], qform: npt.NDArray[np.float64] | None
) -> tuple[str, ...]:
    if qform is None:
        return ()
    corners = np.array(np.meshgrid(*[(0, int(n) - 1) for n in raw.get_data_shape()[:3]])).reshape(3, -1)
    ones = np.ones((1, corners.shape[1]))
    away = np.linalg.norm(((sform - qform) @ np.vstack([corners, ones]))[:3], axis=0).max()
    if away <= 0.5:
        return ()
    return (f"The header's sform and qform disagree by up to {away:.1f} mm; the sform is used.",)


def _size_notes(raw: Any, sform: npt.NDArray[np.float64]) -> tuple[str, ...]:
    """Return a note if pixdim and sform disagree on the voxel size: a program may have scaled only one of them."""
    stated = np.abs(np.asarray(raw["pixdim"][1:4], dtype=np.float64)) * _MM_PER_UNIT.get(
        int(raw["xyzt_units"]) & 7, 1.0
    )
    with np.errstate(all="ignore"):
        used = np.linalg.norm(sform[:3, :3], axis=0)
        if not np.isfinite(stated).all() or (np.abs(stated - used) <= 0.05 * used).all():
            return ()
    if np.array_equal(np.asarray(raw["pixdim"][1:4]), (1.0, 1.0, 1.0)):
        return ()  # as in a header that was never filled in
    sizes = ["x".join(f"{s:.4g}" for s in each) for each in (stated, used)]
    return (f"The header's voxel size is {sizes[0]} mm, that of its matrix {sizes[1]} mm; the matrix is used.",)


def _tells_spacing(raw: Any, forms: NiftiForms) -> bool:
    """Whether sizes are in mm: not in files that we marked as of unknown spacing, nor in headers never filled in."""
    if int(raw["xyzt_units"]) & 7:
        return True
    if bytes(raw["descrip"].item()).decode("latin-1").startswith(SPACING_UNKNOWN_MARK):
        return False
    untouched = np.array_equal(np.asarray(raw["pixdim"][1:4]), (1.0, 1.0, 1.0))
    return bool(forms.sform_code or forms.qform_code or not untouched)


def _thin_head_notes(grid: Grid) -> tuple[str, ...]:
    if grid.unit != "mm":
        return (SPACING_NOTE,)
    thin = [n * s for n, s in zip(grid.shape, grid.spacing, strict=True) if n >= 16 and n * s < _THIN_HEAD_MM]
    if not thin:
        return ()
    size = "x".join(f"{s:.4g}" for s in grid.spacing)
    return (f"The header's voxel size of {size} mm makes the scan only {min(thin):.0f} mm thick: it may be false.",)


def _voxels(file: BinaryIO, header: NiftiHeader, path: Path) -> tuple[Array, tuple[str, ...]]:
    raw = header.raw
    packing = header.packing if header.data_file is None else _packing(file)
    stored = _stored_dtype(raw, path)
    offset, slope, intercept = _offset_and_scaling(raw, path)
    values, notes = read_voxels(file, path, packing, stored, header.shape, skip=offset)
    if slope is not None and (slope, intercept) != (1, 0):
        # Values of up to 16 bits keep their precision in float32, which takes half the memory.
        kind = np.float32 if stored.kind in "iu" and stored.itemsize <= 2 else np.float64
        with np.errstate(all="ignore"):  # non-finite values are reported when the study is made
            values = np.asarray(apply_read_scaling(values, kind(slope), kind(intercept)))
    return values, notes


def _offset_and_scaling(raw: Any, path: Path) -> tuple[int, float | None, float | None]:
    try:
        # An offset smaller than the header's own size means "right after the header".
        least = int(raw.single_vox_offset) if raw.is_single else 0
        offset = max(int(raw.get_data_offset()), least)
        slope, intercept = raw.get_slope_inter()
    except (nib.spatialimages.HeaderDataError, ValueError, OverflowError) as error:
        msg = f"{path.name} has a damaged header: {error}. Convert it again from its source."
        raise UnreadableFileError(msg) from error
    return offset, slope, intercept


def _stored_dtype(raw: Any, path: Path) -> np.dtype[Any]:
    try:
        dtype: np.dtype[Any] = np.dtype(raw.get_data_dtype())
    except nib.spatialimages.HeaderDataError as error:
        msg = f"{path.name} has a damaged header: {error}. Convert it again from its source."
        raise UnreadableFileError(msg) from error
    if dtype.kind not in "iuf" or dtype.itemsize > 8:
        kind = "colour" if dtype.fields else str(dtype)
        msg = f"{path.name} holds {kind} values. MRI sequences and labels are plain integer or real numbers."
        raise UnreadableFileError(msg)
    return dtype
