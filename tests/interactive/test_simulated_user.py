"""Where the simulated user sees the largest error, and what it draws there."""

import numpy as np
import numpy.typing as npt
import pytest

from napari_brain_tumor.geometry import Grid
from napari_brain_tumor.interactive import Lasso, Point, Stroke
from napari_brain_tumor.interactive.rasterise import rasterise
from prompting.simulated_user import largest_error, next_prompt

SHAPE = (40, 36, 30)
GRID = Grid(SHAPE, np.diag([-1.0, 1, 2, 1]))


def block(value: int, *slices: slice) -> npt.NDArray[np.uint8]:
    labels = np.zeros(SHAPE, np.uint8)
    labels[slices] = value
    return labels


TRUTH = np.maximum(
    block(1, slice(5, 25), slice(5, 25), slice(5, 25)), block(3, slice(10, 14), slice(10, 14), slice(10, 14))
)


def test_largest_error_by_voxels_is_the_edema_and_by_share_the_small_core() -> None:
    labels = TRUTH.copy()
    labels[5:9, 5:25, 5:25] = 0
    labels[labels == 3] = 1
    by_voxels = largest_error(labels, TRUTH, GRID, measure="voxels")
    by_share = largest_error(labels, TRUTH, GRID)
    assert by_voxels is not None
    assert by_share is not None
    assert (by_voxels.region, by_voxels.missed, by_voxels.voxels) == ("WT", True, 4 * 20 * 20)
    assert (by_share.region, by_share.missed, by_share.voxels) == ("TC", True, 64)


def test_largest_error_has_its_middle_inside() -> None:
    error = largest_error(block(1, slice(0, 9), slice(0, 9), slice(0, 9)), np.zeros(SHAPE, np.uint8), GRID)
    assert error is not None
    assert not error.missed
    assert error.middle == (4, 4, 4)


def test_no_error_no_prompt() -> None:
    assert largest_error(TRUTH, TRUTH, GRID) is None
    assert next_prompt(TRUTH, TRUTH, GRID) is None


def test_regions_that_the_truth_does_not_know_are_not_corrected() -> None:
    labels = TRUTH.copy()
    labels[labels == 3] = 1
    assert next_prompt(labels, TRUTH, GRID, regions=("WT",)) is None


def test_outline_holds_the_region_on_one_slice_and_nothing_else() -> None:
    prompt = next_prompt(np.zeros(SHAPE, np.uint8), TRUTH, GRID, "outline", measure="voxels")
    assert isinstance(prompt, Lasso)
    assert prompt.border
    touched = rasterise(prompt, GRID)
    assert len(touched.inside) == 400
    assert (TRUTH[tuple(touched.inside.T)] > 0).all()
    assert (TRUTH[tuple(touched.around.T)] == 0).all()


def test_outline_holds_all_parts_of_a_region_and_no_hole() -> None:
    truth = np.maximum(
        block(1, slice(5, 25), slice(5, 25), slice(10, 14)), block(1, slice(28, 32), slice(5, 25), slice(10, 14))
    )
    truth[10:20, 10:20] = 0
    prompt = next_prompt(np.zeros(SHAPE, np.uint8), truth, GRID, "outline", measure="voxels")
    assert isinstance(prompt, Lasso)
    assert prompt.border
    assert len(prompt.rings) == 2
    drawn = np.zeros(SHAPE, bool)
    drawn[tuple(rasterise(prompt, GRID).inside.T)] = True
    (z,) = np.flatnonzero(drawn.any(axis=(0, 1)))
    np.testing.assert_array_equal(drawn[..., z], truth[..., z] > 0)


@pytest.mark.parametrize("habit", ["lasso", "stroke", "point"])
def test_prompts_touch_only_what_is_wrong(habit: str) -> None:
    labels = TRUTH.copy()
    labels[5:12, 5:25, 5:25] = 0
    prompt = next_prompt(labels, TRUTH, GRID, habit, measure="voxels")  # type: ignore[arg-type]
    assert isinstance(prompt, {"lasso": Lasso, "stroke": Stroke, "point": Point}[habit])
    assert prompt.add
    inside = tuple(rasterise(prompt, GRID).inside.T)
    assert (labels[inside] != TRUTH[inside]).all()


def test_what_is_too_much_is_taken_away() -> None:
    prompt = next_prompt(np.maximum(TRUTH, block(1, slice(28, 38), slice(5, 15), slice(5, 15))), TRUTH, GRID, "stroke")
    assert isinstance(prompt, Stroke)
    assert (prompt.label, prompt.add) == ("whole tumour", False)
