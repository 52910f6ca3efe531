"""How many cores there are for this process."""

import os


def available_cores() -> int:
    """Return the number of cores that this process may use, which may be limited by a container or batch system."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity is not None else os.cpu_count() or 1
