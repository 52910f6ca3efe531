"""Buttons for actions that also have keys in the canvas."""

from typing import Any

from qtpy.QtWidgets import QPushButton

from napari_brain_tumor.widgets.parts import button
from napari_brain_tumor.widgets.view_actions import ViewAction, key_text


def key_button(viewer: Any, action: ViewAction, text: str) -> QPushButton:
    """Return a button for an action in a viewer; its text shows the key."""
    key = key_text(action.key)
    push_button = button(f"{text} ({key})", f"{action.tip}\nKey in the picture: {key}")
    push_button.clicked.connect(lambda _=False: action.act(viewer))
    return push_button
