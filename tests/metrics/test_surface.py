import dataclasses

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import cdist

from napari_brain_tumor.errors import DimensionError, GridMismatchError, SpacingUnknownError
from napari_brain_tumor.metrics import surface
from napari_brain_tumor.metrics.overlap import dice
from napari_brain_tumor.metrics.surface import SurfaceScores, hd95, score_surfaces, surfel_distances
from phantoms import ball, blob

Mask = npt.NDArray[np.bool_]

WHOLE, CENTRE = (155, 240, 240), (77, 120, 120)
SMALL, MIDDLE = (64, 64, 64), (32, 32, 32)
UNIT = (1.0, 1.0, 1.0)
SPACING = (1.5, 1.0, 0.7)
BLOBS = [(blob(seed), blob(seed + 100, share=0.2)) for seed in range(4)]

large = ball(WHOLE, CENTRE, 25)
PUBLISHED = {
    "shifted": (large, ball(WHOLE, (77, 120, 123), 25), UNIT),
    "concentric": (large, ball(WHOLE, CENTRE, 22), UNIT),
    "far blob": (large, large | ball(WHOLE, (20, 60, 60), 3), UNIT),
    "small": (ball(SMALL, MIDDLE, 12), ball(SMALL, (32, 32, 36), 12), UNIT),
    "small, thick slices": (ball(SMALL, MIDDLE, 12), ball(SMALL, (32, 32, 36), 12), (3.0, 1.0, 1.0)),
}
"""Pairs of masks with what medpy, MONAI and DeepMind's surface-distance say of them."""


def close_to(scores: SurfaceScores) -> object:
    return pytest.approx(dataclasses.asdict(scores), abs=1e-9)


@pytest.mark.parametrize(
    ("pair", "overlap", "hd", "pooled", "larger", "surfel", "nsd", "nsd_voxels", "assd"),
    [
        ("shifted", 0.910475, 3.0, 3.0, 3.0, 2.828427, 0.529294, 0.435438, 1.448931),
        ("concentric", 0.810516, 3.605551, 3.162278, 3.162278, 3.0, 0.0, 0.0, 2.849810),
        ("far blob", 0.999059, 80.255841, 0.0, 0.0, 0.0, 0.992314, 0.992981, 0.543107),
        ("small", 0.755068, 4.0, 3.741657, 3.741657, 3.605551, 0.397149, 0.354610, 1.896724),
        ("small, thick slices", 0.755068, 4.0, 4.0, 4.0, 4.0, 0.329405, 0.306383, 2.224326),
    ],
)
def test_published_values_of_balls(
    pair: str,
    overlap: float,
    hd: float,
    pooled: float,
    larger: float,
    surfel: float,
    nsd: float,
    nsd_voxels: float,
    assd: float,
) -> None:
    truth, predicted, spacing = PUBLISHED[pair]
    scores = score_surfaces(truth, predicted, spacing, tolerance_mm=1.0)
    assert dice(truth, predicted) == pytest.approx(overlap, abs=1e-6)
    assert scores.nsd == pytest.approx(nsd, abs=1e-6)
    assert scores.nsd_voxels == pytest.approx(nsd_voxels, abs=1e-6)
    assert scores.hd_mm == pytest.approx(hd, abs=1e-4)
    assert scores.hd95_pooled_mm == pytest.approx(pooled, abs=1e-4)
    assert scores.hd95_max_mm == pytest.approx(larger, abs=1e-4)
    assert scores.hd95_mm == pytest.approx(surfel, abs=1e-4)
    assert scores.assd_mm == pytest.approx(assd, abs=1e-4)
    assert surfel_distances(truth, predicted, spacing).hausdorff == pytest.approx(hd, abs=1e-4)
    assert hd95(truth, predicted, spacing) == scores.hd95_mm


def test_two_empty_masks_agree_fully() -> None:
    empty = np.zeros((240, 240, 155), bool)
    scores = score_surfaces(empty, empty, UNIT)
    assert (scores.hd95_mm, scores.hd95_pooled_mm, scores.hd95_max_mm, scores.hd_mm, scores.assd_mm) == (0,) * 5
    assert (scores.nsd, scores.nsd_voxels) == (1, 1)
    assert hd95(empty, empty, UNIT) == 0


