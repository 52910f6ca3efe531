"""The first line of the Data tab: the open data set, with buttons to open another or create one."""

from pathlib import Path

from qtpy.QtCore import QObject, Signal  # type: ignore[attr-defined,unused-ignore]
from qtpy.QtWidgets import QFileDialog, QHBoxLayout, QWidget

from napari_brain_tumor.widgets import curate_state as state
from napari_brain_tumor.widgets.parts import add_to, button, combo, offer

_TIP = "The data set; recently opened ones are listed."


class DatasetChooser(QObject):
    """Shows the open data set and requests others; opens none itself.

    Parameters
    ----------
    panel : QWidget
        The panel that `row` is added to.
    """

    open_requested = Signal(object)
    """The folder of a data set."""
    create_requested = Signal(object)
    """The folder of a data set to be created."""

    def __init__(self, panel: QWidget) -> None:
        super().__init__(panel)
        self._panel = panel
        self.row = row = QHBoxLayout()
        self._folder: Path | None = None
        self.box = combo(_TIP, "Data set")
        self.open_button = button("&Open…", "Open the folder of a curated data set.")
        self.new_button = button("Ne&w…", "Create an empty data set in a new or empty folder.")
        row.addWidget(self.box, 1)
        add_to(row, self.open_button, self.new_button)
        self.box.activated.connect(self._on_recent_chosen)
        self.open_button.clicked.connect(self._on_open_requested)
        self.new_button.clicked.connect(self._on_new_requested)
        self.show_folder(None)

    def show_folder(self, folder: Path | None) -> None:
        """Show the open folder, or None, among the recently opened ones."""
        self._folder = folder.resolve() if folder is not None else None
        nothing = [("Choose a data set", None)] if self._folder is None else []
        offer(self.box, [*nothing, *((recent.name, recent, str(recent)) for recent in state.recent_datasets())])
        self.box.setToolTip(str(self._folder or _TIP))

    def _on_recent_chosen(self) -> None:
        folder = self.box.currentData()
        if folder is not None and folder != self._folder:
            self.open_requested.emit(folder)
        self.show_folder(self._folder)

    def _on_open_requested(self) -> None:
        folder = QFileDialog.getExistingDirectory(self._panel, "Folder of a curated data set")
        if folder:
            self.open_requested.emit(Path(folder))

    def _on_new_requested(self) -> None:
        start = str(Path.home() / "brain-tumor-data")
        folder, _ = QFileDialog.getSaveFileName(
            self._panel, "New folder for the data set", start, "Folder", options=QFileDialog.Option.DontConfirmOverwrite
        )
        if folder:
            self.create_requested.emit(Path(folder))
