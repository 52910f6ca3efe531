"""The available compute devices and their numerical precisions."""

import platform
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import torch

from napari_brain_tumor.errors import DeviceError
from napari_brain_tumor.inference.memory import free_host_bytes


@dataclass(frozen=True, slots=True)
class DeviceInfo:
    """An available device: its name for `segment(device=...)`, a display label, and a reason to choose it."""

    name: str
    label: str
    reason: str


def available_devices() -> list[DeviceInfo]:
    """List the devices of this machine, beginning with the one that `"auto"` selects."""
    devices: list[DeviceInfo] = []
    for index in range(torch.cuda.device_count() if torch.cuda.is_available() else 0):
        properties = torch.cuda.get_device_properties(index)
        free, total = torch.cuda.mem_get_info(index)
        label = f"{properties.name} (cuda:{index})"
        devices.append(DeviceInfo(f"cuda:{index}", label, f"{free / 2**30:.0f} of {total / 2**30:.0f} GiB free"))
    if torch.backends.mps.is_available():
        devices.append(DeviceInfo("mps", "Apple GPU (mps)", "Metal is available"))
    cores = torch.get_num_threads()
    precision = "float32 and bfloat16" if cpu_has_bfloat16() else "float32"
    missing = "" if devices else "; no CUDA or Apple GPU is present"
    devices.append(DeviceInfo("cpu", "Processor (cpu)", f"{cores} threads, {precision}{missing}"))
    return devices


def resolve_device(name: str) -> torch.device:
    """Return the torch device of a given name: `"auto"`, `"cpu"`, `"cuda"`, `"cuda:1"`, `"mps"`.

    Raises
    ------
    DeviceError
        If the device is not available.
    """
    present = [device.name for device in available_devices()]
    if name == "auto":
        return torch.device(present[0])
    full_name = "cuda:0" if name == "cuda" else name
    if full_name not in present:
        msg = f"The device {name!r} is not present. This machine has {', '.join(present)}; 'auto' uses {present[0]}."
        raise DeviceError(msg)
    return torch.device(full_name)


def free_bytes(name: str) -> int | None:
    """Return the free memory of a device in bytes; None if the system does not report it."""
    if name.startswith("cuda"):
        return int(torch.cuda.mem_get_info(torch.device(name))[0])
    return free_host_bytes() if name == "cpu" else None


def fast_dtype(device: torch.device) -> torch.dtype:
    """Return the fastest precision that needs no approval by a model's card: float16 on GPUs, float32 on CPUs."""
    return torch.float32 if device.type == "cpu" else torch.float16


def check_bfloat16(device: torch.device) -> None:
    """Raise `DeviceError` if the hardware does not support bfloat16 natively; emulation is slower than float32."""
    has = cpu_has_bfloat16() if device.type == "cpu" else device.type == "cuda" and torch.cuda.is_bf16_supported(False)
    if not has:
        raise DeviceError(f"The device {device} does not support bfloat16 in hardware. Leave the precision at 'auto'.")


_BFLOAT16_FLAGS: Final = {"avx512_bf16", "amx_bf16", "bf16"}


@lru_cache(maxsize=1)
def cpu_has_bfloat16() -> bool:
    """Whether this processor supports bfloat16 natively."""
    capabilities = getattr(torch.cpu, "get_capabilities", None)
    if capabilities is not None:
        reported = {key for key, present in capabilities().items() if present is True}
        return bool(reported & _BFLOAT16_FLAGS)
    if platform.system() != "Linux":
        return False
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            words = set(file.read().split())
    except OSError:
        return False
    return bool(words & _BFLOAT16_FLAGS)
