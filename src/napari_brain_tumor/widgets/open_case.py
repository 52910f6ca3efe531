"""The Open case panel: for files that lack information, and formats that napari would open with other plugins."""

from collections.abc import Sequence
from pathlib import Path

import napari.viewer
from qtpy.QtWidgets import QFileDialog, QVBoxLayout, QWidget

from napari_brain_tumor.errors import RoleError, SpacingUnknownError
from napari_brain_tumor.io import Series
from napari_brain_tumor.label_schemas import SCHEMAS
from napari_brain_tumor.plugin import viewers
from napari_brain_tumor.plugin.default_reader import make_default_reader, remember_offer
from napari_brain_tumor.plugin.layers import LayerData
from napari_brain_tumor.requests.opening import ViewRequest
from napari_brain_tumor.study import ROLES
from napari_brain_tumor.widgets.action_lines import ActionLines
from napari_brain_tumor.widgets.activation import prepare
from napari_brain_tumor.widgets.drop_target import DropTarget
from napari_brain_tumor.widgets.open_state import open_case, open_lines, role_options, series_at, spacing_of
from napari_brain_tumor.widgets.parts import (
    Panel,
    add_to,
    button,
    column_in,
    column_of,
    combo,
    flow,
    form,
    offer,
    text_field,
    wrapped,
)
from napari_brain_tumor.widgets.reader_offer import offer_after_opening
from napari_brain_tumor.widgets.result_files import schema_meanings
from napari_brain_tumor.widgets.series_table import SeriesTable
from napari_brain_tumor.widgets.worker import JobRunner, notify, notify_error

_BY_NAME = "as its name says"
_FILES = "Scans and segmentations (*.nii *.nii.gz *.nrrd *.nhdr *.mha *.mhd *.hdr *.tif *.tiff *.dcm);;All files (*)"


