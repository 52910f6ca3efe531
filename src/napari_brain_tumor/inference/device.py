"""Which devices can compute here, and in which precision."""

import platform
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import torch

from napari_brain_tumor.errors import DeviceError

__all__ = ["DeviceInfo", "available_devices", "fast_dtype", "resolve_device"]


@dataclass(frozen=True, slots=True)
class DeviceInfo:
    """A device that is present: its name for `segment(device=...)`, a label for people, and why it would be chosen."""

    name: str
    label: str
    reason: str


def available_devices() -> list[DeviceInfo]:
    """The devices of this machine, the one that `"auto"` takes first."""
    found: list[DeviceInfo] = []
    for index in range(torch.cuda.device_count() if torch.cuda.is_available() else 0):
        properties = torch.cuda.get_device_properties(index)
        free, total = torch.cuda.mem_get_info(index)
        label = f"{properties.name} (cuda:{index})"
        found.append(DeviceInfo(f"cuda:{index}", label, f"{free / 2**30:.0f} of {total / 2**30:.0f} GiB free"))
    if torch.backends.mps.is_available():
        found.append(DeviceInfo("mps", "Apple GPU (mps)", "Metal is available"))
    cores = torch.get_num_threads()
    precision = "bfloat16 in hardware" if fast_dtype(torch.device("cpu")) == torch.bfloat16 else "float32"
    missing = "" if found else "; no CUDA or Apple GPU is present"
    found.append(DeviceInfo("cpu", "Processor (cpu)", f"{cores} threads, {precision}{missing}"))
    return found


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
    wanted = "cuda:0" if name == "cuda" else name
    if wanted not in present:
        msg = f"The device {name!r} is not present. This machine has {', '.join(present)}; 'auto' takes {present[0]}."
        raise DeviceError(msg)
    return torch.device(wanted)


@lru_cache(maxsize=8)
def fast_dtype(device: torch.device) -> torch.dtype:
    """The quickest precision that the hardware computes itself: bfloat16, float16 on older GPUs, or float32."""
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float16
    if device.type == "mps":
        return torch.float16
    return torch.bfloat16 if _cpu_has_bfloat16() else torch.float32


_BFLOAT16_FLAGS: Final = {"avx512_bf16", "amx_bf16", "bf16"}


def _cpu_has_bfloat16() -> bool:
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
