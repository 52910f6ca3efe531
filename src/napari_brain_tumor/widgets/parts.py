"""Small parts of which the panels are made, each with its tooltip and its name for screen readers."""

from collections.abc import Sequence
from typing import ClassVar, Final

from napari.layers import Layer
from qtpy.QtCore import QEvent, QObject, QSize, Qt
from qtpy.QtWidgets import (
    QComboBox,
    QFormLayout,
    QFrame,
    QLabel,
    QLineEdit,
    QProgressBar,
    QPushButton,
    QScrollArea,
    QToolButton,
    QVBoxLayout,
    QWidget,
)
from superqt import QFlowLayout

from napari_brain_tumor.widgets.wheel_guard import WheelGuard

_LEAST_WIDTH: Final = 300


class Panel(QScrollArea):
    """A panel, narrow enough to leave room for the canvas on a small screen."""

    SIZE: ClassVar = (340, 560)

    def sizeHint(self) -> QSize:
        """Width and height in pixels, where nothing asks for others."""
        return QSize(*self.SIZE)


def column_in(panel: QScrollArea) -> QVBoxLayout:
    """The column that a panel's parts go into; it scrolls where the screen is low, and never sideways.

    The wheel scrolls, also over boxes; only a box that has the focus takes it.
    """
    panel.setWidgetResizable(True)
    panel.setFrameShape(QFrame.Shape.NoFrame)
    panel.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
    content = QWidget()
    column = QVBoxLayout(content)
    column.setContentsMargins(6, 6, 6, 6)
    column.setSpacing(6)
    panel.setWidget(content)
    WheelGuard(panel)
    give_room(panel, content, _LEAST_WIDTH)
    return column


class _RoomForContent(QObject):
    """Keeps a scrolling area as wide as its content must be, whatever the font; it scrolls only up and down."""

    def __init__(self, area: QScrollArea, content: QWidget, least: int) -> None:
        super().__init__(content)
        self._area, self._content, self._least = area, content, least
        content.installEventFilter(self)
        self._fit()

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:
        """Follow the content, whose needs change with its parts and with the font."""
        if event is not None and event.type() in (QEvent.Type.LayoutRequest, QEvent.Type.Show):
            self._fit()
        return False

    def _fit(self) -> None:
        bar = self._area.verticalScrollBar()
        beside = bar.sizeHint().width() if bar is not None else 0
        width = max(self._least, self._content.minimumSizeHint().width() + beside)
        if width != self._area.minimumWidth():
            self._area.setMinimumWidth(width)


def give_room(area: QScrollArea, content: QWidget, least: int) -> None:
    """Keep an area that scrolls up and down wide enough for its content, so that nothing is cut off at the side.

    Parameters
    ----------
    content : QWidget
        Its widget.
    least : int
        Pixels that it has anyway.
    """
    _RoomForContent(area, content, least)


def flow(*widgets: QWidget) -> QFlowLayout:
    """Parts beside each other, in as many lines as the width of the panel asks for."""
    layout = QFlowLayout()
    layout.setContentsMargins(0, 0, 0, 0)
    layout.setHorizontalSpacing(4)
    layout.setVerticalSpacing(4)
    for widget in widgets:
        layout.addWidget(widget)
    return layout


def form(parent: QWidget | None = None) -> QFormLayout:
    """A form whose fields fill the width."""
    layout = QFormLayout(parent) if parent is not None else QFormLayout()
    layout.setContentsMargins(0, 0, 0, 0)
    layout.setVerticalSpacing(4)
    layout.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
    layout.setRowWrapPolicy(QFormLayout.RowWrapPolicy.WrapLongRows)  # in a large font a field goes below its label
    return layout


def combo(tip: str, name: str) -> QComboBox:
    """A box to choose from that stays narrow however long its items are."""
    box = QComboBox()
    box.setToolTip(tip)
    box.setAccessibleName(name)
    narrow(box, 8)
    return box


def offer_layers(box: QComboBox, none: str, offered: Sequence[Layer], selected: Layer | None) -> None:
    """Offer layers by name below the text for none of them; the selected one stays so while it is there. Silently."""
    box.blockSignals(True)
    box.clear()
    box.addItem(none, None)
    for layer in offered:
        box.addItem(layer.name, layer)
    box.setCurrentIndex(offered.index(selected) + 1 if selected in offered else 0)
    box.blockSignals(False)


def text_field(placeholder: str, tip: str, name: str) -> QLineEdit:
    """A line to type in."""
    edit = QLineEdit()
    edit.setPlaceholderText(placeholder)
    edit.setToolTip(tip)
    edit.setAccessibleName(name)
    return edit


def narrow(box: QComboBox, letters: int) -> None:
    """Let a box ask for the width of so many letters, however long its items are."""
    box.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
    box.setMinimumContentsLength(letters)


def button(text: str, tip: str) -> QPushButton:
    """A button with a tooltip."""
    push_button = QPushButton(text)
    push_button.setToolTip(tip)
    return push_button


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


class Fold(QWidget):
    """A line that opens and closes the column below it.

    Parameters
    ----------
    text, tip : str
        Of the line.
    name : str, optional
        For screen readers, where the text is not enough.
    """

    def __init__(self, text: str, tip: str, name: str = "") -> None:
        super().__init__()
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.setSpacing(4)
        self.toggle = FoldToggle(text, tip, name or text.replace("&", ""))
        self.body = QWidget()
        self.column = QVBoxLayout(self.body)
        self.column.setContentsMargins(8, 0, 0, 4)
        self.column.setSpacing(6)
        outer.addWidget(self.toggle)
        outer.addWidget(self.body)
        self.body.hide()
        self.toggle.toggled.connect(self.body.setVisible)


def progress_bar(tip: str, name: str = "Progress") -> QProgressBar:
    """A bar of a thousand steps."""
    bar = QProgressBar()
    bar.setRange(0, 1000)
    bar.setToolTip(tip)
    bar.setAccessibleName(name)
    return bar


def wrapped(text: str) -> QLabel:
    """Text that breaks into lines."""
    label = QLabel(text)
    label.setWordWrap(True)
    label.setMinimumWidth(60)  # else a long path would decide how wide the panel is
    return label


def line() -> QFrame:
    """A line between two sections."""
    frame = QFrame()
    frame.setFrameShape(QFrame.Shape.HLine)
    frame.setFrameShadow(QFrame.Shadow.Sunken)
    return frame
