"""The Correct panel: strokes, points, lassos and boxes that correct a segmentation as they are drawn."""

import threading
from collections.abc import Callable, Collection
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, Final, Literal

import napari.viewer
import numpy as np
from napari.layers import Labels, Layer
from qtpy.QtCore import QEvent, QSize, Qt, QTimer
from qtpy.QtGui import QKeyEvent
from qtpy.QtWidgets import QCheckBox, QFileDialog, QLayout, QProgressBar, QScrollArea, QVBoxLayout, QWidget

from napari_brain_tumor.errors import BrainTumorError, PromptError
from napari_brain_tumor.interactive import read_prompts, save_prompts
from napari_brain_tumor.interactive.prompts import Prompt
from napari_brain_tumor.interactive.refine import check_prompts
from napari_brain_tumor.labels import Region
from napari_brain_tumor.plugin import layers
from napari_brain_tumor.plugin.prompt_layers import Meaning
from napari_brain_tumor.progress import Progress
from napari_brain_tumor.requests.actions import LabelFile, ModelRun
from napari_brain_tumor.requests.lines import CommandLines
from napari_brain_tumor.widgets.action_lines import ActionLines
from napari_brain_tumor.widgets.correct_layers import PromptLayers
from napari_brain_tumor.widgets.correct_queue import CorrectionQueue
from napari_brain_tumor.widgets.correct_start import Begun, Start, begin_job, obstacle, starts
from napari_brain_tumor.widgets.correct_state import Correction, Entry, Plane, Voxels, change_in_words, tidy_step
from napari_brain_tumor.widgets.correct_steps import SliceSteps, StepList
from napari_brain_tumor.widgets.correct_tidy import TidySteps
from napari_brain_tumor.widgets.correct_tools import CLASS_KEYS, NOT_KEY, SLICE_KEY, TOOL_KEYS, PromptTools
from napari_brain_tumor.widgets.label_journal import start_journal
from napari_brain_tumor.widgets.linked_layers import Links
from napari_brain_tumor.widgets.panel_lines import origin_of, refine_lines_of
from napari_brain_tumor.widgets.parts import Fold, button, column_in, combo, flow, form, line, wrapped
from napari_brain_tumor.widgets.view_actions import labels_in_view
from napari_brain_tumor.widgets.worker import JobRunner, notify, notify_error

__all__ = ["CorrectWidget"]

_UNDO, _REDO, _STOP, _TAKE = "Control-Z", "Control-Shift-Z", "Escape", "Enter"
_REFRESH_MS: Final = 60
_LOOK_MS: Final = 300


