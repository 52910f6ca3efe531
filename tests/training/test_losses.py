import pytest
import torch
from torch import nn

from napari_brain_tumor.models.residual_unet import ResidualUNet
from napari_brain_tumor.models.u2net import U2NetP
from napari_brain_tumor_training.config import LossConfig
from napari_brain_tumor_training.losses import PartialRegionLoss, weighted_outputs

CONFIGS = {
    "dice": {},
    "dice squared, per sample": {"denominators": "squared", "per": "sample"},
    "dice and focal": {"voxel": "focal"},
    "tversky": {"region": "tversky"},
    "tversky per sample": {"region": "tversky", "per": "sample"},
    "generalised": {"region": "generalised"},
    "generalised per sample": {"region": "generalised", "per": "sample"},
    "tanimoto": {"region": "tanimoto"},
    "boundary": {"boundary_weight": 0.1},
    "voxels alone": {"region_weight": 0},
}
SIDES = {2: (8, 9), 3: (5, 6, 7)}


def batch(dims, seed=0, samples=3):
    random = torch.Generator().manual_seed(seed)
    logits = torch.randn(samples, 3, *SIDES[dims], generator=random)
    shares = torch.tensor([0.7, 0.4, 0.15]).reshape(1, 3, *[1] * dims)
    targets = (torch.rand(samples, 3, *SIDES[dims], generator=random) < shares).float()
    return logits, targets


def region_only(**changes):
    return PartialRegionLoss(LossConfig(voxel_weight=0, smooth=1e-5, **changes))


def dice_by_hand(p, t, axes, power):
    shared = (p * t).sum(axes)
    return 1 - (2 * shared + 1e-5) / ((p**power).sum(axes) + (t**power).sum(axes) + 1e-5)


@pytest.mark.parametrize("power", [1, 2])
def test_batched_soft_dice_is_the_mean_over_samples_and_regions_and_never_mixes_them(power):
    # Batches of five axes, as in 3D: summing over the axes 1, 2, 3, as a well-known course does, joins the classes.
    logits, targets = batch(3)
    p, denominators = torch.sigmoid(logits), ("linear", "squared")[power - 1]
    found = region_only(per="sample", denominators=denominators)(logits, targets, torch.ones(3, 3, dtype=torch.bool))
    torch.testing.assert_close(found, dice_by_hand(p, targets, (2, 3, 4), power).mean())
    assert abs(found - dice_by_hand(p, targets, (1, 2, 3), power).mean()) > 1e-3
    over_batch = region_only(per="batch", denominators=denominators)
    torch.testing.assert_close(
        over_batch(logits, targets, torch.ones(3, 3, dtype=torch.bool)),
        dice_by_hand(p, targets, (0, 2, 3, 4), power).mean(),
    )


@pytest.mark.parametrize("per", ["sample", "batch"])
def test_dice_of_nothing_found_where_nothing_is_costs_nothing(per):
    logits = torch.full((2, 3, 4, 4), -200.0)
    found = region_only(per=per)(logits, torch.zeros_like(logits), torch.ones(2, 3, dtype=torch.bool))
    assert found == 0


def test_tversky_weights_what_was_missed_and_what_was_invented():
    logits, targets = batch(2)
    p = torch.sigmoid(logits)
    axes = (0, 2, 3)
    shared, invented, missed = (p * targets).sum(axes), (p * (1 - targets)).sum(axes), ((1 - p) * targets).sum(axes)
    wanted = 1 - (shared + 1e-5) / (shared + 0.3 * invented + 0.7 * missed + 1e-5)
    found = region_only(region="tversky")(logits, targets, torch.ones(3, 3, dtype=torch.bool))
    torch.testing.assert_close(found, wanted.mean())


def test_generalised_dice_weights_regions_by_their_inverse_squared_volume():
    logits, targets = batch(2)
    p = torch.sigmoid(logits)
    weights = targets.sum((0, 2, 3)) ** -2.0
    shared = (p * targets).sum((0, 2, 3))
    both = (p + targets).sum((0, 2, 3))
    wanted = 1 - (2 * (weights * shared).sum() + 1e-5) / ((weights * both).sum() + 1e-5)
    found = region_only(region="generalised")(logits, targets, torch.ones(3, 3, dtype=torch.bool))
    torch.testing.assert_close(found, wanted)


