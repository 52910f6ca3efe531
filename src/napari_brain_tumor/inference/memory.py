"""How much memory is free; does not load torch."""

import ctypes
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final, NamedTuple

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
"""Options of mallopt."""
_LARGEST_FROM_HEAP: Final = 32 * 2**20


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


@contextmanager
def freed_memory_kept() -> Iterator[None]:
    """Keep what is freed in this process for what is needed next, and give all of it back to the system at the end.

    A network frees and needs the same sizes again and again. By default the C library of Linux gives each back, and
    the system clears every page anew: about an eighth of the time of a network for slices.
    """
    _set_allocator(most_kept=2**30)
    try:
        yield
    finally:
        _set_allocator(most_kept=2 * _LARGEST_FROM_HEAP)
        return_freed_memory()


def return_freed_memory() -> None:
    """Give the system back what this process has freed: the C library of Linux keeps it, in pieces between others."""
    if sys.platform == "linux":
        with suppress(OSError, AttributeError):  # another C library
            ctypes.CDLL(None).malloc_trim(0)


def _set_allocator(most_kept: int) -> None:
    """Take blocks from the heap, up to the largest that glibc allows, and keep so many bytes at its end."""
    if sys.platform == "linux":
        with suppress(OSError, AttributeError):
            for option, value in ((_TRIM_THRESHOLD, most_kept), (_MMAP_THRESHOLD, _LARGEST_FROM_HEAP)):
                ctypes.CDLL(None).mallopt(option, value)
