"""Writes unsaved work to the disk beside the window, one file after another."""

import logging
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

from napari_brain_tumor.dataset.drafts import Draft, forget_draft, keep_draft
from napari_brain_tumor.errors import BrainTumorError

logger = logging.getLogger(__name__)


class DraftKeeper:
    """Keeps and forgets drafts in the order in which it is told to, in one thread.

    What is still to be written when Python ends is written first.

    Parameters
    ----------
    on_error : callable, optional
        Told of what could not be written, in that thread.
    """

    def __init__(self, on_error: Callable[[Exception], None] | None = None) -> None:
        self._on_error = on_error
        self._thread = ThreadPoolExecutor(1, "drafts")
        self._last: Future[None] | None = None

    def keep(self, folder: Path, draft: Draft, then: Callable[[], None] = lambda: None) -> None:
        """Write a draft, whose labels must not be changed afterwards; `then` is called in that thread if it worked."""
        self._submit(keep_draft, folder, draft, then=then)

    def forget(self, folder: Path, case_id: str) -> None:
        """Remove the draft of a case, also one that is still to be written."""
        self._submit(forget_draft, folder, case_id)

    def flush(self) -> None:
        """Wait until everything is on the disk."""
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
