"""The batch window: segment every case of a folder with the settings of the Segment tab, and show the outcomes."""

from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import napari.viewer
from napari.layers import Layer
from qtpy.QtCore import Signal  # type: ignore[attr-defined,unused-ignore]
from qtpy.QtWidgets import QFileDialog, QHBoxLayout, QHeaderView

from napari_brain_tumor.batch import CaseProgress, CaseRow
from napari_brain_tumor.errors import BrainTumorError
from napari_brain_tumor.inference.worker_process import WorkerProcess
from napari_brain_tumor.plugin import viewers
from napari_brain_tumor.plugin.layers import sequence_tag
from napari_brain_tumor.progress import Progress
from napari_brain_tumor.requests.lines import CommandLines
from napari_brain_tumor.widgets import batch_state as state
from napari_brain_tumor.widgets.action_lines import ActionLines
from napari_brain_tumor.widgets.cell_table import CellTable
from napari_brain_tumor.widgets.closing import cancel_when_closed
from napari_brain_tumor.widgets.parts import Panel, add_to, button, check, column_in, enable, wrapped
from napari_brain_tumor.widgets.run_controls import RunControls
from napari_brain_tumor.widgets.worker import JobRunner, notify_error, shared_worker, time_left_text

_RESULTS: Final = "segmentations"


