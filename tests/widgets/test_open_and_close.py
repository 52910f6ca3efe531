"""Cases are opened and closed one after the other: nothing of the earlier ones is kept."""

import gc
import os
import threading
import weakref
from pathlib import Path

import pytest
from napari.qt import QtViewer
from panel_cases import make_study
from test_dock import docked, keep_brain, segment  # noqa: F401 (docked is a fixture)

from napari_brain_tumor.plugin import layers
from napari_brain_tumor.widgets.layout import layout_of, toggle_layout
from napari_brain_tumor.widgets.worker import JobRunner

pytest.importorskip("qtpy.QtWidgets", reason="needs a Qt binding")

from qtpy import API_NAME
from qtpy.QtCore import QEvent
from qtpy.QtWidgets import QApplication

pytestmark = pytest.mark.gui

PATIENCE_MS = 20_000
CASES = 3


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
    layers.add_layers(viewer, layers.study_to_layers(make_study(name)))
    segment(qtbot, dock)
    toggle_layout(viewer)
    panes = layout_of(viewer)
    qtbot.waitUntil(lambda: len(panes.slices[0].model.layers) == 5, timeout=PATIENCE_MS)
    toggle_layout(viewer)
    correct, measure = dock.panel("correct"), dock.page("measure").panel
    qtbot.waitUntil(lambda: correct.queue is not None, timeout=PATIENCE_MS)
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


@pytest.mark.skipif(
    API_NAME == "PySide6",
    reason="passes alone; after test_layout, napari's own canvas was not told of removed layers there: cause unknown",
)
def test_of_cases_that_were_closed_no_layer_thread_view_or_file_is_left(docked, qtbot):  # noqa: F811
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
    assert states[-1] == states[1]
