"""The folded part of the Segment panel: lesions, mirrored copies, precision, brain, thresholds, box, maps."""

from collections.abc import Mapping, Sequence
from textwrap import fill
from typing import Final

from napari.layers import Labels, Shapes
from qtpy.QtCore import Signal  # type: ignore[attr-defined,unused-ignore]
from qtpy.QtWidgets import QCheckBox, QDoubleSpinBox, QFormLayout

from napari_brain_tumor.labels import REGIONS, Region
from napari_brain_tumor.measure.volumes import REGION_NAMES
from napari_brain_tumor.requests.request import option_of
from napari_brain_tumor.requests.segment import SegmentRequest
from napari_brain_tumor.widgets.parts import Fold, button, check, combo, form, offer, offer_layers, wrapped
from napari_brain_tumor.widgets.request_controls import RequestControls, has_control
from napari_brain_tumor.widgets.segment_state import CHOSEN_APART
from napari_brain_tumor.widgets.stored_maps import MAPS

_WORDS: Final[Mapping[Region, str]] = {"WT": "&Whole tumour", "TC": "&Tumour core", "ET": "&Enhancing"}
_MAP_WORDS: Final = {"probabilities": "Show probab&ilities", "uncertainty": "Show uncertainty"}
_MAP_TIPS: Final = {
    "probabilities": "Show the probability of each region as an image layer, for this result and later ones.",
    "uncertainty": "Show how unsure the model is as an image layer: the entropy in bits, from 0 to 1, of the region\n"
    "that is least certain. For this result and later ones.",
}
_SAME: Final = 5e-4
_BRAIN_CHOICES: Final = {"extract it from a whole head": "auto", "keep the whole head": "keep"}


def _help(name: str) -> str:
    return fill(option_of(SegmentRequest.model_fields[name]).help, 90)


