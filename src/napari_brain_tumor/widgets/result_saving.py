"""Saving the labels that the Segment panel shows: format, label numbers, path."""

from collections.abc import Callable, Mapping
from typing import Any

from napari.layers import Layer
from qtpy.QtCore import Signal  # type: ignore[attr-defined,unused-ignore]
from qtpy.QtWidgets import QFileDialog, QInputDialog, QWidget

from napari_brain_tumor.errors import BrainTumorError
from napari_brain_tumor.label_schemas import SCHEMAS
from napari_brain_tumor.plugin.layers import case_of
from napari_brain_tumor.widgets import result_files
from napari_brain_tumor.widgets.label_journal import SavePoint, start_journal
from napari_brain_tumor.widgets.parts import add_to, button, column_of, combo, offer, selectable, show_text
from napari_brain_tumor.widgets.questions import ask_target
from napari_brain_tumor.widgets.result_view import ResultView
from napari_brain_tumor.widgets.saved_files import remember_saved
from napari_brain_tumor.widgets.worker import JobRunner, notify, notify_error


class ResultSaving(QWidget):
    """Saves the current result; the boxes for format and label numbers are placed among the settings.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
    """

    saved = Signal()
    """Labels were saved; `path` is where."""

    def __init__(self, viewer: Any, result: ResultView) -> None:
        super().__init__()
        self._viewer, self._result = viewer, result
        self._when_saved: Callable[[], None] = lambda: None
        self.path = ""
        self.runner = JobRunner(self, must_finish=True, finished=self._on_saved, failed=self._on_failed)
        self._build()
        result.changed.connect(self._on_result_changed)
        self.button.clicked.connect(self._on_requested)
        self.runner.hold(self.button)

    def _build(self) -> None:
        column = column_of(self)
        self.button = button(
            "&Save…",
            "Save the selected labels on the scan's own grid; the file is read back and verified.",
        )
        self.button.setEnabled(False)
        self.label = selectable("What was saved")
        add_to(column, self.button, self.label)
        self.label.hide()
        self.schema_box = combo("Which integers are written: each data set uses its own.", "File labels")
        offer(self.schema_box, [(name, name, result_files.schema_meanings(name)) for name in SCHEMAS])
        self.format_box = combo("The file format to save in.", "File format")
        offer(self.format_box, [(file_format.label, file_format) for file_format in result_files.FORMATS])

    def _on_result_changed(self, layer: Layer | None) -> None:
        self._show_text("")
        self.button.setEnabled(layer is not None)
        if layer is not None:
            self.format_box.setCurrentIndex(
                result_files.FORMATS.index(result_files.default_format(result_files.layout_of(layer)))
            )

    def _on_requested(self) -> None:
        if self._result.layer is None:
            return
        file_format: result_files.Format = self.format_box.currentData()
        path = self._ask_where(file_format)
        more = self._ask_more(file_format) if path else None
        if more is not None:
            self.save(path, more)

    def _ask_where(self, file_format: result_files.Format) -> str:
        if not file_format.suffix:
            return str(QFileDialog.getExistingDirectory(self, f"Folder for {file_format.label}"))
        layer, suffix = self._result.layer, file_format.suffix
        assert layer is not None
        name = f"{case_of(layer)}_segmentation{suffix}"
        path = ask_target(self, "Save segmentation", name, f"{file_format.label} (*{suffix})", (suffix,))
        return "" if path is None else str(path)

    def _ask_more(self, file_format: result_files.Format) -> dict[str, str] | None:
        """Return what the format needs besides the path; None if the user does not provide it."""
        try:
            needed = result_files.still_needed(*self._result.views(), file_format)
        except BrainTumorError:  # saving will report it
            return {}
        if not needed:
            return {}
        if needed == "source":
            entered = str(QFileDialog.getExistingDirectory(self, "Folder of the DICOM series that the labels lie on"))
        else:
            entered, _ = QInputDialog.getText(self, "Save segmentation", "Subject of the data set, such as 01")
        return {needed: entered} if entered else None

    def save(self, path: str, more: Mapping[str, str] | None = None) -> None:
        """Save the current labels with the chosen schema; `more` are arguments that the format needs."""
        layer = self._result.layer
        if layer is None:
            return
        labels_view, references = self._result.views()
        schema, point = self.schema_box.currentData(), start_journal(self._viewer).save_point(layer)
        file_format: result_files.Format = self.format_box.currentData()
        # A path with another suffix determines its format itself.
        name = file_format.name if path.lower().endswith(file_format.suffix) else None
        remembers = file_format.labels or name is None
        self._when_saved = lambda: self._remember(layer, path, schema, point) if remembers else None
        self._show_text("Saving…")
        self.runner.call(result_files.save_layer, labels_view, references, path, schema, name, more)

    def _remember(self, layer: Layer, path: str, schema: str, point: SavePoint) -> None:
        remember_saved(layer, path, schema)
        start_journal(self._viewer).mark_saved(point)
        self.path = path
        self.saved.emit()

    def _show_text(self, text: str) -> None:
        show_text(self.label, text)

    def _on_saved(self, message: str) -> None:
        self._when_saved()
        self._show_text(message)
        notify(message)

    def _on_failed(self, error: Exception) -> None:
        self._show_text(f"Not saved. {error}")
        notify_error(error)
