import dataclasses

import numpy as np
import numpy.typing as npt
import pytest

from napari_brain_tumor.errors import GridMismatchError
from napari_brain_tumor.geometry import Grid
from napari_brain_tumor.labels import Region
from napari_brain_tumor.metrics.lesionwise import score_lesions
from napari_brain_tumor.metrics.scores import DEFINITIONS, MaskScores, score_masks, score_segmentations
from napari_brain_tumor.metrics.surface import score_surfaces
from napari_brain_tumor.study import Segmentation
from phantoms import affine, axis_orders, ball

Mask = npt.NDArray[np.bool_]

SHAPE = (30, 26, 22)
SPACING = (1.0, 1.2, 1.5)
IN_MM = {"volume_truth_ml", "volume_predicted_ml", "volume_error_ml", "nsd_2mm"} | {
    field.name for field in dataclasses.fields(MaskScores) if field.name.endswith("_mm") or "lesion" in field.name
}
EMPTY = np.zeros(SHAPE, bool)
TUMOUR = ball(SHAPE, (14, 12, 10), 6)


def nested(centre: tuple[int, int, int]) -> np.ndarray:
    labels = np.zeros(SHAPE, np.uint8)
    for label, radius in ((1, 8), (2, 5), (3, 3)):
        labels[ball(SHAPE, centre, radius)] = label
    return labels


TRUTH, FOUND = nested((14, 12, 10)), nested((16, 12, 11))


def segmentation(labels: np.ndarray, grid: Grid | None = None, **fields: object) -> Segmentation:
    return Segmentation(labels, grid or Grid(labels.shape, affine(spacing=SPACING)), **fields)


def test_every_score_is_defined_in_words_and_nothing_else() -> None:
    assert list(DEFINITIONS) == [field.name for field in dataclasses.fields(MaskScores)]
    assert all(text.endswith(".") for text in DEFINITIONS.values())


def test_overlap_and_volumes_follow_from_the_counts() -> None:
    truth, predicted = np.zeros((10, 10, 10), bool), np.zeros((10, 10, 10), bool)
    truth[:5, :4, :2] = True  # 40 voxels, 32 of them found, 8 found beside.
    predicted[1:6, :4, :2] = True
    scores = score_masks(truth, predicted, (1.0, 1.0, 5.0))
    assert scores.dice == pytest.approx(64 / 80)
    assert scores.iou == pytest.approx(32 / 48)
    assert scores.sensitivity == scores.precision == pytest.approx(32 / 40)
    assert scores.specificity == pytest.approx(952 / 960)
    assert scores.volume_truth_ml == scores.volume_predicted_ml == pytest.approx(0.2)
    assert scores.volume_error_ml == scores.volume_error_relative == 0.0


@pytest.mark.parametrize(("kept", "relative"), [(TUMOUR & (np.arange(22) < 10), -1), (TUMOUR | ~TUMOUR, 1)])
def test_the_relative_volume_error_is_negative_for_too_little(kept: Mask, relative: int) -> None:
    scores = score_masks(TUMOUR, kept, (1.0, 1.0, 1.0))
    volume, found = np.count_nonzero(TUMOUR), np.count_nonzero(kept)
    assert scores.volume_error_relative == pytest.approx((found - volume) / volume)
    assert np.sign(scores.volume_error_relative) == relative
    assert scores.volume_error_ml == pytest.approx(abs(found - volume) / 1000)


def test_surface_and_lesion_scores_are_those_of_their_modules() -> None:
    truth, found = TRUTH > 0, FOUND > 0
    scores = score_masks(truth, found, SPACING)
    surface, lesions = score_surfaces(truth, found, SPACING, 2.0), score_lesions(truth, found, SPACING)
    assert (scores.hd95_mm, scores.hd95_pooled_mm, scores.hd95_max_mm) == (
        surface.hd95_mm,
        surface.hd95_pooled_mm,
        surface.hd95_max_mm,
    )
    assert (scores.hd_mm, scores.nsd_2mm, scores.assd_mm) == (surface.hd_mm, surface.nsd, surface.assd_mm)
    assert (scores.lesionwise_dice, scores.lesionwise_hd95_mm) == (lesions.dice, lesions.hd95_mm)
    assert (scores.lesions_truth, scores.lesions_found, scores.lesions_missed, scores.lesions_false) == (1, 1, 0, 0)


DIAGONAL = float(np.linalg.norm(np.multiply(SHAPE, SPACING)))


