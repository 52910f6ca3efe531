"""The Train panel: what it asks for, and a run that outlives it."""

import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from napari_brain_tumor.models.cards import list_models
from napari_brain_tumor.widgets import train_state as state
from napari_brain_tumor_training.run_cost import RunCost
from napari_brain_tumor_training.run_status import Run, RunStatus, attach

sys.path.append(str(Path(__file__).parents[1] / "training"))

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def status(**entries):
    return RunStatus(**{"state": "running", "pid": 1, "host": "here", "started": NOW, "updated": NOW, **entries})


def test_usual_values_are_left_to_the_recipe():
    request = state.TrainChoices(source="mine.toml", model="u2netp", dims=3, batch=2).request
    assert (request.model, request.dims, request.batch) == ("u2netp", 3, 2)
    assert request.epochs is request.learning_rate is request.data is None


def test_a_data_set_is_gone_on_with_and_a_recipe_says_itself_what_it_begins_with():
    choices = state.TrainChoices(source="gliomas", model="u2netp", dims=3, start_from="unet")
    assert (choices.request.start_from, choices.request.model, choices.request.dims) == ("unet", None, None)
    assert state.TrainChoices(source="mine.toml", start_from="unet").request.start_from is None
    assert state.new_run_folder(Path("runs"), choices, NOW).name == "gliomas-unet-20260102-030405"


def test_the_button_says_on_how_many_cases_and_for_how_long():
    choices, cost = state.TrainChoices(source="gliomas", start_from="unet"), RunCost(500, "cpu", 2100, "3 parameters")
    assert state.start_text(choices, (12, 3), None) == "Fine-tune on 12 cases"
    assert state.start_text(choices, (1, 0), cost) == "Fine-tune on 1 case, about 35 min"
    assert state.start_text(state.TrainChoices(source="mine.toml"), None, None) == "Train"
    text = state.cost_text((12, 0), cost)
    assert text.startswith("12 training cases, 0 validation cases; 500 steps, about 35 min on cpu")
    assert "not measured" in text


def test_ensembles_and_the_brain_network_are_not_offered_to_start_from():
    names = [model.name for model in state.starting_models(list_models())]
    assert names[0] == "unet"
    assert not {"ensemble", "brain"} & set(names)


def test_what_cannot_be_trained_on_is_told(tmp_path, monkeypatch):
    assert "Choose" in state.TrainChoices().obstacle
    assert "no recipe" in state.TrainChoices(source=str(tmp_path / "absent.toml")).obstacle
    assert state.TrainChoices(source=str(tmp_path)).obstacle
    (tmp_path / "mine.toml").touch()
    assert state.TrainChoices(source=str(tmp_path / "mine.toml")).obstacle == ""
    monkeypatch.setattr(state, "missing_packages", lambda: ["monai"])
    assert "pip install" in state.TrainChoices(source=str(tmp_path / "mine.toml")).obstacle


def test_runs_get_folders_of_their_own(tmp_path):
    choices = state.TrainChoices(source="data/mine.toml", model="u2netp")
    first = state.new_run_folder(tmp_path, choices, NOW)
    assert first.name == "mine-u2netp-20260102-030405"
    first.mkdir()
    assert state.new_run_folder(tmp_path, choices, NOW).name == "mine-u2netp-20260102-030405-2"


def test_a_run_is_told_in_words(tmp_path):
    running = status(message="epoch 2 of 9, loss 0.3", remaining_seconds=40, epochs=9, fraction=0.25, best_dice=0.5)
    assert state.seconds_left(running, 900) == 40
    assert state.status_text(running, 40) == "Epoch 2 of 9, loss 0.3, about 40 s left"
    early = status(message="preparing", fraction=0.25)
    assert state.seconds_left(early, 400) == 300  # from the measured cost, until the run knows its pace
    assert state.seconds_left(early, None) is None
    assert state.seconds_left(status(state="stopped"), 400) is None
    assert state.run_label(Run(Path("one"), running)) == "one (running, 25%, Dice 0.500)"
    assert state.status_text(status(state="died", reason="Killed.")) == "Killed."
    rows = [{"epoch": 1, "set WT": 0.6, "set TC": 0.4}, {"epoch": 2, "set WT": 0.2, "train WT": 1.0}]
    assert state.summary(rows) == "Best validation: epoch 1, mean Dice 0.500 (set WT 0.600, set TC 0.400)"
    assert state.summary(rows[2:]) == ""