class BatchWidget(Panel):
    """Segments every case of a folder.

    Parameters
    ----------
    settings : callable
        Returns the current settings of the Segment tab; may raise a `BrainTumorError`.
    worker : WorkerProcess, optional
        By default, the one of this session.
    """

    SIZE = (620, 460)

    case_wanted = Signal(object)
    """A scan of an open case whose row was selected."""

    def __init__(
        self,
        napari_viewer: napari.viewer.Viewer,
        settings: Callable[[], state.BatchSettings],
        worker: WorkerProcess | None = None,
    ) -> None:
        super().__init__()
        self._viewer, self._settings = napari_viewer, settings
        self._worker = worker or shared_worker()
        self.batch = state.Batch()
        self.folder = self.output = ""
        self._steps: deque[CaseProgress] = deque()
        self.look_runner = JobRunner(self, finished=self._on_looked, failed=self._on_look_failed)
        self.open_runner = JobRunner(self, finished=self._on_opened, failed=notify_error)
        self.runner = JobRunner(self)
        self._build()
        self._connect()
        cancel_when_closed(self, self.look_runner, self.runner, self.open_runner)
        self._show()

    def _build(self) -> None:
        column = column_in(self)
        self.folder_button = button("Folder of the &cases…", "Case folders, DICOM, a BIDS or Decathlon data set.")
        self.folder_label = wrapped("")
        self.output_button = button("Folder for the resul&ts…", "Receives one file per case, and a table of all cases.")
        self.output_label = wrapped("")
        for push_button, label in ((self.folder_button, self.folder_label), (self.output_button, self.output_label)):
            row = QHBoxLayout()
            row.addWidget(push_button)
            row.addWidget(label, 1)
            column.addLayout(row)
        self.skip_box = check(
            "&Skip cases that have a result",
            "Use this to resume a stopped batch. Existing results are not overwritten either way.",
        )
        self.skip_box.setChecked(True)
        column.addWidget(self.skip_box)
        tip = "Double-click a case, or press Enter, to open it with its result."
        self.table = CellTable(state.COLUMNS.values(), tip, "Cases of the folder", 180)
        header = self.table.horizontalHeader()
        if header is not None:
            header.setSectionResizeMode(QHeaderView.ResizeMode.Interactive)
            header.setStretchLastSection(True)
        column.addWidget(self.table, 1)
        self.run_button = button("&Run", "Segment the cases one after another, with the settings of the Segment tab.")
        self.cancel_button = button("Cancel", "Stop within a second. Finished results are kept.")
        self.run_controls = RunControls(self.run_button, self.cancel_button, "Progress of the batch.")
        self.status_label = self.run_controls.label
        self.code_box = ActionLines(self.lines)
        add_to(column, self.run_controls, self.code_box)

    def _connect(self) -> None:
        self.folder_button.clicked.connect(self._on_folder_requested)
        self.output_button.clicked.connect(self._on_output_requested)
        self.run_button.clicked.connect(self.run)
        self.cancel_button.clicked.connect(self.runner.cancel)
        self.skip_box.toggled.connect(self.code_box.refresh)
        self.table.itemActivated.connect(lambda item: self.open_case(item.row()))
        self.runner.progressed.connect(self._on_progressed)
        self.runner.finished.connect(lambda _: self._on_ended("Done: "))
        self.runner.failed.connect(self._on_failed)
        self.runner.cancelled.connect(lambda: self._on_ended("Cancelled: "))

    # Choices --------------------------------------------------------------------------------------------------------

    def show_folder(self, folder: str) -> None:
        """List the cases of a folder; the default output is a folder beside it."""
        if self.runner.running:
            return
        self.folder = folder
        if not self.output:
            self.output = str(Path(folder).with_name(f"{Path(folder).name}_{_RESULTS}"))
        self.batch = state.Batch()
        self.status_label.setText("Looking for cases…")
        self.look_runner.call(state.cases_in, Path(folder))
        self._show()

    def choose_output(self, folder: str) -> None:
        """Set the output folder."""
        self.output = folder
        self._show()

    def _on_folder_requested(self) -> None:
        folder = QFileDialog.getExistingDirectory(self, "Folder of the cases", self.folder)
        if folder:
            self.show_folder(folder)

    def _on_output_requested(self) -> None:
        folder = QFileDialog.getExistingDirectory(self, "Folder of the results", self.output)
        if folder:
            self.choose_output(folder)

    def _on_looked(self, cases: tuple[Path, ...]) -> None:
        self.batch = state.Batch.of(cases)
        self.status_label.setText(f"{len(cases)} cases.")
        self._show()

    def _on_look_failed(self, error: Exception) -> None:
        self.status_label.setText(str(error))
        self._show()

    def lines(self) -> CommandLines:
        """Return code for Run."""
        return state.lines_of(self.folder, self.output, self._settings(), skip_existing=self.skip_box.isChecked())

    # Running --------------------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Segment the cases; `runner` reports progress and outcome."""
        try:
            settings = self._settings()
        except BrainTumorError as error:
            self.status_label.setText(str(error))
            return
        obstacle = state.obstacle_of(self.batch, self.folder, self.output, settings)
        if obstacle:
            self.status_label.setText(obstacle)
            return
        self.batch = state.Batch.of(self.batch.cases)
        cases, output, skips = self.batch.cases, Path(self.output), self.skip_box.isChecked()
        steps: deque[CaseProgress] = deque()
        self._steps = steps
        worker = self._worker
        self.status_label.setText("Starting…")
        self.runner.start(
            lambda stop: state.batch_job(worker, stop, cases, output, settings, skip_existing=skips, steps=steps),
            state.expectation_of(settings, len(cases)),
        )
        self._show(running=True)

    def _on_progressed(self, progress: Progress, seconds_left: float | None) -> None:
        self._take_steps(running=True)
        words = (f"{len(self.batch.rows)} of {len(self.batch.cases)}", progress.message, time_left_text(seconds_left))
        self.run_controls.show_progress(progress, ", ".join(filter(None, words)))

    def _take_steps(self, *, running: bool) -> None:
        steps = [self._steps.popleft() for _ in range(len(self._steps))]
        touched = {step.number for step in steps}
        self.batch = self.batch.after(steps)
        for number in touched:
            self._show_row(number, running=running)

    def _on_failed(self, error: Exception) -> None:
        self._on_ended(f"{error} ")
        notify_error(error)

    def _on_ended(self, words: str) -> None:
        self._take_steps(running=False)
        self._show()
        self.status_label.setText(words + state.summary(self.batch))

    # Opening a case -------------------------------------------------------------------------------------------------

    def open_case(self, number: int) -> None:
        """Open a case with its result, or switch to it if it is open."""
        case = self.batch.cases[number]
        scan = next((layer for layer in self._viewer.layers if _lies_in(layer, case)), None)
        if scan is not None:
            self.case_wanted.emit(scan)
            return
        row: CaseRow | None = self.batch.rows.get(number)
        self.status_label.setText(f"Opening {self.batch.names[number]}…")
        self.open_runner.call(state.open_finished, row, case)

    def _on_opened(self, opened: Any) -> None:
        added = viewers.add_layers(self._viewer, opened)
        self.status_label.setText(state.summary(self.batch))
        if added:
            self.case_wanted.emit(added[0])

    # Display --------------------------------------------------------------------------------------------------------

    def _show(self, *, running: bool = False) -> None:
        self.folder_label.setText(self.folder)
        self.output_label.setText(self.output)
        enable(not running, self.folder_button, self.output_button, self.skip_box)
        self.run_button.setVisible(not running)
        self.run_button.setEnabled(bool(self.batch.cases))
        self.run_controls.show_running(running)
        self.table.setRowCount(len(self.batch.cases))
        for number in range(len(self.batch.cases)):
            self._show_row(number, running=running)
        self.code_box.refresh()

    def _show_row(self, number: int, *, running: bool) -> None:
        texts = state.row_texts(self.batch, number, running=running)
        numbers = [column for column, key in enumerate(state.COLUMNS) if key.endswith("_ml")]
        self.table.show_cells(number, [texts[key] for key in state.COLUMNS], numbers=numbers)


def _lies_in(layer: Layer, case: Path) -> bool:
    """Return whether a layer is a scan of the case."""
    tag = sequence_tag(layer)
    return tag is not None and tag.source is not None and case in (tag.source.path, *tag.source.path.parents)
