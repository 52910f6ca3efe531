"""Running segmentations: they belong to the viewer, so that closing the panel neither loses nor hides them."""

from collections.abc import Sequence
from functools import partial
from typing import Any
from weakref import WeakValueDictionary

from napari.layers import Labels
from qtpy.QtCore import QObject, Signal  # type: ignore[attr-defined,unused-ignore]

from napari_brain_tumor.inference.worker_process import WorkerProcess
from napari_brain_tumor.plugin import viewers
from napari_brain_tumor.plugin.layers import LayerData
from napari_brain_tumor.widgets import segment_state as state
from napari_brain_tumor.widgets.attention import Attention
from napari_brain_tumor.widgets.job_times import start_seconds, with_start
from napari_brain_tumor.widgets.results import PlacedResult, add_result, replace_result
from napari_brain_tumor.widgets.study_queue import Run, RunQueue
from napari_brain_tumor.widgets.worker import JobRunner


def segment_runs_of(viewer: Any) -> "SegmentRuns":
    """Return the segmentations of a viewer; every panel in its window shows and cancels the same ones.

    Parameters
    ----------
    viewer : napari.Viewer
        A viewer without a window gets a new object on each call.
    """
    window = viewers.window_of(viewer)
    there = window.findChild(SegmentRuns) if window is not None else None
    return there or SegmentRuns(getattr(viewer, "__wrapped__", viewer), window)


class SegmentRuns(QObject):
    """Segments studies one after the other, and adds each result to the viewer.

    Parameters
    ----------
    viewer : napari.Viewer
    parent : QObject, optional
        The viewer's window; runs end when it is destroyed.
    """

    placed = Signal(object)
    """`PlacedResult`: a result has been added to the viewer."""
    failed = Signal(object)
    """The error of a study that was run alone."""
    changed = Signal()
    """A run has started or ended; see `running`."""

    def __init__(self, viewer: Any, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self.runner = JobRunner(self, finished=self._on_finished, failed=self._on_failed, cancelled=self._on_cancelled)
        self.queue = RunQueue(())
        self._worker: WorkerProcess | None = None
        self._target = ""
        self.running = False
        self.cancelling = False
        self.closing_words = ""
        """Message for when the last study has ended; empty if the run's own message is enough."""
        self._results: WeakValueDictionary[str, Labels] = WeakValueDictionary()  # layers of a closed case can be freed
        self._attention = Attention(viewer, None)
        self._replaces = False
        self.destroyed.connect(partial(_stop, self.runner))

    def start(self, runs: Sequence[Run], worker: WorkerProcess, target: str, *, replaces: bool = False) -> None:
        """Segment studies one after the other.

        Parameters
        ----------
        target : str
            The job that runs in the worker process.
        replaces : bool
            Whether a result replaces the labels in the layer of the previous result for the same study.
        """
        self.queue = RunQueue(runs)
        self._worker, self._target, self._replaces = worker, target, replaces
        self._attention = Attention.of(self._viewer)
        self.running, self.cancelling, self.closing_words = True, False, ""
        self.changed.emit()
        self._next()

    def cancel(self) -> None:
        """Cancel within a second, and start no further study."""
        self.cancelling = True
        self.queue.stop()
        self.runner.cancel()
        self.changed.emit()

    def _next(self) -> None:
        now, worker, target = self.queue.current, self._worker, self._target
        if now is None or worker is None:
            self._end("" if self.queue.is_single else self.queue.summary)
            return
        expectation = with_start(now.expectation, start_seconds(warm=worker.pid is not None))
        self.runner.start(lambda stop: state.segment_steps(stop, now.views, now.request, worker, target), expectation)

    def _end(self, words: str) -> None:
        # A segmented case may be closed now, so do not keep its scans in memory.
        self.queue.let_go_of_scans()
        self.running, self.closing_words = False, words
        self.changed.emit()

    def _on_finished(self, outcome: tuple[LayerData, tuple[str, ...]]) -> None:
        data, notes = outcome
        name = self.queue.current.name if self.queue.current is not None else ""
        placed = self._place(name, data)
        self._results[name] = placed.layer
        self.queue.finish()
        self.placed.emit(PlacedResult(placed.layer, " ".join([placed.text, *notes])))
        self._next()

    def _place(self, name: str, data: LayerData) -> PlacedResult:
        """Add a result to the viewer; a user at work in another layer stays there, and on the slice while drawing."""
        viewer, attention = self._viewer, self._attention
        last, selected = self._results.get(name), set(viewer.layers.selection)
        is_first = last is None or last not in viewer.layers
        stays, drawing = attention.is_elsewhere, attention.is_drawing
        if self._replaces and last is not None and not is_first:
            placed = replace_result(viewer, last, data)
        else:
            placed = add_result(viewer, data)
            if last is not None and not is_first:  # otherwise one result would cover the other
                (placed.layer if drawing else last).visible = False
        viewer.layers.selection = {layer for layer in selected if layer in viewer.layers} if stays else {placed.layer}
        if not stays:
            self._attention = Attention.of(viewer)
        if is_first and not drawing:
            viewers.show_tumour(viewer, placed.layer)
        return placed

    def _on_failed(self, error: Exception) -> None:
        alone = self.queue.is_single
        self.queue.fail(str(error) or type(error).__name__)
        if alone:
            self._end("")
            self.failed.emit(error)
        else:
            self._next()

    def _on_cancelled(self) -> None:
        self.queue.stop()
        finished = len(self.queue.done)
        self._end(f"Cancelled. {self.queue.summary}" if finished else "Cancelled. Nothing was added.")


def _stop(runner: JobRunner, *_: Any) -> None:
    runner.cancel()
