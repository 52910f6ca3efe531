"""How many cores there are for this process."""

import os


def available_cores() -> int:
    """Cores that this process may use: fewer than the machine has in containers and batch systems."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity is not None else os.cpu_count() or 1
