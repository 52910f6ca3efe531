import numpy as np
import pytest

from napari_brain_tumor.compare.kappa import fleiss_kappa
from napari_brain_tumor.errors import ComparisonError

# Ten subjects, fourteen raters, five categories: the worked example by which the statistic is taught.
EXAMPLE = [
    [0, 0, 0, 0, 14],
    [0, 2, 6, 4, 2],
    [0, 0, 3, 5, 6],
    [0, 3, 9, 2, 0],
    [2, 2, 8, 1, 1],
    [7, 7, 0, 0, 0],
    [3, 2, 6, 3, 0],
    [2, 5, 3, 2, 2],
    [6, 5, 2, 1, 0],
    [0, 2, 2, 3, 7],
]


def test_the_worked_example_gives_its_published_kappa() -> None:
    assert fleiss_kappa(EXAMPLE) == pytest.approx(0.210, abs=5e-4)


def test_full_agreement_is_one_and_none_where_chance_explains_all() -> None:
    assert fleiss_kappa([[3, 0], [0, 3], [0, 3]]) == pytest.approx(1)
    assert fleiss_kappa([[3, 0], [3, 0]]) is None


def test_raters_who_draw_lots_agree_as_chance_does() -> None:
    votes = np.random.default_rng(0).binomial(4, 0.3, 200_000)
    assert fleiss_kappa(np.stack([votes, 4 - votes], axis=1)) == pytest.approx(0, abs=0.005)


def test_always_disagreeing_is_below_chance() -> None:
    assert fleiss_kappa([[1, 1], [1, 1]]) == pytest.approx(-1)


def test_rows_that_occur_several_times_count_so_often() -> None:
    rows, times = [[3, 0], [2, 1], [0, 3]], [5, 2, 9]
    assert fleiss_kappa(rows, times) == pytest.approx(fleiss_kappa(np.repeat(rows, times, axis=0)))


@pytest.mark.parametrize("votes", [[[1, 0], [0, 1]], [[2, 0], [2, 1]], np.zeros((0, 2))])
def test_one_rater_or_unequal_numbers_are_refused(votes: object) -> None:
    with pytest.raises(ComparisonError, match="two or more"):
        fleiss_kappa(votes)
