"""A case with a bright ball that the labels only half cover, and a correction of it."""

import numpy as np

from napari_brain_tumor.geometry import Grid
from napari_brain_tumor.interactive.prompts import Painted, Point
from napari_brain_tumor.plugin import to_layers, viewers
from napari_brain_tumor.progress import run_job
from napari_brain_tumor.study import Segmentation, Study
from napari_brain_tumor.widgets.correct_start import begin_job, starts

SHAPE = (40, 36, 30)
CENTRE = (20, 18, 15)
LPS = np.array([[-1.0, 0, 0, 20], [0, -1, 0, 18], [0, 0, 1.5, -7], [0, 0, 0, 1]])


def ball(radius, centre=CENTRE):
    squares = [(np.arange(n) - c) ** 2 for n, c in zip(SHAPE, centre, strict=True)]
    return sum(np.meshgrid(*squares, indexing="ij", sparse=True)) <= radius**2


def make_ball_study(affine=LPS, unit="mm", name="case"):
    """A head with a ball of radius 9, bright in T2 and FLAIR, with a core of radius 4, bright in T1c."""
    rng = np.random.default_rng(0)
    head, tumour, core = (ball(radius) for radius in (17, 9, 4))
    images = {}
    for role, bright, brightest in (("T1", 80, 80), ("T1c", 100, 300), ("T2", 220, 220), ("FLAIR", 260, 260)):
        image = np.where(core, brightest, np.where(tumour, bright, 100)) + rng.normal(0, 4, SHAPE)
        images[role] = (image * head).astype(np.float32)
    return Study(images, Grid(SHAPE, affine, unit), name)


def half_labels(study):
    """Edema in that half of the ball which comes first along x."""
    data = (ball(9) & (np.arange(SHAPE[0]) < CENTRE[0])[:, None, None]).astype(np.uint8)
    return Segmentation(data, study.grid, study.name, provenance={"task": "segment"})


def fill_viewer(viewer, study=None, segmentation=None):
    """Add the case and its labels to a viewer; returns the labels layer."""
    study = make_ball_study() if study is None else study
    made = to_layers.segmentation_to_layer(half_labels(study) if segmentation is None else segmentation)
    return viewers.add_layers(viewer, [*to_layers.study_to_layers(study), made])[-1]


def correction_in(viewer):
    """A correction of the uppermost labels in a viewer."""
    chosen = starts(viewer.layers)[0]
    return run_job(begin_job(chosen, viewer.layers)).correction_of(chosen.layer)


def carry_out(correction, work):
    """Do at once what the queue does in its time; how many voxels changed."""
    edit, told = run_job(work.job(correction.snapshot()))
    changed = correction.show(work.entry, edit)
    correction.record(told)
    return changed


def follow(correction, works=None):
    """Let the refiner follow the layer."""
    for work in correction.follow() if works is None else works:
        correction.record(run_job(work.job(None)))


def holds_the_same(correction):
    """Whether refiner and layer agree."""
    return np.array_equal(correction.place.display.show(correction.refiner.labels), correction.layer.data)


def stroke(correction, z, y, xs, label="edema", add=True):
    """A stroke over voxels of the layer."""
    voxels = np.array([(z, y, x) for x in xs])
    return Painted(label=label, add=add, points=tuple(map(tuple, correction.place.world(voxels).tolist())))


def point(correction, z, y, x, label="enhancing", add=True):
    """A point at a voxel of the layer."""
    (at,) = correction.place.world(np.array([(z, y, x)])).tolist()
    return Point(label=label, add=add, at=tuple(at))
