"""Numbers that are told of every lesion, on bodies of which they are known."""

import csv
import io

import numpy as np
import pytest

from napari_brain_tumor import measure_study
from napari_brain_tumor.geometry import Grid
from napari_brain_tumor.measure.lesion_numbers import LESION_NUMBERS, numbers_of
from napari_brain_tumor.measure.tables import examinations_csv
from napari_brain_tumor.study import Segmentation
from phantoms import affine, ball, tilt

SHAPE = (40, 42, 30)


@pytest.mark.parametrize(("directions", "spacing"), [(np.eye(3), (1, 1, 1)), (tilt(20), (0.7, 0.7, 0.7))])
def test_the_longest_line_of_a_ball_is_its_diameter_however_the_scan_lies(directions, spacing):
    found = numbers_of(ball(SHAPE, (20, 20, 15), 10), Grid(SHAPE, affine(directions, spacing)))
    assert found["longest_3d_mm"] == pytest.approx(20 * spacing[0], abs=spacing[0])


def test_a_rod_through_a_tilted_thick_scan_is_as_long_as_it_is():
    grid = Grid(SHAPE, affine(tilt(30), (0.5, 0.5, 4.0)))
    rod = np.zeros(SHAPE, bool)
    rod[5, 5, 2:12] = True
    assert numbers_of(rod, grid)["longest_3d_mm"] == pytest.approx(9 * 4.0, abs=1e-2)
    one = np.zeros(SHAPE, bool)
    one[3, 3, 3] = True
    assert numbers_of(one, grid)["longest_3d_mm"] == 0


@pytest.mark.parametrize(
    ("radius", "shape", "spacing"),
    [(8, (32, 32, 32), (1, 1, 1)), (14, (32, 32, 32), (1, 1, 1)), (12, (40, 40, 14), (1, 1, 3))],
)
def test_the_surface_of_a_ball_is_four_pi_r_squared_within_three_percent(radius, shape, spacing):
    at = (np.moveaxis(np.indices(shape), 0, -1) - np.array([20, 20, 7] if spacing[2] == 3 else [15, 15, 15])) * spacing
    inside = (at**2).sum(axis=-1) <= radius**2
    found = numbers_of(inside, Grid(shape, affine(tilt(15), spacing)))
    area = 4 * np.pi * radius**2
    assert found["surface_mm2"] == pytest.approx(area, rel=0.03)
    hollow = inside & ((at**2).sum(axis=-1) > (radius / 2) ** 2)
    assert numbers_of(hollow, Grid(shape, affine(tilt(15), spacing)))["surface_mm2"] == found["surface_mm2"]


def test_every_number_is_in_the_table_and_none_is_told_without_a_voxel_size():
    labels = (ball(SHAPE, (20, 20, 15), 9) * 3).astype(np.uint8)
    known = measure_study(Segmentation(labels, Grid(SHAPE, affine()), "case"))
    (row,) = (row for row in csv.DictReader(io.StringIO(examinations_csv([known]))) if row["name"] == "ET 1")
    assert {name: float(row[name]) for name in LESION_NUMBERS} == dict(known.of_region("ET")[0].numbers)
    unknown = measure_study(Segmentation(labels, Grid(SHAPE, affine(), "voxel"), "case"))
    assert unknown.of_region("ET")[0].numbers == {}
