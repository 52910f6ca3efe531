"""What the panels choose at first, as the user prefers it; whatever is not to be had is left as it was."""

from contextlib import suppress
from typing import Any

from qtpy.QtWidgets import QComboBox

from napari_brain_tumor.plugin.preferences import read_preferences
from napari_brain_tumor.widgets.worker import JobRunner


def prefer_model(box: QComboBox) -> None:
    """Choose the preferred model as if it was picked by hand; none is preferred where its name is empty."""
    prefer(box, read_preferences().segment.model)


def prefer_device(box: QComboBox, devices: JobRunner) -> None:
    """Choose the preferred device as soon as the box holds the ones that are present."""

    def choose(_: Any) -> None:
        with suppress(RuntimeError):  # the panel is gone
            prefer(box, read_preferences().segment.device)

    devices.finished.connect(choose)


def prefer(box: QComboBox, value: str) -> None:
    """Choose the item whose data, or the name of whose data, is the value."""
    at = next((at for at in range(box.count()) if value and _names(box.itemData(at), value)), None)
    if at is None:
        return
    if at == box.currentIndex():
        box.currentIndexChanged.emit(at)  # it is a choice all the same
    box.setCurrentIndex(at)


def _names(data: Any, value: str) -> bool:
    return bool(getattr(data, "name", data) == value)
