import sys
from pathlib import Path

import numpy as np
import pytest

from napari_brain_tumor.inference.memory import freed_memory_kept

PIECE = 2 * 2**20


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have other allocators")
def test_freed_memory_is_kept_for_what_comes_next_and_given_back_at_the_end():
    with freed_memory_kept():
        pieces = [np.ones(PIECE, np.uint8) for _ in range(40)]
        full = resident_bytes()
        pieces.clear()
        assert full - resident_bytes() < 20 * PIECE
    assert full - resident_bytes() > 35 * PIECE


def test_an_error_leaves_memory_as_it_is_without_it():
    with pytest.raises(RuntimeError, match="stopped"), freed_memory_kept():
        raise RuntimeError("stopped")
