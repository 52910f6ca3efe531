"""How long the journal of labels holds up the window, on 240x240x155: `python benchmarks/journal_times.py`.

Times are of the thread that paints, in milliseconds; each is the median of several.
"""

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import numpy as np
from napari.components import ViewerModel

from napari_brain_tumor.autosave.layer_journal import recover
from napari_brain_tumor.autosave.sessions import Session
from napari_brain_tumor.geometry import Grid
from napari_brain_tumor.plugin.to_layers import segmentation_to_layer
from napari_brain_tumor.plugin.viewers import add_layers
from napari_brain_tumor.study import Segmentation
from napari_brain_tumor.widgets.label_journal import LabelJournal

GRID = Grid((240, 240, 155), np.eye(4))
REPEATS = 15


def ball(radius: int) -> Segmentation:
    """A tumour of that radius in voxels."""
    x, y, z = np.ogrid[:240, :240, :155]
    return Segmentation(((x - 120) ** 2 + (y - 120) ** 2 + (z - 78) ** 2 < radius**2).astype(np.uint8), GRID, "ball")


def drag(layer, seed: int, dimensions: int) -> None:
    """A stroke of forty places with a brush of twenty voxels."""
    start = np.random.default_rng(seed).integers(30, 60, 3)
    layer.n_edit_dimensions, layer.brush_size = dimensions, 20
    with layer.block_history():
        for step in range(40):
            layer.paint((70, start[1] + 3 * step, start[2] + 2 * step), 1 + seed % 3)


def timed(action: Callable[[int], None]) -> float:
    """Median milliseconds of this thread."""
    spent = []
    for number in range(REPEATS):
        start = time.thread_time()
        action(number)
        spent.append(1000 * (time.thread_time() - start))
    return median(spent)


def table(home: Path, *, journalled: bool) -> dict[str, float]:
    """Milliseconds of each thing that a user does."""
    viewer = ViewerModel()
    (layer,) = add_layers(viewer, [segmentation_to_layer(ball(40))])
    journal = None
    session = Session(home)
    if journalled:
        journal = LabelJournal(viewer, session)
        session.flush()
    found = {
        "stroke in a slice": timed(lambda k: drag(layer, k, 2)),
        "stroke in 3D": timed(lambda k: drag(layer, k, 3)),
        "undo": timed(lambda _: layer.undo()),
        "redo": timed(lambda _: layer.redo()),
        "change of slice": timed(lambda k: viewer.dims.set_point(0, 60 + k)),
    }
    if journal is not None:
        results = [segmentation_to_layer(ball(radius)) for radius in (40, 50)]
        found["result of 270 000 voxels"] = timed(lambda k: journal.apply_result(layer, results[k % 2]) and None)
        found["look without a change"] = timed(lambda _: journal.look())
        session.flush()
        folder = journal.watch_of(layer).mirror.journal.folder
        found["kilobytes on disk"] = sum(path.stat().st_size for path in folder.iterdir()) / 1000
        found["reading back"] = timed(lambda _: recover(folder) and None)
    session.finish()
    return found


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        without = table(Path(folder), journalled=False)
        times = table(Path(folder), journalled=True)
        for name, value in times.items():
            extra = f"   ({value - without[name]:+.2f} by the journal)" if name in without else ""
            print(f"{name:28s} {value:8.2f}{extra}")
