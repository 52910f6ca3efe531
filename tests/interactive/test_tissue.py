"""Complete outlines, of several lines, and what the outlined slices teach about the rest of a case."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis.extra.numpy import arrays
from skimage.measure import find_contours

from napari_brain_tumor.geometry import Box, Grid
from napari_brain_tumor.interactive.evidence import Block
from napari_brain_tumor.interactive.prompts import Lasso, PromptFile
from napari_brain_tumor.interactive.rasterise import rasterise
from napari_brain_tumor.interactive.refiner import Refiner
from napari_brain_tumor.interactive.scene import Scene
from napari_brain_tumor.interactive.tissue import learned_logits
from napari_brain_tumor.labels import region_mask
from napari_brain_tumor.study import Segmentation, Study
from napari_brain_tumor.types import Labels, Mask

SHAPE = (40, 44, 36)
GRID = Grid(SHAPE, np.eye(4))
X, Y, Z = np.meshgrid(*map(np.arange, SHAPE), indexing="ij")
BRAIN = ((X - 20) / 19) ** 2 + ((Y - 22) / 21) ** 2 + ((Z - 18) / 17) ** 2 < 1
TRUTH = (((X - 20) / 11) ** 2 + ((Y - 22) / 9) ** 2 + ((Z - 18) / 11) ** 2 < 1).astype(np.uint8)
CORE = ((X - 20) / 6) ** 2 + ((Y - 22) / 5) ** 2 + ((Z - 18) / 8) ** 2 < 1
"""What labels that stop too early hold of it."""


def study() -> Study:
    noise = np.random.default_rng(7).normal(0, 0.15, SHAPE)
    return Study({"FLAIR": np.where(BRAIN, 2.0 + TRUTH + noise, 0).astype(np.float32)}, GRID, "phantom", brain=BRAIN)


def lasso(section: Mask, z: int) -> Lasso:
    """Closed lines around all parts and holes of a mask on an axial slice."""
    lines = [line[:-1] - 1 for line in find_contours(np.pad(section, 1).astype(float), 0.5)]
    world = [tuple(tuple(map(float, (x, y, z))) for x, y in line) for line in lines]
    return Lasso(label="whole tumour", points=world[0], rings=tuple(world[1:]), border=True)


def on_slice(section: Mask, z: int) -> Mask:
    found = np.zeros(SHAPE, bool)
    found[: section.shape[0], : section.shape[1], z] = section
    return found


@settings(max_examples=60, deadline=None)
@given(section=arrays(bool, (9, 8)).filter(np.any))
def test_lines_around_parts_and_holes_hold_exactly_what_they_were_drawn_around(section: Mask) -> None:
    inside = np.zeros(SHAPE, bool)
    inside[tuple(rasterise(lasso(section, 5), GRID).inside.T)] = True
    np.testing.assert_array_equal(inside, on_slice(section, 5))


def test_further_lines_are_kept_in_a_prompt_file_and_older_files_have_none(tmp_path) -> None:
    section = np.zeros((9, 9), bool)
    section[1:8, 1:8] = True
    section[3:5, 3:5] = False
    prompt = lasso(section, 5)
    assert len(prompt.rings) == 1
    file = PromptFile(case="phantom", unit="mm", labels_sha256="0" * 64, steps=(prompt,))
    assert PromptFile.model_validate_json(file.model_dump_json()) == file
    older = {"kind": "lasso", "label": "edema", "points": [[0, 0, 0], [1, 0, 0], [0, 1, 0]]}
    assert Lasso.model_validate(older).rings == ()


def test_an_outline_with_a_hole_binds_inside_and_outside() -> None:
    ring = (TRUTH[..., 18] > 0) & ~CORE[..., 18]
    made = Refiner(study(), Segmentation(TRUTH, GRID))
    made.apply(lasso(ring, 18))
    np.testing.assert_array_equal(made.labels[..., 18] > 0, ring)


def dice(a: Mask, b: Mask) -> float:
    return float(2 * (a & b).sum() / (a.sum() + b.sum()))


def test_two_outlined_slices_teach_what_the_rest_looks_like() -> None:
    block = Block(Scene(study()), Box.whole(SHAPE))
    mask = CORE.copy()
    planes = [(2, 18), (0, 20)]
    for axis, index in planes:
        np.moveaxis(mask, axis, 0)[index] = np.take(TRUTH > 0, index, axis)
    asked = BRAIN & ((X - 20) ** 2 + (Y - 22) ** 2 + (Z - 18) ** 2 < 15**2)
    logits = learned_logits(block, "WT", planes, mask, BRAIN, asked)
    assert logits is not None
    assert dice(CORE, TRUTH > 0) < 0.55
    assert dice(logits > 0, TRUTH > 0) > 0.9
    assert (logits[asked] != 0).all()
    assert (logits[~asked] == 0).all()


@pytest.mark.parametrize("planes", [[(2, 2)], []])
def test_slices_without_examples_of_both_kinds_teach_nothing(planes: list[tuple[int, int]]) -> None:
    block = Block(Scene(study()), Box.whole(SHAPE))
    assert learned_logits(block, "WT", planes, TRUTH > 0, BRAIN, BRAIN) is None
    assert learned_logits(block, "WT", [(2, 18)], np.zeros(SHAPE, bool), BRAIN, BRAIN) is None


def test_every_outline_improves_the_slices_that_nobody_outlined() -> None:
    start: Labels = CORE.astype(np.uint8)
    made = Refiner(study(), Segmentation(start, GRID))
    away = np.ones(SHAPE[2], bool)
    scores = []
    for z in (18, 12, 24):
        made.apply(lasso(TRUTH[..., z] > 0, z))
        away[z] = False
        rest = region_mask(made.labels, "WT")[..., away]
        scores.append(dice(rest, TRUTH[..., away] > 0))
    assert scores[-1] > 0.95
    assert min(scores) > dice(CORE, TRUTH > 0) + 0.25


def test_the_same_outlines_give_the_same_voxels() -> None:
    steps = [lasso(TRUTH[..., z] > 0, z) for z in (18, 24)]
    results = []
    for _ in range(2):
        made = Refiner(study(), Segmentation(CORE.astype(np.uint8), GRID))
        for step in steps:
            made.apply(step)
        results.append(made.labels.copy())
    np.testing.assert_array_equal(*results)
