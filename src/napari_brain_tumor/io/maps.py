"""Save maps, such as probabilities, beside a saved segmentation."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_brain_tumor.geometry import Grid
from napari_brain_tumor.io.volume import short_name
from napari_brain_tumor.io.write_nifti import write_nifti
from napari_brain_tumor.study import FileLayout


def map_path(result: Path, what: str) -> Path:
    """Return the path of a map beside a result: `seg.nii.gz` and `uncertainty` give `seg_uncertainty.nii.gz`."""
    return result.with_name(f"{short_name(result)}_{what}.nii.gz")


def save_maps(
    maps: Mapping[str, npt.NDArray[Any]],
    result: Path,
    grid: Grid,
    layout: FileLayout = None,
    *,
    overwrite: bool = True,
) -> list[Path]:
    """Save each map as a float32 NIfTI file beside a saved segmentation, and check that it reads back the same.

    Parameters
    ----------
    maps : mapping of str to (X, Y, Z) array
        Keyed by the text appended to the file name, such as `"probability_ET"`.
    result : Path
        The saved segmentation.
    grid : Grid
        The study's grid.
    layout : FileLayout
        The study's layout, which provides the matrices and codes of the headers.
    overwrite : bool
        Whether existing files may be replaced.

    Raises
    ------
    SaveError
        If a file cannot be written, does not read back the same, or exists and may not be replaced.
    """
    paths = {what: map_path(result, what) for what in maps}
    for what, values in maps.items():
        numbers = np.asarray(values, dtype=np.float32)
        write_nifti(numbers, grid, layout, paths[what], compresslevel=1, overwrite=overwrite)
    return list(paths.values())
