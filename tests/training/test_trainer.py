import numpy as np
import pytest
import torch
from training_cases import prepared, recipe

from models_for_tests import tiny_model
from napari_brain_tumor.errors import TrainingError
from napari_brain_tumor.progress import run_job
from napari_brain_tumor_training.config import OptimisationConfig
from napari_brain_tumor_training.evaluate import as_metrics, mean_scores, score_cases
from napari_brain_tumor_training.optimisation import learning_rate_at, optimiser_for, torch_settings
from napari_brain_tumor_training.sampling import sampler_for
from napari_brain_tumor_training.trainer import Trainer

CPU = torch.device("cpu")
QUIET = {"flip_probability": 0, "affine_probability": 0, "intensity_probability": 0, "noise_probability": 0,
         "blur_probability": 0, "role_dropout": 0}  # fmt: skip


def trained(config, cases, epochs=1):
    trainer = Trainer.start(config, config.optimisation, CPU)
    sampler = sampler_for(config, cases)
    for _ in range(epochs):
        trainer.end_epoch(run_job(trainer.train_epoch(sampler)))
    return trainer


def weights(trainer):
    return torch.cat([p.detach().flatten() for p in trainer.network.parameters()])


@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize(
    "model",
    [
        {"configuration": "unet_brain", "arguments": {"width": 4, "levels": 3}},
        {"configuration": "unet3d_cicek", "arguments": {"width": 2}},
        {"configuration": "residual_unet_light", "arguments": {"width": 4, "blocks": [1, 1, 1, 1]}},
        {"configuration": "u2netp", "arguments": {"width": 4}},
        {"configuration": "resunet_plus_plus", "arguments": {"width": 8}},
        {"configuration": "resunet_a_d6", "arguments": {"width": 4}},
        {"configuration": "resunet_a_d6_multitask", "arguments": {"width": 4}},
    ],
    ids=lambda model: model["configuration"],
)
def test_every_configuration_takes_a_step_in_both_dimensions(model, dims):
    side = 64 if "resunet_a" in model["configuration"] else 40
    config = recipe(
        dims,
        model={**model, "dims": dims},
        patch=[side] * dims,
        optimisation={"epochs": 1, "iterations_per_epoch": 1, "batch": 2},
    )
    trainer = Trainer.start(config, config.optimisation, CPU)
    before = weights(trainer)
    row = run_job(trainer.train_epoch(sampler_for(config, [prepared()])))
    assert np.isfinite(row["loss"])
    assert not torch.equal(weights(trainer), before)


@pytest.mark.parametrize("dims", [2, 3])
def test_a_network_learns_the_tumour_and_validation_shows_it(dims):
    config = recipe(
        dims,
        augmentation=QUIET,
        optimisation={"epochs": 4, "iterations_per_epoch": 15, "batch": 4, "learning_rate": 0.03, "ema_decay": 0.8},
    )
    cases = [prepared("a", 1), prepared("b", 2)]
    trainer = trained(config, cases, 4)
    assert trainer.history[-1]["loss"] < 0.6 * trainer.history[0]["loss"]
    assert trainer.history[-1]["train WT"] > 0.8
    row = mean_scores(run_job(score_cases(trainer.average.module, dims, [prepared("c", 3)], CPU)))
    assert row["set WT"] > 0.75
    (metrics,) = as_metrics(row, [prepared("c", 3)], config.roles)
    assert (metrics.dataset, metrics.cases, metrics.mean_dice["WT"]) == ("set", 1, row["set WT"])


def test_a_few_labelled_slices_are_enough_to_learn_from():
    where = np.zeros((12, 24, 20), bool)
    where[[4, 6]] = True
    partial = prepared("a", 1, where=where)
    partial.classes[~where] = 3  # a draft that is wrong wherever nobody looked
    config = recipe(
        augmentation=QUIET,
        optimisation={"epochs": 4, "iterations_per_epoch": 15, "batch": 4, "learning_rate": 0.03, "ema_decay": 0.8},
    )
    trainer = trained(config, [partial], 4)
    row = mean_scores(run_job(score_cases(trainer.average.module, 2, [prepared("c", 3)], CPU)))
    assert row["set WT"] > 0.75


def test_validation_counts_only_what_is_known():
    case = prepared("a")
    where = np.zeros((12, 24, 20), bool)
    where[4] = True
    partial = prepared("a", where=where)
    partial.classes[~where] = 3
    network = trained(recipe(), [case]).average.module
    only_there = prepared("a", where=where)
    assert run_job(score_cases(network, 2, [partial], CPU)) == run_job(score_cases(network, 2, [only_there], CPU))


def test_accumulated_batches_give_the_step_of_one_large_batch():
    # Without batch norm, and with a loss that is a mean over samples, the two are the same arithmetic.
    changes = {"model": {"arguments": {"width": 4, "levels": 2, "norm": None}}, "augmentation": QUIET,
               "loss": {"region_weight": 0}}  # fmt: skip
    case = prepared()
    steps = {}
    for accumulation, batch in ((1, 4), (2, 2)):
        config = recipe(**changes, optimisation={"accumulation": accumulation, "batch": batch})
        trainer = Trainer.start(config, config.optimisation, CPU)
        whole = sampler_for(config, [case]).draw(4, np.random.default_rng(0))
        parts = [
            (
                type(whole)(
                    *(getattr(whole, name)[i : i + batch] for name in ("images", "targets", "present", "known"))
                ),
                0,
            )
            for i in range(0, 4, batch)
        ]
        trainer.set_to_train()
        loss = trainer.step(iter(parts))
        steps[accumulation] = (loss, [p.grad.clone() for p in trainer.network.parameters()])
    assert steps[1][0] == pytest.approx(steps[2][0], rel=1e-5)
    for one, two in zip(steps[1][1], steps[2][1], strict=True):
        torch.testing.assert_close(one, two, atol=1e-5, rtol=1e-4)


