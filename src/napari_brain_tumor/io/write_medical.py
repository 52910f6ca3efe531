"""Write segmentations as NRRD and MetaImage, and check that they read back the same."""

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from napari_brain_tumor.errors import SpacingUnknownError
from napari_brain_tumor.geometry import Grid
from napari_brain_tumor.io import metaimage, nrrd
from napari_brain_tumor.io.atomic import Part
from napari_brain_tumor.io.meaning import KEY, Meaning, require_meaning
from napari_brain_tumor.io.output import Output, SaveOptions
from napari_brain_tumor.io.volume import Volume
from napari_brain_tumor.io.write_nifti import SAME_PLACE_VOXELS, require
from napari_brain_tumor.study import Segmentation
from napari_brain_tumor.types import Labels

Read = Callable[[Path], list[Volume]]


def nrrd_output(segmentation: Segmentation, target: Path, options: SaveOptions) -> Output:
    """Return the labels as a NRRD file."""
    return _output(segmentation, target, options, nrrd.nrrd_bytes, nrrd.read_nrrd)


def metaimage_output(segmentation: Segmentation, target: Path, options: SaveOptions) -> Output:
    """Return the labels as a MetaImage file."""
    return _output(segmentation, target, options, metaimage.metaimage_bytes, metaimage.read_metaimage)


def _output(
    segmentation: Segmentation,
    target: Path,
    options: SaveOptions,
    as_bytes: Callable[[Labels, Grid, Mapping[str, str]], bytes],
    read: Read,
) -> Output:
    grid = segmentation.grid
    if grid.unit != "mm":
        raise SpacingUnknownError(
            f"{target.suffix} files always state millimetres, but the voxel size of this study is not known. Save as "
            ".nii.gz or .tif, or open the study with spacing_mm=(x, y, z)."
        )
    values = options.schema.encode(segmentation.data)
    meaning = Meaning.of(segmentation, options.schema)
    content = as_bytes(values, grid, {KEY: meaning.text})
    part = Part(
        target,
        lambda temporary: temporary.write_bytes(content),
        lambda temporary: _check(temporary, read, values, grid, meaning),
    )
    return Output([part], target, meaning, target)


def _check(path: Path, read: Read, values: Labels, grid: Grid, meaning: Meaning) -> None:
    (volume,) = read(path)
    require(volume.array.dtype == np.uint8, f"its type is {volume.array.dtype}, not uint8")
    require(volume.grid.same_place(grid, SAME_PLACE_VOXELS), "its voxels lie elsewhere in the world")
    require(np.array_equal(volume.array, values), "its labels differ")
    require_meaning(path, meaning)
