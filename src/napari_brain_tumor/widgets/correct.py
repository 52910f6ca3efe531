"""The Correct panel: strokes, points, lassos and boxes that update a segmentation as they are drawn."""

from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path

import napari.viewer
from qtpy.QtCore import QEvent, Qt
from qtpy.QtGui import QKeyEvent
from qtpy.QtWidgets import QFileDialog

from napari_brain_tumor.errors import BrainTumorError, PromptError
from napari_brain_tumor.interactive import read_prompts, save_prompts
from napari_brain_tumor.interactive.refine import check_prompts
from napari_brain_tumor.requests.lines import CommandLines
from napari_brain_tumor.widgets.action_lines import ActionLines
from napari_brain_tumor.widgets.correct_chooser import StartChooser
from napari_brain_tumor.widgets.correct_controls import CorrectControls
from napari_brain_tumor.widgets.correct_session import CorrectionSession
from napari_brain_tumor.widgets.correct_start import obstacle
from napari_brain_tumor.widgets.correct_state import Correction
from napari_brain_tumor.widgets.label_journal import start_journal
from napari_brain_tumor.widgets.layer_list_watch import LayerListWatch
from napari_brain_tumor.widgets.panel_lines import origin_of, refine_lines_of
from napari_brain_tumor.widgets.parts import Panel, add_to, column_in, wrapped
from napari_brain_tumor.widgets.questions import ask_target
from napari_brain_tumor.widgets.worker import notify, notify_error


