import numpy as np
import pytest

from napari_brain_tumor.metrics.calibration import LogitCounts


def counted(temperature, number=200_000, seed=0):
    """Truth drawn with probabilities whose logits are told too large by the temperature."""
    random = np.random.default_rng(seed)
    honest = random.normal(-1, 1.5, number)
    return LogitCounts.of(honest * temperature, random.random(number) < 1 / (1 + np.exp(-honest)))


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.5])
def test_the_temperature_that_made_a_network_too_sure_is_found(temperature):
    counts = counted(temperature)
    assert counts.best_temperature() == pytest.approx(temperature, rel=0.03)
    assert counts.reliability(temperature).error < 0.005


def test_calibration_lowers_the_error_of_a_network_that_is_too_sure():
    counts = counted(3.0)
    assert counts.reliability().error > 0.08
    assert counts.reliability(counts.best_temperature()).error < 0.005


def test_the_error_is_the_mean_gap_over_voxels():
    # Ten voxels said to be certain, of which six are; ten said to be certainly not, of which none is.
    logits = np.repeat([20.0, -20.0], 10)
    truth = np.repeat([True, False, False], [6, 4, 10])
    result = LogitCounts.of(logits, truth).reliability()
    assert result.error == pytest.approx(0.5 * 0.4, abs=1e-6)
    assert result.voxels.tolist() == [10, 10]
    assert result.observed.tolist() == [0, 0.6]


def test_counts_of_two_volumes_are_those_of_both_together():
    random = np.random.default_rng(1)
    logits, truth = random.normal(0, 3, 1000), random.random(1000) < 0.4
    parts = LogitCounts.of(logits[:300], truth[:300]) + LogitCounts.of(logits[300:], truth[300:])
    assert np.array_equal(parts.counts, LogitCounts.of(logits, truth).counts)
    assert parts.voxels == 1000


def test_logits_beyond_the_counted_ones_are_counted_at_the_end():
    counts = LogitCounts.of(np.array([-1e4, 1e4]), np.array([False, True]))
    assert (counts.counts[0, 0], counts.counts[1, -1]) == (1, 1)


def test_without_both_kinds_of_voxels_there_is_no_temperature():
    assert LogitCounts.of(np.array([1.0, 2.0]), np.array([True, True])).best_temperature() is None
    assert LogitCounts().best_temperature() is None


def test_reliability_of_nothing_is_refused():
    with pytest.raises(ValueError, match="none were counted"):
        LogitCounts().reliability()
