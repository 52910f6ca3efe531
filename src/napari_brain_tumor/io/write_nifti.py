"""Write NIfTI files with the source's own header matrices, and check that they read back the same."""

import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import nibabel as nib
import numpy as np
import numpy.typing as npt

from napari_brain_tumor.errors import BrainTumorError, SaveError
from napari_brain_tumor.geometry import Grid
from napari_brain_tumor.io import nifti
from napari_brain_tumor.io.atomic import Part, write_together
from napari_brain_tumor.io.meaning import Meaning, nifti_extension
from napari_brain_tumor.io.output import Output, SaveOptions
from napari_brain_tumor.labels import slabs_of
from napari_brain_tumor.study import FileLayout, NiftiForms, Segmentation
from napari_brain_tumor.types import Array

SAME_PLACE_VOXELS: Final = 1e-3
"""Tolerance in voxels for the position of saved voxels; rounding of the header to float32 stays below it."""
_LARGE_VOXELS: Final = 1 << 27
"""Larger volumes are compared in slabs rather than as a whole."""
_NIFTI1_MAX: Final = np.iinfo(np.int16).max


def write_nifti(
    values: Array,
    grid: Grid,
    layout: FileLayout,
    target: Path,
    *,
    comment: str = "",
    compresslevel: int = 6,
    overwrite: bool = True,
) -> None:
    """Write `(X, Y, Z)` or `(X, Y, Z, C)` values on a grid as `.nii` or `.nii.gz`, completely or not at all.

    The header gets the matrices and codes of `layout` if they still describe the grid. A grid of unknown spacing is
    marked as such in the file, and recognised on reading. An ASCII comment can be stored in the header.

    Raises
    ------
    SaveError
        If the file cannot be written or does not read back the same; without `overwrite`, also if it already exists.
    """
    part = nifti_part(values, grid, layout, target, comment=comment, compresslevel=compresslevel)
    write_together([part], overwrite=overwrite)


def nifti_part(
    values: Array, grid: Grid, layout: FileLayout, target: Path, *, comment: str = "", compresslevel: int = 6
) -> Part:
    """Return the file of `write_nifti` as a part, to be written together with others."""
    header = _header(values, grid, layout)
    extension = nifti_extension(comment) if comment else bytes(4)
    header["vox_offset"] = header.single_vox_offset + len(extension) - 4
    start = header.binaryblock + extension
    packed = _packed(start, values, compresslevel) if target.name.lower().endswith(".gz") else None

    def write(temporary: Path) -> None:
        if packed is not None:
            temporary.write_bytes(packed)
            return
        with temporary.open("wb") as file:
            file.writelines(_content(start, values))

    return Part(
        target,
        write,
        lambda temporary: _check(temporary, values, grid, header, comment),
    )


def _content(start: bytes, values: Array) -> Iterator[bytes]:
    """Yield the bytes of a file, a few slices at a time, so that a large volume is not copied as a whole."""
    yield start
    for slab in slabs_of(values):
        yield slab.tobytes(order="F")


def _packed(start: bytes, values: Array, compresslevel: int) -> bytes:
    """Return the same bytes compressed with gzip, without a time stamp so that the same values give the same bytes."""
    packer = zlib.compressobj(compresslevel, wbits=zlib.MAX_WBITS | 16)
    packed = b"".join(packer.compress(part) for part in _content(start, values))
    return packed + packer.flush()


def nifti_output(segmentation: Segmentation, target: Path, options: SaveOptions) -> Output:
    """Return the labels as a NIfTI file that contains the meaning of its integers."""
    meaning = Meaning.of(segmentation, options.schema)
    values = options.schema.encode(segmentation.data)
    part = nifti_part(values, segmentation.grid, segmentation.layout, target, comment=meaning.text)
    return Output([part], target, meaning, target)


def require(condition: bool, problem: str) -> None:
    """Raise `SaveError` with a description of the problem if a file did not read back as intended."""
    if not condition:
        raise SaveError(f"it did not read back as it was written, {problem}")


def _header(values: Array, grid: Grid, layout: FileLayout) -> Any:
    """Make a header for the values, with the source's own matrices and codes if they still describe the grid."""
    if isinstance(layout, NiftiForms):
        header = _header_with(values, grid, layout)
        if _same_affine(header.get_best_affine(), grid):
            return header
    code = 1 if grid.unit == "mm" else 2
    qform = grid.affine if _is_orthogonal(grid.affine) else None
    return _header_with(values, grid, NiftiForms(grid.affine, code, qform, code if qform is not None else 0))


def _header_with(values: Array, grid: Grid, forms: NiftiForms) -> Any:
    header = nib.Nifti2Header() if max(grid.shape) > _NIFTI1_MAX else nib.Nifti1Header()
    header.set_data_dtype(values.dtype)
    header.set_data_shape(values.shape)
    header.set_zooms((*grid.spacing, *(1.0,) * (values.ndim - 3)))
    if forms.qform is not None:
        header.set_qform(forms.qform, forms.qform_code)
    header.set_sform(forms.sform, forms.sform_code)
    if grid.unit == "mm":
        header.set_xyzt_units("mm")
    else:
        header["descrip"] = nifti.SPACING_UNKNOWN_MARK
    return header


def _is_orthogonal(affine: npt.NDArray[np.float64]) -> bool:
    directions = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
    return bool(np.allclose(directions.T @ directions, np.eye(3), atol=1e-5))


def _same_affine(affine: npt.NDArray[np.float64], grid: Grid) -> bool:
    try:
        return Grid(grid.shape, affine, grid.unit).same_place(grid, SAME_PLACE_VOXELS)
    except BrainTumorError:
        return False


def _check(path: Path, values: Array, grid: Grid, expected_header: Any, comment: str) -> None:
    """Re-open with nibabel, which is independent of the code that wrote the file."""
    image: Any = nib.load(path)
    header = image.header
    codes = ("sform_code", "qform_code", "xyzt_units")
    require(image.shape == values.shape, f"its shape is {image.shape}, not {values.shape}")
    require(header.get_data_dtype() == values.dtype, f"its type is {header.get_data_dtype()}, not {values.dtype}")
    require(_same_affine(image.affine, grid), "its voxels lie elsewhere in the world")
    require(np.array_equal(header.get_sform(), expected_header.get_sform()), "its sform changed")
    require(all(int(header[c]) == int(expected_header[c]) for c in codes), "its codes changed")
    require(_holds(path, values), "its values differ")
    require(not comment or comment in map(_text_of, header.extensions), "the meaning of its labels differs")


def _holds(path: Path, values: Array) -> bool:
    """Whether a file contains these values; a large file is read a few slices at a time."""
    if values.size <= _LARGE_VOXELS:
        pairs = zip(slabs_of(np.asarray(_voxels_of(path))), slabs_of(values), strict=True)
        return all(np.array_equal(own, meant) for own, meant in pairs)
    voxels, start = _voxels_of(path, keep_file_open=True), 0  # else each slab would decompress from the start again
    for slab in slabs_of(values):
        if not np.array_equal(np.asarray(voxels[..., start : start + slab.shape[-1]]), slab):
            return False
        start += slab.shape[-1]
    return True


def _voxels_of(path: Path, **options: Any) -> Any:
    image: Any = nib.load(path, **options)
    return image.dataobj


def _text_of(extension: Any) -> str:
    return bytes(extension.get_content()).rstrip(b"\0").decode("ascii", errors="replace")
