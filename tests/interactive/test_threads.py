"""Work that prompts share out among threads."""

import multiprocessing
import sys

import numpy as np
import pytest

from napari_brain_tumor.interactive.threads import in_threads, shared_out


@pytest.mark.parametrize("length", [0, 1, 2, 3, 7, 48, 1001])
def test_the_parts_are_the_whole_in_order(length: int) -> None:
    parts = [np.arange(length)[part] for part in shared_out(length)]
    np.testing.assert_array_equal(np.concatenate(parts), np.arange(length))
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


def squares() -> list[int]:
    return in_threads(lambda n: n**2, range(6))


@pytest.mark.skipif(sys.platform == "win32", reason="Windows does not fork")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_forked_process_has_threads_of_its_own() -> None:
    assert squares() == [0, 1, 4, 9, 16, 25]
    with multiprocessing.get_context("fork").Pool(1) as pool:
        assert pool.apply_async(squares).get(timeout=30) == [0, 1, 4, 9, 16, 25]
