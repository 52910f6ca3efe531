"""Detect whether a labels layer has unsaved changes."""

from typing import Any

import numpy as np
import numpy.typing as npt
from napari.layers import Labels, Layer
from qtpy.QtCore import QObject, Signal  # type: ignore[attr-defined,unused-ignore]

from napari_brain_tumor.widgets.layer_list_watch import single_shot

_LOOK_MS = 400
"""Delay of a check; it compares two arrays, a few milliseconds for a head, so is not run after every stroke."""
_KEEP_MS = 3000
"""Maximum time after an edit until a copy is requested."""


def edit_events(layer: Layer | None) -> list[Any]:
    """Return the events that are emitted on edits of a labels layer, and sometimes without one."""
    if layer is None:
        return []
    # Undo emits only set_data, which is also emitted on every change of slice.
    return [layer.events.paint, layer.events.data, layer.events.set_data]


class LabelEdits(QObject):
    """Watches one labels layer: whether it differs from what is saved, and when a copy is due.

    Parameters
    ----------
    keep_ms : int
        Maximum time after an edit until `copy_due` is emitted.
    """

    changed = Signal()
    """`edited` may have changed."""
    copy_due = Signal()
    """There is unsaved work that has not been copied yet."""

    def __init__(self, parent: QObject | None = None, keep_ms: int = _KEEP_MS) -> None:
        super().__init__(parent)
        self.layer: Labels | None = None
        self.edited = False
        self.saved: npt.NDArray[Any] = np.zeros(0)
        self._kept: npt.NDArray[Any] = self.saved
        self._look_timer = single_shot(self, self.look, _LOOK_MS)
        self._keep_timer = single_shot(self, self._on_keep_time, keep_ms)

    def watch(self, layer: Labels | None, saved: npt.NDArray[Any] | None = None) -> None:
        """Watch this layer instead of the previous one; `saved` defaults to its current labels."""
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
        """Stop watching; also works if the Qt part of this object is already destroyed, as when a panel is closed."""
        for event in edit_events(self.layer):
            event.disconnect(self._on_event)
        self.layer = None

    def mark_saved(self, data: npt.NDArray[Any]) -> None:
        """Record that these labels have been saved; `data` must not be changed afterwards."""
        self.saved = self._kept = data
        self.look()

    def mark_kept(self, data: npt.NDArray[Any]) -> None:
        """Record that these labels have been copied; `data` must not be changed afterwards."""
        self._kept = data

    def look(self) -> None:
        """Compare the layer with the saved and copied labels."""
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
