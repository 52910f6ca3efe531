"""Planes, letters, and where to look next; no Qt, no napari."""

import numpy as np
import pytest

from napari_brain_tumor.widgets.navigation import (
    PLANES,
    Camera,
    Camera3D,
    Letters,
    Ring,
    WorldBox,
    centre_of_largest_part,
    lines_in_3d,
    lines_in_plane,
    nearest_steps,
    next_of,
    next_slice,
    place_text,
    ring_in_plane,
)

AXIAL, CORONAL, SAGITTAL = PLANES


@pytest.mark.parametrize(
    ("plane", "convention", "letters"),
    [
        (AXIAL, "radiological", Letters("R", "L", "A", "P")),
        (AXIAL, "neurological", Letters("L", "R", "A", "P")),
        (CORONAL, "radiological", Letters("R", "L", "S", "I")),
        (CORONAL, "neurological", Letters("L", "R", "S", "I")),
        (SAGITTAL, "radiological", Letters("A", "P", "S", "I")),
        (SAGITTAL, "neurological", Letters("A", "P", "S", "I")),
    ],
)
def test_letters_say_where_ras_coordinates_grow(plane, convention, letters):
    assert plane.letters(plane.orientation(convention)) == letters


@pytest.mark.parametrize("plane", PLANES)
@pytest.mark.parametrize("convention", ["radiological", "neurological"])
def test_letters_agree_with_the_turn_of_the_camera(plane, convention):
    camera = Camera((0.0, 0.0), 2.0, plane.orientation(convention), (100, 200))
    towards = {2: "R", 1: "A", 0: "S"}
    row, column = plane.picture_axes
    letters = plane.letters(plane.orientation(convention))
    x, _ = camera.pixel(0.0, 10.0)
    assert (letters.right if x > 100 else letters.left) == towards[column]
    _, y = camera.pixel(10.0, 0.0)
    assert (letters.bottom if y > 50 else letters.top) == towards[row]


def test_order_of_axes_cuts_the_plane_and_leaves_time_in_front():
    assert [plane.order(3) for plane in PLANES] == [(0, 1, 2), (1, 0, 2), (2, 0, 1)]
    assert CORONAL.order(4) == (0, 2, 1, 3)


def test_camera_knows_what_it_sees():
    camera = Camera((10.0, 20.0), 4.0, ("up", "left"), (80, 120))
    assert camera.pixel(10.0, 20.0) == (60.0, 40.0)
    assert camera.pixel(12.0, 23.0) == (48.0, 32.0)
    assert camera.sees(19.0, 20.0)
    assert not camera.sees(21.0, 20.0)


@pytest.mark.parametrize(
    ("shown", "step", "then"),
    [
        ([True, False, False], 1, 1),
        ([False, False, True], 1, 0),
        ([True, False, False], -1, 2),
        ([True, True, False], 1, 2),
        ([False, False], 1, 0),
        ([False, False], -1, 1),
        ([], 1, None),
    ],
)
def test_next_scan_follows_what_is_shown_and_goes_around(shown, step, then):
    assert next_of(shown, step) == then


def test_next_slice_with_labels_in_each_direction_and_plane():
    labels = np.zeros((9, 8, 7), np.uint8)
    labels[2, 3, 4] = labels[6, 3, 5] = 1
    assert next_slice(labels, 0, 0, 1) == 2
    assert next_slice(labels, 0, 2, 1) == 6
    assert next_slice(labels, 0, 6, 1) == 2
    assert next_slice(labels, 0, 2, -1) == 6
    assert next_slice(labels, 2, 4, 1) == 5
    assert next_slice(np.zeros((3, 3, 3)), 0, 1, 1) is None


def test_centre_of_the_largest_part_is_a_voxel_of_it():
    labels = np.zeros((20, 20, 20), np.uint8)
    labels[1:3, 1:3, 1:3] = 2
    labels[10:19, 10, 5] = 1
    labels[10, 10:19, 5] = 1
    at = centre_of_largest_part(labels, (1.0, 1.0, 1.0))
    assert labels[at] == 1
    assert at in {(10, 12, 5), (12, 10, 5), (10, 11, 5), (11, 10, 5), (10, 13, 5), (13, 10, 5)}
    assert centre_of_largest_part(np.zeros((3, 3, 3), np.uint8), (1, 1, 1)) is None


