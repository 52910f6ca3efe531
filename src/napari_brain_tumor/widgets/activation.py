"""Set-up that runs once per session, when napari first uses this plugin."""

import logging
from typing import Any

from napari_brain_tumor.plugin import viewers

logger = logging.getLogger(__name__)


def activate(context: Any = None) -> None:
    """Prepare the current viewer for its first case, even if no panel is ever opened."""
    viewer = viewers.current_viewer()
    if viewer is None:
        return
    try:
        prepare(viewer)
        from napari_brain_tumor.widgets.dock.auto_open import open_with_cases
        from napari_brain_tumor.widgets.reader_offer import offer_after_opening

        offer_after_opening(viewer)
        open_with_cases(viewer)
    except Exception:  # opening files must still work
        logger.exception("Labels are not journalled, or keys not bound")


def prepare(viewer: Any) -> None:
    """Journal the labels of a viewer, and bind the keys for looking around a case; repeated calls do nothing.

    Parameters
    ----------
    viewer : napari.Viewer
    """
    # Imported here because they load Qt, which a script without a window does not need.
    from napari_brain_tumor.widgets.label_journal import start_journal
    from napari_brain_tumor.widgets.layout import KEYS as LAYOUT_KEYS
    from napari_brain_tumor.widgets.view_actions import bind_keys

    start_journal(viewer)
    bind_keys(viewer)
    bind_keys(viewer, LAYOUT_KEYS)
