"""Review: open cases one after another, correct them, and decide on them."""

import weakref
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final, Literal

import numpy as np
from qtpy.QtCore import QObject, QTimer, Signal  # type: ignore[attr-defined,unused-ignore]

from napari_brain_tumor.dataset import CaseRecord, CuratedDataset, MadeBy, ReviewState
from napari_brain_tumor.dataset.drafts import Draft
from napari_brain_tumor.errors import BrainTumorError
from napari_brain_tumor.plugin import layers
from napari_brain_tumor.requests.dataset_actions import review_lines
from napari_brain_tumor.widgets import case_rows
from napari_brain_tumor.widgets import curate_state as state
from napari_brain_tumor.widgets.curate_pages import ReviewPage
from napari_brain_tumor.widgets.opened_case import OpenedCase
from napari_brain_tumor.widgets.panel_lines import relabel_lines_of
from napari_brain_tumor.widgets.questions import Ask
from napari_brain_tumor.widgets.worker import TaskRunner

_UNSAVED: Final = {"save": "Save", "draft": "Keep for later", "discard": "Discard", "cancel": "Cancel"}
_NO_PREDICTION: Final = "There is no prediction for this case yet: score it first."


class CaseReview(QObject):
    """Actions of the Review page on the cases of the open data set.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
    runner : TaskRunner
        Reads and writes cases, one at a time.
    dataset : callable
        Returns the open data set, or None.
    question : callable
        Asks the user; see `questions.Ask`.
    """

    message = Signal(str)
    """A message for the status line."""
    failed = Signal(object)
    """The error that occurred."""
    acted = Signal(object)
    """A function that returns the last action as code."""
    changed = Signal()
    """Another case is open, or a case has changed on disk."""

    def __init__(
        self, viewer: Any, page: ReviewPage, runner: TaskRunner, dataset: Callable[[], CuratedDataset | None], ask: Ask
    ) -> None:
        super().__init__(page)
        self._viewer, self._page, self._runner, self._dataset, self._ask = viewer, page, runner, dataset, ask
        self.case = OpenedCase(viewer, self)
        self.case.edits.changed.connect(self.refresh)
        page.use_button.clicked.connect(self.use_prediction)
        page.side_box.toggled.connect(lambda on: self.case.arrange(side_by_side=on))

    @property
    def case_id(self) -> str | None:
        """ID of the open case."""
        return self.case.id

    @property
    def _weights(self) -> str | None:
        model = self._page.model
        return model.card.weights_sha256 if model is not None else None

    # Opening a case -------------------------------------------------------------------------------------------------

    def open_case(self, case_id: str | None) -> None:
        """Open a case instead of the current one, asking first about unsaved work."""
        dataset = self._dataset()
        if case_id is None or dataset is None or self._runner.running:
            return
        if case_id == self.case.id or not self.leave(lambda: self.open_case(case_id)):
            self._page.table.select(self.case.id)
            return
        folder, weights = dataset.folder, self._weights
        self.case.drafts.flush()  # the case that was just put aside may be reopened at once
        self.message.emit(f"Opening {case_id}…")
        self._runner.run(lambda: state.load_case(folder, case_id, weights), self._show_loaded)

    def open_next_undecided(self) -> None:
        """Open the next case without a decision."""
        following = case_rows.next_undecided(self._page.table.rows, self.case.id)
        self._open_or_explain(following, "No other case is waiting for a decision.")

    def open_next_uncertain(self) -> None:
        """Open the undecided case for which the model is least certain."""
        self._open_or_explain(
            case_rows.next_uncertain(self._page.table.rows, self.case.id),
            "No other undecided case has a score. Score all to find those where the model is least certain.",
        )

    def open_neighbour(self, step: Literal[-1, 1]) -> None:
        """Open the previous or next case in the table."""
        self._open_or_explain(case_rows.neighbour(self._page.table.rows, self.case.id, step), "There is no case yet.")

    def _open_or_explain(self, case_id: str | None, otherwise: str) -> None:
        if case_id is None:
            self.message.emit(otherwise)
        else:
            self.open_case(case_id)

    def _show_loaded(self, loaded: state.LoadedCase) -> None:
        dataset = self._dataset()
        assert dataset is not None
        self.case.show(dataset.folder, loaded, side_by_side=self._page.side_box.isChecked())
        self._page.note_edit.setText(loaded.record.review.note)
        self._page.known_row.setVisible(not loaded.record.label.is_complete)
        self.message.emit(loaded.warning or f"Opened {loaded.record.id}.")
        self.changed.emit()
        if loaded.draft is not None:
            self._offer(loaded.draft, loaded.record)

    def _offer(self, draft: Draft, record: CaseRecord) -> None:
        when = f"{draft.record.made_at.astimezone():%Y-%m-%d %H:%M}"
        question = f"There is unsaved work on {draft.record.case} from {when}. Resume it?"
        if draft.record.label_sha256 != record.label.sha256:
            question += "\nThe saved label has been replaced since: check the result before you save it."
        answer = self._ask(self._page, question, {"take": "Resume", "discard": "Discard", "later": "Not now"})
        if answer == "take":
            self.case.resume(draft)
            self.message.emit("Resumed the unsaved work. Save it, or undo it with Ctrl+Z.")
        elif answer == "discard":
            self.case.forget_draft()

    # Leaving a case -------------------------------------------------------------------------------------------------

    def leave(self, then: Callable[[], None]) -> bool:
        """Return whether the open case may be left now; if it has to be saved first, `then` is called afterwards."""
        if not self.case.edited:
            return True
        answer = self._ask(self._page, f"The label of {self.case.id} has changes that are not saved.", _UNSAVED)
        if answer == "draft":
            self.case.keep_draft()
        elif answer == "discard":
            self.case.discard_changes()
        elif answer == "save":
            self.save(then)
        return answer in ("draft", "discard")

    def may_close(self) -> bool:
        """Return whether napari may close now; if the label has to be saved first, napari is closed afterwards."""
        may = self.leave(lambda: QTimer.singleShot(0, self._viewer.close))
        self.case.drafts.flush()
        return may

    # Correcting and deciding ----------------------------------------------------------------------------------------

    def use_prediction(self) -> None:
        """Replace the label with the model's labels, for correction; nothing is saved yet."""
        done = "The model's labels have replaced the label. Correct them, then save or decide."
        self.message.emit(done if self.case.use_prediction() else _NO_PREDICTION)

    def toggle_prediction(self) -> None:
        """Show or hide the model's labels."""
        if not self.case.prediction.toggle():
            self.message.emit(_NO_PREDICTION)
        self.refresh()

    def reload_prediction(self) -> None:
        """Show the chosen model's prediction for the open case."""
        dataset, loaded = self._dataset(), self.case.loaded
        if loaded is None or dataset is None:
            return
        try:
            score, data = state.prediction_of(dataset, loaded.record, self._weights)
        except BrainTumorError as error:
            self.failed.emit(error)
            return
        loaded = replace(loaded, score=score, prediction=data)
        self.case.show_prediction(loaded, side_by_side=self._page.side_box.isChecked())
        self.refresh()

    def save(self, then: Callable[[], None] = lambda: None) -> None:
        """Save the label in its current state, still undecided."""
        self._save("draft", then)

    def decide(self, decision: ReviewState) -> None:
        """Record a decision, and save the label with it if it was edited."""
        dataset, case_id = self._dataset(), self.case.id
        if case_id is None or dataset is None or self._runner.running:
            return
        if self.case.edited:
            self._save(decision, self._open_following)
            return
        folder, note = dataset.folder, self._page.note_edit.text()
        self.acted.emit(lambda: review_lines(folder, case_id, decision, note))
        self.message.emit(f"Recording the decision on {case_id}…")
        self._runner.run(
            lambda: CuratedDataset(folder).review(case_id, decision, note),
            lambda record: self._show_decision(record, self._open_following),
        )

    def _save(self, decision: ReviewState, then: Callable[[], None]) -> None:
        dataset, loaded, truth = self._dataset(), self.case.loaded, self.case.edits.layer
        if loaded is None or dataset is None or truth is None or self._runner.running:
            return
        try:
            live_view = layers.view(truth)
        except BrainTumorError as error:
            self.failed.emit(error)
            return
        snapshot = np.array(live_view.data)
        folder, maker, note = dataset.folder, self.case.maker, self._page.note_edit.text()
        knowing = self._page.known_box.currentData()
        layer, case_id = weakref.ref(truth), loaded.record.id
        self.acted.emit(lambda: relabel_lines_of(folder, case_id, layer(), decision, note))

        def work() -> tuple[CaseRecord, Any]:
            view = replace(live_view, data=snapshot)
            record = state.save_label(folder, loaded, view, maker=maker, state=decision, note=note, knowing=knowing)
            return record, CuratedDataset(folder).truth(record.id)

        self.case.keep_draft()  # in case saving fails, the work is on disk
        self.message.emit(f"Saving {case_id}…")
        self._runner.run(work, lambda saved: self._show_saved(saved, snapshot, maker, then))

    def _show_saved(self, saved: tuple[CaseRecord, Any], data: Any, maker: MadeBy, then: Callable[[], None]) -> None:
        record, truth = saved
        self.case.mark_saved(record, truth, data, maker)
        self._show_decision(record, then)

    def _show_decision(self, record: CaseRecord, then: Callable[[], None]) -> None:
        assert self.case.loaded is not None
        self.case.loaded = replace(self.case.loaded, record=record)
        self._page.known_row.setVisible(not record.label.is_complete)
        self.case.drafts.flush()
        self.changed.emit()
        self.message.emit(f"{record.id}: {case_rows.STATE_NAMES[record.state]}, label version {record.label.version}.")
        then()

    def _open_following(self) -> None:
        following = case_rows.next_undecided(self._page.table.rows, self.case.id)
        if self._page.go_on_box.isChecked() and following is not None:
            self.open_case(following)

    # Display --------------------------------------------------------------------------------------------------------

    def refresh(self) -> None:
        """Show the open case and what can be done with it."""
        case, prediction = self.case, self.case.prediction
        self._page.show_case(
            state.case_text(case.loaded, edited=case.edits.edited, has_dataset=self._dataset() is not None),
            is_open=case.loaded is not None,
            edited=case.edits.edited,
            predicted=None if prediction.layer is None else prediction.visible,
        )
