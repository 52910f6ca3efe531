"""Boxes and sliders that leave the wheel alone until they have the focus, so that scrolling changes nothing."""

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
"""What takes the wheel to change something; scroll bars and areas, which take it to scroll, are left as they are."""
_WITHOUT_CHILDREN: Final = (QLabel, QAbstractButton, QProgressBar)


class WheelGuard(QObject):
    """Guards every box within a panel, those that are there and those that are added later.

    A box without the focus lets the wheel through to whatever scrolls around it.

    Parameters
    ----------
    panel : QWidget
        Owns the guard.
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
            widget.setFocusPolicy(Qt.FocusPolicy.StrongFocus)  # the usual one lets the wheel give the focus
        widget.installEventFilter(self)  # one that is installed already stays the only one
        if _is_guarded(widget):
            return  # its inner parts hand the wheel to it, and its list of choices is a window of its own
        for child in widget.children():
            if isinstance(child, QWidget) and not isinstance(child, _WITHOUT_CHILDREN):
                self._watch(child)

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:
        """Hold the wheel back from boxes without the focus."""
        if event is None:
            return False
        kind = event.type()
        if kind == QEvent.Type.Wheel:
            if isinstance(watched, QWidget) and _is_guarded(watched) and not watched.hasFocus():
                event.ignore()  # so Qt offers it to the parent
                return True
        elif kind == QEvent.Type.ChildAdded:
            self._timer.start(0)  # not now: what is added may still be under construction
        elif kind == QEvent.Type.Show and watched is self._panel:
            self.look()
        return False


def _is_guarded(widget: QWidget) -> bool:
    return isinstance(widget, GUARDED) and not isinstance(widget, QScrollBar)