class CorrectWidget(QScrollArea):
    """Corrects a segmentation with prompts, each of which at once changes the labels around it.

    The computing is done in another thread of napari's process; the steps stand in napari's own history of the labels.

    Parameters
    ----------
    napari_viewer : napari.viewer.Viewer
    """

    queue: CorrectionQueue | None = None
    """What is computed, while something is corrected."""

    def __init__(self, napari_viewer: napari.viewer.Viewer) -> None:
        super().__init__()
        # napari hands panels a proxy whose layers are new objects at each look, and which warns of the layers' history,
        # for which there is no public name.
        self._viewer: napari.viewer.Viewer = getattr(napari_viewer, "__wrapped__", napari_viewer)
        start_journal(self._viewer)
        self.begin_runner = JobRunner(self)
        self.prompt_layers: PromptLayers | None = None
        self._starts: list[Start] = []
        self._chosen: Start | None = None
        self._links = Links()
        self._halt = threading.Event()
        self._planes: list[Plane] = []
        self._carrying: Entry | None = None
        self._prompts_file = ""
        self._could_start = True
        self._leaves = False
        self._origin: Callable[[], LabelFile | ModelRun | None] = lambda: None
        self._build()
        self._connect()
        self._on_layers_changed()

    @property
    def correction(self) -> Correction | None:
        """What is corrected now."""
        return self.queue.correction if self.queue is not None else None

    # Building -------------------------------------------------------------------------------------------------------

    def _build(self) -> None:
        column = column_in(self)
        column.addWidget(self._build_start())
        column.addWidget(self._build_work())
        self.status_label = wrapped("")
        self.status_label.setAccessibleName("Status")
        column.addWidget(self.status_label)
        self.code_box = ActionLines(self._lines)
        column.addWidget(self.code_box)
        column.addStretch(1)

    def _build_start(self) -> QWidget:
        self.start_part = QWidget()
        column = QVBoxLayout(self.start_part)
        column.setContentsMargins(0, 0, 0, 0)
        rows = form()
        self.start_box = combo(
            "What to correct: labels over an open case, such as the result of a model, or a new segmentation, which is "
            "made from your strokes alone.",
            "What to correct",
        )
        rows.addRow("Correct", self.start_box)
        column.addLayout(rows)
        self.start_button = button(
            "Start correctin&g", "Add layers to draw prompts in, over the labels. The scans are not changed."
        )
        column.addWidget(self.start_button)
        return self.start_part

    def _build_work(self) -> QWidget:
        self.work_part = QWidget()
        column = QVBoxLayout(self.work_part)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(6)
        self.name_label = wrapped("")
        column.addWidget(self.name_label)
        self.tools = PromptTools()
        column.addWidget(self.tools)
        self.more = Fold(
            "&More tools",
            "Points and boxes, a preview, islands, filling between slices, the list of steps.",
        )
        column.addLayout(self._build_undo())
        self.busy_bar = QProgressBar()
        self.busy_bar.setRange(0, 0)
        self.busy_bar.setMaximumHeight(6)
        self.busy_bar.setTextVisible(False)
        self.busy_bar.setToolTip("A prompt is being computed.")
        self.busy_bar.setAccessibleName("Computing")
        policy = self.busy_bar.sizePolicy()
        policy.setRetainSizeWhenHidden(True)  # else everything below would jump at each stroke
        self.busy_bar.setSizePolicy(policy)
        column.addWidget(self.busy_bar)
        column.addWidget(self.more)
        inner = self.more.column
        inner.addWidget(self.tools.more)
        self.tidy = TidySteps()
        inner.addWidget(self.tidy)
        inner.addWidget(line())
        self.slices = SliceSteps()
        inner.addWidget(self.slices)
        inner.addWidget(line())
        self.steps = StepList()
        inner.addWidget(self.steps)
        inner.addLayout(self._build_files())
        inner.addLayout(self._build_finish())
        self.work_part.hide()
        return self.work_part

    def _build_undo(self) -> QLayout:
        row = flow()
        self.undo_button = button("&Undo", "Take back the last prompt with all that it changed.\nKey: Ctrl+Z")
        self.redo_button = button("Red&o", "Bring back what was undone last.\nKey: Ctrl+Shift+Z")
        self.cancel_button = button("&Cancel", "Drop what is still being computed. Key: Escape")
        for undo_control in (self.undo_button, self.redo_button, self.cancel_button):
            undo_control.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        row.addWidget(self.undo_button)
        row.addWidget(self.cancel_button)
        self.cancel_button.hide()
        self.more.column.addWidget(self.redo_button)
        return row

    def _build_files(self) -> QLayout:
        row = flow()
        self.save_button = button(
            "Save &prompts…", "Write all steps as a JSON file, to be replayed here, in Python or in the shell."
        )
        self.load_button = button("&Load, replay…", "Carry out the steps of a JSON file, after those that are there.")
        row.addWidget(self.save_button)
        row.addWidget(self.load_button)
        return row

    def _build_finish(self) -> QVBoxLayout:
        column = QVBoxLayout()
        self.keep_box = QCheckBox("Keep the la&yers of prompts")
        self.keep_box.setToolTip("Leave strokes, points and outlines in the viewer when you finish.")
        column.addWidget(self.keep_box)
        self.finish_button = button(
            "Fi&nish", "Stop correcting, or correct something else. The labels stay as they are, and undo still works."
        )
        column.addWidget(self.finish_button)
        return column

    def sizeHint(self) -> QSize:
        """Narrow enough to leave room for the canvas on a small screen."""
        return QSize(320, 560)

    def _connect(self) -> None:
        self.start_box.currentIndexChanged.connect(lambda _: self.code_box.refresh())
        self.start_button.clicked.connect(self.start)
        self.begin_runner.finished.connect(self._on_begun)
        self.begin_runner.failed.connect(self._on_begin_failed)
        self.begin_runner.cancelled.connect(lambda: self.start_button.setEnabled(True))
        self.tools.meaning_changed.connect(self._on_meaning_changed)
        self.tools.tool_requested.connect(self.take)
        self.tools.around_changed.connect(self._on_around_changed)
        self.tidy.preview_toggled.connect(self._on_preview_toggled)
        self.tidy.take_requested.connect(self.take_held)
        self.tidy.drop_requested.connect(self.cancel)
        self.tidy.requested.connect(self.tidy_up)
        self.undo_button.clicked.connect(self.undo)
        self.redo_button.clicked.connect(self.redo)
        self.cancel_button.clicked.connect(self.cancel)
        self.slices.fill_requested.connect(self.fill)
        self.slices.carry_requested.connect(self.carry_on)
        self.slices.stop_requested.connect(self.cancel)
        self.steps.chosen.connect(self.go_to)
        self.steps.removal_requested.connect(self.do_without)
        self.save_button.clicked.connect(self._on_save_requested)
        self.load_button.clicked.connect(self._on_load_requested)
        self.finish_button.clicked.connect(self.finish)
        self._refresh_timer = self._timer(self._refresh)
        self._match_timer = self._timer(self._on_layers_changed)
        self._links_to_viewer = Links()
        events = self._viewer.layers.events
        for event in (events.inserted, events.removed, events.reordered):
            self._links_to_viewer.connect(event, self._on_layer_list_event)
        self._links_to_viewer.connect(self._viewer.dims.events.order, self._on_view_changed)
        self._links_to_viewer.connect(self._viewer.dims.events.ndisplay, self._on_view_changed)
        # What is here is read when it is needed: at the end the panel itself is no more.
        self._leaving: list[Callable[[], None]] = [self._links_to_viewer.cut, self._links.cut]
        self.destroyed.connect(partial(_leave, self._leaving))

    def _timer(self, action: Callable[[], None]) -> QTimer:
        timer = QTimer(self)
        timer.setSingleShot(True)
        timer.timeout.connect(action)
        return timer

    # What can be corrected ------------------------------------------------------------------------------------------

    def _on_layer_list_event(self, event: Any = None) -> None:
        self._match_timer.start(0)

    def _on_layers_changed(self) -> None:
        correction = self.correction
        if correction is not None and correction.layer not in self._viewer.layers:
            self._tell(f"{correction.layer.name} was removed, so its correction ended.")
            self.finish()
        if self.queue is None and self._chosen is not None and _is_closed(self._chosen, self._viewer.layers):
            self._chosen, self._origin = None, lambda: None  # else they would keep the case in memory
        selected = self.start_box.currentData()
        self._starts = starts(self._viewer.layers)
        self.start_box.blockSignals(True)
        self.start_box.clear()
        for start in self._starts:
            self.start_box.addItem(start.text, start)
        self.start_box.setCurrentIndex(self._row_of(selected))
        self.start_box.blockSignals(False)
        why_not = obstacle(self._viewer.layers)
        self.start_button.setEnabled(not why_not and not self.begin_runner.running)
        if why_not and correction is None:
            self._tell(why_not)
        elif not self._could_start:
            self._tell("")
        self._could_start = not why_not
        self.code_box.refresh()

    def _row_of(self, selected: Start | None) -> int:
        active = self._viewer.layers.selection.active
        for row, start in enumerate(self._starts):
            if selected is not None and start.layer is selected.layer and start.study.name == selected.study.name:
                return row
        rows = [row for row, start in enumerate(self._starts) if start.layer is not None and start.layer is active]
        return rows[0] if rows else min(0, len(self._starts) - 1)

    # Beginning and finishing ----------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin to correct what is chosen; `begin_runner` tells how it goes."""
        selected: Start | None = self.start_box.currentData()
        if selected is None or self.queue is not None:
            return
        self._chosen, self._origin, self._prompts_file = selected, _kept_origin(selected), ""
        self.start_button.setEnabled(False)
        self._tell("Looking at the scans…")
        try:
            job = begin_job(selected, self._viewer.layers)
        except BrainTumorError as error:
            self._on_begin_failed(error)
            return
        self.begin_runner.start(lambda _: job)

    def _on_begin_failed(self, error: Exception) -> None:
        self.start_button.setEnabled(True)
        self._tell(str(error))
        notify_error(error)

    def _on_begun(self, opened: Begun) -> None:
        self.start_button.setEnabled(True)
        selected = self._chosen
        layer = selected.layer if selected is not None else None
        if opened.new_layer is not None:
            layer = self._viewer.add_layer(layers.layer_of(opened.new_layer))
        if layer is None or layer not in self._viewer.layers:
            self._tell("The labels were removed in the meantime; nothing was started.")
            return
        self._begin(opened.correction_of(layer))

    def _begin(self, correction: Correction) -> None:
        self.queue = CorrectionQueue(correction, self)
        prompt_layers = PromptLayers(self._viewer, correction.layer, correction.place, correction.study.name, self)
        self.prompt_layers = prompt_layers
        prompt_layers.bind_keys(self._keys())
        self._bind_viewer()
        events = correction.layer.events
        self._links.connect(events.paint, self._on_labels_event)
        self._links.connect(events.set_data, self._on_labels_event)  # of undo it is all that tells
        self._links.connect(events.data, self._on_labels_replaced)
        self._links.connect(events.name, self._on_renamed)
        prompt_layers.drawn.connect(self._on_drawn)
        prompt_layers.refused.connect(self._tell)
        prompt_layers.meaning_chosen.connect(self._on_meaning_changed)
        prompt_layers.tool_changed.connect(self.tools.show_tool)
        prompt_layers.taken_away.connect(self._on_layers_taken_away)
        self.queue.shown.connect(self._on_shown)
        self.queue.failed.connect(self._on_failed)
        self.queue.changed.connect(self._on_changed)
        self.queue.progressed.connect(self._on_progressed)
        self.queue.held.connect(self._on_held)
        self.queue.holds = self.tidy.preview_box.isChecked()
        prompt_layers.around = not self.tools.slice_box.isChecked()
        self._leaving += [self.queue.stop, correction.end_preview, prompt_layers.remove, self._unbind_viewer_later()]
        self.start_part.hide()
        self.work_part.show()
        self._on_renamed()
        prompt_layers.set_meaning(self.tools.meaning)
        prompt_layers.take("stroke")
        self._tell("Draw over what is wrong: the labels follow when you let go.")
        self._refresh()

    def finish(self) -> None:
        """End the correction; the labels stay as they are."""
        queue, prompt_layers = self.queue, self.prompt_layers
        if queue is None or prompt_layers is None:
            return
        self.queue = self.prompt_layers = self._carrying = None
        queue.correction.end_preview()
        prompt_layers.show_held(None)
        self._halt.set()
        queue.stop()
        self._links.cut()
        self._unbind_viewer()
        del self._leaving[2:]
        if self.keep_box.isChecked():
            prompt_layers.release()
        else:
            prompt_layers.remove()
        prompt_layers.deleteLater()
        queue.deleteLater()
        self.work_part.hide()
        self.start_part.show()
        if queue.correction.layer in self._viewer.layers:
            self._viewer.layers.selection = {queue.correction.layer}
            self._tell(f"{queue.correction.layer.name} stays as it is. Save… saves it.")
        self._on_layer_list_event()

    # Coming and going -----------------------------------------------------------------------------------------------

    def enter(self) -> None:
        """Begin to correct what is shown, if there is something and nothing is corrected yet."""
        self._leaves = False
        if self.queue is None and not self.begin_runner.running:
            self._on_layers_changed()
            if self.start_button.isEnabled():
                self._choose_shown()
                self.start()

    def _choose_shown(self) -> None:
        """The labels in view; a new segmentation of the newest case where there are none."""
        in_view = labels_in_view(self._viewer)
        rows = [row for row, start in enumerate(self._starts) if start.layer is not None and start.layer is in_view]
        self.start_box.setCurrentIndex(rows[0] if rows else 0)

    def leave(self) -> None:
        """End the correction; what is being computed is waited for, what is only previewed is dropped."""
        self.begin_runner.cancel()
        if self.queue is None:
            return
        self._halt.set()
        self._leaves = self.queue.busy and not self.queue.holding
        if not self._leaves:
            self.finish()

    def _on_layers_taken_away(self) -> None:
        self._tell("A layer of prompts was removed, so the correction ended. The labels stay as they are.")
        QTimer.singleShot(0, self.finish)  # not while napari removes a layer

    def _on_renamed(self, event: Any = None) -> None:
        if self.correction is not None:
            self.name_label.setText(f"Correcting {self.correction.layer.name}")

    # Keys -----------------------------------------------------------------------------------------------------------

    def _keys(self) -> dict[str, Callable[[], None]]:
        keys: dict[str, Callable[[], None]] = {
            key: partial(self.tools.choose_class, label) for key, label in CLASS_KEYS.items()
        }
        return keys | self._keys_everywhere()

    def _keys_everywhere(self) -> dict[str, Callable[[], None]]:
        """Those that also hold while a scan is selected, unless they mean something there."""
        keys: dict[str, Callable[[], None]] = {
            NOT_KEY: self.tools.toggle_not,
            SLICE_KEY: self.tools.toggle_slice,
            _TAKE: self.take_held,
        }
        keys |= {key: partial(self.take, tool) for key, tool in TOOL_KEYS.items()}
        return keys | {_UNDO: self.undo, _REDO: self.redo, _STOP: self.cancel}

    def _bind_viewer(self) -> None:
        self._bound: dict[str, Callable[[Any], None]] = {}
        for key, act in self._keys_everywhere().items():
            handler = _pressed(act)
            with suppress(ValueError):  # somebody else's
                self._viewer.bind_key(key, handler)
                self._bound[key] = handler

    def _unbind_viewer(self) -> None:
        self._unbind_viewer_later()()

    def _unbind_viewer_later(self) -> Callable[[], None]:
        return partial(_unbind, self._viewer, dict(self._bound))

    def keyPressEvent(self, event: QKeyEvent | None) -> None:
        """Escape stops what is computed, also while the panel has the keys."""
        if event is not None and event.key() == Qt.Key.Key_Escape and self.queue is not None and self.queue.busy:
            self.cancel()
            return
        super().keyPressEvent(event)

    def changeEvent(self, event: QEvent | None) -> None:
        """End the correction when the dock was closed; while it is only hidden it goes on."""
        super().changeEvent(event)
        if event is not None and event.type() == QEvent.Type.ParentChange and self.parent() is None:
            self.finish()

    # Drawing --------------------------------------------------------------------------------------------------------

    def take(self, tool: Any) -> None:
        """Take a tool into the hand."""
        if self.prompt_layers is not None:
            self.prompt_layers.take(tool)

    def _on_meaning_changed(self, meaning: Meaning) -> None:
        self.tools.show_meaning(meaning)
        if self.prompt_layers is not None:
            self.prompt_layers.set_meaning(meaning)
        self._on_changed()

    def _on_drawn(self, prompt: Prompt) -> None:
        if self.queue is not None:
            self.queue.add(self.queue.correction.action(prompt))

    def _on_around_changed(self, around: bool) -> None:
        if self.prompt_layers is not None:
            self.prompt_layers.around = around

    def _on_preview_toggled(self, holds: bool) -> None:
        if self.queue is not None:
            self.queue.holds = holds
            if not holds:
                self.queue.take()

    def take_held(self) -> None:
        """Let the labels take what the preview shows."""
        if self.queue is not None:
            self.queue.take()

    def tidy_up(self, kind: str, mm: float) -> None:
        """Remove the island under the cursor of the slices, keep the largest part, fill holes or smooth the margin."""
        region = self.tools.meaning.region
        if self.queue is None:
            return
        if region is None:
            self._tell("Choose the region first: whole tumour, tumour core or enhancing.")
            return
        correction, place = self.queue.correction, None
        if kind == "remove island":
            position = correction.layer.world_to_data(self._viewer.dims.point[-3:])
            place = correction.place.world(np.rint(np.asarray(position))[None])[0]
        self.queue.add(correction.action(tidy_step(kind, region, mm, place)))

    def undo(self) -> None:
        """Take back the last step with all that it changed."""
        self._try(lambda queue: queue.undo())

    def redo(self) -> None:
        """Bring back what was undone last."""
        self._try(lambda queue: queue.redo())

    def cancel(self) -> None:
        """Stop carrying on, and keep what was carried so far; or drop what is being computed."""
        if self._carrying is not None:
            self._halt.set()
        elif self.queue is not None and self.queue.busy:
            self.queue.cancel()
            self._tell("Dropped what was not computed yet.")

    def fill(self, slices: list[int]) -> None:
        """Fill between slices of the view that is shown."""
        self._try(lambda queue: queue.add(queue.correction.fill(self._axis, slices, self._region_to_fill(queue))))

    def _region_to_fill(self, queue: CorrectionQueue) -> Region | None:
        return queue.correction.region_to_fill(self._axis, self.tools.meaning.region)

    def carry_on(self, direction: Literal[1, -1]) -> None:
        """Carry the shown slice on until told to stop."""
        queue = self.queue
        if queue is None or self._carrying is not None:
            return
        layer = queue.correction.layer
        index = round(float(layer.world_to_data(self._viewer.dims.point[-3:])[self._axis]))
        if not 0 <= index < layer.data.shape[self._axis]:
            self._tell("The shown slice lies outside of the labels.")
            return
        self._halt, self._planes = threading.Event(), []
        work = queue.correction.carry_on(self._axis, index, direction, self._planes, self._halt)
        self._carrying = work.entry
        queue.add(work)

    def do_without(self, entry: Entry) -> None:
        """Do everything again without one of the steps."""
        queue = self.queue
        if queue is None:
            return
        if queue.busy:
            self._tell("Wait until everything is computed.")
            return
        queue.add(queue.correction.without(entry))

    def go_to(self, entry: Entry) -> None:
        """Show where a step was made."""
        correction = self.correction
        if correction is None or entry.extent is None:
            return
        point = correction.layer.data_to_world(entry.extent.middle)
        first = self._viewer.dims.ndim - 3
        self._viewer.dims.set_point(range(first, first + 3), [float(coordinate) for coordinate in point])

    def _try(self, act: Callable[[CorrectionQueue], None]) -> None:
        if self.queue is None:
            return
        try:
            act(self.queue)
        except PromptError as error:
            self._tell(str(error))

    @property
    def _axis(self) -> int:
        """The axis of the layer across which the slices of the view lie."""
        dims = self._viewer.dims
        return int(dims.order[-3]) - (dims.ndim - 3)

    # What comes back ------------------------------------------------------------------------------------------------

    def _on_labels_event(self, event: Any = None) -> None:
        correction = self.correction
        if correction is not None and not correction.writing and self.queue is not None:
            self.queue.follow()

    def _on_labels_replaced(self, event: Any = None) -> None:
        correction = self.correction
        if correction is None:
            return
        correction.replaced()
        if correction.layer.data.shape != correction.place.display.shape:
            self._tell("The labels were replaced by others of another shape, so the correction ended.")
            QTimer.singleShot(0, self.finish)
        self._on_changed()

    def _on_shown(self, entry: Entry, seconds: float, voxels: int) -> None:
        if entry is self._carrying:
            self._carrying = None
        changed = f"{voxels} voxel{'s' if voxels > 1 else ''}" if voxels else "nothing to change"
        detail = change_in_words(entry.change) if entry.change is not None and voxels else ""
        words = f"{changed} ({detail})" if detail else changed
        self._tell(f"{entry.text[:1].upper()}{entry.text[1:]}: {seconds:.1f} s, {words}.")

    def _on_held(self, entry: Entry, edit: Voxels) -> None:
        if self.prompt_layers is not None and entry.change is not None:
            self.prompt_layers.show_held(edit)
            self._tell(
                f"{entry.text[:1].upper()}{entry.text[1:]} would change what lies within the ring: "
                f"{change_in_words(entry.change) or 'nothing'}. Enter accepts it, Escape discards it."
            )

    def _on_failed(self, entry: Entry, error: Exception) -> None:
        if entry is self._carrying:
            self._carrying = None
        self._tell(str(error))
        if not isinstance(error, BrainTumorError):
            notify_error(error)

    def _on_progressed(self, progress: Progress) -> None:
        if self._carrying is not None and self.correction is not None and self._planes:
            planes, count = list(self._planes), len(self._planes)
            del self._planes[:count]
            self.correction.preview(planes)
            self._show_slice(self.correction.layer, planes[-1])
        if progress.message:
            self._tell(f"{progress.message[:1].upper()}{progress.message[1:]}…")

    def _show_slice(self, layer: Labels, plane: Plane) -> None:
        """Go to a slice that was just written; the labels are drawn again with it."""
        at = layer.data_to_world([plane.index if axis == plane.axis else 0 for axis in range(3)])
        self._viewer.dims.set_point(self._viewer.dims.ndim - 3 + plane.axis, float(at[plane.axis]))

    def _on_changed(self) -> None:
        self._refresh_timer.start(0)

    def _on_view_changed(self, event: Any = None) -> None:
        if self.queue is not None:
            self.slices.slices_edit.setModified(False)
            self._refresh_timer.start(0)

    def _refresh(self) -> None:
        queue, prompt_layers = self.queue, self.prompt_layers
        if queue is None or prompt_layers is None:
            return
        if self._carrying is not None and self._carrying not in queue.pending:
            self._carrying = None
        if self._leaves and not queue.busy:
            self._leaves = False
            self.finish()
            return
        prompt_layers.show(queue.prompts)
        if not queue.holding:
            prompt_layers.show_held(None)
        self.tidy.show_holding(queue.holding)
        self.busy_bar.setVisible(queue.busy)
        entries = queue.correction.entries
        self.steps.show_entries(entries, queue.pending)
        region = self._region_to_fill(queue)
        self.slices.show_slices(
            self._axis,
            queue.correction.outlined_slices(self._axis, region) if region is not None else (),
            region=region,
            carrying=self._carrying is not None,
            obstacle=self._slice_obstacle(queue),
        )
        self.undo_button.setEnabled(bool(queue.correction.done or queue.pending))
        self.redo_button.setEnabled(bool(queue.correction.undone))
        self.cancel_button.setEnabled(queue.busy)
        self.cancel_button.setVisible(queue.busy)
        self.save_button.setEnabled(bool(entries))
        self.code_box.refresh()

    def _slice_obstacle(self, queue: CorrectionQueue) -> str:
        if self._viewer.dims.ndisplay == 3:
            return "Filling and propagation work on slices: leave the 3D view first (Ctrl+Y)."
        if not queue.correction.place.one_to_one:
            return (
                "This scan is oblique and shown resampled: the slices you see are not its own, so filling between "
                "slices and propagation are not available. Prompts work."
            )
        return ""

    def _tell(self, text: str) -> None:
        self.status_label.setText(text)

    # Files ----------------------------------------------------------------------------------------------------------

    def _on_save_requested(self) -> None:
        if self.correction is None:
            return
        start = str(Path.home() / f"{self.correction.study.name}_prompts.json")
        path, _ = QFileDialog.getSaveFileName(self, "Save prompts", start, "Prompts (*.json)")
        if path:
            self.save(path if path.lower().endswith(".json") else f"{path}.json")

    def save(self, path: str) -> None:
        """Write all steps as a JSON file."""
        correction = self.correction
        if correction is None:
            return
        try:
            save_prompts(correction.file, path)
        except BrainTumorError as error:
            self._tell(f"Not saved. {error}")
            notify_error(error)
            return
        self._prompts_file = path
        by_hand = correction.file.edited_by_hand
        note = " What was painted by hand is in the labels, not in this file." if by_hand else ""
        self._tell(f"Saved {len(correction.file.steps)} steps in {path}.{note}")
        self.code_box.refresh()

    def _on_load_requested(self) -> None:
        path, _ = QFileDialog.getOpenFileName(self, "Load prompts", str(Path.home()), "Prompts (*.json)")
        if path:
            self.load(path)

    def load(self, path: str) -> None:
        """Carry out the steps of a JSON file, after those that are there."""
        queue = self.queue
        if queue is None:
            return
        try:
            prompts = read_prompts(path)
            notes = check_prompts(prompts, queue.correction.study, queue.correction.sha256, anyway=True)
        except BrainTumorError as error:
            self._tell(str(error))
            notify_error(error)
            return
        for step in prompts.steps:
            queue.add(queue.correction.action(step))
        for note in notes:
            notify(note)
        self._tell(" ".join([f"Replaying {len(prompts.steps)} steps.", *notes]))

    def _lines(self) -> CommandLines:
        start = self._chosen if self.queue is not None else self.start_box.currentData()
        if start is None:
            raise PromptError(obstacle(self._viewer.layers))
        origin = self._origin() if self.queue is not None else origin_of(start.layer)
        return refine_lines_of(start.study.sequences, origin, self._prompts_file)


