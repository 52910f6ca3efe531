"""Processes that die at one of their calls that change a file, so that every such place can be tried."""

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

CALLS = ("replace", "rename", "unlink", "fsync", "link", "mkdir")


def kill_at(point: int, *, writes: bool = True) -> None:
    """Make this process die at its n-th call that changes a file: before a short call, halfway through a write.

    Parameters
    ----------
    point : int
        From 1.
    writes : bool
        Whether `Path.write_bytes` and `Path.write_text` count.
    """
    calls = 0

    def is_the_last() -> bool:
        nonlocal calls
        calls += 1
        return calls == point

    def dying(original: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            if is_the_last():
                os.kill(os.getpid(), signal.SIGKILL)
            return original(*arguments, **named)

        return call

    def dying_write(original: Callable[..., Any]) -> Callable[..., Any]:
        def write(path: Path, content: Any, *arguments: Any, **named: Any) -> Any:
            if is_the_last():
                original(path, content[: len(content) // 2], *arguments, **named)
                os.kill(os.getpid(), signal.SIGKILL)
            return original(path, content, *arguments, **named)

        return write

    for name in CALLS:
        setattr(os, name, dying(getattr(os, name)))
    for name in ("write_bytes", "write_text") if writes else ():
        setattr(Path, name, dying_write(getattr(Path, name)))
