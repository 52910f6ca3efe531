"""Run a correction's refiner in another thread, one entry after another."""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from napari_brain_tumor.autosave.changes import digest_of
from napari_brain_tumor.errors import PromptError
from napari_brain_tumor.geometry import Box
from napari_brain_tumor.interactive import Change, Propagate, Refiner
from napari_brain_tumor.interactive.propagation import propagate_slices
from napari_brain_tumor.labels import REGIONS
from napari_brain_tumor.plugin.display import Display
from napari_brain_tumor.plugin.voxel_map import VoxelMap
from napari_brain_tumor.postprocessing.region_probabilities import RegionProbabilities
from napari_brain_tumor.progress import Job, Progress
from napari_brain_tumor.study import Segmentation, Study
from napari_brain_tumor.widgets.correct_entries import Drawn, Entry, LabelState, Plane, Voxels, is_of_region


class EntryComputer:
    """Applies, undoes and redoes entries; uses a refiner and touches no layer.

    Parameters
    ----------
    start : Segmentation or None
        A copy of the labels that the correction started from; None if it started from nothing.
    probabilities : RegionProbabilities or None
        From the network that made the labels.
    refiner : Refiner
        Made from the study, `start` and `probabilities`.
    """

    def __init__(
        self, study: Study, start: Segmentation | None, probabilities: RegionProbabilities | None, refiner: Refiner
    ) -> None:
        self.study, self.start, self.probabilities, self.refiner = study, start, probabilities, refiner
        self.place = VoxelMap(Display.of(study.grid))
        """Maps voxels of the scan to voxels of the layer."""

    def state(self) -> LabelState:
        """Describe the current state of the labels."""
        is_told = self.place.one_to_one
        digest = digest_of(self.place.display.show(self.refiner.labels)).hex() if is_told else ""
        return LabelState(digest, self.refiner.known_regions)

    def carry_out(self, entry: Entry, labels: npt.NDArray[Any] | None = None) -> tuple[Voxels, LabelState]:
        """Apply a step, after adopting the contents of the layer's array; return what it changes in the layer."""
        if labels is not None:
            self.refiner.adopt(self.place.display.restore(labels).astype(np.uint8))
        assert entry.step is not None
        began = time.perf_counter()
        entry.change = self.refiner.apply(entry.step)
        entry.seconds = time.perf_counter() - began
        entry.dump = entry.step.model_dump(mode="json")
        return self._in_layer(entry.change.before, entry.change.after, entry.change.box), self.state()

    def undo(self, entry: Entry) -> LabelState:
        """Undo an entry."""
        if entry.refiners:
            self.refiner = entry.refiners[0]
        elif entry.change is not None:
            _until(entry.change, self.refiner.undo)
        return self.state()

    def redo(self, entry: Entry) -> LabelState:
        """Redo an entry."""
        if entry.refiners:
            self.refiner = entry.refiners[1]
        elif entry.change is not None and not _until(entry.change, self.refiner.redo):
            # Another step was applied in between, so the refiner has forgotten this one.
            labels = self.refiner.labels.copy()
            labels[entry.change.box.slices] = entry.change.after
            entry.change = self.refiner.adopt(labels)
        return self.state()

    def adopt(self, entry: Entry) -> LabelState:
        """Adopt what was painted by hand, converting its voxels from the layer to the scan."""
        assert entry.painted is not None
        entry.painted = Voxels(*self.place.to_scan(entry.painted.at, entry.painted.labels))
        _adopt(entry, self.refiner)
        entry.drawn = self._drawn(entry)
        return self.state()

    def _drawn(self, entry: Entry) -> Drawn | None:
        """Return what a manual edit drew, if it lies on one slice and is mostly of one class."""
        assert entry.painted is not None
        assert entry.extent is not None
        flat = [(axis, at) for axis in range(3) if (at := entry.extent.slice_along(axis)) is not None]
        labels = entry.painted.labels[np.isin(entry.painted.labels, REGIONS["WT"])]
        if not flat or not labels.size:
            return None
        axis, index = flat[0]
        region = next(
            candidate for candidate, values in REGIONS.items() if values[0] == int(np.bincount(labels).argmax())
        )
        plane = np.take(self.refiner.labels, self.place.file_slice(axis, index), self.place.file_axis(axis))
        return Drawn(region, axis, index, int(is_of_region(region, plane).sum()))

    def propagate(
        self,
        entry: Entry,
        axis: int,
        index: int,
        direction: Literal[1, -1],
        planes: list[Plane],
        halt: threading.Event,
    ) -> Job[tuple[Voxels, LabelState]]:
        """Propagate a slice of the layer, as described in `Correction.carry_on`."""
        along, start = self.place.file_axis(axis), self.place.file_slice(axis, index)
        way: Literal[1, -1] = -direction if self.place.runs_back(axis) else direction
        stop = start
        for at, plane_labels in propagate_slices(self.study, self.refiner.labels, along, start, way):
            stop = at
            plane = self._plane(axis, along, at, plane_labels)
            planes.append(plane)
            yield Progress(abs(stop - start), 0, f"slice {plane.index}")
            if halt.is_set():
                break
        if stop == start:
            msg = "There is nothing to propagate: this slice holds no labels, or the next ones no trace of them."
            raise PromptError(msg)
        entry.step = Propagate(axis=along, start=start, stop=stop)
        return self.carry_out(entry)

    def _plane(self, axis: int, along: int, at: int, plane_labels: npt.NDArray[np.uint8]) -> Plane:
        block = np.broadcast_to(np.expand_dims(plane_labels, along), self.study.grid.shape)
        index = self.place.layer_slice(axis, at)
        return Plane(axis, index, np.array(np.take(self.place.display.show(block), index, axis)))

    def do_without(self, entry: Entry, remaining: Sequence[Entry]) -> Job[tuple[Voxels, LabelState]]:
        """Redo the remaining entries from the beginning."""
        before = self.refiner
        refiner = Refiner(self.study, self.start, self.probabilities)
        again: list[Entry] = []
        for earlier in remaining:
            yield Progress(len(again), len(remaining), f"{len(again) + 1} of {len(remaining)}: {earlier.text}")
            repeated = replace(earlier, change=None, parts=(), again=(), refiners=())
            if earlier.step is not None:
                repeated.change = refiner.apply(earlier.step)
            else:
                _adopt(repeated, refiner)
            again.append(repeated)
        entry.again, entry.refiners, self.refiner = tuple(again), (before, refiner), refiner
        return self._in_layer(before.labels, refiner.labels, Box.whole(before.labels.shape)), self.state()

    def _in_layer(self, before: npt.NDArray[np.uint8], after: npt.NDArray[np.uint8], box: Box) -> Voxels:
        """Return the layer's voxels that differ within a box of the scan, with their new labels."""
        differs = before != after
        voxels = np.argwhere(differs) + np.asarray(box.start)
        return Voxels(*self.place.to_layer(voxels, after[differs]))


def _adopt(entry: Entry, refiner: Refiner) -> None:
    assert entry.painted is not None
    labels = refiner.labels.copy()
    labels[tuple(entry.painted.at.T)] = entry.painted.labels.astype(np.uint8)
    entry.change = refiner.adopt(labels)


def _until(change: Change, step: Callable[[], Change | None]) -> bool:
    """Undo or redo up to that change; return whether it was found. Edits adopted on the way are detected again."""
    while (change_found := step()) is not None:
        if change_found is change:
            return True
    return False
