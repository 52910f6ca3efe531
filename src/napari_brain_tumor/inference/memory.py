"""Free memory of this machine and how it is returned; does not load torch."""

import ctypes
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final, NamedTuple

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
"""Option numbers of mallopt: M_TRIM_THRESHOLD and M_MMAP_THRESHOLD."""
_LARGEST_FROM_HEAP: Final = 32 * 2**20


class DeviceMemory(NamedTuple):
    """A device: its name for `segment(device=...)`, a display label, and its free memory in bytes if known."""

    name: str
    label: str
    free_bytes: int | None = None


def free_host_bytes(meminfo: Path = Path("/proc/meminfo")) -> int | None:
    """Return the memory available to programs on this machine, in bytes; None if the system does not report it."""
    if not meminfo.is_file():
        return None
    match = re.search(r"MemAvailable:\s+(\d+) kB", meminfo.read_text(encoding="ascii"))
    return int(match[1]) * 1024 if match else None


@contextmanager
def freed_memory_kept() -> Iterator[None]:
    """Keep freed memory in the process for reuse, and return all of it to the system at the end.

    A network allocates and frees blocks of the same sizes repeatedly. By default glibc returns each block to the
    system, which clears its pages on every new allocation: about an eighth of the run time of a slice network.
    """
    _set_allocator(most_kept=2**30)
    try:
        yield
    finally:
        _set_allocator(most_kept=2 * _LARGEST_FROM_HEAP)
        return_freed_memory()


def return_freed_memory() -> None:
    """Return memory freed by this process to the system; glibc otherwise keeps it in fragments."""
    if sys.platform == "linux":
        with suppress(OSError, AttributeError):  # not glibc
            ctypes.CDLL(None).malloc_trim(0)


def _set_allocator(most_kept: int) -> None:
    """Allocate blocks up to glibc's limit on the heap, and keep up to `most_kept` free bytes at its end."""
    if sys.platform == "linux":
        with suppress(OSError, AttributeError):
            for option, value in ((_TRIM_THRESHOLD, most_kept), (_MMAP_THRESHOLD, _LARGEST_FROM_HEAP)):
                ctypes.CDLL(None).mallopt(option, value)
