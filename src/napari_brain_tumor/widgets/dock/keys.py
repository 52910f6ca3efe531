"""Keyboard control of the dock: shortcuts for tabs, top and bottom; Enter presses a button, Escape leaves the dock."""

from collections.abc import Callable
from typing import Any, Final

from qtpy.QtCore import Qt
from qtpy.QtGui import QKeyEvent, QKeySequence, QShortcut  # type: ignore[attr-defined,unused-ignore]
from qtpy.QtWidgets import QAbstractButton, QApplication, QWidget

from napari_brain_tumor.widgets.dock.state import TABS
from napari_brain_tumor.widgets.napari_canvas import canvas_view_of

HEAD_KEY: Final = "Ctrl+0"
"""Moves the focus to the current case."""
TAB_KEYS: Final = {tab: f"Ctrl+{at}" for at, tab in enumerate(TABS, 1)}
"""Open the tabs. Ctrl with digits, as several Alt+letter keys are taken by napari, such as Alt+S for a screenshot."""
FOOT_KEY: Final = "Ctrl+9"
"""Moves the focus to the part below the tabs, with saving and the report."""


def bind_dock_key(dock: QWidget, key: str, act: Callable[[], Any]) -> None:
    """Bind a key in the whole window while the dock is visible."""
    shortcut = QShortcut(QKeySequence(key), dock)
    shortcut.setContext(Qt.ShortcutContext.WindowShortcut)
    shortcut.activated.connect(act)


def focus_first(part: QWidget) -> None:
    """Focus the first control of a widget that accepts the focus."""
    control = part.nextInFocusChain()
    while control is not None and control is not part:
        if part.isAncestorOf(control) and _takes_focus(control):
            control.setFocus(Qt.FocusReason.TabFocusReason)
            return
        control = control.nextInFocusChain()


def _takes_focus(control: QWidget) -> bool:
    tabbed = control.focusPolicy().value & Qt.FocusPolicy.TabFocus.value
    return bool(tabbed) and control.isEnabled() and control.isVisible() and control.focusProxy() is None


def on_dock_key(event: QKeyEvent, viewer: Any) -> bool:
    """Handle a key that no control of the dock accepted: Enter presses a button, Escape returns to the canvas.

    Returns
    -------
    bool
        Whether the key was handled.
    """
    control = QApplication.focusWidget()
    if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter) and isinstance(control, QAbstractButton):
        control.click()
        return True
    view = canvas_view_of(viewer) if event.key() == Qt.Key.Key_Escape else None
    if view is not None:
        view.canvas.native.setFocus(Qt.FocusReason.OtherFocusReason)
    return view is not None
