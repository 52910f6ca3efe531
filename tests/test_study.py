import numpy as np
import pytest

from napari_brain_tumor.errors import BrainTumorError, DimensionError, GridMismatchError, IntensityError, RoleError
from napari_brain_tumor.geometry import Grid
from napari_brain_tumor.study import Segmentation, Study
from phantoms import affine, noise

GRID = Grid((7, 6, 5), affine())


def test_sequences_come_in_the_order_of_the_networks_channels():
    study = Study({"FLAIR": noise(), "T1": noise(seed=1), "T1c": noise(seed=2)}, GRID)
    assert study.roles == ("T1", "T1c", "FLAIR")
    assert study.only(("FLAIR",)).roles == ("FLAIR",)


def test_a_missing_role_is_named():
    with pytest.raises(RoleError, match="lacks T2"):
        Study({"FLAIR": noise()}, GRID).only(("T2",))


@pytest.mark.parametrize("sequences", [{}, {"PD": noise()}])
def test_only_the_four_roles_make_a_study(sequences):
    with pytest.raises(RoleError, match="T1, T1c, T2, FLAIR"):
        Study(sequences, GRID)


def test_an_array_off_the_grid_is_refused():
    with pytest.raises(GridMismatchError, match="T2"):
        Study({"T2": noise((7, 6, 4))}, GRID)


@pytest.mark.parametrize(("bad", "message"), [(np.nan, "1 NaN or infinite"), (np.inf, "1 NaN or infinite")])
def test_values_that_are_not_finite_are_counted(bad, message):
    array = noise().astype(np.float32)
    array[0, 0, 0] = bad
    with pytest.raises(IntensityError, match=message):
        Study({"T1": array}, GRID)


def test_an_image_of_one_value_is_empty():
    with pytest.raises(IntensityError, match="every voxel is 0"):
        Study({"T1": np.zeros((7, 6, 5))}, GRID)


def test_labels_must_fit_their_grid_and_be_uint8():
    with pytest.raises(GridMismatchError):
        Segmentation(np.zeros((1, 2, 3), np.uint8), GRID)
    with pytest.raises(DimensionError, match="uint8"):
        Segmentation(np.zeros((7, 6, 5)), GRID)


def test_every_error_is_ours_and_a_builtin():
    import napari_brain_tumor.errors as errors

    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, BaseException)]
    assert len(kinds) > 30
    for kind in kinds:
        assert issubclass(kind, BrainTumorError)
        if kind is not BrainTumorError:
            assert issubclass(kind, (ValueError, RuntimeError, OSError, KeyError, MemoryError))
            assert str(kind("what to do")) == "what to do"
