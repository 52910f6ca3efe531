import numpy as np
import pytest
import torch
from torch import nn

from models_for_tests import lively
from napari_brain_tumor.geometry import Box
from napari_brain_tumor.inference.engine import Engine
from napari_brain_tumor.inference.slices import slice_blocks
from napari_brain_tumor.models.blocks import context_of
from napari_brain_tumor.models.combination import Calibrated, Ensemble
from napari_brain_tumor.models.neighbours import with_neighbours
from napari_brain_tumor.models.unet import UNet
from napari_brain_tumor.progress import run_job

CPU = torch.device("cpu")


class Brightness(nn.Module):
    """Sure of a tumour where the slice is bright; remembers the slices it was shown, by their second channel."""

    def __init__(self, context: int | None) -> None:
        super().__init__()
        self.context = context
        self.shapes: dict[int, tuple[int, int]] = {}

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for image in x:
            self.shapes[round(float(image[1].max()))] = tuple(image.shape[1:])
        return 20 * (x[:, :1] - 1.5)


def head_with_tumour(depth: int = 21) -> np.ndarray:
    """Channels `(2, Z, Y, X)`: 1 within the head, 2 in the tumour of slices 5 to 12; and the number of the slice."""
    channels = np.zeros((2, depth, 120, 140), np.float32)
    head = (slice(10, 110), slice(20, 120))
    channels[0, :, *head] = 1
    channels[0, 5:13, 50:60, 70:90] = 2
    channels[1, :, *head] = np.arange(depth)[:, None, None]
    return channels


@pytest.mark.parametrize("depth", [1, 2, 20, 21])
def test_thin_slices_get_what_all_slices_get(depth):
    channels = head_with_tumour(depth)
    every = run_job(Engine(Brightness(16), 2, CPU, torch.float32).probabilities(channels))
    thin = run_job(Engine(Brightness(16), 2, CPU, torch.float32).probabilities(channels, thin=True))
    np.testing.assert_array_equal(thin >= 0.5, every >= 0.5)


def test_of_every_second_thin_slice_only_what_a_neighbour_makes_suspect_is_computed():
    network = Brightness(16)
    run_job(Engine(network, 2, CPU, torch.float32).probabilities(head_with_tumour(), thin=True))
    assert {z for z in network.shapes if z % 2} == {5, 7, 9, 11, 13}
    assert set(range(0, 21, 2)) <= set(network.shapes)
    assert {network.shapes[z] for z in range(0, 21, 2)} == {(108, 108)}
    assert {network.shapes[z] for z in (5, 7, 9, 11)} == {(10 + 48, 20 + 48)}


def test_a_network_that_looks_at_the_whole_slice_is_shown_all_of_each():
    network = Brightness(None)
    run_job(Engine(network, 2, CPU, torch.float32).probabilities(head_with_tumour(), thin=True))
    assert network.shapes == dict.fromkeys(range(21), (116, 116))


def test_elsewhere_a_thin_slice_gets_the_mean_of_those_beside_it():
    class Constant(nn.Module):
        context = 16

        def forward(self, x):
            return torch.logit(x[:, :1] / 100)

    channels = np.zeros((1, 5, 30, 30), np.float32)
    channels[0] = np.array([2, 90, 6, 90, 4], np.float32)[:, None, None]
    found = run_job(Engine(Constant(), 2, CPU, torch.float32).probabilities(channels, thin=True))
    np.testing.assert_allclose(found[0, :, 15, 15], [0.02, 0.04, 0.06, 0.05, 0.04], atol=1e-4)


def test_a_box_of_thin_slices_gets_what_a_run_over_all_gets():
    torch.manual_seed(0)
    network = with_neighbours(lively(UNet(6, 3, width=4, levels=3), 5), 1)
    channels = np.random.default_rng(0).normal(size=(2, 40, 24, 20)).astype(np.float32)
    engine = Engine.prepare(network, 2, CPU, torch.float32)
    whole = run_job(engine.probabilities(channels, thin=True))
    for first, last in ((17, 22), (7, 8), (39, 40), (0, 1)):
        part = run_job(engine.probabilities(channels, within=Box((first, 3, 4), (last, 9, 10)), thin=True))
        np.testing.assert_array_equal(part[:, first:last], whole[:, first:last])


