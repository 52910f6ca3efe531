import numpy as np
import numpy.typing as npt
import pytest

from napari_brain_tumor.errors import GridMismatchError, SpacingUnknownError
from napari_brain_tumor.metrics.lesionwise import LesionScores, score_lesions
from napari_brain_tumor.metrics.overlap import dice
from napari_brain_tumor.metrics.surface import hd95
from phantoms import ball

Mask = npt.NDArray[np.bool_]

SHAPE = (64, 64, 64)
UNIT = (1.0, 1.0, 1.0)
BRATS_REGIONS = {"WT": (1, 2, 3), "TC": (1, 3), "ET": (3,)}
"""With the integers of BraTS 2023, in which the authors' code was run: 1 necrosis, 2 edema, 3 enhancing."""


def sphere(centre: tuple[int, int, int], radius: int) -> Mask:
    return ball(SHAPE, centre, radius)


def painted(*parts: tuple[Mask, int]) -> np.ndarray:
    labels = np.zeros(SHAPE, np.uint8)
    for mask, label in parts:
        labels[mask] = label
    return labels


def first_lesion(*more: tuple[Mask, int], shift: int = 0) -> np.ndarray:
    centre = (24 + shift, 24, 24)
    return painted((sphere(centre, 10), 2), (sphere(centre, 6), 3), (sphere(centre, 3), 1), *more)


NOTHING = painted()
L1 = first_lesion()
FAR = (48, 48, 48)
NEAR_PAIR = painted((sphere((24, 24, 20), 4), 3), (sphere((24, 24, 33), 4), 3))
FAR_PAIR = painted((sphere((24, 24, 16), 4), 3), (sphere((24, 24, 37), 4), 3))
BAR = FAR_PAIR.copy()
BAR[22:27, 22:27, 12:42] = 3

CASES = {
    "A identical": (L1, L1),
    "B shifted": (L1, first_lesion(shift=2)),
    "C one missed": (first_lesion((sphere(FAR, 5), 3)), L1),
    "D one false": (L1, first_lesion((sphere(FAR, 2), 3))),
    "E a small one missed": (first_lesion((sphere(FAR, 2), 3)), L1),
    "F near pair, one found": (NEAR_PAIR, painted((sphere((24, 24, 20), 4), 3))),
    "G far pair, one found": (FAR_PAIR, painted((sphere((24, 24, 16), 4), 3))),
    "H one bar over both": (FAR_PAIR, BAR),
    "I both empty": (NOTHING, NOTHING),
    "J truth empty": (NOTHING, painted((sphere(FAR, 5), 3))),
    "K prediction empty": (painted((sphere(FAR, 5), 3)), NOTHING),
    "L enhancing within edema": (
        painted((sphere((24, 24, 24), 10), 2)),
        painted((sphere((24, 24, 24), 10), 2), (sphere((24, 24, 24), 4), 3)),
    ),
    "M a part beside": (
        painted((sphere((24, 24, 20), 5), 3)),
        painted((sphere((24, 24, 20), 5), 3), (sphere((24, 24, 29), 2), 3)),
    ),
}


def masks(case: str, region: str) -> tuple[Mask, Mask]:
    truth, predicted = CASES[case]
    return np.isin(truth, BRATS_REGIONS[region]), np.isin(predicted, BRATS_REGIONS[region])


@pytest.mark.parametrize(
    ("case", "region", "overlap", "distance"),
    [
        ("A identical", "ET", 1.0, 0.0),
        ("B shifted", "WT", 0.850804, 2.0),
        ("B shifted", "TC", 0.76, 2.0),
        ("B shifted", "ET", 0.655860, 1.7321),
        ("C one missed", "ET", 0.5, 187.0),
        ("D one false", "ET", 0.5, 187.0),
        ("E a small one missed", "ET", 1.0, 0.0),
        ("F near pair, one found", "ET", 0.666667, 12.0416),
        ("G far pair, one found", "ET", 0.5, 187.0),
        ("H one bar over both", "ET", 0.434489, 20.1246),
        ("I both empty", "ET", 1.0, 0.0),
        ("J truth empty", "ET", 0.0, 374.0),
        ("K prediction empty", "ET", 0.0, 374.0),
        ("L enhancing within edema", "WT", 1.0, 0.0),
        ("L enhancing within edema", "TC", 0.0, 374.0),
        ("L enhancing within edema", "ET", 0.0, 374.0),
        ("M a part beside", "ET", 0.968956, 4.1231),
    ],
)
def test_scores_are_those_of_the_challenge(case: str, region: str, overlap: float, distance: float) -> None:
    scores = score_lesions(*masks(case, region), UNIT)
    assert scores.dice == pytest.approx(overlap, abs=1e-6)
    assert scores.hd95_mm == pytest.approx(distance, abs=1e-4)


