"""Tasks for the worker process live in tests/inference; the child finds what this process finds."""

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
