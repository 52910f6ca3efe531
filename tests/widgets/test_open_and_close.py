"""Cases are opened and closed one after the other: nothing of the earlier ones is kept."""

import gc
import os
import subprocess
import sys
import threading
import weakref
from pathlib import Path

import pytest
from napari.qt import QtViewer
from panel_cases import make_study
from test_dock import docked, keep_brain, segment  # noqa: F401 (docked is a fixture)

from napari_brain_tumor.plugin import to_layers, viewers
from napari_brain_tumor.widgets.layout import layout_of, toggle_layout
from napari_brain_tumor.widgets.worker import JobRunner

pytest.importorskip("qtpy.QtWidgets", reason="needs a Qt binding")

from qtpy.QtCore import QEvent
from qtpy.QtWidgets import QApplication

pytestmark = pytest.mark.gui

PATIENCE_MS = 20_000
CASES = 3
ALONE = "BRAIN_TUMOR_TEST_ALONE"
"""Set in the process that runs the story itself."""


def open_files():
    folder = Path("/proc/self/fd")
    return len(os.listdir(folder)) if folder.is_dir() else 0


def counts():
    """What must not grow from case to case."""
    gc.collect()
    return {
        "widgets": len(QApplication.allWidgets()),
        "threads": threading.active_count(),
        "views": len(QtViewer._instances),
        "files": open_files(),
    }


def settled(qtbot):
    qtbot.wait(100)
    QApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)


def play(viewer, dock, name, qtbot):
    """Open a case, segment it, look at it, walk through the tabs, close it; weak references to its layers."""
    viewers.add_layers(viewer, to_layers.study_to_layers(make_study(name)))
    segment(qtbot, dock)
    toggle_layout(viewer)
    panes = layout_of(viewer)
    qtbot.waitUntil(lambda: len(panes.slices[0].model.layers) == 5, timeout=PATIENCE_MS)
    toggle_layout(viewer)
    correct, measure = dock.panel("correct"), dock.page("measure").panel
    qtbot.waitUntil(lambda: correct.session is not None, timeout=PATIENCE_MS)
    dock.open_tab("measure")
    qtbot.waitUntil(lambda: measure.shapes is not None, timeout=PATIENCE_MS)
    dock.open_tab("data")
    dock.open_tab("segment")
    references = [weakref.ref(layer) for layer in viewer.layers]
    viewer.layers.clear()
    dock.unsaved.look()
    settled(qtbot)
    runners = viewer.window._qt_window.findChildren(JobRunner)
    qtbot.waitUntil(lambda: not any(runner.running for runner in runners), timeout=PATIENCE_MS)
    settled(qtbot)
    return references


def holders(layer):
    """What keeps a layer alive, for the message."""
    return [f"{layer.name} by {type(holder).__name__} {str(holder)[:200]}" for holder in gc.get_referrers(layer)]


@pytest.mark.skipif(ALONE not in os.environ, reason="run by the test below, in a process of its own")
def test_closed_cases(docked, qtbot):  # noqa: F811
    viewer, dock = docked()
    keep_brain(dock)
    references, states = [], []
    for at in range(CASES):
        references.append(play(viewer, dock, f"case {at}", qtbot))
        states.append(counts())
    # The last case may be remembered by what waits for the next one.
    earlier = [reference() for of_case in references[:-1] for reference in of_case]
    alive = [layer for layer in earlier if layer is not None]
    assert not alive, "\n".join(holder for layer in alive for holder in holders(layer))
    assert {name: count for name, count in states[-1].items() if count > states[1][name]} == {}


@pytest.mark.slow
@pytest.mark.skipif(ALONE in os.environ, reason="it would run itself")
def test_of_cases_that_were_closed_no_layer_thread_view_or_file_is_left():
    """In a process of its own: after other modules of a session, napari's own canvas is not told of removed layers."""
    words = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", "test_closed_cases", __file__]
    ended = subprocess.run(
        words, env={**os.environ, ALONE: "1"}, capture_output=True, text=True, timeout=900, check=False
    )
    assert ended.returncode == 0, ended.stdout[-4000:]
    assert "1 passed" in ended.stdout
