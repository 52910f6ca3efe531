"""What every network promises, at small widths."""

import pytest
import torch
from torch import nn

from models_for_tests import lively
from napari_brain_tumor.inference.engine import Engine, fold_batch_norms
from napari_brain_tumor.models.outputs import supervised_outputs
from napari_brain_tumor.models.registry import ARCHITECTURES, build_network

SMALL = {
    "unet": {"width": 4, "levels": 3},
    "unet3d_cicek": {"width": 4, "levels": 3},
    "residual_unet": {"width": 4, "blocks": [1, 2, 1, 1]},
    "u2net": {"width": 8},
    "u2netp": {"width": 8},
    "resunet_plus_plus": {"width": 8},
    "resunet_a": {"width": 4},
    "resunet_a_multitask": {"width": 4},
}
BATCH_NORMS_BEFORE_THEIR_CONVOLUTION = {"resunet_plus_plus": 15, "resunet_a": 34, "resunet_a_multitask": 34}
every_network = pytest.mark.parametrize("name", SMALL)


def small(name, dims=2, **changes):
    torch.manual_seed(1)
    return lively(build_network(name, 4, 3, dims, SMALL[name] | changes), 1)


def images(*sides, batch=1):
    return torch.randn(batch, 4, *sides, generator=torch.Generator().manual_seed(2))


def test_every_architecture_is_tested_here():
    assert set(SMALL) == set(ARCHITECTURES)


@every_network
@pytest.mark.parametrize("sides", [(240, 240), (33, 47), (1, 20)])
@torch.inference_mode()
def test_any_size_goes_through_in_2d(name, sides):
    logits = small(name)(images(*sides))
    assert logits.shape == (1, 3, *sides)
    assert torch.isfinite(logits).all()


@every_network
@pytest.mark.parametrize("sides", [(9, 18, 33), (1, 16, 16)])
@torch.inference_mode()
def test_any_size_goes_through_in_3d(name, sides):
    logits = small(name, 3)(images(*sides))
    assert logits.shape == (1, 3, *sides)
    assert torch.isfinite(logits).all()


@every_network
@torch.inference_mode()
def test_images_of_a_batch_do_not_touch_each_other(name):
    network, batch = small(name), images(32, 32, batch=2)
    torch.testing.assert_close(network(batch)[1:], network(batch[1:]), atol=1e-4, rtol=1e-4)


@every_network
@torch.inference_mode()
def test_one_slice_can_be_all_there_is_to_see(name):
    volume = small(name, 3)(images(1, 24, 24))
    assert volume.std() > 0


@every_network
def test_one_training_step_with_batch_1_is_finite_and_reaches_every_weight(name):
    network = small(name).train()
    outputs = supervised_outputs(network, images(64, 64))
    sum(weight * logits.square().mean() for weight, logits in outputs).backward()
    gradients = {key: p.grad for key, p in network.named_parameters() if not key.startswith("colour")}
    assert all(g is not None and torch.isfinite(g).all() for g in gradients.values())
    assert all(torch.isfinite(b).all() for b in network.buffers())


def test_one_training_step_of_the_3d_network_with_batch_1_is_finite():
    network = small("residual_unet", 3).train()
    outputs = supervised_outputs(network, images(32, 32, 32))
    sum(weight * logits.square().mean() for weight, logits in outputs).backward()
    assert all(torch.isfinite(p.grad).all() for p in network.parameters())


@every_network
@torch.inference_mode()
def test_batch_norms_after_convolutions_fold_without_changing_the_output(name):
    network, image = small(name), images(64, 64)
    expected = network(image)
    folded = fold_batch_norms(network)
    left = [m for m in folded.modules() if isinstance(m, nn.BatchNorm2d)]
    assert len(left) == BATCH_NORMS_BEFORE_THEIR_CONVOLUTION.get(name, 0)
    torch.testing.assert_close(folded(image), expected, atol=1e-4 * float(expected.abs().max()), rtol=1e-4)


# U2-NetP is U2-Net with other numbers of features.
@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=pytest.mark.slow if name in ("u2net", "resunet_a") else ())
        for name in sorted(SMALL.keys() - {"u2netp"})
    ],
)
@torch.inference_mode()
def test_the_exported_program_gives_the_same_logits(name):
    network, image = small(name), images(40, 48)
    program = torch.export.export(network, (image,))
    torch.testing.assert_close(program.module()(image), network(image), atol=1e-5, rtol=1e-5)


@every_network
@pytest.mark.parametrize("dims", [2, 3])
def test_quick_precision_agrees_with_float32(name, dims):
    network, image = small(name, dims), images(*[32] * dims)
    engines = Engine.plain(network, dims), Engine.prepare(network, dims, torch.device("cpu"), torch.bfloat16)
    plain, quick = (engine._infer(engine.network, image, flips=False) for engine in engines)
    assert (plain - quick).abs().mean() < 0.03


@every_network
def test_side_outputs_start_with_the_final_logits_and_have_the_size_of_the_input(name):
    network, image = small(name), images(50, 39)
    outputs = supervised_outputs(network, image)
    torch.testing.assert_close(outputs[0][1], network(image))
    assert {logits.shape for _, logits in outputs} == {(1, 3, 50, 39)}
    assert len(outputs) == {"u2net": 7, "u2netp": 7, "residual_unet": 2}.get(name, 1)
