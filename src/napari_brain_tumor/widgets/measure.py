"""The Measure panel: volumes, lesions, and RANO diameters as lines that can be moved."""

from typing import Any

import napari.viewer
from napari.layers import Labels, Shapes
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QFormLayout, QScrollArea

from napari_brain_tumor.inference.worker_process import WorkerProcess
from napari_brain_tumor.measure.diameters import PLANES
from napari_brain_tumor.measure.examination import Examination
from napari_brain_tumor.measure.settings import MeasureSettings
from napari_brain_tumor.plugin import drawing, layers
from napari_brain_tumor.plugin.viewers import add_unselected, show_point
from napari_brain_tumor.progress import Job, Progress
from napari_brain_tumor.requests.lines import CommandLines
from napari_brain_tumor.widgets import diameter_lines
from napari_brain_tumor.widgets import measure_state as state
from napari_brain_tumor.widgets.action_lines import ActionLines
from napari_brain_tumor.widgets.closing import cancel_when_closed, when_gone
from napari_brain_tumor.widgets.label_edits import LabelEdits
from napari_brain_tumor.widgets.layer_list_watch import LayerListWatch, single_shot
from napari_brain_tumor.widgets.links import Links
from napari_brain_tumor.widgets.measure_export import MeasureExport
from napari_brain_tumor.widgets.parts import Fold, add_to, button, column_in, combo, form, line, offer, wrapped
from napari_brain_tumor.widgets.request_controls import RequestControls
from napari_brain_tumor.widgets.result_table import ResultTable
from napari_brain_tumor.widgets.view_actions import labels_in_view
from napari_brain_tumor.widgets.volume_table import VolumeView
from napari_brain_tumor.widgets.worker import JobRunner, Stop, notify_error, shared_worker

_FOLLOW_MS = 60
_PLANE_TIPS = {
    "acquisition": "The one in which thick slices were acquired; axial where voxels are about as thick as wide.",
    "axial": "From foot to head.",
    "coronal": "From back to front.",
    "sagittal": "From side to side.",
}


