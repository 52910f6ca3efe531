"""Lets panels that show the installed models know when there is another."""

from typing import Final

from qtpy.QtCore import QObject, Signal  # type: ignore[attr-defined,unused-ignore]


class _ModelList(QObject):
    """A Qt object, for its connections end with the panels that made them."""

    changed = Signal()
    """A model was added to the list or taken from it."""


model_list: Final = _ModelList()
"""The one of this session."""
