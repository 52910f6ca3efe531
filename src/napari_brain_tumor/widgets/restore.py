"""Restore unsaved labels: a notice after a crash, and a list of everything that can be restored.

Journals of labels are kept for `KEEP_DAYS` days, or less if they take up more than `KEEP_BYTES`.
"""

from collections.abc import Sequence
from typing import Any, Final

import napari.viewer

from napari_brain_tumor.autosave.sessions import KEEP_BYTES, KEEP_DAYS, Session, forget
from napari_brain_tumor.plugin import layers
from napari_brain_tumor.plugin.layers import SequenceTag
from napari_brain_tumor.progress import Job, Progress
from napari_brain_tumor.widgets import restore_state as state
from napari_brain_tumor.widgets.closing import when_gone
from napari_brain_tumor.widgets.label_journal import start_journal
from napari_brain_tumor.widgets.layer_list_watch import single_shot
from napari_brain_tumor.widgets.links import Links
from napari_brain_tumor.widgets.notice import Notice
from napari_brain_tumor.widgets.parts import Panel, add_to, button, column_in, flow, wrapped
from napari_brain_tumor.widgets.tick_list import TickList
from napari_brain_tumor.widgets.worker import JobRunner, notify, notify_error

_SEARCH_MS: Final = 600
"""Delay after a layer was removed, in which its journal is ended."""


class RestoreNotice(Notice):
    """Journals the labels of a viewer, and asks once per session whether to restore what a crash left unsaved.

    Hidden unless there is something to ask; only the first instance in a session asks.

    Parameters
    ----------
    session : Session, optional
        By default, the session of this process.
    """

    def __init__(self, napari_viewer: napari.viewer.Viewer, session: Session | None = None) -> None:
        restore = button("Restore", "Add them as layers, with their scans if these are not open.")
        later_tip = f"Do not ask again. They stay for {KEEP_DAYS} days: Open… > Unsaved labels… restores them."
        super().__init__("Unsaved labels of an earlier session", restore, later_tip)
        self.restore_button = restore
        self._viewer = napari_viewer
        self.offers: list[state.Offer] = []
        self.search_runner = JobRunner(self, finished=self._on_found, failed=notify_error)
        self.runner = JobRunner(self, finished=self._on_loaded, failed=notify_error)
        self.runner.hold(self)
        self.restore_button.clicked.connect(self.restore)
        self.later_button.clicked.connect(self.decline)
        self._session = start_journal(napari_viewer, session).session
        if not self._session.asked:
            self._session.asked = True
            home = self._session.home
            self.search_runner.call(state.offers, ("lost",), home)

    def _on_found(self, offers: Sequence[state.Offer]) -> None:
        self.offers = list(offers)
        self.text_label.setText(state.notice_text(self.offers))
        self.setVisible(bool(self.offers))

    def restore(self) -> None:
        """Restore the offered labels; `runner` reports progress and outcome."""
        selected = list(self.offers)
        self.runner.start(lambda _: load_job(selected, _opened(self._viewer)))

    def decline(self) -> None:
        """Decline the offer, and stop asking about it."""
        state.decline(self.offers)
        self._end()

    def _on_loaded(self, restored: Sequence[state.Restored]) -> None:
        add_all(self._viewer, restored)
        self._end()

    def _end(self) -> None:
        self.offers = []
        self.hide()


