"""Sessions of a simulated user give samples, and the network that is fitted to them tells right from wrong."""

from pathlib import Path

import numpy as np
import pytest

from napari_brain_tumor.errors import TrainingError
from napari_brain_tumor.geometry import Grid
from napari_brain_tumor.interactive.evidence import FEATURES
from napari_brain_tumor.interactive.verdict import load_verdict, shipped_verdict
from napari_brain_tumor.study import Study
from prompting.verdict import (
    Samples,
    Start,
    fit_verdict,
    joined,
    play,
    read_samples,
    save_samples,
    save_verdict,
)

SHAPE = (36, 36, 32)


@pytest.fixture(scope="module")
def truth():
    far = np.linalg.norm(np.indices(SHAPE) - np.reshape((17, 17, 15), (3, 1, 1, 1)), axis=0)
    return ((far < 10).astype(np.uint8) + (far < 6) + (far < 3)).astype(np.uint8)


@pytest.fixture(scope="module")
def study(truth):
    random = np.random.default_rng(1)
    brain = np.linalg.norm(np.indices(SHAPE) - np.reshape((18, 17, 16), (3, 1, 1, 1)), axis=0) < 15
    images = {
        role: ((5 + step * np.isin(truth, classes) + 0.4 * random.standard_normal(SHAPE)) * brain).astype(np.float32)
        for role, step, classes in (("FLAIR", 3, (1, 2, 3)), ("T1c", 4, (3,)), ("T1", -1.5, (2, 3)))
    }
    return Study(images, Grid(SHAPE, np.eye(4)))


@pytest.fixture(scope="module")
def samples(study, truth):
    random = np.random.default_rng(2)
    return joined([play(study, truth, Start(np.zeros(SHAPE, np.uint8)), random) for _ in range(2)])


def test_play_samples_voxels_that_should_and_should_not_follow(samples):
    assert samples.numbers.shape == (len(samples.follows), len(FEATURES))
    assert 0.05 < samples.follows.mean() < 0.95
    assert (samples.weights >= 1).all()
    assert np.isfinite(samples.numbers).all()


def test_play_without_an_error_gives_nothing(study, truth):
    with pytest.raises(TrainingError, match="No prompt was given"):
        play(study, truth, Start(truth), np.random.default_rng(0))


def test_play_with_a_verdict_corrects_by_it(study, truth):
    by_truth = play(study, truth, Start(np.zeros(SHAPE, np.uint8)), np.random.default_rng(5))
    by_verdict = play(
        study, truth, Start(np.zeros(SHAPE, np.uint8)), np.random.default_rng(5), verdict=shipped_verdict()
    )
    assert len(by_truth.follows) != len(by_verdict.follows)


def test_fit_tells_what_follows(samples):
    verdict = fit_verdict(samples, layers=(16,), epochs=40, batch=512)
    told = verdict(samples.numbers.astype(np.float32)) > 0.5
    assert (told == samples.follows).mean() > 0.9


def test_fit_is_the_same_for_the_same_seed(samples):
    first, second = (fit_verdict(samples, layers=(4,), epochs=1) for _ in range(2))
    assert all(map(np.array_equal, first.weights, second.weights))


def test_saved_weights_and_samples_are_read_back(samples, tmp_path: Path):
    verdict = fit_verdict(samples, layers=(4,), epochs=1)
    save_verdict(verdict, tmp_path / "w.safetensors")
    assert all(map(np.array_equal, load_verdict(tmp_path / "w.safetensors").weights, verdict.weights))
    save_samples(samples, tmp_path / "s.safetensors")
    assert np.array_equal(read_samples(tmp_path / "s.safetensors").numbers, samples.numbers)


def test_joined_keeps_questions_apart():
    one = Samples(np.zeros((2, 1), np.float16), np.zeros(2, bool), np.ones(2, np.float32), np.array([0, 1]))
    assert joined([one, one]).prompts.tolist() == [0, 1, 2, 3]
