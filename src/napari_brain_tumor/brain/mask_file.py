"""Brain masks as files: 1 in the brain, 0 elsewhere, on the grid of the scans."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_brain_tumor.errors import BrainMaskError, SaveError
from napari_brain_tumor.io import open_image
from napari_brain_tumor.io.formats import NIFTI
from napari_brain_tumor.io.write_nifti import write_nifti
from napari_brain_tumor.study import Study


def open_mask(path: Path, study: Study) -> npt.NDArray[Any]:
    """Read the values `(X, Y, Z)` of a mask file.

    Raises
    ------
    UnreadableFileError
        If it cannot be opened.
    BrainMaskError
        If it contains several images, or lies on a different grid from the study.
    """
    images = open_image(path)
    if len(images) != 1:
        msg = f"{path.name} holds {len(images)} images; a brain mask is one image. Give a file with only the mask."
        raise BrainMaskError(msg)
    _, mask, grid = images[0]
    same = grid.same_place(study.grid) if grid.unit == study.grid.unit else grid.shape == study.grid.shape
    if not same:
        raise BrainMaskError(
            f"The brain mask {path.name} lies on {grid.describe()}; {study.name} on {study.grid.describe()}. Give a "
            "mask on the grid of the scans."
        )
    return mask


def check_mask_target(path: Path, *, overwrite: bool) -> None:
    """Check before computing that a mask can be saved under a path.

    Raises
    ------
    SaveError
        If it is not a NIfTI file name, or there is a file that may not be replaced.
    """
    if not NIFTI.fits(path):
        raise SaveError(f"{path.name} is not a valid name for a mask: masks are written as .nii.gz or .nii.")
    if path.exists() and not overwrite:
        raise SaveError(f"{path} already exists. Use --overwrite to replace it, or choose another name with -o.")


def save_mask(mask: npt.NDArray[np.bool_], study: Study, path: Path) -> None:
    """Save a mask on the study's grid, completely or not at all; it is read back and compared.

    Raises
    ------
    SaveError
        If it would replace one of the scans, cannot be written, or contains different data when read back.
    """
    if path.resolve() in {source.path.resolve() for source in study.sources.values()}:
        raise SaveError(f"{path} is one of the scans and is never overwritten: choose another name.")
    path.parent.mkdir(parents=True, exist_ok=True)
    write_nifti(mask.astype(np.uint8), study.grid, study.layout, path)
