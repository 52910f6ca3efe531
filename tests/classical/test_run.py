import numpy as np
import pytest

from napari_brain_tumor.classical.run import scan_of, seeds_in_scan
from napari_brain_tumor.errors import SeedError
from napari_brain_tumor.geometry import Grid
from napari_brain_tumor.preprocessing.pipeline import PreprocessingSpec, prepare
from napari_brain_tumor.study import ROLES, Study
from phantoms import affine, axis_orders, ball, tilt

SHAPE = (40, 36, 24)
MARK = (14, 22, 9)


def head(matrix, unit="mm", margin=0):
    """A skull-stripped ball of noise with one bright voxel on FLAIR, or a cube of them."""
    brain = ball(SHAPE, (20, 18, 12), 11)
    values = np.random.default_rng(0).normal(100, 5, SHAPE) * brain
    values[tuple(slice(i - margin, i + margin + 1) for i in MARK)] = 130
    return Study({"FLAIR": values.astype(np.float32)}, Grid(SHAPE, matrix, unit), "head")


def prepared_scan(study):
    prepared = prepare(study, ROLES, PreprocessingSpec())
    return prepared, scan_of(study, prepared)


@pytest.mark.parametrize("directions", [*axis_orders(), tilt(), -tilt(40)])
def test_a_seed_in_world_millimetres_is_the_voxel_that_lies_there(directions):
    study = head(affine(directions))
    prepared, scan = prepared_scan(study)
    (voxel,) = seeds_in_scan([tuple(study.grid.world(MARK))], prepared, scan)
    assert scan.channels["FLAIR"][voxel] == scan.channels["FLAIR"].max()


def test_a_seed_is_found_on_thick_resampled_slices():
    study = head(affine(np.diag([-1, -1, 1]), spacing=(0.5, 0.5, 5.0)), margin=2)
    prepared, scan = prepared_scan(study)
    (voxel,) = seeds_in_scan([tuple(study.grid.world(MARK))], prepared, scan)
    assert scan.channels["FLAIR"][voxel] == scan.channels["FLAIR"].max()
    assert scan.spacing_mm == pytest.approx((5, 1, 1))


def test_where_the_spacing_is_not_known_seeds_count_voxels():
    study = head(np.eye(4), "voxel")
    prepared, scan = prepared_scan(study)
    (voxel,) = seeds_in_scan([MARK], prepared, scan)
    assert scan.channels["FLAIR"][voxel] == scan.channels["FLAIR"].max()
    with pytest.raises(SeedError, match="voxels, as the files do not state the spacing"):
        seeds_in_scan([(0, 0, 0)], prepared, scan)


@pytest.mark.parametrize("seed", [(500, 0, 0), (-10, 20, 5)])
def test_a_seed_outside_the_brain_is_told_where_the_brain_is(seed):
    prepared, scan = prepared_scan(head(affine()))
    with pytest.raises(SeedError, match=r"does not lie in the brain, which reaches from -1,27,6 to 21,49,28"):
        seeds_in_scan([seed], prepared, scan)


@pytest.mark.parametrize("seed", [(1, 2), (1, 2, float("nan")), (1, 2, 3, 4)])
def test_what_is_no_point_is_no_seed(seed):
    prepared, scan = prepared_scan(head(affine()))
    with pytest.raises(SeedError, match="three world coordinates"):
        seeds_in_scan([seed], prepared, scan)
