"""Notify the keepers of journals when labels were saved through napari's own save dialog."""

from typing import Any, Final

from psygnal import Signal


class _SavedLabels:
    saved = Signal(object)
    """Emitted with a layer's array after it was written and read back."""

    def tell(self, data: Any) -> None:
        """Report that the labels in this array were saved."""
        self.saved.emit(data)


saved_labels: Final = _SavedLabels()
"""The instance of this session."""
