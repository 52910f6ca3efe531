"""What many cases in a row leave behind: `scripts/in_display.sh python benchmarks/open_and_close.py`.

Each round opens a case folder in the dock, segments it, opens the 2x2 layout and closes it, walks through the tabs, and
removes the layers. Told after each: memory of this process, layers still alive, threads, child processes, open files,
widgets.
"""

import argparse
import ctypes
import gc
import os
import tempfile
import threading
import time
import weakref
from collections import Counter
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

import nibabel as nib
import numpy as np

ROLES = ("T1", "T1c", "T2", "FLAIR")
PATIENCE_SECONDS = 180.0


def write_case(folder: Path, shape: tuple[int, int, int], seed: int) -> Path:
    """A folder with four scans of a ball within a ball; voxels of 2 x 2 x 2.5 mm."""
    rng = np.random.default_rng(seed)
    axes = np.ogrid[tuple(slice(-1, 1, n * 1j) for n in shape)]
    away = sum(axis**2 for axis in axes)
    head, tumour = away < 0.6, sum((axis - 0.2) ** 2 for axis in axes) < 0.05
    place = folder / f"case_{seed:03d}"
    place.mkdir()
    for at, role in enumerate(ROLES):
        scan = head * (100 + 60 * (at % 2 + 1) * tumour + rng.normal(0, 5, shape))
        nib.save(
            nib.Nifti1Image(scan.astype(np.float32), np.diag([2.0, 2.0, 2.5, 1.0])),
            place / f"{place.name}_{role.lower()}.nii.gz",
        )
    return place


class Story:
    """A window with the dock, and the story of one case in it.

    Parameters
    ----------
    layout, tabs : bool
        Whether the 2x2 layout is opened, and the tabs walked through.
    """

    def __init__(self, *, layout: bool, tabs: bool) -> None:
        import napari

        from napari_brain_tumor.widgets.dock.auto_open import open_dock

        self._layout, self._tabs = layout, tabs
        self.viewer = napari.Viewer(show=True)
        self.viewer.window.resize(1366, 768)
        self.dock = open_dock(self.viewer).dock
        self.dock.guard.question = lambda *_: "close"
        self.dock.unsaved._timer.setInterval(50)

    def wait(self, what: str, done: Callable[[], Any]) -> None:
        """Let the window work until something has happened."""
        from qtpy.QtWidgets import QApplication

        end = time.monotonic() + PATIENCE_SECONDS
        while not done():
            if time.monotonic() > end:
                raise TimeoutError(f"waited in vain for: {what}")
            QApplication.processEvents()
            time.sleep(0.01)

    def choose_model(self, name: str) -> None:
        """Segment with this model or method."""
        box = self.dock.segment.model_box
        box.setCurrentIndex(next(at for at in range(box.count()) if getattr(box.itemData(at), "name", "") == name))
        box.activated.emit(box.currentIndex())

    def settle(self, seconds: float = 0.3) -> None:
        """Let timers and drawing go on, and Qt delete what is to be deleted."""
        from qtpy.QtCore import QCoreApplication, QEvent

        end = time.monotonic() + seconds
        self.wait("time", lambda: time.monotonic() > end)
        QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete.value)

    def play(self, folder: Path) -> list[weakref.ref[Any]]:
        """Open, segment, look at, and close a case; weak references to its layers."""
        from napari_brain_tumor.widgets.layout import layout_of, toggle_layout

        dock, viewer = self.dock, self.viewer
        dock.opening.open(folder)
        self.wait("the scans", lambda: len(viewer.layers) >= 4)
        self.wait("Run", dock.segment.run_button.isEnabled)
        dock.segment.run_button.click()
        self.wait("the labels", lambda: len(viewer.layers) >= 5 and not dock.segment.runs.running)
        if self._layout:
            toggle_layout(viewer)
            panes = layout_of(viewer)
            assert panes is not None
            self.wait("the surfaces", lambda: panes.surfaces.model.layers)
            self.settle()
            toggle_layout(viewer)
        if self._tabs:
            for tab in ("correct", "measure", "data", "segment"):
                dock.open_tab(tab)
                self.settle()
        references = [weakref.ref(layer) for layer in viewer.layers]
        viewer.layers.clear()
        self.settle(0.6)
        return references


