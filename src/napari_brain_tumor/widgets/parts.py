"""Small parts of which the panels are made, each with its tooltip and its name for screen readers."""

from collections.abc import Iterable, Sequence
from typing import Any, ClassVar, Final, TypeVar

from napari.layers import Layer
from qtpy.QtCore import QEvent, QObject, QSignalBlocker, QSize, Qt
from qtpy.QtWidgets import (
    QApplication,
    QBoxLayout,
    QCheckBox,
    QComboBox,
    QFormLayout,
    QFrame,
    QHBoxLayout,
    QLabel,
    QLayout,
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
Widget = TypeVar("Widget", bound=QWidget)


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
    column = column_of(content, spacing=6)
    column.setContentsMargins(6, 6, 6, 6)
    panel.setWidget(content)
    WheelGuard(panel)
    _RoomForContent(panel, content)
    return column


class _RoomForContent(QObject):
    """Keeps a scrolling area as wide as its content must be, whatever the font; it scrolls only up and down."""

    def __init__(self, area: QScrollArea, content: QWidget) -> None:
        super().__init__(content)
        self._area, self._content = area, content
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
        width = max(_LEAST_WIDTH, self._content.minimumSizeHint().width() + beside)
        if width != self._area.minimumWidth():
            self._area.setMinimumWidth(width)


def column_of(parent: QWidget | None, *parts: QWidget | QLayout, spacing: int = -1) -> QVBoxLayout:
    """Parts below each other without a margin around them; the spacing is that of the style where none is given."""
    column = QVBoxLayout(parent) if parent is not None else QVBoxLayout()
    column.setContentsMargins(0, 0, 0, 0)
    column.setSpacing(spacing)
    add_to(column, *parts)
    return column


def row_of(first: QWidget, *others: QWidget) -> QHBoxLayout:
    """Parts beside each other, of which the first takes the room that the others leave."""
    row = QHBoxLayout()
    row.addWidget(first, 1)
    add_to(row, *others)
    return row


def add_to(layout: QBoxLayout, *parts: QWidget | QLayout) -> None:
    """Append parts to a layout."""
    for part in parts:
        if isinstance(part, QWidget):
            layout.addWidget(part)
        else:
            layout.addLayout(part)


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


def described(widget: Widget, tip: str, name: str = "") -> Widget:
    """The widget with a tooltip, and with a name for screen readers where its own text is not enough."""
    widget.setToolTip(tip)
    if name:
        widget.setAccessibleName(name)
    return widget


def combo(tip: str, name: str) -> QComboBox:
    """A box to choose from that stays narrow however long its items are."""
    box = described(QComboBox(), tip, name)
    narrow(box, 8)
    return box


def offer(box: QComboBox, items: Iterable[tuple[Any, ...]], selected: Any = None, *, otherwise: int = 0) -> None:
    """Fill a box with items, silently; that of the selected data is chosen.

    Parameters
    ----------
    items : iterable of (text, data) or (text, data, tip)
    otherwise : int
        Which item is chosen where none has that data.
    """
    listed = list(items)
    with QSignalBlocker(box):
        box.clear()
        for at, (text, data, *tips) in enumerate(listed):
            box.addItem(text, data)
            if tips:
                box.setItemData(at, tips[0], Qt.ItemDataRole.ToolTipRole)
        values = [data for _, data, *_ in listed]
        box.setCurrentIndex(values.index(selected) if selected in values else otherwise)


def offer_layers(box: QComboBox, none: str, offered: Sequence[Layer], selected: Layer | None) -> None:
    """Offer layers by name below the text for none of them; the selected one stays so while it is there. Silently."""
    offer(box, [(none, None), *((layer.name, layer) for layer in offered)], selected)


def text_field(placeholder: str, tip: str, name: str) -> QLineEdit:
    """A line to type in."""
    edit = described(QLineEdit(), tip, name)
    edit.setPlaceholderText(placeholder)
    return edit


def narrow(box: QComboBox, letters: int) -> None:
    """Let a box ask for the width of so many letters, however long its items are."""
    box.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
    box.setMinimumContentsLength(letters)


def button(text: str, tip: str) -> QPushButton:
    """A button with a tooltip."""
    return described(QPushButton(text), tip)


def check(text: str, tip: str) -> QCheckBox:
    """A box to tick."""
    return described(QCheckBox(text), tip)


class FoldToggle(QToolButton):
    """The line that opens and closes what lies below it; its arrow says which it is."""

    def __init__(self, text: str, tip: str, name: str) -> None:
        super().__init__()
        described(self, tip, name).setText(text)
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
        self.toggle = FoldToggle(text, tip, name or text.replace("&", ""))
        self.body = QWidget()
        self.column = column_of(self.body, spacing=6)
        self.column.setContentsMargins(8, 0, 0, 4)
        column_of(self, self.toggle, self.body, spacing=4)
        self.body.hide()
        self.toggle.toggled.connect(self.body.setVisible)


def progress_bar(tip: str, name: str = "Progress") -> QProgressBar:
    """A bar of a thousand steps."""
    bar = described(QProgressBar(), tip, name)
    bar.setRange(0, 1000)
    return bar


def enable(on: bool, *controls: QWidget) -> None:
    """Let controls be used, or not."""
    for control in controls:
        control.setEnabled(on)


def show_text(label: QLabel, text: str) -> None:
    """Show a text; hide its label where there is none."""
    label.setText(text)
    label.setVisible(bool(text))


def copy_text(text: str) -> None:
    """Put a text into the clipboard."""
    clipboard = QApplication.clipboard()
    if clipboard is not None:
        clipboard.setText(text)


def wrapped(text: str, name: str = "") -> QLabel:
    """Text that breaks into lines; the name is for screen readers."""
    label = described(QLabel(text), "", name)
    label.setWordWrap(True)
    label.setMinimumWidth(60)  # else a long path would decide how wide the panel is
    return label


def selectable(name: str) -> QLabel:
    """An empty label whose text can be copied."""
    label = wrapped("", name)
    label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
    return label


def line() -> QFrame:
    """A line between two sections."""
    frame = QFrame()
    frame.setFrameShape(QFrame.Shape.HLine)
    frame.setFrameShadow(QFrame.Shadow.Sunken)
    return frame