def test_place_is_told_with_the_patients_sides():
    assert place_text((40.0, -3.5, 12.04), anatomical=True, unit="mm") == "R 12.0  P 3.5  S 40.0 mm"
    assert place_text((1.0, 2.0, 3.0), anatomical=False, unit="") == "1.0  2.0  3.0"


def test_letters_follow_a_canvas_that_is_turned_upside_down():
    assert AXIAL.letters(("down", "right")) == Letters("L", "R", "P", "A")


def test_crosshair_runs_from_side_to_side_and_leaves_its_middle_free():
    camera = Camera((10.0, 20.0), 4.0, ("up", "left"), (80, 120))
    left, right, upper, lower = lines_in_plane(camera, 12.0, 23.0)
    assert left == ((0.0, 32.0), (41.0, 32.0))
    assert right == ((55.0, 32.0), (120, 32.0))
    assert upper == ((48.0, 0.0), (48.0, 25.0))
    assert lower == ((48.0, 39.0), (48.0, 80))


def test_brain_fills_a_canvas_in_the_direction_in_which_it_is_tighter():
    box = WorldBox((0.0, -10.0, 5.0), (40.0, 30.0, 105.0))
    assert box.centre == (20.0, 10.0, 55.0)
    assert box.size == (40.0, 40.0, 100.0)
    assert box.zoom((1, 2), (200, 400)) == pytest.approx(0.94 * 4)
    assert box.zoom((0, 1), (100, 400)) == pytest.approx(0.94 * 2.5)


def test_crosshair_in_3d_runs_along_each_axis_through_the_box():
    # Seen from the front: the patient's right (x) is on the left, the head (z) is up.
    camera = Camera3D((0.0, 0.0, 0.0), 2.0, (0.0, 0.0, -1.0), (1.0, 0.0, 0.0), (100, 200))
    assert camera.pixel((0.0, 5.0, 0.0)) == (100.0, 50.0)
    assert camera.pixel((10.0, 0.0, 0.0)) == (100.0, 30.0)
    assert camera.pixel((0.0, 0.0, 10.0)) == (80.0, 50.0)
    along_z, _, along_x = lines_in_3d(camera, (0.0, 0.0, 5.0), WorldBox((-10.0, -10.0, -10.0), (20.0, 10.0, 10.0)))
    assert along_z == ((90.0, 70.0), (90.0, 10.0))
    assert along_x == ((120.0, 50.0), (80.0, 50.0))


def test_crosshair_stands_where_the_sliders_can():
    ranges = ((-5.0, 5.0, 2.0), (0.0, 9.0, 1.0))
    assert nearest_steps((0.3, 4.6), ranges) == (1.0, 5.0)
    assert nearest_steps((-9.0, 99.0), ranges) == (-5.0, 9.0)


def test_a_ring_is_a_circle_where_the_slice_cuts_its_ball_and_nothing_elsewhere():
    camera = Camera((12.0, 23.0), 4.0, ("up", "left"), (200, 300))
    ring = Ring((10.0, 12.0, 23.0), 5.0)
    assert ring_in_plane(ring, camera, (0, 1, 2), 10.0) == (150.0, 100.0, 20.0)
    assert ring_in_plane(ring, camera, (0, 1, 2), 13.0) == (150.0, 100.0, 16.0)
    assert ring_in_plane(ring, camera, (0, 1, 2), 15.5) is None
    x, y, _ = ring_in_plane(ring, camera, (1, 0, 2), 12.0)
    assert (x, y) == (150.0, 100 + 2 * 4.0)  # rows are Z here, and grow upwards
    assert ring_in_plane(Ring((10.0, 12.0, 23.0), 0.5), camera, (0, 1, 2), 10.0)[2] == 9.0  # still to be seen
