import numpy as np
import pytest
import torch
from torch import nn

from models_for_tests import lively
from napari_brain_tumor.errors import CheckpointError
from napari_brain_tumor.inference.engine import Engine
from napari_brain_tumor.models.combination import Calibrated, Ensemble, SliceBySlice
from napari_brain_tumor.models.neighbours import neighbours_of, stacked_slices, with_neighbours
from napari_brain_tumor.models.registry import build_network
from napari_brain_tumor.progress import run_job

CPU = torch.device("cpu")


class Summing(nn.Module):
    """Says of each slice the sum of everything that it is shown."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.sum(1, keepdim=True)


def seeing(neighbours: int) -> nn.Module:
    return lively(build_network("unet", 4, 3, 2, {"width": 4, "levels": 3, "neighbours": neighbours}), 1)


def test_each_slice_is_stacked_between_the_ones_beside_it_and_zeros_beyond_the_ends():
    slices = torch.arange(1.0, 5.0).reshape(4, 1, 1, 1)
    assert stacked_slices(slices, range(4), 1).flatten(1).tolist() == [[0, 1, 2], [1, 2, 3], [2, 3, 4], [3, 4, 0]]
    assert stacked_slices(slices, [3], 2).flatten(1).tolist() == [[2, 3, 4, 0, 0]]
    assert stacked_slices(slices, [0, 2], 1).flatten(1).tolist() == [[0, 1, 2], [2, 3, 4]]
    assert torch.equal(stacked_slices(slices, [1, 2], 0), slices[1:3])


def test_stacking_puts_the_roles_of_a_slice_together():
    slices = torch.tensor([[1.0, 10.0], [2.0, 20.0], [3.0, 30.0]])[..., None, None]
    assert stacked_slices(slices, [1], 1).flatten(1).tolist() == [[1, 10, 2, 20, 3, 30]]


@pytest.mark.parametrize("depth", [1, 2, 8, 9, 20])
def test_the_engine_shows_the_neighbours_across_the_borders_of_its_batches(depth):
    values = np.random.default_rng(0).uniform(0.1, 0.3, depth).astype(np.float32)
    volume = np.broadcast_to(values[None, :, None, None], (1, depth, 6, 5)).copy()
    engine = Engine(with_neighbours(Summing(), 1), 2, CPU, torch.float32)
    found = run_job(engine.probabilities(volume))
    padded = np.pad(values, 1)
    expected = 1 / (1 + np.exp(-(padded[:-2] + padded[1:-1] + padded[2:])))
    np.testing.assert_allclose(found[0, :, 3, 2], expected, atol=1e-3)


def test_slice_by_slice_is_what_the_engine_does():
    network, volume = seeing(2), torch.randn(1, 4, 11, 16, 16)
    inside = SliceBySlice(network)(volume)
    engine = run_job(Engine(network, 2, CPU, torch.float32).probabilities(volume[0].numpy()))
    np.testing.assert_allclose(torch.sigmoid(inside)[0].detach().numpy(), engine, atol=1e-3)


def test_networks_around_it_see_as_many_slices():
    assert neighbours_of(Calibrated(seeing(1), [1.0, 1.0, 1.0])) == 1
    assert neighbours_of(Ensemble([seeing(1), seeing(1)])) == 1
    with pytest.raises(CheckpointError, match=r"see \[0, 1\] neighbouring slices"):
        Ensemble([seeing(0), seeing(1)])


@pytest.mark.parametrize(("dims", "neighbours"), [(2, -1), (2, 9), (2, "1"), (2, True), (3, 1)])
def test_numbers_that_make_no_sense_are_refused(dims, neighbours):
    with pytest.raises(CheckpointError, match="neighbours"):
        build_network("unet", 4, 3, dims, {"width": 4, "neighbours": neighbours})
