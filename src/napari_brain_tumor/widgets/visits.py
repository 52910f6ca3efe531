"""The Visits panel: register and compare the examinations of a patient, and write a report."""

from pathlib import Path
from typing import Any

import napari.viewer
from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QFileDialog, QVBoxLayout

from napari_brain_tumor.errors import BrainTumorError
from napari_brain_tumor.followup.document import save_visits
from napari_brain_tumor.followup.followup import FollowUp
from napari_brain_tumor.inference.worker_process import WorkerProcess
from napari_brain_tumor.plugin import layers
from napari_brain_tumor.progress import Progress
from napari_brain_tumor.widgets import visit_entries
from napari_brain_tumor.widgets import visits_state as state
from napari_brain_tumor.widgets.action_lines import ActionLines
from napari_brain_tumor.widgets.attention import Attention
from napari_brain_tumor.widgets.closing import cancel_when_closed, when_gone
from napari_brain_tumor.widgets.parts import Panel, add_to, button, column_in, flow, line, show_text, wrapped
from napari_brain_tumor.widgets.run_controls import RunControls
from napari_brain_tumor.widgets.visits_editor import VisitsEditor
from napari_brain_tumor.widgets.visits_results import VisitsResults, ask_path
from napari_brain_tumor.widgets.worker import JobRunner, notify_error, shared_worker, time_left_text


