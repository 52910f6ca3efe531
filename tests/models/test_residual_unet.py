import pytest
import torch

from models_for_tests import card, lively
from napari_brain_tumor.errors import TrainingError
from napari_brain_tumor.labels import REGIONS
from napari_brain_tumor.models.blocks import folded, unfolded
from napari_brain_tumor.models.checkpoint import save_checkpoint
from napari_brain_tumor.models.outputs import supervised_outputs
from napari_brain_tumor.models.residual_unet import ResidualUNet, _Halving
from napari_brain_tumor.study import ROLES
from napari_brain_tumor_training.config import TrainConfig
from napari_brain_tumor_training.starting_weights import network_for


def kept_for_the_backward_pass(network, image):
    """Bytes of activations that training keeps, each storage once."""
    weights = {p.untyped_storage()._cdata for p in network.parameters()}
    kept = {}
    with torch.autograd.graph.saved_tensors_hooks(
        lambda t: kept.setdefault(t.untyped_storage()._cdata, t) is None or t, lambda t: t
    ):
        outputs = supervised_outputs(network, image)
    assert outputs
    return sum(t.untyped_storage().nbytes() for key, t in kept.items() if key not in weights)


def test_a_window_of_128_trains_on_a_card_with_12_gb():
    with torch.device("meta"):
        network, image = ResidualUNet(4, 3), torch.zeros(1, 4, 128, 128, 128)
    parameters = sum(p.numel() for p in network.parameters())
    # Weights, gradients and the two moments of Adam, in float32; half the card is left for what convolutions need.
    assert kept_for_the_backward_pass(network, image) + 16 * parameters < 6e9


@pytest.mark.parametrize("pool", [torch.nn.AvgPool2d(2), torch.nn.AvgPool3d(2)])
def test_shortcuts_take_the_mean_of_neighbours(pool):
    x = torch.randn(1, 2, *[6] * (3 if isinstance(pool, torch.nn.AvgPool3d) else 2))
    torch.testing.assert_close(_Halving()(x), pool(x))


def test_sides_weigh_half_of_the_next_finer_one():
    network = ResidualUNet(1, 1, dims=2, width=4)
    assert network.side_weights == pytest.approx((8 / 15, 4 / 15, 2 / 15, 1 / 15))


@pytest.mark.parametrize("blocks", [(1, 1), (1, 1, 1), (1, 1, 1, 1, 1)])
def test_every_level_but_the_lowest_of_the_decoder_is_supervised(blocks):
    network = ResidualUNet(1, 2, dims=2, width=4, blocks=blocks).eval()
    outputs = network.forward_with_sides(torch.randn(1, 1, 40, 40))
    assert len(outputs) == len(network.side_weights) == max(1, len(blocks) - 2)


@pytest.mark.parametrize("norm", ["batch", "instance", None])
def test_every_norm_trains(norm):
    network = ResidualUNet(2, 1, width=4, blocks=(1, 1, 1), norm=norm)
    network(torch.randn(1, 2, 16, 16, 16)).square().mean().backward()
    trained = [p for name, p in network.named_parameters() if not name.startswith("sides")]
    assert all(torch.isfinite(p.grad).all() for p in trained)


@pytest.mark.parametrize("sides", [(6, 8), (4, 6, 8)])
def test_folding_moves_every_voxel_into_the_channels_of_its_cube(sides):
    x = torch.arange(2 * 3 * torch.tensor(sides).prod()).reshape(2, 3, *sides)
    cubes = folded(x, 2)
    assert cubes.shape == (2, 3 * 2 ** len(sides), *(side // 2 for side in sides))
    for place in range(2 ** len(sides)):
        corner = [slice(int(bit), None, 2) for bit in f"{place:0{len(sides)}b}"]
        torch.testing.assert_close(cubes[:, 3 * place : 3 * place + 3], x[(slice(None), slice(None), *corner)])
    assert torch.equal(unfolded(cubes, 2), x)


@pytest.mark.parametrize("dims", [2, 3])
def test_a_folded_network_tells_every_voxel_of_a_volume_of_any_size(dims):
    torch.manual_seed(0)
    network = ResidualUNet(4, 3, dims=dims, width=4, blocks=(1, 1, 1), fold=2).eval()
    image = torch.randn(1, 4, *(13, 18, 15)[:dims])
    logits, *sides = network.forward_with_sides(image)
    assert logits.shape == (1, 3, *image.shape[2:])
    assert all(side.shape == logits.shape for side in sides)
    torch.testing.assert_close(network(image), logits)
    # Neighbours within a cube come out of different channels: they are not copies of each other.
    assert (logits[..., 0] != logits[..., 1]).all()


def saved(folder, roles, regions, **arguments):
    network = ResidualUNet(len(roles), len(regions), dims=2, **arguments)
    entries = {"architecture": "residual_unet", "arguments": arguments, "roles": roles, "regions": regions}
    save_checkpoint(folder, lively(network, 3).state_dict(), card(**entries), half=False)
    return network.eval()


def started_from(folder, **arguments):
    config = TrainConfig.model_validate(
        {
            "name": "new",
            "title": "New",
            "sources": [{"dataset": "x", "kind": "curated", "path": "x", "share": 1}],
            "model": {"architecture": "residual_unet", "dims": 2, "arguments": arguments, "init": str(folder)},
            "optimisation": {"epochs": 1},
        }
    )
    return network_for(config).eval()


SMALL = {"width": 4, "blocks": [1, 1], "fold": 2}


@pytest.mark.parametrize("detail", [{}, {"detail": 5}])
def test_a_folded_network_starts_from_one_with_fewer_roles_and_regions(tmp_path, detail):
    old = saved(tmp_path / "old", ["T1", "FLAIR"], ["WT", "ET"], **SMALL, **detail)
    new = started_from(tmp_path / "old", **SMALL, **detail)
    image = torch.randn(1, 4, 8, 8)
    if detail:
        # The region that is new there goes into the correction with weights of its own.
        with torch.no_grad():
            new.detail[0][0].weight[:, 1] = 0
    torch.testing.assert_close(new(image)[:, [0, 2]], old(image[:, [0, 3]]))


def test_correcting_voxel_by_voxel_changes_nothing_before_it_is_trained_and_then_it_does(tmp_path):
    old = saved(tmp_path / "old", list(ROLES), list(REGIONS), **SMALL)
    new = started_from(tmp_path / "old", **SMALL, detail=6)
    image = torch.randn(2, 4, 16, 16)
    torch.testing.assert_close(new(image), old(image))
    torch.testing.assert_close(new.forward_with_sides(image)[0], old(image))
    new.train()
    step = torch.optim.SGD(new.parameters(), 0.1)
    for _ in range(2):
        step.zero_grad()
        new(image).square().mean().backward()
        step.step()
    assert all(parameter.grad.abs().sum() > 0 for parameter in new.detail.parameters())


def test_other_differences_to_the_starting_weights_are_refused(tmp_path):
    saved(tmp_path / "old", list(ROLES), list(REGIONS), **SMALL, detail=6)
    for arguments in (SMALL, SMALL | {"detail": 8}, SMALL | {"detail": 6, "width": 8}):
        with pytest.raises(TrainingError, match="of its own kind only"):
            started_from(tmp_path / "old", **arguments)
