"""A sequence as a small button: shows whether there is a scan for it, and has a list to choose another layer."""

from typing import Any

from qtpy.QtCore import QEvent, QSize
from qtpy.QtGui import QPaintEvent
from qtpy.QtWidgets import QComboBox, QStyle, QStyleOptionComboBox, QStylePainter

from napari_brain_tumor.study import Role
from napari_brain_tumor.widgets.parts import narrow

_MARGIN = 24
"""Pixels beside the longest name in the list, for its scroll bar."""
_BESIDE = 34
"""Pixels beside the text: padding and the arrow."""
_STYLE = "QComboBox { padding: 3px 0px 3px 6px; } QComboBox::drop-down { width: 18px; }"


class ScanChip(QComboBox):
    """A combo box for the layer of a sequence, which shows the sequence and whether it has a layer.

    Its first item means that there is no layer.

    Parameters
    ----------
    tip : str
        Describes the sequence.
    """

    def __init__(self, role: Role, tip: str) -> None:
        super().__init__()
        self._role, self._tip = role, tip
        self.setAccessibleName(f"Layer of {role}")
        narrow(self, len(role) + 2)
        self.setStyleSheet(_STYLE)  # narrower than napari's style, so that four fit in a line
        self.setIconSize(QSize(0, 0))  # otherwise Qt leaves room for an icon
        self.currentIndexChanged.connect(self._show_choice)
        self._show_choice()

    @property
    def text(self) -> str:
        """The text of the chip."""
        return f"{self._role} {'✓' if self.currentIndex() > 0 else '–'}"

    def _show_choice(self, *_: Any) -> None:
        layer = self.currentText() if self.currentIndex() > 0 else "no layer"
        self.setToolTip(f"{self._tip}\nNow: {layer}. Click to choose another layer, or none.")

    def event(self, event: QEvent | None) -> bool:
        """Update the tooltip before it is shown, because layers are filled in without signals."""
        if event is not None and event.type() == QEvent.Type.ToolTip:
            self._show_choice()
        return super().event(event)

    def sizeHint(self) -> QSize:
        """Return a size wide enough for the text with either of the two marks."""
        text = max((f"{self._role} {mark}" for mark in "✓–"), key=self.fontMetrics().horizontalAdvance)
        return QSize(self.fontMetrics().horizontalAdvance(text) + _BESIDE, super().sizeHint().height())

    def minimumSizeHint(self) -> QSize:
        """Return the same size, so that the text is never cut off."""
        return self.sizeHint()

    def showPopup(self) -> None:
        """Make the list as wide as its longest name."""
        view = self.view()
        if view is not None:
            view.setMinimumWidth(max(self.width(), view.sizeHintForColumn(0) + _MARGIN))
        super().showPopup()

    def paintEvent(self, event: QPaintEvent | None) -> None:
        """Draw the sequence instead of the selected item."""
        painter, option = QStylePainter(self), QStyleOptionComboBox()
        self.initStyleOption(option)
        option.currentText = self.text
        painter.drawComplexControl(QStyle.ComplexControl.CC_ComboBox, option)
        painter.drawControl(QStyle.ControlElement.CE_ComboBoxLabel, option)
