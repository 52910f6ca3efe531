"""The part of the Measure panel in which measurements are copied and saved."""

from pathlib import Path

from qtpy.QtCore import Signal  # type: ignore[attr-defined,unused-ignore]
from qtpy.QtWidgets import QWidget

from napari_brain_tumor.io.atomic import write_text
from napari_brain_tumor.measure.examination import Examination
from napari_brain_tumor.measure.tables import examinations_csv, examinations_json
from napari_brain_tumor.widgets.parts import Fold, button, copy_text, flow
from napari_brain_tumor.widgets.questions import ask_target
from napari_brain_tumor.widgets.worker import JobRunner, notify, notify_error


class MeasureExport(Fold):
    """Copies the table of an examination, and saves it as CSV or JSON.

    Parameters
    ----------
    *others : QWidget
        Widgets to place beside its buttons.
    """

    message = Signal(str)
    """A message for the status line."""

    def __init__(self, *others: QWidget) -> None:
        super().__init__("E&xport", "Copy or save the table; reset the lines.", "Export")
        self._examination: Examination | None = None
        self.runner = JobRunner(self, must_finish=True, finished=notify, failed=notify_error)
        self.copy_button = button("Copy &table", "Copy all rows to the clipboard, for a spreadsheet.")
        self.csv_button = button("CSV…", "Save a tidy table: a row for each class, region and lesion.")
        self.json_button = button("JSON…", "Save everything, with settings and both ends of every line.")
        self._buttons = self.copy_button, self.csv_button, self.json_button
        self.csv_button.setAccessibleName("Save CSV")
        self.json_button.setAccessibleName("Save JSON")
        self.column.addLayout(flow(*self._buttons, *others))
        self.copy_button.clicked.connect(self.copy_table)
        self.csv_button.clicked.connect(lambda: self._on_save_requested("CSV", ".csv"))
        self.json_button.clicked.connect(lambda: self._on_save_requested("JSON", ".json"))

    def show_examination(self, examination: Examination | None) -> None:
        """Enable copying and saving of these measurements."""
        self._examination = examination
        for export_button in self._buttons:
            export_button.setEnabled(examination is not None)

    def copy_table(self) -> None:
        """Copy all rows to the clipboard as tab-separated text."""
        if self._examination is not None:
            copy_text(examinations_csv([self._examination], "\t"))
            self.message.emit("Copied the table.")

    def _on_save_requested(self, what: str, suffix: str) -> None:
        if self._examination is not None:
            name = f"{self._examination.name}_measured{suffix}"
            path = ask_target(self, f"Save {what}", name, f"{what} (*{suffix})", (suffix,))
            if path is not None:
                self.save(path)

    def save(self, path: Path) -> None:
        """Save the measurements as CSV or JSON, depending on the suffix."""
        if self._examination is not None:
            make = examinations_json if path.suffix.lower() == ".json" else examinations_csv
            text = make([self._examination])
            self.runner.call(_write, path, text)


def _write(path: Path, text: str) -> str:
    write_text(path, text)
    return f"Saved {path}."
