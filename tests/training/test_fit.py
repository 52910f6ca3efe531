import csv

import pytest
import torch
from curated_phantoms import write_data

from napari_brain_tumor import open_study, segment
from napari_brain_tumor.errors import TrainingError
from napari_brain_tumor.models.cards import read_card
from napari_brain_tumor.models.checkpoint import load_network
from napari_brain_tumor.progress import run_job
from napari_brain_tumor_training.config import read_config
from napari_brain_tumor_training.fit import fit


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_data(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def config(data):
    return read_config(data / "recipe.toml")


@pytest.fixture(scope="module")
def whole_run(data, config, tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    return folder, run_job(fit(config, data, folder, device="cpu"))


def test_a_run_writes_history_state_and_a_checkpoint_that_segments(data, whole_run):
    folder, result = whole_run
    rows = list(csv.DictReader((folder / "history.csv").open()))
    assert [row["epoch"] for row in rows] == ["1", "2", "3"]
    assert float(rows[-1]["loss"]) < float(rows[0]["loss"])
    assert set(rows[1]) >= {"volumes WT", "volumes TC", "volumes ET", "slices WT"}
    assert rows[0]["volumes WT"] == ""
    assert not list(folder.glob("*.part"))
    card = read_card(result.model.folder)
    assert (card.training.cases, card.training.epochs, card.training.seed) == (4, 3, 5)
    assert card.training.datasets == ["volumes", "slices"]
    study = open_study(data / "volumes" / "imagesTr" / "volume_2.nii.gz")
    assert segment(study, result.model.folder, "cpu").data.shape == study.grid.shape


def test_a_run_that_is_stopped_and_resumed_ends_bit_equal(data, config, whole_run, tmp_path):
    _, whole = whole_run
    job = fit(config, data, tmp_path, device="cpu")
    for progress in job:
        if progress.done > 1.3:  # in the middle of the second epoch
            break
    job.close()
    resumed = run_job(fit(config, data, tmp_path, device="cpu", resume=True))
    one, two = load_network(whole.model).state_dict(), load_network(resumed.model).state_dict()
    assert all(torch.equal(one[name], two[name]) for name in one)
    without_time = [{k: v for k, v in row.items() if k != "seconds"} for row in resumed.history]
    assert without_time == [{k: v for k, v in row.items() if k != "seconds"} for row in whole.history]


def test_a_run_begins_with_the_weights_of_a_checkpoint_of_its_own_kind(data, config, whole_run, tmp_path):
    _, whole = whole_run
    begun = config.model_copy(update={"model": config.model.model_copy(update={"init": str(whole.model.folder)})})
    result = run_job(fit(begun, data, tmp_path / "on", device="cpu", epochs=1))
    assert result.history[0]["loss"] < whole.history[0]["loss"]
    wider = begun.model.model_copy(update={"arguments": {"width": 6, "levels": 3}})
    with pytest.raises(TrainingError, match="weights of its own kind only"):
        run_job(fit(begun.model_copy(update={"model": wider}), data, tmp_path / "wider", device="cpu"))


def test_a_folder_that_holds_a_run_is_not_started_over(data, config, whole_run):
    folder, _ = whole_run
    with pytest.raises(TrainingError, match="already holds"):
        run_job(fit(config, data, folder, device="cpu"))


def test_a_changed_recipe_is_not_resumed(data, config, whole_run):
    folder, _ = whole_run
    with pytest.raises(TrainingError, match="seed"):
        run_job(fit(config.model_copy(update={"seed": 6}), data, folder, device="cpu", resume=True))


def test_time_limit_stops_after_an_epoch_with_a_checkpoint(data, config, tmp_path):
    result = run_job(fit(config, data, tmp_path, device="cpu", max_minutes=0))
    assert [row["epoch"] for row in result.history] == [1]
    assert result.model.card.training.epochs == 1


def test_a_loss_that_is_not_finite_stops_with_the_reason_and_keeps_the_state(data, config, tmp_path, monkeypatch):
    from napari_brain_tumor_training import losses

    run_job(fit(config, data, tmp_path, device="cpu", max_minutes=0))
    monkeypatch.setattr(losses.PartialRegionLoss, "forward", lambda *_: torch.tensor(float("nan")))
    with pytest.raises(TrainingError, match="learning rate"):
        run_job(fit(config, data, tmp_path, device="cpu", resume=True))
    assert torch.load(tmp_path / "state.pt", weights_only=True)["epoch"] == 1


def test_no_training_case_is_a_clear_error(data, config, tmp_path):
    import shutil

    copy = tmp_path / "data"
    shutil.copytree(data, copy)
    split = copy / "split.csv"
    split.write_text(split.read_text().replace("train", "val"))
    with pytest.raises(TrainingError, match="No training case"):
        run_job(fit(config, copy, tmp_path / "run", device="cpu"))


def test_two_processes_do_not_train_in_one_folder(data, config, tmp_path):
    first = fit(config, data, tmp_path, device="cpu")
    next(first)
    with pytest.raises(TrainingError, match="Another process"):
        run_job(fit(config, data, tmp_path, device="cpu"))
    first.close()
