"""Prepared cases in memory, and tiny recipes, for tests of single parts of training."""

from pathlib import Path

import numpy as np

from napari_brain_tumor_training.config import TrainConfig
from napari_brain_tumor_training.dataset import CaseFiles, TrainingCase


def files(name="case", patient=None, split="train", dataset="set"):
    return CaseFiles(dataset, name, patient or name, split, Path("image"), Path("truth"))


def prepared(name="case", seed=0, shape=(12, 24, 20), where=None, known=(True, True, True), roles=(True,) * 4, **of):
    """A box of noise with a tumour of classes 1 to 3 that is brighter the higher the class."""
    random = np.random.default_rng(seed)
    classes = np.zeros(shape, np.uint8)
    middle = [slice(side // 3, 2 * side // 3) for side in shape]
    classes[tuple(middle)] = 1
    classes[tuple(slice(s.start + 1, s.stop) for s in middle)] = 2
    classes[tuple(slice(s.start + 2, s.stop) for s in middle)] = 3
    channels = random.normal(0, 1, (shape[0], 4, *shape[1:])) + 2 * classes[:, None]
    channels[:, ~np.array(roles)] = 0
    return TrainingCase(
        files(name, **of), channels.astype(np.float16), classes, np.array(roles), np.array(known), where
    )


def recipe(dims=2, **changes):
    """A recipe for `prepared` cases of the data set "set"; nested sections are given as dicts."""
    entries = {
        "name": "tiny",
        "title": "Tiny",
        "seed": 3,
        "split": "split.csv",
        "patch": [16, 16] if dims == 2 else [8, 16, 16],
        "sources": [{"dataset": "set", "kind": "decathlon", "path": "set", "share": 1}],
        "model": {"architecture": "unet", "dims": dims, "arguments": {"width": 4, "levels": 3}},
        "optimisation": {"epochs": 2, "iterations_per_epoch": 2, "batch": 2, "precision": "float32"},
    }
    for key, value in changes.items():
        joined = isinstance(entries.get(key), dict) and "configuration" not in value
        entries[key] = {**entries[key], **value} if joined else value
    return TrainConfig.model_validate(entries)