def test_only_networks_that_look_at_surroundings_of_known_size_are_shown_parts():
    local, whole = UNet(4, 3, width=4), UNet(4, 3, width=4, norm="instance")
    assert context_of(local) == context_of(Calibrated(local, [1.0, 1.0, 1.0])) == 16
    assert context_of(whole) is None
    assert context_of(Ensemble([local, local])) is None


def test_blocks_are_counted_from_the_first_slice():
    assert slice_blocks(5, 9, 10, 4) == [range(4, 8), range(8, 10)]
    assert slice_blocks(10, 10, 10, 4) == []


class Constant(nn.Module):
    """The same logit everywhere; remembers the slices it was shown, by their second channel."""

    def __init__(self, probability: float) -> None:
        super().__init__()
        self.probability = probability
        self.seen: list[int] = []

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.seen += [round(float(image[1].max())) for image in x]
        return torch.logit(torch.full_like(x[:, :1], self.probability))


def mean_of_cascade(*members: nn.Module, **options) -> np.ndarray:
    network = Ensemble(members, cascade=True)
    return run_job(Engine(network, 2, CPU, torch.float32).probabilities(head_with_tumour(), **options))


def test_other_members_of_a_cascade_see_every_second_slice_on_which_the_first_sees_something():
    other = Constant(0.2)
    found = mean_of_cascade(Brightness(16), other, thin=True)
    assert other.seen == [4, 6, 8, 10, 12]
    np.testing.assert_allclose(found[0, 5:13, 55, 80], 0.6, atol=1e-3)  # tumour: (1 + .2) / 2
    np.testing.assert_allclose(found[0, 5:13, 20, 30], 0.1, atol=1e-3)  # elsewhere on these slices: (0 + .2) / 2
    np.testing.assert_allclose(found[0, [3, 4, 13, 14], 55, 80], 0, atol=1e-3)  # the first member alone


def test_between_two_slices_another_member_says_the_mean_of_both():
    other = Brightness(None)
    channels = head_with_tumour()
    channels[0, 6] = 0  # an even slice without anything: the other member sees nothing of it
    network = Ensemble([Brightness(None), other], cascade=True)
    found = run_job(Engine(network, 2, CPU, torch.float32).probabilities(channels, thin=True))
    np.testing.assert_allclose(found[0, [5, 7, 8], 55, 80], [0.5, 0.75, 1], atol=1e-3)


def test_thicker_slices_are_shown_to_every_member_and_a_plain_ensemble_shows_all():
    other = Constant(0.2)
    mean_of_cascade(Brightness(16), other)
    assert other.seen == list(range(21))
    plain = Constant(0.2)
    run_job(
        Engine(Ensemble([Brightness(16), plain]), 2, CPU, torch.float32).probabilities(head_with_tumour(), thin=True)
    )
    assert plain.seen == list(range(21))


def test_a_cascade_whose_first_member_sees_nothing_asks_no_other():
    other = Constant(0.2)
    found = mean_of_cascade(Constant(0.05), other, thin=True)
    assert not other.seen
    np.testing.assert_allclose(found[0, :, 55, 80], 0.05, atol=1e-3)


def test_shares_and_temperatures_hold_in_a_cascade():
    network = Calibrated(Ensemble([Constant(0.9), Constant(0.5)], [[3.0], [1.0]], cascade=True), [2.0])
    found = run_job(Engine(network, 2, CPU, torch.float32).probabilities(head_with_tumour(), thin=True))
    np.testing.assert_allclose(found[0, :, 55, 80], 2 / 3, atol=2e-3)  # .8 is odds of 4, of which the root is 2


def test_a_box_gets_of_a_cascade_what_a_run_over_all_gets():
    torch.manual_seed(0)
    members = [
        with_neighbours(lively(UNet(6, 3, width=4, levels=3, norm=norm), 5), 1) for norm in ("batch", "instance")
    ]
    channels = np.random.default_rng(0).normal(size=(2, 40, 24, 20)).astype(np.float32)
    engine = Engine.prepare(Ensemble(members, cascade=True), 2, CPU, torch.float32)
    whole = run_job(engine.probabilities(channels, thin=True))
    for first, last in ((17, 22), (7, 8), (39, 40), (0, 1)):
        part = run_job(engine.probabilities(channels, within=Box((first, 3, 4), (last, 9, 10)), thin=True))
        np.testing.assert_array_equal(part[:, first:last], whole[:, first:last])
