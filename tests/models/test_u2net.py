import numpy as np
import pytest
import torch

from models_for_tests import lively
from napari_brain_tumor.inference.engine import Engine
from napari_brain_tumor.models.u2net import U2Net, U2NetP
from napari_brain_tumor.progress import run_job


@pytest.mark.parametrize("architecture", [U2Net, U2NetP])
def test_an_empty_slice_stays_empty(architecture):
    torch.manual_seed(0)
    network = lively(architecture(4, 3, width=8), 0)
    with torch.no_grad():
        network.fusion.weight.mul_(0.05)
        network.fusion.bias.fill_(-7)
    found = run_job(Engine.plain(network, 2).probabilities(np.zeros((4, 2, 40, 40), dtype=np.float32)))
    # Stretched to its own minimum and maximum, as in the authors' script, every map would reach 1.
    assert 0 < found.max() < 0.01


def test_the_outputs_are_logits():
    network = U2NetP(1, 1, width=8).eval()
    with torch.no_grad():
        network.fusion.bias.fill_(-7)
    assert network(torch.zeros(1, 1, 32, 32)).min() < -3


def test_all_seven_losses_weigh_the_same():
    assert U2NetP(1, 1, width=8).side_weights == (1,) * 7


def test_the_fusion_sees_the_six_side_outputs_in_order():
    network = U2NetP(1, 1, width=8).eval()
    with torch.no_grad():
        network.fusion.weight.zero_()
        network.fusion.weight[0, 2] = 1
        network.fusion.bias.zero_()
    final, *sides = network.forward_with_sides(torch.randn(1, 1, 64, 64))
    torch.testing.assert_close(final, sides[2])


def test_flat_blocks_dilate_and_do_not_pool():
    network = U2Net(1, 1, width=8)
    flat = network.encoder[4]
    assert [block[0].dilation[0] for block in [*flat.encoder, flat.bottom, *flat.decoder]] == [1, 2, 4, 8, 4, 2, 1]
    assert [network.encoder[0].bottom[0].dilation[0], network.encoder[3].bottom[0].dilation[0]] == [2, 2]
    assert [len(block.encoder) + 1 for block in network.encoder] == [7, 6, 5, 4, 4, 4]
