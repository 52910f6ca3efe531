import csv

import pytest
import torch
from curated_phantoms import write_data
from typer.testing import CliRunner

from napari_brain_tumor.errors import TrainingError
from napari_brain_tumor.models.cards import read_card
from napari_brain_tumor.models.checkpoint import load_network
from napari_brain_tumor.progress import run_job
from napari_brain_tumor_training.__main__ import app
from napari_brain_tumor_training.config import read_config
from napari_brain_tumor_training.crossvalidate import crossvalidate, fit_fold


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_data(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def config(data):
    return read_config(data / "recipe.toml")


@pytest.fixture(scope="module")
def validated(data, config, tmp_path_factory):
    folder = tmp_path_factory.mktemp("folds")
    run_job(fit_fold(config, data, folder, 1, 2, device="cpu", epochs=1))
    return folder, run_job(crossvalidate(config, data, folder, 2, device="cpu", epochs=1))


def test_the_ensemble_of_the_folds_is_their_mean(validated):
    folder, result = validated
    assert result.model.folder == folder / "tiny"
    assert [member.name for member in result.members] == ["tiny-fold-1", "tiny-fold-2"]
    image = torch.randn(1, 4, 16, 16, generator=torch.Generator().manual_seed(0))
    mean = sum(torch.sigmoid(load_network(member)(image)) for member in result.members) / 2
    torch.testing.assert_close(torch.sigmoid(load_network(result.model)(image)), mean)


def test_each_fold_is_trained_without_its_own_patients(validated):
    folder, result = validated
    cards = [read_card(folder / f"fold-{number}" / f"tiny-fold-{number}") for number in (1, 2)]
    assert [card.training.cases for card in cards] == [2, 2]
    assert cards[0].training.split_sha256 != cards[1].training.split_sha256
    assert [member.training for member in result.model.card.members] == [card.training for card in cards]
    whole = [m for m in result.metrics if len(m.roles) == 4]
    assert [(m.dataset, m.cases) for m in whole] == [("volumes", 2), ("slices", 2)]


def test_the_ensemble_is_scored_on_the_side_that_no_fold_saw(validated):
    folder, result = validated
    whole = [m for m in result.model.card.metrics if len(m.roles) == 4]
    assert [(m.dataset, m.cases) for m in whole] == [("volumes", 1), ("slices", 1)]
    assert "ensemble of 2 folds" in (folder / "report.md").read_text()
    rows = list(csv.DictReader((folder / "crossvalidation.csv").open()))
    assert {row["fold"] for row in rows} == {"1", "2"}


def test_a_fold_does_not_go_on_as_another(data, config, validated):
    folder, _ = validated
    (folder / "fold-1").rename(folder / "fold-3")
    (folder / "fold-2").rename(folder / "fold-1")
    try:
        with pytest.raises(TrainingError, match=r"recipe changed.*name"):
            run_job(fit_fold(config, data, folder, 1, 2, device="cpu", resume=True, epochs=1))
    finally:
        (folder / "fold-1").rename(folder / "fold-2")
        (folder / "fold-3").rename(folder / "fold-1")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--fold", "1"], "needs --folds"),
        (["--fold", "3", "--folds", "2"], "needs --folds"),
        (["--folds", "2", "--max-minutes", "1"], "give --fold too"),
    ],
)
def test_the_shell_refuses_folds_that_contradict_each_other(data, tmp_path, options, message):
    arguments = [str(data / "recipe.toml"), "--data", str(data), "--out", str(tmp_path / "out"), *options]
    result = CliRunner().invoke(app, arguments, env={"COLUMNS": "200"})
    assert result.exit_code == 2
    assert message in result.output
    assert not (tmp_path / "out").exists()


def test_several_processes_train_folds_one_by_one(data, config, tmp_path, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(TrainingError, match="Train each fold"):
        run_job(crossvalidate(config, data, tmp_path, 2, device="cpu"))
