"""Prompts on several cores: with threads of our own, and one of each library's.

The threads of OpenBLAS and OpenMP wait for each other busily: when other programs use the processor too, such as a
training, they wait much longer than they compute. So prompts let the libraries have one, and share out the longest
steps among threads that sleep while they wait.
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
    """While it lasts, the libraries compute on one thread; OpenMP's, only where they are called in this thread."""
    limited: AbstractContextManager[Any] = ThreadpoolController().limit(limits=1, user_api=api)
    return limited


def shared_out(length: int) -> list[slice]:
    """Slices of a sequence of some length, one for each thread, all about as long."""
    count = max(1, min(_MOST, available_cores(), length))
    return [slice(start, stop) for start, stop in pairwise(length * nth // count for nth in range(count + 1))]


def in_threads(work: Callable[[Part], Result], parts: Iterable[Part]) -> list[Result]:
    """The results of a function of several parts, each computed in a thread."""
    return list(_pool().map(work, parts))


@lru_cache(maxsize=1)
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(_MOST, "prompt")


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_pool.cache_clear)  # the child has none of the threads