def test_gradients_are_clipped_to_their_norm():
    config = recipe(optimisation={"gradient_norm": 1e-3})
    trainer = trained(config, [prepared()])
    norm = torch.cat([p.grad.flatten() for p in trainer.network.parameters()]).norm()
    assert norm <= 1.001e-3


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_mixed_precision_learns_too(precision):
    config = recipe(
        augmentation=QUIET,
        optimisation={
            "epochs": 2,
            "iterations_per_epoch": 8,
            "batch": 4,
            "learning_rate": 0.01,
            "precision": precision,
        },
    )
    trainer = trained(config, [prepared()], 2)
    assert trainer.scaler.is_enabled() == (precision == "float16")
    assert trainer.history[1]["loss"] < trainer.history[0]["loss"]


@pytest.mark.parametrize("dims", [2, 3])
def test_channels_last_changes_the_layout_and_not_the_result(dims):
    results = {}
    for channels_last in (True, False):
        config = recipe(dims, augmentation=QUIET, optimisation={"channels_last": channels_last})
        trainer = trained(config, [prepared()])
        layout = torch.channels_last if dims == 2 else torch.channels_last_3d
        convolution = trainer.network.encoder[1][0].weight
        assert convolution.is_contiguous(memory_format=layout) == channels_last
        results[channels_last] = trainer.history[0]["loss"]
    assert results[True] == pytest.approx(results[False], rel=1e-3)


def test_a_frozen_encoder_stays_as_it_began_with_its_batch_norms(tmp_path):
    model, _ = tiny_model(tmp_path / "m")
    section = {"init": str(model.folder), "freeze_encoder": True}
    trainer = trained(recipe(model=section), [prepared()])
    fresh = Trainer.start(trainer.config, trainer.plan, CPU)
    now, before = trainer.network.state_dict(), fresh.network.state_dict()
    assert all(torch.equal(now[name], before[name]) for name in now if name.startswith("encoder"))
    assert not torch.equal(now["head.weight"], before["head.weight"])


def test_the_average_follows_the_weights_by_its_decay():
    config = recipe(optimisation={"ema_decay": 0.0})
    trainer = trained(config, [prepared()])
    pairs = zip(trainer.network.state_dict().values(), trainer.average.module.state_dict().values(), strict=True)
    assert all(torch.equal(one, two) for one, two in pairs)


def test_a_gradient_that_is_not_finite_stops_before_the_weights_are_ruined():
    config = recipe()
    trainer = Trainer.start(config, config.optimisation, CPU)
    next(iter(trainer.network.parameters())).register_hook(lambda gradient: gradient * float("nan"))
    before = weights(trainer)
    with pytest.raises(TrainingError, match="gradient became nan"):
        run_job(trainer.train_epoch(sampler_for(config, [prepared()])))
    assert torch.equal(weights(trainer), before)


@pytest.mark.parametrize("garbage", [float("inf"), float("nan"), -3e38])
def test_a_running_variance_that_a_step_spoils_is_taken_back_to_before_the_step(caplog, garbage):
    config = recipe()
    trainer = trained(config, [prepared()])
    statistics = trainer._statistics()
    name, variance = next((n, b) for n, b in trainer.network.named_buffers() if n.endswith("running_var"))
    expected = variance.clone()
    variance.fill_(garbage)
    trainer._mend_statistics(statistics)
    assert torch.equal(variance, expected)
    assert name in caplog.text


def test_running_statistics_that_are_sound_are_left_as_the_step_made_them(caplog):
    config = recipe()
    trainer = trained(config, [prepared()])
    statistics = trainer._statistics()
    for value in statistics.values():
        value.zero_()
    moved = trainer._statistics()
    trainer._mend_statistics(statistics)
    assert all(torch.equal(value, moved[name]) for name, value in trainer._statistics().items())
    assert not caplog.text


def plan(**changes):
    return OptimisationConfig(**{"epochs": 10, "iterations_per_epoch": 10, "learning_rate": 1.0, **changes})


def test_the_poly_schedule_falls_by_its_power():
    rates = [learning_rate_at(step, plan(schedule="poly", poly_power=2, warmup_fraction=0)) for step in range(100)]
    assert rates[50] == pytest.approx((1 - 49 / 99) ** 2)
    assert rates[1:] == sorted(rates[1:], reverse=True)


def test_the_constant_schedule_stays_after_its_warm_up():
    rates = [learning_rate_at(step, plan(schedule="constant", warmup_fraction=0.1)) for step in range(100)]
    assert rates[:10] == pytest.approx([(k + 1) / 10 for k in range(10)])
    assert set(rates[10:]) == {1.0}


def test_sgd_is_nesterovs_with_the_momentum_asked_for():
    network = torch.nn.Linear(2, 2)
    optimiser = optimiser_for(network, plan(optimiser="sgd", momentum=0.95, weight_decay=3e-5))
    group = optimiser.param_groups[0]
    assert (type(optimiser), group["nesterov"], group["momentum"], group["weight_decay"]) == (
        torch.optim.SGD, True, 0.95, 3e-5,
    )  # fmt: skip


def test_settings_of_torch_hold_for_the_run_only():
    with torch_settings(plan(deterministic=True)):
        assert torch.are_deterministic_algorithms_enabled()
    assert not torch.are_deterministic_algorithms_enabled()
