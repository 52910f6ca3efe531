"""The form of the Visits panel for facts that images do not show."""

from typing import Any, Final

from qtpy.QtCore import QSignalBlocker, Signal  # type: ignore[attr-defined,unused-ignore]
from qtpy.QtWidgets import QComboBox, QLabel

from napari_brain_tumor.errors import VisitError
from napari_brain_tumor.followup.facts import CLINICAL, STEROIDS, VisitFacts
from napari_brain_tumor.followup.visits import parse_date
from napari_brain_tumor.widgets.parts import Fold, combo, form, offer, text_field

_YES_NO: Final = {True: "Yes", False: "No"}


class FactsForm(Fold):
    """Fields for the facts of one visit; anything left at "not known" is never guessed."""

    facts_changed = Signal(dict)
    """Facts that the user changed, by name."""
    refused = Signal(str)
    """Why an input was rejected."""

    def __init__(self) -> None:
        super().__init__(
            "Facts", "What images cannot show, but the response criteria need. For the selected visit.", "Facts"
        )
        rows = form()
        self.steroids_box = _choices("Dose of corticosteroids at this visit.", "Steroids", STEROIDS)
        self.clinical_box = _choices("Clinical status at this visit.", "Patient", CLINICAL)
        self.lesion_box = _choices(
            "Whether you see a new measurable lesion. Not known: decided by matching the labels.",
            "New lesion",
            _YES_NO,
        )
        self.others_box = _choices(
            "Whether lesions that are too small to measure, or are not targets, clearly progress.",
            "Other lesions worse",
            _YES_NO,
        )
        self.radiotherapy_edit = text_field(
            "year-month-day, or none",
            "The day on which radiotherapy last ended before this visit; none if there was none. Empty: not known.",
            "Radiotherapy ended",
        )
        fields = (
            ("Steroids", self.steroids_box),
            ("Patient", self.clinical_box),
            ("Radiotherapy ended", self.radiotherapy_edit),
            ("New lesion", self.lesion_box),
            ("Others worse", self.others_box),
        )
        for name, field in fields:
            label = QLabel(name)
            label.setBuddy(field)
            rows.addRow(label, field)
        self.column.addLayout(rows)
        self._boxes = {
            "steroids": self.steroids_box,
            "clinical_status": self.clinical_box,
            "new_lesion": self.lesion_box,
            "non_target_worse": self.others_box,
        }
        for fact, box in self._boxes.items():
            box.activated.connect(lambda _, fact=fact, box=box: self.facts_changed.emit({fact: box.currentData()}))
        self.radiotherapy_edit.editingFinished.connect(self._on_radiotherapy_told)

    def show_facts(self, name: str, facts: VisitFacts) -> None:
        self.toggle.setText(f"Facts of {name}" if name else "Facts")
        for fact, box in self._boxes.items():
            with QSignalBlocker(box):
                box.setCurrentIndex(max(0, box.findData(getattr(facts, fact))))
        ended = facts.radiotherapy_end
        with QSignalBlocker(self.radiotherapy_edit):
            self.radiotherapy_edit.setText("" if ended is None else str(ended))
        self.setEnabled(bool(name))

    def _on_radiotherapy_told(self) -> None:
        text = self.radiotherapy_edit.text().strip()
        try:
            ended: Any = None if not text else "none" if text.lower() == "none" else parse_date(text)
        except VisitError as error:
            self.refused.emit(str(error))
            return
        self.facts_changed.emit({"radiotherapy_end": ended})


def _choices(tip: str, name: str, words: Any) -> QComboBox:
    box = combo(tip, name)
    offer(box, [("not known", None), *((text, value) for value, text in words.items())])
    return box
