"""Write segmentations as a TIFF stack, or as one mask per slice, and check that they read back the same."""

import glob
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import tifffile

from napari_brain_tumor.errors import SaveError
from napari_brain_tumor.io import tiff
from napari_brain_tumor.io.atomic import Part
from napari_brain_tumor.io.meaning import Meaning, meaning_inside, require_meaning
from napari_brain_tumor.io.output import Output, SaveOptions
from napari_brain_tumor.io.sidecar import read_sidecar
from napari_brain_tumor.io.write_nifti import require
from napari_brain_tumor.study import Segmentation, TifSlices
from napari_brain_tumor.types import Labels


def stack_output(segmentation: Segmentation, target: Path, options: SaveOptions) -> Output:
    """Return the labels as one TIFF with the axes Z, Y, X."""
    values, meaning = options.schema.encode(segmentation.data), Meaning.of(segmentation, options.schema)
    part = Part(
        target,
        lambda temporary: _write_tif(temporary, values.transpose(2, 1, 0), "ZYX", meaning),
        lambda temporary: _check_tif(temporary, values, meaning),
    )
    return Output([part], target, meaning, target)


def masks_output(segmentation: Segmentation, target: Path, options: SaveOptions) -> Output:
    """Return the labels as `<patient>_<k>_mask.tif` files in a folder."""
    values, meaning = options.schema.encode(segmentation.data), Meaning.of(segmentation, options.schema)
    names = _mask_names(segmentation)
    parts = _slice_parts(values, meaning, target, names)
    return Output(parts, [target / name for name in names], meaning, target)


def _slice_parts(values: Labels, meaning: Meaning, folder: Path, names: Sequence[str]) -> list[Part]:
    """Return the masks as separate parts if the folder exists, otherwise the folder as a single part."""
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
    """Raise if masks of these names were not written by this package: they are probably the patient's annotation."""
    there = [name for name in names if (folder / name).exists()]
    if there and not read_sidecar(folder) and meaning_inside(folder) is None:
        raise SaveError(
            f"{folder} holds {len(there)} masks that were not written by this program, such as {there[0]}. They are "
            "left as they are: choose another folder, or move them away first."
        )
    patient = names[0].rsplit("_", 2)[0]
    others = [
        path.name for path in sorted(folder.glob(f"{glob.escape(patient)}_*_mask.tif*")) if path.name not in names
    ]
    if others:
        raise SaveError(
            f"{folder} holds {len(others)} masks of other slices of {patient}, such as {others[0]}: together with the "
            "new ones they would be a mixture. Choose another folder, or move them away first."
        )


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
    require_meaning(path, meaning)
