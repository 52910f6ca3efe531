import numpy as np
import pytest

from models_for_tests import tiny_model
from napari_brain_tumor import case_scoring as module
from napari_brain_tumor.case_scoring import border_entropy, known_dice, score_dataset_job
from napari_brain_tumor.dataset import CuratedDataset, truth_of
from napari_brain_tumor.dataset.stored_scores import read_prediction, read_score
from napari_brain_tumor.geometry import Grid
from napari_brain_tumor.progress import run_job
from napari_brain_tumor.study import Segmentation, Study
from napari_brain_tumor.workflow import segment
from phantoms import noise, tumour

SHAPE = (32, 30, 6)
GRID = Grid(SHAPE, np.diag([1.0, 1, 2, 1]))


def make_dataset(folder, roles=("T1", "T1c", "T2", "FLAIR"), name="p1"):
    dataset = CuratedDataset.create(folder)
    add(dataset, name, roles)
    return dataset


def add(dataset, name, roles=("T1", "T1c", "T2", "FLAIR")):
    study = Study({role: noise(SHAPE, seed=len(name) + at) for at, role in enumerate(roles)}, GRID, name)
    dataset.add(study, Segmentation(tumour(SHAPE), GRID, name))


def test_entropy_of_even_odds_along_the_border_is_one_bit():
    probability = np.full((6, 12, 12), 0.5)
    mask = np.ones(probability.shape, bool)
    probability[:, 4:8, 4:8] = 0.5
    assert border_entropy(probability, mask, threshold=0.5) == pytest.approx(1.0)


def test_entropy_of_a_certain_outline_is_almost_none():
    probability = np.zeros((6, 12, 12))
    probability[2:4, 3:9, 3:9] = 1.0
    assert border_entropy(probability, np.ones(probability.shape, bool)) < 1e-3


def test_entropy_counts_the_border_and_not_the_far_background():
    probability = np.full((1, 40, 40), 0.1)
    probability[:, 30:, 30:] = 0.5  # unsure, but far from the outline, and below the threshold
    probability[:, 5:10, 5:10] = 0.9
    found = border_entropy(probability, np.ones(probability.shape, bool), threshold=0.6)
    assert found == pytest.approx(-0.1 * np.log2(0.1) - 0.9 * np.log2(0.9))


def test_without_an_outline_what_might_be_tumour_counts():
    probability = np.zeros((2, 5, 5))
    mask = np.ones(probability.shape, bool)
    assert border_entropy(probability, mask) == 0.0
    probability[0, 0, 0] = 0.25
    assert border_entropy(probability, mask) == pytest.approx(0.8112781)


def test_dice_counts_known_voxels_only():
    labels = tumour(SHAPE)
    truth = truth_of(Segmentation(labels, GRID), known_slices=[0])
    wrong_elsewhere = labels.copy()
    wrong_elsewhere[..., 1:] = 3
    assert known_dice(truth, Segmentation(wrong_elsewhere, GRID)) == {"WT": 1.0, "TC": 1.0, "ET": 1.0}


def test_scores_are_kept_and_only_the_dice_is_computed_again_after_a_new_label(tmp_path, monkeypatch):
    dataset = make_dataset(tmp_path / "set")
    model, _ = tiny_model(tmp_path / "model")
    weights = model.card.weights_sha256
    assert run_job(score_dataset_job(dataset.folder, ["p1"], model.folder, "cpu")) == {}
    case = dataset.case("p1")
    first = read_score(dataset.folder, case, weights)
    predicted = read_prediction(dataset.folder, case, first)
    np.testing.assert_array_equal(predicted.data, segment(dataset.study("p1"), model.folder, "cpu").data)
    assert first.dice == known_dice(dataset.truth("p1"), predicted)
    assert 0 <= first.uncertainty <= 1

    def refuse(*_, **__):
        raise AssertionError("the network was asked again")

    monkeypatch.setattr(module, "outcome_job", refuse)
    dataset.relabel("p1", Segmentation(predicted.data, GRID))
    run_job(score_dataset_job(dataset.folder, ["p1"], model.folder, "cpu"))
    second = read_score(dataset.folder, dataset.case("p1"), weights)
    assert second.dice == {"WT": 1.0, "TC": 1.0, "ET": 1.0}
    assert second.uncertainty == first.uncertainty


def test_refused_case_does_not_stop_the_others(tmp_path):
    dataset = make_dataset(tmp_path / "set", roles=("T2",))
    add(dataset, "complete")
    model, _ = tiny_model(tmp_path / "model", optional_roles=False)
    problems = run_job(score_dataset_job(dataset.folder, ["p1", "complete"], model.folder, "cpu"))
    assert list(problems) == ["p1"]
    assert "needs T1, T1c, FLAIR" in problems["p1"]
    assert read_score(dataset.folder, dataset.case("complete"), model.card.weights_sha256) is not None
