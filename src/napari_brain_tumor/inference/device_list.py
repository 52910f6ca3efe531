"""The devices of this machine as plain text, so that whoever asks the worker process need not load torch."""

from importlib import import_module

from napari_brain_tumor.inference.memory import DeviceMemory


def list_devices() -> list[tuple[str, str, str]]:
    """Name, label and reason of each device that is present, the one that `"auto"` takes first.

    For the worker process: the answer of `device.available_devices` could not be received without torch.
    """
    device = import_module("napari_brain_tumor.inference.device")  # loads torch, for seconds
    return [(info.name, info.label, info.reason) for info in device.available_devices()]


def list_memory() -> list[DeviceMemory]:
    """The devices in the same order, with the bytes of memory that are free on each; None where that is not told.

    For the worker process, like `list_devices`.
    """
    device = import_module("napari_brain_tumor.inference.device")
    return [DeviceMemory(info.name, info.label, device.free_bytes(info.name)) for info in device.available_devices()]
