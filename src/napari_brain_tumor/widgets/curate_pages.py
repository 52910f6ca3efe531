"""The two pages of the Curate panel: they show and ask, and do nothing themselves."""

from typing import Final

from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QHBoxLayout,
    QLayout,
    QLineEdit,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from napari_brain_tumor.dataset import ReviewState
from napari_brain_tumor.study import ROLES, Role
from napari_brain_tumor.widgets.case_table import CaseTable
from napari_brain_tumor.widgets.curate_state import KNOWING, STATE_NAMES
from napari_brain_tumor.widgets.parts import Fold, button, combo, flow, form, line, progress_bar, wrapped

__all__ = ["KEYS", "AddPage", "ReviewPage"]

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
"""Keys in the canvas by what they do; none of them is napari's own for images or labels."""


class ReviewPage(QWidget):
    """The table of the cases, and the buttons to walk, compare, correct and decide."""

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
        column.addWidget(self.progress_bar)
        self.case_label = wrapped("Click a case to open it.")
        self.case_label.setAccessibleName("Opened case")
        column.addWidget(self.case_label)
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
        self.cancel_button = button("Cancel", "Stop within a second. Cases that are done keep their scores.")
        self.cancel_button.hide()
        row.addWidget(self.model_box, 1)
        row.addWidget(self.score_button)
        row.addWidget(self.cancel_button)
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
            "Put the model's labels in place of the label, to correct them. Undo with Ctrl+Z; nothing is saved yet.",
        )
        self.side_box = QCheckBox("Side by side")
        self.side_box.setToolTip("The label in one picture and the prediction in another beside it.")
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
        for key, text in KNOWING.items():
            self.known_box.addItem(text, key)
        self.known_row = QWidget()
        rows = form(self.known_row)
        rows.addRow("Known part", self.known_box)
        column.addWidget(self.known_row)
        self.note_edit = QLineEdit()
        self.note_edit.setPlaceholderText("Note on the label")
        self.note_edit.setAccessibleName("Note")
        self.note_edit.setToolTip("Kept with the decision.")
        column.addWidget(self.note_edit)
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

    def show_running(self, running: bool) -> None:
        """Show that the model segments, or no more."""
        self.score_button.setVisible(not running)
        self.cancel_button.setVisible(running)
        self.cancel_button.setEnabled(running)
        self.progress_bar.setVisible(running)
        self.progress_bar.setValue(0)


class AddPage(QWidget):
    """Asks for what a new case is made of."""

    def __init__(self) -> None:
        super().__init__()
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 4, 0, 0)
        column.addWidget(wrapped("A case from the layers of the viewer: its scans and a label."))
        rows = form()
        self.label_box = combo("The labels layer that is the truth of this case, or a draft of it.", "Label layer")
        rows.addRow("&Label", self.label_box)
        self.patient_edit = _edit(
            "the case's name", "The patient. All cases of a patient are on one side of the split.", "Patient"
        )
        rows.addRow("&Patient", self.patient_edit)
        column.addLayout(rows)
        self.add_button = button("&Add case", "Copy scans and label into the data set. The layers stay as they are.")
        column.addWidget(self.add_button)
        self.more = Fold("Mor&e", "Scans, grade, labelled slices, state, note.", "More about the case")
        self.more.column.addLayout(self._build_layers())
        self.more.column.addWidget(line())
        self.more.column.addLayout(self._build_facts())
        column.addWidget(self.more)
        column.addStretch(1)

    def _build_layers(self) -> QVBoxLayout:
        column = QVBoxLayout()
        rows = form()
        self.role_boxes: dict[Role, QComboBox] = {}
        for role in ROLES:
            self.role_boxes[role] = combo(f"Layer of {role}, or none if there is no such scan.", f"Layer of {role}")
            rows.addRow(role, self.role_boxes[role])
        self.match_button = button("&Match by name", "Choose the scans of the selected layer's case.")
        rows.addRow("", self.match_button)
        column.addLayout(rows)
        return column

    def _build_facts(self) -> QVBoxLayout:
        column = QVBoxLayout()
        rows = form()
        self.grade_box = combo("Grade of the tumour where it is known; the split is balanced by it.", "Grade")
        self.grade_box.addItems(["", "HGG", "LGG", "1", "2", "3", "4"])
        self.grade_box.setEditable(True)
        rows.addRow("&Grade", self.grade_box)
        self.slices_edit = _edit(
            "all",
            "Slices whose label is true, as the slider of the axial view counts them: 40, 52-60.\nThe others are "
            "unknown then, not background. Empty: all.",
            "Labelled slices",
        )
        rows.addRow("La&belled slices", self.slices_edit)
        self.state_box = combo("What was decided about the label.", "State")
        for state, name in STATE_NAMES.items():
            self.state_box.addItem(name, state)
        rows.addRow("S&tate", self.state_box)
        self.note_edit = _edit("", "Kept with the state.", "Note on the label")
        rows.addRow("&Note", self.note_edit)
        self.others_edit = _edit(
            "",
            "Ids of cases of other patients that look the same, separated by commas; only where adding was refused for "
            "that.",
            "Different patient from",
        )
        rows.addRow("Diffe&rent from", self.others_edit)
        column.addLayout(rows)
        return column


def _edit(placeholder: str, tip: str, name: str) -> QLineEdit:
    edit = QLineEdit()
    edit.setPlaceholderText(placeholder)
    edit.setToolTip(tip)
    edit.setAccessibleName(name)
    return edit


def _key_button(text: str, does: str, tip: str) -> QPushButton:
    key = KEYS[does]
    key_button = button(f"{text} ({_short(key)})", f"{tip}\nKey in the picture: {key}")
    key_button.setFocusPolicy(Qt.FocusPolicy.TabFocus)  # a click leaves the keys to the picture
    return key_button


def _short(key: str) -> str:
    return {"PageUp": "PgUp", "PageDown": "PgDn"}.get(key, key)
