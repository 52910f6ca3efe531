import pytest
import torch

from napari_brain_tumor.errors import CheckpointError
from napari_brain_tumor.models.registry import ARCHITECTURES, build_network
from napari_brain_tumor.models.unet import UNet


def count(network):
    return sum(p.numel() for p in network.parameters())


@pytest.mark.parametrize(
    ("channels", "arguments", "parameters"),
    [
        ((1, 1), {"width": 64, "norm": None}, 31_030_593),
        ((3, 1), {"width": 64, "norm": None}, 31_031_745),
        ((4, 4), {"width": 64, "norm": None}, 31_032_516),
        ((1, 1), {"width": 64}, 31_036_481),
        ((3, 1), {"width": 64}, 31_037_633),
        ((4, 4), {"width": 64}, 31_038_404),
        ((3, 1), {"width": 64, "bias": True}, 31_043_521),
        ((3, 1), {"width": 32}, 7_763_041),
        ((1, 1), {"width": 32}, 7_762_465),
        ((4, 3), {"width": 32}, 7_763_395),
        ((4, 4), {"width": 32}, 7_763_428),
    ],
)
def test_published_configurations_have_the_published_number_of_parameters(channels, arguments, parameters):
    assert count(UNet(*channels, **arguments)) == parameters


def test_batch_norm_buffers_are_counted_as_published():
    buffers = [b for name, b in UNet(3, 1, width=32).named_buffers() if "running" in name]
    assert sum(b.numel() for b in buffers) == 5_888


@pytest.mark.parametrize("sides", [(1, 1), (15, 33), (240, 240), (155, 240), (16, 16)])
def test_any_size_goes_through_a_2d_network(sides):
    logits = UNet(4, 3, width=4).eval()(torch.randn(1, 4, *sides))
    assert logits.shape == (1, 3, *sides)
    assert torch.isfinite(logits).all()


def test_any_size_goes_through_a_3d_network():
    logits = UNet(4, 3, dims=3, width=2, levels=3).eval()(torch.randn(1, 4, 7, 18, 9))
    assert logits.shape == (1, 3, 7, 18, 9)


def test_padding_is_cropped_where_it_was_added():
    network = UNet(1, 1, width=4, levels=3, norm=None).eval()
    image = torch.zeros(1, 1, 21, 21)
    image[0, 0, 10, 10] = 100
    response = (network(image) - network(torch.zeros_like(image))).abs()[0, 0]
    assert divmod(int(response.argmax()), 21)[0] in range(8, 13)
    assert divmod(int(response.argmax()), 21)[1] in range(8, 13)


def test_one_training_step_with_batch_1_is_finite():
    network = UNet(4, 3, width=4).train()
    loss = network(torch.randn(1, 4, 32, 32)).square().mean()
    loss.backward()
    assert all(torch.isfinite(p.grad).all() for p in network.parameters())


def test_the_widest_level_is_limited():
    network = UNet(4, 3, width=24, levels=5, widest=288)
    assert network.encoder[-1][0].out_channels == 288
    assert count(network) == 3_547_731


def test_unknown_architectures_and_arguments_are_refused():
    with pytest.raises(CheckpointError, match="unet"):
        build_network("transformer", 4, 3, 2, {})
    with pytest.raises(CheckpointError, match="colour"):
        build_network("unet", 4, 3, 2, {"colour": "red"})
    assert "unet" in ARCHITECTURES
