"""The Review page of the Data tab: displays and controls only, no logic."""

from typing import Final

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QCheckBox, QHBoxLayout, QLayout, QPushButton, QVBoxLayout, QWidget

from napari_brain_tumor.dataset import ReviewState
from napari_brain_tumor.models.cards import ModelInfo
from napari_brain_tumor.widgets.case_table import CaseTable
from napari_brain_tumor.widgets.curate_state import KNOWING
from napari_brain_tumor.widgets.parts import (
    Fold,
    add_to,
    button,
    check,
    combo,
    enable,
    flow,
    form,
    line,
    offer,
    progress_bar,
    text_field,
    wrapped,
)

KEYS: Final[dict[str, str]] = {
    "accepted": "G",
    "rejected": "N",
    "needs_second_look": "Q",
    "next_undecided": "W",
    "next_uncertain": "U",
    "previous": "PageUp",
    "next": "PageDown",
    "show_prediction": "H",
    "save": "K",
}
"""Keys in the canvas, by action; none of them is used by napari for image or labels layers."""


class ReviewPage(QWidget):
    """The table of cases, and the buttons to step through, compare, correct and decide."""

    def __init__(self) -> None:
        super().__init__()
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 4, 0, 0)
        column.setSpacing(4)
        self.more = Fold(
            "Mor&e", "Scores of a model, the next case, the prediction beside the label, notes.", "More for reviewing"
        )
        self.more.column.addLayout(self._build_model())
        self.table = CaseTable()
        column.addWidget(self.table, 1)
        self.more.column.addLayout(self._build_walk())
        self.case_label = wrapped("Click a case to open it.", "Opened case")
        add_to(column, self.progress_bar, self.case_label)
        column.addLayout(self._build_decide())
        self.more.column.addWidget(line())
        self.more.column.addLayout(self._build_compare())
        self.more.column.addLayout(self._build_note())
        self.more.column.addWidget(self.decide_buttons["needs_second_look"])
        self.more.column.addWidget(self.go_on_box)
        column.addWidget(self.more)

    def _build_model(self) -> QVBoxLayout:
        column = QVBoxLayout()
        column.setSpacing(4)
        row = QHBoxLayout()
        self.model_box = combo("The model whose labels are compared with the truth.", "Model")
        self.score_button = button(
            "Score &all",
            "Segment every case with the model, in a separate process, for its Dice and to find the cases where it is "
            "least certain.\nScores are kept in the data set's folder and not computed again.",
        )
        self.cancel_button = button("Cancel", "Stop within a second. Finished cases keep their scores.")
        self.cancel_button.hide()
        row.addWidget(self.model_box, 1)
        add_to(row, self.score_button, self.cancel_button)
        column.addLayout(row)
        self.progress_bar = progress_bar("Progress of scoring.", "Progress of scoring")
        self.progress_bar.hide()
        return column

    def _build_walk(self) -> QLayout:
        self.undecided_button = _key_button(
            "Next undecided", "next_undecided", "Open the next case without a decision."
        )
        self.uncertain_button = _key_button(
            "Most uncertain",
            "next_uncertain",
            "Open the undecided case where the model is least certain. Needs scores.",
        )
        self.previous_button = _key_button("Previous", "previous", "Open the case above, as the table is sorted.")
        self.next_button = _key_button("Next", "next", "Open the case below, as the table is sorted.")
        return flow(self.undecided_button, self.uncertain_button, self.previous_button, self.next_button)

    def _build_compare(self) -> QLayout:
        self.prediction_button = _key_button(
            "Prediction", "show_prediction", "Show or hide the model's labels as outlines over the label."
        )
        self.prediction_button.setCheckable(True)
        self.use_button = button(
            "Use as label",
            "Replace the label with the model's labels, to correct them. Undo with Ctrl+Z; nothing is saved yet.",
        )
        self.side_box = check("Side by side", "The label in one picture and the prediction in another beside it.")
        self.save_button = _key_button(
            "Save label", "save", "Keep the corrected label in the data set, as made by hand or by both; undecided yet."
        )
        return flow(self.prediction_button, self.use_button, self.side_box, self.save_button)

    def _build_note(self) -> QVBoxLayout:
        column = QVBoxLayout()
        column.setSpacing(4)
        self.known_box = combo(
            "Which part of this label counts as known once it is saved; the rest is not used for training.",
            "Known part",
        )
        offer(self.known_box, [(text, key) for key, text in KNOWING.items()])
        self.known_row = QWidget()
        rows = form(self.known_row)
        rows.addRow("Known part", self.known_box)
        self.note_edit = text_field("Note on the label", "Kept with the decision.", "Note")
        add_to(column, self.known_row, self.note_edit)
        return column

    def _build_decide(self) -> QLayout:
        tips: dict[ReviewState, tuple[str, str]] = {
            "accepted": ("Accept", "Good to train on. An edited label is saved with it."),
            "rejected": ("Reject", "Not to be used. An edited label is saved with it."),
            "needs_second_look": ("2nd look", "For a second look. An edited label is saved with it."),
        }
        self.decide_buttons = {state: _key_button(text, state, tip) for state, (text, tip) in tips.items()}
        self.go_on_box = QCheckBox("Then open the next undecided case")
        self.go_on_box.setChecked(True)
        self.go_on_box.setToolTip("Move on automatically after a decision.")
        return flow(self.decide_buttons["accepted"], self.decide_buttons["rejected"])

    @property
    def model(self) -> ModelInfo | None:
        """The selected model."""
        model: ModelInfo | None = self.model_box.currentData()
        return model

    def show_case(self, text: str, *, is_open: bool, edited: bool, predicted: bool | None) -> None:
        """Show the open case, and what can be done with it.

        Parameters
        ----------
        text : str
            Description of the case.
        is_open, edited : bool
            Whether a case is open, and whether its label has unsaved changes.
        predicted : bool or None
            Whether the prediction is visible; None if there is none.
        """
        self.case_label.setText(text)
        enable(is_open, *self.decide_buttons.values(), self.note_edit)
        self.save_button.setEnabled(edited)
        enable(predicted is not None, self.use_button, self.side_box, self.prediction_button)
        self.prediction_button.setChecked(bool(predicted))
        has_cases = bool(self.table.rows)
        enable(has_cases, self.undecided_button, self.uncertain_button, self.previous_button, self.next_button)
        self.score_button.setEnabled(has_cases and self.model is not None)

    def show_running(self, running: bool) -> None:
        """Show whether the model is segmenting."""
        self.score_button.setVisible(not running)
        self.cancel_button.setVisible(running)
        self.cancel_button.setEnabled(running)
        self.progress_bar.setVisible(running)
        self.progress_bar.setValue(0)


def _key_button(text: str, does: str, tip: str) -> QPushButton:
    key = KEYS[does]
    key_button = button(f"{text} ({_short(key)})", f"{tip}\nKey in the picture: {key}")
    key_button.setFocusPolicy(Qt.FocusPolicy.TabFocus)  # after a click, keys still go to the canvas
    return key_button


def _short(key: str) -> str:
    return {"PageUp": "PgUp", "PageDown": "PgDn"}.get(key, key)
