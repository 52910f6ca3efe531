import pytest
import torch
from torch import nn
from torch.nn import functional

from models_for_tests import lively
from napari_brain_tumor.models.batch_norm import SteadyBatchNorm2d, steady_batch_norm
from napari_brain_tumor.models.resunet_a import ResUNetA, ResUNetAMultitask, _grid_maxima, _PyramidPooling
from napari_brain_tumor.models.resunet_plus_plus import ResUNetPlusPlus, _Attention, _ResidualBlock


def after_steps(pyramid, seed=0, steps=200, side=8):
    """Output in evaluation on unit input, after training steps with one image each."""
    generator = torch.Generator().manual_seed(seed)
    channels = pyramid.branches[0][0].in_channels
    with torch.no_grad():
        for _ in range(steps):
            pyramid.train()(torch.randn(1, channels, side, side, generator=generator))
        x = torch.randn(1, channels, side, side, generator=generator)
        pyramid.eval()
        return pyramid.branches[0](functional.adaptive_max_pool2d(x, 1).expand_as(x))


def test_pyramid_pooling_stays_bounded_after_200_steps_with_one_image():
    torch.manual_seed(0)
    pyramid = _PyramidPooling(2, 32, 32, (1, 2, 4, 8))
    found = after_steps(pyramid)
    assert found.abs().max() < 5
    assert pyramid.branches[0][1].running_var.min() > 1e-3


def test_plain_batch_norm_after_global_pooling_would_not_stay_bounded():
    torch.manual_seed(0)
    pyramid = _PyramidPooling(2, 32, 32, (1, 2, 4, 8))
    pyramid.branches[0][1] = nn.BatchNorm2d(8)
    assert after_steps(pyramid).std() > 20
    assert pyramid.branches[0][1].running_var.max() < 1e-7


@pytest.mark.slow
def test_resunet_a_trained_one_image_at_a_time_says_the_same_kind_of_thing_in_evaluation():
    torch.manual_seed(0)
    network = ResUNetA(1, 1, width=4).train()
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for _ in range(200):
            trained = network(torch.randn(1, 1, 64, 64, generator=generator))
        evaluated = network.eval()(torch.randn(1, 1, 64, 64, generator=generator))
    assert trained.std() / 3 < evaluated.std() < trained.std() * 3


def test_steady_norm_is_plain_batch_norm_for_several_images():
    x = torch.randn(4, 3, 5, 5)
    steady, plain = steady_batch_norm(2, 3), nn.BatchNorm2d(3)
    torch.testing.assert_close(steady(x), plain(x))
    assert all(torch.equal(a, b) for a, b in zip(steady.buffers(), plain.buffers(), strict=True))


def test_steady_norm_keeps_the_variance_between_single_images():
    values = torch.randn(600, generator=torch.Generator().manual_seed(1)) * 2 + 5
    norm = SteadyBatchNorm2d(1, momentum=0.1)
    outputs = torch.stack([norm(torch.full((1, 1, 2, 2), float(value))).max() for value in values])
    assert float(norm.running_mean) == pytest.approx(5, abs=1.5)
    assert 1 < float(norm.running_var) < 9
    assert outputs[100:].abs().max() <= 3
    assert int(norm.num_batches_tracked) == 600


def test_steady_norm_can_be_differentiated_after_a_second_step():
    norm = SteadyBatchNorm2d(1)
    x = torch.ones(1, 1, 2, 2, requires_grad=True)
    (norm(x).sum() + norm(2 * x).sum()).backward()
    assert torch.isfinite(x.grad).all()
    assert x.grad.abs().min() > 0


