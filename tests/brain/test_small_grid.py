import numpy as np
import pytest

from napari_brain_tumor.brain.small_grid import SMALL_PIXEL_MM, small_grid, small_study
from napari_brain_tumor.geometry import Grid
from napari_brain_tumor.study import Study
from phantoms import affine, axis_orders, ball


def study_of(shape, spacing=(1.0, 1.0, 1.0), unit="mm", directions=None):
    image = np.zeros(shape, dtype=np.float32)
    image[1, 1, 1] = 1
    directions = np.eye(3) if directions is None else directions
    return Study({"T1": image}, Grid(shape, affine(directions, spacing), unit))


@pytest.mark.parametrize(
    ("shape", "spacing", "small"),
    [
        ((240, 240, 155), (1.0, 1.0, 1.0), (120, 120, 52)),
        ((512, 512, 24), (0.5, 0.5, 6.0), (128, 128, 24)),
        ((256, 256, 30), (1.0, 1.0, 2.5), (128, 128, 30)),
        ((64, 64, 40), (4.0, 4.0, 4.0), (128, 128, 40)),
    ],
)
def test_pixels_are_of_two_millimetres_and_thin_slices_are_joined(shape, spacing, small):
    found = small_grid(study_of(shape, spacing)).grid
    assert found.shape == small
    assert found.spacing[:2] == pytest.approx((SMALL_PIXEL_MM, SMALL_PIXEL_MM), rel=0.02)


@pytest.mark.parametrize("pixels", [128, 256, 400])
def test_where_the_spacing_is_not_known_the_head_gives_the_scale(pixels):
    head = ball((pixels, pixels, 20), (pixels // 2, pixels // 2, 10), pixels // 3)
    air = np.abs(np.random.default_rng(0).normal(0, 2, head.shape))
    study = Study({"FLAIR": np.where(head, 100, air)}, Grid(head.shape, np.eye(4), "voxel"))
    small = small_grid(study)
    seen = small.averaged(head) > 0.5
    assert max(seen.any(axis=(1, 2)).sum(), seen.any(axis=(0, 2)).sum()) == pytest.approx(205 / SMALL_PIXEL_MM, abs=3)
    assert small.grid.shape[2] == 20


def test_many_slices_of_unknown_spacing_are_joined():
    head = ball((128, 128, 160), (64, 64, 80), 50)
    air = np.abs(np.random.default_rng(0).normal(0, 2, head.shape))
    study = Study({"T2": np.where(head, 100, air)}, Grid(head.shape, np.eye(4), "voxel"))
    assert small_grid(study).grid.shape[2] == 64


@pytest.mark.parametrize("order", axis_orders()[::5])
def test_means_are_kept_and_the_way_back_ends_where_it_began(order):
    shape, spacing = (90, 100, 60), (1.2, 1.0, 1.5)
    study = study_of(shape, spacing, directions=order)
    small = small_grid(study)
    random = np.random.default_rng(1).random(shape)
    assert small.averaged(random).mean() == pytest.approx(random.mean(), rel=1e-4)
    body = ball(shape, (45, 52, 30), 22).astype(np.float32)
    back = small.interpolated(small.averaged(body))
    assert back.shape == shape
    both = 2 * ((back >= 0.5) & (body > 0)).sum() / ((back >= 0.5).sum() + body.sum())
    assert both > 0.96
    assert small_study(study, small).grid.shape == small.grid.shape


def test_a_single_slice_and_single_pixels_pass():
    for shape in ((1, 1, 1), (5, 1, 3), (256, 256, 1)):
        image = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
        if image.size == 1:
            continue
        study = Study({"T1": image}, Grid(shape, np.eye(4)))
        small = small_grid(study)
        assert small.interpolated(small.averaged(image)).shape == shape
