import numpy as np
import pytest
from dataset_cases import add_case

from napari_brain_tumor.dataset import CuratedDataset
from napari_brain_tumor.dataset.index import now
from napari_brain_tumor.dataset.stored_scores import (
    StoredScore,
    images_sha256,
    read_prediction,
    read_score,
    score_path,
    store_score,
)
from phantoms import tumour

WEIGHTS = "c" * 64


@pytest.fixture
def dataset(tmp_path):
    made = CuratedDataset.create(tmp_path / "set")
    add_case(made, "p1")
    return made


def keep(dataset, labels=None):
    case = dataset.case("p1")
    score = StoredScore(
        case="p1",
        model="unet",
        weights_sha256=WEIGHTS,
        images_sha256=images_sha256(case),
        label_sha256=case.label.sha256,
        known_regions=("WT", "TC", "ET"),
        dice={"WT": 0.5, "TC": 0.25, "ET": 1.0},
        uncertainty=0.375,
        made_at=now(),
    )
    store_score(dataset.folder, score, tumour(case.grid.shape) if labels is None else labels)
    return score


def test_score_and_its_labels_come_back(dataset):
    score = keep(dataset)
    case = dataset.case("p1")
    assert read_score(dataset.folder, case, WEIGHTS) == score
    predicted = read_prediction(dataset.folder, case, score)
    np.testing.assert_array_equal(predicted.data, tumour(case.grid.shape))
    assert predicted.grid.same_place(case.grid.grid)
    assert read_score(dataset.folder, case, "d" * 64) is None


def test_score_on_other_images_under_the_same_id_does_not_count(dataset):
    keep(dataset)
    dataset.remove("p1")
    add_case(dataset, "p1", seed=7)
    assert read_score(dataset.folder, dataset.case("p1"), WEIGHTS) is None


def test_damaged_score_counts_as_none(dataset):
    keep(dataset)
    score_path(dataset.folder, "p1", WEIGHTS).write_bytes(b"no archive")
    assert read_score(dataset.folder, dataset.case("p1"), WEIGHTS) is None
