import pytest
import torch
from pydantic import ValidationError
from training_cases import recipe

from models_for_tests import tiny_model
from napari_brain_tumor.errors import TrainingError
from napari_brain_tumor.models.checkpoint import save_checkpoint
from napari_brain_tumor_training.starting_weights import frozen_parts, network_for

WIDTHS = {
    "unet": {"width": 4, "levels": 3},
    "u2netp": {"width": 8},
    "resunet_a_multitask": {"width": 4},
    "resunet_plus_plus": {"width": 8},
}


def begun(model, roles=("T1", "T1c", "T2", "FLAIR"), **changes):
    card = model.card
    section = {"architecture": card.architecture, "dims": card.dims, "arguments": card.arguments}
    return recipe(roles=roles, model={**section, "init": str(model.folder), **changes})


@pytest.mark.parametrize("architecture", WIDTHS)
def test_roles_in_another_order_give_the_same_prediction(architecture, tmp_path):
    model, network = tiny_model(tmp_path / "m", architecture=architecture, arguments=WIDTHS[architecture], half=False)
    turned = network_for(begun(model, roles=("FLAIR", "T2", "T1", "T1c"))).eval()
    images = torch.randn(2, 4, 64, 64)
    torch.testing.assert_close(turned(images[:, [3, 2, 0, 1]]), network(images), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("architecture", WIDTHS)
def test_a_role_that_the_checkpoint_lacks_changes_nothing_at_first(architecture, tmp_path):
    model, network = tiny_model(
        tmp_path / "m", architecture=architecture, arguments=WIDTHS[architecture], half=False, roles=["T1c", "FLAIR"]
    )
    wider = network_for(begun(model)).eval()
    images = torch.randn(2, 4, 64, 64)
    torch.testing.assert_close(wider(images), network(images[:, [1, 3]]), atol=1e-4, rtol=1e-4)


def test_regions_are_taken_over_by_name_and_new_ones_begin_fresh(tmp_path):
    model, network = tiny_model(tmp_path / "m", half=False, regions=["ET", "WT"])
    grown = network_for(begun(model)).eval()
    images = torch.randn(2, 4, 32, 32)
    torch.testing.assert_close(grown(images)[:, [2, 0]], network(images), atol=1e-4, rtol=1e-4)
    torch.manual_seed(0)
    assert grown.head.weight[1].abs().sum() > 0


def test_side_outputs_keep_their_regions_apart(tmp_path):
    model, network = tiny_model(
        tmp_path / "m", architecture="u2netp", arguments={"width": 8}, half=False, regions=["TC", "WT", "ET"]
    )
    turned = network_for(begun(model)).eval()
    images = torch.randn(1, 4, 64, 64)
    for ours, theirs in zip(turned.forward_with_sides(images), network.forward_with_sides(images), strict=True):
        torch.testing.assert_close(ours[:, [1, 0, 2]], theirs, atol=1e-4, rtol=1e-4)


def test_another_kind_of_network_is_refused(tmp_path):
    model, _ = tiny_model(tmp_path / "m")
    for changes in ({"arguments": {"width": 6, "levels": 3}}, {"architecture": "resunet_plus_plus", "arguments": {}}):
        with pytest.raises(TrainingError, match="weights of its own kind only"):
            network_for(begun(model, **changes))


def test_a_checkpoint_without_a_role_in_common_is_refused(tmp_path):
    model, _ = tiny_model(tmp_path / "m", roles=["T1", "T2"])
    with pytest.raises(TrainingError, match="no role is in both"):
        network_for(begun(model, roles=("T1c", "FLAIR")))


def test_a_frozen_encoder_needs_no_gradient_and_the_rest_does(tmp_path):
    model, _ = tiny_model(tmp_path / "m")
    config = begun(model, freeze_encoder=True)
    network = network_for(config)
    assert frozen_parts(network, config.model) == [network.encoder]
    assert not any(p.requires_grad for p in network.encoder.parameters())
    assert all(p.requires_grad for p in [*network.decoder.parameters(), *network.head.parameters()])


@pytest.mark.parametrize("name", ["unet_brain", "unet3d_cicek", "residual_unet_light", "u2netp", "resunet_plus_plus"])
def test_every_architecture_names_its_encoder(name, tmp_path):
    config = recipe(model={"configuration": name, "dims": 2, "init": "some", "freeze_encoder": True})
    with torch.device("meta"):
        network = network_for(config.model_copy(update={"model": config.model.model_copy(update={"init": None})}))
    parts = frozen_parts(network, config.model)
    assert sum(p.numel() for part in parts for p in part.parameters()) > 0.05 * sum(
        p.numel() for p in network.parameters()
    )


@pytest.mark.parametrize("architecture", WIDTHS)
def test_neighbouring_slices_change_nothing_at_first(architecture, tmp_path):
    arguments = WIDTHS[architecture]
    model, network = tiny_model(tmp_path / "m", architecture=architecture, arguments=arguments, half=False)
    section = {"architecture": architecture, "arguments": {**arguments, "neighbours": 1}, "init": str(model.folder)}
    wider = network_for(recipe(model=section)).eval()
    images = torch.randn(2, 12, 64, 64)
    torch.testing.assert_close(wider(images), network(images[:, 4:8]), atol=1e-4, rtol=1e-4)


def test_neighbouring_slices_of_a_network_for_volumes_are_refused_by_the_recipe():
    with pytest.raises(ValidationError, match="one for volumes none"):
        recipe(3, model={"architecture": "unet", "dims": 3, "arguments": {"width": 4, "neighbours": 1}})


def test_running_variances_that_were_stored_as_infinite_begin_anew(tmp_path):
    model, network = tiny_model(tmp_path / "m")
    weights = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    name = next(name for name in weights if name.endswith("running_var"))
    weights[name][0] = float("inf")
    begun_network = network_for(begun(save_checkpoint(tmp_path / "ruined", weights, model.card)))
    assert begun_network.state_dict()[name][0] == 1
