"""Keep a journal of every labels layer over our studies in a viewer, so that a crash loses at most one stroke."""

import atexit
import logging
from functools import cache, lru_cache, partial
from pathlib import Path
from typing import Any, Final

from napari.layers import Labels, Layer
from qtpy.QtCore import QCoreApplication, QEvent, QObject, QTimer

from napari_brain_tumor.autosave.layer_journal import LayerJournal
from napari_brain_tumor.autosave.mirror import Mirror
from napari_brain_tumor.autosave.sessions import Session, tidy
from napari_brain_tumor.errors import BrainTumorError
from napari_brain_tumor.io.packed import write_packed
from napari_brain_tumor.io.source_files import describe_sources
from napari_brain_tumor.plugin.label_watch import Applied, LabelWatch, automatic_labels, can_be_watched, volume_of
from napari_brain_tumor.plugin.layer_document import LayerDocument, document_of, scans_under
from napari_brain_tumor.plugin.layers import CODES_KEY, LayerData, is_prompt_layer, segmentation_tag
from napari_brain_tumor.plugin.preferences import read_preferences
from napari_brain_tumor.plugin.saved_labels import saved_labels
from napari_brain_tumor.plugin.viewers import window_of
from napari_brain_tumor.study import Role, Source
from napari_brain_tumor.widgets.layer_list_watch import single_shot
from napari_brain_tumor.widgets.worker import notify

logger = logging.getLogger(__name__)

ORIGINAL: Final = "original.npz"
"""File in the journal of oblique labels, with the labels on the scan's own grid."""

_LOOK_MS: Final = 400
"""Delay after a possible change; a check compares two arrays, a few milliseconds for a head."""
_POLL_MS: Final = 1000
"""Polling interval for undo on a hidden layer, which emits no event; the check itself is quick."""

SavePoint = tuple[Labels, bytes]
"""A layer and the hash of its labels at the moment when saving starts."""


@cache
def current_session() -> Session:
    """Return the session of this process, set up as the preferences say; tidy up old journals in the background."""
    preferences = read_preferences().journal
    session = Session(preferences.place, _on_error, keeps=preferences.keep)
    session.in_background(tidy, session.home)
    atexit.register(session.finish)
    return session


def _on_error(error: Exception) -> None:
    # May be called in any thread, and napari's notifications may be sent from any thread.
    notify(
        f"Changes of labels are no longer saved automatically ({error}): save often. "
        "The labels themselves are untouched."
    )


def journal_of(viewer: Any) -> "LabelJournal | None":
    """Return the journal of a viewer's labels if it was started."""
    window = window_of(viewer)
    return window.findChild(LabelJournal) if window is not None else None


def start_journal(viewer: Any, session: Session | None = None) -> "LabelJournal":
    """Return the journal of a viewer's labels, starting it if necessary; a viewer without a window gets a new one."""
    return journal_of(viewer) or LabelJournal(viewer, session, window_of(viewer))