class VisitsWidget(Panel):
    """Compares the examinations of a patient over time.

    Layers are read and never changed; a checkerboard is added as a new layer.

    Parameters
    ----------
    worker : WorkerProcess, optional
        Process for the computations; by default, the one of this session.
    """

    def __init__(self, napari_viewer: napari.viewer.Viewer, worker: WorkerProcess | None = None) -> None:
        super().__init__()
        self._viewer = napari_viewer
        self._worker = worker or shared_worker()
        self._document: Path | None = None
        self._registered: visit_entries.Entry | None = None
        self._attention = Attention(napari_viewer, None)
        self.runner = JobRunner(self)
        self.register_runner = JobRunner(self)
        self.open_runner = JobRunner(self)
        self._build()
        self._connect()
        self.visits.refresh()

    # Building -------------------------------------------------------------------------------------------------------

    def _build(self) -> None:
        column = column_in(self)
        self.visits = VisitsEditor(self._viewer)
        column.addWidget(self.visits)
        column.addLayout(self._build_registration())
        self.compare_button = button("&Compare visits", "Measure every ticked visit and compare it with the baseline.")
        self.cancel_button = button("Ca&ncel", "Stop within a second.")
        self.run_controls = RunControls(self.compare_button, self.cancel_button, "Progress of the work.")
        self.status_label = self.run_controls.label
        self.results = VisitsResults(self._worker)
        self.code_box = ActionLines(lambda: state.lines_of(self.visits.entries, self._document))
        add_to(column, line(), self.run_controls, self.results, self.code_box)
        column.addStretch(1)

    def _build_registration(self) -> QVBoxLayout:
        column = QVBoxLayout()
        self.register_button = button(
            "&Register on baseline", "Register the selected visit on the baseline, and show both as a checkerboard."
        )
        self.accept_button = button("&Accept", "Use this registration to match the lesions.")
        self.reject_button = button("Rejec&t", "Do not use it. Sizes are still compared.")
        column.addLayout(flow(self.register_button))
        column.addLayout(flow(self.accept_button, self.reject_button))
        self.registration_label = wrapped("", "Registration")
        self.registration_label.hide()
        column.addWidget(self.registration_label)
        return column

    def _connect(self) -> None:
        self.visits.selected.connect(self._show_selected)
        self.visits.outdated.connect(self._on_outdated)
        self.visits.reassessed.connect(self._assess_again)
        self.visits.message.connect(self._say)
        self.visits.open_button.clicked.connect(self._on_open_requested)
        self.visits.keep_button.clicked.connect(
            lambda: ask_path(self, "visits.json", "Visits (*.json)", self.save_document)
        )
        self.register_button.clicked.connect(self.register)
        self.accept_button.clicked.connect(lambda: self._settle(accepted=True))
        self.reject_button.clicked.connect(lambda: self._settle(accepted=False))
        self.compare_button.clicked.connect(self.compare)
        self.cancel_button.clicked.connect(self._on_cancel_requested)
        self.results.started.connect(self._begin)
        self.results.message.connect(self._say)
        for runner, finished in (
            (self.runner, self._on_compared),
            (self.register_runner, self._on_registered),
            (self.open_runner, self._on_opened),
            (self.results.save_runner, lambda _: self._stand_still("")),
        ):
            runner.finished.connect(finished)
            runner.progressed.connect(self._on_progress)
            runner.failed.connect(self._on_failed)
            runner.cancelled.connect(lambda: self._stand_still("Stopped."))
        runners = (self.runner, self.register_runner, self.open_runner)
        cancel_when_closed(self, *runners)
        when_gone(self, *(runner.cancel for runner in runners))

    # Available actions ----------------------------------------------------------------------------------------------

    def _show_selected(self) -> None:
        entries, entry = self.visits.entries, self.visits.selected_entry
        baseline = visit_entries.baseline_of(entries)
        busy = self.runner.running or self.register_runner.running
        can_register = entry is not None and baseline is not None and entry is not baseline and not busy
        self.register_button.setEnabled(can_register)
        waits = entry is not None and entry.registration is not None
        self.accept_button.setEnabled(waits and entry is not None and not entry.accepted)
        self.reject_button.setEnabled(waits)
        for choice in (self.accept_button, self.reject_button):
            choice.setVisible(waits)
        text = state.registration_text(entry) if entry is not None else ""
        show_text(self.registration_label, text)
        obstacle = state.obstacle_of(entries)
        self.compare_button.setEnabled(not obstacle and not busy)
        if obstacle:
            self._say(obstacle)
        self.results.let_save(not busy)
        self.code_box.refresh()

    def _on_outdated(self) -> None:
        if self.results.follow_up is not None:
            self._say("Something has changed. Press Compare visits to update the results.")

    def _assess_again(self) -> None:
        """Update the response after facts have changed; measurements and matches remain valid."""
        follow_up, facts = self.results.follow_up, {entry.name: entry.facts for entry in self.visits.entries}
        if follow_up is not None and not self.runner.running:
            self.runner.call(state.assessed_again, follow_up, facts)
        self.code_box.refresh()

    # Documents ------------------------------------------------------------------------------------------------------

    def _on_open_requested(self) -> None:
        path, _ = QFileDialog.getOpenFileName(self, "Visits", "", "Visits (*.json)")
        if path:
            self.open_document(Path(path))

    def open_document(self, path: Path) -> None:
        """Add the visits listed in a document."""
        self._document = path
        self._begin("Opening visits…")
        self.open_runner.start(lambda _: state.opened_entries(path))

    def _on_opened(self, opened: list[visit_entries.Entry]) -> None:
        self._stand_still(f"Opened {len(opened)} visits.")
        self.visits.add(opened)

    def save_document(self, path: Path) -> None:
        """Save the ticked visits, their dates and facts."""
        try:
            save_visits(state.document_of(self.visits.entries, self._viewer.layers), path)
        except BrainTumorError as error:
            notify_error(error)
            self._say(str(error))
            return
        self._document = path
        self._stand_still("")
        self.results.show_saved(path)
        self.code_box.refresh()

    # Registering ----------------------------------------------------------------------------------------------------

    def register(self) -> None:
        """Register the selected visit to the baseline."""
        entry, baseline = self.visits.selected_entry, visit_entries.baseline_of(self.visits.entries)
        if entry is None or baseline is None or entry is baseline:
            return
        gathered = self._gathered([entry, baseline])
        if gathered is not None:
            self._registered, self._attention = entry, Attention.of(self._viewer)
            moving, fixed = gathered
            self._begin("Registering…")
            self.register_runner.start(lambda stop: state.register_job(self._worker, stop, moving, fixed))

    def _on_registered(self, result: Any) -> None:
        registration, centre, board = result
        entry, self._registered = self._registered, None
        self._stand_still("")
        if entry is None or entry not in self.visits.entries:
            return
        entry.registration, entry.centre, entry.accepted = registration, centre, False
        self._remove_boards()
        self._attention.add(layers.layer_of(board))
        self._say("Look at the checkerboard, then accept or reject.")
        self.visits.show_entries()

    def _settle(self, *, accepted: bool) -> None:
        entry = self.visits.selected_entry
        if entry is None:
            return
        entry.accepted = accepted and entry.registration is not None
        if not accepted:
            entry.registration = None
        self._remove_boards()
        self._on_outdated()
        self.visits.show_entries()

    def _remove_boards(self) -> None:
        for layer in list(self._viewer.layers):
            if layer.metadata.get(layers.MAP_KEY) == state.BOARD:
                self._viewer.layers.remove(layer)

    # Comparing ------------------------------------------------------------------------------------------------------

    def compare(self) -> None:
        """Measure and compare every ticked visit."""
        used = [entry for entry in self.visits.entries if entry.used]
        accepted = {e.name: e.registration for e in used if e.registration is not None and e.accepted}
        gathered = self._gathered(used)
        if gathered is not None:
            self._begin("Comparing…")
            self.runner.start(lambda stop: state.compare_job(self._worker, stop, gathered, accepted))

    def _on_compared(self, follow_up: FollowUp) -> None:
        self._stand_still("\n".join(follow_up.notes))
        self.results.show_follow_up(follow_up)
        self._show_selected()

    # Jobs -----------------------------------------------------------------------------------------------------------

    def _gathered(self, entries: list[visit_entries.Entry]) -> list[visit_entries.OpenEntry] | None:
        """Return the data that a job needs of these visits; if not available, show a message and return None."""
        opened = list(self._viewer.layers)
        try:
            return [visit_entries.gather(entry, opened) for entry in entries]
        except BrainTumorError as error:
            notify_error(error)
            self._say(str(error))
            return None

    def _begin(self, text: str) -> None:
        self._say(text)
        self.run_controls.show_running(True)
        self.compare_button.setEnabled(False)
        self.register_button.setEnabled(False)
        self.results.let_save(False)

    def _on_progress(self, progress: Progress, left: float | None) -> None:
        self.run_controls.show_progress(progress)
        if progress.message:
            self._say(" ".join(filter(None, (f"{progress.message}…", time_left_text(left)))))

    def _on_cancel_requested(self) -> None:
        for runner in (self.runner, self.register_runner, self.open_runner, self.results.save_runner):
            runner.cancel()

    def _on_failed(self, error: Exception) -> None:
        notify_error(error)
        self._stand_still(str(error))

    def _stand_still(self, text: str) -> None:
        self.run_controls.show_running(False)
        self._say(text)
        QTimer.singleShot(0, self._show_selected)  # the runner's thread ends shortly after its last signal

    def _say(self, text: str) -> None:
        show_text(self.status_label, text)
