"""The part of the Train panel that watches, stops and resumes a run, and adds its model to the list."""

from collections.abc import Callable
from pathlib import Path
from typing import Final

from qtpy.QtCore import Qt, QTimer, QUrl  # type: ignore[attr-defined,unused-ignore]
from qtpy.QtGui import QDesktopServices, QHideEvent, QPixmap, QResizeEvent, QShowEvent
from qtpy.QtWidgets import QFileDialog, QLabel, QVBoxLayout, QWidget

from napari_brain_tumor.errors import BrainTumorError
from napari_brain_tumor.inference.worker_process import WorkerProcess
from napari_brain_tumor.widgets import train_state as state
from napari_brain_tumor.widgets.curves import CurvesCanvas
from napari_brain_tumor.widgets.model_list import model_list
from napari_brain_tumor.widgets.parts import (
    Fold,
    add_to,
    button,
    column_of,
    combo,
    described,
    enable,
    flow,
    form,
    offer,
    progress_bar,
    selectable,
    wrapped,
)
from napari_brain_tumor.widgets.worker import JobRunner, notify, notify_error
from napari_brain_tumor_training.detached import resume_run
from napari_brain_tumor_training.readiness import best_checkpoint
from napari_brain_tumor_training.run_files import draw_curves
from napari_brain_tumor_training.run_status import Run, attach, list_runs, read_history, request_stop

_WATCH_MS: Final = 1000
_ADD_TIP: Final = "Add the best weights so far to the model list."