class LabelJournal(QObject):
    """Watches the labels layers of one viewer that are results of this plugin or lie on its scans.

    Closing the window ends the journals. Unsaved labels are kept for a while and can be restored with the Restore
    panel, but the user is not asked about them.

    Parameters
    ----------
    viewer : napari.Viewer
        The viewer, or its model if there is no window.
    session : Session, optional
        By default, the session of this process.
    parent : QObject, optional
        The viewer's window.
    """

    def __init__(self, viewer: Any, session: Session | None = None, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self.session = session or current_session()
        self._watches: dict[Labels, LabelWatch] = {}
        self._closing = False
        self._look_timer = single_shot(self, self.look, _LOOK_MS)
        self._describe_timer = single_shot(self, self._describe_all, _LOOK_MS)
        self._poll_timer = QTimer(self)
        self._poll_timer.setInterval(_POLL_MS)
        self._poll_timer.timeout.connect(self._poll)
        for event in self._list_events():
            event.connect(self._on_layers_changed)
        saved_labels.saved.connect(self._on_saved)
        if parent is not None:
            parent.installEventFilter(self)
            parent.destroyed.connect(partial(_end_all, self.session, self._watches))
            self._poll_timer.start()
        application = QCoreApplication.instance()
        if application is not None:
            application.aboutToQuit.connect(self.close)
        self._on_layers_changed()

    def watch_of(self, layer: Labels) -> LabelWatch | None:
        """Return the watch of a layer, or None if it is not watched."""
        return self._watches.get(layer)

    def watch(self, layer: Labels, automatic: Any = None) -> LabelWatch:
        """Watch a layer from now on, whatever it lies on.

        Parameters
        ----------
        automatic : (Z, Y, X) array, optional
            The labels without any manual edits, if they are known better than from the layer.
        """
        if layer in self._watches:
            return self._watches[layer]
        document = self._document(layer)
        journal = self.session.open(volume_of(layer), document.model_dump(mode="json"))
        if automatic is None:
            automatic = automatic_labels(layer)
        watch = LabelWatch(layer, Mirror(volume_of(layer), automatic, journal), self._look_soon, self._sight)
        self._watches[layer] = watch
        for event in _describing_events(layer):
            event.connect(self._on_described)
        if journal is not None:
            self._keep_original(layer, journal)
            self.session.in_background(_describe, journal, document)
        return watch

    def apply_result(self, layer: Labels, result: LayerData, *, keep_edits: bool = True) -> Applied:
        """Write a new segmentation into a layer as one undoable step; see `LabelWatch.apply`."""
        return self.watch(layer).apply(result, keep_edits=keep_edits)

    def save_point(self, layer: Labels) -> SavePoint:
        """Return what `mark_saved` needs; call it when saving starts."""
        watch = self.watch_of(layer)
        if watch is not None:
            watch.look()
        return layer, watch.mirror.digest if watch is not None else b""

    def mark_saved(self, point: SavePoint) -> None:
        """Record that the labels at that point are saved; a crash then loses nothing. Callable from any thread."""
        layer, digest = point
        watch = self.watch_of(layer)
        if watch is not None and watch.mirror.journal is not None:
            watch.mirror.journal.saved(digest)

    def mark_kept(self, layer: Labels) -> None:
        """Record that the current labels of a layer are saved."""
        self.mark_saved(self.save_point(layer))

    def look(self) -> None:
        """Check all layers for changes that emitted no event."""
        for watch in list(self._watches.values()):
            watch.look()

    def close(self) -> None:
        """End all journals and stop watching; unsaved labels can be restored with the Restore panel."""
        self._poll_timer.stop()
        for event in self._list_events():
            event.disconnect(self._on_layers_changed)
        for layer in list(self._watches):
            self._let_go(layer)

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:
        """End the journals when the window is closed, but not if closing was refused."""
        if event is not None and event.type() == QEvent.Type.Close:
            self._closing = True
        elif event is not None and event.type() == QEvent.Type.Hide and self._closing and not event.spontaneous():
            self.close()
        return False

    # Layers ---------------------------------------------------------------------------------------------------------

    def _list_events(self) -> list[Any]:
        events = self._viewer.layers.events
        return [events.inserted, events.removed]

    def _on_layers_changed(self, event: Any = None) -> None:
        present = list(self._viewer.layers)
        for layer in [watched for watched in self._watches if watched not in present]:
            self._let_go(layer)
        for layer in present:
            if layer not in self._watches and _concerns(layer, present):
                self.watch(layer)

    def _let_go(self, layer: Labels) -> None:
        for event in _describing_events(layer):
            event.disconnect(self._on_described)
        _end(self.session, self._watches.pop(layer))

    def _document(self, layer: Labels) -> LayerDocument:
        return document_of(layer, scans_under(layer, self._viewer.layers))

    def _keep_original(self, layer: Labels, journal: LayerJournal) -> None:
        tag = segmentation_tag(layer)
        if tag is not None and tag.original is not None:
            self.session.in_background(_write_original, journal.folder, tag.original)

    def _on_saved(self, data: Any) -> None:
        for layer in [watched for watched in self._watches if watched.data is data]:
            self.mark_kept(layer)

    def _on_described(self, event: Any = None) -> None:
        self._describe_timer.start()

    def _describe_all(self) -> None:
        for layer, watch in self._watches.items():
            if watch.mirror.journal is not None:
                self.session.in_background(_describe, watch.mirror.journal, self._document(layer))

    def _look_soon(self) -> None:
        if not self._look_timer.isActive():
            self._look_timer.start()

    def _sight(self) -> Any:
        dims = self._viewer.dims
        return tuple(dims.point), tuple(dims.order), dims.ndisplay

    def _poll(self) -> None:
        for watch in list(self._watches.values()):
            watch.look_if_undone()


def _concerns(layer: Layer, present: list[Layer]) -> bool:
    if not isinstance(layer, Labels) or is_prompt_layer(layer) or not can_be_watched(layer):
        return False
    if CODES_KEY in layer.metadata:
        return False  # computed codes can be computed again
    return segmentation_tag(layer) is not None or bool(scans_under(layer, present))


def _describing_events(layer: Labels) -> list[Any]:
    events = layer.events
    return [events.name, events.colormap, events.features, events.opacity, events.scale, events.translate]


def _end(session: Session, watch: LabelWatch) -> None:
    watch.stop()
    if watch.mirror.journal is not None:
        session.close(watch.mirror.journal, watch.mirror.labels)


def _end_all(session: Session, watches: dict[Labels, LabelWatch], *_: Any) -> None:
    # A window that was never shown emits no hide event when it is closed.
    while watches:
        _end(session, watches.popitem()[1])


def _write_original(folder: Path, original: Any) -> None:
    if folder.is_dir():
        write_packed(folder / ORIGINAL, original, "{}")


def _describe(journal: LayerJournal, document: LayerDocument) -> None:
    """Record what is known about a layer, with hashes of its scans' files. Runs in a thread because it reads files."""
    plain = document.model_dump(mode="json")
    journal.describe(plain)
    if not document.sources:
        return
    try:
        described = _hashed(tuple((role, source, _stamp(source)) for role, source in document.study_sources.items()))
    except (OSError, BrainTumorError):
        logger.warning("The files under %s cannot be read to tell them again", document.name, exc_info=True)
        return
    sources = {role: {**plain["sources"][role], "sha256": sha256} for role, sha256 in described.items()}
    journal.describe({**plain, "sources": sources})


@lru_cache(maxsize=16)
def _hashed(stamped: tuple[tuple[Role, Source, int], ...]) -> dict[Role, str | None]:
    described = describe_sources({role: source for role, source, _ in stamped})
    return {role: described[role].get("sha256") for role, _, _ in stamped}


def _stamp(source: Source) -> int:
    return source.path.stat().st_mtime_ns