class CorrectWidget(Panel):
    """Corrects a segmentation with prompts, each of which updates the surrounding labels at once.

    Computations run in another thread of the napari process; each step is added to the layer's own undo history.
    """

    SIZE = (320, 560)

    session: CorrectionSession | None = None
    """The running correction, if any."""

    def __init__(self, napari_viewer: napari.viewer.Viewer) -> None:
        super().__init__()
        # napari passes panels a proxy that returns new layer objects on each access, and warns on use of the layers'
        # history, which has no public API.
        self._viewer: napari.viewer.Viewer = getattr(napari_viewer, "__wrapped__", napari_viewer)
        start_journal(self._viewer)
        self._prompts_file = ""
        self._leaves = False
        self._parting: list[Callable[[], None]] = []
        column = column_in(self)
        self.chooser = StartChooser(self._viewer)
        self.controls = CorrectControls()
        self.controls.hide()
        self.status_label = wrapped("", "Status")
        self.code_box = ActionLines(self._lines)
        add_to(column, self.chooser, self.controls, self.status_label, self.code_box)
        column.addStretch(1)
        self._connect()
        self._on_layers_changed()

    def _connect(self) -> None:
        self.chooser.box.currentIndexChanged.connect(lambda _: self.code_box.refresh())
        self.chooser.message.connect(self._tell)
        self.chooser.begun.connect(self._begin)
        self.controls.save_button.clicked.connect(self._on_save_requested)
        self.controls.load_button.clicked.connect(self._on_load_requested)
        self.controls.finish_button.clicked.connect(self.finish)
        self._list_watch = LayerListWatch(self._viewer, self, self._on_layers_changed)
        # Evaluated only when needed: when this runs, the panel itself no longer exists.
        self.destroyed.connect(partial(_leave, self._parting))

    def _tell(self, text: str) -> None:
        self.status_label.setText(text)

    def _on_layers_changed(self) -> None:
        if self.session is not None and self.session.correction.layer not in self._viewer.layers:
            self._tell(f"{self.session.correction.layer.name} was removed, so its correction ended.")
            self.finish()
        self.chooser.refresh()
        self.code_box.refresh()

    # Starting and finishing -----------------------------------------------------------------------------------------

    def _begin(self, correction: Correction) -> None:
        session = self.session = CorrectionSession(self._viewer, correction, self.controls, self)
        self._prompts_file = ""
        self._parting[:] = session.parting
        session.message.connect(self._tell)
        session.refreshed.connect(self._on_refreshed)
        session.ended.connect(self.finish)
        self.chooser.give_way(True)
        self.controls.show()
        self._tell("Draw over what is wrong: the labels follow when you let go.")
        self.code_box.refresh()

    def finish(self) -> None:
        """End the correction; the labels keep their current state."""
        session, self.session = self.session, None
        if session is None:
            return
        self._parting.clear()
        session.close(keep_prompts=self.controls.keep_box.isChecked())
        self.controls.hide()
        self.chooser.give_way(False)
        layer = session.correction.layer
        if layer in self._viewer.layers:
            self._viewer.layers.selection = {layer}
            self._tell(f"{layer.name} stays as it is. Save it with Save….")
        self._list_watch.act_soon()

    def enter(self) -> None:
        """Start to correct the current labels, if there are any and no correction is running."""
        self._leaves = False
        if self.session is None and not self.chooser.runner.running:
            self.chooser.start_shown()

    def leave(self) -> None:
        """End the correction; wait for what is being computed, and drop what is only previewed."""
        self.chooser.runner.cancel()
        if self.session is None:
            return
        self.session.halt()
        self._leaves = self.session.queue.busy and not self.session.queue.holding
        if not self._leaves:
            self.finish()

    def _on_refreshed(self) -> None:
        if self._leaves and self.session is not None and not self.session.queue.busy:
            self._leaves = False
            self.finish()
        self.code_box.refresh()

    def keyPressEvent(self, event: QKeyEvent | None) -> None:
        """Cancel the computation on Escape, also while the panel has the focus."""
        session = self.session
        if event is not None and event.key() == Qt.Key.Key_Escape and session is not None and session.queue.busy:
            session.cancel()
            return
        super().keyPressEvent(event)

    def changeEvent(self, event: QEvent | None) -> None:
        """End the correction when the dock is closed; if it is only hidden, the correction goes on."""
        super().changeEvent(event)
        if event is not None and event.type() == QEvent.Type.ParentChange and self.parent() is None:
            self.finish()

    # Files ----------------------------------------------------------------------------------------------------------

    def _on_save_requested(self) -> None:
        if self.session is None:
            return
        name = f"{self.session.correction.study.name}_prompts.json"
        path = ask_target(self, "Save prompts", name, "Prompts (*.json)", (".json",))
        if path is not None:
            self.save(str(path))

    def save(self, path: str) -> None:
        """Write all steps as a JSON file."""
        if self.session is None:
            return
        prompts = self.session.correction.file
        try:
            save_prompts(prompts, path)
        except BrainTumorError as error:
            self._tell(f"Not saved. {error}")
            notify_error(error)
            return
        self._prompts_file = path
        note = " What was painted by hand is in the labels, not in this file." if prompts.edited_by_hand else ""
        self._tell(f"Saved {len(prompts.steps)} steps in {path}.{note}")
        self.code_box.refresh()

    def _on_load_requested(self) -> None:
        path, _ = QFileDialog.getOpenFileName(self, "Load prompts", str(Path.home()), "Prompts (*.json)")
        if path:
            self.load(path)

    def load(self, path: str) -> None:
        """Apply the steps of a JSON file, after the existing ones."""
        if self.session is None:
            return
        correction = self.session.correction
        try:
            prompts = read_prompts(path)
            notes = check_prompts(prompts, correction.study, correction.sha256, anyway=True)
        except BrainTumorError as error:
            self._tell(str(error))
            notify_error(error)
            return
        for step in prompts.steps:
            self.session.queue.add(correction.action(step))
        for note in notes:
            notify(note)
        self._tell(" ".join([f"Replaying {len(prompts.steps)} steps.", *notes]))

    def _lines(self) -> CommandLines:
        start = self.chooser.chosen if self.session is not None else self.chooser.selected
        if start is None:
            raise PromptError(obstacle(self._viewer.layers))
        origin = self.chooser.origin() if self.session is not None else origin_of(start.layer)
        return refine_lines_of(start.study.sequences, origin, self._prompts_file)


def _leave(parting: list[Callable[[], None]], *_: object) -> None:
    """Cut the connections to the viewer when the panel has been destroyed."""
    for part in parting:
        with suppress(RuntimeError):  # the Qt objects may have been destroyed too
            part()
