"""Save segmentations: as NIfTI on the source's own grid, NRRD, MHA, a TIFF stack, or TIFF masks slice by slice."""

import os
import shutil
import uuid
from collections.abc import Callable
from os import PathLike
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import tifffile

from napari_brain_tumor.errors import BrainTumorError, SaveError, SpacingUnknownError
from napari_brain_tumor.geometry import Grid
from napari_brain_tumor.io import metaimage, nifti, nrrd, tiff
from napari_brain_tumor.io.atomic import flush_to_disk, write_atomically
from napari_brain_tumor.io.sidecar import read_sidecar, sidecar_text, write_sidecar
from napari_brain_tumor.io.volume import Volume, named_path
from napari_brain_tumor.io.write_nifti import SAME_PLACE_VOXELS, require, write_nifti
from napari_brain_tumor.labels import looks_like_labels, schema_named
from napari_brain_tumor.study import Segmentation, TifSlices

__all__ = ["save_segmentation"]

Labels = npt.NDArray[np.uint8]

_WRITABLE: Final = ".nii.gz, .nii, .nrrd, .mha, .tif, .tiff, or a folder for <patient>_<k>_mask.tif files"


def save_segmentation(
    segmentation: Segmentation, path: str | PathLike[str], schema: str = "MSD", *, sidecar: bool = True
) -> Path | list[Path]:
    """Save labels, re-open what was written, and only then replace an earlier file.

    Parameters
    ----------
    segmentation : Segmentation
        Our classes on the source's grid. Its `layout` decides the matrices and codes of a NIfTI header, and patient
        and slice numbers of masks.
    path : path-like
        The suffix chooses the format: `.nii.gz`, `.nii`, `.nrrd`, `.mha`, `.tif` (one `(Z, Y, X)` stack). A folder
        gets one `<patient>_<k>_mask.tif` per slice; masks there that this package did not write are not replaced.
    schema : str
        Which integers are written (`labels.SCHEMAS`): `"MSD"` is ours, `"BraTS"` means BraTS2018-2022,
        `"LGG-binary"` writes 0 and 255.
    sidecar : bool
        Whether provenance and the meaning of the integers are written beside it as JSON.

    Returns
    -------
    Path or list of Path
        The file; for a folder, the masks in order of their slices.

    Raises
    ------
    LabelSchemaError
        If the schema is unknown or cannot express a class.
    SpacingUnknownError
        If the format always states millimetres but the voxel size is not known.
    SaveError
        If the file cannot be written, or does not read back the same. Nothing half-written is left.

    Examples
    --------
    >>> save_segmentation(result, "case_seg.nii.gz", schema="BraTS")  # doctest: +SKIP
    PosixPath('case_seg.nii.gz')
    """
    target = named_path(path)
    chosen = schema_named(schema)
    values = chosen.encode(segmentation.data)
    if sidecar:
        # Asked first, so that nothing is written if the provenance cannot be.
        sidecar_text(segmentation, target, chosen.name)
    saved: Path | list[Path] = target
    if _is_folder(target):
        saved = _save_slices(values, segmentation, target)
    else:
        _refuse_to_replace_scan(target)
        writer = _writer_for(target)
        writer(values, segmentation, target)
    if sidecar:
        write_sidecar(segmentation, target, chosen.name)
    return saved


def _is_folder(target: Path) -> bool:
    return target.is_dir() or not target.suffix


def _writer_for(target: Path) -> Callable[[Labels, Segmentation, Path], None]:
    name = target.name.lower()
    if nifti.is_nifti(target):
        return _save_nifti
    if name.endswith((".nrrd", ".mha")):
        return _save_medical
    if tiff.is_tif(target):
        return _save_stack
    msg = f"{target.name} has a suffix that is not written. Possible are {_WRITABLE}."
    raise SaveError(msg)


def _refuse_to_replace_scan(target: Path) -> None:
    """A mistyped name must not cost the scan itself."""
    if not target.exists():
        return
    try:
        volumes = _read_back(target)
    except BrainTumorError:
        return
    if not all(looks_like_labels(volume.array, target.name) for volume in volumes):
        msg = f"{target.name} exists and holds an image, not labels. It is left as it is: choose another name."
        raise SaveError(msg)


def _read_back(path: Path) -> list[Volume]:
    if nifti.is_nifti(path):
        return nifti.read_nifti(path)
    if tiff.is_tif(path):
        return tiff.read_tif(path)
    return nrrd.read_nrrd(path) if nrrd.is_nrrd(path) else metaimage.read_metaimage(path)


