import itertools

import numpy as np
import pytest

from napari_brain_tumor.metrics.surfels import neighbour_codes, surfel_areas

CORNERS = list(itertools.product((0, 1), repeat=3))
CORNER = np.sqrt(3) / 8
SPACING = (3.0, 1.0, 0.7)


def code_of(*inside: tuple[int, int, int]) -> int:
    block = np.zeros((2, 2, 2), bool)
    block[tuple(np.transpose(inside))] = True
    return int(neighbour_codes(block)[0, 0, 0])


def moved(code: int, axes: tuple[int, ...], flips: tuple[int, ...]) -> int:
    block = np.zeros((2, 2, 2), bool)
    for bit, corner in enumerate(CORNERS):
        block[corner] = code >> bit & 1
    flipped = np.flip(block.transpose(axes), [axis for axis in range(3) if flips[axis]])
    return int(neighbour_codes(np.ascontiguousarray(flipped))[0, 0, 0])


@pytest.mark.parametrize(
    ("inside", "area"),
    [
        ([(0, 0, 0)], CORNER),
        ([(0, 0, 0), (0, 0, 1)], np.sqrt(0.5)),
        ([(0, 0, 0), (0, 1, 1)], 2 * CORNER),
        ([(0, 0, 0), (1, 1, 1)], 2 * CORNER),
        ([(0, 0, 0), (0, 0, 1), (0, 1, 0)], 0.5 + 3 * CORNER),
        ([(0, 0, 0), (0, 0, 1), (0, 1, 0), (0, 1, 1)], 1.0),
        ([(0, 0, 0), (0, 0, 1), (0, 1, 0), (1, 0, 0)], 6 * CORNER),
        ([(0, 0, 0), (0, 0, 1), (1, 1, 0), (1, 1, 1)], 2 * np.sqrt(0.5)),
        ([(0, 0, 0), (0, 1, 1), (1, 0, 1), (1, 1, 0)], 4 * CORNER),
        ([(0, 0, 0), (0, 0, 1), (0, 1, 1), (1, 1, 1)], 4 * CORNER + np.sqrt(0.5)),
    ],
)
def test_area_in_a_cube_of_side_one(inside: list[tuple[int, int, int]], area: float) -> None:
    assert surfel_areas((1, 1, 1))[code_of(*inside)] == pytest.approx(area, abs=1e-12)


def test_full_and_empty_blocks_have_no_surface() -> None:
    areas = surfel_areas(SPACING)
    assert areas[0] == 0
    assert areas[255] == 0
    assert (areas[1:255] > 0).all()


def test_inside_and_outside_share_their_surface() -> None:
    areas = surfel_areas(SPACING)
    np.testing.assert_allclose(areas, areas[::-1], rtol=1e-12)


@pytest.mark.parametrize("axes", list(itertools.permutations(range(3))))
def test_areas_do_not_depend_on_the_order_and_direction_of_axes(axes: tuple[int, ...]) -> None:
    areas, turned = surfel_areas(SPACING), surfel_areas(tuple(SPACING[axis] for axis in axes))
    for flips in itertools.product((0, 1), repeat=3):
        codes = [moved(code, axes, flips) for code in range(256)]
        np.testing.assert_allclose(turned[codes], areas, rtol=1e-12)


def test_surface_of_a_flat_box_is_that_of_its_faces() -> None:
    mask = np.zeros((34, 34, 34), bool)
    mask[2:32, 2:32, 2:32] = True
    area = surfel_areas((2.0, 1.0, 1.0))[neighbour_codes(mask)].sum()
    # Edges and corners are cut, so a little less than the box of 60 x 30 x 30 mm.
    assert area == pytest.approx(2 * (30 * 30 + 2 * 60 * 30), rel=0.03)


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (3.0, 1.0, 1.0), (0.4, 1.7, 2.9)])
def test_areas_equal_the_published_table(spacing: tuple[float, float, float]) -> None:
    utils = pytest.importorskip("monai.metrics.utils")
    published, _ = utils.get_code_to_measure_table(spacing, device=None)
    np.testing.assert_allclose(surfel_areas(spacing), published.numpy(), rtol=1e-5, atol=1e-6)
