"""What was hardly trained does not become a model by accident."""

import pytest
from curated_phantoms import write_data
from typer.testing import CliRunner

from models_for_tests import card, tiny_model
from napari_brain_tumor.errors import TrainingError
from napari_brain_tumor.models.card_parts import Metrics, TrainingRecord
from napari_brain_tumor.models.cards import list_models
from napari_brain_tumor.progress import Progress, run_job
from napari_brain_tumor_training import runs_command
from napari_brain_tumor_training.config import read_config
from napari_brain_tumor_training.fit import fit
from napari_brain_tumor_training.readiness import best_checkpoint, why_not_ready
from napari_brain_tumor_training.run_process import install_job
from napari_brain_tumor_training.run_status import watched


def trained(epochs, planned=100, **more):
    settings = {"optimisation": {"epochs": planned}}
    record = TrainingRecord(datasets=["d"], cases=1, split_sha256="", epochs=epochs, seed=0, settings=settings)
    return {"training": record, **more}


VALIDATED = [Metrics(dataset="d", roles=["T1"], cases=1, mean_dice={"WT": 0.0})]


@pytest.mark.parametrize(
    ("entries", "ready"),
    [
        (trained(0), False),
        (trained(4), False),
        (trained(5), True),
        (trained(1, planned=1), True),  # all that was asked for
        (trained(0, planned=1), False),
        (trained(1, metrics=VALIDATED), True),
        ({}, True),  # weights from elsewhere
    ],
)
def test_weights_are_a_model_once_validated_or_trained_for_some_epochs(entries, ready):
    assert (why_not_ready(card(**entries)) == "") is ready


def test_a_run_stopped_after_one_step_is_added_only_where_that_is_asked_for(tmp_path, monkeypatch):
    monkeypatch.setenv("BRAIN_TUMOR_HOME", str(tmp_path / "home"))
    data, folder = write_data(tmp_path / "data"), tmp_path / "run"
    job = watched(fit(read_config(data / "recipe.toml"), data, folder, device="cpu"), folder)
    while "loss" not in next(job).message:
        pass
    job.close()
    checkpoint = best_checkpoint(folder)
    assert checkpoint is not None
    with pytest.raises(TrainingError, match=r"before its first epoch was complete .* --anyway"):
        run_job(install_job(checkpoint))
    own = lambda: [model.name for model in list_models() if not model.bundled]  # noqa: E731
    refused = CliRunner().invoke(runs_command.app, ["add", str(folder)])
    assert (refused.exit_code, own()) == (1, [])
    added = CliRunner().invoke(runs_command.app, ["add", str(folder), "--anyway"])
    assert added.exit_code == 0, added.output
    assert own() == ["tiny"]


def test_a_run_without_weights_is_told(tmp_path):
    def nothing():
        yield Progress(1, 1)

    run_job(watched(nothing(), tmp_path))
    refused = CliRunner().invoke(runs_command.app, ["add", str(tmp_path)])
    assert refused.exit_code == 1
    assert "has no weights yet" in refused.output.replace("\n", " ")


def test_a_model_that_was_trained_elsewhere_is_added(tmp_path, monkeypatch):
    monkeypatch.setenv("BRAIN_TUMOR_HOME", str(tmp_path / "home"))
    model, _ = tiny_model(tmp_path / "tiny")
    assert run_job(install_job(model.folder)) == "tiny"
