"""The buttons of the Correct panel for drawing: class, add or exclude, and tool."""

from typing import Final

from qtpy.QtCore import Qt, Signal  # type: ignore[attr-defined,unused-ignore]
from qtpy.QtGui import QBrush, QColor, QIcon, QPainter, QPixmap
from qtpy.QtWidgets import QHBoxLayout, QLayout, QPushButton, QWidget

from napari_brain_tumor.interactive.prompts import PromptLabel
from napari_brain_tumor.plugin.prompt_layers import Meaning, color_of
from napari_brain_tumor.widgets.correct_layers import Tool
from napari_brain_tumor.widgets.parts import button, check, column_of, combo, flow, offer

CLASS_KEYS: Final[dict[str, PromptLabel]] = {
    "1": "edema",
    "2": "non-enhancing",
    "3": "enhancing",
    "4": "tumour core",
    "5": "whole tumour",
}
NOT_KEY: Final = "X"
SLICE_KEY: Final = "A"
TOOL_KEYS: Final[dict[str, Tool]] = {"O": "outline", "S": "stroke", "L": "lasso", "P": "point", "B": "box"}
_FOLDED: Final = ("point", "box")
"""Tools in `more`, a part that the surrounding panel folds away."""
_CLASS_TIPS: Final[dict[PromptLabel, str]] = {
    "edema": "What you draw is edema.",
    "non-enhancing": "What you draw is non-enhancing tumour or necrosis.",
    "enhancing": "What you draw is enhancing tumour.",
    "tumour core": "What you draw is tumour core: enhancing or not, as the scans suggest.",
    "whole tumour": "What you draw is tumour of any class, as the scans suggest.",
}
_TOOL_TIPS: Final[dict[Tool, str]] = {
    "stroke": "Paint a stroke over what is wrong; [ and ] change the width. When you let go, the labels follow.",
    "point": "Click on what is wrong.",
    "outline": "Drag around the whole region on this slice: the line is the border of the whole tumour, the core or\n"
    "the enhancing tumour. It says the most: everything inside belongs to it, everything outside does not.\n"
    "Hold Shift to draw further lines of the same outline: another part, or a hole such as the necrosis in a rim.",
    "lasso": "Drag around an area on this slice: everything inside belongs to it; what lies outside may or may not.",
    "box": "Drag a rectangle around something on this slice: the chosen class lies within it and touches its sides.",
}
_SWATCH: Final = 14


class PromptTools(QWidget):
    """Shows the current meaning and tool, and emits a signal when the user wants another one."""

    meaning_changed = Signal(object)
    """The `Meaning` that the user wants."""
    tool_requested = Signal(str)
    """The tool that the user wants."""
    around_changed = Signal(bool)
    """Whether neighbouring slices may follow the next prompt."""

    def __init__(self) -> None:
        super().__init__()
        self.meaning = Meaning()
        column = column_of(self, spacing=4)
        column.addLayout(self._build_classes())
        column.addLayout(self._build_tools())
        self.slice_box = check(
            "This slice &alone (A)",
            "Change only the shown slice. Otherwise the slices around it follow, up to the next outlined one."
            "\nKey in the picture: A",
        )
        self.slice_box.toggled.connect(lambda alone: self.around_changed.emit(not alone))
        column.addWidget(self.slice_box)
        self.show_meaning(self.meaning)

    def _build_classes(self) -> QLayout:
        rows = QHBoxLayout()
        self.class_box = combo("The class that is drawn next. Keys in the picture: 1 to 5", "Class")
        classes = [
            (f"{label.capitalize()} ({key})", label, f"{_CLASS_TIPS[label]}\nKey in the picture: {key}")
            for key, label in CLASS_KEYS.items()
        ]
        offer(self.class_box, classes)
        self.class_box.activated.connect(lambda _: self.choose_class(self.class_box.currentData()))
        rows.addWidget(self.class_box, 1)
        self.not_button = _toggle(
            f"Remove ({NOT_KEY})",
            f"What you draw is not the chosen class; the scans suggest what it is.\nKey in the picture: {NOT_KEY}",
        )
        self.not_button.clicked.connect(lambda _: self.toggle_not())
        rows.addWidget(self.not_button)
        return rows

    def _build_tools(self) -> QLayout:
        rows = flow()
        self.more = QWidget()
        folded = flow()
        self.more.setLayout(folded)
        self.tool_buttons: dict[Tool, QPushButton] = {}
        for key, tool in TOOL_KEYS.items():
            tool_button = _toggle(f"{tool.capitalize()} ({key})", f"{_TOOL_TIPS[tool]}\nKey in the picture: {key}")
            tool_button.clicked.connect(lambda _=False, tool=tool: self._on_tool_clicked(tool))
            self.tool_buttons[tool] = tool_button
            (folded if tool in _FOLDED else rows).addWidget(tool_button)
        return rows

    def choose_class(self, label: PromptLabel) -> None:
        """Draw this class from now on."""
        self._want(Meaning(label, self.meaning.add))

    def toggle_not(self) -> None:
        """Toggle between marking what belongs to the class and what does not."""
        self._want(Meaning(self.meaning.label, not self.meaning.add))

    def toggle_slice(self) -> None:
        """Toggle whether a prompt changes only its own slice, or neighbouring slices too."""
        self.slice_box.toggle()

    def show_meaning(self, meaning: Meaning) -> None:
        """Show the meaning of what is drawn next."""
        self.meaning = meaning
        for row, label in enumerate(CLASS_KEYS.values()):
            self.class_box.setItemIcon(row, _swatch(Meaning(label, meaning.add)))
        self.class_box.setCurrentIndex(self.class_box.findData(meaning.label))
        self.not_button.setChecked(not meaning.add)

    def show_tool(self, tool: Tool | None) -> None:
        """Show the active tool, if any."""
        for name, tool_button in self.tool_buttons.items():
            tool_button.setChecked(name == tool)

    def _want(self, meaning: Meaning) -> None:
        self.show_meaning(meaning)
        self.meaning_changed.emit(meaning)

    def _on_tool_clicked(self, tool: Tool) -> None:
        self.tool_buttons[tool].setChecked(not self.tool_buttons[tool].isChecked())  # the layers decide on the state
        self.tool_requested.emit(tool)


def _toggle(text: str, tip: str) -> QPushButton:
    toggle = button(text, tip)
    toggle.setCheckable(True)
    toggle.setFocusPolicy(Qt.FocusPolicy.TabFocus)  # after a click, keys still go to the canvas
    return toggle


def _swatch(meaning: Meaning) -> QIcon:
    """Return an icon in the colour of a prompt; hatched if it means "not"."""
    pixmap = QPixmap(_SWATCH, _SWATCH)
    color = QColor.fromRgbF(*color_of(meaning))
    pixmap.fill(color)
    if not meaning.add:
        painter = QPainter(pixmap)
        painter.fillRect(pixmap.rect(), QBrush(QColor("black"), Qt.BrushStyle.BDiagPattern))
        painter.end()
    return QIcon(pixmap)