class RunWatch(QWidget):
    """Shows the state of a run from its folder, so any panel can watch any run.

    Parameters
    ----------
    worker : WorkerProcess
        Process in which a model is added to the list.
    folder : Path
        Folder of the runs.
    """

    def __init__(self, worker: WorkerProcess, folder: Path) -> None:
        super().__init__()
        self._worker, self._folder = worker, folder
        self.run: Run | None = None
        self.expected_seconds: dict[Path, float] = {}
        """Measured durations of runs that were started here, by folder."""
        self._drawn: tuple[Path, int] | None = None
        self._pixmap = QPixmap()
        self.install_runner = JobRunner(self, finished=self._on_installed, failed=self._on_install_failed)
        column = column_of(self)
        column.addLayout(self._build_runs())
        column.addLayout(self._build_pictures())
        self._connect()

    def _build_runs(self) -> QVBoxLayout:
        column = QVBoxLayout()
        rows = form()
        self.runs_box = combo("The runs in the runs folder, the newest first. Choose one to watch it.", "Run")
        rows.addRow("R&un", self.runs_box)
        self.more = Fold("More", "Show the folder of a run, watch another one.", "More about runs")
        self.stop_button = button("St&op", "Stop after the current step; state and best weights are kept.")
        self.resume_button = button("Resu&me", "Continue this run in a new process.")
        self.install_button = button("&Add model", _ADD_TIP)
        self.folder_button = button(
            "Sho&w folder", "Show the run's folder: history, curves, pictures, log, checkpoints."
        )
        self.attach_button = button("Attac&h…", "Watch a run in another folder.")
        self._actions = flow(self.stop_button, self.resume_button, self.install_button)
        self._more_actions = flow(self.folder_button, self.attach_button)
        self.more.column.addLayout(self._more_actions)
        self.progress_bar = progress_bar("Progress of the run.")
        self.status_label = selectable("Status")
        add_to(column, rows, self._actions, self.more, self.progress_bar, self.status_label)
        return column

    def _build_pictures(self) -> QVBoxLayout:
        column = QVBoxLayout()
        self.summary_label = wrapped("", "Best validation")
        self.canvas = CurvesCanvas(
            "Loss, and Dice by region: dotted on training samples, lines on whole validation cases.", "Curves", 340
        )
        tip = "Predictions on fixed slices of the validation cases, after the last validation."
        self.sample_label = described(QLabel(), tip, "Sample predictions")
        self.sample_label.setMinimumWidth(1)
        add_to(column, self.summary_label, self.canvas, self.sample_label)
        return column

    def _connect(self) -> None:
        self.runs_box.activated.connect(self._on_run_chosen)
        self.stop_button.clicked.connect(self._on_stop_requested)
        self.resume_button.clicked.connect(self._on_resume_requested)
        self.install_button.clicked.connect(self._on_install_requested)
        self.folder_button.clicked.connect(self._on_folder_requested)
        self.attach_button.clicked.connect(self._on_attach_requested)
        self._timer = QTimer(self)
        self._timer.setInterval(_WATCH_MS)
        self._timer.timeout.connect(self.watch)

    def showEvent(self, event: QShowEvent | None) -> None:
        """Update the runs now, and regularly while the panel is visible."""
        super().showEvent(event)
        self.reload_runs()
        self._timer.start()

    def hideEvent(self, event: QHideEvent | None) -> None:
        """Stop updating; the run continues."""
        super().hideEvent(event)
        self._timer.stop()

    def resizeEvent(self, event: QResizeEvent | None) -> None:
        """Fit the sample predictions to the width."""
        super().resizeEvent(event)
        self._fit_sample()

    def show_started(self, start: Callable[[], Run]) -> None:
        """Start or find a run and watch it; report an error if that is not possible."""
        self._tell_errors(lambda: self._show(start()))
        self.reload_runs()

    def attach_to(self, folder: Path) -> None:
        """Watch the run in a folder, whoever started it."""
        self.show_started(lambda: attach(folder))

    def reload_runs(self) -> None:
        """Look for runs; watch the newest if none is being watched."""
        runs = list_runs(self._folder)
        if self.run is None and runs:
            self._show(runs[0])
        if self.run is not None and self.run.folder not in [run.folder for run in runs]:
            runs.append(self.run)
        current = self.run.folder if self.run is not None else None
        offer(self.runs_box, [(state.run_label(run), run.folder, str(run.folder)) for run in runs], current)
        self.runs_box.setEnabled(bool(runs))
        if self.run is None:
            self._show_none()

    def watch(self) -> None:
        """Show the current state of the run."""
        if self.run is None:
            return
        before = self.run.status
        try:
            self._show(attach(self.run.folder))
        except BrainTumorError as error:
            self.status_label.setText(str(error))
            return
        index = self.runs_box.findData(self.run.folder)
        if index >= 0:
            self.runs_box.setItemText(index, state.run_label(self.run))
        if before.installed != self.run.status.installed:
            model_list.changed.emit()

    def _show(self, run: Run) -> None:
        self.run = run
        status = run.status
        self.progress_bar.setValue(round(1000 * status.fraction))
        self.status_label.setText(state.status_text(status, self.seconds_left))
        self.stop_button.setEnabled(status.is_alive)
        self.stop_button.setVisible(status.is_alive)
        self.resume_button.setEnabled(state.can_resume(run))
        self.resume_button.setVisible(state.can_resume(run))
        ready = not status.is_alive and not status.installed and not self.install_runner.running
        why_not = state.why_not_ready(run)
        self.install_button.setEnabled(ready and not why_not)
        # Resuming is the usual action; a stopped run's weights can still be added, below More.
        (self._more_actions if state.can_resume(run) else self._actions).addWidget(self.install_button)
        self.install_button.setVisible(not status.is_alive and not (why_not and state.can_resume(run)))
        self.install_button.setToolTip(f"Cannot be added yet. {why_not}" if why_not else _ADD_TIP)
        self.folder_button.setEnabled(True)
        self._show_pictures(run.folder)

    @property
    def seconds_left(self) -> float | None:
        """Time left for the watched run; None if it is not running, or nothing is known."""
        run = self.run
        return None if run is None else state.seconds_left(run.status, self.expected_seconds.get(run.folder))

    def _show_none(self) -> None:
        self.status_label.setText("Nothing has been trained yet.")
        self.stop_button.hide()
        self.resume_button.hide()
        enable(False, self.stop_button, self.resume_button, self.install_button, self.folder_button)
        self.canvas.hide()

    def _show_pictures(self, folder: Path) -> None:
        """Redraw curves and sample when there is a new epoch, or another run."""
        rows = read_history(folder)
        if self._drawn == (folder, len(rows)):
            return
        self._drawn = folder, len(rows)
        self.canvas.figure.clear()
        self.canvas.setVisible(bool(rows))
        if rows:
            draw_curves(self.canvas.figure, rows, stacked=True)
            self.canvas.draw_idle()  # type: ignore[no-untyped-call]
        self.summary_label.setText(state.summary(rows))
        self.summary_label.setVisible(bool(self.summary_label.text()))
        sample = state.latest_sample(folder)
        self._pixmap = QPixmap(str(sample)) if sample is not None else QPixmap()
        self.sample_label.setVisible(not self._pixmap.isNull())
        self._fit_sample()

    def _fit_sample(self) -> None:
        if self._pixmap.isNull():
            return
        width = max(1, self.width())
        mode = Qt.TransformationMode.SmoothTransformation
        self.sample_label.setPixmap(self._pixmap.scaledToWidth(min(width, self._pixmap.width()), mode))

    def _on_run_chosen(self) -> None:
        folder = self.runs_box.currentData()
        if folder is not None:
            self._tell_errors(lambda: self._show(attach(folder)))

    def _on_stop_requested(self) -> None:
        if self.run is not None:
            run = self.run
            self._tell_errors(lambda: request_stop(run.folder))
            self.stop_button.setEnabled(False)
            self.status_label.setText("Stopping after the current step…")

    def _on_resume_requested(self) -> None:
        if self.run is not None:
            run = self.run
            self._tell_errors(lambda: self._show(resume_run(run.folder)))

    def _on_attach_requested(self) -> None:
        folder = QFileDialog.getExistingDirectory(self, "Folder of a run", str(self._folder))
        if folder:
            self.attach_to(Path(folder))

    def _on_folder_requested(self) -> None:
        if self.run is not None:
            QDesktopServices.openUrl(QUrl.fromLocalFile(str(self.run.folder)))

    def _on_install_requested(self) -> None:
        checkpoint = best_checkpoint(self.run.folder) if self.run is not None else None
        if checkpoint is not None:
            self.install_button.setEnabled(False)
            self.install_runner.send(self._worker, state.INSTALL_TARGET, checkpoint)

    def _on_installed(self, name: str) -> None:
        model_list.changed.emit()
        notify(f"The model is now in the Segment tab's list as {name}.")

    def _on_install_failed(self, error: Exception) -> None:
        self.install_button.setEnabled(True)
        notify_error(error)

    def _tell_errors(self, action: Callable[[], None]) -> None:
        try:
            action()
        except BrainTumorError as error:
            notify_error(error)
            self.status_label.setText(str(error))
