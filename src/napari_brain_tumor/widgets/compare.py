"""The Compare panel: how well the labels of one case agree, where they differ, and their consensus."""

from functools import partial
from pathlib import Path
from typing import Any

import napari.viewer
from napari.layers import Labels
from qtpy.QtWidgets import QWidget

from napari_brain_tumor.plugin import layers
from napari_brain_tumor.progress import Progress
from napari_brain_tumor.requests.lines import CommandLines
from napari_brain_tumor.widgets import compare_state as state
from napari_brain_tumor.widgets.action_lines import ActionLines
from napari_brain_tumor.widgets.attention import Attention
from napari_brain_tumor.widgets.closing import cancel_when_closed, when_gone
from napari_brain_tumor.widgets.compare_differences import DifferingSlices, StaleNotice
from napari_brain_tumor.widgets.compare_labels import LabelList
from napari_brain_tumor.widgets.compare_tables import ConsensusPart, ScoreTables
from napari_brain_tumor.widgets.label_edits import LabelEdits
from napari_brain_tumor.widgets.parts import Fold, Panel, add_to, button, column_in, column_of, line
from napari_brain_tumor.widgets.run_controls import RunControls
from napari_brain_tumor.widgets.worker import JobRunner, notify, notify_error, time_left_text


class CompareWidget(Panel):
    """Compares labels layers: scores, differing slices, agreement layers and a consensus.

    The layers themselves are never changed. The panel shows the labels as they were when compared; if a layer is
    painted on or removed afterwards, the panel says so.
    """

    def __init__(self, napari_viewer: napari.viewer.Viewer) -> None:
        super().__init__()
        self._viewer = napari_viewer
        self.compared: state.Comparison | None = None
        self._pending: dict[str, Labels] = {}
        self.runner = JobRunner(self, progressed=self._on_progress, finished=self._on_compared, failed=self._on_failed)
        self._build()
        self._connect()
        self.labels.refresh()

    def _build(self) -> None:
        column = column_in(self)
        self.labels = LabelList(self._viewer)
        self.choices = self.labels.choices
        self.compare_button = button("&Compare", "Score the ticked labels. They are not changed.")
        self.cancel_button = button("Cance&l", "Stop comparing.")
        self.run_controls = RunControls(self.compare_button, self.cancel_button, "Progress of the comparison.")
        self.status_label = self.run_controls.label
        self.notice = StaleNotice(self._viewer)
        self.result_part = QWidget()
        inner = column_of(self.result_part)
        self.scores, self.differences, self.consensus = ScoreTables(), DifferingSlices(self._viewer), ConsensusPart()
        self.tables = Fold("More &tables and layers", "All pairs, volumes, planes, layers, files.")
        add_to(self.tables.column, self.scores.more, self.differences.more)
        add_to(inner, line(), self.scores, self.differences, self.tables, self.consensus)
        self.result_part.hide()
        self.code_box = ActionLines(self._lines)
        add_to(column, self.labels, self.run_controls, self.notice, self.labels.settings, self.result_part)
        column.addWidget(self.code_box)
        column.addStretch(1)

    def _connect(self) -> None:
        self.labels.listed.connect(self._on_choices_changed)
        self.labels.listed.connect(self.notice.refresh)
        self.choices.events.connect(self._on_choices_changed)
        self.compare_button.clicked.connect(self.compare)
        self.cancel_button.clicked.connect(self.runner.cancel)
        self.runner.cancelled.connect(self._on_cancelled)
        self.scores.region_shown.connect(self.differences.list_slices)
        self.scores.saved.connect(self._on_saved)
        self.consensus.button.clicked.connect(self.make_consensus)
        self.consensus.joined.connect(self._on_joined)
        for part in (self.labels, self.scores, self.differences, self.consensus):
            part.failed.connect(self._say_error)
        runners = (self.runner, self.consensus.runner, self.differences.runner, self.differences.overlay.runner)
        cancel_when_closed(self, *runners)
        when_gone(self, self.runner.cancel, self.consensus.runner.cancel, partial(_let_go, self.notice.edits))

    def enter(self) -> None:
        """Offer the labels of the current case, and show the agreement layer of the last comparison again."""
        if not self.choices.layers:
            self.labels.tick_case_in_view()
        if self.compared is not None and not self.notice.text():
            self.differences.show_agreement()

    def leave(self) -> None:
        """Hide the agreement layers, and show again what they had covered."""
        self.differences.overlay.remove()

    def _on_choices_changed(self, *_: Any) -> None:
        obstacle = self.choices.obstacle
        running = self.runner.running
        self.compare_button.setEnabled(not obstacle and not running)
        if not running and self.compared is None:
            self.status_label.setText(obstacle)
        self.code_box.refresh()

    # Comparing ------------------------------------------------------------------------------------------------------

    def compare(self) -> None:
        """Compare the ticked layers as they are now; `runner` reports progress and outcome."""
        obstacle = self.choices.obstacle
        if obstacle:
            self.status_label.setText(obstacle)
            return
        try:
            views = {layer.name: layers.copied_view(layer) for layer in self.choices.layers}
            references = layers.readable_views(self._viewer.layers)
        except ValueError as error:  # a colour (RGB) layer or a time series
            self._on_failed(error)
            return
        self._pending = {layer.name: layer for layer in self.choices.layers}
        reference, resample = self.choices.reference_name, self.choices.resample
        self._show_running(True)
        self.runner.start(lambda _: state.compare_steps(views, references, reference, resample))

    def _show_running(self, running: bool) -> None:
        self.compare_button.setEnabled(not running and not self.choices.obstacle)
        self.run_controls.show_running(running, "Comparing…" if running else None)

    def _on_progress(self, progress: Progress, seconds_left: float | None) -> None:
        left = time_left_text(seconds_left)
        self.run_controls.show_progress(progress, f"Comparing {progress.message}{', ' + left if left else '…'}")

    def _on_cancelled(self) -> None:
        self._show_running(False)
        self.status_label.setText("Cancelled.")

    def _on_failed(self, error: Exception) -> None:
        self._show_running(False)
        self._say_error(error)

    def _say_error(self, error: Exception) -> None:
        self.status_label.setText(str(error))
        notify_error(error)

    def _on_compared(self, compared: state.Comparison) -> None:
        self._show_running(False)
        self.compared = compared
        agreement = compared.agreement
        against = "pairwise" if agreement.reference is None else f"against {agreement.reference}"
        self.status_label.setText(" ".join([f"Compared {len(agreement.names)} labels, {against}.", *agreement.notes]))
        self.result_part.show()
        self.notice.show_comparison(compared, self._pending)
        self.consensus.show_comparison(compared)
        self.differences.show_comparison(compared, self._pending)
        self.scores.show_comparison(compared)
        self.code_box.refresh()

    # Consensus ------------------------------------------------------------------------------------------------------

    def make_consensus(self) -> None:
        """Combine the compared labels, except the reference, into a labels layer."""
        if self.consensus.make(Attention.of(self._viewer)):
            self.status_label.setText("Computing the consensus…")

    def _on_joined(self, text: str) -> None:
        self.differences.overlay.show_alone(None)
        self.status_label.setText(text)
        self.code_box.refresh()

    def _on_saved(self, path: Path) -> None:
        self.status_label.setText(f"Saved {path}.")
        notify(f"Saved {path}.")

    def _lines(self) -> CommandLines:
        return state.lines_of(self.choices, self.consensus.method)


def _let_go(watched: list[LabelEdits]) -> None:
    for edits in watched:
        edits.let_go()
