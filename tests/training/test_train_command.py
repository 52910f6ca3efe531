import re

import numpy as np
import pytest
from curated_phantoms import head, write_data
from training_cases import recipe
from typer.testing import CliRunner

from napari_brain_tumor.dataset import CuratedDataset
from napari_brain_tumor.errors import DatasetError, OutOfMemoryError, TrainingError
from napari_brain_tumor.geometry import Grid
from napari_brain_tumor.models.cards import list_models, read_card
from napari_brain_tumor.models.registry import CONFIGURATIONS
from napari_brain_tumor.study import Segmentation, Study
from napari_brain_tumor_training import estimate
from napari_brain_tumor_training.__main__ import app
from napari_brain_tumor_training.config import DataSource, ModelConfig, read_config
from napari_brain_tumor_training.default_recipe import recipe_for_dataset, with_model
from napari_brain_tumor_training.estimate import Cost, estimate_cost
from napari_brain_tumor_training.trainer import Trainer


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_data(tmp_path_factory.mktemp("data"))


def run(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_every_configuration_can_be_named_in_a_recipe(name):
    known = CONFIGURATIONS[name]
    section = ModelConfig(configuration=name)
    assert (section.architecture, section.dims, section.arguments) == (
        known.architecture,
        known.dims,
        dict(known.arguments),
    )
    assert ModelConfig.model_validate_json(section.model_dump_json()) == section
    assert ModelConfig(configuration=name, dims=3, arguments={"width": 4}).arguments["width"] == 4


def test_a_recipe_with_the_earlier_name_of_the_large_u_net_is_still_read():
    """`unet` alone means the model that ships, of 24 features; the configuration of that name had 64."""
    section = ModelConfig(configuration="unet")
    assert (section.configuration, section.arguments) == ("unet_2015", {"width": 64})
    assert with_model(recipe(), "unet", None).model.configuration == "unet_2015"
    assert "unet" not in CONFIGURATIONS


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"patch": [16, 16, 16]}, "the model has 2 dimensions, patch has the sides"),
        ({"model": {"configuration": "nnunet"}}, "no configuration is called 'nnunet'"),
        ({"split": None}, "needs a split"),
        ({"model": {"freeze_encoder": True}}, "freeze_encoder needs init"),
        ({"loss": {"region": "hinge"}}, "dice"),
    ],
)
def test_recipes_that_contradict_themselves_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        recipe(**changes)


def test_only_synthetic_sources_have_a_number_of_cases():
    with pytest.raises(ValueError, match="how many cases"):
        DataSource(dataset="a", kind="decathlon", path=".", share=1, cases=3)
    with pytest.raises(ValueError, match="how many cases"):
        DataSource(dataset="a", kind="synthetic", path=".", share=1)


def test_a_recipe_is_turned_to_another_model_and_other_dimensions(data):
    config = read_config(data / "recipe.toml")
    assert with_model(config, None, None) == config
    volume = with_model(config, None, 3)
    assert (volume.model.dims, len(volume.patch), volume.model.arguments) == (3, 3, config.model.arguments)
    other = with_model(config, "u2netp", None)
    assert (other.model.architecture, other.patch, other.optimisation) == ("u2netp", (32, 32), config.optimisation)
    assert with_model(config, "residual_unet", None).model.dims == 3
    with pytest.raises(TrainingError, match="no configuration is called 'x'"):
        with_model(config, "x", None)


@pytest.mark.parametrize("dims", [2, 3])
def test_a_step_is_measured_and_told(dims):
    cost = estimate_cost(recipe(dims), "cpu")
    assert 0 < cost.seconds_per_step < 60
    assert cost.steps == 4
    assert cost.seconds_per_epoch == pytest.approx(2 * cost.seconds_per_step)
    assert cost.fits
    larger = estimate_cost(recipe(dims, optimisation={"batch": 8}), "cpu")
    assert 2 < (larger.memory_bytes - 20 * cost.parameters) / (cost.memory_bytes - 20 * cost.parameters) < 5


def test_what_does_not_fit_comes_with_what_to_lower():
    cost = Cost("cuda:0", 1_000_000, 0.5, 1000, 10, 12 * 2**30, 8 * 2**30)
    assert not cost.fits
    assert "0.8 min per epoch, 0.1 h in all" in cost.describe()
    assert "12.00 GiB of 8.0 GiB that are free" in cost.describe()
    assert "Lower optimisation.batch" in cost.describe()


