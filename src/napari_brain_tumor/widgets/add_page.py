"""The Add case page of the Data tab: make a case from layers of the viewer."""

from typing import Any

from napari.layers import Layer
from qtpy.QtWidgets import QComboBox, QVBoxLayout, QWidget

from napari_brain_tumor.errors import DatasetError
from napari_brain_tumor.plugin import layers
from napari_brain_tumor.study import ROLES, Role
from napari_brain_tumor.widgets import case_rows, scan_layers, segment_state
from napari_brain_tumor.widgets import curate_state as state
from napari_brain_tumor.widgets.parts import Fold, add_to, button, combo, form, line, offer, text_field, wrapped
from napari_brain_tumor.widgets.role_boxes import RoleBoxes


class AddPage(QWidget):
    """Asks which layers make up a new case, and what is known about it.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
        Viewer whose layers are offered.
    """

    def __init__(self, viewer: Any) -> None:
        super().__init__()
        self._viewer = viewer
        self._label_by_hand: Layer | None = None
        self._label_layers: list[Layer] = []
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 4, 0, 0)
        rows = form()
        self.label_box = combo("The labels layer that holds the truth for this case, or a draft of it.", "Label layer")
        rows.addRow("&Label", self.label_box)
        self.patient_edit = text_field(
            "the case's name", "All cases of one patient stay on the same side of the split.", "Patient"
        )
        rows.addRow("&Patient", self.patient_edit)
        self.add_button = button("&Add case", "Copy scans and label into the data set. The layers are not changed.")
        add_to(column, wrapped("Make a case from the viewer's layers: its scans and a label."), rows, self.add_button)
        self.more = Fold("Mor&e", "Scans, grade, labelled slices, state, note.", "More about the case")
        self.more.column.addLayout(self._build_layers())
        self.more.column.addWidget(line())
        self.more.column.addLayout(self._build_facts())
        column.addWidget(self.more)
        column.addStretch(1)
        self._roles = RoleBoxes(viewer, self.role_boxes, self)
        self.label_box.activated.connect(self._on_label_chosen)
        self.match_button.clicked.connect(self._roles.match)

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
        self.grade_box = combo("The tumour grade, if known; the split is balanced by grade.", "Grade")
        self.grade_box.addItems(["", "HGG", "LGG", "1", "2", "3", "4"])
        self.grade_box.setEditable(True)
        rows.addRow("&Grade", self.grade_box)
        self.slices_edit = text_field(
            "all",
            "Slices that are fully labelled, numbered as on the axial slider: 40, 52-60.\nThe others then "
            "count as unknown, not as background. Empty: all.",
            "Labelled slices",
        )
        rows.addRow("La&belled slices", self.slices_edit)
        self.state_box = combo("What was decided about the label.", "State")
        offer(self.state_box, [(name, key) for key, name in case_rows.STATE_NAMES.items()])
        rows.addRow("S&tate", self.state_box)
        self.note_edit = text_field("", "Saved with the state.", "Note on the label")
        rows.addRow("&Note", self.note_edit)
        self.others_edit = text_field(
            "",
            "IDs of similar-looking cases from other patients, separated by commas. Needed only if adding was refused "
            "because of them.",
            "Different patient from",
        )
        rows.addRow("Diffe&rent from", self.others_edit)
        column.addLayout(rows)
        return column

    # Layers ---------------------------------------------------------------------------------------------------------

    @property
    def scans(self) -> dict[Role, Layer]:
        """The layers selected as scans."""
        return self._roles.sequences

    @property
    def label(self) -> Layer | None:
        """The selected labels layer."""
        at = self.label_box.currentIndex()
        return self._label_layers[at] if 0 <= at < len(self._label_layers) else None

    def offer_layers(self) -> None:
        """Offer the current layers of the viewer; what the user selected stays selected."""
        label = self.label
        self._label_layers = [layer for layer in self._viewer.layers if segment_state.is_result(layer)]
        self._roles.offer(scan_layers.candidates(self._viewer.layers))
        self._show_labels(label)

    def _show_labels(self, current: Layer | None) -> None:
        """Preselect the labels that are selected in the viewer, until the user picks others."""
        self.label_box.clear()
        self.label_box.addItems([layer.name for layer in self._label_layers])
        preferred = (self._label_by_hand, self._viewer.layers.selection.active, current)
        self.label_box.setCurrentIndex(state.label_to_offer(self._label_layers, preferred))

    def _on_label_chosen(self, at: int) -> None:
        self._label_by_hand = self._label_layers[at]

    def on_selection_changed(self, event: Any = None) -> None:
        """Preselect the labels that were selected in the viewer."""
        active = self._viewer.layers.selection.active
        if active in self._label_layers and self._label_by_hand is None:
            self.label_box.setCurrentIndex(self._label_layers.index(active))

    # The case -------------------------------------------------------------------------------------------------------

    def request(self) -> state.AddRequest:
        """Return the case to be added; raises DatasetError if no scan or no labels layer is selected."""
        label = self.label
        sequences = {role: layers.view(layer) for role, layer in self.scans.items()}
        if not sequences or label is None:
            msg = "A case needs a scan and a labels layer. Open a scan, then segment it or paint on a new labels layer."
            raise DatasetError(msg)
        return state.AddRequest(
            sequences,
            layers.copied_view(label),
            self.patient_edit.text(),
            self.grade_box.currentText(),
            self.note_edit.text(),
            self.state_box.currentData(),
            state.numbers_in(self.slices_edit.text()),
            layers.readable_views(self._viewer.layers),
            tuple(self.others_edit.text().replace(",", " ").split()),
        )

    def clear(self) -> None:
        """Clear the entries of the case that was added."""
        for edit in (self.note_edit, self.slices_edit, self.patient_edit, self.others_edit):
            edit.clear()
        self._label_by_hand = None