@pytest.mark.parametrize("swapped", [False, True])
def test_one_empty_mask_is_as_far_as_the_diagonal_of_the_volume(swapped: bool) -> None:
    empty = np.zeros((240, 240, 155), bool)
    found = ball(empty.shape, (100, 100, 80), 5)
    pair = (found, empty) if swapped else (empty, found)
    scores = score_surfaces(*pair, UNIT)
    distances = (scores.hd95_mm, scores.hd95_pooled_mm, scores.hd95_max_mm, scores.hd_mm, scores.assd_mm)
    assert distances == pytest.approx([373.13] * 5, abs=0.005)
    assert (scores.nsd, scores.nsd_voxels) == (0, 0)
    assert hd95(*pair, (2.0, 2.0, 2.0)) == pytest.approx(2 * 373.1286, abs=1e-3)


def brute_surface(mask: Mask) -> np.ndarray:
    """Outermost voxels, asked one by one."""
    points = []
    for voxel in np.argwhere(mask):
        for axis in range(3):
            for step in (-1, 1):
                beside = voxel.copy()
                beside[axis] += step
                in_array = 0 <= beside[axis] < mask.shape[axis]
                if not in_array or not mask[tuple(beside)]:
                    points.append(tuple(voxel))
    return np.array(sorted(set(points)), float)


@pytest.mark.parametrize("pair", BLOBS)
def test_scores_of_voxels_equal_all_distances_between_all_points(pair: tuple[Mask, Mask]) -> None:
    between = cdist(brute_surface(pair[0]) * SPACING, brute_surface(pair[1]) * SPACING)
    there, back = between.min(axis=1), between.min(axis=0)
    scores = score_surfaces(*pair, SPACING, tolerance_mm=1.2)
    assert scores.hd_mm == pytest.approx(max(there.max(), back.max()))
    assert scores.hd95_max_mm == pytest.approx(max(np.percentile(there, 95), np.percentile(back, 95)))
    assert scores.hd95_pooled_mm == pytest.approx(np.percentile(np.hstack([there, back]), 95))
    assert scores.assd_mm == pytest.approx(np.hstack([there, back]).mean())
    assert scores.nsd_voxels == pytest.approx((np.hstack([there, back]) <= 1.2).mean())


@pytest.mark.parametrize("pair", BLOBS)
def test_scores_equal_those_of_monai(pair: tuple[Mask, Mask]) -> None:
    metrics = pytest.importorskip("monai.metrics")
    torch = pytest.importorskip("torch")
    # Away from the border, where MONAI takes the end of the array for an end of the surface in one score alone.
    truth, predicted = (np.pad(mask, 2) for mask in pair)
    batch = [torch.from_numpy(mask)[None, None] for mask in (predicted, truth)]
    scores = score_surfaces(truth, predicted, SPACING, tolerance_mm=1.2)
    distances = {"include_background": True, "spacing": SPACING}
    dices = {"class_thresholds": [1.2], **distances}
    assert scores.hd95_max_mm == pytest.approx(
        metrics.compute_hausdorff_distance(*batch, percentile=95, **distances).item(), abs=1e-5
    )
    assert scores.hd_mm == pytest.approx(metrics.compute_hausdorff_distance(*batch, **distances).item(), abs=1e-5)
    assert scores.assd_mm == pytest.approx(
        metrics.compute_average_surface_distance(*batch, symmetric=True, **distances).item(), abs=1e-5
    )
    assert scores.nsd_voxels == pytest.approx(metrics.compute_surface_dice(*batch, **dices).item(), abs=1e-5)
    assert scores.nsd == pytest.approx(
        metrics.compute_surface_dice(*batch, use_subvoxels=True, **dices).item(), abs=1e-5
    )


seeds = st.integers(0, 10_000)
shares = st.floats(0.01, 0.9)


@settings(max_examples=25, deadline=None)
@given(seeds, seeds, shares, shares)
def test_scores_are_symmetric_and_ordered(first: int, second: int, share: float, other: float) -> None:
    truth, predicted = blob(first, (7, 6, 5), share), blob(second, (7, 6, 5), other)
    scores = score_surfaces(truth, predicted, SPACING)
    assert dataclasses.asdict(scores) == close_to(score_surfaces(predicted, truth, SPACING))
    assert 0 <= scores.nsd <= 1
    # Interpolated percentiles of few distances: the pooled one can lie above both directions' own.
    assert max(scores.hd95_pooled_mm, scores.hd95_max_mm) <= scores.hd_mm
    assert scores.assd_mm <= scores.hd_mm


