"""How much memory is free; does not load torch."""

import ctypes
import re
import sys
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

__all__ = ["DeviceMemory", "free_host_bytes", "return_freed_memory"]


class DeviceMemory(NamedTuple):
    """A device: its name for `segment(device=...)`, a label for people, and the bytes that are free on it if known."""

    name: str
    label: str
    free_bytes: int | None = None


def free_host_bytes(meminfo: Path = Path("/proc/meminfo")) -> int | None:
    """Memory of this machine that programs can still have, in bytes; None where the system does not tell."""
    if not meminfo.is_file():
        return None
    match = re.search(r"MemAvailable:\s+(\d+) kB", meminfo.read_text(encoding="ascii"))
    return int(match[1]) * 1024 if match else None


def return_freed_memory() -> None:
    """Give the system back what this process has freed: the C library of Linux keeps it, in pieces between others."""
    if sys.platform == "linux":
        with suppress(OSError, AttributeError):  # another C library
            ctypes.CDLL(None).malloc_trim(0)