@pytest.mark.parametrize("cells", [1, 2, 4, 8])
def test_grid_maxima_are_those_of_equal_tiles(cells):
    x = torch.randn(2, 3, 8, 16)
    tiles = x.reshape(2, 3, cells, 8 // cells, cells, 16 // cells)
    torch.testing.assert_close(_grid_maxima(x, cells), tiles.amax(dim=(3, 5)))


def test_grid_maxima_exist_for_sides_that_do_not_divide():
    assert _grid_maxima(torch.randn(1, 2, 3, 5), 4).shape == (1, 2, 4, 4)
    assert _grid_maxima(torch.randn(1, 2, 1, 3, 2), 8).shape == (1, 2, 8, 8, 8)


def test_atrous_blocks_add_to_their_input():
    block = ResUNetA(1, 1, width=4).body.encoder[0].eval()
    for branch in block.branches:
        nn.init.zeros_(branch[-1].weight)
        nn.init.zeros_(branch[-1].bias)
    x = torch.randn(1, 4, 20, 20)
    torch.testing.assert_close(block(x), x)


def test_atrous_blocks_have_the_published_dilations():
    body = ResUNetA(1, 1, width=4).body
    dilations = [[branch[2].dilation[0] for branch in block.branches] for block in [*body.encoder, *body.decoder]]
    wide, middle, narrow = [1, 3, 15, 31], [1, 3, 15], [1, 3, 5]
    assert dilations == [wide, wide, middle, narrow, [1], [1], narrow, middle, wide, wide, wide]


def test_multitask_heads_have_the_size_of_the_input_and_segmentation_is_what_forward_gives():
    network = lively(ResUNetAMultitask(4, 3, width=4), 0)
    image = torch.randn(1, 4, 45, 70)
    tasks = network.forward_with_tasks(image)
    assert [tuple(task.shape) for task in tasks] == [(1, 3, 45, 70)] * 3 + [(1, 3, 45, 70)]
    torch.testing.assert_close(network(image), tasks.segmentation)


def test_distance_and_boundary_lead_to_the_segmentation():
    network = lively(ResUNetAMultitask(1, 1, width=4), 0)
    image = torch.randn(1, 1, 32, 32)
    before = network.forward_with_tasks(image)
    with torch.no_grad():
        network.distance[-1].bias.add_(3)
    after = network.forward_with_tasks(image)
    assert not torch.allclose(before.boundary, after.boundary)
    assert not torch.allclose(before.segmentation, after.segmentation)
    torch.testing.assert_close(before.colour, after.colour)


def test_240_is_padded_to_256_and_cropped_again():
    network = lively(ResUNetA(1, 1, width=4), 0)
    image = torch.randn(1, 1, 240, 240)
    with torch.inference_mode():
        expected = network(functional.pad(image, (8, 8, 8, 8)))[..., 8:-8, 8:-8]
        torch.testing.assert_close(network(image), expected)


def test_resunet_plus_plus_sums_four_dilations_without_relu():
    bridge = ResUNetPlusPlus(1, 1, width=8).bridge.eval()
    assert [branch[0].dilation[0] for branch in bridge.branches] == [1, 6, 12, 18]
    x = torch.randn(1, 64, 40, 40)
    torch.testing.assert_close(bridge(x), bridge.mix(sum(branch(x) for branch in bridge.branches)))
    assert bridge.branches[0](x).min() < 0


def test_the_attention_of_resunet_plus_plus_is_not_bounded_by_a_sigmoid():
    torch.manual_seed(0)
    attention = _Attention(2, 8, 16).eval()
    below = torch.randn(1, 16, 16, 16)
    gate = attention(torch.randn(1, 8, 32, 32) * 5, below) / below
    assert gate.min() < 0
    assert gate.max() > 1


def test_excitation_comes_after_the_sum():
    block = _ResidualBlock(2, 4, 16).eval()
    x = torch.randn(1, 4, 12, 12)
    total = block.body(x) + block.shortcut(x)
    gate = (block(x) / total).flatten(2)
    torch.testing.assert_close(gate, gate[..., :1].expand_as(gate), atol=1e-4, rtol=1e-4)
    assert 0 < gate.min() < gate.max() < 1


@pytest.mark.parametrize("sides", [(3, 10), (1, 8), (7, 9, 2)])
@pytest.mark.parametrize("cells", [2, 4, 8])
def test_grid_maxima_over_sides_that_cannot_be_divided_are_those_of_adaptive_pooling(sides, cells):
    x = torch.randn(2, 3, *sides)
    pool = {2: functional.adaptive_max_pool2d, 3: functional.adaptive_max_pool3d}[len(sides)]
    torch.testing.assert_close(_grid_maxima(x, cells), pool(x, cells))
