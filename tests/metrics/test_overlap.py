import numpy as np
import pytest

from napari_brain_tumor.errors import GridMismatchError
from napari_brain_tumor.geometry import Grid
from napari_brain_tumor.metrics.overlap import dice, region_dice
from napari_brain_tumor.study import Segmentation

GRID = Grid((4, 4, 4), np.eye(4))


def segmentation(values: list[int], grid: Grid = GRID, **fields: object) -> Segmentation:
    data = np.zeros(64, np.uint8)
    data[: len(values)] = values
    return Segmentation(data.reshape(4, 4, 4), grid, **fields)


@pytest.mark.parametrize(
    ("truth", "predicted", "expected"),
    [
        ([1, 1, 0, 0], [1, 1, 0, 0], 1.0),
        ([1, 1, 0, 0], [0, 0, 1, 1], 0.0),
        ([1, 1, 1, 0], [1, 0, 0, 0], 0.5),
        ([0, 0, 0, 0], [0, 0, 0, 0], 1.0),
        ([0, 0, 0, 0], [1, 0, 0, 0], 0.0),
        ([1, 0, 0, 0], [0, 0, 0, 0], 0.0),
    ],
)
def test_dice_of_small_masks(truth: list[int], predicted: list[int], expected: float) -> None:
    assert dice(np.array(truth, bool), np.array(predicted, bool)) == pytest.approx(expected)


def test_dice_counts_large_masks_without_overflow() -> None:
    mask = np.ones((300, 300, 300), bool)
    assert dice(mask, mask) == 1.0


def test_dice_refuses_masks_of_different_shape() -> None:
    with pytest.raises(GridMismatchError, match=r"\(4,\).*\(5,\)"):
        dice(np.ones(4, bool), np.ones(5, bool))


def test_region_dice_scores_nested_regions() -> None:
    truth = segmentation([1, 1, 2, 2, 3, 3])
    found = segmentation([1, 1, 1, 2, 3, 0])
    scores = region_dice(truth, found)
    assert list(scores) == ["WT", "TC", "ET"]
    assert scores["WT"] == pytest.approx(2 * 5 / 11)
    assert scores["TC"] == pytest.approx(2 * 2 / 6)
    assert scores["ET"] == pytest.approx(2 * 1 / 3)


def test_region_dice_leaves_out_what_one_side_does_not_tell() -> None:
    truth = segmentation([1, 1, 1, 1], known_regions=("WT",))
    assert region_dice(truth, segmentation([1, 2, 3, 3])) == {"WT": 1.0}


def test_region_dice_refuses_different_grids_and_names_both() -> None:
    moved = Grid((4, 4, 4), np.diag([2.0, 1.0, 1.0, 1.0]))
    with pytest.raises(GridMismatchError, match=r"1x1x1 mm.*2x1x1 mm"):
        region_dice(segmentation([1]), segmentation([1], moved))