class MeasureWidget(QScrollArea):
    """Measures the labels of a layer: volumes, lesions, RANO diameters, rim, hemispheres.

    The diameters are lines of a Shapes layer; when one of their ends is moved, the table is updated. The labels are
    never changed.

    Parameters
    ----------
    worker : WorkerProcess, optional
        Process in which the brain is extracted from a whole head; by default the one shared by all panels.
    """

    def __init__(self, napari_viewer: napari.viewer.Viewer, worker: WorkerProcess | None = None) -> None:
        super().__init__()
        self._worker = worker or shared_worker()
        self._viewer = napari_viewer
        self.runner = JobRunner(self, progressed=self._on_progress, finished=self._on_measured, failed=self._on_failed)
        self._edits = LabelEdits(self)
        self._computed: Examination | None = None
        self.examination: Examination | None = None
        """The measurements shown, including moved lines."""
        self._measured: Labels | None = None
        self._asked: Labels | None = None
        self._busy = False
        self._failure = ""
        self._away = self._enters = False
        self._shapes_links, self._name_links = Links(), Links()
        self._build()
        self._connect()
        self._on_layers_changed()

    # Building -------------------------------------------------------------------------------------------------------

    def _build(self) -> None:
        column = column_in(self)
        rows = form()
        self.labels_box = combo("The layer whose labels are measured.", "Labels")
        rows.addRow("&Labels", self.labels_box)
        self.measure_button = button(
            "&Measure", "Measure these labels. They are not changed; lines that were moved by hand are recomputed."
        )
        self.status_label = wrapped("", "Status")
        add_to(column, rows, self.measure_button, self.status_label)
        self.settings_fold = Fold(
            "Settin&gs",
            "The plane, what to leave out, what counts as measurable and as crossing the midline.",
            "Settings",
        )
        self.settings_fold.column.addLayout(self._build_choices())
        self.volumes = VolumeView()
        self.rim_label = wrapped("", "Thickness of the enhancing rim")
        self.lesions = ResultTable(
            "Lesions",
            "Each lesion: volume, RANO 2.0 diameters, their product, side, and whether it is measurable.\n"
            "Choose one to go to its slice; ✎ marks lines drawn by hand.",
        )
        self.details_label = wrapped("", "About the chosen lesion")
        self.edit_button = button(
            "&Edit lines", "Select the layer of diameters. Click a line and drag one of its ends; the table follows."
        )
        self.notes_label = wrapped("", "Notes")
        add_to(column, self.settings_fold, line(), self.volumes, self.rim_label, self.lesions, self.details_label)
        add_to(column, self.edit_button, self.notes_label)
        self.computed_button = button("Compute&d lines", "Reset all lines to where they were computed.")
        self.export = MeasureExport(self.computed_button)
        self.code_box = ActionLines(self._lines)
        add_to(column, self.export, self.code_box)
        column.addStretch(1)

    def _build_choices(self) -> QFormLayout:
        rows = form()
        self.scans_label = wrapped("", "Scans")
        rows.addRow(self.scans_label)
        names = ("plane", "least_mm3", "fill_cavities")
        self.controls = RequestControls(MeasureSettings, names, rows)
        self.plane_box, self.least_box, self.cavities_box = map(self.controls.control, names)
        for at, plane in enumerate(PLANES):
            self.plane_box.setItemData(at, _PLANE_TIPS[plane], Qt.ItemDataRole.ToolTipRole)
        others = [name for name in MeasureSettings.model_fields if name not in names]
        self.more_controls = RequestControls(MeasureSettings, others, rows)
        return rows

    def _connect(self) -> None:
        self.measure_button.clicked.connect(self.measure)
        self.labels_box.currentIndexChanged.connect(self._on_labels_chosen)
        for controls in (self.controls, self.more_controls):
            controls.changed.connect(self.code_box.refresh)
        self.edit_button.clicked.connect(self.edit_lines)
        self.computed_button.clicked.connect(self.restore_lines)
        self.export.message.connect(self.status_label.setText)
        self.lesions.row_chosen.connect(lambda _: self.go_to(self.lesions.selected_name))
        self.runner.cancelled.connect(lambda: setattr(self, "_busy", False))
        self._edits.changed.connect(self._show_state)
        self._follow_timer = single_shot(self, self._follow_lines, _FOLLOW_MS)
        self._list_watch = LayerListWatch(self._viewer, self, self._on_layers_changed)
        cancel_when_closed(self, self.runner)
        when_gone(self, self.runner.cancel, self._name_links.cut, self._shapes_links.cut)

    # Layers ---------------------------------------------------------------------------------------------------------

    def _on_layers_changed(self) -> None:
        previous = self.chosen_labels
        offered = state.labels_layers(self._viewer.layers)
        if self._edits.layer is not None and self._edits.layer not in offered:
            self._edits.watch(None)
        self._name_links.cut()
        for layer in offered:
            self._name_links.connect(layer.events.name, self._list_watch.act_soon)
        current = previous if previous in offered else labels_in_view(self._viewer)
        offer(self.labels_box, [(layer.name, layer) for layer in offered], current, otherwise=-1)
        self._on_labels_chosen()

    @property
    def chosen_labels(self) -> Labels | None:
        """The selected layer."""
        labels: Labels | None = self.labels_box.currentData()
        return labels

    @property
    def measured_labels(self) -> Labels | None:
        """The layer whose measurements are shown, while it is in the viewer."""
        return self._measured if self._measured in self._viewer.layers else None

    def choose(self, labels: Labels) -> None:
        self._on_layers_changed()
        self.labels_box.setCurrentIndex(state.labels_layers(self._viewer.layers).index(labels))

    def _on_labels_chosen(self, index: int = 0) -> None:
        labels = self.chosen_labels
        self.measure_button.setEnabled(labels is not None and not self._busy)
        none = "Open or segment a case first: there are no labels to measure."
        scans = state.scans_of(labels, self._viewer.layers)
        self.scans_label.setText(state.scans_text(scans) if labels is not None else none)
        self._show_state()
        self.code_box.refresh()

    # Entering and leaving -------------------------------------------------------------------------------------------

    def enter(self) -> None:
        """Show the lines of the measured labels as they were left; measure the labels in view if they were not yet."""
        self._away = False
        in_view = labels_in_view(self._viewer)
        if in_view is not None and in_view in state.labels_layers(self._viewer.layers):
            self.choose(in_view)
        labels, examination = self.measured_labels, self.examination
        if labels is None or examination is None or labels is not self.chosen_labels or self._edits.edited:
            if self.measure_button.isEnabled():
                self._enters = True
                self.measure()
        elif self.shapes is None and diameter_lines.has_lines(examination):
            self._show_lines(labels, examination)

    def leave(self) -> None:
        """Hide the lines and remember where they were moved to."""
        self._away = True
        self._follow_timer.stop()
        self._follow_lines()
        shapes, labels = self.shapes, self.measured_labels
        if shapes is not None and labels is not None:
            self._shapes_links.cut()
            diameter_lines.put_lines_away(labels, shapes)
            self._viewer.layers.remove(shapes)

    # Measuring ------------------------------------------------------------------------------------------------------

    @property
    def settings(self) -> MeasureSettings:
        """The current settings."""
        return MeasureSettings(**self.controls.values, **self.more_controls.values)

    def measure(self) -> None:
        """Measure the chosen labels in a thread, or in the worker process if a brain has to be extracted."""
        labels = self.chosen_labels
        if labels is None:
            return
        self._asked = labels
        labels_view = layers.copied_view(labels)
        references = layers.readable_views(self._viewer.layers)
        scan = state.midline_scan(state.scans_of(labels, self._viewer.layers))
        scans = {role: layers.view(layer) for role, layer in scan.items()}
        settings = self.settings
        self._edits.watch(labels)
        self._busy, self._failure = True, ""
        self.measure_button.setEnabled(False)
        self.status_label.setText("Measuring…")

        def steps(stop: Stop) -> Job[Examination]:
            def in_worker(target: str, *arguments: Any) -> Job[Examination]:
                return stop.guard(self._worker.run(target, *arguments))

            return state.measure_steps(labels_view, references, scans, settings, in_worker)

        self.runner.start(steps)

    def _on_progress(self, progress: Progress, left: float | None) -> None:
        self.status_label.setText(f"{progress.message[:1].upper()}{progress.message[1:]}…")

    def _on_failed(self, error: Exception) -> None:
        self._busy = False
        self.measure_button.setEnabled(self.chosen_labels is not None)
        self._failure = f"Not measured. {error}"
        self._show_state()
        notify_error(error)

    def _on_measured(self, examination: Examination) -> None:
        self._busy = False
        self.measure_button.setEnabled(self.chosen_labels is not None)
        self._computed = self.examination = examination
        self._measured = self._asked
        labels = self.measured_labels
        if labels is not None and not self._away:
            self._show_lines(labels, examination)
        self._show_examination()
        if self._enters and not self._away and self.shapes is not None and self.lesions.selected_row < 0:
            self.lesions.selectRow(0)  # otherwise the lines would lie on slices out of view
        self._enters = False

    # Lines ----------------------------------------------------------------------------------------------------------

    @property
    def shapes(self) -> Shapes | None:
        """The layer with the diameters of the measured labels, if it exists."""
        return diameter_lines.lines_layer_of(self.measured_labels, self._viewer.layers)

    def _show_lines(self, labels: Labels, examination: Examination) -> None:
        """Show the computed diameters, in the existing layer if there is one."""
        shapes = self.shapes
        if shapes is None:
            lines = diameter_lines.new_lines_layer(examination, labels)
            shapes = None if lines is None else add_unselected(self._viewer, lines)
        else:
            diameter_lines.draw(shapes, labels, examination)
        self._shapes_links.cut()
        for event in (shapes.events.data, shapes.events.set_data) if shapes is not None else ():
            self._shapes_links.connect(event, self._on_lines_event)

    def _on_lines_event(self, event: Any = None) -> None:
        self._follow_timer.start()

    def _follow_lines(self) -> None:
        shapes, labels = self.shapes, self.measured_labels
        if shapes is None or labels is None or self._computed is None or self.examination is None:
            return
        now = diameter_lines.hand_drawn(self._computed, shapes, labels)
        if now.lesions == self.examination.lesions:
            self._show_state()  # the slice was changed, or something was drawn that does not count
            return
        self.examination = now
        self._show_examination()

    def edit_lines(self) -> None:
        """Select the layer of diameters so that line ends can be dragged; create it again if it was removed."""
        if self.shapes is None:
            self.restore_lines()
        shapes = self.shapes
        if shapes is not None:
            shapes.visible = True
            self._viewer.layers.selection.active = shapes
            shapes.mode = "direct"
            shapes.selected_data = state.rows_of(shapes, self.lesions.selected_name)  # shows their ends
            self._show_state()

    def restore_lines(self) -> None:
        """Reset all lines to their computed positions."""
        labels = self.measured_labels
        if self._computed is not None and labels is not None:
            self._show_lines(labels, self._computed)
            self._follow_lines()

    # Display --------------------------------------------------------------------------------------------------------

    def _show_examination(self) -> None:
        examination = self.examination
        self.volumes.show_table(examination.volumes if examination is not None else None)
        self.lesions.show_table(state.lesion_table(examination.lesions if examination is not None else ()))
        self.rim_label.setText(
            examination.rim.sentence if examination is not None and examination.rim is not None else ""
        )
        self.notes_label.setText("\n".join(examination.notes) if examination is not None else "")
        self.export.show_examination(examination)
        self._show_details()
        self._show_state()

    def _show_details(self) -> None:
        lesion = self._lesion(self.lesions.selected_name)
        examination = self.examination
        self.details_label.setText(
            state.lesion_details(lesion, examination) if lesion is not None and examination is not None else ""
        )

    def _show_state(self) -> None:
        lines = (
            self.measured_labels is not None
            and self.examination is not None
            and diameter_lines.has_lines(self.examination)
        )
        self.edit_button.setEnabled(lines)
        self.computed_button.setEnabled(lines)
        for label in (self.rim_label, self.details_label, self.notes_label):
            label.setVisible(bool(label.text()))
        if not self._busy:
            self.status_label.setText(self._state_text())

    def _state_text(self) -> str:
        labels = self.measured_labels
        if self._failure or self.examination is None or self._computed is None:
            return self._failure
        if labels is None:
            return f"These are the numbers of {self.examination.name}, whose layer was removed."
        texts = [f"Measured {labels.name}."]
        if self._edits.edited:
            texts = [f"{labels.name} has changed since: measure again."]
        elif self.chosen_labels is not labels:
            texts.append("Another layer is chosen now: measure it.")
        if self.shapes is not None:
            texts.append(diameter_lines.surplus_text(self.shapes, labels, self._computed))
            if self._viewer.layers.selection.active is self.shapes and self.shapes.mode == "direct":
                texts.append("Click a line, then drag one of its ends.")
        return " ".join(filter(None, texts))

    def _lesion(self, title: str) -> Any:
        lesions = self.examination.lesions if self.examination is not None else ()
        return next((lesion for lesion in lesions if lesion.title == title), None)

    def go_to(self, title: str) -> None:
        """Show the slice on which a lesion was measured, in all planes."""
        lesion = self._lesion(title)
        self._show_details()
        self._show_state()
        labels = self.measured_labels
        if lesion is None or labels is None or self.examination is None:
            return
        if lesion.diameters is not None:
            self._show_plane(2 - diameter_lines.shown_axis(lesion.diameters, self.examination.grid))
        show_point(self._viewer, drawing.shown_point(labels, state.place_of(lesion), self.examination.grid.viewer))

    def _show_plane(self, cut: int) -> None:
        """Slice the view across this axis of Z, Y, X if it is not, as lines are visible only in their own plane."""
        dims = self._viewer.dims
        if dims.ndisplay != 2 or dims.order[-3] == dims.ndim - 3 + cut:
            return
        last = [dims.ndim - 3 + axis for axis in (cut, *(other for other in range(3) if other != cut))]
        dims.order = (*range(dims.ndim - 3), *last)

    def _lines(self) -> CommandLines:
        scans = state.scans_of(self.chosen_labels, self._viewer.layers)
        return state.lines_of_panel(self.chosen_labels, scans, self.settings, self.examination)
