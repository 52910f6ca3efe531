"""The Train panel: start training in a separate process, watch it, stop it, resume it."""

from datetime import datetime
from pathlib import Path

import napari.viewer

from napari_brain_tumor.inference.worker_process import WorkerProcess
from napari_brain_tumor.requests.lines import CommandLines
from napari_brain_tumor.widgets import train_state as state
from napari_brain_tumor.widgets.action_lines import ActionLines
from napari_brain_tumor.widgets.closing import cancel_when_closed
from napari_brain_tumor.widgets.parts import Panel, add_to, column_in, line
from napari_brain_tumor.widgets.train_form import TrainForm
from napari_brain_tumor.widgets.train_runs import RunWatch
from napari_brain_tumor.widgets.worker import shared_worker
from napari_brain_tumor_training.detached import start_run


class TrainWidget(Panel):
    """Trains a network on curated cases in a process that continues when napari is closed.

    Parameters
    ----------
    worker : WorkerProcess, optional
        For tasks that need torch but are not training; by default, the one of this session.
    runs_folder : Path, optional
        Folder of existing and new runs.
    """

    def __init__(
        self,
        napari_viewer: napari.viewer.Viewer,
        worker: WorkerProcess | None = None,
        *,
        runs_folder: Path | None = None,
    ) -> None:
        super().__init__()
        worker = worker or shared_worker()
        self._runs_folder = runs_folder or state.default_runs_folder()
        column = column_in(self)
        self.form = TrainForm(worker)
        self.runs = RunWatch(worker, self._runs_folder)
        self.code_box = ActionLines(self._lines)
        add_to(column, self.form, self.code_box, line(), self.runs)
        column.addStretch(1)
        self.form.choices.events.connect(self.code_box.refresh)
        self.form.start_requested.connect(self.start)
        cancel_when_closed(self, self.form.estimate_runner)
        self.runs.reload_runs()

    def _new_folder(self) -> Path:
        return state.new_run_folder(self._runs_folder, self.form.choices, datetime.now())

    def start(self) -> None:
        """Start training with the current choices, and watch it."""
        folder = self._new_folder()
        if self.form.cost is not None:
            self.runs.expected_seconds[folder] = self.form.cost.seconds
        self.runs.show_started(lambda: start_run(self.form.choices.request, folder))

    def _lines(self) -> CommandLines:
        return state.lines_of(self.form.choices, self._new_folder())
