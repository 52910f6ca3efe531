import numpy as np
import pytest

from napari_brain_tumor.geometry import Box, Grid
from napari_brain_tumor.preprocessing.grid import working_grid
from napari_brain_tumor.preprocessing.intensity import foreground_mask, is_skull_stripped, standardise
from napari_brain_tumor.preprocessing.pipeline import PreprocessingSpec, prepare, restore
from napari_brain_tumor.study import ROLES, Study
from phantoms import affine, axis_orders, tilt

SPEC = PreprocessingSpec(margin_voxels=2)


def brain(shape=(30, 34, 22), seed=0, background=0.0):
    """An ellipsoid of noise around 100, and what lies outside of it."""
    axes = np.meshgrid(*[np.linspace(-1, 1, n) for n in shape], indexing="ij")
    inside = sum(a**2 for a in axes) < 0.6
    random = np.random.default_rng(seed)
    outside = np.abs(random.normal(0, background, shape)) if background else np.zeros(shape)
    return np.where(inside, random.normal(100, 20, shape), outside).astype(np.float32), inside


def test_masked_brain_and_noisy_air_are_told_apart():
    assert is_skull_stripped(brain()[0])
    assert not is_skull_stripped(brain(background=2.0)[0])


def test_foreground_of_a_masked_brain_is_the_brain():
    volume, inside = brain()
    np.testing.assert_array_equal(foreground_mask([volume]), inside)


def test_foreground_of_a_head_leaves_noisy_air_out():
    volume, inside = brain(background=2.0)
    assert np.mean(foreground_mask([volume, volume]) == inside) > 0.995


def test_a_dark_lake_inside_a_head_belongs_to_it():
    volume, _ = brain(background=2.0)
    volume[13:17, 15:19, 9:13] = 0
    assert foreground_mask([volume])[13:17, 15:19, 9:13].all()


def test_standardised_intensities_have_mean_0_and_deviation_1_inside_and_are_0_outside():
    volume, inside = brain()
    result = standardise(volume * 7 + 1000 * inside, inside, (0, 100))
    assert result[inside].mean() == pytest.approx(0, abs=1e-4)
    assert result[inside].std() == pytest.approx(1, abs=1e-3)
    assert (result[~inside] == 0).all()


def test_standardising_does_not_depend_on_the_scanners_units():
    volume, inside = brain()
    one = standardise(volume, inside, (0.5, 99.5))
    np.testing.assert_allclose(standardise(volume * 13.7, inside, (0.5, 99.5)), one, atol=1e-4)


def test_an_outlier_is_clipped():
    volume, inside = brain()
    volume[15, 17, 11] = 1e6
    assert standardise(volume, inside, (0.5, 99.5)).max() < 4


@pytest.mark.parametrize("directions", [*axis_orders(), tilt(14)])
def test_labels_return_to_the_voxels_they_came_from(directions):
    volume, inside = brain()
    study = Study({"T1c": volume}, Grid(volume.shape, affine(directions, (1, 1, 4))))
    labels = np.where(inside, np.random.default_rng(1).integers(0, 4, volume.shape), 0).astype(np.uint8)
    prepared = prepare(study, ROLES, SPEC)
    work = prepared.work.labels_to_work(labels)[prepared.box.slices]
    np.testing.assert_array_equal(restore(work, prepared), labels)


def test_channels_stand_in_the_networks_order_and_absent_roles_are_zero():
    volume, inside = brain()
    other, _ = brain(seed=5)
    grid = Grid(volume.shape, affine())
    prepared = prepare(Study({"FLAIR": volume, "T1c": other}, grid), ROLES, SPEC)
    assert prepared.channels.shape[0] == 4
    assert prepared.channels.dtype == np.float32
    assert [bool(channel.any()) for channel in prepared.channels] == [False, True, False, True]
    expected = standardise(volume, inside, SPEC.clip_percentiles).transpose(2, 1, 0)[prepared.box.slices]
    np.testing.assert_allclose(prepared.channels[3], expected, atol=1e-3)


def test_only_the_box_of_the_brain_is_kept():
    volume = np.zeros((60, 60, 30), dtype=np.float32)
    part, _ = brain()
    volume[10:40, 20:54, 4:26] = part
    prepared = prepare(Study({"T1": volume}, Grid(volume.shape, affine())), ROLES, SPEC)
    z, y, x = prepared.channels.shape[1:]
    assert x <= 30 + 2 * SPEC.margin_voxels
    assert y <= 34 + 2 * SPEC.margin_voxels
    assert z <= 22


@pytest.mark.parametrize(("spacing", "resampled"), [((1, 1, 5), False), ((0.9, 0.9, 3), False), ((0.5, 0.5, 6), True)])
def test_only_the_plane_is_resampled_and_only_where_it_matters(spacing, resampled):
    grid = Grid((40, 44, 12), affine(spacing=spacing))
    work = working_grid(grid, 1.0)
    assert work.resampled is resampled
    assert work.grid.shape[2] == 12
    if resampled:
        np.testing.assert_allclose(work.grid.spacing, (1.0, 1.0, 6.0))
        np.testing.assert_allclose(work.grid.world((-0.5, -0.5, 0)), grid.world((-0.5, -0.5, 0)), atol=1e-9)


