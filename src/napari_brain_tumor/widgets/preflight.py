"""The pre-flight table of a panel: what to know before a run, with a button where something can be fixed."""

from collections.abc import Callable, Sequence
from html import escape

from qtpy.QtCore import QSize, Qt, Signal  # type: ignore[attr-defined,unused-ignore]
from qtpy.QtGui import QResizeEvent
from qtpy.QtWidgets import QFrame, QGridLayout, QLabel, QPushButton, QScrollArea, QSizePolicy, QWidget

from napari_brain_tumor.inference.device_list import list_memory
from napari_brain_tumor.inference.memory import DeviceMemory, free_host_bytes
from napari_brain_tumor.inference.worker_process import WorkerProcess
from napari_brain_tumor.preflight.rows import Fix, Row, worst
from napari_brain_tumor.preprocessing.traits import Traits
from napari_brain_tumor.widgets.layer_list_watch import single_shot
from napari_brain_tumor.widgets.parts import FoldToggle, add_to, button, column_of, wrapped
from napari_brain_tumor.widgets.preflight_state import ICONS, Answer, Question, answer, header_text, summary
from napari_brain_tumor.widgets.worker import JobRunner

_REFRESH_MS = 150
_MOST_LINES = 12
_LEAST_LINES = 4
_MEMORY_TARGET = f"{list_memory.__module__}:{list_memory.__name__}"
_TIPS = {
    "resample": "Add copies of these scans on one grid; the existing layers stay as they are.",
    "roles": "Go to the boxes that say which layer is which scan.",
    "model": "Choose that model instead.",
    "device": "Compute there instead.",
    "brain": "Find the brain and add its outline as a labels layer; the scans stay as they are.",
}


class _Rows(QWidget):
    def minimumSizeHint(self) -> QSize:
        """Return no minimum; that of text that may wrap anywhere would be its height in the narrowest column."""
        return QSize(0, 0)


class _Body(QScrollArea):
    """The rows, as high as needed up to a limit, as the area above the tabs may not increase the window's height."""

    def __init__(self) -> None:
        super().__init__()
        self.setWidgetResizable(True)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Maximum)
        content = _Rows()
        self.rows = QGridLayout(content)
        self.rows.setContentsMargins(2, 0, 0, 0)
        self.rows.setHorizontalSpacing(6)
        self.rows.setVerticalSpacing(4)
        self.rows.setColumnStretch(1, 1)
        self.setWidget(content)

    def sizeHint(self) -> QSize:
        """Return the size of all rows at this width, or of as many lines as there is room for."""
        width = self.maximumViewportSize().width()
        height = (
            self.rows.totalHeightForWidth(width) if self.rows.hasHeightForWidth() else self.rows.sizeHint().height()
        )
        return QSize(super().sizeHint().width(), min(height, self._line() * _MOST_LINES))

    def minimumSizeHint(self) -> QSize:
        """Return the height of a few lines, however many rows there are."""
        return QSize(0, min(self.sizeHint().height(), self._line() * _LEAST_LINES))

    def resizeEvent(self, event: QResizeEvent | None) -> None:
        """Update the size when the width changes, as the text wraps differently."""
        super().resizeEvent(event)
        if event is not None and event.size().width() != event.oldSize().width():
            self.updateGeometry()

    def _line(self) -> int:
        return self.fontMetrics().lineSpacing()