def _save_nifti(values: Labels, segmentation: Segmentation, target: Path) -> None:
    write_nifti(values, segmentation.grid, segmentation.layout, target)


# NRRD and MHA -----------------------------------------------------------------------------------------------------


def _save_medical(values: Labels, segmentation: Segmentation, target: Path) -> None:
    if segmentation.grid.unit != "mm":
        msg = (
            f"{target.suffix} files always state millimetres, but the voxel size of this study is not known. Save as "
            ".nii.gz or .tif, or open the study with spacing_mm=(x, y, z)."
        )
        raise SpacingUnknownError(msg)
    as_bytes = nrrd.nrrd_bytes if nrrd.is_nrrd(target) else metaimage.metaimage_bytes
    content = as_bytes(values, segmentation.grid)
    write_atomically(
        target,
        lambda temporary: temporary.write_bytes(content),
        lambda temporary: _check_medical(temporary, values, segmentation.grid),
    )


def _check_medical(path: Path, values: Labels, grid: Grid) -> None:
    (volume,) = _read_back(path)
    require(volume.array.dtype == np.uint8, f"its type is {volume.array.dtype}, not uint8")
    require(volume.grid.same_place(grid, SAME_PLACE_VOXELS), "its voxels lie elsewhere in the world")
    require(np.array_equal(volume.array, values), "its labels differ")


# TIFF -------------------------------------------------------------------------------------------------------------


def _save_stack(values: Labels, _: Segmentation, target: Path) -> None:
    write_atomically(
        target,
        lambda temporary: _write_tif(temporary, values.transpose(2, 1, 0), "ZYX"),
        lambda temporary: _check_tif(temporary, values),
    )


def _save_slices(values: Labels, segmentation: Segmentation, folder: Path) -> list[Path]:
    """All masks are written and checked in a folder of their own before the first takes its place."""
    names = _mask_names(segmentation)
    _refuse_to_replace_truth(folder, names)
    staging = folder.with_name(f".{uuid.uuid4().hex[:12]}.{folder.name}")
    try:
        staging.mkdir(parents=True)
        for name, plane in zip(names, np.moveaxis(values, 2, 0), strict=True):
            _write_tif(staging / name, plane.T, "YX")
            flush_to_disk(staging / name)
            _check_tif(staging / name, plane[..., np.newaxis])
        _move_all(staging, folder, names)
    except Exception as error:
        msg = (
            f"The masks were not saved to {folder}: {getattr(error, 'strerror', None) or error}. Choose another place."
        )
        raise SaveError(msg) from error
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return [folder / name for name in names]


def _refuse_to_replace_truth(folder: Path, names: list[str]) -> None:
    """Masks of the same names without our sidecar are somebody's annotation: the patient's folder was chosen."""
    there = [name for name in names if (folder / name).exists()]
    if there and not read_sidecar(folder):
        msg = (
            f"{folder} holds {len(there)} masks that were not written by this program, such as {there[0]}. They are "
            "left as they are: choose another folder, or move them away first."
        )
        raise SaveError(msg)


def _mask_names(segmentation: Segmentation) -> list[str]:
    slices = segmentation.layout
    count = segmentation.grid.shape[2]
    if not isinstance(slices, TifSlices) or len(slices.numbers) != count:
        slices = TifSlices(segmentation.name, tuple(range(1, count + 1)))
    return [f"{slices.patient}_{number}_mask.tif" for number in slices.numbers]


def _move_all(staging: Path, folder: Path, names: list[str]) -> None:
    if not folder.exists():
        os.replace(staging, folder)
    else:
        for name in names:
            os.replace(staging / name, folder / name)
        flush_to_disk(folder)
    flush_to_disk(folder.parent)


def _write_tif(path: Path, planes: Labels, axes: str) -> None:
    tifffile.imwrite(
        path, np.ascontiguousarray(planes), photometric="minisblack", compression="zlib", metadata={"axes": axes}
    )


def _check_tif(path: Path, values: Labels) -> None:
    volumes = tiff.read_tif(path)
    require(len(volumes) == 1, f"it holds {len(volumes)} channels")
    require(volumes[0].array.dtype == np.uint8, f"its type is {volumes[0].array.dtype}, not uint8")
    require(np.array_equal(volumes[0].array, values), "its labels differ")
