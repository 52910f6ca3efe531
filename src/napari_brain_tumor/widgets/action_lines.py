"""The box "As code" of a panel: its actions as Python and shell commands, to be copied."""

from collections.abc import Callable

from qtpy.QtCore import Qt
from qtpy.QtGui import QFontDatabase, QShowEvent
from qtpy.QtWidgets import QLabel, QPlainTextEdit, QSizePolicy

from napari_brain_tumor.errors import BrainTumorError
from napari_brain_tumor.requests.lines import CommandLines
from napari_brain_tumor.requests.quoting import SHELLS, Shell, usual_shell
from napari_brain_tumor.widgets.layer_list_watch import single_shot
from napari_brain_tumor.widgets.parts import (
    Fold,
    add_to,
    button,
    combo,
    copy_text,
    described,
    offer,
    row_of,
    show_text,
    wrapped,
)

_MOST_LINES = 14
_REFRESH_MS = 150


class ActionLines(Fold):
    """A foldable box for users who want to script what the panel does.

    Parameters
    ----------
    make : callable, optional
        Returns the current code; called only while the box is open. It may raise a `BrainTumorError`, whose message is
        then shown instead.
    """

    def __init__(self, make: Callable[[], CommandLines] | None = None) -> None:
        super().__init__("As code", "Show what this panel does as Python code and as a shell command, ready to copy.")
        self._make = make
        self.lines: CommandLines | None = None
        self._build()
        self._timer = single_shot(self, self._show_lines)
        self.toggle.toggled.connect(self._on_toggled)
        self.shell_box.currentIndexChanged.connect(self._show_shell)
        self.python_button.clicked.connect(lambda: self._copy(self.python_edit, "Python lines"))
        self.shell_button.clicked.connect(lambda: self._copy(self.shell_edit, "shell command"))

    def _build(self) -> None:
        self.python_edit = _text(
            "Python lines", "What this panel does, in Python. Select, or copy all with the button."
        )
        self.shell_edit = _text("Shell command", "What this panel does, in the shell. Select, or copy with the button.")
        self.python_button = button("Copy Python", "Copy the Python lines to the clipboard.")
        self.shell_button = button("Copy command", "Copy the shell command to the clipboard.")
        self.shell_box = combo("The shell whose quoting rules the command follows.", "Shell")
        offer(self.shell_box, [(title, kind) for kind, title in SHELLS.items()], usual_shell())
        self.shell_edit.setLineWrapMode(QPlainTextEdit.LineWrapMode.WidgetWidth)
        self.note_label = wrapped("", "What to know before using the lines")
        add_to(self.column, row_of(QLabel("Python"), self.python_button), self.python_edit)
        add_to(self.column, row_of(self.shell_box, self.shell_button), self.shell_edit, self.note_label)

    def show_action(self, make: Callable[[], CommandLines]) -> None:
        """Show the code of another action from now on."""
        self._make = make
        self.refresh()

    def refresh(self, *_: object) -> None:
        """Update the code if the box is open; several calls in quick succession cause one update."""
        if self.toggle.isChecked():
            self._timer.start(_REFRESH_MS)

    def showEvent(self, event: QShowEvent | None) -> None:
        """Update the code, as much may have changed while the panel was hidden."""
        super().showEvent(event)
        self.refresh()

    def _on_toggled(self, is_open: bool) -> None:
        if is_open:
            self._show_lines()

    def _show_lines(self) -> None:
        self.lines, message = None, "Nothing has been done yet."
        try:
            if self._make is not None:
                self.lines, message = self._make(), ""
        except BrainTumorError as error:
            message = str(error)
        lines = self.lines
        show_text(self.note_label, message if lines is None else "\n".join(lines.notes))
        _fill(self.python_edit, lines.python if lines is not None else "")
        self.python_button.setEnabled(lines is not None)
        self._show_shell()

    def _show_shell(self) -> None:
        kind: Shell = self.shell_box.currentData()
        _fill(self.shell_edit, self.lines.shell(kind) if self.lines is not None else "")
        self.shell_button.setEnabled(bool(self.shell_edit.toPlainText()))

    def _copy(self, edit: QPlainTextEdit, what: str) -> None:
        copy_text(edit.toPlainText())
        show_text(self.note_label, f"Copied the {what}.")


def _text(name: str, tip: str) -> QPlainTextEdit:
    edit = described(QPlainTextEdit(), tip, name)
    edit.setReadOnly(True)
    edit.setTabChangesFocus(True)  # Tab leaves the field, for keyboard users
    edit.setTextInteractionFlags(
        Qt.TextInteractionFlag.TextSelectableByMouse | Qt.TextInteractionFlag.TextSelectableByKeyboard
    )
    edit.setLineWrapMode(QPlainTextEdit.LineWrapMode.NoWrap)
    family = QFontDatabase.systemFont(QFontDatabase.SystemFont.FixedFont).family()
    edit.setStyleSheet(
        f'QPlainTextEdit {{ font-family: "{family}", monospace; border: 1px solid gray; }}'
    )  # otherwise it differs from the theme
    edit.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
    return edit


def _fill(edit: QPlainTextEdit, text: str) -> None:
    """Show the text and adapt the height to it, within limits."""
    if edit.toPlainText() != text:
        edit.setPlainText(text)
    columns = max(10, (edit.width() - 24) // max(1, edit.fontMetrics().averageCharWidth()))
    wraps = edit.lineWrapMode() != QPlainTextEdit.LineWrapMode.NoWrap
    rows = sum(1 + (len(row) // columns if wraps else 0) for row in text.splitlines() or [""])
    edit.setFixedHeight((min(rows, _MOST_LINES) + 1) * edit.fontMetrics().lineSpacing() + 16)
