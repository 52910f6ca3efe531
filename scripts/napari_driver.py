"""Drive napari as a user does: drop files, open panels, click, paint, press keys, answer dialogs; take pictures.

What is clicked and painted are Qt events to the real window, so that everything in between is tried too. For
`tour.py` and `make_screenshots.py`, which run under Xvfb.
"""

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import napari
from napari._qt.dialogs.qt_notification import NapariQtNotification
from PIL import Image
from qtpy.QtCore import QEvent, QMimeData, QPoint, QPointF, Qt, QTimer, QUrl
from qtpy.QtGui import QDragEnterEvent, QDropEvent, QGuiApplication, QMouseEvent
from qtpy.QtTest import QTest
from qtpy.QtWidgets import (
    QAbstractButton,
    QApplication,
    QDialog,
    QDialogButtonBox,
    QFileDialog,
    QLineEdit,
    QRadioButton,
    QScrollArea,
    QWidget,
)

from napari_brain_tumor.plugin.viewers import camera_of
from napari_brain_tumor.widgets.navigation import Camera

__all__ = [
    "PLUGIN",
    "SIZE",
    "TourError",
    "Window",
    "choose_file",
    "choose_plugin",
    "private_settings",
    "show_in_panel",
]

PLUGIN = "napari-brain-tumor"
SIZE = (1366, 768)
"""Of the window: a small laptop's screen."""

_LEFT = Qt.MouseButton.LeftButton
_NONE = Qt.MouseButton.NoButton
_PLAIN = Qt.KeyboardModifier.NoModifier
_SETTLE_SECONDS = 0.6
_COLOURS = 256
"""Of a picture's palette: scans keep their greys, and the file stays small."""


class TourError(RuntimeError):
    """Something that a user would see did not happen."""


def private_settings(folder: Path) -> None:
    """Keep models and journals of whoever runs this out of it; `in_display.sh` does so with napari's settings."""
    os.environ["BRAIN_TUMOR_HOME"] = str(folder / "home")


