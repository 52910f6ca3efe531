"""The Segment panel: choose scans, model and device, run, look at volumes, save."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import napari.viewer
from napari.layers import Layer
from qtpy.QtCore import QSize, Qt, QTimer
from qtpy.QtGui import QShowEvent
from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QDoubleSpinBox,
    QFileDialog,
    QFormLayout,
    QHBoxLayout,
    QProgressBar,
    QScrollArea,
    QVBoxLayout,
)

from napari_brain_tumor.catalogue import Method, ModelInfo, list_models
from napari_brain_tumor.command_lines import CommandLines
from napari_brain_tumor.errors import BrainTumorError
from napari_brain_tumor.inference.worker_process import WorkerProcess
from napari_brain_tumor.models.cards import default_model
from napari_brain_tumor.plugin import layers
from napari_brain_tumor.plugin.layers import LayerData, LayerView
from napari_brain_tumor.preprocessing.traits import Traits
from napari_brain_tumor.progress import Progress
from napari_brain_tumor.study import ROLES, Role
from napari_brain_tumor.widgets import segment_state as state
from napari_brain_tumor.widgets.action_lines import ActionLines
from napari_brain_tumor.widgets.initial_choices import start_as_preferred
from napari_brain_tumor.widgets.label_edits import edit_events
from napari_brain_tumor.widgets.label_journal import SavePoint, start_journal
from napari_brain_tumor.widgets.model_list import model_list
from napari_brain_tumor.widgets.panel_lines import segment_lines_of
from napari_brain_tumor.widgets.parts import button, column_in, combo, form, line, wrapped
from napari_brain_tumor.widgets.restore import RestoreNotice
from napari_brain_tumor.widgets.saved_files import remember_saved
from napari_brain_tumor.widgets.volume_table import VolumeView
from napari_brain_tumor.widgets.worker import (
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
_ROLE_TIPS: dict[Role, str] = {
    "T1": "T1-weighted scan before contrast agent.",
    "T1c": "T1-weighted scan after contrast agent (gadolinium).",
    "T2": "T2-weighted scan.",
    "FLAIR": "T2-FLAIR scan.",
}


class SegmentWidget(QScrollArea):
    """Segments the tumour in the opened scans with a trained network, in a process of its own.

    The user's layers are never altered: each run adds a labels layer.

    Parameters
    ----------
    napari_viewer : napari.viewer.Viewer
    worker : WorkerProcess, optional
        The one of this session where none is given.
    target : str
        The job that runs in the worker process, called like `workflow.segment_job`.
    models : sequence of Method, optional
        The installed models and the methods without weights where none are given.
    """

    def __init__(
        self,
        napari_viewer: napari.viewer.Viewer,
        worker: WorkerProcess | None = None,
        *,
        target: str = state.SEGMENT_TARGET,
        models: Sequence[Method] | None = None,
    ) -> None:
        super().__init__()
        self._viewer = napari_viewer
        self._worker = worker or shared_worker()
        self._target = target
        self.choices = state.Choices()
        self.runner = JobRunner(self)
        self._device_runner = JobRunner(self)
        self._measure_runner = JobRunner(self)
        self._save_runner = JobRunner(self, must_finish=True)
        self._result: Layer | None = None
        self._saved_to = ""
        self._when_saved: Callable[[], None] = lambda: None
        self._chosen_by_hand = False
        self._model_by_hand = False
        self._traits: Traits | None = None
        self._devices_asked = False
        self._image_layers: list[Layer] = []
        self._build()
        self._reloads_models = models is None
        self._fill_models(list_models() if models is None else list(models))
        self._connect()
        start_as_preferred(self, self._device_runner)
        self._on_layers_changed()
        self._on_selection_changed()

    # Building -------------------------------------------------------------------------------------------------------

    def _build(self) -> None:
        column = column_in(self)
        column.addWidget(RestoreNotice(self._viewer))
        column.addLayout(self._build_choices())
        column.addLayout(self._build_run())
        column.addWidget(line())
        column.addLayout(self._build_result())
        self.code_box = ActionLines(self._lines)
        column.addWidget(self.code_box)
        column.addStretch(1)
        warning = wrapped("For research only. Not a medical device, not for clinical use.")
        column.addWidget(warning)

    def _build_choices(self) -> QFormLayout:
        rows = form()
        self.role_boxes: dict[Role, QComboBox] = {}
        for role in ROLES:
            box = combo(f"{_ROLE_TIPS[role]} Choose its layer, or none if there is no such scan.", f"Layer of {role}")
            self.role_boxes[role] = box
            rows.addRow(role, box)
        self.match_button = button(
            "Match &by name",
            "Choose the layers of the selected layer's case by what their files are called; of the newest case if "
            "no scan is selected.",
        )
        rows.addRow("", self.match_button)
        self.model_box = combo("The trained network, or a method without weights.", "Model")
        rows.addRow("M&odel", self.model_box)
        self.seeds_box = combo(
            "Points within the tumour, from which the method begins to grow.\n"
            "Automatic takes the brightest asymmetric place.",
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
        self.lesion_box = QDoubleSpinBox()
        self.lesion_box.setRange(0, 100_000)
        self.lesion_box.setDecimals(0)
        self.lesion_box.setSingleStep(10)
        self.lesion_box.setSuffix(" mm³")
        self.lesion_box.setAccessibleName("Smallest lesion")
        self.lesion_box.setToolTip(
            "Connected parts of the tumour smaller than this are removed. 0 keeps everything.\n"
            "Without effect where the voxel size is not known."
        )
        rows.addRow("Smallest &lesion", self.lesion_box)
        self.flips_box = QCheckBox("Average &mirrored copies")
        self.flips_box.setToolTip(
            "Segment mirrored copies too and average: a little more accurate, several times slower."
        )
        rows.addRow("", self.flips_box)
        return rows

    def _build_run(self) -> QVBoxLayout:
        column = QVBoxLayout()
        self.notes_label = wrapped("")
        self.notes_label.setAccessibleName("What to know before running")
        column.addWidget(self.notes_label)
        buttons = QHBoxLayout()
        self.run_button = button("&Run", "Segment the tumour. Adds a labels layer; nothing else is changed.")
        self.cancel_button = button("&Cancel", "Stop within a second. Nothing is added.")
        self.cancel_button.setEnabled(False)
        buttons.addWidget(self.run_button, 2)
        buttons.addWidget(self.cancel_button, 1)
        column.addLayout(buttons)
        self.progress_bar = QProgressBar()
        self.progress_bar.setRange(0, 1000)
        self.progress_bar.setToolTip("How far the segmentation is.")
        self.progress_bar.setAccessibleName("Progress")
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
        rows = form()
        self.schema_box = combo("Which integers are written: each data set has its own.", "Label numbers")
        for name in state.writable_schemas():
            self.schema_box.addItem(name, name)
            self.schema_box.setItemData(
                self.schema_box.count() - 1, state.schema_tooltip(name), Qt.ItemDataRole.ToolTipRole
            )
        rows.addRow("Label &numbers", self.schema_box)
        self.format_box = combo("The file format to save in.", "File format")
        for one in state.FORMATS:
            self.format_box.addItem(one.label, one)
        rows.addRow("&File format", self.format_box)
        column.addLayout(rows)
        self.save_button = button(
            "&Save segmentation…",
            "Save the selected labels on the scan's own grid; the file is read back and compared before it counts.",
        )
        column.addWidget(self.save_button)
        self.save_label = wrapped("")
        self.save_label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        column.addWidget(self.save_label)
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
        self.flips_box.toggled.connect(lambda on: setattr(self.choices, "flips", on))
        self.lesion_box.valueChanged.connect(lambda value: setattr(self.choices, "min_lesion_mm3", value))
        self.choices.events.connect(self._refresh_readiness)
        for changed in (self.choices.events, self.schema_box.currentIndexChanged, self.format_box.currentIndexChanged):
            changed.connect(self.code_box.refresh)
        self.run_button.clicked.connect(self.run)
        self.cancel_button.clicked.connect(self._on_cancel_requested)
        self.save_button.clicked.connect(self._on_save_requested)
        self.runner.progressed.connect(self._on_progress)
        self.runner.finished.connect(self._on_run_finished)
        self.runner.failed.connect(self._on_run_failed)
        self.runner.cancelled.connect(self._on_run_cancelled)
        self._device_runner.finished.connect(self._on_devices_known)
        self._measure_runner.finished.connect(self._on_measured)
        self._measure_runner.failed.connect(self._on_measure_failed)
        self._save_runner.finished.connect(self._on_saved)
        self._save_runner.failed.connect(self._on_save_failed)
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
        self.destroyed.connect(
            _farewell(self._viewer, self.runner, self._on_layer_list_event, self._on_selection_changed)
        )

    # Scans ----------------------------------------------------------------------------------------------------------

    def _on_layer_list_event(self, event: Any = None) -> None:
        self._match_timer.start(0)  # once for the four layers of a case, not four times

    def _on_layers_changed(self) -> None:
        found = state.candidates(self._viewer.layers)
        self._image_layers = [one.layer for one in found]
        kept = {role: layer for role, layer in self.choices.sequences.items() if layer in self._image_layers}
        if not kept:
            self._chosen_by_hand = False
        self._show_roles(kept if self._chosen_by_hand else state.match_roles(found))
        self._show_seed_layers()

    def _show_seed_layers(self) -> None:
        chosen = self.choices.seeds
        found = state.seed_layers(self._viewer.layers)
        self.seeds_box.blockSignals(True)
        self.seeds_box.clear()
        self.seeds_box.addItem("automatic", None)
        for layer in found:
            self.seeds_box.addItem(layer.name, layer)
        self.seeds_box.setCurrentIndex(found.index(chosen) + 1 if chosen in found else 0)
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

    def _on_match_requested(self) -> None:
        self._chosen_by_hand = False
        near = self._viewer.layers.selection.active
        self._show_roles(state.match_roles(state.candidates(self._viewer.layers), near))

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
        chosen = {other: layer for other, layer in self.choices.sequences.items() if other != role}
        if index > 0:
            chosen[role] = self._image_layers[index - 1]
        self.choices.sequences = chosen
        self._choose_default_model()
        self._refresh_readiness()

    # Model and device -----------------------------------------------------------------------------------------------

    def reload_models(self) -> None:
        """Read the model list anew, and keep the choice; a model that was just trained is there at once."""
        found = list_models() if self._reloads_models else None
        shown = [self.model_box.itemData(k) for k in range(self.model_box.count()) if self.model_box.itemData(k)]
        if found is None or found == shown:
            return
        chosen, lesion = self.choices.model, self.lesion_box.value()
        self.model_box.blockSignals(True)
        self.model_box.clear()
        self.model_box.setEnabled(True)
        self._fill_models(found)
        places = [self.model_box.itemData(k) for k in range(self.model_box.count())]
        kept = [k for k, one in enumerate(places) if chosen and one and state.same_method(one, chosen)]
        self.model_box.setCurrentIndex(kept[0] if kept else 0)
        self.model_box.blockSignals(False)
        self._on_model_chosen()
        if self.choices.model == chosen:
            self.lesion_box.setValue(lesion)

    def _on_model_picked(self) -> None:
        self._model_by_hand = True
        self._on_model_chosen()

    def _choose_default_model(self) -> None:
        """Until the user picks one, the model is the default that suits the slices of the chosen scans."""
        self._traits = state.traits_of(self.choices)
        if self._model_by_hand or self._traits is None:
            return
        models = [self.model_box.itemData(k) for k in range(self.model_box.count())]
        default = default_model([model for model in models if isinstance(model, ModelInfo)], self._traits)
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
            self.lesion_box.setValue(model.min_lesion_mm3)
            self.choices.min_lesion_mm3 = model.min_lesion_mm3
        takes_seeds = model is not None and model.takes_seeds
        for widget in (self.seeds_box, self.new_seeds_button):
            self._choice_rows.setRowVisible(widget, takes_seeds)
        self.flips_box.setEnabled(model is None or not model.is_baseline)
        self._refresh_readiness()

    def sizeHint(self) -> QSize:
        """Narrow enough to leave room for the canvas on a small screen."""
        return QSize(320, 560)

    def showEvent(self, event: QShowEvent | None) -> None:
        """Ask the worker process which devices are present, when the panel is first seen; read the models anew."""
        super().showEvent(event)
        self.reload_models()
        if not self._devices_asked:
            self._devices_asked = True
            self.ask_devices()

    def ask_devices(self, target: str = "napari_brain_tumor.inference.device_list:list_devices") -> None:
        """Ask the worker process which devices are present; it also loads torch there, so that Run starts at once."""
        self._device_runner.start(lambda stop: stop.guard(self._worker.run(target)))

    def _on_devices_known(self, devices: Sequence[tuple[str, str, str]]) -> None:
        if devices:
            self.device_box.setItemText(0, f"automatic: {devices[0][1]}")
            self.device_box.setItemData(0, devices[0][2], Qt.ItemDataRole.ToolTipRole)
        for name, label, reason in devices:
            self.device_box.addItem(label, name)
            self.device_box.setItemData(self.device_box.count() - 1, reason, Qt.ItemDataRole.ToolTipRole)
        self._on_device_chosen()

    def _on_device_chosen(self) -> None:
        self.choices.device = self.device_box.currentData()
        reason = self.device_box.currentData(Qt.ItemDataRole.ToolTipRole)
        self.device_box.setToolTip(f"Where to compute. {reason}")

    def _refresh_readiness(self) -> None:
        obstacle = self.choices.obstacle
        self.run_button.setEnabled(not obstacle and not self.runner.running)
        notes = [obstacle] if obstacle else []
        if self.choices.model is not None and not obstacle:
            notes += self.choices.model.notes_without(self.choices.sequences)
            notes += self.choices.model.notes_on(self._traits) if self._traits is not None else []
        self._show_notes(notes)

    def _show_notes(self, notes: Sequence[str]) -> None:
        self.notes_label.setText("\n".join(f"⚠ {note}" for note in notes))
        self.notes_label.setVisible(bool(notes))

    # Running --------------------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Segment the chosen scans; `runner` tells how it goes."""
        try:
            views = {role: layers.view(layer) for role, layer in self.choices.sequences.items()}
            settings = self.choices.settings
        except BrainTumorError as error:
            self._on_run_failed(error)
            return
        self._show_running(True)
        self.runner.start(lambda stop: state.segment_steps(stop, views, settings, self._worker, self._target))

    def _show_running(self, running: bool) -> None:
        self.run_button.setEnabled(not running and not self.choices.obstacle)
        self.cancel_button.setEnabled(running)
        self.progress_bar.setVisible(running)
        if running:
            self.progress_bar.setRange(0, 0)
            self.status_label.setText("Starting…")

    def _on_cancel_requested(self) -> None:
        self.cancel_button.setEnabled(False)
        self.status_label.setText("Cancelling…")
        self.runner.cancel()

    def _on_progress(self, progress: Progress, seconds_left: float | None) -> None:
        if self.cancel_button.isEnabled():
            self.progress_bar.setRange(0, 1000)
            self.progress_bar.setValue(round(1000 * progress.fraction))
            self.status_label.setText(state.sentence(progress.message, time_left_text(seconds_left)))

    def _on_run_finished(self, outcome: tuple[LayerData, tuple[str, ...]]) -> None:
        data, notes = outcome
        layer = self._viewer.add_layer(layers.layer_of(data))
        layers.show_tumour(self._viewer, layer)
        self._show_running(False)
        self.status_label.setText(" ".join([state.outcome_text(layer), *notes]))

    def _on_run_failed(self, error: Exception) -> None:
        self._show_running(False)
        self.status_label.setText(str(error))
        notify_error(error)

    def _on_run_cancelled(self) -> None:
        self._show_running(False)
        self.status_label.setText("Cancelled. Nothing was added.")

    # Volumes --------------------------------------------------------------------------------------------------------

    def _on_selection_changed(self, event: Any = None) -> None:
        active = self._viewer.layers.selection.active
        if state.is_result(active) and active is not self._result:
            self._watch(active)
        elif self._result is not None and self._result not in self._viewer.layers:
            self._watch(None)
        elif self._result is None:
            self._show_result_name()

    def _watch(self, layer: Layer | None) -> None:
        for event in edit_events(self._result):
            event.disconnect(self._on_result_edited)
        self._result = layer
        for event in edit_events(layer):
            event.connect(self._on_result_edited)
        self.volumes.show_table(None)
        self.save_label.setText("")
        self._show_result_name()
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
        seen, references = self._seen(self._result)
        self._measure_runner.start(lambda _: as_job(state.measure_layer, seen, references))

    def _seen(self, layer: Layer) -> tuple[LayerView, list[LayerView]]:
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
        chosen: state.Format = self.format_box.currentData()
        path = self._ask_where(chosen)
        if path:
            self.save(path)

    def _ask_where(self, chosen: state.Format) -> str:
        name = state.case_name(self._result)
        if not chosen.suffix:
            return str(QFileDialog.getExistingDirectory(self, "Folder for the masks"))
        start = str(Path.home() / f"{name}_segmentation{chosen.suffix}")
        path, _ = QFileDialog.getSaveFileName(self, "Save segmentation", start, f"{chosen.label} (*{chosen.suffix})")
        return path if not path or path.lower().endswith(chosen.suffix) else f"{path}{chosen.suffix}"

    def save(self, path: str) -> None:
        """Save the shown labels in the chosen schema."""
        if self._result is None:
            return
        seen, references = self._seen(self._result)
        schema = self.schema_box.currentData()
        layer, point = self._result, start_journal(self._viewer).save_point(self._result)
        self._when_saved = lambda: self._remember_saved(layer, path, schema, point)
        self.save_button.setEnabled(False)
        self.save_label.setText("Saving…")
        self._save_runner.start(lambda _: as_job(state.save_layer, seen, references, path, schema))

    def _lines(self) -> CommandLines:
        return segment_lines_of(
            self.choices,
            self.format_box.currentData().suffix,
            self.schema_box.currentData(),
            self._saved_to,
            self._result,
        )

    def _remember_saved(self, layer: Layer, path: str, schema: str, point: SavePoint) -> None:
        remember_saved(layer, path, schema)
        start_journal(self._viewer).mark_saved(point)
        self._saved_to = path
        self.code_box.refresh()

    def _on_saved(self, message: str) -> None:
        self._when_saved()
        self.save_button.setEnabled(True)
        self.save_label.setText(message)
        notify(message)

    def _on_save_failed(self, error: Exception) -> None:
        self.save_button.setEnabled(True)
        self.save_label.setText(f"Not saved. {error}")
        notify_error(error)


def _farewell(
    viewer: Any, runner: JobRunner, on_list: Callable[..., None], on_selection: Callable[..., None]
) -> Callable[..., None]:
    """What stops the job and cuts the ties to the viewer when the panel is gone."""

    def leave(*_: Any) -> None:
        runner.cancel()
        events = viewer.layers.events
        for event in (events.inserted, events.removed, events.reordered):
            event.disconnect(on_list)
        viewer.layers.selection.events.active.disconnect(on_selection)

    return leave
