"""DICOM series of noise."""

import locale
from pathlib import Path

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk

from phantoms import noise


def write_series(
    folder: Path, description: str = "AX FLAIR", count: int = 5, seed: int = 0, uid: str = "1"
) -> npt.NDArray[np.int16]:
    """A DICOM series of slices, written in an order that is not that of their positions, as scanners do."""
    # GDCM's writer leaves the whole process in the locale "C", in which Python decodes files and pipes as ASCII.
    before = locale.setlocale(locale.LC_ALL)
    try:
        return _write_series(folder, description, count, seed, uid)
    finally:
        locale.setlocale(locale.LC_ALL, before)


def _write_series(folder: Path, description: str, count: int, seed: int, uid: str) -> npt.NDArray[np.int16]:
    folder.mkdir(parents=True, exist_ok=True)
    array = noise((7, 6, count), seed)
    array[5, 1, 3] = 999
    writer = sitk.ImageFileWriter()
    writer.KeepOriginalImageUIDOn()
    for number, k in enumerate(np.random.default_rng(3).permutation(count)):
        image = sitk.GetImageFromArray(np.ascontiguousarray(array[:, :, k].T)[np.newaxis])
        image.SetSpacing((0.5, 1.25, 6.0))
        tags = {
            "0008|103e": description,
            "0008|0060": "MR",
            "0008|0018": f"1.2.826.0.1.3680043.2.1125.{uid}.{k + 1}",
            "0020|000e": f"1.2.826.0.1.3680043.2.1125.{uid}",
            "0020|000d": "1.2.826.0.1.3680043.2.1125.9",
            "0020|0032": f"-30\\12\\{70 + 6.0 * k}",
            "0020|0037": "1\\0\\0\\0\\1\\0",
            "0020|0013": str(k + 1),
        }
        for key, value in tags.items():
            image.SetMetaData(key, value)
        writer.SetFileName(str(folder / f"IM{number:04d}.dcm"))
        writer.Execute(image)
    return array
