"""The case under review: its layers in the viewer, and unsaved changes of its label."""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from napari.layers import Layer
from qtpy.QtCore import QObject

from napari_brain_tumor.dataset import CaseRecord, MadeBy, Truth
from napari_brain_tumor.dataset.drafts import Draft, DraftRecord
from napari_brain_tumor.dataset.index import now
from napari_brain_tumor.plugin import layers, viewers
from napari_brain_tumor.plugin.labels_edit import replace_labels
from napari_brain_tumor.study import Role
from napari_brain_tumor.widgets import curate_state as state
from napari_brain_tumor.widgets.draft_keeper import DraftKeeper
from napari_brain_tumor.widgets.label_edits import LabelEdits
from napari_brain_tumor.widgets.label_journal import start_journal
from napari_brain_tumor.widgets.prediction_view import PredictionView


class OpenedCase(QObject):
    """One case at a time as layers of the viewer; unsaved work is copied to the folder of the data set.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
    """

    def __init__(self, viewer: Any, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self._folder = Path()
        self._base: MadeBy | None = None
        self._base_data: Any = None
        self._own_layers: list[Layer] = []
        self.loaded: state.LoadedCase | None = None
        self.edits = LabelEdits(self)
        self.drafts = DraftKeeper()
        self.prediction = PredictionView(viewer)
        self.edits.copy_due.connect(self.keep_draft)

    @property
    def id(self) -> str | None:
        """ID of the case; None if none is open."""
        return self.loaded.record.id if self.loaded is not None else None

    @property
    def all_layers(self) -> list[Layer]:
        """Scans, label, prediction, and the copy of a scan beside them."""
        return [*self._own_layers, *self.prediction.all_layers]

    @property
    def edited(self) -> bool:
        """Whether there is unsaved work; checked on each access."""
        self.edits.look()
        return self.edits.edited

    @property
    def maker(self) -> MadeBy:
        """Who made the label in its current state."""
        assert self._base is not None
        return state.maker_after(self._base, edited=self._painted)

    @property
    def _painted(self) -> bool:
        """Whether the labels differ from those before anything was painted."""
        truth = self.edits.layer
        return truth is not None and not np.array_equal(truth.data, self._base_data)

    # Layers ---------------------------------------------------------------------------------------------------------

    def show(self, folder: Path, loaded: state.LoadedCase, *, side_by_side: bool) -> None:
        """Show a case of the data set in that folder instead of the previous one."""
        roles = self._visible_roles()
        previous = self._release()
        self._folder, self.loaded, self._base = folder, loaded, loaded.record.label.made_by
        added = viewers.add_layers(self._viewer, [*state.show_roles(loaded.scans, roles), loaded.label])
        # After, not before: an empty viewer switches to two dimensions and back, and OpenGL may crash on the way.
        self._remove(previous)
        if len(self._viewer.layers) == len(added):
            viewers.orient_viewer(self._viewer)
        self._own_layers = added
        truth = added[-1]
        self._base_data = np.array(truth.data)
        self.edits.watch(truth)
        self.show_prediction(loaded, side_by_side=side_by_side)
        self._viewer.layers.selection = {truth}
        viewers.show_tumour(self._viewer, truth)

    def show_prediction(self, loaded: state.LoadedCase, *, side_by_side: bool) -> None:
        """Show the prediction of a case that was just read."""
        self.loaded = loaded
        self.prediction.show(loaded.prediction)
        self.arrange(side_by_side=side_by_side)

    def arrange(self, *, side_by_side: bool) -> None:
        """Show the prediction over the label or beside it."""
        self.prediction.arrange(self._own_layers, side_by_side=side_by_side)

    def close(self) -> None:
        """Remove the case from the viewer, without asking about unsaved work."""
        self._remove(self._release())

    def _release(self) -> list[Layer]:
        """Forget the case; return its layers, which are still in the viewer."""
        self.edits.watch(None)
        previous = [*self._own_layers, *self.prediction.release()]
        self.loaded = self._base = self._base_data = None
        self._own_layers = []
        return previous

    def _remove(self, previous: Iterable[Layer]) -> None:
        for layer in previous:
            if layer in self._viewer.layers:
                self._viewer.layers.remove(layer)

    def _visible_roles(self) -> set[Role]:
        tags = [layers.sequence_tag(layer) for layer in self._own_layers if layer.visible]
        return {tag.role for tag in tags if tag is not None and tag.role is not None}

    # Unsaved work ---------------------------------------------------------------------------------------------------

    def keep_draft(self) -> None:
        """Copy unsaved work to the folder of the data set."""
        truth, record = self.edits.layer, self._draft_record()
        if truth is None or record is None:
            return
        data = np.array(truth.data)
        journal = start_journal(self._viewer)
        point = journal.save_point(truth)
        self.drafts.keep(self._folder, Draft(record, data), lambda: journal.mark_saved(point))
        self.edits.mark_kept(data)

    def _draft_record(self) -> DraftRecord | None:
        if self.loaded is None or self._base is None:
            return None
        record = self.loaded.record
        return DraftRecord(
            case=record.id, label_sha256=record.label.sha256, base=self._base, edited=self._painted, made_at=now()
        )

    def resume(self, draft: Draft) -> None:
        """Replace the label with unsaved work of an earlier session."""
        truth = self.edits.layer
        assert truth is not None
        self._base = draft.record.base
        replace_labels(truth, draft.labels)
        self._base_data = self._base_data if draft.record.edited else np.array(truth.data)
        self.edits.mark_kept(np.array(truth.data))
        start_journal(self._viewer).mark_kept(truth)  # the draft stays on disk
        self.edits.look()

    def forget_draft(self) -> None:
        """Remove the copy of unsaved work."""
        if self.id is not None:
            self.drafts.forget(self._folder, self.id)

    def discard_changes(self) -> None:
        """Show the saved label again, and forget what was not saved."""
        truth = self.edits.layer
        if truth is not None:
            replace_labels(truth, self.edits.saved)
            self.edits.look()
            start_journal(self._viewer).mark_kept(truth)
        self.forget_draft()

    def use_prediction(self) -> bool:
        """Replace the label with the model's labels; return False if there is no prediction."""
        truth, prediction = self.edits.layer, self.prediction.layer
        if self.loaded is None or self.loaded.score is None or prediction is None or truth is None:
            return False
        replace_labels(truth, prediction.data)
        score = self.loaded.score
        self._base = MadeBy(kind="model", model=score.model, model_sha256=score.weights_sha256)
        self._base_data = np.array(truth.data)
        self.edits.look()
        return True

    def mark_saved(self, record: CaseRecord, truth: Truth, data: npt.NDArray[Any], maker: MadeBy) -> None:
        """Record that these labels have been saved as the label of the case; later painting still counts as unsaved."""
        assert self.loaded is not None
        self.loaded = replace(self.loaded, record=record, truth=truth)
        self._base, self._base_data = maker, data
        self.edits.mark_saved(data)
        if self.edits.edited:
            self.keep_draft()
        else:
            self.forget_draft()
