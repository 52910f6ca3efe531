"""Initial choices of the panels, from the user's preferences; what is not available is left unchanged."""

from contextlib import suppress
from typing import Any

from qtpy.QtWidgets import QComboBox

from napari_brain_tumor.plugin.preferences import read_preferences
from napari_brain_tumor.widgets.worker import JobRunner


def prefer_model(box: QComboBox) -> None:
    """Select the preferred model as if the user had picked it; an empty name means no preference."""
    prefer(box, read_preferences().segment.model)


def prefer_device(box: QComboBox, devices: JobRunner) -> None:
    """Select the preferred device as soon as the box contains the available ones."""

    def choose(_: Any) -> None:
        with suppress(RuntimeError):  # the panel has been destroyed
            prefer(box, read_preferences().segment.device)

    devices.finished.connect(choose)


def prefer(box: QComboBox, value: str) -> None:
    """Select the item whose data, or the name of whose data, equals the value."""
    at = next((at for at in range(box.count()) if value and _names(box.itemData(at), value)), None)
    if at is None:
        return
    if at == box.currentIndex():
        box.currentIndexChanged.emit(at)  # it still counts as a choice
    box.setCurrentIndex(at)


def _names(data: Any, value: str) -> bool:
    return bool(getattr(data, "name", data) == value)
