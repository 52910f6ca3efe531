"""Lets whoever keeps journals know that napari's own save dialog saved labels."""

from typing import Any, Final

from psygnal import Signal


class _SavedLabels:
    saved = Signal(object)
    """The array of a layer; it was written and read back."""

    def tell(self, data: Any) -> None:
        """Say that the labels in this array are saved as they are."""
        self.saved.emit(data)


saved_labels: Final = _SavedLabels()
"""The one of this session."""
