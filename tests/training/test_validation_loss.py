import numpy as np
import pytest
import torch
from training_cases import prepared, recipe

from napari_brain_tumor.progress import run_job
from napari_brain_tumor_training.run_files import draw_curves
from napari_brain_tumor_training.sampling import sampler_for
from napari_brain_tumor_training.trainer import Trainer
from napari_brain_tumor_training.validation_loss import VALIDATION_LOSS, validation_loss

CPU = torch.device("cpu")


@pytest.fixture
def trainer():
    plan = {"epochs": 3, "iterations_per_epoch": 12, "batch": 4, "learning_rate": 0.03, "ema_decay": 0.5}
    config = recipe(2, optimisation={**plan, "precision": "float32"})
    return Trainer.start(config, config.optimisation, CPU)


def state_of(trainer):
    return torch.cat([t.detach().flatten().double() for t in trainer.average.state_dict().values()])


def test_it_is_the_same_for_the_same_weights_and_changes_nothing(trainer):
    before = state_of(trainer)
    first = run_job(validation_loss(trainer, [prepared("c", 3)]))
    torch.manual_seed(99)
    np.random.seed(99)
    assert run_job(validation_loss(trainer, [prepared("c", 3)])) == first
    assert torch.equal(state_of(trainer), before)
    assert set(first) == {VALIDATION_LOSS}
    assert first[VALIDATION_LOSS] > 0


def test_it_falls_as_the_network_learns(trainer):
    before = run_job(validation_loss(trainer, [prepared("c", 3)]))[VALIDATION_LOSS]
    sampler = sampler_for(trainer.config, [prepared("a", 1), prepared("b", 2)])
    for _ in range(3):
        trainer.end_epoch(run_job(trainer.train_epoch(sampler)))
    assert run_job(validation_loss(trainer, [prepared("c", 3)]))[VALIDATION_LOSS] < 0.8 * before


def test_weights_that_say_the_truth_have_a_small_loss_and_the_opposite_a_large_one(trainer, monkeypatch):
    case = prepared("c", 3)
    batch = sampler_for(trainer.config, [case]).draw(4, np.random.default_rng(0))
    targets = torch.from_numpy(batch.targets)
    for sign, check in ((30.0, lambda loss: loss < 0.05), (-30.0, lambda loss: loss > 1.0)):
        monkeypatch.setattr(
            "napari_brain_tumor_training.trainer.weighted_outputs",
            lambda network, images, supervision, sign=sign: [(1.0, sign * (2 * targets - 1))],
        )
        assert check(trainer.loss_of(batch))


def test_cases_of_no_source_have_none(trainer):
    case = prepared("c", 3)
    empty = trainer.config.model_copy(
        update={"sources": [source.model_copy(update={"dataset": "other"}) for source in trainer.config.sources]}
    )
    trainer.config = empty
    assert run_job(validation_loss(trainer, [case])) == {}


def test_curves_show_both_losses():
    from matplotlib.figure import Figure

    rows = [{"epoch": n, "loss": 1 / n, "validation loss": 2 / n, "train WT": 0.5} for n in (1, 2, 3)]
    figure = Figure()
    draw_curves(figure, rows)
    first, second = figure.axes
    assert [line.get_label() for line in first.get_lines()] == ["loss", "validation loss"]
    np.testing.assert_allclose(first.get_lines()[1].get_ydata(), [2, 1, 2 / 3])
    assert [line.get_label() for line in second.get_lines()] == ["train WT"]
    # Histories of earlier runs have one loss.
    old = Figure()
    draw_curves(old, [{"epoch": 1, "loss": 1.0}])
    assert [line.get_label() for line in old.axes[0].get_lines()] == ["loss"]