def test_resampled_labels_come_back_in_place():
    grid = Grid((64, 64, 6), affine(spacing=(0.5, 0.5, 5)))
    labels = np.zeros(grid.shape, dtype=np.uint8)
    labels[20:40, 24:44, 2:4] = 3
    volume = np.where(np.ones(grid.shape, bool), np.random.default_rng(0).normal(100, 10, grid.shape), 0)
    prepared = prepare(Study({"T2": volume}, grid), ROLES, SPEC)
    back = restore(prepared.work.labels_to_work(labels)[prepared.box.slices], prepared)
    np.testing.assert_array_equal(back, labels)


def test_unknown_spacing_is_left_alone():
    grid = Grid((40, 44, 12), affine(spacing=(1, 1, 1)), "voxel")
    assert not working_grid(grid, 0.5).resampled


def test_a_brain_that_was_standardised_inside_zeros_is_the_whole_foreground():
    volume, inside = brain()
    volume[inside] = (volume[inside] - volume[inside].mean()) / volume[inside].std()
    assert volume.min() < -2
    assert is_skull_stripped(volume)
    np.testing.assert_array_equal(foreground_mask([volume]), inside)


@pytest.mark.parametrize("offset", [-30_000, -1000, 500])
def test_a_constant_around_the_brain_is_background_whatever_its_value(offset):
    volume, inside = brain()
    np.testing.assert_array_equal(foreground_mask([(volume + offset).astype(np.int16)]), inside)


@pytest.mark.parametrize("offset", [-1000, 1000])
def test_an_offset_of_the_intensities_does_not_hide_the_head(offset):
    volume, inside = brain(background=2.0)
    assert np.mean(foreground_mask([volume + offset, volume + offset]) == inside) > 0.995


def test_where_no_head_can_be_told_from_air_everything_is_looked_at():
    volume = np.full((12, 13, 14), -3.0)
    volume[0, 0, [0, -1]] = volume[0, -1, 0] = -4.0
    assert foreground_mask([volume]).all()


def test_resampling_adds_no_rim_of_zeros_around_an_image_with_an_offset():
    work = working_grid(Grid((10, 12, 4), affine(spacing=(2.0, 2.0, 5.0))), 1.0)
    np.testing.assert_allclose(work.to_work(np.full((10, 12, 4), 500.0)), 500.0)


def ramp():
    """Two sequences of 0 to 99 within the brain and -7 around it."""
    volume = np.full((20, 22, 10), -7.0)
    inside = np.zeros(volume.shape, bool)
    inside[4:16, 5:18, 1:9] = True
    values = np.linspace(0, 99, int(inside.sum()))
    volume[inside] = values
    return Study({"T1": volume, "FLAIR": volume[::-1].copy()}, Grid(volume.shape, affine()))


def test_scaling_to_unit_puts_the_percentiles_at_0_and_1_and_zeros_outside():
    spec = PreprocessingSpec(scaling="unit", clip_percentiles=(0, 100))
    prepared = prepare(ramp(), ["FLAIR"], spec)
    inside = prepared.channels[0][prepared.mask]
    assert (inside.min(), inside.max()) == pytest.approx((0, 1))
    assert not prepared.channels[0][~prepared.mask].any()


def test_statistics_of_the_box_take_in_what_lies_around_the_brain():
    spec = PreprocessingSpec(statistics="box", clip_percentiles=(0, 100), margin_voxels=2)
    prepared = prepare(ramp(), ["T1"], spec)
    assert prepared.channels.mean() == pytest.approx(0, abs=1e-5)
    assert prepared.channels.std() == pytest.approx(1, abs=1e-5)
    assert (prepared.channels[0][~prepared.mask] < -0.9).all()


def test_photographs_are_standardised_channel_by_channel_and_grey_ones_alike():
    def black(roles):
        prepared = prepare(ramp(), roles, PreprocessingSpec(scaling="imagenet"))
        return prepared.channels[:, ~prepared.mask][:, 0]

    red, green, blue = -0.485 / 0.229, -0.456 / 0.224, -0.406 / 0.225
    np.testing.assert_allclose(black(["T1", "FLAIR", "T1"]), [red, green, blue], rtol=1e-5)
    np.testing.assert_allclose(black(["FLAIR"] * 3), [red] * 3, rtol=1e-5)


def test_one_sequence_can_fill_several_channels():
    channels = prepare(ramp(), ["FLAIR", "T1", "FLAIR"], PreprocessingSpec()).channels
    np.testing.assert_array_equal(channels[0], channels[2])
    assert not np.array_equal(channels[0], channels[1])


def test_slices_are_brought_to_the_distance_that_a_3d_network_wants_and_labels_come_back():
    thick = Grid((24, 28, 8), np.diag([1.0, 1.0, 4.0, 1.0]))
    work = working_grid(thick, 1.0, 1.0)
    assert work.grid.shape == (24, 28, 32)
    np.testing.assert_allclose(work.grid.spacing, (1, 1, 1))
    ramp = np.broadcast_to(np.arange(8.0), thick.shape)
    # Slices lie at 2, 6, 10, ... mm from the first face: a straight ramp stays one between the outermost of them.
    np.testing.assert_allclose(work.to_work(ramp)[2:30, 5, 5], np.arange(2.5, 30) / 4 - 0.5, atol=1e-5)
    labels = np.random.default_rng(0).integers(0, 4, thick.shape).astype(np.uint8)
    back = work.labels_to_source(work.labels_to_work(labels), Box.whole((32, 28, 24)))
    np.testing.assert_array_equal(back, labels)
    assert not working_grid(thick, 1.0).resampled
