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


@pytest.fixture(scope="module")
def shared_viewers(request, qapp):
    """The viewers of a module's tests; that nothing keeps them alive is seen once, at the end of the module."""
    from shared_viewers import share_viewers

    yield from share_viewers(lambda: request.session.testsfailed)


@pytest.fixture
def make_napari_viewer(shared_viewers, qtbot):
    """In the place of napari's own: an emptied viewer of this module instead of a new one, which costs a second."""
    from napari.settings import get_settings

    def make(**options):
        viewer = shared_viewers.take(**options)
        if options.get("show"):
            qtbot.wait_exposed(viewer.window._qt_window, timeout=5000)
        return viewer

    get_settings().reset()
    yield make
    get_settings().reset()
    shared_viewers.give_back()