class Window:
    """A shown napari window of `SIZE`, and what a user can do to it.

    Parameters
    ----------
    theme : {"dark", "light"}
    patience_seconds : float
        How long anything may take before it counts as not happening.
    """

    def __init__(self, theme: str = "dark", patience_seconds: float = 300) -> None:
        self.patience_seconds = patience_seconds
        self.viewer = napari.Viewer(show=True)
        self.viewer.theme = theme
        self.qt = self.viewer.window._qt_window
        self.qt.setGeometry(0, 0, *SIZE)
        self.qt.statusBar().showMessage("")
        self.settle()

    def close(self) -> None:
        """Close it, and let Qt take everything down."""
        self.viewer.close()
        self.settle(0.2)

    # Waiting and looking --------------------------------------------------------------------------------------------

    def settle(self, seconds: float = _SETTLE_SECONDS) -> None:
        """Let events, timers and drawing go on for a moment."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            QApplication.processEvents()
            time.sleep(0.01)

    def wait(self, what: str, done: Callable[[], Any]) -> None:
        """Let the window work until something has happened.

        Raises
        ------
        TourError
            If it takes longer than the window's patience; says `what` was waited for.
        """
        end = time.monotonic() + self.patience_seconds
        while not done():
            if time.monotonic() > end:
                raise TourError(f"Waited {self.patience_seconds:.0f} s in vain for: {what}.")
            self.settle(0.05)
        self.settle()

    def picture(self, path: Path, *, crop: QWidget | None = None) -> Path:
        """Save what is on the screen, or the part of it where a widget is, as a small PNG."""
        self.settle()
        shot = path.with_suffix(".full.png")
        shot.parent.mkdir(parents=True, exist_ok=True)
        screen = QGuiApplication.primaryScreen()
        screen.grabWindow(0, 0, 0, *SIZE).save(str(shot))
        with Image.open(shot) as image:
            part = image.convert("RGB") if crop is None else image.convert("RGB").crop(_place_of(crop))
            part.quantize(_COLOURS, kmeans=2, dither=Image.Dither.NONE).save(path, optimize=True)
        shot.unlink()
        return path

    # Files, panels, buttons, keys -----------------------------------------------------------------------------------

    def drop(self, *paths: Path) -> None:
        """Drop files or folders on the canvas."""
        target = self.viewer.window._qt_viewer
        mime = QMimeData()
        mime.setUrls([QUrl.fromLocalFile(str(path)) for path in paths])
        place = target.rect().center()
        action = Qt.DropAction.CopyAction
        QApplication.sendEvent(target, QDragEnterEvent(place, action, mime, _LEFT, _PLAIN))
        QApplication.sendEvent(target, QDropEvent(QPointF(place), action, mime, _LEFT, _PLAIN))
        self.settle()

    @property
    def dock(self) -> Any:
        """The plugin's dock, which is opened as from the menu."""
        dock, frame = self.viewer.window.add_plugin_dock_widget(PLUGIN, "Brain Tumor")
        dock.show()
        frame.dock.guard.question = lambda *_: "close"  # nobody is there to answer
        return frame.dock

    def panel(self, tab: str) -> Any:
        """Open a tab of the plugin's dock; returns its panel."""
        dock = self.dock
        if not dock.tab_row.buttons[tab].isChecked():
            self.click(dock.tab_row.buttons[tab])
        self.settle()
        return dock.page(tab).panel

    def dismiss_notifications(self) -> None:
        """Close what napari shows at the lower right."""
        for one in self.qt.findChildren(NapariQtNotification):
            one.close()
        self.settle(0.2)

    def click(self, button: QAbstractButton) -> None:
        """Click a button, which has to be there and usable."""
        show_in_panel(button)
        self.settle(0.1)
        if not (button.isVisible() and button.isEnabled()):
            raise TourError(f"The button {button.text()!r} cannot be clicked.")
        QTest.mouseClick(button, _LEFT)
        self.settle(0.2)

    def type(self, edit: QLineEdit, text: str) -> None:
        """Write into a line, and Return."""
        edit.clear()
        QTest.keyClicks(edit, text)
        QTest.keyClick(edit, Qt.Key.Key_Return)

    def key(self, key: Any, modifiers: Any = _PLAIN) -> None:
        """Press a key in the picture."""
        self.canvas.setFocus()
        QTest.keyClick(self.canvas, key, modifiers)
        self.settle(0.3)

    @contextmanager
    def answering(self, answer: Callable[[QDialog], bool]) -> Iterator[None]:
        """Answer dialogs that open within; `answer` returns whether it knew the dialog.

        Raises
        ------
        TourError
            If no dialog was answered.
        """
        answered: list[QDialog] = []

        def look() -> None:
            dialog = QApplication.activeModalWidget()
            if isinstance(dialog, QDialog) and dialog.isVisible() and dialog not in answered:
                answered.append(dialog)
                if not answer(dialog):
                    dialog.reject()

        timer = QTimer()
        timer.timeout.connect(look)
        timer.start(150)
        try:
            yield
            self.settle(0.3)
        finally:
            timer.stop()
        if not answered:
            raise TourError("A dialog was expected, and none opened.")

    # The picture ----------------------------------------------------------------------------------------------------

    @property
    def canvas(self) -> QWidget:
        """The widget that shows the layers."""
        return self.viewer.window._qt_viewer.canvas.native

    def place(self, point: Sequence[float]) -> QPointF:
        """Where in the canvas a world point (z, y, x) of the shown slice is."""
        camera, rows_columns = camera_of(self.viewer), self.viewer.dims.order[-2:]
        vertical, horizontal = (str(getattr(one, "value", one)) for one in camera.orientation2d)
        size = (self.canvas.height(), self.canvas.width())
        seen = Camera(tuple(camera.center[-2:]), camera.zoom, (vertical, horizontal), size)
        return QPointF(*seen.pixel(*(point[axis] for axis in rows_columns)))

    def stroke(self, points: Sequence[Sequence[float]]) -> None:
        """Drag with the left button over world points (z, y, x)."""
        places = [self.place(point) for point in points]
        self._mouse(QEvent.Type.MouseMove, places[0])
        self._mouse(QEvent.Type.MouseButtonPress, places[0], _LEFT, _LEFT)
        for at in places[1:]:
            self._mouse(QEvent.Type.MouseMove, at, _NONE, _LEFT)
        self._mouse(QEvent.Type.MouseButtonRelease, places[-1], _LEFT)
        self.settle(0.3)

    def _mouse(self, kind: Any, at: QPointF, button: Any = _NONE, buttons: Any = _NONE) -> None:
        there = QPointF(self.canvas.mapToGlobal(at.toPoint()))
        QApplication.sendEvent(self.canvas, QMouseEvent(kind, at, there, button, buttons, _PLAIN))
        self.settle(0.03)


def show_in_panel(widget: QWidget) -> None:
    """Scroll the panel so that a part of it is seen."""
    parent = widget.parentWidget()
    while parent is not None:
        if isinstance(parent, QScrollArea):
            parent.ensureWidgetVisible(widget)
        parent = parent.parentWidget()


def choose_plugin(name: str, before: Callable[[], None] = lambda: None) -> Callable[[QDialog], bool]:
    """Answers napari's question which plugin opens a file; `before` is called while it is seen."""

    def answer(dialog: QDialog) -> bool:
        for choice in dialog.findChildren(QRadioButton):
            if choice.text() == name:
                choice.setChecked(True)
                before()
                accept(dialog)
                return True
        return False

    return answer


def choose_file(path: Path) -> Callable[[QDialog], bool]:
    """Answers a file dialog."""

    def answer(dialog: QDialog) -> bool:
        if not isinstance(dialog, QFileDialog):
            return False
        (name,) = dialog.findChildren(QLineEdit, "fileNameEdit")
        name.setText(str(path))
        accept(dialog)
        return True

    return answer


def accept(dialog: QDialog) -> None:
    """Press the dialog's Ok."""
    for box in dialog.findChildren(QDialogButtonBox):
        for button in box.buttons():
            if box.buttonRole(button) == QDialogButtonBox.ButtonRole.AcceptRole:
                button.click()
                return
    dialog.accept()


def _place_of(widget: QWidget) -> tuple[int, int, int, int]:
    corner = widget.mapToGlobal(QPoint(0, 0))
    return corner.x(), corner.y(), corner.x() + widget.width(), corner.y() + widget.height()
