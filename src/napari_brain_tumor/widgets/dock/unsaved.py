"""Labels that are in no file, and the question before napari closes with them."""

from collections.abc import Callable, Collection, Iterable
from typing import Any, Final

from napari.layers import Labels, Layer
from qtpy.QtCore import QObject, QTimer, Signal  # type: ignore[attr-defined,unused-ignore]
from qtpy.QtWidgets import QWidget

from napari_brain_tumor.autosave.sessions import KEEP_DAYS
from napari_brain_tumor.errors import RecordError
from napari_brain_tumor.plugin.layers import CODES_KEY, KEY, SegmentationTag
from napari_brain_tumor.widgets.closing import CloseGuard
from napari_brain_tumor.widgets.label_edits import edit_events
from napari_brain_tumor.widgets.layer_list_watch import single_shot
from napari_brain_tumor.widgets.links import Links
from napari_brain_tumor.widgets.panel_lines import label_file_of
from napari_brain_tumor.widgets.questions import Ask, ask
from napari_brain_tumor.widgets.segment_state import is_result

_LOOK_MS: Final = 800
"""After the last edit: a look hashes whole volumes."""
_ANSWERS: Final = {"save": "Save…", "close": "Close without saving", "stay": "Cancel"}


def unsaved_labels(all_layers: Iterable[Layer], without: Collection[Layer] = ()) -> list[Labels]:
    """Results among the layers that hold labels which are in no file.

    Parameters
    ----------
    without : collection of Layer
        Layers that are somebody else's care, such as a case of a data set under review.
    """
    return [layer for layer in all_layers if _is_ours(layer) and layer not in without and _is_unsaved(layer)]


def _is_ours(layer: Layer) -> bool:
    return (
        is_result(layer)
        and CODES_KEY not in layer.metadata
        and isinstance(layer.metadata.get(KEY), SegmentationTag)
        and layer.metadata[KEY].provenance.get("task") != "brain"
    )


def _is_unsaved(layer: Labels) -> bool:
    if not layer.data.any():
        return False
    try:
        label_file_of(layer)
    except RecordError:
        return True
    return False


class UnsavedLabels(QObject):
    """Follows which labels of a viewer are not saved.

    Parameters
    ----------
    viewer : napari.Viewer
    without : callable
        Gives layers that are somebody else's care.
    """

    changed = Signal()

    def __init__(self, viewer: Any, without: Callable[[], Collection[Layer]], parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._viewer, self._without = viewer, without
        self.layers: list[Labels] = []
        self.links = Links()
        self._timer = single_shot(self, self.look, _LOOK_MS)
        self.follow()

    def follow(self) -> None:
        """Follow the edits of the layers that are there now."""
        self.links.cut()
        for layer in self._viewer.layers:
            if _is_ours(layer):
                for event in edit_events(layer):
                    self.links.connect(event, self.look_soon)
        self.look_soon()

    def look_soon(self, *_: Any) -> None:
        """Look once nothing has happened for a moment."""
        self._timer.start()

    def look(self) -> None:
        """Look now."""
        before, self.layers = self.layers, unsaved_labels(self._viewer.layers, self._without())
        if self.layers != before:
            self.changed.emit()


class UnsavedGuard(CloseGuard):
    """Asks before a window closes with unsaved labels.

    Parameters
    ----------
    save : callable
        Lets the user save a layer.
    """

    def __init__(
        self, window: QWidget, unsaved: UnsavedLabels, save: Callable[[Labels], None], parent: QObject
    ) -> None:
        super().__init__(window, lambda closing: not closing.isVisible() or self.may_close(closing), parent)
        self._unsaved, self._save = unsaved, save
        self.question: Ask = ask

    def may_close(self, window: QWidget) -> bool:
        """Whether nothing is unsaved, or the user wants to close all the same."""
        self._unsaved.look()
        labels = self._unsaved.layers
        if not labels:
            return True
        names = ", ".join(layer.name for layer in labels)
        question = (
            f"Not saved: {names}.\n\nA copy is kept for {KEEP_DAYS} days and can be restored at the next start, unless "
            "that was switched off in Preferences."
        )
        answer = self.question(window, question, _ANSWERS)
        if answer == "save":
            QTimer.singleShot(0, lambda: self._save(labels[0]))
        return answer == "close"
