"""The Import page of the data set: choose a labelled folder, check how it is interpreted, and add its cases."""

from collections.abc import Callable
from dataclasses import replace
from typing import Final

from qtpy.QtCore import Signal  # type: ignore[attr-defined,unused-ignore]
from qtpy.QtWidgets import QComboBox, QFileDialog, QVBoxLayout, QWidget

from napari_brain_tumor.dataset import CuratedDataset
from napari_brain_tumor.dataset.imports import ImportReport
from napari_brain_tumor.errors import SpacingUnknownError
from napari_brain_tumor.label_schemas import SCHEMAS
from napari_brain_tumor.progress import Progress
from napari_brain_tumor.requests.lines import CommandLines
from napari_brain_tumor.study import ROLES, Role
from napari_brain_tumor.widgets import import_state as state
from napari_brain_tumor.widgets.action_lines import ActionLines
from napari_brain_tumor.widgets.cell_table import CellTable
from napari_brain_tumor.widgets.parts import Fold, add_to, button, check, combo, form, offer, text_field, wrapped
from napari_brain_tumor.widgets.result_files import schema_meanings
from napari_brain_tumor.widgets.run_controls import RunControls
from napari_brain_tumor.widgets.worker import JobRunner, notify_error, time_left_text

_NONE: Final = "none"
_INTRODUCTION: Final = "Scans and labels are found by their names. They are copied; the folder stays as it is."


