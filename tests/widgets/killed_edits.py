"""Labels that are edited by a process that is killed; run as a program by the tests, not a test itself.

python killed_edits.py HOME COUNT SEED [kill]   edit a layer COUNT times; print a line after each; with `kill` die then
"""

import os
import signal
import sys
from pathlib import Path

import numpy as np
from napari.components import ViewerModel
from panel_cases import SHAPE, make_study

from napari_brain_tumor.autosave.sessions import Session
from napari_brain_tumor.plugin import to_layers, viewers
from napari_brain_tumor.study import Segmentation
from napari_brain_tumor.widgets.label_journal import LabelJournal


def result(seed):
    """A segmentation of the study, another for each seed."""
    rng = np.random.default_rng(seed)
    data = np.zeros(SHAPE, np.uint8)
    corner = rng.integers(1, 6, 3)
    data[tuple(slice(a, a + 6) for a in corner)] = rng.integers(1, 4)
    return to_layers.segmentation_to_layer(Segmentation(data, make_study().grid, "case"), name="truth")


def edit(layer, apply, seed):
    """One random thing that a user may do to a labels layer."""
    rng = np.random.default_rng(seed)
    point, value = rng.integers(0, layer.data.shape), int(rng.integers(0, 4))
    layer.brush_size = int(rng.integers(1, 8))
    layer.n_edit_dimensions = int(rng.integers(2, 4))
    deed = rng.choice(["stroke", "drag", "undo", "redo", "fill", "apply", "voxels", "replace"], p=_ODDS)
    if deed == "stroke":
        layer.paint(point, value)
    elif deed == "drag":
        with layer.block_history():
            for _ in range(5):
                point = np.clip(point + rng.integers(-2, 3, 3), 0, np.array(layer.data.shape) - 1)
                layer.paint(point, value)
    elif deed == "undo":
        layer.undo()
    elif deed == "redo":
        layer.redo()
    elif deed == "fill":
        layer.fill(point, value)
    elif deed == "apply":
        apply(layer, result(seed), keep_edits=bool(rng.integers(2)))
    elif deed == "voxels":
        layer.data_setitem(tuple(rng.integers(0, n, 9) for n in layer.data.shape), value)
    else:
        layer.data = np.where(layer.data == value, 0, layer.data)


_ODDS = [0.25, 0.2, 0.2, 0.1, 0.08, 0.07, 0.08, 0.02]


def start(home):
    """The layer and its journal, over a study."""
    viewer = ViewerModel()
    journal = LabelJournal(viewer, Session(home))
    viewers.add_layers(viewer, [*to_layers.study_to_layers(make_study()), result(0)])
    return viewer.layers[-1], journal


def states(home, count, seed):
    """The labels and the automatic labels, at first and after each edit."""
    layer, journal = start(home)
    yield layer, journal.watch_of(layer).mirror
    for number in range(count):
        edit(layer, journal.apply_result, 1000 * seed + number)
        yield layer, journal.watch_of(layer).mirror


if __name__ == "__main__":
    for number, _ in enumerate(states(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))):
        sys.stdout.write(f"{number}\n")
        sys.stdout.flush()
    if sys.argv[4:] == ["kill"]:
        os.kill(os.getpid(), signal.SIGKILL)
