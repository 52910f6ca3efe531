"""The Segment panel: choose scans, model and device, run, look at volumes, save."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import napari.viewer
from napari.layers import Layer
from qtpy.QtCore import QSize, Qt, QTimer
from qtpy.QtGui import QShowEvent
from qtpy.QtWidgets import (
    QFileDialog,
    QFormLayout,
    QHBoxLayout,
    QInputDialog,
    QLabel,
    QScrollArea,
    QVBoxLayout,
    QWidget,
)

from napari_brain_tumor.catalogue import Method, ModelInfo, list_models
from napari_brain_tumor.errors import BoxError, BrainTumorError
from napari_brain_tumor.inference.memory import DeviceMemory
from napari_brain_tumor.inference.worker_process import WorkerProcess
from napari_brain_tumor.models.cards import default_model
from napari_brain_tumor.plugin import layers
from napari_brain_tumor.plugin.layers import LayerData, LayerView
from napari_brain_tumor.preprocessing.traits import Traits
from napari_brain_tumor.progress import Progress
from napari_brain_tumor.requests.lines import CommandLines
from napari_brain_tumor.requests.segment import SegmentRequest
from napari_brain_tumor.study import ROLES, Role
from napari_brain_tumor.widgets import doubt
from napari_brain_tumor.widgets import segment_state as state
from napari_brain_tumor.widgets.action_lines import ActionLines
from napari_brain_tumor.widgets.closing import when_closed
from napari_brain_tumor.widgets.doubt_list import DoubtList
from napari_brain_tumor.widgets.doubt_ring import show_ring
from napari_brain_tumor.widgets.initial_choices import start_as_preferred
from napari_brain_tumor.widgets.label_edits import edit_events
from napari_brain_tumor.widgets.label_journal import SavePoint, start_journal
from napari_brain_tumor.widgets.model_list import model_list
from napari_brain_tumor.widgets.model_page import ModelPage
from napari_brain_tumor.widgets.more_settings import MoreSettings
from napari_brain_tumor.widgets.panel_lines import segment_lines_of
from napari_brain_tumor.widgets.parts import Fold, button, column_in, combo, flow, form, line, progress_bar, wrapped
from napari_brain_tumor.widgets.preflight import PreflightTable
from napari_brain_tumor.widgets.preflight_fixes import PreflightFixes, question_of
from napari_brain_tumor.widgets.preflight_state import Answer
from napari_brain_tumor.widgets.results import PlacedResult, applied_text, put_into
from napari_brain_tumor.widgets.saved_files import remember_saved
from napari_brain_tumor.widgets.scan_chip import ScanChip
from napari_brain_tumor.widgets.segment_runs import SegmentRuns, segment_runs_of
from napari_brain_tumor.widgets.stored_maps import map_layers, relabel, stored_maps_of
from napari_brain_tumor.widgets.study_list import StudyList
from napari_brain_tumor.widgets.study_queue import OpenStudy, Run
from napari_brain_tumor.widgets.view_actions import bind_keys, key_text
from napari_brain_tumor.widgets.volume_table import VolumeView
from napari_brain_tumor.widgets.worker import (
    Expectation,
    JobRunner,
    as_job,
    notify,
    notify_error,
    shared_worker,
    time_left_text,
)

__all__ = ["SegmentWidget"]

_REFRESH_MS = 300
_NONE = "none"
_RUN_TEXT = "&Run the segmentation"
_RUN_TIP = "Segment the tumour. The scans are not changed."
_ROLE_TIPS: dict[Role, str] = {
    "T1": "T1-weighted scan before contrast agent.",
    "T1c": "T1-weighted scan after contrast agent (gadolinium).",
    "T2": "T2-weighted scan.",
    "FLAIR": "T2-FLAIR scan.",
}


class SegmentWidget(QScrollArea):
    """Segments the tumour in the opened scans with a trained network, in a process of its own.

    The user's scans are never altered. A run adds a labels layer, or, where that is chosen, puts its labels into the
    layer of the run before: as one step that Ctrl+Z takes back, and without what a hand painted there.

    Parameters
    ----------
    napari_viewer : napari.viewer.Viewer
    worker : WorkerProcess, optional
        The one of this session where none is given.
    target : str, optional
        The job that runs in the worker process, called like `workflow.requested_segmentation_job`, which it is where
        none is given.
    models : sequence of Method, optional
        The installed models and the methods without weights where none are given.
    """

    def __init__(
        self,
        napari_viewer: napari.viewer.Viewer,
        worker: WorkerProcess | None = None,
        *,
        target: str = "",
        models: Sequence[Method] | None = None,
    ) -> None:
        super().__init__()
        self._viewer = napari_viewer
        start_journal(napari_viewer)
        self._worker = worker or shared_worker()
        self._target = target
        self.choices = state.Choices()
        self.runs: SegmentRuns = segment_runs_of(napari_viewer)
        self.runner = self.runs.runner
        self._device_runner = JobRunner(self)
        self._measure_runner = JobRunner(self)
        self.save_runner = JobRunner(self, must_finish=True)
        self._memory_runner = JobRunner(self)
        self._relabel_runner = JobRunner(self)
        self._maps_runner = JobRunner(self)
        self._model_page: ModelPage | None = None
        self._relabelled: Layer | None = None
        self._result: Layer | None = None
        self._saved_to = ""
        self._when_saved: Callable[[], None] = lambda: None
        self._chosen_by_hand = False
        self._model_by_hand = False
        self._devices_asked = False
        self._memory_asked = False
        self._image_layers: list[Layer] = []
        self._build()
        self._reloads_models = models is None
        self._fill_models(list_models() if models is None else list(models))
        self._connect()
        start_as_preferred(self, self._device_runner)
        self._on_layers_changed()
        self._on_selection_changed()
        self._watch_kept()
        if self.runs.running:
            self._on_runs_changed()  # begun in a panel that was closed

    # Building -------------------------------------------------------------------------------------------------------

    def _build(self) -> None:
        column = column_in(self)
        self.role_boxes: dict[Role, ScanChip] = {role: ScanChip(role, _ROLE_TIPS[role]) for role in ROLES}
        self.scan_row = QWidget()
        self.scan_row.setLayout(flow(*self.role_boxes.values()))
        column.addWidget(self.scan_row)
        self.preflight = PreflightTable(lambda devices: question_of(self, devices), self._worker)
        column.addWidget(self.preflight)
        self.study_list = StudyList()
        column.addWidget(self.study_list)
        column.addLayout(self._build_run())
        self.settings = Fold(
            "Setti&ngs", "Model, device, thresholds, box, where the result goes, and how it is saved.", "Settings"
        )
        self.settings.column.addLayout(self._build_choices())
        column.addWidget(self.settings)
        column.addWidget(self.more.summary_label)  # what differs from the defaults is told while it is folded
        column.addWidget(line())
        column.addLayout(self._build_result())
        self.code_box = ActionLines(self._lines)
        column.addWidget(self.code_box)
        column.addStretch(1)

    def _build_choices(self) -> QFormLayout:
        rows = form()
        self.model_box = combo("The trained network, or a method without weights.", "Model")
        self.about_button = button(
            "&About…", "About the model: scans, regions, training data, Dice with each subset of scans, licence, notes."
        )
        self.about_button.setAccessibleName("About the model")
        model_label = QLabel("M&odel")
        model_label.setBuddy(self.model_box)
        model_row = QHBoxLayout()
        model_row.addWidget(self.model_box, 1)
        model_row.addWidget(self.about_button)
        rows.addRow(model_label, model_row)
        self.seeds_box = combo(
            "Points in the tumour from which the method grows.\nAutomatic takes the brightest asymmetric place.",
            "Seed points",
        )
        rows.addRow("Seed &points", self.seeds_box)
        self.new_seeds_button = button(
            "Add points b&y hand", "Add a Points layer over the scans; then click on the tumour, in any slice."
        )
        rows.addRow("", self.new_seeds_button)
        self._choice_rows = rows
        self.device_box = combo("Where to compute.", "Device")
        self.device_box.addItem("automatic", "auto")
        self.device_box.setItemData(0, "Finding out which devices are present.", Qt.ItemDataRole.ToolTipRole)
        rows.addRow("&Device", self.device_box)
        self.result_box = combo(
            "Where the next result goes: into a new layer, or into that of the last result of the same study.\n"
            "What you painted there by hand stays as it is, and Ctrl+Z brings back the previous labels.",
            "Result",
        )
        self.result_box.addItem("adds a layer", "add")
        self.result_box.addItem("replaces the last one, keeps what you painted", "replace")
        rows.addRow("Res&ult", self.result_box)
        self._build_file_choices(rows)
        self.match_button = button(
            "Match &by name",
            "Choose the layers of the selected layer's case by what their files are called; of the newest case if "
            "no scan is selected.",
        )
        rows.addRow("", self.match_button)
        self.more = MoreSettings()
        rows.addRow(self.more)
        return rows

    def _build_file_choices(self, rows: QFormLayout) -> None:
        self.schema_box = combo("Which integers are written: each data set has its own.", "File labels")
        for name in state.writable_schemas():
            self.schema_box.addItem(name, name)
            self.schema_box.setItemData(
                self.schema_box.count() - 1, state.schema_tooltip(name), Qt.ItemDataRole.ToolTipRole
            )
        rows.addRow("File labels", self.schema_box)
        self.format_box = combo("The file format to save in.", "File format")
        for format_choice in state.FORMATS:
            self.format_box.addItem(format_choice.label, format_choice)
        rows.addRow("&File format", self.format_box)

    def _build_run(self) -> QVBoxLayout:
        column = QVBoxLayout()
        buttons = QHBoxLayout()
        self.run_button = button(_RUN_TEXT, _RUN_TIP)
        self.run_button.setMinimumHeight(round(1.8 * self.run_button.sizeHint().height()))
        self.cancel_button = button("&Cancel", "Stop within a second. Nothing is added.")
        self.cancel_button.setEnabled(False)
        self.cancel_button.hide()
        self.plan_label = wrapped("")
        self.plan_label.setAccessibleName("What is run")
        buttons.addWidget(self.run_button, 2)
        buttons.addWidget(self.cancel_button, 1)
        column.addLayout(buttons)
        column.addWidget(self.plan_label)
        self.progress_bar = progress_bar("How far the segmentation is.")
        self.progress_bar.hide()
        column.addWidget(self.progress_bar)
        self.status_label = wrapped("")
        self.status_label.setAccessibleName("Status")
        column.addWidget(self.status_label)
        return column

    def _build_result(self) -> QVBoxLayout:
        column = QVBoxLayout()
        self.result_label = wrapped("")
        column.addWidget(self.result_label)
        self.volumes = VolumeView()
        column.addWidget(self.volumes)
        column.addLayout(self._build_doubt())
        self.save_button = button(
            "&Save…",
            "Save the selected labels on the scan's own grid; the file is read back and compared before it counts.",
        )
        column.addWidget(self.save_button)
        self.save_label = wrapped("")
        self.save_label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        column.addWidget(self.save_label)
        self.save_label.hide()
        return column

    def _build_doubt(self) -> QVBoxLayout:
        column, row = QVBoxLayout(), flow()
        self.doubt_buttons = []
        for action in doubt.KEYS:
            doubt_button = button(
                f"{action.text} ({key_text(action.key)})", f"{action.tip}\nKey: {key_text(action.key)}"
            )
            doubt_button.clicked.connect(lambda _=False, act=action.act: act(self._viewer))
            self.doubt_buttons.append(doubt_button)
        row.addWidget(self.doubt_buttons[0])
        column.addLayout(row)
        tip = "Every doubtful place: where, how large, why."
        self.doubt_fold = Fold("List of them", tip, "List of doubtful places")
        self.doubt_list = DoubtList(self._viewer)
        self.doubt_fold.column.addWidget(self.doubt_list)
        self.doubt_fold.column.addWidget(self.doubt_buttons[1])
        column.addWidget(self.doubt_fold)
        self.doubt_label = wrapped("")
        self.doubt_label.setAccessibleName("What is doubtful here")
        self.doubt_label.hide()
        column.addWidget(self.doubt_label)
        return column

    def _fill_models(self, models: Sequence[Method]) -> None:
        for model in models:
            previous = self.model_box.itemData(self.model_box.count() - 1)
            if previous is not None and model.is_baseline and not previous.is_baseline:
                self.model_box.insertSeparator(self.model_box.count())
            self.model_box.addItem(model.title, model)
            self.model_box.setItemData(
                self.model_box.count() - 1, state.model_tooltip(model), Qt.ItemDataRole.ToolTipRole
            )
        if not models:
            self.model_box.addItem("no model is installed", None)
            self.model_box.setEnabled(False)
        self._on_model_chosen()

    def _connect(self) -> None:
        for role, box in self.role_boxes.items():
            box.activated.connect(lambda _, role=role: self._on_role_chosen(role))
        self.match_button.clicked.connect(self._on_match_requested)
        self.model_box.currentIndexChanged.connect(self._on_model_picked)
        self.seeds_box.activated.connect(self._on_seeds_chosen)
        self.new_seeds_button.clicked.connect(self._on_new_seeds_requested)
        self.device_box.currentIndexChanged.connect(self._on_device_chosen)
        self.more.controls.changed.connect(lambda: self.choices.choose(**self.more.controls.values))
        self._connect_more()
        self.choices.events.connect(self._refresh_readiness)
        for changed in (self.choices.events, self.schema_box.currentIndexChanged, self.format_box.currentIndexChanged):
            changed.connect(self.code_box.refresh)
        self._fixes = PreflightFixes(self)
        self.preflight.fix_requested.connect(self._fixes.apply)
        self.preflight.answered.connect(self._on_scans_looked_at)
        self.run_button.clicked.connect(self.run)
        self.cancel_button.clicked.connect(self.runs.cancel)
        self.save_button.clicked.connect(self._on_save_requested)
        for signal, slot in self._ties_to_runs():
            signal.connect(slot)
        self._device_runner.finished.connect(self._on_devices_known)
        self._measure_runner.finished.connect(self._on_measured)
        self._measure_runner.failed.connect(self._on_measure_failed)
        self.save_runner.finished.connect(self._on_saved)
        self.save_runner.failed.connect(self._on_save_failed)
        self._refresh_timer = QTimer(self)
        self._refresh_timer.setSingleShot(True)
        self._refresh_timer.timeout.connect(self._measure)
        self._match_timer = QTimer(self)
        self._match_timer.setSingleShot(True)
        self._match_timer.timeout.connect(self._on_layers_changed)
        events = self._viewer.layers.events
        for event in (events.inserted, events.removed, events.reordered):
            event.connect(self._on_layer_list_event)
        self._viewer.layers.selection.events.active.connect(self._on_selection_changed)
        model_list.changed.connect(self.reload_models)
        of_viewer: list[tuple[Any, Callable[..., None]]] = [
            (event, self._on_layer_list_event) for event in (events.inserted, events.removed, events.reordered)
        ]
        of_viewer.append((self._viewer.layers.selection.events.active, self._on_selection_changed))
        leave = _farewell(of_viewer)
        when_closed(self, leave)
        self.destroyed.connect(leave)
        # Qt cuts these itself when the panel is gone; a closed one is kept for a while, and shall do nothing any more.
        of_qt: list[tuple[Any, Callable[..., None]]] = [
            (model_list.changed, self.reload_models),
            (doubt.doubt_steps.gone, self._on_doubt_gone),
        ]
        when_closed(self, _farewell([*of_qt, *self._ties_to_runs()]))

    def _ties_to_runs(self) -> list[tuple[Any, Callable[..., None]]]:
        runs = self.runs
        return [
            (runs.runner.progressed, self._on_progress),
            (runs.placed, self._on_placed),
            (runs.failed, self._show_failure),
            (runs.changed, self._on_runs_changed),
        ]

    def _connect_more(self) -> None:
        bind_keys(self._viewer, doubt.KEYS)
        doubt.doubt_steps.gone.connect(self._on_doubt_gone)
        self.about_button.clicked.connect(self.show_model_page)
        self.study_list.changed.connect(self._refresh_readiness)
        self.more.thresholds_changed.connect(lambda: self.choices.choose(thresholds=self.more.thresholds or None))
        self.more.thresholds_applied.connect(self._on_thresholds_applied)
        self.more.brain_changed.connect(lambda: setattr(self.choices, "brain", self.more.brain))
        self.more.box_changed.connect(self._on_box_chosen)
        self.more.box_drawing_requested.connect(self._on_box_drawing_requested)
        self.more.maps_changed.connect(self._show_maps)
        self._relabel_runner.finished.connect(self._on_relabelled)
        self._relabel_runner.failed.connect(notify_error)
        self._maps_runner.finished.connect(self._on_maps_made)
        self._maps_runner.failed.connect(notify_error)
        self._memory_runner.finished.connect(self._on_memory_known)

    # Scans ----------------------------------------------------------------------------------------------------------

    def _on_layer_list_event(self, event: Any = None) -> None:
        self._match_timer.start(0)  # once for the four layers of a case, not four times

    def _on_layers_changed(self) -> None:
        scans = state.candidates(self._viewer.layers)
        if self._result is not None and self._result not in self._viewer.layers:
            self._watch(None)  # a selection that changed before the layer went has not told
        before, self._image_layers = self._image_layers, [scan.layer for scan in scans]
        still_open = {role: layer for role, layer in self.choices.sequences.items() if layer in self._image_layers}
        if not still_open:
            self._chosen_by_hand = False
        is_whole = bool(still_open) and len(still_open) == len(self.choices.sequences)
        # A result or a removed neighbour is no reason to turn to another case than the one that was chosen.
        stays = self._chosen_by_hand or (is_whole and all(layer in before for layer in self._image_layers))
        self._show_roles(still_open if stays else state.match_roles(scans))
        self._show_seed_layers()
        self._show_box_layers()
        self._show_brain_layers()
        self.study_list.show_studies(state.open_studies(scans))

    def _show_seed_layers(self) -> None:
        selected = self.choices.seeds
        offered = state.seed_layers(self._viewer.layers)
        self.seeds_box.blockSignals(True)
        self.seeds_box.clear()
        self.seeds_box.addItem("automatic", None)
        for layer in offered:
            self.seeds_box.addItem(layer.name, layer)
        self.seeds_box.setCurrentIndex(offered.index(selected) + 1 if selected in offered else 0)
        self.seeds_box.blockSignals(False)
        self._on_seeds_chosen()

    def _on_new_seeds_requested(self) -> None:
        scan = next(iter(self.choices.sequences.values()), None)
        if scan is None or scan.ndim != 3:
            notify("Open a case first: seeds are points in a volume.")
            return
        points = self._viewer.add_layer(layers.points_over(scan, "seeds"))
        points.mode = "add"  # only now: napari's buttons do not show a mode from before they were there
        self.choices.seeds = points

    def _on_seeds_chosen(self) -> None:
        self.choices.seeds = self.seeds_box.currentData()

    def _show_box_layers(self) -> None:
        self.more.show_box_layers(state.box_layers(self._viewer.layers), self.choices.box)
        self._on_box_chosen()

    def _show_brain_layers(self) -> None:
        scan = next(iter(self.choices.sequences.values()), None)
        self.more.show_brain_layers(state.brain_layers(self._viewer.layers, scan), self.choices.brain)
        self.choices.brain = self.more.brain

    def _on_box_drawing_requested(self) -> None:
        scan = next(iter(self.choices.sequences.values()), None)
        if scan is None or scan.ndim != 3:
            notify("Open a case first: a box is drawn over a volume.")
            return
        shapes = self._viewer.add_layer(layers.rectangles_over(scan, "box"))
        shapes.mode = "add_rectangle"
        self._show_box_layers()
        self.more.region_box.setCurrentIndex(self.more.region_box.findText(shapes.name))
        self._on_box_chosen()

    def _on_box_chosen(self) -> None:
        before, selected = self.choices.box, self.more.box_layer
        if selected is not before:
            if before is not None:
                before.events.data.disconnect(self._on_box_drawn)
            if selected is not None:
                selected.events.data.connect(self._on_box_drawn)
            self.choices.box = selected
        self._on_box_drawn()

    def _on_box_drawn(self, event: Any = None) -> None:
        self.more.show_box_size(state.box_text(self.choices))
        self._refresh_readiness()
        self.code_box.refresh()

    def _on_match_requested(self) -> None:
        self._chosen_by_hand = False
        near = self._viewer.layers.selection.active
        self._show_roles(state.match_roles(state.candidates(self._viewer.layers), near))

    @property
    def worker(self) -> WorkerProcess:
        """The process that computes."""
        return self._worker

    @property
    def viewer(self) -> napari.viewer.Viewer:
        """The viewer whose layers are segmented."""
        return self._viewer

    def choose_case_of(self, layer: Layer) -> None:
        """Choose the scans of the case that a layer belongs to."""
        self._viewer.layers.selection = {layer}
        self._on_layers_changed()
        self._on_match_requested()

    def _show_roles(self, matched: dict[Role, Layer]) -> None:
        for role, box in self.role_boxes.items():
            box.blockSignals(True)
            box.clear()
            box.addItem(_NONE)
            for layer in self._image_layers:
                box.addItem(state.short_name(layer))
                box.setItemData(box.count() - 1, layer.name, Qt.ItemDataRole.ToolTipRole)
            box.setCurrentIndex(self._image_layers.index(matched[role]) + 1 if role in matched else 0)
            box.blockSignals(False)
        self.choices.sequences = dict(matched)
        self._choose_default_model()
        self._refresh_readiness()

    def _on_role_chosen(self, role: Role) -> None:
        self._chosen_by_hand = True
        index = self.role_boxes[role].currentIndex()
        by_role = {other: layer for other, layer in self.choices.sequences.items() if other != role}
        if index > 0:
            by_role[role] = self._image_layers[index - 1]
        self.choices.sequences = by_role
        self._choose_default_model()
        self._refresh_readiness()

    # Model and device -----------------------------------------------------------------------------------------------

    def reload_models(self) -> None:
        """Read the model list anew, and keep the choice; a model that was just trained is there at once."""
        models = list_models() if self._reloads_models else None
        listed = [self.model_box.itemData(k) for k in range(self.model_box.count()) if self.model_box.itemData(k)]
        if models is None or models == listed:
            return
        selected, values, thresholds = self.choices.model, self.more.controls.values, self.more.thresholds
        self.model_box.blockSignals(True)
        self.model_box.clear()
        self.model_box.setEnabled(True)
        self._fill_models(models)
        places = [self.model_box.itemData(k) for k in range(self.model_box.count())]
        rows = [k for k, model in enumerate(places) if selected and model and state.same_method(model, selected)]
        self.model_box.setCurrentIndex(rows[0] if rows else 0)
        self.model_box.blockSignals(False)
        self._on_model_chosen()
        if self.choices.model == selected:
            self.more.controls.choose(**values)
            self.more.set_thresholds(thresholds)

    def _on_model_picked(self) -> None:
        self._model_by_hand = True
        self._on_model_chosen()

    def _on_scans_looked_at(self, facts_answer: Answer) -> None:
        self._choose_default_model(facts_answer.traits)
        self._show_run_button()

    def _choose_default_model(self, traits: Traits | None = None) -> None:
        """Until the user picks one, the model is the default that suits the chosen scans, as far as known so far."""
        known = traits or self.preflight.known_traits() or state.traits_of(self.choices)
        if self._model_by_hand or known is None:
            return
        models = [self.model_box.itemData(k) for k in range(self.model_box.count())]
        default = default_model([model for model in models if isinstance(model, ModelInfo)], known)
        if default is not None and default != self.choices.model:
            self.model_box.blockSignals(True)
            self.model_box.setCurrentIndex(models.index(default))
            self.model_box.blockSignals(False)
            self._on_model_chosen()

    def _on_model_chosen(self) -> None:
        model = self.model_box.currentData()
        self.choices.model = model
        self.model_box.setToolTip(state.model_tooltip(model) if model else self.choices.obstacle)
        if model is not None:
            self.more.controls.set_usual(min_lesion_mm3=model.min_lesion_mm3)
            self.choices.choose(min_lesion_mm3=model.min_lesion_mm3)
        takes_seeds = model is not None and model.takes_seeds
        for widget in (self.seeds_box, self.new_seeds_button):
            self._choice_rows.setRowVisible(widget, takes_seeds)
        card = model.card if isinstance(model, ModelInfo) else None
        self.more.set_usual({region: card.threshold(region) for region in card.regions} if card is not None else {})
        self.about_button.setEnabled(model is not None)
        self._refresh_readiness()

    def show_model_page(self) -> None:
        """Show what is known of the chosen model, beside the panel."""
        if self.choices.model is None:
            return
        if self._model_page is None:
            self._model_page = ModelPage(self)
        self._model_page.show_model(self.choices.model)

    def sizeHint(self) -> QSize:
        """Narrow enough to leave room for the canvas on a small screen."""
        return QSize(320, 560)

    def showEvent(self, event: QShowEvent | None) -> None:
        """Ask the worker process which devices are present, when the panel is first seen; read the models anew."""
        super().showEvent(event)
        self.reload_models()
        if not self._devices_asked:
            self._devices_asked = True
            self._memory_asked = True
            self._device_runner.finished.connect(self._ask_memory)
            self.ask_devices()

    def ask_devices(self, target: str = "napari_brain_tumor.inference.device_list:list_devices") -> None:
        """Ask the worker process which devices are present; it also loads torch there, so that Run starts at once."""
        self._device_runner.start(lambda stop: stop.guard(self._worker.run(target)))

    def _ask_memory(self, *_: Any) -> None:
        target = "napari_brain_tumor.inference.device_list:list_memory"
        self._memory_runner.start(lambda stop: stop.guard(self._worker.run(target)))

    def _on_memory_known(self, devices: Sequence[DeviceMemory]) -> None:
        for at, device in enumerate(devices):
            if device.free_bytes is None:
                continue
            free = f"{device.free_bytes / 2**30:.1f} GiB free"  # first, for the box is narrow
            item = self.device_box.findData(device.name)
            if item >= 0:
                self.device_box.setItemText(item, f"{device.name}: {free}, {device.label}")
            if at == 0:
                self.device_box.setItemText(0, f"auto: {device.name}, {free}")

    def _on_devices_known(self, devices: Sequence[tuple[str, str, str]]) -> None:
        if devices:
            self.device_box.setItemText(0, f"automatic: {devices[0][1]}")
            self.device_box.setItemData(0, devices[0][2], Qt.ItemDataRole.ToolTipRole)
        self.preflight.show_devices(devices)
        for name, label, reason in devices:
            self.device_box.addItem(label, name)
            self.device_box.setItemData(self.device_box.count() - 1, reason, Qt.ItemDataRole.ToolTipRole)
        self._on_device_chosen()

    def _on_device_chosen(self) -> None:
        self.choices.choose(device=self.device_box.currentData())
        reason = self.device_box.currentData(Qt.ItemDataRole.ToolTipRole)
        self.device_box.setToolTip(f"Where to compute. {reason}")

    def _refresh_readiness(self) -> None:
        obstacle = self._obstacle
        self._show_run_button()
        ticked = len(self.study_list.ticked)
        self.run_button.setText(f"&Run {ticked} studies" if ticked > 1 else _RUN_TEXT)
        self.preflight.refresh()
        if obstacle and obstacle != self.choices.obstacle:  # the table tells those of the choices
            self.status_label.setText(obstacle)

    def _show_run_button(self) -> None:
        """Run is offered where nothing is known that would make it fail; else its tooltip says what."""
        why_not = self._obstacle or self._failed_check
        self.run_button.setEnabled(not why_not and not self.runs.running)
        self.run_button.setToolTip(f"Cannot be run yet. {why_not}" if why_not else _RUN_TIP)
        current = self.preflight.current_answer()
        expected = current.expected if current is not None else None
        plan = state.plan_text(self.choices, expected.seconds if expected is not None else None)
        self.plan_label.setText(plan)
        self.plan_label.setVisible(bool(plan))

    @property
    def _failed_check(self) -> str:
        """What the table of checks refuses about the chosen scans; several studies each have their own say."""
        if len(self.study_list.ticked) > 1:
            return ""
        current = self.preflight.current_answer()
        return current.failure if current is not None else ""

    # Running --------------------------------------------------------------------------------------------------------

    @property
    def _obstacle(self) -> str:
        """Why it cannot be run yet; with several studies each has its own say when its turn comes."""
        if len(self.study_list.ticked) < 2 or self.choices.model is None:
            return self.choices.obstacle
        if self.choices.box is not None:
            return "A box belongs to one study: choose whole volume to segment several in a row."
        if isinstance(self.choices.brain, Layer):
            return "A brain mask belongs to one study: let the brain be extracted to segment several in a row."
        return ""

    def run(self) -> None:
        """Segment the chosen scans, or the ticked studies one after the other; `runner` tells how it goes."""
        ticked = self.study_list.ticked
        try:
            if self._obstacle:
                raise BoxError(self._obstacle)
            studies = ticked or [OpenStudy.of(self.choices.sequences)]
            request = self.choices.request
            if len(studies) > 1:
                request = request.with_options(seeds=())  # points lie in one study
            runs = [self._run_of(study, request) for study in studies]
        except BrainTumorError as error:
            self._show_failure(error)
            return
        target = self._target or state.SEGMENT_TARGET
        self.runs.start(runs, self._worker, target, replaces=self.result_box.currentData() == "replace")

    def _run_of(self, study: OpenStudy, request: SegmentRequest) -> Run:
        views = {role: layers.view(layer) for role, layer in study.sequences.items()}
        return Run(study.name, views, request, self._expectation_of(study))

    def _expectation_of(self, study: OpenStudy) -> Expectation | None:
        """What the run is known to take; nothing is known of a box, or of scans that the checks did not look at."""
        current = self.preflight.current_answer()
        known = current.expected if current is not None else None
        is_shown = dict(study.sequences) == dict(self.choices.sequences)
        if known is None or not is_shown or self.choices.box is not None:
            return None
        return Expectation(known.seconds, known.stages)

    def _on_runs_changed(self) -> None:
        running = self.runs.running
        self._show_run_button()
        self.cancel_button.setEnabled(running and not self.runs.cancelling)
        self.cancel_button.setVisible(running)
        if running and not self.progress_bar.isVisibleTo(self):
            self.progress_bar.setRange(0, 0)
            self.status_label.setText("Starting…")
        self.progress_bar.setVisible(running)
        if running and self.runs.cancelling:
            self.status_label.setText("Cancelling…")
        if not running:
            self._on_runs_ended()

    def _on_runs_ended(self) -> None:
        if self._memory_asked:
            self._ask_memory()
        if self.runs.closing_words:
            self.status_label.setText(self.runs.closing_words)
            if not self.runs.queue.is_single:
                notify(self.runs.closing_words)

    def _on_progress(self, progress: Progress, seconds_left: float | None) -> None:
        if self.runs.running and not self.runs.cancelling:
            self.progress_bar.setRange(0, 1000)
            self.progress_bar.setValue(round(1000 * progress.fraction))
            words = state.sentence(state.running_words(progress), time_left_text(seconds_left))
            self.status_label.setText(f"{self.runs.queue.place}{words}")

    def _on_placed(self, placed: PlacedResult) -> None:
        self.status_label.setText(placed.text)
        if self._result is None:
            self._watch(placed.layer)  # the selection stayed with what the user is doing
        self._watch_kept()
        self._show_maps()

    def _show_failure(self, error: Exception) -> None:
        self.status_label.setText(str(error))
        notify_error(error)

    # Probabilities --------------------------------------------------------------------------------------------------

    def _watch_kept(self) -> None:
        """Offer what can be done with the probabilities of the result that is shown, if they are kept."""
        stored = stored_maps_of(self._result)
        self.more.apply_button.setEnabled(stored is not None)
        for doubt_button in self.doubt_buttons:
            doubt_button.setEnabled(stored is not None)
        self.doubt_fold.setEnabled(stored is not None and bool(stored.places))
        self.doubt_list.show_places_of(self._result)
        next_text = f"{len(stored.places)} doubtful places" if stored is not None else doubt.KEYS[0].text
        self.doubt_buttons[0].setText(f"{next_text} ({key_text(doubt.KEYS[0].key)})")
        if stored is None:
            self.doubt_label.hide()
            show_ring(self._viewer, None)

    def _on_doubt_gone(self, text: str) -> None:
        self.doubt_label.setText(text)
        self.doubt_label.show()

    def _on_thresholds_applied(self) -> None:
        layer, stored = self._result, stored_maps_of(self._result)
        if layer is None or stored is None:
            notify("Run a trained model first, or select the layer of its result: its probabilities are needed.")
            return
        thresholds = {region: self.more.threshold_boxes[region].value() for region in stored.maps.regions}
        tag = layer.metadata[layers.KEY]
        self._relabelled = layer
        self._relabel_runner.start(lambda _: as_job(relabel, tag, stored, thresholds))

    def _on_relabelled(self, data: LayerData) -> None:
        layer = self._relabelled
        if layer is None or layer not in self._viewer.layers:
            return
        try:
            self.status_label.setText(applied_text(layer, put_into(self._viewer, layer, data)))
        except BrainTumorError as error:
            notify_error(error)
        self._watch_kept()

    def _show_maps(self) -> None:
        """Show the ticked maps of the result that is shown, and remove those that are not ticked."""
        layer, stored = self._result, stored_maps_of(self._result)
        for other in [entry for entry in self._viewer.layers if self._is_unwanted(entry)]:
            self._viewer.layers.remove(other)
        kinds = self.more.maps
        if layer is None or stored is None or not kinds:
            return
        name = layer.name
        self._maps_runner.start(
            lambda _: as_job(lambda: [entry for w in kinds for entry in map_layers(name, stored, w)])
        )

    def _is_unwanted(self, layer: Layer) -> bool:
        return layer.metadata.get(layers.MAP_KEY, None) not in (None, *self.more.maps)

    def _on_maps_made(self, map_data: Sequence[LayerData]) -> None:
        active = self._viewer.layers.selection.active
        for data in map_data:
            name = data[1]["name"]
            if name in self._viewer.layers:
                self._viewer.layers.remove(name)  # of an earlier state of the same result
            # Below the labels, whose colours would be lost under it.
            self._viewer.layers.insert(self._below(active), layers.layer_of(data))
        if active in self._viewer.layers:
            self._viewer.layers.selection = {active}

    def _below(self, layer: Layer | None) -> int:
        reference = layer if state.is_result(layer) and layer in self._viewer.layers else self._result
        return self._viewer.layers.index(reference) if reference in self._viewer.layers else len(self._viewer.layers)

    # Volumes --------------------------------------------------------------------------------------------------------

    def _on_selection_changed(self, event: Any = None) -> None:
        active = self._viewer.layers.selection.active
        if state.is_result(active) and active is not self._result:
            self._watch(active)
        elif self._result is not None and self._result not in self._viewer.layers:
            self._watch(None)
        elif self._result is None:
            self._show_result_name()
        self.preflight.refresh()

    def _watch(self, layer: Layer | None) -> None:
        for event in edit_events(self._result):
            event.disconnect(self._on_result_edited)
        self._result = layer
        for event in edit_events(layer):
            event.connect(self._on_result_edited)
        self.volumes.show_table(None)
        self._tell_of_saving("")
        self._show_result_name()
        self._watch_kept()
        if layer is not None:
            self.format_box.setCurrentIndex(state.FORMATS.index(state.default_format(state.layout_of(layer))))
            self._refresh_timer.start(0)

    def _show_result_name(self) -> None:
        none_yet = "Volumes: select a labels layer, or run a segmentation."
        self.result_label.setText(f"Volumes of {self._result.name}" if self._result is not None else none_yet)
        self.save_button.setEnabled(self._result is not None)

    def _on_result_edited(self, event: Any = None) -> None:
        self._refresh_timer.start(_REFRESH_MS)

    def _measure(self) -> None:
        if self._result is None or self._result not in self._viewer.layers:
            return
        labels_view, references = self._views_of(self._result)
        self._measure_runner.start(lambda _: as_job(state.measure_layer, labels_view, references))

    def _views_of(self, layer: Layer) -> tuple[LayerView, list[LayerView]]:
        return layers.view(layer), layers.readable_views(self._viewer.layers)

    def _on_measured(self, table: Any) -> None:
        self._show_result_name()
        self.volumes.show_table(table)

    def _on_measure_failed(self, error: Exception) -> None:
        self.volumes.show_table(None)
        self.result_label.setText(str(error))

    # Saving ---------------------------------------------------------------------------------------------------------

    def _on_save_requested(self) -> None:
        if self._result is None:
            return
        file_format: state.Format = self.format_box.currentData()
        path = self._ask_where(file_format)
        more = self._ask_more(file_format) if path else None
        if more is not None:
            self.save(path, more)

    def _ask_where(self, file_format: state.Format) -> str:
        name = state.case_name(self._result)
        if not file_format.suffix:
            return str(QFileDialog.getExistingDirectory(self, f"Folder for {file_format.label}"))
        start = str(Path.home() / f"{name}_segmentation{file_format.suffix}")
        path, _ = QFileDialog.getSaveFileName(
            self, "Save segmentation", start, f"{file_format.label} (*{file_format.suffix})"
        )
        return path if not path or path.lower().endswith(file_format.suffix) else f"{path}{file_format.suffix}"

    def _ask_more(self, file_format: state.Format) -> dict[str, str] | None:
        """What the format has to be told beside the path; None where the user does not say it."""
        try:
            needed = state.still_needed(*self._views_of(self._result), file_format)
        except BrainTumorError:  # saving says it
            return {}
        if not needed:
            return {}
        if needed == "source":
            entered = str(QFileDialog.getExistingDirectory(self, "Folder of the DICOM series that the labels lie on"))
        else:
            entered, _ = QInputDialog.getText(self, "Save segmentation", "Subject of the data set, such as 01")
        return {needed: entered} if entered else None

    def save(self, path: str, more: Mapping[str, str] | None = None) -> None:
        """Save the shown labels in the chosen schema; `more` are arguments that a format needs."""
        if self._result is None:
            return
        labels_view, references = self._views_of(self._result)
        schema = self.schema_box.currentData()
        layer, point = self._result, start_journal(self._viewer).save_point(self._result)
        file_format: state.Format = self.format_box.currentData()
        # A path of another suffix tells its format itself.
        name = file_format.name if path.lower().endswith(file_format.suffix) else None
        remembers = file_format.labels or name is None
        self._when_saved = lambda: self._remember_saved(layer, path, schema, point) if remembers else None
        self.save_button.setEnabled(False)
        self._tell_of_saving("Saving…")
        self.save_runner.start(lambda _: as_job(state.save_layer, labels_view, references, path, schema, name, more))

    def _lines(self) -> CommandLines:
        lines = segment_lines_of(
            self.choices,
            self.format_box.currentData(),
            self.schema_box.currentData(),
            self._saved_to,
            self._result,
        )
        if len(self.study_list.ticked) < 2:
            return lines
        note = "These are the lines of the study above; the shell takes the folders of several cases at once."
        return replace(lines, notes=(*lines.notes, note))

    def _remember_saved(self, layer: Layer, path: str, schema: str, point: SavePoint) -> None:
        remember_saved(layer, path, schema)
        start_journal(self._viewer).mark_saved(point)
        self._saved_to = path
        self.code_box.refresh()

    def _tell_of_saving(self, text: str) -> None:
        self.save_label.setText(text)
        self.save_label.setVisible(bool(text))

    def _on_saved(self, message: str) -> None:
        self._when_saved()
        self.save_button.setEnabled(True)
        self._tell_of_saving(message)
        notify(message)

    def _on_save_failed(self, error: Exception) -> None:
        self.save_button.setEnabled(True)
        self._tell_of_saving(f"Not saved. {error}")
        notify_error(error)


def _farewell(ties: Sequence[tuple[Any, Callable[..., None]]]) -> Callable[..., None]:
    """What cuts the ties of a panel that is closed or gone; what it has begun goes on in the viewer."""
    left = list(ties)

    def leave(*_: Any) -> None:
        while left:
            event, slot = left.pop()
            with suppress(RuntimeError, TypeError, ValueError):  # cut already, or gone with its owner
                event.disconnect(slot)

    return leave
