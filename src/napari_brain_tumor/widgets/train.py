"""The Train panel: start training in a process of its own, watch it, stop it, go on with it."""

from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import napari.viewer
from matplotlib.backends.backend_qtagg import FigureCanvasQTAgg
from matplotlib.figure import Figure
from qtpy.QtCore import QSize, Qt, QTimer, QUrl
from qtpy.QtGui import QDesktopServices, QHideEvent, QPixmap, QResizeEvent, QShowEvent
from qtpy.QtWidgets import (
    QDoubleSpinBox,
    QFileDialog,
    QFormLayout,
    QLabel,
    QLineEdit,
    QScrollArea,
    QSpinBox,
    QVBoxLayout,
)

from napari_brain_tumor.errors import BrainTumorError
from napari_brain_tumor.inference.worker_process import WorkerProcess
from napari_brain_tumor.models.cards import list_models
from napari_brain_tumor.requests.lines import CommandLines
from napari_brain_tumor.widgets import train_state as state
from napari_brain_tumor.widgets.action_lines import ActionLines
from napari_brain_tumor.widgets.closing import cancel_when_closed
from napari_brain_tumor.widgets.device_choice import DeviceChoice
from napari_brain_tumor.widgets.initial_choices import prefer_device
from napari_brain_tumor.widgets.layer_list_watch import single_shot
from napari_brain_tumor.widgets.model_list import model_list
from napari_brain_tumor.widgets.parts import Fold, button, column_in, combo, flow, form, line, progress_bar, wrapped
from napari_brain_tumor.widgets.worker import JobRunner, notify, notify_error, shared_worker
from napari_brain_tumor_training.detached import missing_packages, resume_run, start_run
from napari_brain_tumor_training.run_cost import RunCost
from napari_brain_tumor_training.run_files import draw_curves
from napari_brain_tumor_training.run_status import Run, attach, list_runs, read_history, request_stop

__all__ = ["TrainWidget"]

_WATCH_MS: Final = 1000
_SETTLE_MS: Final = 1500
"""After the last choice, before its cost is measured."""
_DEFAULT: Final = "default"
_ADD_TIP: Final = "Add the best weights so far to the model list."


class _Curves(FigureCanvasQTAgg):
    """Curves to look at: the wheel is left to the panel, which scrolls."""

    def wheelEvent(self, event: Any) -> None:
        event.ignore()


