import pytest
import torch

from napari_brain_tumor_training.augmentation import Augmentation
from napari_brain_tumor_training.augmentation_geometry import flip, warp
from napari_brain_tumor_training.augmentation_intensity import add_noise, blur, lower_resolution, vary_intensities
from napari_brain_tumor_training.config import AugmentationConfig

STILL = AugmentationConfig(
    flip_probability=0,
    affine_probability=0,
    intensity_probability=0,
    noise_probability=0,
    blur_probability=0,
    role_dropout=0,
)
SIDES = {2: (40, 36), 3: (20, 24, 28)}


def only(**changes):
    return STILL.model_copy(update=changes)


def blob(dims, samples=4):
    target = torch.zeros(samples, 3, *SIDES[dims])
    target[(slice(None), slice(None), *(slice(side // 4, side // 2) for side in SIDES[dims]))] = 1
    return target[:, :1].expand(-1, 4, *[-1] * dims) * 5.0, target


@pytest.mark.parametrize("dims", [2, 3])
def test_with_everything_off_samples_stay_as_they_are(dims):
    images, masks = blob(dims)
    found = Augmentation(STILL)(images, masks, torch.ones(4, 4, dtype=torch.bool))
    assert torch.equal(found[0], images)
    assert torch.equal(found[1], masks)


@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize(
    "changes",
    [
        {"affine_probability": 1, "tilt_degrees": 10},
        {"elastic_probability": 1, "elastic": 2},
        {"flip_probability": 1},
    ],
    ids=["affine", "elastic", "flips"],
)
def test_image_and_masks_move_together_by_each_means(changes, dims):
    torch.manual_seed(1)
    images, masks = blob(dims)
    moved, targets = Augmentation(only(**changes))(images, masks, torch.ones(4, 4, dtype=torch.bool))
    assert not torch.equal(targets, masks)
    agreement = ((moved[:, 0] > 2.5) == (targets[:, 0] > 0.5)).float().mean()
    assert agreement > 0.985
    assert set(targets.unique().tolist()) <= {0.0, 1.0}


@pytest.mark.parametrize("dims", [2, 3])
def test_every_axis_is_mirrored(dims):
    torch.manual_seed(0)
    images = torch.arange(2**dims, dtype=torch.float).reshape(1, 1, *[2] * dims).expand(200, -1, *[-1] * dims)
    flipped, masks = flip(images, images, 0.5)
    assert torch.equal(flipped, masks)
    assert len({tuple(sample.flatten().tolist()) for sample in flipped}) == 2**dims


def test_scaling_changes_volume_by_its_power_and_keeps_the_middle():
    torch.manual_seed(0)
    config = only(affine_probability=1, rotation_degrees=0, scale=(1.5, 1.5))
    masks = torch.zeros(1, 1, 30, 30, 30)
    masks[..., 9:21, 9:21, 9:21] = 1
    _, scaled = warp(masks, masks, config)
    assert scaled.sum() == pytest.approx(12**3 * 1.5**3, rel=0.05)
    centre = torch.nonzero(scaled[0, 0]).float().mean(dim=0)
    torch.testing.assert_close(centre, torch.full((3,), 14.5), atol=0.6, rtol=0)


def test_rotation_keeps_lengths_where_sides_differ():
    torch.manual_seed(2)
    config = only(affine_probability=1, rotation_degrees=90, scale=(1.0, 1.0))
    masks = torch.zeros(20, 1, 60, 40)
    masks[..., 20:40, 18:22] = 1
    _, turned = warp(masks, masks, config)
    assert turned.sum(dim=(1, 2, 3)).tolist() == pytest.approx([80] * 20, rel=0.15)
    assert len({round(float(sample.any(dim=1).float().sum())) for sample in turned[:, 0]}) > 4


def test_in_3d_the_axial_plane_is_tilted_only_where_asked():
    torch.manual_seed(0)
    masks = torch.zeros(3, 1, 16, 16, 16)
    masks[:, :, 8, 2:14, 2:14] = 1
    _, flat = warp(masks, masks, only(affine_probability=1, scale=(1.0, 1.0)))
    assert flat.sum(dim=(1, 3, 4)).count_nonzero(dim=1).tolist() == [1, 1, 1]
    _, tilted = warp(masks, masks, only(affine_probability=1, scale=(1.0, 1.0), tilt_degrees=40))
    assert tilted.sum(dim=(1, 3, 4)).count_nonzero(dim=1).max() > 2


@pytest.mark.parametrize("dims", [2, 3])
def test_only_chosen_samples_are_touched(dims):
    torch.manual_seed(3)
    images = torch.randn(12, 2, *SIDES[dims])
    for change in (
        lambda x: blur(x, 0.5),
        lambda x: lower_resolution(x, 0.5, 2),
        lambda x: add_noise(x, 0.5, 0.1),
        lambda x: warp(x, x, only(affine_probability=0.5))[0],
    ):
        same = [torch.equal(a, b) for a, b in zip(change(images), images, strict=True)]
        assert 1 < sum(same) < 11


@pytest.mark.parametrize("dims", [2, 3])
def test_blur_and_low_resolution_smooth_and_keep_the_mean(dims):
    torch.manual_seed(0)
    images = torch.randn(3, 1, *SIDES[dims])
    for smoothed in (blur(images, 1.0), lower_resolution(images, 1.0, 3.0)):
        assert (smoothed.std(dim=tuple(range(1, images.ndim))) < 0.95 * images.flatten(1).std(dim=1)).all()
        inner = (slice(None), slice(None), *[slice(5, -5)] * dims)
        torch.testing.assert_close(smoothed[inner].mean(), images[inner].mean(), atol=0.03, rtol=0)


def test_noise_has_its_deviation():
    torch.manual_seed(0)
    noise = add_noise(torch.zeros(4, 2, 50, 50), 1.0, 0.3)
    assert float(noise.std()) == pytest.approx(0.3, rel=0.05)


def test_intensities_vary_in_sub_volumes_as_in_slices():
    torch.manual_seed(0)
    images = torch.randn(2, 4, 8, 9, 10)
    varied = vary_intensities(images, AugmentationConfig(intensity_probability=1))
    assert len((varied - images).mean(dim=(2, 3, 4)).flatten().unique()) == 8


def test_air_stays_zero_in_3d_with_everything_on():
    torch.manual_seed(0)
    images, masks = torch.randn(2, 4, *SIDES[3]), torch.zeros(2, 3, *SIDES[3])
    images[:, :, :, :, :10] = 0
    config = AugmentationConfig(
        flip_probability=0, affine_probability=0, blur_probability=1, low_resolution_probability=1, noise_probability=1
    )
    varied, _ = Augmentation(config)(images, masks, torch.ones(2, 4, dtype=torch.bool))
    assert not varied[..., :10].any()
    assert varied[..., 10:].any()


def test_stacked_slices_of_a_sequence_are_varied_alike_and_dropped_together():
    torch.manual_seed(0)
    slices = torch.rand(6, 4, 20, 20) + 1
    images = slices.repeat(1, 3, 1, 1)
    varied, _ = Augmentation(only(intensity_probability=1, role_dropout=0.5))(
        images, torch.zeros(6, 3, 20, 20), torch.ones(6, 4, dtype=torch.bool)
    )
    torch.testing.assert_close(varied[:, :4], varied[:, 4:8])
    torch.testing.assert_close(varied[:, :4], varied[:, 8:])
    assert not torch.equal(varied[:, :4], slices)


def test_neighbours_are_dropped_and_the_slice_itself_never():
    torch.manual_seed(0)
    images = torch.ones(40, 12, 8, 8)
    varied, _ = Augmentation(only(neighbour_dropout=0.5))(
        images, torch.zeros(40, 3, 8, 8), torch.ones(40, 4, dtype=torch.bool)
    )
    assert torch.equal(varied[:, 4:8], images[:, 4:8])
    below, above = varied[:, :4].amax((1, 2, 3)), varied[:, 8:].amax((1, 2, 3))
    assert torch.equal(below, above)
    assert 8 < int(below.sum()) < 32
