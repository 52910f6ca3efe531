"""Start, cancel and progress controls, the same in every panel."""

from qtpy.QtWidgets import QHBoxLayout, QPushButton, QWidget

from napari_brain_tumor.progress import Progress
from napari_brain_tumor.widgets.parts import column_of, progress_bar, wrapped


class RunControls(QWidget):
    """A start button, a cancel button, a progress bar and a status text.

    Parameters
    ----------
    tip : str
        Tooltip of the bar.
    between : QWidget, optional
        Widget between the buttons and the bar.
    """

    def __init__(
        self, run_button: QPushButton, cancel_button: QPushButton, tip: str, between: QWidget | None = None
    ) -> None:
        super().__init__()
        column = column_of(self)
        self.cancel_button = cancel_button
        row = QHBoxLayout()
        row.addWidget(run_button, 2)
        row.addWidget(cancel_button, 1)
        column.addLayout(row)
        self.bar = progress_bar(tip)
        self.label = wrapped("", "Status")
        for part in (between, self.bar, self.label):
            if part is not None:
                column.addWidget(part)
        self.show_running(False)

    def show_running(self, running: bool, text: str | None = None) -> None:
        """Show or hide Cancel and the bar, which waits for the first progress; optionally set the status text."""
        if running and self.bar.isHidden():
            self.bar.setRange(0, 0)
        self.bar.setVisible(running)
        self.cancel_button.setEnabled(running)
        self.cancel_button.setVisible(running)
        if text is not None:
            self.label.setText(text)

    def show_progress(self, progress: Progress, text: str = "") -> None:
        """Show the current progress; an empty text keeps the status."""
        self.bar.setRange(0, 1000)
        self.bar.setValue(round(1000 * progress.fraction))
        if text:
            self.label.setText(text)