def memory_mb() -> float:
    """Resident memory of this process, after what the C library keeps for itself was given back."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def kinds_of_widgets() -> Counter[str]:
    """How many widgets of each class there are, with the class of the one that each is in."""
    from qtpy.QtWidgets import QApplication

    widgets = QApplication.allWidgets()
    return Counter(f"{type(widget).__name__} in {type(widget.parentWidget()).__name__}" for widget in widgets)


def children() -> int:
    """Child processes of this one."""
    pid = os.getpid()
    return len(Path(f"/proc/{pid}/task/{pid}/children").read_text().split())


def counts(references: list[weakref.ref[Any]]) -> dict[str, float]:
    """What is there now."""
    from napari.qt import QtViewer
    from qtpy.QtWidgets import QApplication

    return {
        "MB": round(memory_mb(), 1),
        "layers": sum(reference() is not None for reference in references),
        "views": len(QtViewer._instances),
        "widgets": len(QApplication.allWidgets()),
        "threads": threading.active_count(),
        "system threads": len(os.listdir("/proc/self/task")),
        "processes": children(),
        "files": len(os.listdir("/proc/self/fd")),
        "objects": len(gc.get_objects()),
    }


def main() -> None:
    """Play the story again and again, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--shape", type=int, nargs=3, default=(96, 96, 64))
    parser.add_argument("--cases", type=int, default=3, help="folders that are opened in turn; 0 opens the sample")
    parser.add_argument("--model", default="threshold")
    parser.add_argument("--no-layout", dest="layout", action="store_false")
    parser.add_argument("--no-tabs", dest="tabs", action="store_false")
    parser.add_argument("--trace", action="store_true", help="what of Python's memory grew most after the third round")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as text:
        folder = Path(text)
        os.environ["BRAIN_TUMOR_HOME"], os.environ["NAPARI_CONFIG"] = str(folder / "home"), str(folder / "napari.yaml")
        run(folder, options)


def run(folder: Path, options: argparse.Namespace) -> None:
    """Play all rounds."""
    from napari_brain_tumor.sample import sample_case_folder

    places = [write_case(folder, tuple(options.shape), seed) for seed in range(options.cases)] or [sample_case_folder()]
    story = Story(layout=options.layout, tabs=options.tabs)
    story.choose_model(options.model)
    references: list[weakref.ref[Any]] = []
    rows: list[dict[str, float]] = []
    early: Counter[str] = Counter()
    snapshot = None
    for at in range(options.rounds):
        began = time.monotonic()
        references += story.play(places[at % len(places)])
        rows.append(counts(references))
        print(at + 1, f"{time.monotonic() - began:.1f} s", rows[-1], flush=True)
        if at == 2:
            early = kinds_of_widgets()
        if options.trace and at == 2:
            import tracemalloc

            tracemalloc.start(12)
            snapshot = tracemalloc.take_snapshot()
    if snapshot is not None:
        import tracemalloc

        for line in tracemalloc.take_snapshot().compare_to(snapshot, "traceback")[:12]:
            print(line, *line.traceback.format()[-8:], sep="\n")
    if len(rows) > 3:
        print("widgets that were not there after the third round:", dict(kinds_of_widgets() - early))
    growth = [later["MB"] - earlier["MB"] for earlier, later in pairwise(rows[3:])]
    print(f"first {rows[0]}\nlast  {rows[-1]}")
    print(f"after the third: median {median(growth):.2f} MB a round, {rows[-1]['MB'] - rows[2]['MB']:.1f} MB in all")
    story.viewer.layers.clear()
    story.viewer.close()
    story.settle()


if __name__ == "__main__":
    main()
