"""Small images with known answers, and the files that hold them. No real patient's image is ever written here."""

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import numpy.typing as npt
import tifffile

BRATS_ROLES = {"T1": "t1", "T1c": "t1ce", "T2": "t2", "FLAIR": "flair"}


def noise(shape: Sequence[int] = (7, 6, 5), seed: int = 0, dtype: Any = np.int16) -> npt.NDArray[Any]:
    """Values that differ from voxel to voxel."""
    return np.random.default_rng(seed).integers(1, 200, tuple(shape)).astype(dtype)


def tumour(shape: Sequence[int] = (7, 6, 5)) -> npt.NDArray[np.uint8]:
    """Our classes 1, 2, 3 nested around a corner, so that no flip or permutation leaves them alike."""
    labels = np.zeros(tuple(shape), dtype=np.uint8)
    labels[1:5, 1:4, 0:3] = 1
    labels[2:5, 1:3, 0:2] = 2
    labels[3, 1, 0] = 3
    return labels


def ball(shape: Sequence[int], centre: Sequence[int], radius: int) -> npt.NDArray[np.bool_]:
    """Voxels within the radius of the centre, both in voxels."""
    squares = [(np.arange(n) - c) ** 2 for n, c in zip(shape, centre, strict=True)]
    return sum(np.meshgrid(*squares, indexing="ij", sparse=True)) <= radius**2


def blob(seed: int, shape: Sequence[int] = (14, 12, 10), share: float = 0.3) -> npt.NDArray[np.bool_]:
    """A random shape of that share of the volume, with holes, islands and parts at the border."""
    noise = np.random.default_rng(seed).normal(size=tuple(shape))
    smooth = noise + sum(np.roll(noise, shift, axis) for axis in range(3) for shift in (1, -1))
    return smooth > np.quantile(smooth, 1 - share)


def axis_orders() -> list[npt.NDArray[np.float64]]:
    """The 48 ways in which three axes can lie along the world's: 6 permutations times 8 flips."""
    orders = []
    for permutation in itertools.permutations(range(3)):
        for signs in itertools.product((1.0, -1.0), repeat=3):
            matrix = np.zeros((3, 3))
            matrix[list(permutation), range(3)] = signs
            orders.append(matrix)
    return orders


def affine(
    directions: npt.ArrayLike = ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
    spacing: Sequence[float] = (1.0, 1.0, 1.0),
    origin: Sequence[float] = (-10.0, 20.0, 5.0),
) -> npt.NDArray[np.float64]:
    matrix = np.eye(4)
    matrix[:3, :3] = np.asarray(directions) * np.asarray(spacing)
    matrix[:3, 3] = origin
    return matrix


def tilt(degrees: float = 17.0) -> npt.NDArray[np.float64]:
    """A rotation about an axis that is none of the world's."""
    axis = np.array([1.0, 2.0, 3.0]) / np.sqrt(14)
    cross = np.array([[0, -axis[2], axis[1]], [axis[2], 0, -axis[0]], [-axis[1], axis[0], 0]])
    angle = np.deg2rad(degrees)
    return np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross


def write_nifti(
    path: Path,
    array: npt.NDArray[Any],
    matrix: npt.NDArray[np.float64] | None = None,
    *,
    sform_code: int = 1,
    qform_code: int = 1,
    unit: str = "mm",
) -> Path:
    """A NIfTI file with both matrices and the given codes."""
    matrix = affine() if matrix is None else matrix
    image = nib.Nifti1Image(array, matrix)
    image.header.set_xyzt_units(unit)
    image.header.set_sform(matrix, sform_code)
    image.header.set_qform(matrix, qform_code)
    path.parent.mkdir(parents=True, exist_ok=True)
    # The image would set codes of its own choice.
    image._affine = image.header.get_best_affine()
    nib.save(image, path)
    return path


def write_brats_case(
    folder: Path,
    labels: npt.NDArray[np.uint8] | None = None,
    shape: Sequence[int] = (7, 6, 5),
    matrix: npt.NDArray[np.float64] | None = None,
) -> Path:
    """A case folder with the four sequences named as in BraTS 2017 to 2022, and its truth if given."""
    for seed, suffix in enumerate(BRATS_ROLES.values()):
        write_nifti(folder / f"{folder.name}_{suffix}.nii.gz", noise(shape, seed), matrix)
    if labels is not None:
        write_nifti(folder / f"{folder.name}_seg.nii.gz", labels, matrix)
    return folder


def write_lgg_patient(
    folder: Path,
    numbers: Sequence[int] = range(1, 13),
    *,
    repeats: Sequence[int] = (),
    masks: bool = True,
    size: tuple[int, int] = (10, 8),
) -> npt.NDArray[np.uint8]:
    """A folder as in the Kaggle LGG set, `size` is (rows, columns); channels in `repeats` copy FLAIR (channel 1).

    Returns
    -------
    (Z, Y, X, 3) array
        The slices in numeric order.
    """
    folder.mkdir(parents=True, exist_ok=True)
    stack = noise((len(numbers), *size, 3), 5, np.uint8)
    for channel in repeats:
        stack[..., channel] = stack[..., 1]
    for number, page in zip(numbers, stack, strict=True):
        tifffile.imwrite(folder / f"{folder.name}_{number}.tif", page, photometric="rgb")
        if masks:
            mask = np.zeros(size, np.uint8)
            mask[2, number % size[1]] = 255
            tifffile.imwrite(folder / f"{folder.name}_{number}_mask.tif", mask)
    return stack
