"""The part of the Correct panel in which the user chooses what to correct, and which loads it."""

from collections.abc import Callable, Collection
from functools import partial

import napari.viewer
from napari.layers import Layer
from qtpy.QtCore import QSignalBlocker, Signal  # type: ignore[attr-defined,unused-ignore]
from qtpy.QtWidgets import QWidget

from napari_brain_tumor.errors import BrainTumorError
from napari_brain_tumor.plugin import layers
from napari_brain_tumor.requests.actions import LabelFile, ModelRun
from napari_brain_tumor.widgets.correct_start import ReadyStart, Start, begin_job, obstacle, starts
from napari_brain_tumor.widgets.panel_lines import origin_of
from napari_brain_tumor.widgets.parts import add_to, button, column_of, combo, form, offer
from napari_brain_tumor.widgets.view_actions import labels_in_view
from napari_brain_tumor.widgets.worker import JobRunner, notify_error

Origin = LabelFile | ModelRun | None


class StartChooser(QWidget):
    """Offers labels of open cases, or cases without labels, to start a correction from; hidden during a correction."""

    begun = Signal(object)
    """A `Correction` is ready to start."""
    message = Signal(str)
    """A message for the user."""

    def __init__(self, viewer: napari.viewer.Viewer) -> None:
        super().__init__()
        self._viewer = viewer
        self.runner = JobRunner(self, finished=self._on_ready, failed=self._on_failed)
        self.chosen: Start | None = None
        """What the correction started from, or is starting from."""
        self.origin: Callable[[], Origin] = lambda: None
        """Returns the origin of its labels at the start; raises if they had none."""
        self._starts: list[Start] = []
        self._could_start = True
        self._correcting = False
        column = column_of(self)
        rows = form()
        self.box = combo(
            "What to correct: labels over an open case, such as the result of a model, or a new segmentation, which is "
            "made from your strokes alone.",
            "What to correct",
        )
        rows.addRow("Correct", self.box)
        self.button = button(
            "Start correctin&g", "Add layers to draw prompts in, over the labels. The scans are not changed."
        )
        add_to(column, rows, self.button)
        self.button.clicked.connect(self.start)
        self.runner.hold(self.button)

    @property
    def selected(self) -> Start | None:
        """The selected starting point."""
        start: Start | None = self.box.currentData()
        return start

    def give_way(self, correcting: bool) -> None:
        """Hide and offer nothing while a correction is running."""
        self._correcting = correcting
        self.setVisible(not correcting)

    def refresh(self) -> None:
        """Update the offer from the layers in the viewer."""
        if not self._correcting and self.chosen is not None and _is_closed(self.chosen, self._viewer.layers):
            self.chosen, self.origin = None, lambda: None  # otherwise they would keep the case in memory
        selected = self.selected
        self._starts = starts(self._viewer.layers)
        with QSignalBlocker(self.box):
            offer(self.box, [(start.text, start) for start in self._starts])
            self.box.setCurrentIndex(self._row_of(selected))
        why_not = obstacle(self._viewer.layers)
        self.button.setEnabled(not why_not and not self.runner.running)
        if why_not and not self._correcting:
            self.message.emit(why_not)
        elif not self._could_start:
            self.message.emit("")
        self._could_start = not why_not

    def _row_of(self, selected: Start | None) -> int:
        for row, start in enumerate(self._starts):
            if selected is not None and start.layer is selected.layer and start.study.name == selected.study.name:
                return row
        return self._row_over(self._viewer.layers.selection.active)

    def _row_over(self, layer: Layer | None) -> int:
        """Return the row of a labels layer, or of the first entry if it has none."""
        rows = [row for row, start in enumerate(self._starts) if start.layer is not None and start.layer is layer]
        return rows[0] if rows else min(0, len(self._starts) - 1)

    def start_shown(self) -> None:
        """Start to correct the labels in view; if there are none, start a new segmentation of the newest case."""
        self.refresh()
        if self.button.isEnabled():
            self.box.setCurrentIndex(self._row_over(labels_in_view(self._viewer)))
            self.start()

    def start(self) -> None:
        """Start to correct what is selected; `runner` reports progress and outcome."""
        selected = self.selected
        if selected is None or self._correcting:
            return
        self.chosen, self.origin = selected, _kept_origin(selected)
        self.message.emit("Looking at the scans…")
        try:
            job = begin_job(selected, self._viewer.layers)
        except BrainTumorError as error:
            self._on_failed(error)
            return
        self.runner.start(lambda _: job)

    def _on_failed(self, error: Exception) -> None:
        self.message.emit(str(error))
        notify_error(error)

    def _on_ready(self, ready: ReadyStart) -> None:
        layer = self.chosen.layer if self.chosen is not None else None
        if ready.new_layer is not None:
            layer = self._viewer.add_layer(layers.layer_of(ready.new_layer))
        if layer is None or layer not in self._viewer.layers:
            self.message.emit("The labels were removed in the meantime; nothing was started.")
            return
        self.begun.emit(ready.correction_of(layer))


def _is_closed(start: Start, all_layers: Collection[Layer]) -> bool:
    """Return whether the layers that the correction started from have been removed from the viewer."""
    parts = start.study.sequences.values() if start.layer is None else (start.layer,)
    return not any(part in all_layers for part in parts)


def _kept_origin(start: Start) -> Callable[[], Origin]:
    """Return a callable that gives the origin that the labels have now, or raises if they have none."""
    try:
        origin = origin_of(start.layer)
    except BrainTumorError as error:
        return partial(_raise, error.with_traceback(None))  # the frames in the traceback would keep the layers alive
    return lambda: origin


def _raise(error: Exception) -> Origin:
    raise error
