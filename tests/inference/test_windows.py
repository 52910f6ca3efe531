import numpy as np
import pytest

from napari_brain_tumor.inference.windows import blending_weights, plan_windows


@pytest.mark.parametrize(
    ("shape", "window"), [((10, 11, 12), (4, 5, 6)), ((5, 5, 5), (5, 5, 5)), ((7, 9, 8), (6, 2, 8))]
)
@pytest.mark.parametrize("overlap", [0.0, 0.25, 0.5])
def test_windows_cover_every_voxel_and_reach_both_borders(shape, window, overlap):
    seen = np.zeros(shape, dtype=int)
    for place in plan_windows(shape, window, overlap):
        assert tuple(s.stop - s.start for s in place) == window
        seen[place] += 1
    assert seen.min() >= 1


def test_neighbours_overlap_at_least_as_asked():
    starts = sorted({place[0].start for place in plan_windows((100,), (32,), 0.5)})
    assert max(np.diff(starts)) <= 16


def test_blending_constant_windows_gives_a_constant_volume():
    shape, window = (20, 17, 23), (8, 8, 8)
    weights = blending_weights(window)
    total, coverage = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
    for place in plan_windows(shape, window, 0.5):
        total[place] += weights
        coverage[place] += weights
    np.testing.assert_allclose(total / coverage, 1)
    assert coverage.min() >= 1e-3


def test_weights_are_largest_in_the_middle_and_symmetric():
    weights = blending_weights((9, 9, 9))
    assert weights[4, 4, 4] == 1 == weights.max()
    np.testing.assert_allclose(weights, weights[::-1, ::-1, ::-1])