def test_a_step_that_runs_out_of_memory_is_a_clear_error(monkeypatch):
    def too_large(*_):
        raise MemoryError

    monkeypatch.setattr(estimate.Trainer, "step", too_large)
    with pytest.raises(OutOfMemoryError, match=r"Lower optimisation\.batch"):
        estimate_cost(recipe(), "cpu")
    assert Trainer.step is too_large


def test_the_command_estimates_without_reading_data_or_writing(data, tmp_path):
    result = run(data / "recipe.toml", "--data", tmp_path, "--estimate", "--device", "cpu", "-o", tmp_path / "run")
    assert result.exit_code == 0, result.output
    assert re.search(r"s per step, .* min per epoch", result.output)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("dims", [2, 3])
def test_the_command_draws_augmented_samples(data, tmp_path, dims):
    picture, written = tmp_path / "augmented.png", tmp_path / "recipe.toml"
    text = (data / "recipe.toml").read_text()
    if dims == 3:
        text = text.replace("patch = [32, 32]", "patch = [6, 32, 32]").replace("[model]", "[model]\ndims = 3")
    written.write_text(text)
    result = run(written, "--data", data, "--augmented", picture, "-o", tmp_path / "run")
    assert result.exit_code == 0, result.output
    from matplotlib.image import imread

    pixels = imread(picture)
    assert pixels.shape[:2] == (1200, 1200)
    assert pixels[..., :3].std() > 0.05
    assert not (tmp_path / "run" / "state.pt").exists()


def test_the_command_takes_a_curated_data_set(tmp_path):
    dataset = CuratedDataset.create(tmp_path / "my gliomas")
    grid = Grid((40, 44, 6), np.diag([-1, -1, 2, 1]))
    for number in range(2):
        image, labels = head(number)
        study = Study({"FLAIR": image}, grid, name=f"case{number}")
        split = ("train", "val")[number]
        truth = Segmentation(labels, grid, name=study.name)
        others = [case.id for case in dataset.cases()]
        dataset.add(study, truth, patient=f"P{number}", state="accepted", split=split, not_same_as=others)
    config = recipe_for_dataset(dataset.folder, None, 3)
    assert (config.model.configuration, config.patch, config.name) == (
        "residual_unet_light",
        (96, 96, 96),
        "my-gliomas",
    )
    assert recipe_for_dataset(dataset.folder, "residual_unet").model.dims == 3
    result = run(dataset.folder, "--model", "u2netp", "--augmented", tmp_path / "a.png", "-o", tmp_path / "run")
    assert result.exit_code == 0, result.output
    assert (tmp_path / "a.png").is_file()
    with pytest.raises(DatasetError):
        recipe_for_dataset(tmp_path)


def test_an_unknown_model_is_a_message(data):
    result = run(data / "recipe.toml", "--data", data, "--model", "nnunet")
    assert result.exit_code == 1
    assert "no configuration is called 'nnunet'" in result.output.replace("\n", " ")


@pytest.mark.slow
def test_the_checkpoint_of_another_model_is_written_under_the_recipes_name(data, tmp_path):
    arguments = ["--data", data, "--device", "cpu", "--epochs", 1, "-o", tmp_path, "--model", "resunet_plus_plus"]
    result = run(data / "recipe.toml", *arguments)
    assert result.exit_code == 0, result.output
    assert read_card(tmp_path / "tiny").architecture == "resunet_plus_plus"


@pytest.mark.slow
def test_a_finished_model_is_in_the_list_at_once_under_one_name(data, tmp_path, monkeypatch):
    monkeypatch.setenv("BRAIN_TUMOR_HOME", str(tmp_path / "home"))
    own = lambda: [model.name for model in list_models() if not model.bundled]  # noqa: E731
    arguments = (data / "recipe.toml", "--data", data, "--out", tmp_path / "run", "--device", "cpu")
    assert run(*arguments, "--epochs", 1, "--no-install").exit_code == 0
    assert own() == []
    told = run(*arguments, "--epochs", 2, "--resume")
    assert "brain-tumor segment CASE --model tiny" in told.output
    assert run(*arguments, "--epochs", 3, "--resume").exit_code == 0
    assert own() == ["tiny"]
    assert read_card(tmp_path / "home" / "models" / "tiny").training.epochs == 3


def test_cross_validation_is_not_detached_silently(data, tmp_path):
    refused = run(data / "recipe.toml", "--data", data, "--out", tmp_path / "run", "--folds", 2, "--detach")
    assert refused.exit_code == 2
    assert not (tmp_path / "run").exists()
