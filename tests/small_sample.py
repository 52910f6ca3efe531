"""The sample that ships, made small: hardly any path through the program is another for 3.8 million voxels."""

import shutil
from pathlib import Path

import nibabel as nib
import numpy as np

from napari_brain_tumor import open_study
from napari_brain_tumor.geometry import Grid
from napari_brain_tumor.sample import sample_case_folder, sample_truth_path
from napari_brain_tumor.study import Study


def write_small_sample(folder: Path, every: int = 4) -> Path:
    """The sample's files under their names, with one voxel in so many along each axis; returns their folder."""
    small = folder / sample_case_folder().name
    small.mkdir(parents=True)
    for file in sample_case_folder().glob("*.nii.gz"):
        nib.load(file).slicer[::every, ::every, ::every].to_filename(small / file.name)
    shutil.copy(sample_truth_path().with_name(sample_truth_path().name.replace(".nii.gz", ".json")), small)
    return small


def sample_slab(slices: int) -> Study:
    """So many axial slices of the sample through the middle of its tumour, each of them whole."""
    study = open_study(sample_case_folder())
    middle = int(np.mean(np.nonzero(np.asarray(nib.load(sample_truth_path()).dataobj))[2]))
    first = middle - slices // 2
    sequences = {role: image[:, :, first : first + slices] for role, image in study.sequences.items()}
    affine = study.grid.affine.copy()
    affine[:3, 3] = study.grid.world((0, 0, first))
    return Study(sequences, Grid((*study.grid.shape[:2], slices), affine, study.grid.unit), study.name)
