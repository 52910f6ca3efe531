"""Which devices can compute here, and in which precision."""

import platform
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import torch

from napari_brain_tumor.errors import DeviceError
from napari_brain_tumor.inference.memory import free_host_bytes


@dataclass(frozen=True, slots=True)
class DeviceInfo:
    """A device that is present: its name for `segment(device=...)`, a label for people, and why it would be chosen."""

    name: str
    label: str
    reason: str


def available_devices() -> list[DeviceInfo]:
    """The devices of this machine, the one that `"auto"` takes first."""
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
    """The torch device of a name: `"auto"`, `"cpu"`, `"cuda"`, `"cuda:1"`, `"mps"`.

    Raises
    ------
    DeviceError
        If it is not present.
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
    """Memory that is free on a device, in bytes; None where the system does not tell."""
    if name.startswith("cuda"):
        return int(torch.cuda.mem_get_info(torch.device(name))[0])
    return free_host_bytes() if name == "cpu" else None


def fast_dtype(device: torch.device) -> torch.dtype:
    """The quickest precision of a device that needs no model's card: float16 on GPUs, float32 on the CPU."""
    return torch.float32 if device.type == "cpu" else torch.float16


def check_bfloat16(device: torch.device) -> None:
    """Raise `DeviceError` if the hardware does not compute in bfloat16 itself, which would be slower than float32."""
    has = cpu_has_bfloat16() if device.type == "cpu" else device.type == "cuda" and torch.cuda.is_bf16_supported(False)
    if not has:
        raise DeviceError(f"The device {device} does not support bfloat16 in hardware. Leave the precision at 'auto'.")


_BFLOAT16_FLAGS: Final = {"avx512_bf16", "amx_bf16", "bf16"}


@lru_cache(maxsize=1)
def cpu_has_bfloat16() -> bool:
    """Whether this processor computes in bfloat16 itself."""
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
