"""Small examinations with labels, for tests of curated data sets."""

import json
from pathlib import Path

import numpy as np

from napari_brain_tumor.dataset import CuratedDataset
from napari_brain_tumor.dataset.decathlon import dataset_document
from napari_brain_tumor.geometry import Grid
from napari_brain_tumor.study import ROLES, Segmentation, Study
from phantoms import affine, noise, tumour

SHAPE = (14, 13, 12)


def make_study(name="scan", seed=0, roles=ROLES, shape=SHAPE, unit="mm", matrix=None):
    """An examination whose voxels differ from those of every other seed."""
    grid = Grid(shape, affine() if matrix is None else matrix, unit)
    sequences = {role: noise(shape, 10 * seed + ROLES.index(role)) for role in roles}
    return Study(sequences, grid, name=name)


def make_label(study, classes=None, known_regions=("WT", "TC", "ET")):
    data = tumour(study.grid.shape) if classes is None else classes
    return Segmentation(data.astype(np.uint8), study.grid, name=study.name, known_regions=known_regions)


def add_case(dataset, name, seed=None, **options):
    """Add an examination of that name; the seed is taken from the name if not given."""
    study = make_study(name, seed=sum(map(ord, name)) if seed is None else seed)
    return dataset.add(study, options.pop("segmentation", None) or make_label(study), **options)


def files_in(dataset: CuratedDataset) -> set[str]:
    """Every file of the folder, relative to it."""
    folder = Path(dataset.folder)
    return {str(path.relative_to(folder).as_posix()) for path in folder.rglob("*") if path.is_file()}


def assert_is_whole(dataset: CuratedDataset) -> None:
    """Everything that the index names is there and is what it tells, and nothing else lies about."""
    assert dataset.check_files(voxels=True) == {}
    listed = json.loads((dataset.folder / "dataset.json").read_text())
    assert {**listed, **dataset_document(dataset.index)} == listed
    assert files_in(dataset) == {*dataset.index.files, "index.json", "dataset.json", ".lock"}