@pytest.mark.parametrize(
    ("truth", "predicted", "expected"),
    [
        (EMPTY, EMPTY, {"one": 1.0, "distance": 0.0, "lesion_distance": 0.0, "sensitivity": None, "precision": None}),
        (
            EMPTY,
            TUMOUR,
            {"one": 0.0, "distance": DIAGONAL, "lesion_distance": 374.0, "sensitivity": None, "precision": 0.0},
        ),
        (
            TUMOUR,
            EMPTY,
            {"one": 0.0, "distance": DIAGONAL, "lesion_distance": 374.0, "sensitivity": 0.0, "precision": None},
        ),
    ],
)
def test_empty_masks_are_never_silent(truth: Mask, predicted: Mask, expected: dict[str, float | None]) -> None:
    scores = score_masks(truth, predicted, SPACING)
    assert [scores.dice, scores.iou, scores.nsd_2mm, scores.lesionwise_dice] == [expected["one"]] * 4
    distances = [scores.hd95_mm, scores.hd95_pooled_mm, scores.hd95_max_mm, scores.hd_mm, scores.assd_mm]
    assert distances == pytest.approx([expected["distance"]] * 5)
    assert scores.lesionwise_hd95_mm == expected["lesion_distance"]
    assert (scores.sensitivity, scores.precision) == (expected["sensitivity"], expected["precision"])
    assert scores.volume_error_relative == (-1.0 if truth.any() else None)
    assert not any(value is not None and np.isnan(value) for value in dataclasses.astuple(scores))


def test_specificity_is_undefined_where_nothing_is_outside() -> None:
    assert score_masks(~EMPTY, TUMOUR, SPACING).specificity is None


def test_without_voxel_size_only_what_needs_none_is_told() -> None:
    known, unknown = (
        score_masks(TUMOUR, np.roll(TUMOUR, 1, 0), SPACING),
        score_masks(TUMOUR, np.roll(TUMOUR, 1, 0), None),
    )
    for field in dataclasses.fields(MaskScores):
        expected = None if field.name in IN_MM else getattr(known, field.name)
        assert getattr(unknown, field.name) == expected, field.name


def test_every_region_and_class_is_scored() -> None:
    scores = score_segmentations(segmentation(TRUTH), segmentation(FOUND))
    assert list(scores) == ["WT", "TC", "ET", "edema", "non-enhancing", "enhancing"]
    assert scores["TC"] == score_masks(TRUTH >= 2, FOUND >= 2, SPACING)
    assert scores["edema"] == score_masks(TRUTH == 1, FOUND == 1, SPACING)
    assert scores["non-enhancing"] == score_masks(TRUTH == 2, FOUND == 2, SPACING)
    assert scores["enhancing"] == scores["ET"] == score_masks(TRUTH == 3, FOUND == 3, SPACING)


@pytest.mark.parametrize(
    ("known", "scored"),
    [
        (("WT",), ["WT"]),
        (("WT", "TC"), ["WT", "TC", "edema"]),
        (("WT", "ET"), ["WT", "ET", "enhancing"]),
        (("TC", "ET"), ["TC", "ET", "non-enhancing", "enhancing"]),
    ],
)
def test_what_one_side_does_not_tell_is_not_scored(known: tuple[Region, ...], scored: list[str]) -> None:
    full, partial = segmentation(TRUTH), segmentation(FOUND, known_regions=known)
    assert list(score_segmentations(full, partial)) == list(score_segmentations(partial, full)) == scored


@pytest.mark.parametrize("order", axis_orders()[::5])
def test_scores_do_not_depend_on_how_the_file_is_oriented(order: np.ndarray) -> None:
    axes, flips = np.abs(order).argmax(axis=0), np.flatnonzero(order.sum(axis=0) < 0)
    turned = [np.ascontiguousarray(np.flip(labels.transpose(axes), flips)) for labels in (TRUTH, FOUND)]
    grid = Grid(turned[0].shape, affine(order, [SPACING[axis] for axis in axes]))
    straight = score_segmentations(segmentation(TRUTH), segmentation(FOUND))
    for target, scores in score_segmentations(*(segmentation(labels, grid) for labels in turned)).items():
        assert dataclasses.asdict(scores) == pytest.approx(dataclasses.asdict(straight[target]), abs=1e-9)


def test_volumes_come_from_the_affine_even_where_it_is_sheared() -> None:
    matrix = affine(spacing=SPACING)
    matrix[:3, 2] = (0.9, 0.0, 1.2)  # As long as before, but slanted.
    sheared = Grid(SHAPE, matrix)
    volume = score_segmentations(segmentation(TRUTH, sheared), segmentation(FOUND, sheared))["WT"].volume_truth_ml
    assert volume == pytest.approx(np.count_nonzero(TRUTH) * 1.0 * 1.2 * 1.2 / 1000)


def test_a_grid_that_counts_voxels_gives_no_millimetres() -> None:
    grid = Grid(SHAPE, np.eye(4), "voxel")
    scores = score_segmentations(segmentation(TRUTH, grid), segmentation(FOUND, grid))["WT"]
    assert scores.dice == score_masks(TRUTH > 0, FOUND > 0, SPACING).dice
    assert scores.hd95_mm is None


def test_other_grids_are_refused() -> None:
    moved = Grid(SHAPE, affine(spacing=SPACING, origin=(0.0, 0.0, 0.0)))
    with pytest.raises(GridMismatchError, match="resample"):
        score_segmentations(segmentation(TRUTH), segmentation(FOUND, moved))
