"""Connections to napari events that can be cut together."""

from collections.abc import Callable
from typing import Any


class Links:
    """A group of connections to events, which are cut together."""

    def __init__(self) -> None:
        self._made: list[tuple[Any, Callable[..., Any]]] = []

    def connect(self, emitter: Any, callback: Callable[..., Any]) -> None:
        """Connect a callback to an emitter until the links are cut."""
        emitter.connect(callback)
        self._made.append((emitter, callback))

    def cut(self, *_: Any) -> None:
        """Disconnect everything; can itself be connected to a signal."""
        for emitter, callback in self._made:
            emitter.disconnect(callback)
        self._made.clear()


def is_finished(event: Any) -> bool:
    """Return whether points or shapes have been added, changed or removed, rather than being about to be."""
    action = getattr(event, "action", None)
    return str(getattr(action, "value", action)) in ("added", "changed", "removed", "None")
