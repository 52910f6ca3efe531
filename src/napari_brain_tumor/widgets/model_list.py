"""Notify panels that show the installed models when the list changes."""

from typing import Final

from qtpy.QtCore import QObject, Signal  # type: ignore[attr-defined,unused-ignore]


class _ModelList(QObject):
    """A Qt object, so that its connections end with the panels that made them."""

    changed = Signal()
    """A model was added to or removed from the list."""


model_list: Final = _ModelList()
"""The instance of this session."""