class ImportPage(QWidget):
    """Imports the cases of a labelled folder into the open data set.

    Parameters
    ----------
    dataset : callable
        Returns the open data set, or None.
    """

    imported = Signal()
    """Cases have been added."""
    changed = Signal()
    """What would be imported has changed."""

    def __init__(self, dataset: Callable[[], CuratedDataset | None]) -> None:
        super().__init__()
        self._dataset = dataset
        self.choices = state.ImportChoices()
        self.contents = state.Contents()
        self.report: ImportReport | None = None
        self.look_runner = JobRunner(
            self, progressed=self._on_progressed, finished=self._on_looked, failed=self._on_look_failed
        )
        self.runner = JobRunner(self, must_finish=True)
        self._build()
        self._connect()
        self.refresh()

    def _build(self) -> None:
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 4, 0, 0)
        self.folder_button = button(
            "Choose &folder…",
            "A folder of labelled cases: BraTS, Decathlon, nnU-Net, Kaggle LGG, LGG-1p19q, or others.",
        )
        self.text_label = wrapped(_INTRODUCTION, "What the folder holds")
        add_to(column, self.folder_button, self.text_label)
        tip = "How each case is understood. One case of each layout of files was opened to find out."
        self.table = CellTable(state.COLUMNS.values(), tip, "Cases of the folder", 140)
        self.table.fit_columns()
        column.addWidget(self.table, 1)
        self.more = Fold(
            "Se&quences and labels",
            "Which file is which sequence, what the numbers of the labels mean, where the files are.",
            "Sequences and labels of the folder",
        )
        self._build_choices()
        self.import_button = button("&Import", "Copy the cases into the data set. Those that it has are skipped.")
        self.cancel_button = button("Cancel", "Stop after the current case; cases already added stay.")
        self.run_controls = RunControls(self.import_button, self.cancel_button, "Progress of the import.")
        self.run_controls.label.hide()  # already shown in the text above
        add_to(column, self.more, self.run_controls)

    def _build_choices(self) -> None:
        rows = form()
        self.schema_box = combo("What the numbers of the labels mean, in all cases.", "Labels mean")
        schemas = [(f"{name} ({schema_meanings(name)})", name) for name in SCHEMAS]
        offer(self.schema_box, [("as the names and files say", ""), *schemas])
        rows.addRow("Labels &mean", self.schema_box)
        self.role_boxes: dict[Role, QComboBox] = {}
        for role in ROLES:
            self.role_boxes[role] = combo(
                f"Which file or volume is {role}: of the first case, and of all that have one of such a name.",
                f"File of {role}",
            )
            rows.addRow(role, self.role_boxes[role])
        self.spacing_edit = text_field(
            "x y z in mm", "Only for files that do not state it, such as TIFF.", "Voxel size"
        )
        rows.addRow("&Voxel size", self.spacing_edit)
        self.images_edit = text_field(
            "recognised", "Where the images are, such as {case}/{case}_{role}.nii.gz. Goes with Labels.", "Images"
        )
        rows.addRow("Ima&ges", self.images_edit)
        self.labels_edit = text_field(
            "recognised", "Where the labels are, such as {case}/{case}_truth.nii.gz.", "Labels"
        )
        rows.addRow("La&bels", self.labels_edit)
        self.accepted_box = check(
            "The labels were checked: &accept them",
            "The cases can be used for training at once. Otherwise they wait for your decision.",
        )
        rows.addRow("", self.accepted_box)
        self.more.column.addLayout(rows)

    def _connect(self) -> None:
        self.folder_button.clicked.connect(self._on_folder_requested)
        self.schema_box.activated.connect(self._on_chosen)
        for box in self.role_boxes.values():
            box.activated.connect(self._on_roles_chosen)
        for edit in (self.spacing_edit, self.images_edit, self.labels_edit):
            edit.editingFinished.connect(self._on_chosen)
        self.accepted_box.toggled.connect(self._on_accepted)
        self.import_button.clicked.connect(self.import_cases)
        self.cancel_button.clicked.connect(self.runner.cancel)
        self.runner.progressed.connect(self._on_progressed)
        self.runner.finished.connect(self._on_imported)
        self.runner.failed.connect(self._on_failed)
        self.runner.cancelled.connect(lambda: self._on_ended("Cancelled. Cases already added stay."))

    def show_folder(self, folder: str) -> None:
        """Show what a folder contains, judging by names and files."""
        self.choices = state.ImportChoices(folder, accepted=self.choices.accepted)
        for edit in (self.spacing_edit, self.images_edit, self.labels_edit):
            edit.clear()
        self.schema_box.setCurrentIndex(0)
        self.look()

    def look(self) -> None:
        """Examine the chosen folder again; `look_runner` reports progress and outcome."""
        if not self.choices.folder or self.runner.running:
            return
        self.report = None
        self.text_label.setText(f"Looking at {self.choices.folder}…")
        self.import_button.setEnabled(False)
        choices = self.choices
        self.look_runner.start(lambda _: state.look(choices))

    def import_cases(self) -> None:
        """Add the cases to the data set; `runner` reports progress and outcome."""
        dataset = self._dataset()
        if dataset is None or not self.contents.previews:
            return
        folder, choices = dataset.folder, self.choices
        self.import_button.hide()
        self.run_controls.show_running(True)
        self.runner.start(lambda _: state.import_job(folder, choices))

    def refresh(self) -> None:
        """Update the page."""
        view = state.resolve(self.contents, self.report, has_dataset=self._dataset() is not None)
        if view.rows:
            self.text_label.setText(state.report_text(self.report) if self.report is not None else view.text)
        self._show_rows(view)
        if view.asks:
            self.more.toggle.setChecked(True)
        self.show_readiness()
        self.changed.emit()

    def show_readiness(self) -> None:
        """Show whether anything can be imported into the open data set now."""
        view = state.resolve(self.contents, self.report, has_dataset=self._dataset() is not None)
        self.import_button.setText(view.button)
        self.import_button.setEnabled(not view.obstacle)
        tip = "Copy the cases into the data set. Those that it has are skipped."
        self.import_button.setToolTip(view.obstacle or tip)

    def _show_rows(self, view: state.ImportView) -> None:
        self.table.setRowCount(len(view.rows))
        for at, row in enumerate(view.rows):
            self.table.show_cells(at, [row[key] for key in state.COLUMNS])

    def _show_places(self) -> None:
        chosen = state.chosen_places(self.contents)
        for role, box in self.role_boxes.items():
            offer(box, [(_NONE, None), *self.contents.places.items()])
            box.setCurrentText(chosen.get(role, _NONE))

    def _on_folder_requested(self) -> None:
        folder = QFileDialog.getExistingDirectory(self, "Folder of labelled cases", self.choices.folder)
        if folder:
            self.show_folder(folder)

    def _on_chosen(self) -> None:
        choices = replace(
            self.choices,
            schema=self.schema_box.currentData(),
            spacing=self.spacing_edit.text().strip(),
            images=self.images_edit.text().strip(),
            labels=self.labels_edit.text().strip(),
        )
        if bool(choices.images) != bool(choices.labels):
            self.text_label.setText("Give both patterns: one for the images and one for the labels.")
            return
        if choices != self.choices:
            self.choices = choices
            self.look()

    def _on_roles_chosen(self) -> None:
        places = {role: box.currentData() for role, box in self.role_boxes.items()}
        self.choices = replace(self.choices, roles={role: at for role, at in places.items() if at is not None})
        self.look()

    def _on_accepted(self, accepted: bool) -> None:
        self.choices = replace(self.choices, accepted=accepted)
        self.changed.emit()

    def _on_looked(self, contents: state.Contents) -> None:
        self.contents = contents
        self._show_places()
        self.refresh()

    def _on_look_failed(self, error: Exception) -> None:
        self.contents = state.Contents()
        self.refresh()
        self.text_label.setText(str(error))
        if not isinstance(error, SpacingUnknownError):
            self.more.toggle.setChecked(True)  # the patterns in there describe other file names than the known ones

    def _on_progressed(self, progress: Progress, seconds_left: float | None) -> None:
        words = (f"{progress.done:g} of {progress.total:g}", progress.message, time_left_text(seconds_left))
        self.run_controls.show_progress(progress)
        self.text_label.setText(", ".join(filter(None, words)))

    def _on_imported(self, report: ImportReport) -> None:
        self.report = report
        self._on_ended(state.report_text(report))

    def _on_failed(self, error: Exception) -> None:
        self._on_ended(str(error))
        notify_error(error)

    def _on_ended(self, text: str) -> None:
        self.run_controls.show_running(False)
        self.import_button.show()
        self.refresh()
        self.text_label.setText(text)
        self.imported.emit()

    def show_code_in(self, box: ActionLines) -> None:
        """Let a box show code for Import while this page is visible."""
        if self.isVisible():
            box.show_action(self.lines)

    def lines(self) -> CommandLines:
        """Return code for Import."""
        return state.lines_of(self._dataset(), self.choices)
