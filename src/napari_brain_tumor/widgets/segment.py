"""The Segment panel: choose scans, model and device, run, view volumes, save."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import napari.viewer
from napari.layers import Layer
from qtpy.QtGui import QShowEvent
from qtpy.QtWidgets import QFormLayout, QLabel, QWidget

from napari_brain_tumor.catalogue import Method, ModelInfo
from napari_brain_tumor.errors import BoxError, BrainTumorError
from napari_brain_tumor.inference.worker_process import WorkerProcess
from napari_brain_tumor.plugin.preferences import read_preferences
from napari_brain_tumor.preflight.costs import known_costs, slowdown_now, usual_cost
from napari_brain_tumor.preprocessing.traits import Traits
from napari_brain_tumor.progress import Progress
from napari_brain_tumor.requests.lines import CommandLines
from napari_brain_tumor.requests.segment import SegmentRequest
from napari_brain_tumor.study import ROLES, Role
from napari_brain_tumor.widgets import doubt, scan_layers
from napari_brain_tumor.widgets import segment_state as state
from napari_brain_tumor.widgets.action_lines import ActionLines
from napari_brain_tumor.widgets.closing import cut_when_closed, when_closed
from napari_brain_tumor.widgets.device_choice import DeviceChoice
from napari_brain_tumor.widgets.helper_layers import HelperLayers
from napari_brain_tumor.widgets.initial_choices import prefer, prefer_device, prefer_model
from napari_brain_tumor.widgets.label_journal import start_journal
from napari_brain_tumor.widgets.layer_list_watch import LayerListWatch
from napari_brain_tumor.widgets.model_choice import ModelChoice
from napari_brain_tumor.widgets.model_list import model_list
from napari_brain_tumor.widgets.more_settings import MoreSettings
from napari_brain_tumor.widgets.panel_lines import segment_lines_of
from napari_brain_tumor.widgets.parts import (
    Fold,
    Panel,
    add_to,
    button,
    column_in,
    combo,
    flow,
    form,
    line,
    offer,
    show_text,
    wrapped,
)
from napari_brain_tumor.widgets.preflight import PreflightTable
from napari_brain_tumor.widgets.preflight_fixes import PreflightFixes, question_of
from napari_brain_tumor.widgets.preflight_state import Answer
from napari_brain_tumor.widgets.result_maps import ResultMaps
from napari_brain_tumor.widgets.result_saving import ResultSaving
from napari_brain_tumor.widgets.result_view import ResultView
from napari_brain_tumor.widgets.results import PlacedResult
from napari_brain_tumor.widgets.role_boxes import RoleBoxes
from napari_brain_tumor.widgets.run_controls import RunControls
from napari_brain_tumor.widgets.scan_chip import ScanChip
from napari_brain_tumor.widgets.segment_runs import SegmentRuns, segment_runs_of
from napari_brain_tumor.widgets.study_list import StudyList
from napari_brain_tumor.widgets.study_queue import OpenStudy, Run
from napari_brain_tumor.widgets.worker import Expectation, notify, notify_error, shared_worker, time_left_text

_RUN_TEXT = "&Run the segmentation"
_RUN_TIP = "Segment the tumour. The scans are not changed."
_ROLE_TIPS: dict[Role, str] = {
    "T1": "T1-weighted scan before contrast agent.",
    "T1c": "T1-weighted scan after contrast agent (gadolinium).",
    "T2": "T2-weighted scan.",
    "FLAIR": "T2-FLAIR scan.",
}


class SegmentWidget(Panel):
    """Segments the tumour in the opened scans with a trained network, in a separate process.

    The user's scans are never changed. A run adds a labels layer or, if that is chosen, writes its labels into the
    layer of the previous run, as one step that Ctrl+Z undoes; voxels painted there by hand are kept.

    Parameters
    ----------
    worker : WorkerProcess, optional
        By default, the one of this session.
    target : str, optional
        The job that runs in the worker process, called like `workflow.requested_segmentation_job`, the default.
    models : sequence of Method, optional
        By default, the installed models and the methods without weights.
    """

    SIZE = (320, 560)

    def __init__(
        self,
        napari_viewer: napari.viewer.Viewer,
        worker: WorkerProcess | None = None,
        *,
        target: str = "",
        models: Sequence[Method] | None = None,
    ) -> None:
        super().__init__()
        self.viewer = napari_viewer
        start_journal(napari_viewer)
        self.worker = worker or shared_worker()
        self._target = target
        self.choices = state.Choices()
        self.runs: SegmentRuns = segment_runs_of(napari_viewer)
        self.runner = self.runs.runner
        self.models = ModelChoice(models)
        self.devices = DeviceChoice(self.worker, self)
        self._build()
        self._on_model_chosen()
        self._connect()
        self._follow_viewer()
        preferences = read_preferences()
        prefer_model(self.model_box)
        prefer(self.schema_box, preferences.saving.label_numbers)
        prefer(self.result_box, preferences.segment.results)
        prefer_device(self.device_box, self.devices.runner)
        self._on_layers_changed()
        self._on_selection_changed()
        self.maps.show_result(self.result.layer)
        if self.runs.running:
            self._on_runs_changed()  # the run may have been started in a panel that was closed since

    # Building -------------------------------------------------------------------------------------------------------

    def _build(self) -> None:
        column = column_in(self)
        self.role_boxes: dict[Role, ScanChip] = {role: ScanChip(role, _ROLE_TIPS[role]) for role in ROLES}
        self.scans = RoleBoxes(self.viewer, self.role_boxes, self, keeps_case=True)
        self.scan_row = QWidget()
        self.scan_row.setLayout(flow(*self.role_boxes.values()))
        self.preflight = PreflightTable(lambda devices: question_of(self, devices), self.worker)
        self.study_list = StudyList()
        add_to(column, self.scan_row, self.preflight, self.study_list)
        column.addWidget(self._build_run())
        self.settings = Fold(
            "Setti&ngs", "Model, device, thresholds, box, where the result goes, and how it is saved.", "Settings"
        )
        self.settings.column.addLayout(self._build_choices())
        column.addWidget(self.settings)
        column.addWidget(self.more.summary_label)  # shows what differs from the defaults while the settings are folded
        column.addWidget(line())
        self.maps = ResultMaps(self.viewer, self.more)
        add_to(column, self.result, self.maps, self.saving)
        self.code_box = ActionLines(self._lines)
        column.addWidget(self.code_box)
        column.addStretch(1)

    def _build_choices(self) -> QFormLayout:
        rows = self._choice_rows = form()
        self.more = MoreSettings()
        self.helpers = HelperLayers(self.viewer, self.choices, self.more)
        self.seeds_box, self.model_box, self.device_box = self.helpers.seeds_box, self.models.box, self.devices.box
        model_label = QLabel("M&odel")
        model_label.setBuddy(self.model_box)
        rows.addRow(model_label, self.models)
        rows.addRow("Seed &points", self.seeds_box)
        rows.addRow("", self.helpers.new_seeds_button)
        rows.addRow("&Device", self.device_box)
        self.result_box = combo(
            "Where the next result goes: into a new layer, or into that of the last result of the same study.\n"
            "What you painted there by hand stays as it is, and Ctrl+Z brings back the previous labels.",
            "Result",
        )
        results = ("adds a layer", "add"), ("replaces the last one, keeps what you painted", "replace")
        offer(self.result_box, results)
        rows.addRow("Res&ult", self.result_box)
        self.result = ResultView(self.viewer)
        self.saving = ResultSaving(self.viewer, self.result)
        self.schema_box, self.format_box = self.saving.schema_box, self.saving.format_box
        rows.addRow("File labels", self.schema_box)
        rows.addRow("&File format", self.format_box)
        self.match_button = button(
            "Match &by name",
            "Choose the layers of the selected layer's case by their file names, or of the newest case if "
            "no scan is selected.",
        )
        rows.addRow("", self.match_button)
        rows.addRow(self.more)
        return rows

    def _build_run(self) -> RunControls:
        self.run_button = button(_RUN_TEXT, _RUN_TIP)
        self.run_button.setMinimumHeight(round(1.8 * self.run_button.sizeHint().height()))
        self.cancel_button = button("&Cancel", "Stop within a second. Nothing is added.")
        self.plan_label = wrapped("", "What is run")
        tip = "Progress of the segmentation."
        self.run_controls = RunControls(self.run_button, self.cancel_button, tip, self.plan_label)
        self.status_label = self.run_controls.label
        return self.run_controls

    def _connect(self) -> None:
        self.scans.changed.connect(self._on_scans_chosen)
        self.match_button.clicked.connect(self.scans.match)
        self.models.chosen.connect(self._on_model_chosen)
        self.devices.chosen.connect(lambda: self.choices.choose(device=self.devices.device))
        self.devices.known.connect(self.preflight.show_devices)
        self.helpers.changed.connect(self._refresh_readiness)
        self.study_list.changed.connect(self._refresh_readiness)
        self.more.controls.changed.connect(lambda: self.choices.choose(**self.more.controls.values))
        self.more.thresholds_changed.connect(lambda: self.choices.choose(thresholds=self.more.thresholds or None))
        self.choices.events.connect(self._refresh_readiness)
        boxes = (self.schema_box.currentIndexChanged, self.format_box.currentIndexChanged)
        for changed in (self.choices.events, *boxes, self.helpers.changed, self.saving.saved):
            changed.connect(self.code_box.refresh)
        self._fixes = PreflightFixes(self)
        self.preflight.fix_requested.connect(self._fixes.apply)
        self.preflight.answered.connect(self._on_scans_looked_at)
        self.run_button.clicked.connect(self.run)
        self.cancel_button.clicked.connect(self.runs.cancel)
        self.result.changed.connect(self.maps.show_result)
        self.maps.message.connect(self.status_label.setText)

    def _follow_viewer(self) -> None:
        self._list_watch = LayerListWatch(self.viewer, self, self._on_layers_changed)
        self._list_watch.links.connect(self.viewer.layers.selection.events.active, self._on_selection_changed)
        # Qt cuts these connections when the panel is destroyed; a closed panel still exists for a while, but must not
        # react.
        runs = self.runs
        of_qt: list[tuple[Any, Callable[..., None]]] = [
            (model_list.changed, self.reload_models),
            (runs.runner.progressed, self._on_progress),
            (runs.placed, self._on_placed),
            (runs.failed, self._show_failure),
            (runs.changed, self._on_runs_changed),
        ]
        for signal, slot in of_qt:
            signal.connect(slot)
        when_closed(self, self._list_watch.links.cut)
        cut_when_closed(self, [*of_qt, (doubt.doubt_steps.gone, self.maps.show_doubt)])

    # Scans ----------------------------------------------------------------------------------------------------------

    def _on_layers_changed(self) -> None:
        scans = scan_layers.candidates(self.viewer.layers)
        self.result.forget_if_removed()  # the selection changed before the layer was removed, without an event
        self.scans.offer(scans)
        self.helpers.refresh()
        self.study_list.show_studies(scan_layers.open_studies(scans))

    def choose_case_of(self, layer: Layer) -> None:
        """Choose the scans of the case that a layer belongs to."""
        self.viewer.layers.selection = {layer}
        self._on_layers_changed()
        self.scans.match()

    def _on_scans_chosen(self) -> None:
        self.choices.sequences = self.scans.sequences
        self._choose_default_model()
        self._refresh_readiness()

    # Model and device -----------------------------------------------------------------------------------------------

    def reload_models(self) -> None:
        """Reload the list of models, keeping the choices; a newly trained model appears at once."""
        selected, values, thresholds = self.choices.model, self.more.controls.values, self.more.thresholds
        if self.models.reload() and self.choices.model == selected:
            self.more.controls.choose(**values)
            self.more.set_thresholds(thresholds)

    def _on_scans_looked_at(self, facts_answer: Answer) -> None:
        self._choose_default_model(facts_answer.traits)
        self._show_run_button()

    def _choose_default_model(self, traits: Traits | None = None) -> None:
        """Select the default model for what is known of the chosen scans, unless the user has picked a model."""
        if not self.models.picked_by_hand:
            known = traits or self.preflight.known_traits() or state.traits_of(self.choices)
            self.models.choose_default(known)

    def _on_model_chosen(self) -> None:
        model = self.choices.model = self.models.model
        self.model_box.setToolTip(state.model_tooltip(model) if model else self.choices.obstacle)
        if model is not None:
            self.more.controls.set_usual(min_lesion_mm3=model.min_lesion_mm3)
            self.choices.choose(min_lesion_mm3=model.min_lesion_mm3)
        takes_seeds = model is not None and model.takes_seeds
        for widget in (self.seeds_box, self.helpers.new_seeds_button):
            self._choice_rows.setRowVisible(widget, takes_seeds)
        card = model.card if isinstance(model, ModelInfo) else None
        self.more.set_usual({region: card.threshold(region) for region in card.regions} if card is not None else {})
        self.models.about_button.setEnabled(model is not None)
        self._refresh_readiness()

    def showEvent(self, event: QShowEvent | None) -> None:
        """Ask the worker process for the available devices when the panel is first shown; reload the models."""
        super().showEvent(event)
        self.reload_models()
        self.devices.begin()

    def _refresh_readiness(self) -> None:
        ticked = len(self.study_list.ticked)
        obstacle = state.obstacle_of(self.choices, ticked)
        self._show_run_button()
        self.run_button.setText(f"&Run {ticked} studies" if ticked > 1 else _RUN_TEXT)
        self.preflight.refresh()
        if obstacle and obstacle != self.choices.obstacle:  # obstacles from the choices are shown in the table
            self.status_label.setText(obstacle)

    def _show_run_button(self) -> None:
        """Enable Run unless something is known that would make it fail, which the tooltip then names."""
        ticked, current = len(self.study_list.ticked), self.preflight.current_answer()
        # With several studies, each is checked when its turn comes.
        failed = current.failure if current is not None and ticked < 2 else ""
        why_not = state.obstacle_of(self.choices, ticked) or failed
        self.run_button.setEnabled(not why_not and not self.runs.running)
        self.run_button.setToolTip(f"Cannot be run yet. {why_not}" if why_not else _RUN_TIP)
        expected = current.expected if current is not None else None
        plan = state.plan_text(self.choices, expected.seconds if expected is not None else None)
        show_text(self.plan_label, plan)

    # Running --------------------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Segment the chosen scans, or the ticked studies one after the other; `runner` reports the outcome."""
        ticked = self.study_list.ticked
        try:
            obstacle = state.obstacle_of(self.choices, len(ticked))
            if obstacle:
                raise BoxError(obstacle)
            studies = ticked or [OpenStudy.of(self.choices.sequences)]
            request = self.choices.request
            if len(studies) > 1:
                request = request.with_options(seeds=())  # seed points belong to a single study
            runs = [Run(study.name, study.views, request, self._expectation_of(study, request)) for study in studies]
        except BrainTumorError as error:
            self._show_failure(error)
            return
        target = self._target or state.SEGMENT_TARGET
        self.runs.start(runs, self.worker, target, replaces=self.result_box.currentData() == "replace")

    def _expectation_of(self, study: OpenStudy, request: SegmentRequest) -> Expectation | None:
        """Return what the run is expected to take, or a typical value if the checks have not read the scans yet.

        Nothing is known for runs within a box.
        """
        model = self.choices.model
        if model is None or self.choices.box is not None:
            return None
        current = self.preflight.current_answer()
        is_shown = dict(study.sequences) == dict(self.choices.sequences)
        expected = current.expected if current is not None and is_shown else None
        expected = expected or usual_cost(model, request.device, known_costs(slowdown=slowdown_now()), request)
        return None if expected is None else Expectation(expected.seconds, expected.stages)

    def _on_runs_changed(self) -> None:
        running = self.runs.running
        self._show_run_button()
        begins = running and self.run_controls.bar.isHidden()
        self.run_controls.show_running(running, "Starting…" if begins else None)
        if running and self.runs.cancelling:
            self.cancel_button.setEnabled(False)
            self.status_label.setText("Cancelling…")
        if not running:
            self._on_runs_ended()

    def _on_runs_ended(self) -> None:
        self.devices.refresh_memory()
        if self.runs.closing_words:
            self.status_label.setText(self.runs.closing_words)
            if not self.runs.queue.is_single:
                notify(self.runs.closing_words)

    def _on_progress(self, progress: Progress, seconds_left: float | None) -> None:
        if self.runs.running and not self.runs.cancelling:
            words = state.sentence(state.running_words(progress), time_left_text(seconds_left))
            self.run_controls.show_progress(progress, f"{self.runs.queue.place}{words}")

    def _on_placed(self, placed: PlacedResult) -> None:
        self.status_label.setText(placed.text)
        if self.result.layer is None:
            self.result.show_layer(placed.layer)  # the layer selection stays where the user is working
        self.maps.show_result(self.result.layer)
        self.maps.show_maps()

    def _show_failure(self, error: Exception) -> None:
        self.status_label.setText(str(error))
        notify_error(error)

    # The result -----------------------------------------------------------------------------------------------------

    def _on_selection_changed(self, event: Any = None) -> None:
        self.result.follow_selection()
        self.preflight.refresh()

    def _lines(self) -> CommandLines:
        lines = segment_lines_of(
            self.choices,
            self.format_box.currentData(),
            self.schema_box.currentData(),
            self.saving.path,
            self.result.layer,
        )
        if len(self.study_list.ticked) < 2:
            return lines
        note = "This code is for the study above; the shell command accepts several case folders at once."
        return replace(lines, notes=(*lines.notes, note))