class OpenCaseWidget(DropTarget, Panel):
    """Opens an examination or a segmentation, and asks for what its files do not specify."""

    SIZE = (320, 460)

    def __init__(self, napari_viewer: napari.viewer.Viewer) -> None:
        super().__init__()
        self._viewer = napari_viewer
        self.runner = JobRunner(self, finished=self._on_opened, failed=self._on_failed)
        self._options_runner = JobRunner(self, finished=self._show_options, failed=notify_error)
        self._series_runner = JobRunner(self, finished=self._show_series, failed=self._on_failed)
        self._options: list[tuple[str, str | int]] = []
        self._build()
        self._connect()
        self.setAcceptDrops(True)
        prepare(napari_viewer)
        offer_after_opening(napari_viewer)

    def _build(self) -> None:
        column = column_in(self)
        self._build_path(column)
        self._build_series(column)
        self._build_roles(column)
        self._build_details(column)
        self.open_button = button("&Open", "Open it as layers. An empty viewer is turned to the radiological view.")
        self.runner.hold(self.open_button)
        self.status_label = wrapped("")
        self.code_box = ActionLines(lambda: open_lines(self.request))
        add_to(column, self.open_button, self.status_label, self.code_box)
        column.addStretch(1)
        self.default_button = button(
            "&Always open such files this way",
            "For .nii.gz, .nii, .nrrd, .mha and folders napari asks each time which plugin to use; its own cannot read "
            "all of them.\nThis chooses Brain Tumor from now on. Undo it in Preferences > Plugins.",
        )
        column.addWidget(self.default_button)

    def _build_path(self, column: QVBoxLayout) -> None:
        self.folder_button = button("Choose fol&der…", "A case folder: one file per sequence, TIFF slices, or DICOM.")
        self.file_button = button("Choose &file…", "One file: a sequence, a 4D file, a TIFF, or a segmentation.")
        hint = "File or case folder; or drop it on this panel"
        self.path_edit = text_field(hint, "The file or case folder to open.", "Path")
        self.path_edit.setAcceptDrops(False)  # otherwise it would insert the path of a dropped file as text
        add_to(column, flow(self.folder_button, self.file_button), self.path_edit)

    def _build_series(self, column: QVBoxLayout) -> None:
        self.series_button = button(
            "Choose &series…", "List the DICOM series of the folder, to choose which one is which sequence."
        )
        self.series_panel = QWidget()
        inside = column_of(self.series_panel)
        inside.addWidget(wrapped("Choose what each series is used as; the rest are left out. Then press Open."))
        self.series_table = SeriesTable()
        inside.addWidget(self.series_table)
        self.series_panel.hide()
        add_to(column, self.series_button, self.series_panel)

    def _build_roles(self, column: QVBoxLayout) -> None:
        self.roles_panel = QWidget()
        rows = form(self.roles_panel)
        rows.addRow(wrapped("The names do not say which scan is which. Choose:"))
        self.role_boxes = {role: combo(f"Which file or volume is {role}.", f"File of {role}") for role in ROLES}
        for role, box in self.role_boxes.items():
            rows.addRow(role, box)
        self.roles_panel.hide()
        column.addWidget(self.roles_panel)

    def _build_details(self, column: QVBoxLayout) -> None:
        rows = form()
        self.spacing_edit = text_field(
            "x y z in mm",
            "Voxel size in millimetres along x, y and z, for example 0.94 0.94 5.\n"
            "Only for TIFF and other files that do not state it; otherwise leave it empty.",
            "Voxel size",
        )
        rows.addRow("&Voxel size", self.spacing_edit)
        self.schema_box = combo("What the numbers of a segmentation mean.", "Labels mean")
        offer(self.schema_box, [(_BY_NAME, None), *((name, name, schema_meanings(name)) for name in SCHEMAS)])
        rows.addRow("&Labels mean", self.schema_box)
        column.addLayout(rows)

    def _connect(self) -> None:
        self.folder_button.clicked.connect(self._on_folder_requested)
        self.file_button.clicked.connect(self._on_file_requested)
        self.path_edit.textChanged.connect(self._on_path_changed)
        self.path_edit.returnPressed.connect(self.open)
        self.open_button.clicked.connect(self.open)
        self.default_button.clicked.connect(self._on_default_requested)
        self.series_button.clicked.connect(self._on_series_requested)
        self.series_table.changed.connect(self.code_box.refresh)
        for changed in (self.path_edit.textChanged, self.spacing_edit.textChanged):
            changed.connect(self.code_box.refresh)
        for box in (self.schema_box, *self.role_boxes.values()):
            box.currentIndexChanged.connect(self.code_box.refresh)

    @property
    def request(self) -> ViewRequest:
        """Return the settings of the panel; raises `SpacingUnknownError` if the voxel size cannot be parsed."""
        spacing = spacing_of(self.spacing_edit.text())
        picks = self.series_table.picks if not self.series_panel.isHidden() else {}
        roles = {role: box.currentData() for role, box in self.role_boxes.items() if box.currentData() is not None}
        return ViewRequest(
            path=Path(self.path_edit.text()),
            roles=roles or None,
            spacing_mm=spacing,
            schema_name=self.schema_box.currentData(),
            series=picks or None,
        )

    def open(self) -> None:
        """Open the chosen path; `runner` reports progress and outcome."""
        if not self.path_edit.text().strip():
            self.status_label.setText("Choose a file or a folder first.")
            return
        try:
            request = self.request
        except SpacingUnknownError as error:
            self.status_label.setText(str(error))
            return
        self.status_label.setText("Opening…")
        self.runner.call(open_case, request)

    def _on_folder_requested(self) -> None:
        self.open_path(QFileDialog.getExistingDirectory(self, "Case folder"))

    def _on_file_requested(self) -> None:
        path, _ = QFileDialog.getOpenFileName(self, "Scan or segmentation", "", _FILES)
        self.open_path(path)

    def open_path(self, path: str) -> None:
        """Open a file or folder, asking for missing details."""
        if path:
            self.path_edit.setText(path)
            self.open()

    def _on_path_changed(self) -> None:
        self._show_options([])
        self.series_panel.hide()

    def _on_series_requested(self) -> None:
        path = Path(self.path_edit.text())
        if not path.exists() or path == Path():
            self.status_label.setText("Choose a file or a folder first.")
            return
        self.status_label.setText("Reading the headers…")
        self._series_runner.call(series_at, path)

    def _show_series(self, series: Sequence[Series]) -> None:
        self.series_table.show_series(series)
        self.series_panel.setVisible(bool(series))
        self.status_label.setText(
            f"{len(series)} DICOM series." if series else "There is no DICOM series to choose from."
        )

    def _on_opened(self, opened: Sequence[LayerData]) -> None:
        added = viewers.add_layers(self._viewer, opened)
        self.status_label.setText("Opened " + ", ".join(layer.name for layer in added) + ".")

    def _on_failed(self, error: Exception) -> None:
        self.status_label.setText(str(error))
        path = Path(self.path_edit.text())
        of_dicom = "--series" in str(error)
        if isinstance(error, RoleError) and of_dicom and self.series_panel.isHidden():
            self.status_label.setText("The headers do not say which series is which sequence. Choose:")
            self._series_runner.call(series_at, path)
        elif isinstance(error, RoleError) and not of_dicom and not self._options:
            self._options_runner.call(role_options, path)
        else:
            notify_error(error)

    def _show_options(self, options: Sequence[tuple[str, str | int]]) -> None:
        self._options = list(options)
        for box in self.role_boxes.values():
            offer(box, [("none", None), *options])
        self.roles_panel.setVisible(bool(options))

    def _on_default_requested(self) -> None:
        make_default_reader(folders=True)
        remember_offer()
        notify("napari opens .nii.gz, .nii, .nrrd and .mha files and folders with Brain Tumor from now on.")
