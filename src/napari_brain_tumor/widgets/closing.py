"""Detect that a panel is closed: napari takes it out of its dock and keeps it for a while, without any other sign."""

from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any

from qtpy.QtCore import QEvent, QObject
from qtpy.QtWidgets import QWidget

from napari_brain_tumor.widgets.worker import JobRunner


class _CloseWatch(QObject):
    def __init__(self, panel: QWidget, act: Callable[[], None]) -> None:
        super().__init__(panel)
        self._act = act
        panel.installEventFilter(self)

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:
        """Act when the panel has been taken out of its dock."""
        if watched is None or event is None or event.type() != QEvent.Type.ParentChange:
            return False
        if watched is self.parent() and watched.parent() is None:
            self._act()
        return False


class CloseGuard(QObject):
    """Lets a window close only if the user agrees.

    Parameters
    ----------
    may_close : callable
        Called with the window; asks the user if something would be lost.
    """

    def __init__(self, window: QWidget, may_close: Callable[[QWidget], bool], parent: QObject) -> None:
        super().__init__(parent)
        self._may_close = may_close
        window.installEventFilter(self)

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:
        """Block a close event if the user does not agree."""
        if event is None or event.type() != QEvent.Type.Close or not isinstance(watched, QWidget):
            return False
        stays = not self._may_close(watched)
        if stays:
            event.ignore()
        return stays


def when_closed(panel: QWidget, act: Callable[[], None]) -> None:
    """Call a function when the dock of a panel is closed, but not when it is only hidden, as one of several tabs."""
    _CloseWatch(panel, act)


def when_gone(panel: QObject, *acts: Callable[[], object]) -> None:
    """Call functions when Qt deletes a panel. PyQt holds methods of Qt objects weakly, so they are called from here."""

    def leave(*_: Any) -> None:
        for act in acts:
            act()

    panel.destroyed.connect(leave)


def cut_when_closed(panel: QWidget, ties: Iterable[tuple[Any, Callable[..., Any]]]) -> None:
    """Disconnect signals from their slots, once, when the dock of a panel is closed; its running jobs continue."""
    left = list(ties)

    def leave() -> None:
        while left:
            signal, slot = left.pop()
            with suppress(RuntimeError, TypeError, ValueError):  # disconnected already, or destroyed with its owner
                signal.disconnect(slot)

    when_closed(panel, leave)


def cancel_when_closed(panel: QWidget, *runners: JobRunner) -> None:
    """Cancel a panel's computations when its dock is closed, as nobody could see or stop them any more."""

    def cancel() -> None:
        for runner in runners:
            runner.cancel()

    when_closed(panel, cancel)