def test_tanimoto_is_half_of_tumour_and_half_of_background():
    p, t = torch.tensor([0.9, 0.2, 0.4]), torch.tensor([1.0, 0.0, 1.0])
    logits, targets = torch.logit(p).reshape(1, 1, 1, 3), t.reshape(1, 1, 1, 3)

    def tanimoto(a, b):
        return (a * b).sum() / (a**2 + b**2 - a * b).sum()

    wanted = 1 - (tanimoto(p, t) + tanimoto(1 - p, 1 - t)) / 2
    found = region_only(region="tanimoto")(logits, targets, torch.ones(1, 1, dtype=torch.bool))
    torch.testing.assert_close(found, wanted, atol=1e-4, rtol=0)


def test_the_boundary_term_grows_with_training_and_with_distance():
    target = torch.zeros(1, 1, 1, 9)
    target[..., 4] = 1
    loss = PartialRegionLoss(LossConfig(region_weight=0, voxel_weight=0, boundary_weight=1))
    known = torch.ones(1, 1, dtype=torch.bool)
    near, far = (torch.full((1, 1, 1, 9), -50.0) for _ in range(2))
    near[..., 5], far[..., 8] = 50, 50
    assert loss(near, target, known, 1.0) == pytest.approx(1 / 9)
    assert loss(far, target, known, 1.0) == pytest.approx(4 / 9)
    assert loss(far, target, known, 0.5) == pytest.approx(2 / 9)


@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize("changes", CONFIGS.values(), ids=CONFIGS)
def test_no_loss_sees_what_is_unknown_by_region_slice_or_voxel(changes, dims):
    logits, targets = batch(dims)
    logits.requires_grad_()
    known = torch.rand(targets.shape, generator=torch.Generator().manual_seed(5)) > 0.4
    known[0, 1:] = False
    known[1, :, 2] = False
    # The distance to a border that is itself unknown must not change either.
    targets[0, 1:] = 0
    loss = PartialRegionLoss(LossConfig(**changes))
    found = loss(logits, targets, known)
    found.backward()
    assert logits.grad[~known].abs().max() == 0
    assert logits.grad[known].abs().max() > 0
    with torch.no_grad():
        other = torch.where(known, logits, logits + 3)
        torch.testing.assert_close(loss(other, targets, known), found)
        if "boundary_weight" not in changes:
            torch.testing.assert_close(loss(logits, torch.where(known, targets, 1 - targets), known), found)


@pytest.mark.parametrize("changes", CONFIGS.values(), ids=CONFIGS)
def test_gradients_stay_finite_in_mixed_precision(changes):
    network = nn.Conv2d(4, 3, 3, padding=1)
    images = 5 * torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    for targets in (torch.zeros(2, 3, 8, 8), (images[:, :3] > 0).float()):
        with torch.autocast("cpu", torch.bfloat16):
            logits = network(images)
        PartialRegionLoss(LossConfig(**changes))(logits.float(), targets, torch.ones(2, 3, dtype=torch.bool)).backward()
        assert torch.isfinite(network.weight.grad).all()


@pytest.mark.parametrize(
    ("supervision", "weights"), [("equal", [1] * 7), ("halving", [64, 32, 16, 8, 4, 2, 1]), ("none", [1])]
)
def test_side_outputs_are_weighted_as_the_recipe_says(supervision, weights):
    network = U2NetP(4, 3, width=8)
    outputs = weighted_outputs(network.eval(), torch.zeros(1, 4, 40, 40), supervision)
    total = 1 if supervision != "halving" else sum(weights)
    assert [weight for weight, _ in outputs] == pytest.approx([weight / total for weight in weights])
    assert all(logits.shape == (1, 3, 40, 40) for _, logits in outputs)


def test_published_weights_are_those_of_the_network():
    network = ResidualUNet(4, 3, dims=2, width=4, blocks=(1, 1, 1, 1))
    outputs = weighted_outputs(network.eval(), torch.zeros(1, 4, 16, 16), "published")
    assert [weight for weight, _ in outputs] == list(network.side_weights)
