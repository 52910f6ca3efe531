"""Open a case as the product does, and a digest of every value that came of it."""

import hashlib
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from napari_brain_tumor import CuratedDataset, open_segmentation, open_study, read_prompts, refine
from napari_brain_tumor.autosave.layer_journal import recover
from napari_brain_tumor.followup.document import read_visits
from napari_brain_tumor.geometry import Grid
from napari_brain_tumor.interactive.prompts import PromptFile
from napari_brain_tumor.models.checkpoint import load_network
from napari_brain_tumor.models.packages import import_package
from napari_brain_tumor.models.tensor_file import read_tensors
from napari_brain_tumor.records.records import read_record
from napari_brain_tumor.study import Study
from napari_brain_tumor_training.config import read_config

Open = Callable[[Path], str]


def scan(name: str, roles: Sequence[str | None] = ("FLAIR",)) -> Open:
    """The sequences of a file, or of the case's folder where the name is empty."""

    def open_scan(folder: Path) -> str:
        return _of_study(open_study(folder / name, list(roles)) if name else open_study(folder))

    return open_scan


def labels(name: str) -> Open:
    """The classes of a file of labels, or of the folder of masks, by whatever tells what its integers mean."""

    def open_labels(folder: Path) -> str:
        segmentation = open_segmentation(folder / name)
        return _digest(segmentation.data, *_grid(segmentation.grid), segmentation.known_regions)

    return open_labels


def record(name: str) -> Open:
    """The record of how a result was made."""
    return lambda folder: _digest(read_record(folder / name).model_dump_json().replace(str(folder), ""))


def visits(name: str) -> Open:
    """A patient's visits."""
    return lambda folder: _digest(read_visits(folder / name).model_dump_json())


def recipe(name: str) -> Open:
    """A recipe for training."""
    return lambda folder: _digest(read_config(folder / name).model_dump_json())


def prompts(name: str) -> Open:
    """Prompts, and what they make of a small study."""

    def open_prompts(folder: Path) -> str:
        document: PromptFile = read_prompts(folder / name)
        return _digest(refine(small_study(), None, document, anyway=True).data)

    return open_prompts


def dataset(folder: Path) -> str:
    """A curated data set with all its voxels, before and after a change."""
    opened = CuratedDataset.open(folder)
    parts: list[Any] = []
    for case in opened.cases():
        truth = opened.truth(case.id)
        parts += [case.model_dump_json(), _of_study(opened.study(case.id)), np.asarray(truth.segmentation.data)]
    for case in opened.cases()[:1]:
        opened.review(case.id, "rejected", "seen")
    opened.check_files(voxels=True)
    return _digest(*parts)


def package(name: str) -> Open:
    """A model's package, installed into a home of its own, with all its weights."""

    def open_package(folder: Path) -> str:
        # Only here: the other cases open nothing of the user's home.
        os.environ["BRAIN_TUMOR_HOME"] = str(folder / "home")
        model = import_package(folder / name)
        tensors = load_network(model).state_dict()
        return _digest(model.card.model_dump_json(), *(v.numpy() for _, v in sorted(tensors.items())))

    return open_package


def weights(name: str) -> Open:
    """The tensors of a file of weights from elsewhere."""

    def open_weights(folder: Path) -> str:
        tensors = read_tensors(folder / name)
        return _digest(*(part for key, v in sorted(tensors.items()) for part in (key, v.numpy())))

    return open_weights


def journal(folder: Path) -> str:
    """The last state of unsaved labels."""
    state = recover(folder)
    return _digest(state.labels, state.automatic, state.clean)


def small_study() -> Study:
    """Noise with a bright ball."""
    values = np.random.default_rng(3).normal(100, 9, (16, 15, 12))
    x, y, z = np.indices(values.shape)
    values[(x - 8) ** 2 + (y - 7) ** 2 + (z - 6) ** 2 < 16] += 60
    grid = Grid((16, 15, 12), np.array(((1.0, 0, 0, -8), (0, 1, 0, -7), (0, 0, 2, -12), (0, 0, 0, 1))))
    return Study({"FLAIR": values.astype(np.float32)}, grid, name="small")


def _of_study(study: Study) -> str:
    return _digest(*(part for role, a in study.sequences.items() for part in (role, a)), *_grid(study.grid))


def _grid(grid: Grid) -> tuple[Any, ...]:
    return grid.shape, np.round(grid.affine, 4) + 0.0, grid.unit


def _digest(*parts: Any) -> str:
    digest = hashlib.sha256()
    for part in parts:
        if isinstance(part, np.ndarray):
            digest.update(repr(part.shape).encode() + part.dtype.kind.encode() + np.ascontiguousarray(part).tobytes())
        else:
            digest.update(part if isinstance(part, bytes) else repr(part).encode())
    return digest.hexdigest()[:20]
