"""The part of the Correct panel that previews prompts before they are applied, and tidies up a region."""

from qtpy.QtCore import Qt, Signal  # type: ignore[attr-defined,unused-ignore]
from qtpy.QtWidgets import QDoubleSpinBox, QWidget

from napari_brain_tumor.widgets.parts import add_to, button, check, column_of, described, flow


class TidySteps(QWidget):
    """A preview with *Accept* and *Discard*; islands, holes and margins of the region chosen above."""

    preview_toggled = Signal(bool)
    """Whether prompts are previewed before they are applied."""
    take_requested = Signal()
    drop_requested = Signal()
    requested = Signal(str, float)
    """The name of the step to apply, and the millimetres for smoothing the margin."""

    def __init__(self) -> None:
        super().__init__()
        column = column_of(self, spacing=4)
        self.preview_box = check("Pre&view", "Show a ring around what a prompt would change before it is applied.")
        self.take_button = button("Acc&ept", "Apply the change that the ring shows.\nKey: Enter")
        self.drop_button = button("&Discard", "Leave the labels as they are, without this prompt.\nKey: Escape")
        top = flow()
        for control in (self.preview_box, self.take_button, self.drop_button):
            control.setFocusPolicy(Qt.FocusPolicy.TabFocus)
            top.addWidget(control)
        self.buttons = {
            "remove island": button(
                "Remove &island", "Remove the part of the chosen region under the crosshair: click on it first."
            ),
            "keep largest": button("Keep largest", "Remove all parts of the chosen region but the largest."),
            "fill holes": button("Fill holes", "Fill the holes that the chosen region encloses."),
            "smooth margin": button("Smooth margin", "Smooth the margin of the chosen region; what you drew stays."),
        }
        tip = "Details narrower than this are smoothed away."
        self.mm_box = described(QDoubleSpinBox(), tip, "Width of what is smoothed")
        self.mm_box.setRange(0.5, 20)
        self.mm_box.setValue(2)
        self.mm_box.setSingleStep(0.5)
        self.mm_box.setSuffix(" mm")
        rows = flow()
        for kind, control in self.buttons.items():
            control.setFocusPolicy(Qt.FocusPolicy.TabFocus)
            control.clicked.connect(lambda _=False, kind=kind: self.requested.emit(kind, self.mm_box.value()))
            rows.addWidget(control)
        rows.addWidget(self.mm_box)
        add_to(column, top, rows)
        self.preview_box.toggled.connect(self.preview_toggled)
        self.take_button.clicked.connect(self.take_requested)
        self.drop_button.clicked.connect(self.drop_requested)
        self.show_holding(False)

    def show_holding(self, holding: bool) -> None:
        """Show whether an entry is waiting for acceptance."""
        self.take_button.setEnabled(holding)
        self.drop_button.setEnabled(holding)
