"""Restore unsaved labels, without Qt: find what earlier sessions left, and make layers from it."""

import logging
from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import numpy.typing as npt
from napari.layers import Labels, Layer

from napari_brain_tumor import io
from napari_brain_tumor.autosave.layer_journal import recover
from napari_brain_tumor.autosave.sessions import Fate, Session, journals, mark, recover_all
from napari_brain_tumor.errors import BrainTumorError, UnreadableFileError
from napari_brain_tumor.geometry import Grid
from napari_brain_tumor.io.packed import read_packed
from napari_brain_tumor.io.source_files import describe_sources
from napari_brain_tumor.plugin import layers, to_layers, viewers
from napari_brain_tumor.plugin.layer_document import LayerDocument, restored_layer
from napari_brain_tumor.plugin.layers import LayerData
from napari_brain_tumor.widgets.label_journal import ORIGINAL, start_journal

logger = logging.getLogger(__name__)

FATES: Final[dict[Fate, str]] = {
    "lost": "napari ended unexpectedly",
    "closed": "closed without saving",
    "declined": "napari ended unexpectedly; declined then",
    "restored": "restored before",
}
"""How journals ended, in words."""


@dataclass(frozen=True, slots=True)
class Offer:
    """Unsaved labels of an earlier session: names of layer and case, and the time of the last change."""

    folder: Path
    fate: Fate
    name: str
    case: str
    changed_at: datetime

    @property
    def text(self) -> str:
        """The layer and the time of its last change, in one line."""
        case = f" of {self.case}" if self.case and self.case not in self.name else ""
        return f"{self.name}{case}, changed {self.changed_at.astimezone():%Y-%m-%d %H:%M}"


@dataclass(frozen=True, slots=True, eq=False)
class Restored:
    """What is needed to show unsaved labels again.

    Parameters
    ----------
    automatic : (Z, Y, X) array
        As in `autosave.layer_journal.RecoveredLabels`, like `clean`.
    scans : list of LayerData
        Scans of the study below the labels, if their files still exist.
    notes : tuple of str
        Messages for the user.
    """

    offer: Offer
    layer: LayerData
    automatic: npt.NDArray[Any]
    clean: bytes
    scans: list[LayerData]
    notes: tuple[str, ...] = ()


def offers(
    fates: Collection[Fate] = tuple(FATES), home: Path | None = None, session: Session | None = None
) -> list[Offer]:
    """Return unsaved labels whose journals ended in one of these ways, newest first.

    Parameters
    ----------
    home : Path, optional
        Folder of the journals.
    session : Session, optional
        The current session, whose closed layers are included; without it, only those of earlier sessions.
    """
    offered: list[Offer] = []
    if session is not None:
        with suppress(RuntimeError):  # the session has ended, and its threads with it
            session.flush()  # a layer may just have been closed
    own = session.folder if session is not None else None
    for stored, recovered in recover_all([stored for stored in journals(home, own) if stored.fate in fates]):
        try:
            document = LayerDocument.read(recovered.document)
        except UnreadableFileError:
            logger.warning("The journal %s cannot be shown", stored.folder, exc_info=True)
            continue
        offered.append(Offer(stored.folder, stored.fate, document.name, document.case, recovered.changed_at))
    return offered


def notice_text(offered: Sequence[Offer]) -> str:
    """Return the question for the user."""
    listed = "\n".join(f"• {offer.text}" for offer in offered[:5])
    more = f"\n… and {len(offered) - 5} more" if len(offered) > 5 else ""
    return f"napari ended before these labels were saved:\n{listed}{more}\nRestore them?"


def decline(offered: Sequence[Offer]) -> None:
    """Do not ask about these labels again; they are kept for a while."""
    for offer in offered:
        if offer.fate == "lost":
            mark(offer.folder, "declined")


def load(offer: Offer, opened: Sequence[Grid] = ()) -> Restored:
    """Read unsaved labels, and the scans below them unless scans on the same grid are open.

    Parameters
    ----------
    opened : sequence of Grid
        Displayed grids of our scans in the viewer.

    Raises
    ------
    UnreadableFileError
        If the journal cannot be read.
    """
    recovered = recover(offer.folder)
    document = LayerDocument.read(recovered.document)
    layer = restored_layer(recovered.labels, document, recovered.changed_at, _original(offer.folder))
    layer_grid = layers.view(layers.layer_of(layer)).grid
    scans, notes = ([], ()) if any(layer_grid.same_place(grid) for grid in opened) else _scans(document)
    return Restored(offer, layer, recovered.automatic, recovered.clean, scans, notes)


def _original(folder: Path) -> npt.NDArray[Any] | None:
    path = folder / ORIGINAL
    try:
        return read_packed(path).labels if path.exists() else None
    except UnreadableFileError:
        logger.warning("%s cannot be read; voxels that were not changed are resampled", path, exc_info=True)
        return None


def _scans(document: LayerDocument) -> tuple[list[LayerData], tuple[str, ...]]:
    sources = document.study_sources
    if not sources:
        return [], (f"Where the scans of {document.name} came from is not known: open them yourself.",)
    try:
        onto = document.scan_grid.grid if document.scan_grid is not None else None
        study = io.open_sources(sources, document.case, spacing_mm=document.spacing_mm, onto=onto)
        described = describe_sources(sources)
    except (BrainTumorError, OSError) as error:
        return [], (f"The scans of {document.name} cannot be opened: {error}",)
    known = {role: source.sha256 for role, source in document.sources.items() if source.sha256 is not None}
    changed = [str(sources[role].path) for role, sha256 in known.items() if described[role].get("sha256") != sha256]
    notes = (f"Changed since the labels were painted: {', '.join(changed)}.",) if changed else ()
    return to_layers.study_to_layers(study), notes


def add_restored(viewer: Any, restored: Restored) -> Layer:
    """Add unsaved labels to a viewer, with their scans below; they are journalled from now on, still as unsaved."""
    layer: Labels = viewers.add_layers(viewer, [*restored.scans, restored.layer])[-1]
    watch = start_journal(viewer).watch(layer)
    watch.mirror.assume(restored.automatic)
    if watch.mirror.journal is not None:
        watch.mirror.journal.saved(restored.clean)
    mark(restored.offer.folder, "restored")
    viewer.layers.selection = {layer}
    return layer
