"""Save segmentations: as NIfTI on the source's own grid, NRRD, MHA, a TIFF stack, or TIFF masks slice by slice."""

import glob
import json
from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import Final

import numpy as np
import tifffile

from napari_brain_tumor.errors import BrainTumorError, SaveError, SpacingUnknownError
from napari_brain_tumor.geometry import Grid
from napari_brain_tumor.io import metaimage, nifti, nrrd, tiff
from napari_brain_tumor.io.atomic import Part, write_together
from napari_brain_tumor.io.meaning import KEY, Meaning, meaning_inside
from napari_brain_tumor.io.sidecar import read_sidecar, sidecar_part
from napari_brain_tumor.io.sidecar_paths import PathStyle
from napari_brain_tumor.io.volume import Volume, named_path
from napari_brain_tumor.io.write_nifti import SAME_PLACE_VOXELS, nifti_part, require
from napari_brain_tumor.labels import looks_like_labels, schema_named
from napari_brain_tumor.leftovers import finish_interrupted
from napari_brain_tumor.study import Segmentation, TifSlices
from napari_brain_tumor.types import Labels

__all__ = ["save_segmentation"]


_WRITABLE: Final = ".nii.gz, .nii, .nrrd, .mha, .tif, .tiff, or a folder for <patient>_<k>_mask.tif files"


def save_segmentation(
    segmentation: Segmentation,
    path: str | PathLike[str],
    schema: str = "MSD",
    *,
    sidecar: bool = True,
    overwrite: bool = True,
    paths: PathStyle = "auto",
) -> Path | list[Path]:
    """Save labels and their record, re-open what was written, and only then replace earlier files.

    What the integers mean also travels inside each file, so that a copy without its JSON opens rightly.

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
    overwrite : bool
        Whether an earlier result may be replaced. If not, of two programs that save to one name at the same time the
        second is refused.
    paths : {"auto", "relative", "absolute", "names"}
        How the JSON names scans and models: relative to itself (`"auto"`: those that lie near, the others absolute),
        absolute, or without folders. Scans are found again by their hashes. But for `"absolute"`, UIDs of DICOM series
        are hashed too.

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
        If the files cannot be written, do not read back the same, or are there already and may not be replaced.
        Nothing half-written is left, and labels never get another result's JSON.

    Examples
    --------
    >>> save_segmentation(result, "case_seg.nii.gz", schema="BraTS")  # doctest: +SKIP
    PosixPath('case_seg.nii.gz')
    """
    finish_interrupted()
    target = named_path(path)
    target_schema = schema_named(schema)
    values = target_schema.encode(segmentation.data)
    meaning = Meaning.of(segmentation, target_schema)
    # Made first, so that nothing is written if the provenance cannot be.
    record = [sidecar_part(segmentation, meaning, target, paths=paths)] if sidecar else []
    if _is_folder(target):
        names = _mask_names(segmentation)
        parts = _slice_parts(values, meaning, target, names)
        write_together([*parts, *record], overwrite=overwrite)
        return [target / name for name in names]
    _refuse_to_replace_scan(target)
    write_together([_file_part(values, meaning, segmentation, target), *record], overwrite=overwrite)
    return target


def _is_folder(target: Path) -> bool:
    return target.is_dir() or not target.suffix


def _file_part(values: Labels, meaning: Meaning, segmentation: Segmentation, target: Path) -> Part:
    name = target.name.lower()
    if nifti.is_nifti(target):
        return nifti_part(values, segmentation.grid, segmentation.layout, target, comment=meaning.text)
    if name.endswith((".nrrd", ".mha")):
        return _medical_part(values, meaning, segmentation.grid, target)
    if tiff.is_tif(target):
        return Part(
            target,
            lambda temporary: _write_tif(temporary, values.transpose(2, 1, 0), "ZYX", meaning),
            lambda temporary: _check_tif(temporary, values, meaning),
        )
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


# NRRD and MHA -----------------------------------------------------------------------------------------------------