def _is_closed(start: Start, all_layers: Collection[Layer]) -> bool:
    """Whether what was begun with is in the viewer no more."""
    parts = start.study.sequences.values() if start.layer is None else (start.layer,)
    return not any(part in all_layers for part in parts)


def _kept_origin(start: Start) -> Callable[[], LabelFile | ModelRun | None]:
    """What the labels come from now; as a call, for where they come from nowhere it raises."""
    try:
        origin = origin_of(start.layer)
    except BrainTumorError as error:
        return partial(_raise, error.with_traceback(None))  # its frames hold the layers
    return lambda: origin


def _raise(error: Exception) -> LabelFile | ModelRun | None:
    raise error


def _pressed(act: Callable[[], None]) -> Callable[[Any], None]:
    def on_key(viewer: Any) -> None:
        with suppress(RuntimeError):  # the panel is gone
            act()

    return on_key


def _unbind(viewer: Any, bound: dict[str, Any]) -> None:
    for key, handler in bound.items():
        current = viewer.bind_key(key, None)
        if current is not None and current is not handler:
            viewer.bind_key(key, current)  # somebody else's by now


def _leave(leaving: list[Callable[[], None]], *_: Any) -> None:
    """Cut the ties to the viewer when the panel is gone."""
    for leave in leaving:
        with suppress(RuntimeError):  # of Qt objects that went with it
            leave()
