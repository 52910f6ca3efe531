"""Tells whether a labels layer holds unsaved work."""

from typing import Any

import numpy as np
import numpy.typing as npt
from napari.layers import Labels, Layer
from qtpy.QtCore import QObject, Signal  # type: ignore[attr-defined,unused-ignore]

from napari_brain_tumor.widgets.layer_list_watch import single_shot

_LOOK_MS = 400
"""A look compares two arrays, a few milliseconds for a head, so not at every stroke."""
_KEEP_MS = 3000
"""Within this time after an edit a copy of it is asked for."""


def edit_events(layer: Layer | None) -> list[Any]:
    """Events that tell of edits in a labels layer, and sometimes of less."""
    if layer is None:
        return []
    # Undo tells of itself by set_data alone, which also comes with every change of slice.
    return [layer.events.paint, layer.events.data, layer.events.set_data]


class LabelEdits(QObject):
    """Watches one labels layer: whether it differs from what is saved, and when a copy is due.

    Parameters
    ----------
    keep_ms : int
        How long after an edit `copy_due` comes at the latest.
    """

    changed = Signal()
    """`edited` may have another value now."""
    copy_due = Signal()
    """There is unsaved work that was not kept yet."""

    def __init__(self, parent: QObject | None = None, keep_ms: int = _KEEP_MS) -> None:
        super().__init__(parent)
        self.layer: Labels | None = None
        self.edited = False
        self.saved: npt.NDArray[Any] = np.zeros(0)
        self._kept: npt.NDArray[Any] = self.saved
        self._look_timer = single_shot(self, self.look, _LOOK_MS)
        self._keep_timer = single_shot(self, self._on_keep_time, keep_ms)

    def watch(self, layer: Labels | None, saved: npt.NDArray[Any] | None = None) -> None:
        """Watch this layer from now on, instead of the one before; `saved` is what it holds by now if not given."""
        for event in edit_events(self.layer):
            event.disconnect(self._on_event)
        self._look_timer.stop()
        self._keep_timer.stop()
        self.layer = layer
        if layer is not None:
            self.mark_saved(np.array(layer.data) if saved is None else saved)
        for event in edit_events(self.layer):
            event.connect(self._on_event)
        self.look()

    def let_go(self) -> None:
        """Watch nothing any more; also where Qt's part of this is gone already, as when a panel is closed."""
        for event in edit_events(self.layer):
            event.disconnect(self._on_event)
        self.layer = None

    def mark_saved(self, data: npt.NDArray[Any]) -> None:
        """These labels are saved now; `data` must not be changed afterwards."""
        self.saved = self._kept = data
        self.look()

    def mark_kept(self, data: npt.NDArray[Any]) -> None:
        """A copy of these labels is kept now; `data` must not be changed afterwards."""
        self._kept = data

    def look(self) -> None:
        """Compare the layer with what is saved and kept."""
        edited = self.layer is not None and not np.array_equal(self.layer.data, self.saved)
        if edited and not self._keep_timer.isActive() and not np.array_equal(self.layer.data, self._kept):  # type: ignore[union-attr]
            self._keep_timer.start()
        if edited != self.edited:
            self.edited = edited
            self.changed.emit()

    def _on_event(self, event: Any = None) -> None:
        if not self._look_timer.isActive():
            self._look_timer.start()

    def _on_keep_time(self) -> None:
        self.look()
        if self.layer is not None and not np.array_equal(self.layer.data, self._kept):
            self.copy_due.emit()