def _medical_part(values: Labels, meaning: Meaning, grid: Grid, target: Path) -> Part:
    if grid.unit != "mm":
        msg = (
            f"{target.suffix} files always state millimetres, but the voxel size of this study is not known. Save as "
            ".nii.gz or .tif, or open the study with spacing_mm=(x, y, z)."
        )
        raise SpacingUnknownError(msg)
    as_bytes = nrrd.nrrd_bytes if nrrd.is_nrrd(target) else metaimage.metaimage_bytes
    content = as_bytes(values, grid, {KEY: meaning.text})
    return Part(
        target,
        lambda temporary: temporary.write_bytes(content),
        lambda temporary: _check_medical(temporary, values, grid, meaning),
    )


def _check_medical(path: Path, values: Labels, grid: Grid, meaning: Meaning) -> None:
    (volume,) = _read_back(path)
    require(volume.array.dtype == np.uint8, f"its type is {volume.array.dtype}, not uint8")
    require(volume.grid.same_place(grid, SAME_PLACE_VOXELS), "its voxels lie elsewhere in the world")
    require(np.array_equal(volume.array, values), "its labels differ")
    _require_meaning(path, meaning)


def _require_meaning(path: Path, meaning: Meaning) -> None:
    read = meaning_inside(path)
    require(read is not None and read.document == meaning.document, "the meaning of its labels differs")


# TIFF -------------------------------------------------------------------------------------------------------------


def _slice_parts(values: Labels, meaning: Meaning, folder: Path, names: Sequence[str]) -> list[Part]:
    """The masks one by one where the folder is there, else the folder as a whole."""
    planes = {name: values[:, :, k : k + 1] for k, name in enumerate(names)}

    def write_folder(place: Path) -> None:
        place.mkdir()
        for name, plane in planes.items():
            _write_tif(place / name, plane[..., 0].T, "YX", meaning)

    def check_folder(place: Path) -> None:
        for name, plane in planes.items():
            _check_tif(place / name, plane, meaning)

    if not folder.exists():
        return [Part(folder, write_folder, check_folder)]
    _refuse_to_replace_truth(folder, names)
    return [_slice_part(folder / name, plane, meaning) for name, plane in planes.items()]


def _slice_part(path: Path, plane: Labels, meaning: Meaning) -> Part:
    return Part(
        path,
        lambda temporary: _write_tif(temporary, plane[..., 0].T, "YX", meaning),
        lambda temporary: _check_tif(temporary, plane, meaning),
    )


def _refuse_to_replace_truth(folder: Path, names: Sequence[str]) -> None:
    """Masks of the same names that say nothing of us are somebody's annotation: the patient's folder was chosen."""
    there = [name for name in names if (folder / name).exists()]
    if there and not read_sidecar(folder) and meaning_inside(folder) is None:
        msg = (
            f"{folder} holds {len(there)} masks that were not written by this program, such as {there[0]}. They are "
            "left as they are: choose another folder, or move them away first."
        )
        raise SaveError(msg)
    patient = names[0].rsplit("_", 2)[0]
    others = [
        path.name for path in sorted(folder.glob(f"{glob.escape(patient)}_*_mask.tif*")) if path.name not in names
    ]
    if others:
        msg = (
            f"{folder} holds {len(others)} masks of other slices of {patient}, such as {others[0]}: together with the "
            "new ones they would be a mixture. Choose another folder, or move them away first."
        )
        raise SaveError(msg)


def _mask_names(segmentation: Segmentation) -> list[str]:
    slices = segmentation.layout
    count = segmentation.grid.shape[2]
    if not isinstance(slices, TifSlices) or len(slices.numbers) != count:
        slices = TifSlices(segmentation.name, tuple(range(1, count + 1)))
    return [f"{slices.patient}_{number}_mask.tif" for number in slices.numbers]


def _write_tif(path: Path, planes: Labels, axes: str, meaning: Meaning) -> None:
    tifffile.imwrite(
        path,
        np.ascontiguousarray(planes),
        photometric="minisblack",
        compression="zlib",
        metadata={"axes": axes, **json.loads(meaning.text)},
    )


def _check_tif(path: Path, values: Labels, meaning: Meaning) -> None:
    volumes = tiff.read_tif(path)
    require(len(volumes) == 1, f"it holds {len(volumes)} channels")
    require(volumes[0].array.dtype == np.uint8, f"its type is {volumes[0].array.dtype}, not uint8")
    require(np.array_equal(volumes[0].array, values), "its labels differ")
    _require_meaning(path, meaning)
