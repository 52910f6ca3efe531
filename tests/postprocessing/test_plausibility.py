"""Results that cannot be are called so; plausible ones are not, whatever their size and place."""

import numpy as np
import pytest

import phantoms
from napari_brain_tumor.geometry import Grid
from napari_brain_tumor.postprocessing.plausibility import appearance_of, doubts_about
from napari_brain_tumor.study import Study

SHAPE = (60, 72, 54)
GRID = Grid(SHAPE, phantoms.affine(spacing=(2.5, 2.5, 2.5)))


def tumour_at(centre=(22, 36, 27), radius=7):
    return phantoms.ball(SHAPE, centre, radius)


def study_with(tumour, *, skull=False, bright=True, roles=("T1", "FLAIR"), grid=GRID):
    images = {role: phantoms.brain(SHAPE, seed, skull=skull) for seed, role in enumerate(roles)}
    if bright:
        images = {role: np.where(tumour, 700, image) if role != "T1" else image for role, image in images.items()}
    return Study(images, grid)


def doubts(labels, **how):
    return doubts_about(study_with(how.pop("tumour", labels), **how), labels.astype(np.uint8))


@pytest.mark.parametrize("skull", [False, True])
@pytest.mark.parametrize("turned", phantoms.axis_orders()[::13])
def test_a_tumour_as_they_are_is_not_doubted(skull, turned):
    grid = Grid(SHAPE, phantoms.affine(turned, (2.5, 2.5, 2.5)))
    assert doubts(tumour_at(), skull=skull, grid=grid) == []
    assert doubts(tumour_at(radius=14), skull=skull, grid=grid) == []  # a tenth of the brain
    assert doubts(tumour_at((20, 30, 20), 3), skull=skull, grid=grid) == []


def test_nothing_found_is_told():
    nothing = np.zeros(SHAPE, np.uint8)
    (text,) = doubts_about(study_with(tumour_at()), nothing)
    assert text.startswith("No tumour was found in these scans.")
    assert "within the box" in doubts_about(study_with(tumour_at()), nothing, in_box=True)[0]


def test_half_a_brain_is_no_tumour():
    half = np.zeros(SHAPE, bool)
    half[:30] = phantoms.brain(SHAPE)[:30] > 0
    (text,) = doubts(half)
    assert "50% of the brain is labelled as tumour" in text
    assert any("of the head" in text for text in doubts(half, skull=True))


def test_a_shell_along_the_outside_is_no_tumour():
    inside = phantoms.brain(SHAPE) > 0
    shell = inside & ~np.roll(inside, 2, 0)
    assert any("along the surface" in text for text in doubts(shell))


def test_hundreds_of_scattered_parts_are_no_tumour():
    dots = np.zeros(SHAPE, bool)
    dots[16:44:4, 16:56:4, 16:40:4] = True
    assert any("420 separate parts" in text for text in doubts(dots))
    few = np.zeros(SHAPE, bool)
    few[20:40:8, 20:40:8, 20:36:8] = True
    assert doubts(few) == []


def test_what_is_dark_on_flair_and_t2_is_no_tumour():
    dark = study_with(tumour_at(), bright=False)
    dark = Study({**dark.sequences, "FLAIR": np.where(tumour_at(), 100, dark.sequences["FLAIR"])}, GRID)
    (text,) = doubts_about(dark, tumour_at().astype(np.uint8))
    assert "brighter than the brain's median" in text
    # A necrotic core, dark on FLAIR, is bright on T2; and where there is neither nothing can be said.
    both = Study({**dark.sequences, "T2": np.where(tumour_at(), 800, phantoms.brain(SHAPE, 5))}, GRID)
    assert doubts_about(both, tumour_at().astype(np.uint8)) == []
    assert doubts(tumour_at(), roles=("T1",)) == []


def test_a_tumour_that_the_scan_cuts_through_is_told_and_a_slab_is_not():
    cut = Grid((60, 72, 27), GRID.affine)
    whole = study_with(tumour_at(radius=9))
    images = {role: image[:, :, :27] for role, image in whole.sequences.items()}
    labels = tumour_at(radius=9)[:, :, :27].astype(np.uint8)
    assert any("the scan ends where" in text for text in doubts_about(Study(images, cut), labels))
    slab = Study({role: image[:, :, 23:27] for role, image in images.items()}, Grid((60, 72, 4), GRID.affine))
    assert doubts_about(slab, labels[:, :, 23:]) == []


def test_what_is_measured():
    seen = appearance_of(study_with(tumour_at()), tumour_at().astype(np.uint8))
    brain = phantoms.brain(SHAPE) > 0
    assert seen.share == pytest.approx(tumour_at().sum() / brain.sum())
    assert (seen.parts, seen.at_rim, seen.cut, seen.bright) == (1, 0, 0, 1)
