"""The Prepare panel: the raw series of an examination, the role of each, and the outcome of registration."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import napari.viewer
import numpy as np
from qtpy.QtCore import Qt, Signal  # type: ignore[attr-defined,unused-ignore]
from qtpy.QtGui import QImage, QPixmap
from qtpy.QtWidgets import QAbstractItemView, QFileDialog, QLabel

from napari_brain_tumor.plugin import reader, viewers
from napari_brain_tumor.preparation import Candidate, candidates_of
from napari_brain_tumor.preparation.pipeline import PreparationReport
from napari_brain_tumor.progress import Progress
from napari_brain_tumor.requests.prepare import PrepareRequest
from napari_brain_tumor.study import ROLES
from napari_brain_tumor.types import Labels
from napari_brain_tumor.widgets import prepare_state as state
from napari_brain_tumor.widgets.action_lines import ActionLines
from napari_brain_tumor.widgets.cell_table import CellTable
from napari_brain_tumor.widgets.closing import cancel_when_closed
from napari_brain_tumor.widgets.job_times import expectation_of, timed
from napari_brain_tumor.widgets.parts import Panel, add_to, button, check, column_in, combo, text_field
from napari_brain_tumor.widgets.run_controls import RunControls
from napari_brain_tumor.widgets.worker import JobRunner, notify_error, shared_worker, time_left_text

_NONE = "–"


class PrepareWidget(Panel):
    """Prepares a study on one grid from the raw series of an examination, and opens it."""

    SIZE = (340, 520)

    prepared = Signal(object)
    """The layers of the prepared study, which have been added to the viewer."""

    def __init__(self, napari_viewer: napari.viewer.Viewer) -> None:
        super().__init__()
        self._viewer = napari_viewer
        self._candidates: tuple[Candidate, ...] = ()
        self._series: dict[str, str] = {}
        self._view = state.SeriesView()
        self._prepares_next = False
        self._pictures: Mapping[Any, Labels] = {}
        self.headers_runner = JobRunner(self, finished=self._show_candidates, failed=self._on_failed)
        self.open_runner = JobRunner(self, finished=self._on_opened, failed=self._on_failed)
        self.runner = JobRunner(self, progressed=self._on_progress, finished=self._on_prepared, failed=self._on_failed)
        self._build()
        self.runner.hold(self.prepare_button)
        self._connect()
        cancel_when_closed(self, self.headers_runner, self.runner, self.open_runner)

    def _build(self) -> None:
        column = column_in(self)
        self.folder_button = button("Choose e&xamination…", "Folder of a DICOM study, of BIDS, or of files.")
        self.path_edit = text_field("Folder of the raw series", "The examination to prepare.", "Examination")
        add_to(column, self.folder_button, self.path_edit)
        tip = "What each series is used as, and why. Choose something else in the first column."
        self.table = CellTable(["Use as", *state.COLUMNS.values()], tip, "Series of the examination", 170)
        self.table.setSelectionMode(QAbstractItemView.SelectionMode.NoSelection)
        self.output_edit = text_field("Folder for the study", "Where the study is saved.", "Folder of the study")
        self.grid_box = check(
            "On the &reference's own grid",
            "Keep the voxels of T1c, or of the finest sequence, instead of voxels of 1 mm.",
        )
        self.bias_box = check("Correct &shading (N4)", "Remove the smooth shading that receiver coils cause.")
        self.head_box = check("&Keep the skull", "Do not extract the brain.")
        self.prepare_button = button("&Prepare", "Register the series, extract the brain, save and open the study.")
        self.cancel_button = button("Cancel", "Stop within a second; nothing is kept.")
        self.run_controls = RunControls(self.prepare_button, self.cancel_button, "Progress of the preparation.")
        self.status_label = self.run_controls.label
        self.picture_box = combo("The sequence whose checkerboard is shown.", "Checkerboard of")
        self.picture_box.hide()
        self.picture_label = QLabel()
        self.picture_label.setToolTip("Alternating fields of both scans: as scanned above, registered below.")
        self.code_box = ActionLines(lambda: state.lines_of(self.request, self.output))
        add_to(column, self.table, self.output_edit, self.grid_box, self.bias_box, self.head_box, self.run_controls)
        add_to(column, self.picture_box, self.picture_label, self.code_box)
        column.addStretch(1)

    def _connect(self) -> None:
        self.folder_button.clicked.connect(self._on_folder_requested)
        self.path_edit.editingFinished.connect(self.read_headers)
        self.prepare_button.clicked.connect(self.prepare)
        self.cancel_button.clicked.connect(self.runner.cancel)
        self.runner.cancelled.connect(lambda: self._on_ended("Cancelled."))
        self.picture_box.currentTextChanged.connect(self._show_picture)
        for box in (self.grid_box, self.bias_box, self.head_box):
            box.toggled.connect(self.code_box.refresh)
        self.output_edit.textChanged.connect(self.code_box.refresh)

    @property
    def request(self) -> PrepareRequest:
        """Return the settings of the panel."""
        return PrepareRequest(
            path=Path(self.path_edit.text()),
            series=self._series or None,
            grid="reference" if self.grid_box.isChecked() else "1mm",
            bias_correction=self.bias_box.isChecked(),
            brain="keep" if self.head_box.isChecked() else "auto",
        )

    @property
    def output(self) -> Path:
        """Folder for the study."""
        return Path(self.output_edit.text())

    def show_examination(self, path: str) -> None:
        """List the series of an examination."""
        self.path_edit.setText(path)
        self.read_headers()

    def prepare_examination(self, path: str) -> None:
        """List the series of an examination and prepare it at once, unless something has to be chosen first."""
        self._prepares_next = True
        self.show_examination(path)

    def read_headers(self) -> None:
        """List the series of the chosen folder."""
        path = Path(self.path_edit.text())
        if not self.path_edit.text().strip() or not path.exists():
            self.status_label.setText("Choose the folder of an examination first.")
            return
        self.status_label.setText("Reading the headers…")
        self.headers_runner.call(candidates_of, path)

    def prepare(self) -> None:
        """Prepare the study; `runner` reports progress and outcome."""
        if not self._candidates or self._view.problem:
            self.status_label.setText(self._view.problem or "Choose the folder of an examination first.")
            return
        request, output = self.request, self.output
        self.run_controls.show_running(True)
        # Each series is read, registered and compared with the others, so the time grows with their number.
        kind, size = "prepare", float(max(1, sum(bool(row["role"]) for row in self._view.rows)))
        self.runner.start(
            lambda stop: timed(state.prepare_job(shared_worker(), stop, request, output), kind, size),
            expectation_of(kind, size),
        )

    def choose(self, number: str, role: str) -> None:
        """Assign a role to a series; an empty role excludes the series."""
        self._series = state.after_choosing(self._view, number, role)
        self._show_view()

    def _on_folder_requested(self) -> None:
        path = QFileDialog.getExistingDirectory(self, "Examination")
        if path:
            self.show_examination(path)

    def _show_candidates(self, candidates: Sequence[Candidate]) -> None:
        self._candidates, self._series = tuple(candidates), {}
        self.output_edit.setText(str(state.free_folder(Path(self.path_edit.text()))))
        self._show_view()
        if self._prepares_next and not self._view.problem:
            self.prepare()
        self._prepares_next = False

    def _show_view(self) -> None:
        self._view = state.view_of(self._candidates, self._series)
        self.table.setRowCount(len(self._view.rows))
        for at, row in enumerate(self._view.rows):
            box = combo(f"What {row['name']} is used as.", f"Use of series {row['number']}")
            box.addItems([_NONE, *ROLES])
            box.setCurrentText(row["role"] or _NONE)
            number = row["number"]
            box.textActivated.connect(lambda text, number=number: self.choose(number, "" if text == _NONE else text))
            self.table.setCellWidget(at, 0, box)
            self.table.show_cells(at, [row[key] for key in state.COLUMNS], first=1, tip=row["why"])
        self.table.resizeColumnsToContents()
        self.status_label.setText(self._view.problem or f"{len(self._candidates)} series.")
        self.code_box.refresh()

    def _on_progress(self, progress: Progress, seconds_left: float | None) -> None:
        words = filter(None, (progress.message, time_left_text(seconds_left)))
        self.run_controls.show_progress(progress, "; ".join(words))

    def _on_prepared(self, report: PreparationReport) -> None:
        self._pictures = report.pictures
        self.picture_box.clear()
        self.picture_box.addItems(list(self._pictures))
        self.picture_box.setVisible(len(self._pictures) > 0)
        self._on_ended(state.report_text(report))
        self.open_runner.call(reader.read_path, report.folder)

    def _on_opened(self, opened: Any) -> None:
        self.prepared.emit(viewers.add_layers(self._viewer, opened))

    def _on_failed(self, error: Exception) -> None:
        self._on_ended(str(error))
        notify_error(error)

    def _on_ended(self, text: str) -> None:
        self.run_controls.show_running(False, text)

    def _show_picture(self, role: str) -> None:
        picture = self._pictures.get(role)
        if picture is None:
            self.picture_label.clear()
            return
        values = np.ascontiguousarray(picture)
        height, width = values.shape
        image = QImage(values.tobytes(), width, height, width, QImage.Format.Format_Grayscale8)
        pixmap = QPixmap.fromImage(image.copy())
        room = max(200, self.viewport().width() - 24)  # type: ignore[union-attr,unused-ignore]
        self.picture_label.setPixmap(pixmap.scaledToWidth(room, Qt.TransformationMode.SmoothTransformation))
