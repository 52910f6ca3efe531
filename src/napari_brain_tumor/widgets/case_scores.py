"""Scoring: the chosen model segments every case of the data set in the worker process."""

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from qtpy.QtCore import QObject, Signal  # type: ignore[attr-defined,unused-ignore]

from napari_brain_tumor.dataset import CuratedDataset
from napari_brain_tumor.inference.worker_process import WorkerProcess
from napari_brain_tumor.models.cards import ModelInfo
from napari_brain_tumor.progress import Progress
from napari_brain_tumor.widgets import segment_state
from napari_brain_tumor.widgets.curate_pages import ReviewPage
from napari_brain_tumor.widgets.initial_choices import prefer_model
from napari_brain_tumor.widgets.layer_list_watch import single_shot
from napari_brain_tumor.widgets.panel_lines import score_lines_of
from napari_brain_tumor.widgets.parts import offer
from napari_brain_tumor.widgets.worker import JobRunner, time_left_text

_REFRESH_MS: Final = 2000


class CaseScores(QObject):
    """Offers models on the Review page, and computes the scores of the chosen one.

    Parameters
    ----------
    target : str
        The job that runs in the worker process, called like `case_scoring.score_dataset_job`.
    dataset : callable
        Returns the open data set, or None.
    """

    message = Signal(str)
    """A message for the status line."""
    failed = Signal(object)
    """The error that occurred."""
    acted = Signal(object)
    """A function that returns the last action as code."""
    changed = Signal()
    """There may be new scores on disk."""
    ended = Signal()
    """Scoring has ended."""

    def __init__(
        self,
        page: ReviewPage,
        worker: WorkerProcess,
        target: str,
        models: Sequence[ModelInfo],
        dataset: Callable[[], CuratedDataset | None],
    ) -> None:
        super().__init__(page)
        self._page, self._worker, self._target, self._dataset = page, worker, target, dataset
        self.runner = JobRunner(self, progressed=self._on_progress, finished=self._on_finished, failed=self._on_failed)
        self._refresh_timer = single_shot(self, self.changed)
        page.cancel_button.clicked.connect(self._on_cancel_requested)
        self.runner.cancelled.connect(self._on_cancelled)
        items = [(model.card.title or model.name, model, segment_state.model_tooltip(model)) for model in models]
        offer(page.model_box, items or [("no model", None)])
        prefer_model(page.model_box)

    def start(self, first: str | None = None) -> None:
        """Segment every case with the chosen model, starting with the given one; `runner` reports progress."""
        dataset, model = self._dataset(), self._page.model
        if dataset is None or model is None:
            self.message.emit("Open a data set and choose a model first.")
            return
        ids = sorted((row.id for row in self._page.table.rows), key=lambda case_id: case_id != first)
        self._page.show_running(True)
        self.acted.emit(lambda: score_lines_of(dataset.folder, ids, model))
        folder, model_folder = str(dataset.folder), str(model.folder)
        self.runner.send(self._worker, self._target, folder, ids, model_folder)

    def _on_cancel_requested(self) -> None:
        self._page.cancel_button.setEnabled(False)
        self.runner.cancel()

    def _on_progress(self, progress: Progress, seconds_left: float | None) -> None:
        self._page.progress_bar.setValue(round(1000 * progress.fraction))
        self.message.emit(segment_state.sentence(progress.message, time_left_text(seconds_left)))
        if not self._refresh_timer.isActive():
            self._refresh_timer.start(_REFRESH_MS)

    def _on_finished(self, problems: Mapping[str, str]) -> None:
        self._end()
        failures = [f"{case_id}: {problem}" for case_id, problem in problems.items()]
        self.message.emit("\n".join(["Scored." if not failures else "Some cases have no score.", *failures[:5]]))

    def _on_failed(self, error: Exception) -> None:
        self._end()
        self.failed.emit(error)

    def _on_cancelled(self) -> None:
        self._end()
        self.message.emit("Cancelled. Finished cases keep their scores.")

    def _end(self) -> None:
        self._page.show_running(False)
        self._refresh_timer.stop()
        self.ended.emit()
