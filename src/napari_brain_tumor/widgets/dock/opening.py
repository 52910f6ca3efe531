"""The menu of the Open button: dialogs for input that cannot simply be dropped, and recent cases."""

from collections.abc import Callable, Sequence
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

from napari.layers import Layer
from qtpy.QtCore import QObject, Signal  # type: ignore[attr-defined,unused-ignore]
from qtpy.QtWidgets import QDialog, QMenu, QWidget

from napari_brain_tumor.io.case_folders import case_folders
from napari_brain_tumor.widgets.batch import BatchWidget
from napari_brain_tumor.widgets.batch_state import BatchSettings
from napari_brain_tumor.widgets.dock.jobs import RunningJobs
from napari_brain_tumor.widgets.dock.recent_cases import recent_cases
from napari_brain_tumor.widgets.open_case import OpenCaseWidget
from napari_brain_tumor.widgets.parts import column_of
from napari_brain_tumor.widgets.prepare import PrepareWidget
from napari_brain_tumor.widgets.restore import RestoreWidget


class PanelDialog(QDialog):
    """A separate window for a panel; closing it only hides it, and running jobs continue."""

    def __init__(self, panel: QWidget, title: str, parent: QWidget) -> None:
        super().__init__(parent)
        self.panel: Any = panel
        self.setWindowTitle(title)
        column = column_of(self)
        column.addWidget(panel)
        self.resize(panel.sizeHint())

    def bring_up(self) -> None:
        """Show the window in front of all others."""
        self.show()
        self.raise_()
        self.activateWindow()


class Opening(QObject):
    """Opens cases, and asks in a dialog for what their files do not specify.

    Parameters
    ----------
    viewer : napari.Viewer
    settings : callable
        Returns the settings of the Segment tab, for batches.
    parent : QWidget
        Parent of the dialogs.
    """

    case_wanted = Signal(object)
    """A scan of an open case that should be shown."""

    def __init__(self, viewer: Any, jobs: RunningJobs, settings: Callable[[], BatchSettings], parent: QWidget) -> None:
        super().__init__(parent)
        self._viewer, self._jobs, self._settings = viewer, jobs, settings
        self._raw_layers: list[Layer] = []
        self._dialogs: dict[str, PanelDialog] = {}

    @property
    def _parent(self) -> QWidget:
        # Not stored: a reference kept elsewhere would stop the window from being freed when napari closes it.
        parent = self.parent()
        assert isinstance(parent, QWidget)
        return parent

    def fill(self, menu: QMenu) -> None:
        """Fill a menu with everything that can be opened."""
        menu.clear()
        menu.setToolTipsVisible(True)
        self._add(
            menu,
            "Case folder…",
            "One file a sequence, slices, or DICOM.",
            lambda: self.details().panel.folder_button.click(),
        )
        self._add(
            menu, "File…", "A sequence, a 4D file, or a segmentation.", lambda: self.details().panel.file_button.click()
        )
        self._add(
            menu,
            "Files that need details…",
            "For files that do not say which scan is which, how large a voxel is, or what labels mean.",
            lambda: self.details().bring_up(),
        )
        self._add(
            menu,
            "Raw examination…",
            "Choose series, register them on one grid, extract the brain.",
            lambda: self._raw().bring_up(),
        )
        self._add(
            menu,
            "Many cases…",
            "Segment every case of a folder, with the settings of the Segment tab.",
            lambda: self.many().bring_up(),
        )
        recent = recent_cases()
        if recent:
            menu.addSection("Recent")
        for path in recent:
            self._add(menu, path.name, str(path), partial(self.open, path))
        menu.addSeparator()
        tip = "From earlier sessions, and from layers that were removed."
        self._add(menu, "Unsaved labels…", tip, lambda: self._unsaved().bring_up())

    def _add(self, menu: QMenu, text: str, tip: str, act: Callable[[], Any]) -> None:
        action = menu.addAction(text)
        if action is not None:
            action.setToolTip(tip)
            action.triggered.connect(lambda _=False: act())

    def open(self, path: Path) -> None:
        """Open a file or folder as layers."""
        self.details().panel.open_path(str(path))

    def details(self) -> PanelDialog:
        """Return the dialog that asks for missing details; it opens by itself when a path could not be opened."""
        if "details" not in self._dialogs:
            panel = OpenCaseWidget(self._viewer)
            dialog = self._dialogs["details"] = PanelDialog(panel, "Open", self._parent)
            self._jobs.follow("Opening", panel.runner)
            panel.runner.failed.connect(lambda _: self._on_not_opened(dialog, Path(panel.path_edit.text())))
            panel.runner.finished.connect(lambda _: dialog.hide())
        return self._dialogs["details"]

    def _on_not_opened(self, dialog: PanelDialog, path: Path) -> None:
        """Ask for the missing details; a folder of several cases goes to the batch window."""
        cases = list(islice(case_folders(path), 2)) if path.is_dir() else []
        if len(cases) < 2:
            dialog.bring_up()
            return
        self.many().panel.show_folder(str(path))
        self.many().bring_up()

    def register(self, folder: Path, raw: Sequence[Layer]) -> None:
        """Register the series of an examination and open the resulting study instead; the dialog shows what was done.

        Parameters
        ----------
        folder : Path
        raw : sequence of Layer
            The layers of the opened series.
        """
        self._raw_layers = list(raw)
        self._raw().bring_up()
        self._raw().panel.prepare_examination(str(folder))

    def _on_prepared(self, added: Sequence[Layer]) -> None:
        raw, self._raw_layers = self._raw_layers, []
        for layer in raw:
            if layer in self._viewer.layers:
                self._viewer.layers.remove(layer)
        if added:
            self.case_wanted.emit(added[0])

    def _raw(self) -> PanelDialog:
        if "raw" not in self._dialogs:
            panel = PrepareWidget(self._viewer)
            panel.prepared.connect(self._on_prepared)
            for ended in (panel.runner.failed, panel.runner.cancelled):
                ended.connect(lambda *_: self._raw_layers.clear())
            self._dialogs["raw"] = PanelDialog(panel, "Raw examination", self._parent)
            self._jobs.follow("Preparing the examination", panel.runner)
        return self._dialogs["raw"]

    def many(self) -> PanelDialog:
        """Return the dialog that segments every case of a folder."""
        if "many" not in self._dialogs:
            panel = BatchWidget(self._viewer, self._settings)
            self._dialogs["many"] = PanelDialog(panel, "Many cases", self._parent)
            self._jobs.follow("Segmenting many cases", panel.runner)
            panel.case_wanted.connect(self.case_wanted)
        return self._dialogs["many"]

    def _unsaved(self) -> PanelDialog:
        if "restore" not in self._dialogs:
            self._dialogs["restore"] = PanelDialog(RestoreWidget(self._viewer), "Unsaved labels", self._parent)
        return self._dialogs["restore"]
