"""The devices of this machine as plain values, so that the process that receives them need not load torch."""

from importlib import import_module

from napari_brain_tumor.inference.memory import DeviceMemory


def list_devices() -> list[tuple[str, str, str]]:
    """Return name, label and reason of each available device, beginning with the one that `"auto"` selects.

    For use in the worker process: receiving the result of `device.available_devices` would require torch.
    """
    device = import_module("napari_brain_tumor.inference.device")  # loads torch, which takes seconds
    return [(info.name, info.label, info.reason) for info in device.available_devices()]


def list_memory() -> list[DeviceMemory]:
    """Return the devices in the same order with their free memory in bytes; None if it is not reported.

    For use in the worker process, like `list_devices`.
    """
    device = import_module("napari_brain_tumor.inference.device")
    return [DeviceMemory(info.name, info.label, device.free_bytes(info.name)) for info in device.available_devices()]
