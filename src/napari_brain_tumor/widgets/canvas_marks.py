"""What is drawn over a canvas: crosshair, orientation letters, name of the plane, ring."""

from collections.abc import Callable
from typing import Any, Final

from qtpy.QtCore import QPointF, QRectF, Qt
from qtpy.QtGui import QColor, QPainter, QPaintEvent, QPen
from qtpy.QtWidgets import QWidget

from napari_brain_tumor.widgets.navigation import Letters, Marks

_MARGIN: Final = 4
_CROSSHAIR: Final = QColor(0, 230, 118, 190)
_RING: Final = QColor(255, 255, 255)
_LETTER: Final = QColor(255, 236, 130)
_OUTLINE: Final = QColor(0, 0, 0, 220)


class CanvasMarks(QWidget):
    """Lines and text over a canvas, transparent to the mouse.

    Parameters
    ----------
    canvas : QWidget
        The canvas that it covers.
    marks : callable
        Called on each repaint to get what is drawn; nothing is drawn if it returns None.
    """

    def __init__(self, canvas: QWidget, marks: Callable[[], Marks | None]) -> None:
        super().__init__(canvas)
        self._marks = marks
        self.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self.setAttribute(Qt.WidgetAttribute.WA_NoSystemBackground)
        self.setStyleSheet("background: transparent")
        self.resize(canvas.size())
        self.show()

    def paintEvent(self, event: QPaintEvent | None) -> None:
        """Draw the marks."""
        marks = self._marks()
        if marks is None:
            return
        painter = QPainter(self)
        painter.setPen(QPen(_CROSSHAIR, 1))
        for start, end in marks.lines:
            painter.drawLine(QPointF(*start), QPointF(*end))
        painter.setRenderHint(QPainter.RenderHint.Antialiasing, bool(marks.circles))
        for pen in (QPen(_OUTLINE, 4), QPen(_RING, 2)) if marks.circles else ():
            painter.setPen(pen)
            for x, y, radius in marks.circles:
                painter.drawEllipse(QPointF(x, y), radius, radius)
        self._draw_words(painter, marks)
        painter.end()

    def _draw_words(self, painter: QPainter, marks: Marks) -> None:
        write = _writer(painter, QRectF(self.rect()).adjusted(_MARGIN, _MARGIN, -_MARGIN, -_MARGIN))
        write(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignTop, marks.title)
        if marks.note:
            write(Qt.AlignmentFlag.AlignCenter.value | Qt.TextFlag.TextWordWrap.value, marks.note)
        if marks.letters is not None:
            _write_letters(write, marks.letters)


def _write_letters(write: Callable[[Any, str], None], letters: Letters) -> None:
    centred, middle = Qt.AlignmentFlag.AlignHCenter, Qt.AlignmentFlag.AlignVCenter
    write(Qt.AlignmentFlag.AlignLeft | middle, letters.left)
    write(Qt.AlignmentFlag.AlignRight | middle, letters.right)
    write(centred | Qt.AlignmentFlag.AlignTop, letters.top)
    write(centred | Qt.AlignmentFlag.AlignBottom, letters.bottom)


def _writer(painter: QPainter, box: QRectF) -> Callable[[Any, str], None]:
    def write(where: Any, text: str) -> None:
        flags = int(getattr(where, "value", where))
        # Outlined, so that it is readable on dark and bright tissue and on a white canvas.
        painter.setPen(_OUTLINE)
        for x, y in ((-1.0, 0.0), (1.0, 0.0), (0.0, -1.0), (0.0, 1.0), (1.0, 1.0)):
            painter.drawText(box.translated(x, y), flags, text)
        painter.setPen(_LETTER)
        painter.drawText(box, flags, text)

    return write
