"""Building blocks of the panels, each with a tooltip and an accessible name for screen readers."""

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
        """Return the default size in pixels."""
        return QSize(*self.SIZE)


def column_in(panel: QScrollArea) -> QVBoxLayout:
    """Return the column layout that holds a panel's widgets; it scrolls vertically, never sideways.

    The wheel scrolls the panel even over input boxes, unless the box has the focus.
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
    """Keeps a scroll area at least as wide as its content, whatever the font, so that it only scrolls vertically."""

    def __init__(self, area: QScrollArea, content: QWidget) -> None:
        super().__init__(content)
        self._area, self._content = area, content
        content.installEventFilter(self)
        self._fit()

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:
        """Adapt to the content, whose size changes with its widgets and the font."""
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
    """Stack widgets vertically without margins; the default spacing is that of the style."""
    column = QVBoxLayout(parent) if parent is not None else QVBoxLayout()
    column.setContentsMargins(0, 0, 0, 0)
    column.setSpacing(spacing)
    add_to(column, *parts)
    return column


def row_of(first: QWidget, *others: QWidget) -> QHBoxLayout:
    """Place widgets side by side; the first takes the space that the others leave."""
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
    """Place widgets side by side, wrapped to as many lines as the panel's width requires."""
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
    """Set a widget's tooltip, and an accessible name if its own text is not enough; return the widget."""
    widget.setToolTip(tip)
    if name:
        widget.setAccessibleName(name)
    return widget


def combo(tip: str, name: str) -> QComboBox:
    """Return a combo box that stays narrow however long its items are."""
    box = described(QComboBox(), tip, name)
    narrow(box, 8)
    return box


def offer(box: QComboBox, items: Iterable[tuple[Any, ...]], selected: Any = None, *, otherwise: int = 0) -> None:
    """Fill a combo box without emitting signals, and select the item with the given data.

    Parameters
    ----------
    items : iterable of (text, data) or (text, data, tip)
    otherwise : int
        Index of the item to select if none has that data.
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
    """Offer layers by name below an entry for none; keep the selected layer while it exists. Emits no signals."""
    offer(box, [(none, None), *((layer.name, layer) for layer in offered)], selected)


def text_field(placeholder: str, tip: str, name: str) -> QLineEdit:
    """Return a single-line text field."""
    edit = described(QLineEdit(), tip, name)
    edit.setPlaceholderText(placeholder)
    return edit


def narrow(box: QComboBox, letters: int) -> None:
    """Make a combo box ask for the width of this many letters, however long its items are."""
    box.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
    box.setMinimumContentsLength(letters)


def button(text: str, tip: str) -> QPushButton:
    """A button with a tooltip."""
    return described(QPushButton(text), tip)


def check(text: str, tip: str) -> QCheckBox:
    """Return a tick box."""
    return described(QCheckBox(text), tip)


class FoldToggle(QToolButton):
    """The line that opens and closes what is below it; its arrow shows which state it is in."""

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
    """A line that opens and closes the column of widgets below it.

    Parameters
    ----------
    text, tip : str
        Text and tooltip of the line.
    name : str, optional
        Accessible name, if the text is not enough.
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
    """Return a progress bar with a range of 1000."""
    bar = described(QProgressBar(), tip, name)
    bar.setRange(0, 1000)
    return bar


def enable(on: bool, *controls: QWidget) -> None:
    """Enable or disable controls."""
    for control in controls:
        control.setEnabled(on)


def show_text(label: QLabel, text: str) -> None:
    """Show a text in a label, or hide the label if the text is empty."""
    label.setText(text)
    label.setVisible(bool(text))


def copy_text(text: str) -> None:
    """Copy a text to the clipboard."""
    clipboard = QApplication.clipboard()
    if clipboard is not None:
        clipboard.setText(text)


def wrapped(text: str, name: str = "") -> QLabel:
    """Return a label whose text wraps; the name is for screen readers."""
    label = described(QLabel(text), "", name)
    label.setWordWrap(True)
    label.setMinimumWidth(60)  # otherwise a long path would determine the width of the panel
    return label


def selectable(name: str) -> QLabel:
    """Return an empty label whose text can be selected and copied."""
    label = wrapped("", name)
    label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
    return label


def line() -> QFrame:
    """Return a line that separates two sections."""
    frame = QFrame()
    frame.setFrameShape(QFrame.Shape.HLine)
    frame.setFrameShadow(QFrame.Shadow.Sunken)
    return frame
