"""What happens once a session, when napari first uses this plugin."""

import logging
from typing import Any

from napari_brain_tumor.plugin import layers

__all__ = ["activate"]

logger = logging.getLogger(__name__)


def activate(context: Any = None) -> None:
    """Journal the labels of the viewer that is in use from its first case on, even if no panel is ever opened."""
    viewer = layers.current_viewer()
    if viewer is None:
        return
    try:
        from napari_brain_tumor.widgets.label_journal import start_journal  # Qt, which no script without a window needs

        start_journal(viewer)
    except Exception:  # opening files must go on
        logger.exception("Labels are not journalled")
