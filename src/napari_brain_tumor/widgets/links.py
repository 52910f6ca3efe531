"""Connections to events of napari that end together."""

from collections.abc import Callable
from typing import Any


class Links:
    """Connections to events, which are cut together."""

    def __init__(self) -> None:
        self._made: list[tuple[Any, Callable[..., Any]]] = []

    def connect(self, emitter: Any, callback: Callable[..., Any]) -> None:
        """Call back when the emitter tells of something, until the links are cut."""
        emitter.connect(callback)
        self._made.append((emitter, callback))

    def cut(self, *_: Any) -> None:
        """Disconnect everything; can be connected to a signal."""
        for emitter, callback in self._made:
            emitter.disconnect(callback)
        self._made.clear()


def is_finished(event: Any) -> bool:
    """Whether points or shapes were added, changed or removed, and are not about to be."""
    action = getattr(event, "action", None)
    return str(getattr(action, "value", action)) in ("added", "changed", "removed", "None")
