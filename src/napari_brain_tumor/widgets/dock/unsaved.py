"""Labels that have not been saved, and the question about them before napari closes."""

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
"""Delay after the last edit, as each check hashes whole volumes."""
_ANSWERS: Final = {"save": "Save…", "close": "Close without saving", "stay": "Cancel"}


def unsaved_labels(all_layers: Iterable[Layer], without: Collection[Layer] = ()) -> list[Labels]:
    """Return the result layers whose labels have not been saved to a file.

    Parameters
    ----------
    without : collection of Layer
        Layers to leave out because other code looks after them, such as a data set case under review.
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
    """Keeps track of which labels layers of a viewer have unsaved changes.

    Parameters
    ----------
    viewer : napari.Viewer
    without : callable
        Returns layers to leave out because other code looks after them.
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
        """Watch the current layers for edits."""
        self.links.cut()
        for layer in self._viewer.layers:
            if _is_ours(layer):
                for event in edit_events(layer):
                    self.links.connect(event, self.look_soon)
        self.look_soon()

    def look_soon(self, *_: Any) -> None:
        """Check once there have been no changes for a moment."""
        self._timer.start()

    def look(self) -> None:
        """Check now."""
        before, self.layers = self.layers, unsaved_labels(self._viewer.layers, self._without())
        if self.layers != before:
            self.changed.emit()


class UnsavedGuard(CloseGuard):
    """Asks before a window with unsaved labels closes.

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
        """Return whether nothing is unsaved, or the user wants to close anyway."""
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
