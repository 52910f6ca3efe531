"""The Export menu: figure, film, surfaces, measurements, current view."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from napari.layers import Labels
from qtpy.QtCore import QObject
from qtpy.QtWidgets import QApplication, QMenu, QWidget

from napari_brain_tumor.inference.worker_process import WorkerProcess
from napari_brain_tumor.plugin import layers
from napari_brain_tumor.plugin.layers import sequence_tag
from napari_brain_tumor.widgets.dock.exports import EXPORTS, ExportKind, export_steps
from napari_brain_tumor.widgets.layout import layout_of
from napari_brain_tumor.widgets.napari_canvas import canvas_view_of
from napari_brain_tumor.widgets.parts import copy_text
from napari_brain_tumor.widgets.questions import ask_target
from napari_brain_tumor.widgets.study_queue import OpenStudy
from napari_brain_tumor.widgets.worker import JobRunner, notify, notify_error, shared_worker

_COPY_PICTURE: Final = "Copy the picture"


class ExportMenu(QObject):
    """Exports what is open for use outside napari.

    Parameters
    ----------
    viewer : napari.Viewer
    case : callable
        Returns the current case and its labels, each None if there is none.
    parent : QWidget
        Parent of the dialogs.
    worker : callable
        Returns the worker process.
    """

    def __init__(
        self,
        viewer: Any,
        case: Callable[[], tuple[OpenStudy | None, Labels | None]],
        parent: QWidget,
        worker: Callable[[], WorkerProcess] = shared_worker,
    ) -> None:
        super().__init__(parent)
        self._viewer, self._case, self._worker = viewer, case, worker
        self.runner = JobRunner(self, finished=self._on_written, failed=notify_error)
        self._copies = False

    def fill(self, menu: QMenu) -> None:
        """Fill a menu with what can be exported now."""
        menu.clear()
        menu.setToolTipsVisible(True)
        study, labels = self._case()
        for kind, export in EXPORTS.items():
            action = menu.addAction(export.title)
            if action is not None:
                action.setToolTip(export.tip)
                action.setEnabled(study is not None and labels is not None)
                action.triggered.connect(lambda _=False, kind=kind: self.ask(kind))
        menu.addSeparator()
        action = menu.addAction(_COPY_PICTURE)
        if action is not None:
            action.setToolTip("What the canvas shows, or all four views, to the clipboard.")
            action.triggered.connect(lambda _=False: self.copy_picture())

    def ask(self, kind: ExportKind) -> None:
        """Ask for a file if one is needed, and write the export."""
        study, _ = self._case()
        export = EXPORTS[kind]
        if not export.suffixes or study is None:
            self.write(kind, None)
            return
        name = "_".join(filter(None, (study.name, export.ending)))
        parent = self.parent()
        assert isinstance(parent, QWidget)
        proposed = f"{name}{export.suffixes[0]}"
        path = ask_target(parent, export.title.rstrip("…"), proposed, export.file_filter, export.suffixes)
        if path is not None:
            self.write(kind, path)

    def write(self, kind: ExportKind, path: Path | None) -> None:
        """Write an export of the case and its labels; `runner` reports progress and outcome."""
        study, labels = self._case()
        if study is None or labels is None:
            return
        scans = study.views
        view, references = layers.view(labels), layers.readable_views(self._viewer.layers)
        shown = next((role for role, layer in study.sequences.items() if layer.visible and sequence_tag(layer)), None)
        worker = self._worker()
        self._copies = path is None
        self.runner.start(lambda stop: export_steps(stop, kind, scans, view, references, path, worker, role=shown))

    def _on_written(self, text: str) -> None:
        if self._copies:
            copy_text(text)
            text = "The lesion numbers are in the clipboard."
        notify(text)

    def copy_picture(self) -> None:
        """Copy the current view to the clipboard."""
        panes, view = layout_of(self._viewer), canvas_view_of(self._viewer)
        shown = panes if panes is not None else view.canvas.native if view is not None else None
        clipboard = QApplication.clipboard()
        if shown is None or clipboard is None:
            return
        clipboard.setPixmap(shown.grab())
        notify("The picture is in the clipboard.")
