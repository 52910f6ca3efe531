"""Tasks for the worker process live in tests/inference; the child finds what this process finds."""

import gc
import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[1] / "inference"))


@pytest.fixture(scope="session")
def worker():
    from napari_brain_tumor.inference.worker_process import WorkerProcess

    with WorkerProcess() as worker:
        worker.start()
        yield worker


@pytest.fixture(scope="module", autouse=True)
def _nothing_of_a_closed_window_is_left_to_threads():
    """Let go of closed panels in Qt's own thread: a collection in a job's thread would end their widgets there."""
    yield
    gc.collect()