class PreflightTable(QWidget):
    """One line that opens into a table; it is computed in a thread and never blocks the user.

    Parameters
    ----------
    ask : callable
        Gathers what the table depends on; called in napari's thread with the devices known so far.
    worker : WorkerProcess
        Is asked for the free GPU memory.
    """

    answered = Signal(object)
    """The new `Answer`."""
    fix_requested = Signal(object)
    """A `Fix` whose button was pressed."""

    def __init__(self, ask: Callable[[Sequence[DeviceMemory]], Question], worker: WorkerProcess) -> None:
        super().__init__()
        self._ask = ask
        self._worker = worker
        self._devices: tuple[DeviceMemory, ...] = ()
        self._by_hand = False
        self.answer: Answer | None = None
        self.runner = JobRunner(self, finished=self._on_answered, failed=self._on_failed)
        self.memory_runner = JobRunner(self, finished=self._on_memory_known)
        self._build()
        self._timer = single_shot(self, self._check)
        self.toggle.toggled.connect(self.body.setVisible)
        self.toggle.clicked.connect(self._on_opened_by_hand)

    def _build(self) -> None:
        column = column_of(self, spacing=4)
        tip = "What to know before running. Alt+K or a click opens and closes the table."
        self.toggle = FoldToggle("Chec&ks", tip, "What to know before running")
        self.toggle.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.toggle.setMinimumWidth(120)
        self.body = _Body()
        self._rows = self.body.rows
        add_to(column, self.toggle, self.body)
        self.body.hide()

    def texts(self) -> dict[str, tuple[str, str]]:
        """Verdict and text of each displayed row, by question."""
        rows = self.answer.rows if self.answer is not None else ()
        return {row.question: (row.verdict, row.words) for row in rows}

    def known_traits(self) -> Traits | None:
        """Return the traits of the currently chosen scans, if they have been examined already."""
        if self.answer is None or not self.answer.question.same_scans(self._ask(self._devices)):
            return None
        return self.answer.traits

    def current_answer(self) -> Answer | None:
        """Return the answer for the current choices; None while it is being computed."""
        if self.answer is None or not self.answer.answers(self._ask(self._devices)):
            return None
        return self.answer

    # Asking ---------------------------------------------------------------------------------------------------------

    def refresh(self, *_: object) -> None:
        """Update the table soon; several calls in quick succession cause one update."""
        self._timer.start(_REFRESH_MS)

    def show_devices(self, devices: Sequence[tuple[str, str, str]]) -> None:
        """Set the devices (name, label, reason), with the one that `"auto"` uses first."""
        self._devices = tuple(DeviceMemory(name, label) for name, label, _ in devices)
        if any(memory.name != "cpu" for memory in self._devices):
            self.memory_runner.send(self._worker, _MEMORY_TARGET)
        self.refresh()

    def _on_memory_known(self, devices: Sequence[DeviceMemory]) -> None:
        self._devices = tuple(devices)
        self.refresh()

    def _check(self) -> None:
        cpu = free_host_bytes()
        devices = [memory._replace(free_bytes=cpu) if memory.name == "cpu" else memory for memory in self._devices]
        question, before = self._ask(devices), self.answer
        if not question.views:
            self._on_answered(answer(question))
            return
        self.runner.call(answer, question, before)

    def _on_failed(self, error: Exception) -> None:
        self.answer = None
        self._show_rows((Row("Checks", "warn", f"These scans cannot be checked: {error}"),))

    def _on_answered(self, received: Answer) -> None:
        self.answer = received
        self._show_rows(received.rows)
        self.answered.emit(received)

    # Display --------------------------------------------------------------------------------------------------------

    def _show_rows(self, rows: Sequence[Row]) -> None:
        self.toggle.setText(header_text(rows).replace("check", "chec&k", 1))
        self.toggle.setToolTip(f"{summary(rows)}\n\nAlt+K or a click opens and closes the table.")
        self.toggle.setAccessibleDescription(summary(rows))
        while (item := self._rows.takeAt(0)) is not None:
            widget = item.widget()
            if widget is not None:
                widget.hide()
                widget.deleteLater()
        for row in rows:
            self._add_row(row)
        self.body.updateGeometry()
        if not self._by_hand:
            self.toggle.setChecked(worst(rows) == "fail")

    def _add_row(self, row: Row) -> None:
        at = self._rows.rowCount()
        verdict = QLabel(f"{ICONS[row.verdict]} {row.verdict}")
        verdict.setStyleSheet("font-weight: bold;" if row.verdict != "pass" else "")
        words = wrapped(f"<b>{escape(row.question)}</b> {escape(row.words)}")
        words.setAlignment(Qt.AlignmentFlag.AlignTop | Qt.AlignmentFlag.AlignLeft)
        words.setTextFormat(Qt.TextFormat.RichText)
        words.setAccessibleName(f"{row.question}: {row.verdict}. {row.words}")
        words.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        words.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Minimum)
        self._rows.addWidget(verdict, at, 0, Qt.AlignmentFlag.AlignTop)
        self._rows.addWidget(words, at, 1)
        if row.fix is not None:
            self._rows.addWidget(self._fix_button(row.fix), at + 1, 1, Qt.AlignmentFlag.AlignLeft)

    def _fix_button(self, fix: Fix) -> QPushButton:
        fix_button = button(fix.label, _TIPS[fix.kind])
        fix_button.clicked.connect(lambda: self.fix_requested.emit(fix))
        return fix_button

    def _on_opened_by_hand(self) -> None:
        self._by_hand = True  # from now on it stays as the user set it
