"""Keep combo boxes and sliders without the focus from reacting to the wheel, so that scrolling changes nothing."""

from typing import Final

from qtpy.QtCore import QEvent, QObject, Qt
from qtpy.QtWidgets import (
    QAbstractButton,
    QAbstractSlider,
    QAbstractSpinBox,
    QComboBox,
    QLabel,
    QProgressBar,
    QScrollBar,
    QTabBar,
    QWidget,
)

from napari_brain_tumor.widgets.layer_list_watch import single_shot

GUARDED: Final = (QComboBox, QAbstractSpinBox, QAbstractSlider, QTabBar)
"""Widgets that the wheel would change; scroll bars and areas, which it only scrolls, are not guarded."""
_WITHOUT_CHILDREN: Final = (QLabel, QAbstractButton, QProgressBar)


class WheelGuard(QObject):
    """Guards all such widgets within a panel, including those added later.

    A widget without the focus passes the wheel event on to the surrounding scroll area.

    Parameters
    ----------
    panel : QWidget
        Owner of the guard.
    """

    def __init__(self, panel: QWidget) -> None:
        super().__init__(panel)
        self._panel = panel
        self._timer = single_shot(self, self.look)
        self.look()

    def look(self) -> None:
        """Guard what has been added since."""
        self._watch(self._panel)

    def _watch(self, widget: QWidget) -> None:
        if widget.focusPolicy() == Qt.FocusPolicy.WheelFocus and _is_guarded(widget):
            widget.setFocusPolicy(Qt.FocusPolicy.StrongFocus)  # the default policy lets the wheel give it the focus
        widget.installEventFilter(self)  # installing the filter again has no effect
        if _is_guarded(widget):
            return  # its inner parts pass the wheel on to it, and its drop-down list is a separate window
        for child in widget.children():
            if isinstance(child, QWidget) and not isinstance(child, _WITHOUT_CHILDREN):
                self._watch(child)

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:
        """Block the wheel for widgets without the focus."""
        if event is None:
            return False
        kind = event.type()
        if kind == QEvent.Type.Wheel:
            if isinstance(watched, QWidget) and _is_guarded(watched) and not watched.hasFocus():
                event.ignore()  # so that Qt offers it to the parent
                return True
        elif kind == QEvent.Type.ChildAdded:
            self._timer.start(0)  # not immediately: a new child may still be under construction
        elif kind == QEvent.Type.Show and watched is self._panel:
            self.look()
        return False


def _is_guarded(widget: QWidget) -> bool:
    return isinstance(widget, GUARDED) and not isinstance(widget, QScrollBar)