@pytest.mark.slow
@pytest.mark.gui
def test_a_run_outlives_its_panel_and_is_watched_stopped_and_installed_by_another(
    make_napari_viewer, qtbot, worker, tmp_path, monkeypatch
):
    from curated_phantoms import write_data

    from napari_brain_tumor.widgets.segment import SegmentWidget
    from napari_brain_tumor.widgets.train import TrainWidget

    monkeypatch.setenv("BRAIN_TUMOR_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    data = write_data(tmp_path / "data")
    recipe = data / "recipe.toml"
    recipe.write_text(recipe.read_text().replace("validate_every = 2", "validate_every = 1"))
    viewer = make_napari_viewer()
    panel = TrainWidget(viewer, worker, runs_folder=tmp_path / "runs")
    assert not panel.form.start_button.isEnabled()
    panel.form.choose_source(str(recipe))
    panel.form.epochs_box.setValue(400)
    panel.form.choices.device = "cpu"
    panel.start()
    folder = panel.runs.run.folder
    assert attach(folder).status.is_alive
    panel.close()
    panel.deleteLater()

    again = TrainWidget(viewer, worker, runs_folder=tmp_path / "runs")
    qtbot.addWidget(again)
    assert again.runs.run.folder == folder

    def validated():
        again.runs.watch()
        assert again.runs.run.status.best_dice is not None
        assert again.runs.summary_label.text()

    qtbot.waitUntil(lambda: validated() is None, timeout=120_000)
    assert len(again.runs.canvas.figure.axes) == 2
    assert not again.runs._pixmap.isNull()
    again.runs.stop_button.click()
    qtbot.waitUntil(lambda: again.runs.watch() or not again.runs.run.status.is_alive, timeout=60_000)
    assert again.runs.run.status.state == "stopped"
    assert again.runs.resume_button.isEnabled()
    assert again.runs.more.isAncestorOf(again.runs.install_button)  # one control less in sight
    segment = SegmentWidget(viewer, worker)
    qtbot.addWidget(segment)
    before = segment.model_box.count()
    monkeypatch.setattr(
        again.runs._worker, "run", lambda target, *arguments: _here(target, *arguments)
    )  # the worker's home is another
    with qtbot.waitSignal(again.runs.install_runner.finished, timeout=60_000):
        again.runs.install_button.click()
    assert segment.model_box.count() == before + 1


class _here:
    """A job of the worker process, run in this one."""

    def __init__(self, target, *arguments):
        from importlib import import_module

        module, _, name = target.partition(":")
        self._job = getattr(import_module(module), name)(*arguments)

    def __next__(self):
        return next(self._job)

    def cancel(self):
        self._job.close()


def test_the_line_that_installs_what_is_missing_names_this_python_and_its_packages(monkeypatch):
    import sys

    monkeypatch.setattr(state, "missing_packages", lambda: ["monai", "tensorboard"])
    told = state.TrainChoices(source="x").obstacle
    assert f"{sys.executable} -P -m pip install" in told
    assert "'monai>=1.6'" in told
    assert "'tensorboard>=" in told
    assert "napari-brain-tumor[" not in told  # which no index has


def test_weights_that_were_hardly_trained_are_no_model_and_it_is_said_why(tmp_path):
    from models_for_tests import card
    from napari_brain_tumor.models.card_parts import TrainingRecord
    from napari_brain_tumor.models.cards import CARD_FILE
    from napari_brain_tumor_training.run_status import Run

    def run_after(epochs):
        folder = tmp_path / f"run{epochs}"
        (folder / "tiny").mkdir(parents=True)
        settings = {"optimisation": {"epochs": 100}}
        record = TrainingRecord(datasets=["d"], cases=1, split_sha256="", epochs=epochs, seed=0, settings=settings)
        (folder / "tiny" / CARD_FILE).write_text(card(training=record).model_dump_json(), encoding="utf-8")
        (folder / "tiny" / "weights.safetensors").touch()
        return Run(folder, None)

    assert "never validated" in state.why_not_ready(run_after(0))
    assert state.why_not_ready(run_after(5)) == ""
    assert state.why_not_ready(Run(tmp_path / "none", None)) == "There are no weights yet."
