import numpy as np
import pytest

from napari_brain_tumor.geometry import Grid
from napari_brain_tumor.measure.volumes import measure_volumes
from napari_brain_tumor.study import Segmentation


def segmentation_with(counts: dict[int, int], affine: np.ndarray, **fields: object) -> Segmentation:
    """A segmentation of 20x10x5 voxels with that many voxels of each class."""
    flat = np.zeros(1000, np.uint8)
    flat[: sum(counts.values())] = np.repeat(list(counts), list(counts.values()))
    grid = Grid((20, 10, 5), affine, **{k: fields.pop(k) for k in ("unit",) if k in fields})
    return Segmentation(flat.reshape(20, 10, 5), grid, **fields)


def test_volumes_are_voxels_times_the_voxel_volume_per_class_and_region() -> None:
    table = measure_volumes(segmentation_with({1: 100, 2: 30, 3: 7}, np.diag([-1.0, 2.0, 5.0, 1.0])))
    assert table.unit == "mL"
    assert {row.key: row.voxels for row in table.rows} == {1: 100, 2: 30, 3: 7, "WT": 137, "TC": 37, "ET": 7}
    assert table["WT"].ml == pytest.approx(1.37)
    assert table["WT"].size == "1.37 mL"
    assert table["ET"].ml == pytest.approx(0.07)


def test_volumes_of_an_oblique_grid_use_the_determinant() -> None:
    turn = np.radians(20)
    affine = np.eye(4)
    affine[:2, :2] = [[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]
    affine[:3, :3] *= 2.0
    assert measure_volumes(segmentation_with({3: 125}, affine))["ET"].ml == pytest.approx(1.0)


def test_volumes_stay_in_voxels_where_the_voxel_size_is_unknown() -> None:
    table = measure_volumes(segmentation_with({1: 12}, np.eye(4), unit="voxel"))
    assert table.unit == "voxels"
    assert all(row.ml is None for row in table.rows)
    assert table["WT"].size == "12 voxels"


def test_a_whole_tumour_mask_gives_one_row() -> None:
    mask = segmentation_with({1: 12}, np.eye(4), known_regions=("WT",), class_names={1: "whole tumour"})
    assert [(row.key, row.voxels) for row in measure_volumes(mask).rows] == [("WT", 12)]


def test_a_resection_cavity_is_no_part_of_the_tumour() -> None:
    names = {1: "edema", 2: "non-enhancing", 3: "enhancing", 4: "resection cavity"}
    table = measure_volumes(segmentation_with({1: 5, 4: 9}, np.eye(4), class_names=names))
    assert table[4].voxels == 9
    assert table["WT"].voxels == 5


def test_an_empty_segmentation_has_rows_of_zero() -> None:
    table = measure_volumes(segmentation_with({}, np.eye(4)))
    assert len(table.rows) == 6
    assert {row.ml for row in table.rows} == {0.0}


def test_counts_do_not_depend_on_the_memory_order() -> None:
    data = np.random.default_rng(0).integers(0, 4, (20, 10, 5)).astype(np.uint8)
    grid = Grid(data.shape, np.eye(4))
    plain = measure_volumes(Segmentation(data, grid))
    assert measure_volumes(Segmentation(np.asfortranarray(data), grid)) == plain
    assert plain[2].voxels == int((data == 2).sum())


def test_a_row_that_is_not_there_is_a_key_error_that_names_what_is() -> None:
    with pytest.raises(KeyError, match="WT"):
        measure_volumes(segmentation_with({}, np.eye(4)))[9]
