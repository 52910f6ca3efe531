"""Controls shown during a correction: tools, undo, tidying, slices and the list of steps."""

from collections.abc import Sequence

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QLayout, QWidget

from napari_brain_tumor.widgets.correct_entries import Entry
from napari_brain_tumor.widgets.correct_steps import SliceSteps, StepList
from napari_brain_tumor.widgets.correct_tidy import TidySteps
from napari_brain_tumor.widgets.correct_tools import PromptTools
from napari_brain_tumor.widgets.parts import Fold, add_to, button, check, column_of, flow, line, progress_bar, wrapped


class CorrectControls(QWidget):
    """The controls of a correction, without any logic."""

    def __init__(self) -> None:
        super().__init__()
        column = column_of(self, spacing=6)
        self.name_label = wrapped("")
        self.tools = PromptTools()
        add_to(column, self.name_label, self.tools)
        self.more = Fold(
            "&More tools",
            "Points and boxes, a preview, islands, filling between slices, the list of steps.",
        )
        column.addLayout(self._build_undo())
        self._build_busy_bar()
        add_to(column, self.busy_bar, self.more)
        self.tidy, self.slices, self.steps = TidySteps(), SliceSteps(), StepList()
        inner = self.more.column
        add_to(inner, self.tools.more, self.tidy, line(), self.slices, line(), self.steps)
        self.save_button = button(
            "Save &prompts…", "Write all steps as a JSON file, to be replayed here, in Python or in the shell."
        )
        self.load_button = button("&Load, replay…", "Apply the steps of a JSON file, after the existing ones.")
        inner.addLayout(flow(self.save_button, self.load_button))
        self.keep_box = check(
            "Keep the prompt la&yers", "Leave strokes, points and outlines in the viewer when you finish."
        )
        self.finish_button = button(
            "Fi&nish", "Stop correcting, or correct something else. The labels stay as they are, and undo still works."
        )
        add_to(inner, self.keep_box, self.finish_button)

    def _build_undo(self) -> QLayout:
        self.undo_button = button("&Undo", "Undo the last prompt and everything that it changed.\nKey: Ctrl+Z")
        self.redo_button = button("Red&o", "Redo what was last undone.\nKey: Ctrl+Shift+Z")
        self.cancel_button = button("&Cancel", "Drop what is still being computed. Key: Escape")
        for undo_control in (self.undo_button, self.redo_button, self.cancel_button):
            undo_control.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.cancel_button.hide()
        self.more.column.addWidget(self.redo_button)
        return flow(self.undo_button, self.cancel_button)

    def _build_busy_bar(self) -> None:
        self.busy_bar = progress_bar("A prompt is being computed.", "Computing")
        self.busy_bar.setRange(0, 0)
        self.busy_bar.setMaximumHeight(6)
        policy = self.busy_bar.sizePolicy()
        policy.setRetainSizeWhenHidden(True)  # otherwise everything below would jump with each stroke
        self.busy_bar.setSizePolicy(policy)

    def show_steps(
        self, applied: Sequence[Entry], pending: Sequence[Entry], *, busy: bool, can_undo: bool, can_redo: bool
    ) -> None:
        """Show the applied and pending steps, whether a computation is running, and what can be undone or redone."""
        self.busy_bar.setVisible(busy)
        self.steps.show_entries(applied, pending)
        self.undo_button.setEnabled(can_undo)
        self.redo_button.setEnabled(can_redo)
        self.cancel_button.setEnabled(busy)
        self.cancel_button.setVisible(busy)
        self.save_button.setEnabled(bool(applied))