@pytest.mark.parametrize(
    ("case", "truth", "found", "missed", "false"),
    [
        ("A identical", 1, 1, 0, 0),
        ("C one missed", 2, 1, 1, 0),
        ("D one false", 1, 1, 0, 1),
        ("E a small one missed", 1, 1, 0, 0),
        ("F near pair, one found", 1, 1, 0, 0),
        ("G far pair, one found", 2, 1, 1, 0),
        ("H one bar over both", 2, 2, 0, 0),
        ("I both empty", 0, 0, 0, 0),
        ("J truth empty", 0, 0, 0, 1),
        ("K prediction empty", 1, 0, 1, 0),
        ("M a part beside", 1, 1, 0, 0),
    ],
)
def test_lesions_are_counted(case: str, truth: int, found: int, missed: int, false: int) -> None:
    scores = score_lesions(*masks(case, "ET"), UNIT)
    assert (scores.truth, scores.detected, scores.missed, scores.false) == (truth, found, missed, false)


@pytest.mark.parametrize(
    ("case", "overlap", "distance"),
    [("C one missed", 0.756961, 38.7169), ("H one bar over both", 0.713889, 5.4772)],
)
def test_scores_over_the_whole_case_differ(case: str, overlap: float, distance: float) -> None:
    pair = masks(case, "ET")
    assert dice(*pair) == pytest.approx(overlap, abs=1e-6)
    assert hd95(*pair, UNIT) == pytest.approx(distance, abs=1e-4)


def test_a_small_miss_still_counts_over_the_whole_case() -> None:
    assert hd95(*masks("E a small one missed", "ET"), UNIT) == pytest.approx(34.07, abs=0.005)


def test_false_parts_count_at_any_size() -> None:
    truth, _ = masks("A identical", "ET")
    speck = truth.copy()
    speck[FAR] = True
    assert score_lesions(truth, speck, UNIT) == LesionScores(0.5, 187.0, 1, 1, 0, 1)


def test_a_part_on_a_lesion_too_small_to_count_is_not_false() -> None:
    small = sphere(FAR, 2)
    assert score_lesions(small, small, UNIT) == LesionScores(1.0, 0.0, 0, 0, 0, 0)
    assert score_lesions(small, small, UNIT, threshold_mm3=2.0).truth == 1


def test_the_threshold_is_a_volume_not_a_count() -> None:
    small = sphere(FAR, 2)
    assert np.count_nonzero(small) == 33
    assert score_lesions(small, np.zeros_like(small), (1.0, 1.0, 50 / 33)).truth == 0
    assert score_lesions(small, np.zeros_like(small), (1.0, 1.0, 2.0)).missed == 1


def test_how_far_lesions_grow_decides_what_is_one() -> None:
    truth, predicted = masks("F near pair, one found", "ET")
    assert score_lesions(truth, predicted, UNIT, dilation_voxels=1).truth == 2
    assert score_lesions(truth, predicted, UNIT, dilation_voxels=0).missed == 1


def test_the_air_around_does_not_matter() -> None:
    pair = masks("H one bar over both", "ET")
    cropped = [mask[20:29, 20:29, 12:42] for mask in pair]
    assert score_lesions(*cropped, UNIT) == score_lesions(*pair, UNIT)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_flat_lesion_in_a_volume_is_not_taken_for_a_slice(axis: int) -> None:
    flat = np.zeros((30, 30, 30), bool)
    flat[5:25, 5:25, 10] = True
    flat = np.moveaxis(flat, 2, axis)
    beside = np.roll(flat, 1, axis)
    assert score_lesions(flat, beside, UNIT, dilation_voxels=1).hd95_mm == hd95(flat, beside, UNIT) == 1.0
    assert score_lesions(flat, beside, UNIT, dilation_voxels=0) == LesionScores(0.0, 374.0, 1, 0, 1, 1)


def test_a_single_slice_has_lesions() -> None:
    truth = np.zeros((50, 50, 1), bool)
    truth[5:15, 5:15], truth[30:40, 30:40] = True, True
    predicted = truth.copy()
    predicted[30:40] = False
    assert score_lesions(truth, predicted, UNIT) == LesionScores(0.5, 187.0, 2, 1, 1, 0)


def test_masks_are_refused_with_the_reason() -> None:
    mask = np.ones((3, 3, 3), bool)
    with pytest.raises(GridMismatchError):
        score_lesions(mask, mask[:2], UNIT)
    with pytest.raises(SpacingUnknownError):
        score_lesions(mask, mask, (1.0, -1.0, 1.0))