class TrainWidget(QScrollArea):
    """Trains a network on curated cases in a process that goes on when napari is closed.

    The panel only watches: what it shows is what the run's folder tells, so any panel can be attached to any run.

    Parameters
    ----------
    napari_viewer : napari.viewer.Viewer
    worker : WorkerProcess, optional
        For what needs torch but is no training; the one of this session where none is given.
    runs_folder : Path, optional
        Where runs are looked for and new ones begin.
    """

    def __init__(
        self,
        napari_viewer: napari.viewer.Viewer,
        worker: WorkerProcess | None = None,
        *,
        runs_folder: Path | None = None,
    ) -> None:
        super().__init__()
        self._viewer = napari_viewer
        self._worker = worker or shared_worker()
        self._runs_folder = runs_folder or state.default_runs_folder()
        self.choices = state.TrainChoices()
        self.run: Run | None = None
        self._drawn: tuple[Path, int] | None = None
        self._pixmap = QPixmap()
        self._asked = False
        self._counts: tuple[int, int] | None = None
        self._cost: RunCost | None = None
        self._measured = ""
        self._expected_seconds: dict[Path, float] = {}
        """Of runs that were started here, as measured before."""
        self._choices_runner = JobRunner(self)
        self.devices = DeviceChoice(self._worker, self, where="Where to train.")
        self.estimate_runner = JobRunner(self)
        self.install_runner = JobRunner(self)
        self._build()
        self._fill_starts()
        self._connect()
        prefer_device(self.device_box, self.devices.runner)
        self._on_choices_changed()
        self.reload_runs()

    # Building -------------------------------------------------------------------------------------------------------

    def _build(self) -> None:
        column = column_in(self)
        rows = form()
        self.source_edit = _edit("Folder of a curated data set, or a recipe (.toml).", "Data set or recipe")
        rows.addRow("&Train on", self.source_edit)
        self.start_box = combo(
            "Go on with a model that is there, which takes few cases and minutes, or train a new network, which takes "
            "many cases and hours.",
            "Start from",
        )
        rows.addRow("Start f&rom", self.start_box)
        self._source_rows = rows
        column.addLayout(rows)
        column.addLayout(self._build_start())
        self.settings = Fold("Settin&gs", "Data set or recipe from a dialog, network, device, epochs.", "Settings")
        self.settings.column.addLayout(self._build_choices())
        column.addWidget(self.settings)
        self.code_box = ActionLines(self._lines)
        column.addWidget(self.code_box)
        column.addWidget(line())
        column.addLayout(self._build_runs())
        column.addLayout(self._build_pictures())
        column.addStretch(1)

    def _build_choices(self) -> QFormLayout:
        rows = form()
        buttons = flow()
        self.dataset_button = button("Data set…", "Choose the folder of a curated data set; its accepted cases train.")
        self.recipe_button = button("Reci&pe…", "Choose a TOML file that describes the whole run.")
        buttons.addWidget(self.dataset_button)
        buttons.addWidget(self.recipe_button)
        rows.addRow("", buttons)
        self.data_edit = _edit("Folder that the recipe's paths are relative to; its own if left empty.", "Data folder")
        rows.addRow("Data &folder", self.data_edit)
        self.model_box = combo("The network. Default: the recipe's, or a 2D U-Net.", "Network")
        self.model_box.addItem(_DEFAULT, "")
        rows.addRow("&Network", self.model_box)
        self.dims_box = combo(
            "Slices train faster; sub-volumes see in all directions and need more memory.", "Dimensions"
        )
        for text, dims in ((_DEFAULT, 0), ("2D slices", 2), ("3D sub-volumes", 3)):
            self.dims_box.addItem(text, dims)
        rows.addRow("Dimens&ions", self.dims_box)
        self.device_box = self.devices.box
        rows.addRow("&Device", self.device_box)
        self.epochs_box = _number(
            "Passes over the data until the run ends. Default: 100 in 2D, 150 in 3D, or the recipe's.", "Epochs"
        )
        rows.addRow("&Epochs", self.epochs_box)
        self.batch_box = _number("Samples per step. Lower it if memory runs out.", "Batch", 512)
        rows.addRow("&Batch", self.batch_box)
        self.rate_box = QDoubleSpinBox()
        self.rate_box.setDecimals(5)
        self.rate_box.setRange(0, 1)
        self.rate_box.setSingleStep(0.0001)
        self.rate_box.setSpecialValueText(_DEFAULT)
        self.rate_box.setToolTip("The largest step size. Lower it if the loss jumps.")
        self.rate_box.setAccessibleName("Learning rate")
        rows.addRow("&Learning rate", self.rate_box)
        self.estimate_button = button(
            "Measure the &cost", "Measure one step on this device: time and memory that the run will take."
        )
        rows.addRow("", self.estimate_button)
        self._choice_rows = rows
        return rows

    def _fill_starts(self) -> None:
        """The models to go on with, the default one chosen; what was chosen before stays."""
        before = self.start_box.currentData() if self.start_box.count() else None
        self.start_box.blockSignals(True)
        self.start_box.clear()
        for model in state.starting_models(list_models()):
            self.start_box.addItem(model.card.title or model.name, model.name)
        self.start_box.addItem("a new network", "")
        at = self.start_box.findData(before) if before is not None else 0
        self.start_box.setCurrentIndex(max(at, 0))
        self.start_box.blockSignals(False)
        self.choices.start_from = self.start_box.currentData()

    def _build_start(self) -> QVBoxLayout:
        column = QVBoxLayout()
        self.notes_label = wrapped("")
        self.notes_label.setAccessibleName("What to know before training")
        column.addWidget(self.notes_label)
        self.start_button = button("Train", "Train in a separate process. It continues when napari is closed.")
        column.addWidget(self.start_button)
        self.estimate_label = wrapped("")
        self.estimate_label.setAccessibleName("Cost")
        self.estimate_label.hide()
        column.addWidget(self.estimate_label)
        return column

    def _build_runs(self) -> QVBoxLayout:
        column = QVBoxLayout()
        rows = form()
        self.runs_box = combo("The runs in the runs folder, the newest first. Choose one to watch it.", "Run")
        rows.addRow("R&un", self.runs_box)
        column.addLayout(rows)
        self._actions, self._more_actions = first, second = flow(), flow()
        self.more = Fold("More", "Show the folder of a run, watch another one.", "More about runs")
        self.stop_button = button("St&op", "Stop after the current step; state and best weights are kept.")
        self.resume_button = button("Resu&me", "Continue this run in a new process.")
        self.install_button = button("&Add model", _ADD_TIP)
        self.folder_button = button(
            "Sho&w folder", "Show the run's folder: history, curves, pictures, log, checkpoints."
        )
        self.attach_button = button("Attac&h…", "Watch a run in another folder.")
        for control in (self.stop_button, self.resume_button, self.install_button):
            first.addWidget(control)
        for control in (self.folder_button, self.attach_button):
            second.addWidget(control)
        column.addLayout(first)
        self.more.column.addLayout(second)
        column.addWidget(self.more)
        self.progress_bar = progress_bar("Progress of the run.")
        column.addWidget(self.progress_bar)
        self.status_label = wrapped("")
        self.status_label.setAccessibleName("Status")
        self.status_label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        column.addWidget(self.status_label)
        return column

    def _build_pictures(self) -> QVBoxLayout:
        column = QVBoxLayout()
        self.summary_label = wrapped("")
        self.summary_label.setAccessibleName("Best validation")
        column.addWidget(self.summary_label)
        self.figure = Figure(dpi=80, layout="constrained")
        self.canvas = _Curves(self.figure)  # type: ignore[no-untyped-call]
        self.canvas.setMinimumHeight(340)
        self.canvas.setMinimumWidth(200)
        self.canvas.setToolTip("Loss, and Dice by region: dotted on training samples, lines on whole validation cases.")
        self.canvas.setAccessibleName("Curves")
        column.addWidget(self.canvas)
        self.sample_label = QLabel()
        self.sample_label.setMinimumWidth(1)
        self.sample_label.setToolTip("Predictions on fixed slices of the validation cases, after the last validation.")
        self.sample_label.setAccessibleName("Sample predictions")
        column.addWidget(self.sample_label)
        return column

    def _connect(self) -> None:
        self.source_edit.editingFinished.connect(lambda: self._choose(source=self.source_edit.text().strip()))
        self.data_edit.editingFinished.connect(lambda: self._choose(data=self.data_edit.text().strip()))
        self.dataset_button.clicked.connect(self._on_dataset_requested)
        self.recipe_button.clicked.connect(self._on_recipe_requested)
        self.model_box.currentIndexChanged.connect(lambda: self._choose(model=self.model_box.currentData()))
        self.start_box.currentIndexChanged.connect(lambda: self._choose(start_from=self.start_box.currentData()))
        self.dims_box.currentIndexChanged.connect(lambda: self._choose(dims=self.dims_box.currentData()))
        self.devices.chosen.connect(lambda: self._choose(device=self.devices.device))
        self.epochs_box.valueChanged.connect(lambda value: self._choose(epochs=value))
        self.batch_box.valueChanged.connect(lambda value: self._choose(batch=value))
        self.rate_box.valueChanged.connect(lambda value: self._choose(learning_rate=value))
        self.choices.events.connect(self._on_choices_changed)
        self.choices.events.connect(self.code_box.refresh)
        self.estimate_button.clicked.connect(self.estimate)
        self.start_button.clicked.connect(self.start)
        model_list.changed.connect(self._fill_starts)
        self.runs_box.activated.connect(self._on_run_chosen)
        self.stop_button.clicked.connect(self._on_stop_requested)
        self.resume_button.clicked.connect(self._on_resume_requested)
        self.install_button.clicked.connect(self._on_install_requested)
        self.folder_button.clicked.connect(self._on_folder_requested)
        self.attach_button.clicked.connect(self._on_attach_requested)
        self._choices_runner.finished.connect(self._on_networks_known)
        self._choices_runner.failed.connect(notify_error)
        self.estimate_runner.finished.connect(self._on_estimated)
        self.estimate_runner.failed.connect(self._on_estimate_failed)
        self.install_runner.finished.connect(self._on_installed)
        self.install_runner.failed.connect(self._on_install_failed)
        self._estimate_timer = single_shot(self, self._estimate_if_seen, _SETTLE_MS)
        self._timer = QTimer(self)
        self._timer.setInterval(_WATCH_MS)
        self._timer.timeout.connect(self.watch)
        cancel_when_closed(self, self.estimate_runner)

    def sizeHint(self) -> QSize:
        """Narrow enough to leave room for the canvas on a small screen."""
        return QSize(340, 560)

    def showEvent(self, event: QShowEvent | None) -> None:
        """Look at the runs again, and for as long as the panel is seen."""
        super().showEvent(event)
        self.reload_runs()
        self._timer.start()
        self._on_choices_changed()  # cases may have been accepted meanwhile
        if not self._asked and not missing_packages():
            self._asked = True
            self._choices_runner.start(lambda stop: stop.guard(self._worker.run(state.CONFIGURATIONS_TARGET)))
            self.devices.ask()

    def hideEvent(self, event: QHideEvent | None) -> None:
        """Look no more; the run goes on."""
        super().hideEvent(event)
        self._timer.stop()
        self._estimate_timer.stop()

    def resizeEvent(self, event: QResizeEvent | None) -> None:
        """Fit the sample predictions to the width."""
        super().resizeEvent(event)
        self._fit_sample()

    # Choices --------------------------------------------------------------------------------------------------------

    def choose_source(self, path: str) -> None:
        """Train on that data set's folder or recipe."""
        if path:
            self.source_edit.setText(path)
            self._choose(source=path)

    def _choose(self, **changes: Any) -> None:
        for name, value in changes.items():
            setattr(self.choices, name, value)

    def _on_dataset_requested(self) -> None:
        self.choose_source(QFileDialog.getExistingDirectory(self, "Curated data set", self.choices.source))

    def _on_recipe_requested(self) -> None:
        path, _ = QFileDialog.getOpenFileName(self, "Recipe", self.choices.source, "Recipes (*.toml)")
        self.choose_source(path)

    def _on_choices_changed(self, *_: Any) -> None:
        self._choice_rows.setRowVisible(self.data_edit, self.choices.is_recipe)
        obstacle = self.choices.obstacle
        self.notes_label.setText(f"⚠ {obstacle}" if obstacle else "")
        self.notes_label.setVisible(bool(obstacle))
        self.start_button.setEnabled(not obstacle)
        self.estimate_button.setEnabled(not obstacle and not self.estimate_runner.running)
        for box in (self.model_box, self.dims_box):
            box.setEnabled(not self.choices.fine_tunes)
        self._source_rows.setRowVisible(self.start_box, not self.choices.is_recipe)
        self._counts = state.case_counts(self.choices)
        self._cost = None  # it was that of other choices
        self._show_cost()
        self._estimate_timer.start()

    def _on_networks_known(self, networks: Sequence[tuple[str, str, int]]) -> None:
        for name, title, dims in networks:
            self.model_box.addItem(title, name)
            tip = f"{name}: published for {dims}D, can be trained in the other too."
            self.model_box.setItemData(self.model_box.count() - 1, tip, Qt.ItemDataRole.ToolTipRole)

    # Cost -----------------------------------------------------------------------------------------------------------

    def estimate(self) -> None:
        """Measure one step of what is chosen, in the worker process."""
        run_request = self.choices.request.model_dump_json()
        self._measured = run_request
        self.estimate_button.setEnabled(False)
        self._show_estimate("Measuring one step…")
        self.estimate_runner.start(lambda stop: stop.guard(self._worker.run(state.ESTIMATE_TARGET, run_request)))

    def _estimate_if_seen(self) -> None:
        """Measure the cost without being asked, where the panel is in sight and everything is chosen."""
        if self.isVisible() and not self.choices.obstacle and self._cost is None:
            self.estimate()

    def _on_estimated(self, cost: RunCost) -> None:
        self.estimate_button.setEnabled(True)
        if self._measured == self.choices.request.model_dump_json():
            self._cost = cost
            self._show_cost()

    def _show_cost(self) -> None:
        self.start_button.setText(state.start_text(self.choices, self._counts, self._cost))
        self.estimate_label.setVisible(self._cost is not None)
        if self._cost is not None:
            self._show_estimate(state.cost_text(self._counts, self._cost))

    def _on_estimate_failed(self, error: Exception) -> None:
        self.estimate_button.setEnabled(True)
        self._show_estimate(f"Not measured. {error}")

    def _show_estimate(self, text: str) -> None:
        self.estimate_label.setText(text)
        self.estimate_label.show()

    # Runs -----------------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Start training what is chosen, and watch it."""
        folder = state.new_run_folder(self._runs_folder, self.choices, datetime.now())
        if self._cost is not None:
            self._expected_seconds[folder] = self._cost.seconds
        self._tell_errors(lambda: self._show(start_run(self.choices.request, folder)))
        self.reload_runs()

    def _lines(self) -> CommandLines:
        return state.lines_of(self.choices, state.new_run_folder(self._runs_folder, self.choices, datetime.now()))

    def attach_to(self, folder: Path) -> None:
        """Watch the run in a folder, whoever started it."""
        self._tell_errors(lambda: self._show(attach(folder)))
        self.reload_runs()

    def reload_runs(self) -> None:
        """Look for runs; the newest is watched where none is."""
        runs = list_runs(self._runs_folder)
        if self.run is None and runs:
            self._show(runs[0])
        if self.run is not None and self.run.folder not in [run.folder for run in runs]:
            runs.append(self.run)
        self.runs_box.clear()
        for run in runs:
            self.runs_box.addItem(state.run_label(run), run.folder)
            self.runs_box.setItemData(self.runs_box.count() - 1, str(run.folder), Qt.ItemDataRole.ToolTipRole)
        self.runs_box.setEnabled(bool(runs))
        if self.run is not None:
            self.runs_box.setCurrentIndex([run.folder for run in runs].index(self.run.folder))
        else:
            self._show_none()

    def watch(self) -> None:
        """Show what the run tells now."""
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
        # To resume is the rule; a stopped run's weights can still be added, below More.
        (self._more_actions if state.can_resume(run) else self._actions).addWidget(self.install_button)
        self.install_button.setVisible(not status.is_alive and not (why_not and state.can_resume(run)))
        self.install_button.setToolTip(f"Cannot be added yet. {why_not}" if why_not else _ADD_TIP)
        self.folder_button.setEnabled(True)
        self._show_pictures(run.folder)

    @property
    def seconds_left(self) -> float | None:
        """Of the run that is watched; None where it does not run, or nothing is known."""
        run = self.run
        return None if run is None else state.seconds_left(run.status, self._expected_seconds.get(run.folder))

    def _show_none(self) -> None:
        self.status_label.setText("Nothing has been trained yet.")
        self.stop_button.hide()
        self.resume_button.hide()
        for control in (self.stop_button, self.resume_button, self.install_button, self.folder_button):
            control.setEnabled(False)
        self.canvas.hide()

    def _show_pictures(self, folder: Path) -> None:
        """Draw curves and sample anew where there is another epoch, or another run."""
        rows = read_history(folder)
        if self._drawn == (folder, len(rows)):
            return
        self._drawn = folder, len(rows)
        self.figure.clear()
        self.canvas.setVisible(bool(rows))
        if rows:
            draw_curves(self.figure, rows, stacked=True)
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
        width = max(1, self.width() - 32)  # without margins and scroll bar
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
        folder = QFileDialog.getExistingDirectory(self, "Folder of a run", str(self._runs_folder))
        if folder:
            self.attach_to(Path(folder))

    def _on_folder_requested(self) -> None:
        if self.run is not None:
            QDesktopServices.openUrl(QUrl.fromLocalFile(str(self.run.folder)))

    # Model list -----------------------------------------------------------------------------------------------------

    def _on_install_requested(self) -> None:
        checkpoint = state.best_checkpoint(self.run) if self.run is not None else None
        if checkpoint is not None:
            self.install_button.setEnabled(False)
            self.install_runner.start(lambda stop: stop.guard(self._worker.run(state.INSTALL_TARGET, checkpoint)))

    def _on_installed(self, name: str) -> None:
        model_list.changed.emit()
        notify(f"The model is in the list of Segment as {name}.")

    def _on_install_failed(self, error: Exception) -> None:
        self.install_button.setEnabled(True)
        notify_error(error)

    def _tell_errors(self, action: Callable[[], None]) -> None:
        try:
            action()
        except BrainTumorError as error:
            notify_error(error)
            self.status_label.setText(str(error))


def _edit(tip: str, name: str) -> QLineEdit:
    edit = QLineEdit()
    edit.setToolTip(tip)
    edit.setAccessibleName(name)
    return edit


def _number(tip: str, name: str, largest: int = 100_000) -> QSpinBox:
    box = QSpinBox()
    box.setRange(0, largest)
    box.setSpecialValueText(_DEFAULT)
    box.setToolTip(tip)
    box.setAccessibleName(name)
    return box
