"""Small parts of which the panels are made, each with its tooltip and its name for screen readers."""

from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QComboBox,
    QFormLayout,
    QFrame,
    QLabel,
    QProgressBar,
    QPushButton,
    QScrollArea,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from napari_brain_tumor.widgets.wheel_guard import guard_wheel

__all__ = ["FoldToggle", "button", "column_in", "combo", "form", "line", "progress_bar", "wrapped"]


def column_in(panel: QScrollArea) -> QVBoxLayout:
    """The column that a panel's parts go into; it scrolls where the screen is low, and never sideways.

    The wheel scrolls, also over boxes; only a box that has the focus takes it.
    """
    panel.setWidgetResizable(True)
    panel.setFrameShape(QFrame.Shape.NoFrame)
    panel.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
    panel.setMinimumWidth(300)
    content = QWidget()
    column = QVBoxLayout(content)
    column.setContentsMargins(6, 6, 6, 6)
    column.setSpacing(6)
    panel.setWidget(content)
    guard_wheel(panel)
    return column


def form(parent: QWidget | None = None) -> QFormLayout:
    """A form whose fields fill the width."""
    layout = QFormLayout(parent) if parent is not None else QFormLayout()
    layout.setContentsMargins(0, 0, 0, 0)
    layout.setVerticalSpacing(4)
    layout.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
    return layout


def combo(tip: str, name: str) -> QComboBox:
    """A box to choose from that stays narrow however long its items are."""
    box = QComboBox()
    box.setToolTip(tip)
    box.setAccessibleName(name)
    box.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
    box.setMinimumContentsLength(8)
    return box


def button(text: str, tip: str) -> QPushButton:
    """A button with a tooltip."""
    made = QPushButton(text)
    made.setToolTip(tip)
    made.setMinimumWidth(60)  # a dock may be narrower than the theme's padding asks for
    return made


class FoldToggle(QToolButton):
    """The line that opens and closes what lies below it; its arrow says which it is."""

    def __init__(self, text: str, tip: str, name: str) -> None:
        super().__init__()
        self.setText(text)
        self.setToolTip(tip)
        self.setAccessibleName(name)
        self.setCheckable(True)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self.toggled.connect(self._point)
        self._point(False)

    def _point(self, is_open: bool) -> None:
        self.setArrowType(Qt.ArrowType.DownArrow if is_open else Qt.ArrowType.RightArrow)


def progress_bar(tip: str, name: str = "Progress") -> QProgressBar:
    """A bar of a thousand steps."""
    made = QProgressBar()
    made.setRange(0, 1000)
    made.setToolTip(tip)
    made.setAccessibleName(name)
    return made


def wrapped(text: str) -> QLabel:
    """Text that breaks into lines."""
    label = QLabel(text)
    label.setWordWrap(True)
    return label


def line() -> QFrame:
    """A line between two sections."""
    made = QFrame()
    made.setFrameShape(QFrame.Shape.HLine)
    made.setFrameShadow(QFrame.Shadow.Sunken)
    return made