class MoreSettings(Fold):
    """Settings that are folded until needed; differences from the defaults are shown even while folded."""

    thresholds_changed = Signal()
    thresholds_applied = Signal()
    """The user wants to apply the thresholds to the existing result."""
    brain_changed = Signal()
    box_changed = Signal()
    box_drawing_requested = Signal()
    maps_changed = Signal()

    def __init__(self) -> None:
        tip = "Small lesions, mirrored copies, precision, the brain, thresholds, a box, probabilities and uncertainty."
        super().__init__("More settin&gs", tip, "More settings")
        self._usual: dict[Region, float] = {}
        self._build()
        self._connect()
        self.set_usual({})

    def _build(self) -> None:
        self.summary_label = wrapped("", "Settings that differ from the defaults")
        self._rows = form()
        fields = SegmentRequest.model_fields
        names = [name for name, field in fields.items() if name not in CHOSEN_APART and has_control(field)]
        self.controls = RequestControls(SegmentRequest, names, self._rows)
        self._build_brain(self._rows)
        self._build_thresholds(self._rows)
        self._build_box(self._rows)
        self._build_maps(self._rows)
        self.column.addLayout(self._rows)

    def _build_brain(self, rows: QFormLayout) -> None:
        self.brain_box = combo(_help("brain"), "Brain of a whole head")
        self.show_brain_layers((), None)
        rows.addRow("Brain", self.brain_box)

    def _build_thresholds(self, rows: QFormLayout) -> None:
        self.threshold_boxes: dict[Region, QDoubleSpinBox] = {}
        for region in REGIONS:
            box = QDoubleSpinBox()
            box.setRange(0.01, 0.99)
            box.setDecimals(3)
            box.setSingleStep(0.05)
            box.setPrefix("p ≥ ")
            box.setAccessibleName(f"Threshold of {REGION_NAMES[region]}")
            box.setToolTip(f"{REGION_NAMES[region]}. {_help('thresholds')}")
            self.threshold_boxes[region] = box
            rows.addRow(_WORDS[region], box)
        self.reset_button = button("Reset thresholds", "Go back to the thresholds of the model's card.")
        self.apply_button = button(
            "Apply t&hresholds",
            "Relabel the selected result with these thresholds, at once and without running again.\n"
            "What was painted by hand stays; Ctrl+Z undoes it.",
        )
        rows.addRow("", self.apply_button)
        rows.addRow("", self.reset_button)

    def _build_box(self, rows: QFormLayout) -> None:
        self.region_box = combo(
            "Where to segment: in the whole volume, or in the box around what is drawn in a Shapes layer.\n"
            "One rectangle applies to all slices; a second one on another slice limits them to those between.",
            "Box",
        )
        rows.addRow("Bo&x", self.region_box)
        self.draw_button = button(
            "Draw a box",
            "Add a Shapes layer over the scans and draw: one rectangle applies to all slices,\n"
            "a second one on another slice limits them to those between.",
        )
        rows.addRow("", self.draw_button)
        self.box_label = wrapped("", "Size of the box")
        rows.addRow("", self.box_label)

    def _build_maps(self, rows: QFormLayout) -> None:
        self.map_boxes: dict[str, QCheckBox] = {}
        for what in MAPS:
            box = check(_MAP_WORDS[what], _MAP_TIPS[what])
            self.map_boxes[what] = box
            rows.addRow(box)

    def _connect(self) -> None:
        self.toggle.toggled.connect(self._show_summary)
        for box in self.threshold_boxes.values():
            box.valueChanged.connect(self._on_threshold_changed)
        self.reset_button.clicked.connect(self.reset_thresholds)
        self.apply_button.clicked.connect(self.thresholds_applied)
        self.brain_box.activated.connect(lambda _: self._on_brain_chosen())
        self.region_box.activated.connect(lambda _: self.box_changed.emit())
        self.draw_button.clicked.connect(self.box_drawing_requested)
        for map_box in self.map_boxes.values():
            map_box.toggled.connect(self._on_map_toggled)
        self.controls.changed.connect(self._show_summary)

    # Thresholds -----------------------------------------------------------------------------------------------------

    @property
    def thresholds(self) -> dict[Region, float]:
        """The thresholds that differ from the model's own."""
        values = {region: round(self.threshold_boxes[region].value(), 3) for region in self._usual}
        return {region: value for region, value in values.items() if abs(value - self._usual[region]) >= _SAME}

    def set_usual(self, usual: Mapping[Region, float]) -> None:
        """Set the model's own thresholds and thereby its regions; empty for a method without weights."""
        self._usual = dict(usual)
        for region, box in self.threshold_boxes.items():
            self._rows.setRowVisible(box, region in usual)
        for widget in (self.reset_button, self.apply_button, *self.map_boxes.values()):
            self._rows.setRowVisible(widget, bool(usual))
        self.controls.enable(SegmentRequest.of_networks(), bool(usual))
        self.reset_thresholds()

    def reset_thresholds(self) -> None:
        """Restore the model's own thresholds."""
        for region, value in self._usual.items():
            box = self.threshold_boxes[region]
            box.blockSignals(True)
            box.setValue(value)
            box.blockSignals(False)
        self._on_threshold_changed()

    def set_thresholds(self, thresholds: Mapping[Region, float]) -> None:
        """Set these thresholds instead of the model's own."""
        for region, value in thresholds.items():
            self.threshold_boxes[region].setValue(value)

    def _on_threshold_changed(self) -> None:
        self._show_summary()
        self.thresholds_changed.emit()

    # Brain ----------------------------------------------------------------------------------------------------------

    @property
    def brain(self) -> str | Labels:
        """`"auto"`, `"keep"`, or the layer with the brain mask."""
        choice: str | Labels = self.brain_box.currentData()
        return choice

    def show_brain_layers(self, offered: Sequence[Labels], selected: str | Labels | None) -> None:
        """Offer these layers too; keep the selected one while it exists."""
        layers = [(f"inside {layer.name}", layer) for layer in offered]
        offer(self.brain_box, [*_BRAIN_CHOICES.items(), *layers], selected)

    def _on_brain_chosen(self) -> None:
        self._show_summary()
        self.brain_changed.emit()

    # Box and maps ---------------------------------------------------------------------------------------------------

    @property
    def box_layer(self) -> Shapes | None:
        """The layer whose shapes define the box; None for the whole volume."""
        layer: Shapes | None = self.region_box.currentData()
        return layer

    def show_box_layers(self, offered: Sequence[Shapes], selected: Shapes | None) -> None:
        """Offer these layers; keep the selected one while it exists."""
        offer_layers(self.region_box, "whole volume", offered, selected)

    def show_box_size(self, text: str) -> None:
        """Show the size of the box, or nothing if the text is empty."""
        self.box_label.setText(text)
        self._rows.setRowVisible(self.box_label, bool(text))
        self._show_summary()

    @property
    def maps(self) -> tuple[str, ...]:
        """Maps to be shown in addition to the labels."""
        return tuple(what for what, box in self.map_boxes.items() if box.isChecked())

    def _on_map_toggled(self) -> None:
        self._show_summary()
        self.maps_changed.emit()

    # Folding --------------------------------------------------------------------------------------------------------

    def _show_summary(self, *_: object) -> None:
        parts = [f"{region} from {value:g}" for region, value in self.thresholds.items()]
        parts += [self.brain_box.currentText()] if self.brain != "auto" else []
        parts += self.controls.changed_words
        parts += [self.box_label.text()] if self.box_layer is not None else []
        parts += self.maps if self._usual else ()
        self.summary_label.setText("Set: " + "; ".join(parts) if parts else "")
        self.summary_label.setVisible(bool(parts) and not self.toggle.isChecked())
