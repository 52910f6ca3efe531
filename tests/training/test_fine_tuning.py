"""Going on with a model on the accepted cases of a curated data set."""

import numpy as np
import pytest
from curated_phantoms import head

from models_for_tests import tiny_model
from napari_brain_tumor.dataset import CuratedDataset
from napari_brain_tumor.errors import TrainingError
from napari_brain_tumor.geometry import Grid
from napari_brain_tumor.models.cards import BUNDLED, find_model
from napari_brain_tumor.progress import run_job
from napari_brain_tumor.requests.train import TrainRequest
from napari_brain_tumor.study import Segmentation, Study
from napari_brain_tumor_training.default_recipe import recipe_of, recipe_to_fine_tune
from napari_brain_tumor_training.estimate import voxels_to_validate
from napari_brain_tumor_training.fit import fit

SHAPE = (40, 44, 6)


@pytest.fixture
def dataset(tmp_path):
    dataset = CuratedDataset.create(tmp_path / "my gliomas")
    grid = Grid(SHAPE, np.diag([-1, -1, 2, 1]))
    for number in range(2):
        image, labels = head(number)
        study = Study({"FLAIR": image}, grid, name=f"case{number}")
        truth = Segmentation(labels, grid, name=study.name)
        others = [case.id for case in dataset.cases()]
        side = ("train", "val")[number]
        dataset.add(study, truth, patient=f"P{number}", state="accepted", split=side, not_same_as=others)
    return dataset


def test_the_recipe_keeps_what_the_model_is_and_takes_small_steps(dataset):
    config = recipe_of(TrainRequest(source=dataset.folder, start_from="unet"))
    card = find_model("unet").card
    assert (config.model.architecture, config.model.arguments, config.model.init) == ("unet", card.arguments, "unet")
    assert (config.roles, config.preprocessing) == (tuple(card.roles), card.preprocessing)
    assert (config.min_lesion_mm3, config.brain_only, config.licence) == (100.0, True, card.licence)
    assert config.name == "unet-my-gliomas"
    assert config.optimisation.learning_rate < 1e-3
    assert config.validate_start


def test_what_cannot_be_gone_on_with_is_refused(dataset):
    with pytest.raises(TrainingError, match="fine-tune one of unet, resunet"):
        recipe_to_fine_tune(dataset.folder, find_model("ensemble"))
    with pytest.raises(TrainingError, match="does not segment tumours"):
        recipe_to_fine_tune(dataset.folder, find_model(BUNDLED / "brain"))
    with pytest.raises(TrainingError, match="network is that of unet"):
        recipe_of(TrainRequest(source=dataset.folder, start_from="unet", model="u2netp"))


def test_the_model_as_it_was_is_the_first_candidate_for_the_best(dataset, tmp_path):
    model, _ = tiny_model(tmp_path / "tiny", half=False)
    config = recipe_to_fine_tune(dataset.folder, model)
    plan = config.optimisation.model_copy(update={"iterations_per_epoch": 1, "batch": 1, "learning_rate": 1e-9})
    config = config.model_copy(update={"patch": (32, 32), "optimisation": plan})
    result = run_job(fit(config, dataset.folder, tmp_path / "run", device="cpu", epochs=1))
    assert [row["epoch"] for row in result.history] == [0, 1]
    assert any(key.endswith(" WT") for key in result.history[0])
    assert result.model.card.architecture == model.card.architecture
    assert [metric.cases for metric in result.model.card.metrics] == [1]


def test_validation_costs_what_lies_in_the_box_of_the_head_each_time(dataset):
    config = recipe_of(TrainRequest(source=dataset.folder, start_from="unet"))
    # 20 epochs, every fifth validated, and the start; pixels of 1 mm, slices as they are.
    assert voxels_to_validate(config, dataset.folder) == pytest.approx(5 * 0.45 * np.prod(SHAPE))
