"""Use several cores for prompts: our own threads, with the numerical libraries limited to one thread each.

The threads of OpenBLAS and OpenMP wait for each other by spinning: if other programs, such as a training, use the
processor too, they wait for much longer than they compute. Prompts therefore limit these libraries to one thread and
divide the longest steps among threads that sleep while they wait.
"""

import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from functools import lru_cache
from itertools import pairwise
from typing import Any, Final, Literal, TypeVar

from threadpoolctl import ThreadpoolController

from napari_brain_tumor.cores import available_cores

_MOST: Final = 4

Part = TypeVar("Part")
Result = TypeVar("Result")


def single_threaded(api: Literal["openmp"] | None = None) -> AbstractContextManager[Any]:
    """Limit the libraries to one thread within the context; OpenMP only for calls from the current thread."""
    limited: AbstractContextManager[Any] = ThreadpoolController().limit(limits=1, user_api=api)
    return limited


def shared_out(length: int) -> list[slice]:
    """Return slices that divide a sequence of this length into parts of about equal length, one for each thread."""
    count = max(1, min(_MOST, available_cores(), length))
    return [slice(start, stop) for start, stop in pairwise(length * nth // count for nth in range(count + 1))]


def in_threads(work: Callable[[Part], Result], parts: Iterable[Part]) -> list[Result]:
    """Apply a function to several parts, each in a thread, and return the results in order."""
    return list(_pool().map(work, parts))


@lru_cache(maxsize=1)
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(_MOST, "prompt")


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_pool.cache_clear)  # threads do not survive a fork
