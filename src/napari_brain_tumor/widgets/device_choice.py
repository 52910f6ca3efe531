"""Where to compute: the devices that the worker process finds, and their free memory."""

from collections.abc import Sequence
from typing import Any, Final

from qtpy.QtCore import QObject, Qt, Signal  # type: ignore[attr-defined,unused-ignore]

from napari_brain_tumor.inference.memory import DeviceMemory
from napari_brain_tumor.inference.worker_process import WorkerProcess
from napari_brain_tumor.widgets.parts import combo
from napari_brain_tumor.widgets.worker import JobRunner

_DEVICES: Final = "napari_brain_tumor.inference.device_list:list_devices"
_MEMORY: Final = "napari_brain_tumor.inference.device_list:list_memory"


class DeviceChoice(QObject):
    """Fills `box` with devices.

    Parameters
    ----------
    where : str
        What the tooltip begins with.
    """

    known = Signal(object)
    """The devices that are present: name, label and reason of each."""
    chosen = Signal()

    def __init__(self, worker: WorkerProcess, parent: QObject | None = None, where: str = "Where to compute.") -> None:
        super().__init__(parent)
        self._worker, self._where = worker, where
        self._asked_memory = False
        self.asked = False
        """Whether the worker process was asked by now."""
        self.runner = JobRunner(self)
        self._memory_runner = JobRunner(self, finished=self.show_memory)
        self.box = combo(where, "Device")
        self.box.addItem("automatic", "auto")
        self.box.setItemData(0, "Looking for devices.", Qt.ItemDataRole.ToolTipRole)
        self.runner.finished.connect(self.show_devices)
        self.box.currentIndexChanged.connect(self._on_chosen)

    @property
    def device(self) -> str:
        """The one that is chosen."""
        return str(self.box.currentData())

    def begin(self) -> None:
        """Ask which devices are present, the first time this is called."""
        if not self.asked:
            self.asked = self._asked_memory = True
            self.runner.finished.connect(self.refresh_memory)
            self.ask()

    def ask(self, target: str = _DEVICES) -> None:
        """Ask the worker process which devices are present; it also loads torch there, so that Run starts at once."""
        self.runner.send(self._worker, target)

    def refresh_memory(self, *_: Any) -> None:
        """Ask how much memory is free, once the devices were asked for."""
        if self._asked_memory:
            self._memory_runner.send(self._worker, _MEMORY)

    def show_devices(self, devices: Sequence[tuple[str, str, str]]) -> None:
        """Offer these devices."""
        if devices:
            self.box.setItemText(0, f"automatic: {devices[0][1]}")
            self.box.setItemData(0, devices[0][2], Qt.ItemDataRole.ToolTipRole)
        for name, label, reason in devices:
            self.box.addItem(label, name)
            self.box.setItemData(self.box.count() - 1, reason, Qt.ItemDataRole.ToolTipRole)
        self.known.emit(devices)
        self._on_chosen()

    def show_memory(self, devices: Sequence[DeviceMemory]) -> None:
        """Show how much memory is free on each."""
        for at, device in enumerate(devices):
            if device.free_bytes is None:
                continue
            free = f"{device.free_bytes / 2**30:.1f} GiB free"  # first, for the box is narrow
            item = self.box.findData(device.name)
            if item >= 0:
                self.box.setItemText(item, f"{device.name}: {free}, {device.label}")
            if at == 0:
                self.box.setItemText(0, f"auto: {device.name}, {free}")

    def _on_chosen(self) -> None:
        self.box.setToolTip(f"{self._where} {self.box.currentData(Qt.ItemDataRole.ToolTipRole)}")
        self.chosen.emit()
