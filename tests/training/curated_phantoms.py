"""Tiny data sets on disk, as the trainer reads them: heads of noise with a bright tumour."""

import csv
import json
from pathlib import Path

import nibabel as nib
import numpy as np
import tifffile

RECIPE = """
name = "tiny"
title = "Tiny"
seed = 5
split = "split.csv"
patch = [32, 32]
validate_every = 2

[[sources]]
dataset = "volumes"
kind = "decathlon"
path = "volumes"
share = 0.6

[[sources]]
dataset = "slices"
kind = "lgg-tif"
path = "slices"
share = 0.4

[model]
architecture = "unet"
arguments = { width = 4, levels = 3 }

[optimisation]
epochs = 3
iterations_per_epoch = 4
batch = 4
precision = "float32"

[output]
sample_slices = 1
tensorboard = false
"""


def head(seed: int, shape=(40, 44, 6)):
    random = np.random.default_rng(seed)
    axes = np.meshgrid(*[np.linspace(-1, 1, n) for n in shape], indexing="ij")
    brain = sum(a**2 for a in axes) < 0.9
    distance = np.sqrt(sum((a - c) ** 2 for a, c in zip(axes, (0.3, -0.2, 0.0), strict=True)))
    labels = ((distance < 0.5).astype(np.uint8) + (distance < 0.4) + (distance < 0.3)) * brain
    image = np.where(brain, random.normal(100, 8, shape) + 40 * labels, 0)
    return np.clip(image, 0, 255).astype(np.uint8), labels.astype(np.uint8)


def write_data(root: Path) -> Path:
    """Three volumes and three patients of slices, one of each for validation, with the split and a recipe."""
    rows = []
    (root / "volumes" / "imagesTr").mkdir(parents=True)
    (root / "volumes" / "labelsTr").mkdir()
    index = {
        "name": "volumes",
        "modality": {"0": "FLAIR", "1": "T1w", "2": "t1gd", "3": "T2w"},
        "labels": {"0": "background", "1": "edema", "2": "non-enhancing tumor", "3": "enhancing tumour"},
        "training": [],
    }
    for number in range(3):
        image, labels = head(number)
        name = f"volume_{number}"
        nib.save(nib.Nifti1Image(np.stack([image] * 4, axis=-1), np.eye(4)), root / f"volumes/imagesTr/{name}.nii.gz")
        nib.save(nib.Nifti1Image(labels, np.eye(4)), root / f"volumes/labelsTr/{name}.nii.gz")
        index["training"].append({"image": f"./imagesTr/{name}.nii.gz", "label": f"./labelsTr/{name}.nii.gz"})
        rows.append(["volumes", name, name, "val" if number == 2 else "train"])
    (root / "volumes" / "dataset.json").write_text(json.dumps(index))
    for number in range(3):
        patient = f"TCGA_AA_000{number}_19990101"
        folder = root / "slices" / patient
        folder.mkdir(parents=True)
        image, labels = head(10 + number)
        for k in range(image.shape[2]):
            page, truth = image[:, :, k].T, labels[:, :, k].T
            rgb = np.stack([page // 2, page, page // 3], axis=-1)
            tifffile.imwrite(folder / f"{patient}_{k + 1}.tif", rgb, photometric="rgb")
            tifffile.imwrite(folder / f"{patient}_{k + 1}_mask.tif", (truth > 0).astype(np.uint8) * 255)
        rows.append(["slices", patient, patient, "val" if number == 2 else "train"])
    write_split(root / "split.csv", rows)
    (root / "recipe.toml").write_text(RECIPE)
    return root


def write_split(path: Path, rows) -> None:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([["dataset", "case", "patient", "split"], *rows])
