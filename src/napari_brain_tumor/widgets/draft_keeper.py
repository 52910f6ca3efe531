"""Write unsaved work to disk in the background, one file after another."""

import logging
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

from napari_brain_tumor.dataset.drafts import Draft, forget_draft, keep_draft
from napari_brain_tumor.errors import BrainTumorError

logger = logging.getLogger(__name__)


class DraftKeeper:
    """Writes and removes drafts in the order requested, in one thread.

    Drafts still waiting when Python exits are written first.

    Parameters
    ----------
    on_error : callable, optional
        Called in that thread with errors from writing.
    """

    def __init__(self, on_error: Callable[[Exception], None] | None = None) -> None:
        self._on_error = on_error
        self._thread = ThreadPoolExecutor(1, "drafts")
        self._last: Future[None] | None = None

    def keep(self, folder: Path, draft: Draft, then: Callable[[], None] = lambda: None) -> None:
        """Write a draft, whose labels must not be changed afterwards; on success `then` is called in that thread."""
        self._submit(keep_draft, folder, draft, then=then)

    def forget(self, folder: Path, case_id: str) -> None:
        """Remove the draft of a case, including one that is still waiting to be written."""
        self._submit(forget_draft, folder, case_id)

    def flush(self) -> None:
        """Wait until everything has been written."""
        if self._last is not None:
            self._last.result()

    def _submit(self, action: Callable[..., None], *args: Any, then: Callable[[], None] = lambda: None) -> None:
        self._last = self._thread.submit(self._perform, action, *args, then=then)

    def _perform(self, action: Callable[..., None], *args: Any, then: Callable[[], None]) -> None:
        try:
            action(*args)
            then()
        except (OSError, ValueError, BrainTumorError) as error:
            logger.exception("A draft could not be kept or removed")
            if self._on_error is not None:
                self._on_error(error)
