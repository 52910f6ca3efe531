"""The part of the Visits panel that shows the results of a comparison, and saves them."""

from collections.abc import Callable
from pathlib import Path

from qtpy.QtCore import Signal  # type: ignore[attr-defined,unused-ignore]
from qtpy.QtWidgets import QFileDialog, QWidget

from napari_brain_tumor.followup.followup import FollowUp
from napari_brain_tumor.followup.plot import draw_follow_up
from napari_brain_tumor.followup.tables import save_csv, save_json
from napari_brain_tumor.inference.worker_process import WorkerProcess
from napari_brain_tumor.widgets import visits_state as state
from napari_brain_tumor.widgets.curves import CurvesCanvas
from napari_brain_tumor.widgets.parts import Fold, add_to, button, column_of, enable, flow, selectable
from napari_brain_tumor.widgets.result_table import ResultTable
from napari_brain_tumor.widgets.worker import JobRunner


class VisitsResults(QWidget):
    """Sizes and curves over time, the response, and their export as report, table and JSON.

    Parameters
    ----------
    worker : WorkerProcess
        Process in which the report is written.
    """

    started = Signal(str)
    """`save_runner` has started a longer job; its name."""
    message = Signal(str)
    """A message for the user."""

    def __init__(self, worker: WorkerProcess) -> None:
        super().__init__()
        self._worker = worker
        self.follow_up: FollowUp | None = None
        """The comparison that is shown."""
        self.save_runner = JobRunner(self, must_finish=True, finished=self.show_saved)
        column = column_of(self)
        self.sizes = ResultTable(
            "Sizes over time",
            "Each visit is measured on its own grid. The nadir is the smallest value before the visit.",
        )
        self.canvas = CurvesCanvas(
            "Volumes of the regions, and products of the target lesions, over the visits.", "Curves over time", 300
        )
        self.canvas.hide()
        self.response_label = selectable("Response according to RANO 2.0")
        self.report_button = button(
            "Re&port…", "Write a self-contained HTML report on the last visit and all earlier ones."
        )
        self.csv_button = button("CSV…", "Write every size of every visit as a table.")
        self.json_button = button("&JSON…", "Write all results.")
        self.export = Fold("E&xport", "Tables of all visits.", "Export")
        self.export.column.addLayout(flow(self.csv_button, self.json_button))
        self.saved_label = selectable("What was saved")
        self.saved_label.hide()
        add_to(column, self.sizes, self.canvas, self.response_label, self.report_button, self.export, self.saved_label)
        self.report_button.clicked.connect(lambda: ask_path(self, "report.html", "Report (*.html)", self.save_report))
        self.csv_button.clicked.connect(lambda: ask_path(self, "visits.csv", "Table (*.csv)", self.save_table))
        self.json_button.clicked.connect(lambda: ask_path(self, "visits.json", "JSON (*.json)", self.save_json))

    def show_follow_up(self, follow_up: FollowUp) -> None:
        """Show the results of a comparison."""
        self.follow_up = follow_up
        self.sizes.show_table(state.size_table(follow_up))
        draw_follow_up(self.canvas.figure, follow_up)
        self.canvas.show()
        self.canvas.draw_idle()  # type: ignore[no-untyped-call]
        self.response_label.setText(f"Response according to RANO 2.0\n{state.response_text(follow_up)}")

    def let_save(self, can_save: bool) -> None:
        """Enable saving if there is something to save and nothing else is running."""
        enable(can_save and self.follow_up is not None, self.report_button, self.csv_button, self.json_button)

    def save_report(self, path: Path) -> None:
        """Write a report on the last visit and all previous ones."""
        if self.follow_up is None:
            return
        last = self.follow_up.visits[-1].visit
        if last.study is None:
            self.message.emit(
                f"The scans of {last.name} are not open, and a report needs pictures. Open its case; compare again."
            )
            return
        study, segmentation, reported = last.study, last.segmentation, state.for_report(self.follow_up)
        self.started.emit("Writing the report…")
        self.save_runner.start(
            lambda stop: stop.guard(
                self._worker.run(state.REPORT_TARGET, study, segmentation, path, name=last.name, found=reported)
            )
        )

    def save_table(self, path: Path) -> None:
        """Save all sizes as CSV."""
        self._save(save_csv, path)

    def save_json(self, path: Path) -> None:
        """Save all results as JSON."""
        self._save(save_json, path)

    def _save(self, write: Callable[[FollowUp, Path], Path], path: Path) -> None:
        follow_up = self.follow_up
        if follow_up is not None:
            self.save_runner.call(write, follow_up, path)

    def show_saved(self, path: Path) -> None:
        """Show what was saved."""
        self.saved_label.setText(f"Saved {path}")
        self.saved_label.show()


def ask_path(parent: QWidget, name: str, kinds: str, save: Callable[[Path], None]) -> None:
    path, _ = QFileDialog.getSaveFileName(parent, "Save", name, kinds)
    if path:
        save(Path(path))
