"""Choice of the device: those that the worker process finds, with their free memory."""

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
        Beginning of the tooltip.
    """

    known = Signal(object)
    """The available devices, each with name, label and reason."""
    chosen = Signal()

    def __init__(self, worker: WorkerProcess, parent: QObject | None = None, where: str = "Where to compute.") -> None:
        super().__init__(parent)
        self._worker, self._where = worker, where
        self._asked_memory = False
        self.asked = False
        """Whether the worker process has been asked yet."""
        self.runner = JobRunner(self)
        self._memory_runner = JobRunner(self, finished=self.show_memory)
        self.box = combo(where, "Device")
        self.box.addItem("automatic", "auto")
        self.box.setItemData(0, "Looking for devices.", Qt.ItemDataRole.ToolTipRole)
        self.runner.finished.connect(self.show_devices)
        self.box.currentIndexChanged.connect(self._on_chosen)

    @property
    def device(self) -> str:
        """The selected device."""
        return str(self.box.currentData())

    def begin(self) -> None:
        """Ask for the available devices, on the first call only."""
        if not self.asked:
            self.asked = self._asked_memory = True
            self.runner.finished.connect(self.refresh_memory)
            self.ask()

    def ask(self, target: str = _DEVICES) -> None:
        """Ask the worker process for the available devices; this also loads torch there, so that Run starts at once."""
        self.runner.send(self._worker, target)

    def refresh_memory(self, *_: Any) -> None:
        """Ask for the free memory, if the devices have been asked for."""
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
        """Show the free memory of each device."""
        for at, device in enumerate(devices):
            if device.free_bytes is None:
                continue
            free = f"{device.free_bytes / 2**30:.1f} GiB free"  # first, because the box is narrow
            item = self.box.findData(device.name)
            if item >= 0:
                self.box.setItemText(item, f"{device.name}: {free}, {device.label}")
            if at == 0:
                self.box.setItemText(0, f"auto: {device.name}, {free}")

    def _on_chosen(self) -> None:
        self.box.setToolTip(f"{self._where} {self.box.currentData(Qt.ItemDataRole.ToolTipRole)}")
        self.chosen.emit()
