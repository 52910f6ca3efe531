import copy

import pytest
import torch
from torch import nn

from napari_brain_tumor.models.registry import build_network
from napari_brain_tumor_training.flat_convolutions import with_exact_flat_convolutions


def gradient(convolution, x, upstream):
    convolution.zero_grad()
    with torch.autocast("cpu", torch.bfloat16):
        y = convolution(x)
    # Freed memory of the size that the kernel's gradient will ask for, so that what is left in it shows.
    _ = [torch.full((n,), 1e30) for n in (32 * 32 * 27, 2 * 32 * 32 * 27, 500_000)]
    del _
    y.float().backward(upstream)
    return convolution.weight.grad.clone()


@pytest.mark.parametrize("depth", [1, 2, 3, 4])
def test_kernels_of_flat_volumes_get_the_gradient_of_float32(depth):
    torch.manual_seed(0)
    plain = nn.Conv3d(32, 32, 3, padding=1, bias=False)
    exact = with_exact_flat_convolutions(copy.deepcopy(plain))
    x, upstream = torch.randn(2, 32, depth, 4, 4), torch.randn(2, 32, depth, 4, 4)
    plain(x).backward(upstream)
    wanted = plain.weight.grad
    for _ in range(5):
        found = gradient(exact, x, upstream)
        assert (found - wanted).abs().max() < 0.02 * wanted.abs().max()


def test_state_copies_and_outputs_stay_the_same():
    torch.manual_seed(0)
    network = build_network("residual_unet", 2, 1, 3, {"width": 4, "blocks": [1, 1, 1]})
    x = torch.randn(1, 2, 8, 8, 8)
    before, names = network(x), list(network.state_dict())
    guarded = with_exact_flat_convolutions(network)
    assert list(guarded.state_dict()) == names
    torch.testing.assert_close(copy.deepcopy(guarded)(x), before)
    with torch.no_grad():
        for parameter in guarded.parameters():
            parameter.zero_()
    assert not torch.equal(guarded(x), before)