@settings(max_examples=25, deadline=None)
@given(seeds, st.permutations(range(3)), st.lists(st.integers(0, 2), max_size=3, unique=True))
def test_scores_do_not_depend_on_orientation(seed: int, axes: list[int], flips: list[int]) -> None:
    pair = blob(seed), blob(seed + 1)
    turned = [np.flip(mask.transpose(axes), flips) for mask in pair]
    spacing = tuple(SPACING[axis] for axis in axes)
    assert dataclasses.asdict(score_surfaces(*turned, spacing)) == close_to(score_surfaces(*pair, SPACING))


@pytest.mark.parametrize("margin", [0, 1, 9])
def test_the_air_around_does_not_matter(margin: int) -> None:
    pair = BLOBS[0]
    assert pair[0][0].any(), "the mask should touch the border of the array"
    padded = [np.pad(mask, margin) for mask in pair]
    assert score_surfaces(*padded, SPACING) == score_surfaces(*pair, SPACING)


def test_work_is_done_within_the_box_around_both_masks(monkeypatch: pytest.MonkeyPatch) -> None:
    shapes = []
    codes = surface.neighbour_codes
    monkeypatch.setattr(surface, "neighbour_codes", lambda mask: (shapes.append(mask.shape), codes(mask))[1])
    truth, predicted = np.zeros(WHOLE, bool), np.zeros(WHOLE, bool)
    truth[10:20, 0:5, 200:240] = True
    predicted[15:30, 0:9, 210:240] = True
    score_surfaces(truth, predicted, UNIT)
    assert shapes == [(22, 11, 42)] * 2


def test_a_single_slice_is_scored_in_its_plane() -> None:
    truth, predicted = np.zeros((40, 40, 1), bool), np.zeros((40, 40, 1), bool)
    truth[10:30, 10:30] = True
    predicted[10:30, 10:33] = True
    scores = score_surfaces(truth, predicted, (1.0, 1.0, 5.0), tolerance_mm=1.0)
    # Three of the outlines' four sides agree but for 3 mm, the fourth is 3 mm off; the filled inside does not count.
    assert scores.hd_mm == 3.0
    assert scores.hd95_mm == 3.0
    assert 0.6 < scores.nsd < 0.8
    extruded = [np.repeat(mask, 200, axis=2) for mask in (truth, predicted)]
    assert scores.nsd == pytest.approx(score_surfaces(*extruded, UNIT, tolerance_mm=1.0).nsd, abs=0.05)


def test_a_flat_mask_in_a_volume_has_two_sides() -> None:
    flat = np.zeros((20, 20, 9), bool)
    flat[5:15, 5:15, 4] = True
    assert score_surfaces(flat, np.roll(flat, 1, axis=2), UNIT).hd95_mm == 1.0


def test_a_distance_of_just_the_tolerance_counts_as_near() -> None:
    truth, predicted = np.zeros((9, 3, 3), bool), np.zeros((9, 3, 3), bool)
    truth[2], predicted[5] = True, True
    assert 3 * 0.1 > 0.3, "rounding makes three steps of 0.1 mm a little longer than 0.3 mm"
    assert score_surfaces(truth, predicted, (0.1, 1.0, 1.0), tolerance_mm=0.3).nsd_voxels == 1.0


def test_thick_voxels_count_in_millimetres() -> None:
    truth, predicted = np.zeros((9, 9, 9), bool), np.zeros((9, 9, 9), bool)
    truth[4, 4, 4], predicted[4, 4, 6] = True, True
    assert score_surfaces(truth, predicted, (1.0, 1.0, 2.5)).hd_mm == 5.0


def test_masks_are_refused_with_the_reason() -> None:
    mask = np.ones((3, 3, 3), bool)
    with pytest.raises(GridMismatchError, match=r"\(3, 3, 3\).*\(3, 3\)"):
        score_surfaces(mask, mask[0], UNIT)
    with pytest.raises(DimensionError, match=r"\(X, Y, 1\)"):
        score_surfaces(mask[0], mask[0], UNIT)
    for spacing in ((0.0, 1.0, 1.0), (float("nan"), 1.0, 1.0), (1.0, 1.0)):
        with pytest.raises(SpacingUnknownError, match="three positive lengths"):
            hd95(mask, mask, spacing)
