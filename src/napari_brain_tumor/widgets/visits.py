"""The Visits panel: the examinations of a patient, registered, compared, and written as a report."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import napari.viewer
from matplotlib.backends.backend_qtagg import FigureCanvasQTAgg
from matplotlib.figure import Figure
from napari.layers import Layer
from qtpy.QtCore import QSize, Qt, QTimer
from qtpy.QtWidgets import QFileDialog, QHBoxLayout, QLayout, QScrollArea, QVBoxLayout, QWidget

from napari_brain_tumor.errors import BrainTumorError
from napari_brain_tumor.followup.document import save_visits
from napari_brain_tumor.followup.followup import FollowUp
from napari_brain_tumor.followup.plot import draw_follow_up
from napari_brain_tumor.followup.tables import save_csv, save_json
from napari_brain_tumor.followup.visits import FoundDate
from napari_brain_tumor.inference.worker_process import WorkerProcess
from napari_brain_tumor.plugin import layers
from napari_brain_tumor.progress import Progress
from napari_brain_tumor.widgets import visits_state as state
from napari_brain_tumor.widgets.action_lines import ActionLines
from napari_brain_tumor.widgets.attention import Attention
from napari_brain_tumor.widgets.closing import cancel_when_closed
from napari_brain_tumor.widgets.layer_list_watch import single_shot
from napari_brain_tumor.widgets.parts import Fold, button, column_in, combo, flow, form, line, progress_bar, wrapped
from napari_brain_tumor.widgets.result_table import ResultTable
from napari_brain_tumor.widgets.visits_facts import FactsForm
from napari_brain_tumor.widgets.visits_table import VisitList
from napari_brain_tumor.widgets.worker import JobRunner, as_job, notify_error, shared_worker, time_left_text

__all__ = ["VisitsWidget"]


class _Curves(FigureCanvasQTAgg):
    """Curves to look at: the wheel is left to the panel, which scrolls."""

    def wheelEvent(self, event: Any) -> None:
        event.ignore()


class VisitsWidget(QScrollArea):
    """Compares the examinations of a patient: those whose labels are open as layers, and those a document names.

    Several labels of the same scans are one visit, which is measured with one of them.

    Layers are read and never altered; a checkerboard is added as a layer of its own.

    Parameters
    ----------
    napari_viewer : napari.viewer.Viewer
    worker : WorkerProcess, optional
        Where it is computed; the one of this session where none is given.
    """

    def __init__(self, napari_viewer: napari.viewer.Viewer, worker: WorkerProcess | None = None) -> None:
        super().__init__()
        self._viewer = napari_viewer
        self._worker = worker or shared_worker()
        self.entries: list[state.Entry] = []
        self.found: FollowUp | None = None
        self._document: Path | None = None
        self._registered: state.Entry | None = None
        self._attention = Attention(napari_viewer, None)
        self.runner = JobRunner(self)
        self.register_runner = JobRunner(self)
        self.open_runner = JobRunner(self)
        self.save_runner = JobRunner(self, must_finish=True)
        self._date_runner = JobRunner(self)
        self._build()
        self._connect()
        self._on_layers_changed()

    # Building -------------------------------------------------------------------------------------------------------

    def _build(self) -> None:
        column = column_in(self)
        self.list = VisitList()
        column.addWidget(self.list)
        self.details = Fold("Deta&ils", "Order and list of the visits; what is known of the selected one.", "Details")
        self.details.column.addLayout(self._build_list_buttons())
        self.details.column.addWidget(self._build_labels())
        self.facts = FactsForm()
        self.details.column.addWidget(self.facts)
        column.addWidget(self.details)
        column.addLayout(self._build_registration())
        column.addWidget(line())
        column.addLayout(self._build_comparison())
        column.addLayout(self._build_results())
        self.code_box = ActionLines(lambda: state.lines_of(self.entries, self._document))
        column.addWidget(self.code_box)
        column.addStretch(1)

    def _build_labels(self) -> QWidget:
        self.labels_part = QWidget()
        rows = form(self.labels_part)
        self.labels_box = combo(
            "Several layers hold labels of this examination: the visit is measured with this one.",
            "Labels of the visit",
        )
        rows.addRow("&Labels", self.labels_box)
        self.labels_part.hide()
        return self.labels_part

    def _build_list_buttons(self) -> QLayout:
        self.up_button = button("&Up", "Move the selected visit up. Known dates take precedence.")
        self.down_button = button("&Down", "Move the selected visit down. Known dates take precedence.")
        self.open_button = button("&Open…", "Add the visits listed in a JSON document, without opening layers.")
        self.keep_button = button("Sa&ve list…", "Write the ticked visits, dates and facts as a JSON document.")
        return flow(self.up_button, self.down_button, self.open_button, self.keep_button)

    def _build_registration(self) -> QVBoxLayout:
        column = QVBoxLayout()
        self.register_button = button(
            "&Register on baseline", "Register the selected visit on the baseline, and show both as a checkerboard."
        )
        self.accept_button = button("&Accept", "Use this registration to match the lesions.")
        self.reject_button = button("Rejec&t", "Do not use it. Sizes are still compared.")
        column.addLayout(flow(self.register_button))
        column.addLayout(flow(self.accept_button, self.reject_button))
        self.registration_label = wrapped("")
        self.registration_label.setAccessibleName("Registration")
        self.registration_label.hide()
        column.addWidget(self.registration_label)
        return column

    def _build_comparison(self) -> QVBoxLayout:
        column = QVBoxLayout()
        self.compare_button = button("&Compare visits", "Measure every ticked visit and compare it with the baseline.")
        self.cancel_button = button("Ca&ncel", "Stop within a second.")
        self.cancel_button.setEnabled(False)
        self.cancel_button.hide()
        row = QHBoxLayout()
        row.addWidget(self.compare_button, 2)
        row.addWidget(self.cancel_button, 1)
        column.addLayout(row)
        self.progress_bar = progress_bar("How far it is.")
        self.progress_bar.hide()
        column.addWidget(self.progress_bar)
        self.status_label = wrapped("")
        self.status_label.setAccessibleName("Status")
        column.addWidget(self.status_label)
        return column

    def _build_results(self) -> QVBoxLayout:
        column = QVBoxLayout()
        self.sizes = ResultTable(
            "Sizes over time",
            "Each visit is measured on its own grid. The nadir is the smallest value before the visit.",
        )
        column.addWidget(self.sizes)
        self.figure = Figure(dpi=80, layout="constrained")
        self.canvas = _Curves(self.figure)  # type: ignore[no-untyped-call]
        self.canvas.setMinimumHeight(300)
        self.canvas.setMinimumWidth(200)
        self.canvas.setToolTip("Volumes of the regions, and products of the target lesions, over the visits.")
        self.canvas.setAccessibleName("Curves over time")
        self.canvas.hide()
        column.addWidget(self.canvas)
        self.response_label = wrapped("")
        self.response_label.setAccessibleName("Response after RANO 2.0")
        self.response_label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        column.addWidget(self.response_label)
        self.report_button = button(
            "Re&port…", "Write a self-contained HTML report about the last visit and all before."
        )
        self.csv_button = button("CSV…", "Write every size of every visit as a table.")
        self.json_button = button("&JSON…", "Write all results.")
        self.export = Fold("E&xport", "Tables of all visits.", "Export")
        self.export.column.addLayout(flow(self.csv_button, self.json_button))
        column.addWidget(self.report_button)
        column.addWidget(self.export)
        self.saved_label = wrapped("")
        self.saved_label.setAccessibleName("What was saved")
        self.saved_label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.saved_label.hide()
        column.addWidget(self.saved_label)
        return column

    def _connect(self) -> None:
        self.list.used_changed.connect(self._on_used_changed)
        self.list.renamed.connect(self._on_renamed)
        self.list.date_told.connect(self._on_date_told)
        self.list.baseline_chosen.connect(self._on_baseline_chosen)
        self.list.currentCellChanged.connect(lambda *_: self._show_chosen())
        self.labels_box.activated.connect(lambda _: self._on_labels_chosen())
        self.up_button.clicked.connect(lambda: self._move(-1))
        self.down_button.clicked.connect(lambda: self._move(1))
        self.open_button.clicked.connect(self._on_open_requested)
        self.keep_button.clicked.connect(self._on_keep_requested)
        self.facts.facts_changed.connect(self._on_facts_changed)
        self.facts.refused.connect(self._say)
        self.register_button.clicked.connect(self.register)
        self.accept_button.clicked.connect(lambda: self._settle(accepted=True))
        self.reject_button.clicked.connect(lambda: self._settle(accepted=False))
        self.compare_button.clicked.connect(self.compare)
        self.cancel_button.clicked.connect(self._on_cancel_requested)
        self.report_button.clicked.connect(lambda: self._ask_place("report.html", "Report (*.html)", self.save_report))
        self.csv_button.clicked.connect(lambda: self._ask_place("visits.csv", "Table (*.csv)", self.save_table))
        self.json_button.clicked.connect(lambda: self._ask_place("visits.json", "JSON (*.json)", self.save_json))
        for runner, finished in (
            (self.runner, self._on_compared),
            (self.register_runner, self._on_registered),
            (self.open_runner, self._on_opened),
            (self.save_runner, self._on_saved),
        ):
            runner.finished.connect(finished)
            runner.progressed.connect(self._on_progress)
            runner.failed.connect(self._on_failed)
            runner.cancelled.connect(lambda: self._stand_still("Stopped."))
        self._date_runner.finished.connect(self._on_dates_found)
        self._timer = single_shot(self, self._on_layers_changed)
        events = self._viewer.layers.events
        for event in (events.inserted, events.removed, events.reordered):
            event.connect(self._on_layer_list_event)
        runners = (self.runner, self.register_runner, self.open_runner)
        cancel_when_closed(self, *runners)
        self.destroyed.connect(_farewell(self._viewer, runners, self._on_layer_list_event))

    def sizeHint(self) -> QSize:
        """Narrow enough to leave room for the canvas on a small screen."""
        return QSize(340, 560)

    # The list -------------------------------------------------------------------------------------------------------

    def _on_layer_list_event(self, event: Any = None) -> None:
        self._timer.start(0)  # once for the layers of a case

    def _on_layers_changed(self) -> None:
        before = set(map(id, self.entries))
        self.entries = state.with_layers(self.entries, self._viewer.layers)
        fresh = [entry for entry in self.entries if id(entry) not in before and entry.layer is not None]
        if fresh:
            sources = {entry.name: state.sources_of(entry, self._viewer.layers) for entry in fresh}
            self._date_runner.start(lambda _: as_job(state.dates_of, sources))
        self._show_entries()

    def _on_dates_found(self, dates: dict[str, FoundDate]) -> None:
        for entry in self.entries:
            if entry.date is None and entry.name in dates:
                entry.date = dates[entry.name]
        self._show_entries()

    def _show_entries(self) -> None:
        self.list.show_entries(self.entries)
        self._show_chosen()
        self.code_box.refresh()

    @property
    def selected_entry(self) -> state.Entry | None:
        """The visit whose row is chosen."""
        row = self.list.currentRow()
        return self.entries[row] if 0 <= row < len(self.entries) else None

    def _show_chosen(self) -> None:
        entry, baseline = self.selected_entry, state.baseline_of(self.entries)
        self._show_labels(entry)
        self.facts.show_facts(entry.name if entry else "", entry.facts if entry else state.Entry("").facts)
        busy = self.runner.running or self.register_runner.running
        can_register = entry is not None and baseline is not None and entry is not baseline and not busy
        self.register_button.setEnabled(can_register)
        waits = entry is not None and entry.registration is not None
        self.accept_button.setEnabled(waits and entry is not None and not entry.accepted)
        self.reject_button.setEnabled(waits)
        for choice in (self.accept_button, self.reject_button):
            choice.setVisible(waits)
        text = state.registration_text(entry) if entry is not None else ""
        self.registration_label.setText(text)
        self.registration_label.setVisible(bool(text))
        obstacle = state.obstacle_of(self.entries)
        self.compare_button.setEnabled(not obstacle and not busy)
        if obstacle:
            self._say(obstacle)
        for save_button in (self.report_button, self.csv_button, self.json_button):
            save_button.setEnabled(self.found is not None and not busy)

    def _show_labels(self, entry: state.Entry | None) -> None:
        results = entry.results if entry is not None else []
        self.labels_box.clear()
        for layer in results:
            self.labels_box.addItem(layer.name, layer)
        if entry is not None and entry.layer in results:
            self.labels_box.setCurrentIndex(results.index(entry.layer))
        self.labels_part.setVisible(len(results) > 1)

    def _on_labels_chosen(self) -> None:
        entry, layer = self.selected_entry, self.labels_box.currentData()
        if entry is not None and layer is not None and layer is not entry.layer:
            entry.layer = layer
            self._outdate()

    def _on_used_changed(self, row: int, used: bool) -> None:
        if self.entries[row].used != used:
            self.entries[row].used = used
            self._outdate()

    def _on_renamed(self, row: int, name: str) -> None:
        if name and name != self.entries[row].name:
            self.entries[row].name = name
            self._outdate()

    def _on_date_told(self, row: int, text: str) -> None:
        try:
            self.entries[row].tell_date(text)
        except BrainTumorError as error:
            self._say(str(error))
        else:
            self._outdate()
        QTimer.singleShot(0, self._show_entries)  # the cell is still being edited

    def _on_baseline_chosen(self, row: int, checked: bool) -> None:
        before = state.baseline_of(self.entries)
        for at, entry in enumerate(self.entries):
            entry.facts = entry.facts.model_copy(update={"baseline": checked and at == row})
        if state.baseline_of(self.entries) is not before:
            for entry in self.entries:
                entry.registration, entry.accepted = None, False
        self._outdate()
        QTimer.singleShot(0, self._show_entries)

    def _on_facts_changed(self, changes: dict[str, Any]) -> None:
        entry = self.selected_entry
        if entry is not None:
            entry.facts = entry.facts.model_copy(update=changes)
            self._assess_again()

    def _assess_again(self) -> None:
        """Facts change the response alone: what was measured and matched holds."""
        follow_up, facts = self.found, {entry.name: entry.facts for entry in self.entries}
        if follow_up is not None and not self.runner.running:
            self.runner.start(lambda _: as_job(state.assessed_again, follow_up, facts))
        self.code_box.refresh()

    def _move(self, step: int) -> None:
        row = self.list.currentRow()
        target = row + step
        if 0 <= row < len(self.entries) and 0 <= target < len(self.entries):
            self.entries[row], self.entries[target] = self.entries[target], self.entries[row]
            self.list.show_entries(self.entries)
            self.list.setCurrentCell(target, 0)
            self._outdate()

    def _outdate(self) -> None:
        """What is shown was found before this change."""
        if self.found is not None:
            self._say("Something has changed. Press Compare visits to update the results.")
        self.code_box.refresh()
        self._show_chosen()

    # Documents ------------------------------------------------------------------------------------------------------

    def _on_open_requested(self) -> None:
        path, _ = QFileDialog.getOpenFileName(self, "Visits", "", "Visits (*.json)")
        if path:
            self.open_document(Path(path))

    def open_document(self, path: Path) -> None:
        """Add the visits that a document names."""
        self._document = path
        self._begin("Opening visits…")
        self.open_runner.start(lambda _: state.opened_entries(path))

    def _on_opened(self, opened: list[state.Entry]) -> None:
        names = {entry.name for entry in opened}
        self.entries = [entry for entry in self.entries if entry.layer is not None or entry.name not in names] + opened
        self._stand_still(f"Opened {len(opened)} visits.")
        self._show_entries()

    def _on_keep_requested(self) -> None:
        self._ask_place("visits.json", "Visits (*.json)", self.save_document)

    def save_document(self, path: Path) -> None:
        """Write the ticked visits, their dates and facts."""
        try:
            save_visits(state.document_of(self.entries, self._viewer.layers), path)
        except BrainTumorError as error:
            notify_error(error)
            self._say(str(error))
            return
        self._document = path
        self._on_saved(path)
        self.code_box.refresh()

    # Registering ----------------------------------------------------------------------------------------------------

    def register(self) -> None:
        """Find how the chosen visit lies on the baseline."""
        entry, baseline = self.selected_entry, state.baseline_of(self.entries)
        if entry is None or baseline is None or entry is baseline:
            return
        self._registered, self._attention = entry, Attention.of(self._viewer)
        opened = list(self._viewer.layers)
        if not self._start_with(
            lambda: (state.gather(entry, opened), state.gather(baseline, opened)), self._start_register
        ):
            self._registered = None

    def _start_register(self, gathered: tuple[state.OpenEntry, state.OpenEntry]) -> None:
        self._begin("Registering…")
        self.register_runner.start(lambda stop: state.register_job(self._worker, stop, *gathered))

    def _on_registered(self, result: Any) -> None:
        registration, centre, board = result
        entry, self._registered = self._registered, None
        self._stand_still("")
        if entry is None or entry not in self.entries:
            return
        entry.registration, entry.centre, entry.accepted = registration, centre, False
        self._remove_boards()
        self._attention.add(layers.layer_of(board))
        self._say("Look at the checkerboard, then accept or reject.")
        self._show_entries()

    def _settle(self, *, accepted: bool) -> None:
        entry = self.selected_entry
        if entry is None:
            return
        entry.accepted = accepted and entry.registration is not None
        if not accepted:
            entry.registration = None
        self._remove_boards()
        self._outdate()
        self._show_entries()

    def _remove_boards(self) -> None:
        for layer in [board for board in self._viewer.layers if _is_board(board)]:
            self._viewer.layers.remove(layer)

    # Comparing ------------------------------------------------------------------------------------------------------

    def compare(self) -> None:
        """Measure and compare every ticked visit."""
        used = [entry for entry in self.entries if entry.used]
        accepted = {e.name: e.registration for e in used if e.registration is not None and e.accepted}
        opened = list(self._viewer.layers)

        def start(gathered: list[state.OpenEntry]) -> None:
            self._begin("Comparing…")
            self.runner.start(lambda stop: state.compare_job(self._worker, stop, gathered, accepted))

        self._start_with(lambda: [state.gather(entry, opened) for entry in used], start)

    def _on_compared(self, follow_up: FollowUp) -> None:
        self.found = follow_up
        self._stand_still("\n".join(follow_up.notes))
        self.sizes.show_table(state.size_table(follow_up))
        draw_follow_up(self.figure, follow_up)
        self.canvas.show()
        self.canvas.draw_idle()  # type: ignore[no-untyped-call]
        self.response_label.setText(f"Response after RANO 2.0\n{state.response_text(follow_up)}")
        self._show_chosen()

    # Saving ---------------------------------------------------------------------------------------------------------

    def _ask_place(self, name: str, kinds: str, save: Callable[[Path], None]) -> None:
        path, _ = QFileDialog.getSaveFileName(self, "Save", name, kinds)
        if path:
            save(Path(path))

    def save_report(self, path: Path) -> None:
        """Write the report about the last visit and all before."""
        follow_up = self.found
        if follow_up is None:
            return
        last = follow_up.visits[-1].visit
        if last.study is None:
            self._say(
                f"The scans of {last.name} are not open, and a report needs pictures. Open its case; compare again."
            )
            return
        study, segmentation, reported = last.study, last.segmentation, state.for_report(follow_up)
        self._begin("Writing the report…")
        self.save_runner.start(
            lambda stop: stop.guard(
                self._worker.run(state.REPORT_TARGET, study, segmentation, path, name=last.name, found=reported)
            )
        )

    def save_table(self, path: Path) -> None:
        """Write every size as CSV."""
        if self.found is not None:
            self.save_runner.start(lambda _, follow_up=self.found: as_job(save_csv, follow_up, path))  # type: ignore[misc]

    def save_json(self, path: Path) -> None:
        """Write all results."""
        if self.found is not None:
            self.save_runner.start(lambda _, follow_up=self.found: as_job(save_json, follow_up, path))  # type: ignore[misc]

    def _on_saved(self, path: Path) -> None:
        self._stand_still("")
        self.saved_label.setText(f"Saved {path}")
        self.saved_label.show()

    # Jobs -----------------------------------------------------------------------------------------------------------

    def _start_with(self, gather: Callable[[], Any], start: Callable[[Any], None]) -> bool:
        """Start with what could be gathered, or say why that was not possible."""
        try:
            gathered = gather()
        except BrainTumorError as error:
            notify_error(error)
            self._say(str(error))
            return False
        start(gathered)
        return True

    def _begin(self, text: str) -> None:
        self._say(text)
        self.progress_bar.setRange(0, 0)
        self.progress_bar.show()
        self.cancel_button.setEnabled(True)
        self.cancel_button.show()
        for action_button in (
            self.compare_button,
            self.register_button,
            self.report_button,
            self.csv_button,
            self.json_button,
        ):
            action_button.setEnabled(False)

    def _on_progress(self, progress: Progress, left: float | None) -> None:
        self.progress_bar.setRange(0, 1000)
        self.progress_bar.setValue(round(1000 * progress.fraction))
        if progress.message:
            self._say(" ".join(filter(None, (f"{progress.message}…", time_left_text(left)))))

    def _on_cancel_requested(self) -> None:
        for runner in (self.runner, self.register_runner, self.open_runner, self.save_runner):
            runner.cancel()

    def _on_failed(self, error: Exception) -> None:
        notify_error(error)
        self._stand_still(str(error))

    def _stand_still(self, text: str) -> None:
        self.progress_bar.hide()
        self.cancel_button.setEnabled(False)
        self.cancel_button.hide()
        self._say(text)
        QTimer.singleShot(0, self._show_chosen)  # the runner's thread ends a moment after its last signal

    def _say(self, text: str) -> None:
        self.status_label.setText(text)
        self.status_label.setVisible(bool(text))


def _is_board(layer: Layer) -> bool:
    return bool(layer.metadata.get(layers.MAP_KEY) == state.BOARD)


def _farewell(viewer: Any, runners: tuple[JobRunner, ...], on_list: Callable[..., None]) -> Callable[..., None]:
    """What stops the jobs and cuts the ties to the viewer when the panel is gone."""

    def leave(*_: Any) -> None:
        for runner in runners:
            runner.cancel()
        events = viewer.layers.events
        for event in (events.inserted, events.removed, events.reordered):
            event.disconnect(on_list)

    return leave