class RestoreWidget(Panel):
    """Lists unsaved labels of removed layers and earlier sessions, to restore or delete them.

    Parameters
    ----------
    session : Session, optional
        By default, the session of this process.
    """

    SIZE = (340, 420)

    def __init__(self, napari_viewer: napari.viewer.Viewer, session: Session | None = None) -> None:
        super().__init__()
        self._viewer = napari_viewer
        self.search_runner = JobRunner(self, finished=self._on_found, failed=self._on_failed)
        self.runner = JobRunner(self, finished=self._on_loaded, failed=self._on_failed)
        self._build()
        self._session = start_journal(napari_viewer, session).session
        self._session.asked = True  # this panel makes the question unnecessary
        self._timer = single_shot(self, self.search)
        self._ties = Links()
        self._ties.connect(napari_viewer.layers.events.removed, lambda _: self._timer.start(_SEARCH_MS))
        when_gone(self, self._ties.cut)
        self.search()

    def _build(self) -> None:
        column = column_in(self)
        column.addWidget(
            wrapped(
                "Labels that were changed but not saved, from removed layers and earlier sessions. They are "
                "kept for "
                f"{KEEP_DAYS} days, or less if they take up more than {KEEP_BYTES // 1_000_000} MB."
            )
        )
        self.list = TickList("Tick what to restore or delete.", "Unsaved labels")
        self.list.setWordWrap(True)
        column.addWidget(self.list, 1)
        self.restore_button = button("&Restore", "Add the ticked ones as layers, with their scans if not open.")
        self.delete_button = button("&Delete", "Delete the ticked ones permanently.")
        self.search_button = button("&Look again", "Look for unsaved labels again.")
        row = flow(self.restore_button, self.delete_button, self.search_button)
        self.status_label = wrapped("", "Status")
        add_to(column, row, self.status_label)
        self.restore_button.clicked.connect(self.restore)
        self.delete_button.clicked.connect(self.delete)
        self.search_button.clicked.connect(self.search)
        self.list.ticks_changed.connect(self._on_ticked)

    @property
    def ticked(self) -> list[state.Offer]:
        return self.list.ticked

    def search(self) -> None:
        """List what can be restored; `search_runner` reports when that is done."""
        self.status_label.setText("Looking…")
        session = self._session
        self.search_runner.call(state.offers, tuple(state.FATES), session.home, session)

    def restore(self) -> None:
        """Restore the ticked labels; `runner` reports progress and outcome."""
        selected = self.ticked
        if selected:
            self._enable(False)
            self.status_label.setText("Reading…")
            self.runner.start(lambda _: load_job(selected, _opened(self._viewer)))

    def delete(self) -> None:
        """Delete the ticked labels permanently."""
        for offer in self.ticked:
            forget(offer.folder)
        self.search()

    def _on_found(self, offers: Sequence[state.Offer]) -> None:
        self.list.show_lines(
            (f"{offer.text} ({state.FATES[offer.fate]})", offer, offer.fate == "lost") for offer in offers
        )
        self._on_ticked()
        self.status_label.setText("" if offers else "There are no unsaved labels.")

    def _on_ticked(self) -> None:
        self._enable(bool(self.ticked))

    def _enable(self, on: bool) -> None:
        self.restore_button.setEnabled(on)
        self.delete_button.setEnabled(on)

    def _on_loaded(self, restored: Sequence[state.Restored]) -> None:
        add_all(self._viewer, restored)
        self.search()

    def _on_failed(self, error: Exception) -> None:
        self._on_ticked()
        self.status_label.setText(str(error))
        notify_error(error)


def load_job(selected: Sequence[state.Offer], opened: Sequence[Any]) -> Job[list[state.Restored]]:
    """Read unsaved labels one after another; of several on one study, only the first brings its scans."""
    restored: list[state.Restored] = []
    grids = list(opened)
    for number, offer in enumerate(selected):
        yield Progress(number, len(selected), f"reading {offer.name}")
        restored.append(state.load(offer, grids))
        if restored[-1].scans:
            grids.append(layers.view(layers.layer_of(restored[-1].layer)).grid)
    return restored


def add_all(viewer: Any, restored: Sequence[state.Restored]) -> None:
    """Add restored labels to a viewer, and notify the user."""
    for entry in restored:
        layer = state.add_restored(viewer, entry)
        notify(" ".join([f"Restored {layer.name}. Remember to save it.", *entry.notes]))


def _opened(viewer: Any) -> list[Any]:
    return [view.grid for view in layers.readable_views(viewer.layers) if isinstance(view.tag, SequenceTag)]
