"""The Curate panel: walk through the cases of a data set, compare, correct, decide; add new ones."""

import weakref
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import napari.viewer
import numpy as np
from napari.layers import Image, Layer
from qtpy.QtCore import QEvent, QObject, QSize, Qt, QTimer
from qtpy.QtGui import QHideEvent
from qtpy.QtWidgets import QFileDialog, QHBoxLayout, QScrollArea, QTabWidget

from napari_brain_tumor.dataset import CaseRecord, CuratedDataset, MadeBy, ReviewState
from napari_brain_tumor.dataset.drafts import Draft, DraftRecord
from napari_brain_tumor.dataset.index import now
from napari_brain_tumor.errors import BrainTumorError, DatasetError
from napari_brain_tumor.inference.worker_process import WorkerProcess
from napari_brain_tumor.models.cards import ModelInfo, list_models
from napari_brain_tumor.plugin import layers
from napari_brain_tumor.plugin.labels_edit import replace_labels
from napari_brain_tumor.plugin.layers import SequenceTag
from napari_brain_tumor.progress import Progress
from napari_brain_tumor.requests.actions import create_dataset_lines
from napari_brain_tumor.study import Role
from napari_brain_tumor.widgets import curate_state as state
from napari_brain_tumor.widgets import segment_state
from napari_brain_tumor.widgets.action_lines import ActionLines
from napari_brain_tumor.widgets.closing import cancel_when_closed
from napari_brain_tumor.widgets.curate_pages import KEYS, AddPage, ReviewPage
from napari_brain_tumor.widgets.draft_keeper import DraftKeeper
from napari_brain_tumor.widgets.import_page import ImportPage
from napari_brain_tumor.widgets.initial_choices import prefer_model
from napari_brain_tumor.widgets.label_edits import LabelEdits
from napari_brain_tumor.widgets.label_journal import start_journal
from napari_brain_tumor.widgets.panel_lines import add_lines_of, relabel_lines_of, review_lines_of, score_lines_of
from napari_brain_tumor.widgets.parts import button, column_in, combo, wrapped
from napari_brain_tumor.widgets.questions import Ask, ask
from napari_brain_tumor.widgets.worker import JobRunner, as_job, notify, notify_error, shared_worker, time_left_text

__all__ = ["CurateWidget"]

_REFRESH_MS = 2000
_NO_MODEL = "no model"
_UNSAVED = {"save": "Save", "draft": "Keep for later", "discard": "Discard", "cancel": "Cancel"}


class CurateWidget(QScrollArea):
    """Reviews and corrects the cases of a curated data set, and adds new ones.

    Work that was not saved is copied to the data set's folder every few seconds, and is offered when the case is opened
    again.

    Parameters
    ----------
    napari_viewer : napari.viewer.Viewer
    worker : WorkerProcess, optional
        The one of this session where none is given.
    target : str
        The job that runs in the worker process, called like `case_scoring.score_dataset_job`.
    models : sequence of ModelInfo, optional
        The installed ones where none are given.
    question : callable
        Asks the user; see `questions.Ask`.
    """

    def __init__(
        self,
        napari_viewer: napari.viewer.Viewer,
        worker: WorkerProcess | None = None,
        *,
        target: str = state.SCORES_TARGET,
        models: Sequence[ModelInfo] | None = None,
        question: Ask = ask,
    ) -> None:
        super().__init__()
        self._viewer = napari_viewer
        start_journal(napari_viewer)
        self._worker = worker or shared_worker()
        self._target = target
        self.question = question
        self.dataset: CuratedDataset | None = None
        self.loaded: state.LoadedCase | None = None
        self._base: MadeBy | None = None
        self._base_data: Any = None
        self.case_layers: list[Layer] = []
        self._prediction: Layer | None = None
        self._copy: Layer | None = None
        self._roles_by_hand = False
        self._label_by_hand: Layer | None = None
        self._image_layers: list[Layer] = []
        self._label_layers: list[Layer] = []
        self.runner = JobRunner(self, must_finish=True)
        self.score_runner = JobRunner(self)
        self._then: Callable[[Any], None] = lambda _: None
        self.edits = LabelEdits(self)
        self.drafts = DraftKeeper()
        self._build()
        self._fill_models(list_models() if models is None else list(models))
        self._connect()
        prefer_model(self.review.model_box)
        self._show_recent()
        self._on_layers_changed()
        self._refresh()

    # Building -------------------------------------------------------------------------------------------------------

    def _build(self) -> None:
        column = column_in(self)
        row = QHBoxLayout()
        self.dataset_box = combo("The data set; recently opened ones are listed.", "Data set")
        self.open_button = button("&Open…", "Open the folder of a curated data set.")
        self.new_button = button("Ne&w…", "Create an empty data set in a new or empty folder.")
        row.addWidget(self.dataset_box, 1)
        row.addWidget(self.open_button)
        row.addWidget(self.new_button)
        column.addLayout(row)
        self.review = ReviewPage()
        self.add = AddPage()
        self.pages = QTabWidget()
        self.pages.addTab(self.review, "Review")
        self.pages.addTab(self.add, "Add case")
        self.imports = ImportPage(lambda: self.dataset)
        self.pages.addTab(self.imports, "Import")
        self.pages.setTabToolTip(0, "Walk through the cases, compare, correct and decide.")
        self.pages.setTabToolTip(1, "Add layers of the viewer as a case.")
        self.pages.setTabToolTip(2, "Add all cases of a labelled folder.")
        column.addWidget(self.pages, 1)
        self.status_label = wrapped("")
        self.status_label.setAccessibleName("Status")
        column.addWidget(self.status_label)
        self.code_box = ActionLines()
        column.addWidget(self.code_box)

    def sizeHint(self) -> QSize:
        """Narrow enough to leave room for the canvas on a small screen."""
        return QSize(370, 600)

    def _fill_models(self, models: Sequence[ModelInfo]) -> None:
        for model in models:
            self.review.model_box.addItem(model.card.title or model.name, model)
            self.review.model_box.setItemData(
                self.review.model_box.count() - 1, segment_state.model_tooltip(model), Qt.ItemDataRole.ToolTipRole
            )
        if not models:
            self.review.model_box.addItem(_NO_MODEL, None)

    def _connect(self) -> None:
        page = self.review
        self.open_button.clicked.connect(self._on_open_requested)
        self.new_button.clicked.connect(self._on_new_requested)
        self.dataset_box.activated.connect(self._on_recent_chosen)
        page.model_box.currentIndexChanged.connect(self._on_model_chosen)
        page.score_button.clicked.connect(self.score)
        page.cancel_button.clicked.connect(self._on_cancel_requested)
        page.table.open_requested.connect(self.open_case)
        page.use_button.clicked.connect(self.use_prediction)
        page.side_box.toggled.connect(self._on_side_by_side)
        for does, (key_button, action) in self._actions().items():
            key_button.clicked.connect(lambda _=False, action=action: action())
            self._viewer.bind_key(KEYS[does], _pressed(key_button, action), overwrite=True)
        for box in self.add.role_boxes.values():
            box.activated.connect(self._on_role_chosen)
        self.add.label_box.activated.connect(self._on_label_chosen)
        self.add.match_button.clicked.connect(self._on_match_requested)
        self.add.add_button.clicked.connect(self.add_case)
        self.imports.imported.connect(self._refresh)
        self.imports.changed.connect(lambda: self.imports.show_code_in(self.code_box))
        self.runner.finished.connect(self._on_finished)
        self.runner.failed.connect(self._on_failed)
        self.score_runner.progressed.connect(self._on_score_progress)
        self.score_runner.finished.connect(self._on_scored)
        self.score_runner.failed.connect(self._on_score_failed)
        self.score_runner.cancelled.connect(self._on_score_cancelled)
        self.edits.changed.connect(self._show_case)
        self.edits.copy_due.connect(self.keep_draft)
        self._layers_timer = self._single_timer(self._on_layers_changed)
        self._refresh_timer = self._single_timer(self._refresh)
        for event in _list_events(self._viewer):
            event.connect(self._on_layer_list_event)
        self._viewer.layers.selection.events.active.connect(self._on_selection_changed)
        window = self._viewer.window._qt_window
        self._guard = _CloseGuard(self._may_close, self)
        window.installEventFilter(self._guard)
        cancel_when_closed(self, self.score_runner, self.imports.look_runner)
        self.destroyed.connect(
            _farewell(
                self._viewer, self.runner, self.score_runner, self._on_layer_list_event, self._on_selection_changed
            )
        )

    def _single_timer(self, action: Callable[[], None]) -> QTimer:
        timer = QTimer(self)
        timer.setSingleShot(True)
        timer.timeout.connect(action)
        return timer

    def _actions(self) -> dict[str, tuple[Any, Callable[[], None]]]:
        """Button and action of each key."""
        page = self.review
        return {
            "accepted": (page.decide_buttons["accepted"], lambda: self.decide("accepted")),
            "rejected": (page.decide_buttons["rejected"], lambda: self.decide("rejected")),
            "needs_second_look": (page.decide_buttons["needs_second_look"], lambda: self.decide("needs_second_look")),
            "next_undecided": (page.undecided_button, self.open_next_undecided),
            "next_uncertain": (page.uncertain_button, self.open_next_uncertain),
            "previous": (page.previous_button, lambda: self._open_neighbour(-1)),
            "next": (page.next_button, lambda: self._open_neighbour(1)),
            "show_prediction": (page.prediction_button, self.toggle_prediction),
            "save": (page.save_button, self.save),
        }

    # The data set ---------------------------------------------------------------------------------------------------

    def _show_recent(self) -> None:
        self.dataset_box.clear()
        for folder in state.recent_datasets():
            self.dataset_box.addItem(folder.name, folder)
            self.dataset_box.setItemData(self.dataset_box.count() - 1, str(folder), Qt.ItemDataRole.ToolTipRole)
        opened = self.dataset.folder.resolve() if self.dataset is not None else None
        if opened is None:
            self.dataset_box.insertItem(0, "Choose a data set", None)
        self.dataset_box.setCurrentIndex(0)
        self.dataset_box.setToolTip(str(opened or "The data set; recently opened ones are listed."))

    def _on_recent_chosen(self) -> None:
        folder = self.dataset_box.currentData()
        if folder is not None and (self.dataset is None or folder != self.dataset.folder.resolve()):
            self.open_dataset(folder)
        self._show_recent()

    def _on_open_requested(self) -> None:
        folder = QFileDialog.getExistingDirectory(self, "Folder of a curated data set")
        if folder:
            self.open_dataset(folder)

    def _on_new_requested(self) -> None:
        start = str(Path.home() / "brain-tumor-data")
        folder, _ = QFileDialog.getSaveFileName(
            self, "New folder for the data set", start, "Folder", options=QFileDialog.Option.DontConfirmOverwrite
        )
        if folder:
            self.create_dataset(folder)

    def open_dataset(self, folder: str | Path) -> None:
        """Open a data set; its cases are shown in the table."""
        self._take_dataset(lambda: CuratedDataset(folder))

    def create_dataset(self, folder: str | Path) -> None:
        """Make an empty data set and open it."""
        self._take_dataset(lambda: CuratedDataset.create(folder))
        self.code_box.show_action(lambda: create_dataset_lines(Path(folder)))
        if self.dataset is not None and not len(self.dataset):
            self.pages.setCurrentWidget(self.add)

    def _take_dataset(self, make: Callable[[], CuratedDataset]) -> None:
        if self._busy() or not self._leave_case(lambda: self._take_dataset(make)):
            return
        try:
            dataset = make()
        except BrainTumorError as error:
            self._on_failed(error)
            return
        self.score_runner.cancel()
        self._close_case()
        self.dataset = dataset
        state.remember_dataset(dataset.folder)
        self._show_recent()
        self._refresh()
        self._tell(f"{dataset.name}: {len(dataset)} cases. {self._what_next()}")

    def _what_next(self) -> str:
        if self.dataset is not None and not len(self.dataset):
            return "Add the first one from layers of the viewer."
        return "Click one to open it."

    def _refresh(self) -> None:
        """Show the cases as they are on disk now."""
        rows: list[state.CaseRow] = []
        if self.dataset is not None:
            try:
                rows = state.case_rows(self.dataset, self._weights)
            except DatasetError as error:
                self._tell(str(error))
        self.review.table.show_rows(rows, self.case_id)
        self._show_case()

    @property
    def case_id(self) -> str | None:
        """Id of the case that is open."""
        return self.loaded.record.id if self.loaded is not None else None

    @property
    def _model(self) -> ModelInfo | None:
        return self.review.model_box.currentData()

    @property
    def _weights(self) -> str | None:
        return self._model.card.weights_sha256 if self._model is not None else None

    # Opening a case -------------------------------------------------------------------------------------------------

    def open_case(self, case_id: str | None) -> None:
        """Open a case in place of the one before, whose unsaved work is asked about first."""
        if case_id is None or self.dataset is None or self._busy():
            return
        if case_id == self.case_id or not self._leave_case(lambda: self.open_case(case_id)):
            self.review.table.select(self.case_id)
            return
        folder, weights = self.dataset.folder, self._weights
        self.drafts.flush()  # what was just put aside may be asked for at once
        self._run(f"Opening {case_id}…", lambda: state.load_case(folder, case_id, weights), self._show_loaded)

    def open_next_undecided(self) -> None:
        """Open the next case without a decision."""
        self._open_or_tell(
            state.next_undecided(self.review.table.rows, self.case_id), "No other case is waiting for a decision."
        )

    def open_next_uncertain(self) -> None:
        """Open the undecided case where the model is least certain."""
        self._open_or_tell(
            state.next_uncertain(self.review.table.rows, self.case_id),
            "No other undecided case has a score. Score all to find those where the model is least certain.",
        )

    def _open_neighbour(self, step: int) -> None:
        rows = self.review.table.rows
        self._open_or_tell(state.neighbour(rows, self.case_id, 1 if step > 0 else -1), "There is no case yet.")

    def _open_or_tell(self, case_id: str | None, otherwise: str) -> None:
        if case_id is None:
            self._tell(otherwise)
        else:
            self.open_case(case_id)

    def _show_loaded(self, loaded: state.LoadedCase) -> None:
        roles = self._visible_roles()
        previous = self._let_go()
        self.loaded, self._base = loaded, loaded.record.label.made_by
        added = layers.add_layers(self._viewer, [*state.show_roles(loaded.scans, roles), loaded.label])
        # After it, not before: an empty viewer goes to two dimensions and back, and OpenGL may crash on the way.
        self._remove_layers(previous)
        if len(self._viewer.layers) == len(added):
            layers.orient_viewer(self._viewer)
        self.case_layers = added
        truth = added[-1]
        self._base_data = np.array(truth.data)
        self.edits.watch(truth)
        self._show_prediction(loaded.prediction, visible=True)
        self._viewer.layers.selection = {truth}
        layers.show_tumour(self._viewer, truth)
        self.review.note_edit.setText(loaded.record.review.note)
        self.review.known_row.setVisible(not loaded.record.label.is_complete)
        self._tell(loaded.warning or f"Opened {loaded.record.id}.")
        self._refresh()
        if loaded.draft is not None:
            self._offer(loaded.draft)

    def _visible_roles(self) -> set[Role]:
        tags = [layer.metadata.get(layers.KEY) for layer in self.case_layers if layer.visible]
        return {tag.role for tag in tags if isinstance(tag, SequenceTag) and tag.role is not None}

    def _close_case(self) -> None:
        self._remove_layers(self._let_go())

    def _let_go(self) -> list[Layer]:
        """Forget the open case; returns its layers, which are still in the viewer."""
        _grid(self._viewer).enabled = False
        self.edits.watch(None)
        self.loaded = self._base = self._base_data = self._prediction = self._copy = None
        previous, self.case_layers = self.case_layers, []
        return previous

    def _remove_layers(self, previous: Sequence[Layer]) -> None:
        for layer in previous:
            if layer in self._viewer.layers:
                self._viewer.layers.remove(layer)

    def _offer(self, draft: Draft) -> None:
        assert self.loaded is not None
        when = f"{draft.record.made_at.astimezone():%Y-%m-%d %H:%M}"
        question = f"There is unsaved work on {draft.record.case} from {when}. Resume it?"
        if draft.record.label_sha256 != self.loaded.record.label.sha256:
            question += "\nThe saved label was replaced since: look closely before you save."
        answers = {"take": "Resume", "discard": "Discard", "later": "Not now"}
        answer = self.question(self, question, answers)
        if answer == "take":
            self._take_up(draft)
        elif answer == "discard":
            self._forget_draft()

    def _take_up(self, draft: Draft) -> None:
        truth = self.edits.layer
        assert truth is not None
        self._base = draft.record.base
        replace_labels(truth, draft.labels)
        self._base_data = self._base_data if draft.record.edited else np.array(truth.data)
        self.edits.mark_kept(np.array(truth.data))
        start_journal(self._viewer).mark_kept(truth)  # the draft stays on the disk
        self.edits.look()
        self._tell("Resumed the unsaved work. Save it, or undo it with Ctrl+Z.")

    # Unsaved work ---------------------------------------------------------------------------------------------------

    def keep_draft(self) -> None:
        """Copy unsaved work to the data set's folder."""
        truth, record = self.edits.layer, self._draft_record()
        if truth is None or record is None or self.dataset is None:
            return
        data = np.array(truth.data)
        journal = start_journal(self._viewer)
        point = journal.save_point(truth)
        self.drafts.keep(self.dataset.folder, Draft(record, data), lambda: journal.mark_saved(point))
        self.edits.mark_kept(data)

    def _draft_record(self) -> DraftRecord | None:
        if self.loaded is None or self._base is None:
            return None
        record = self.loaded.record
        return DraftRecord(
            case=record.id,
            label_sha256=record.label.sha256,
            base=self._base,
            edited=self._painted,
            made_at=now(),
        )

    @property
    def _painted(self) -> bool:
        """Whether the labels differ from what was there before a hand came."""
        truth = self.edits.layer
        return truth is not None and not np.array_equal(truth.data, self._base_data)

    def _forget_draft(self) -> None:
        if self.dataset is not None and self.case_id is not None:
            self.drafts.forget(self.dataset.folder, self.case_id)

    def _leave_case(self, then: Callable[[], None]) -> bool:
        """Whether the open case may be left now; where it is saved first, `then` is called when that is done."""
        self.edits.look()
        if not self.edits.edited:
            return True
        answer = self.question(self, f"The label of {self.case_id} has changes that are not saved.", _UNSAVED)
        if answer == "draft":
            self.keep_draft()
        elif answer == "discard":
            self._discard_changes()
        elif answer == "save":
            self.save(then)
        return answer in ("draft", "discard")

    def _discard_changes(self) -> None:
        truth = self.edits.layer
        if truth is not None:
            replace_labels(truth, self.edits.saved)
            self.edits.look()
            start_journal(self._viewer).mark_kept(truth)
        self._forget_draft()

    def _may_close(self) -> bool:
        """Whether napari may close now."""
        self.edits.look()
        if not self.edits.edited:
            self.drafts.flush()
            return True
        question = f"The label of {self.case_id} has changes that are not saved."
        answer = self.question(self, question, _UNSAVED)
        if answer == "save":
            self.save(self._close_window)  # by itself, once it is saved
            return False
        if answer == "draft":
            self.keep_draft()
        elif answer == "discard":
            self._discard_changes()
        self.drafts.flush()
        return answer in ("draft", "discard")

    def _close_window(self) -> None:
        QTimer.singleShot(0, self._viewer.close)

    def hideEvent(self, event: QHideEvent | None) -> None:
        """Keep a copy of unsaved work when the panel is closed."""
        self.edits.look()
        if self.edits.edited:
            self.keep_draft()
        super().hideEvent(event)

    # Correcting and deciding ----------------------------------------------------------------------------------------

    def use_prediction(self) -> None:
        """Put the model's labels in place of the label, to be corrected; nothing is saved yet."""
        truth = self.edits.layer
        if self.loaded is None or self.loaded.score is None or self._prediction is None or truth is None:
            self._tell("There is no prediction for this case yet: score it first.")
            return
        replace_labels(truth, self._prediction.data)
        score = self.loaded.score
        self._base = MadeBy(kind="model", model=score.model, model_sha256=score.weights_sha256)
        self._base_data = np.array(truth.data)
        self.edits.look()
        self._tell("The model's labels are in place of the label. Correct them, then save or decide.")

    def save(self, then: Callable[[], None] | None = None) -> None:
        """Save the label as it is now, still undecided."""
        if self.edits.layer is None:
            return
        self._save("draft", then or (lambda: None))

    def decide(self, decision: ReviewState) -> None:
        """Note a decision; an edited label is saved with it."""
        if self.loaded is None or self.dataset is None or self._busy():
            return
        self.edits.look()
        if self.edits.edited:
            self._save(decision, self._go_on)
            return
        folder, case_id, note = self.dataset.folder, self.loaded.record.id, self.review.note_edit.text()
        self.code_box.show_action(lambda: review_lines_of(folder, case_id, decision, note))
        self._run(
            f"Noting {case_id}…",
            lambda: state.review_case(folder, case_id, decision, note),
            lambda record: self._on_decided(record, self._go_on),
        )

    def _save(self, decision: ReviewState, then: Callable[[], None]) -> None:
        if self.loaded is None or self.dataset is None or self.edits.layer is None or self._base is None:
            return
        if self._busy():
            return
        try:
            live_view = layers.view(self.edits.layer)
        except BrainTumorError as error:
            self._on_failed(error)
            return
        snapshot = np.array(live_view.data)
        maker = state.maker_after(self._base, edited=self._painted)
        folder, loaded, note = self.dataset.folder, self.loaded, self.review.note_edit.text()
        knowing = self.review.known_box.currentData()
        layer, case_id = weakref.ref(self.edits.layer), loaded.record.id
        self.code_box.show_action(lambda: relabel_lines_of(folder, case_id, layer(), decision, note))

        def work() -> tuple[CaseRecord, Any]:
            view = replace(live_view, data=snapshot)
            record = state.save_label(folder, loaded, view, maker=maker, state=decision, note=note, knowing=knowing)
            return record, CuratedDataset(folder).truth(record.id)

        self.keep_draft()  # should the saving fail, the work is on the disk
        self._run(f"Saving {loaded.record.id}…", work, lambda saved: self._on_saved(saved, snapshot, maker, then))

    def _on_saved(self, saved: tuple[CaseRecord, Any], snapshot: Any, maker: MadeBy, then: Callable[[], None]) -> None:
        record, truth = saved
        assert self.loaded is not None
        self.loaded = replace(self.loaded, record=record, truth=truth)
        self._base, self._base_data = maker, snapshot
        self.edits.mark_saved(snapshot)
        if self.edits.edited:
            self.keep_draft()  # painted on while it was being saved
        else:
            self._forget_draft()
        self._on_decided(record, then)

    def _on_decided(self, record: CaseRecord, then: Callable[[], None]) -> None:
        assert self.loaded is not None
        self.loaded = replace(self.loaded, record=record)
        self.review.known_row.setVisible(not record.label.is_complete)
        self.drafts.flush()
        self._refresh()
        self._tell(f"{record.id}: {state.STATE_NAMES[record.state]}, label version {record.label.version}.")
        then()

    def _go_on(self) -> None:
        if self.review.go_on_box.isChecked():
            following = state.next_undecided(self.review.table.rows, self.case_id)
            if following is not None:
                self.open_case(following)

    # Prediction -----------------------------------------------------------------------------------------------------

    def toggle_prediction(self) -> None:
        """Show or hide the model's labels."""
        if self._prediction is None or self._prediction not in self._viewer.layers:
            self.review.prediction_button.setChecked(False)
            self._tell("There is no prediction for this case yet: score it first.")
            return
        self._prediction.visible = not self._prediction.visible
        self._show_case()

    def _show_prediction(self, data: layers.LayerData | None, *, visible: bool) -> None:
        if self._prediction is not None and self._prediction in self._viewer.layers:
            visible = self._prediction.visible
            self._viewer.layers.remove(self._prediction)
        self.case_layers = [layer for layer in self.case_layers if layer is not self._prediction]
        self._prediction = None
        if data is None:
            return
        active = self._viewer.layers.selection.active
        self._prediction = self._viewer.add_layer(layers.layer_of(data))
        self._prediction.visible = visible
        self._prediction.editable = False
        self.case_layers.append(self._prediction)
        if active is not None:
            self._viewer.layers.selection = {active}
        self._on_side_by_side()

    def _on_side_by_side(self) -> None:
        """Two pictures: the scans with the label, and a copy of the scan that is shown with the prediction."""
        grid = _grid(self._viewer)
        was_on = grid.enabled
        grid.enabled = False  # first: the pictures are torn down while all their layers are there
        self._remove_copy()
        prediction, on = self._prediction, self.review.side_box.isChecked()
        if prediction is None or prediction not in self._viewer.layers:
            return
        prediction.contour = 0 if on else 1
        prediction.opacity = 0.6 if on else 1.0
        scan = _shown_scan(self.case_layers)
        if on and scan is not None:
            self._add_copy(scan, prediction)
            grid.enabled = True
        if on or was_on:
            self._viewer.reset_view()

    def _add_copy(self, scan: Layer, prediction: Layer) -> None:
        active = self._viewer.layers.selection.active
        data, attributes, kind = scan.as_layer_data_tuple()
        copy = layers.layer_of((data, {**attributes, "name": f"{scan.name} with prediction", "metadata": {}}, kind))
        self._viewer.layers.insert(self._viewer.layers.index(prediction), copy)
        self._viewer.layers.move(self._viewer.layers.index(copy), len(self._viewer.layers))
        self._viewer.layers.move(self._viewer.layers.index(prediction), len(self._viewer.layers))
        self._copy = copy
        self.case_layers.append(copy)
        grid = _grid(self._viewer)
        grid.stride, grid.shape = len(self._viewer.layers) - 2, (1, 2)
        if active is not None:
            self._viewer.layers.selection = {active}

    def _remove_copy(self) -> None:
        if self._copy is None:
            return
        self.case_layers = [layer for layer in self.case_layers if layer is not self._copy]
        if self._copy in self._viewer.layers:
            self._viewer.layers.remove(self._copy)
        self._copy = None

    def _on_model_chosen(self) -> None:
        self._refresh()
        self._reload_prediction()

    def _reload_prediction(self) -> None:
        if self.loaded is None or self.dataset is None:
            return
        try:
            score, data = state.prediction_of(self.dataset, self.loaded.record, self._weights)
        except BrainTumorError as error:
            self._on_failed(error)
            return
        self.loaded = replace(self.loaded, score=score, prediction=data)
        self._show_prediction(data, visible=True)
        self._show_case()

    def score(self) -> None:
        """Let the chosen model segment every case; `score_runner` tells how it goes."""
        if self.dataset is None or self._model is None:
            self._tell("Open a data set and choose a model first.")
            return
        folder, model = str(self.dataset.folder), str(self._model.folder)
        ids = [row.id for row in self.review.table.rows]
        if self.case_id is not None:
            ids.sort(key=lambda case_id: case_id != self.case_id)  # what is looked at comes first
        self.review.show_running(True)
        scored, info = self.dataset.folder, self._model
        self.code_box.show_action(lambda: score_lines_of(scored, ids, info))
        self.score_runner.start(lambda stop: stop.guard(self._worker.run(self._target, folder, ids, model)))

    def _on_cancel_requested(self) -> None:
        self.review.cancel_button.setEnabled(False)
        self.score_runner.cancel()

    def _on_score_progress(self, progress: Progress, seconds_left: float | None) -> None:
        self.review.progress_bar.setValue(round(1000 * progress.fraction))
        self._tell(segment_state.sentence(progress.message, time_left_text(seconds_left)))
        if not self._refresh_timer.isActive():
            self._refresh_timer.start(_REFRESH_MS)

    def _on_scored(self, problems: Mapping[str, str]) -> None:
        self._end_scoring()
        failures = [f"{case_id}: {problem}" for case_id, problem in problems.items()]
        self._tell("\n".join(["Scored." if not failures else "Some cases have no score.", *failures[:5]]))

    def _on_score_failed(self, error: Exception) -> None:
        self._end_scoring()
        self._on_failed(error)

    def _on_score_cancelled(self) -> None:
        self._end_scoring()
        self._tell("Cancelled. Cases that were done keep their scores.")

    def _end_scoring(self) -> None:
        self.review.show_running(False)
        self._refresh_timer.stop()
        self._refresh()
        self._reload_prediction()

    # Adding ---------------------------------------------------------------------------------------------------------

    def _on_layer_list_event(self, event: Any = None) -> None:
        self._layers_timer.start(0)  # once for the four layers of a case, not four times

    def _on_layers_changed(self) -> None:
        truth = self.edits.layer
        if truth is not None and truth not in self._viewer.layers:
            self._on_truth_removed()
        candidates = segment_state.candidates(self._viewer.layers)
        still_open = {role: layer for role, layer in self._chosen_scans().items() if layer in self._viewer.layers}
        self._image_layers = [candidate.layer for candidate in candidates]
        self._label_layers = [layer for layer in self._viewer.layers if segment_state.is_result(layer)]
        self._roles_by_hand = self._roles_by_hand and bool(still_open)
        self._show_matched(still_open if self._roles_by_hand else segment_state.match_roles(candidates))

    def _chosen_scans(self) -> dict[Role, Layer]:
        """Layers of the roles of a case to be added."""
        positions = {role: box.currentIndex() - 1 for role, box in self.add.role_boxes.items()}
        return {role: self._image_layers[at] for role, at in positions.items() if at >= 0}

    def _on_role_chosen(self) -> None:
        self._roles_by_hand = True

    def _on_truth_removed(self) -> None:
        self.edits.look()
        if self.edits.edited:
            self.keep_draft()
        self._close_case()
        self._refresh()

    def _on_match_requested(self) -> None:
        self._roles_by_hand = False
        near = self._viewer.layers.selection.active
        self._show_matched(segment_state.match_roles(segment_state.candidates(self._viewer.layers), near))

    def _show_matched(self, matched: Mapping[Role, Layer]) -> None:
        for role, box in self.add.role_boxes.items():
            box.clear()
            box.addItem("none")
            for layer in self._image_layers:
                box.addItem(segment_state.short_name(layer))
                box.setItemData(box.count() - 1, layer.name, Qt.ItemDataRole.ToolTipRole)
            box.setCurrentIndex(self._image_layers.index(matched[role]) + 1 if role in matched else 0)
        self._show_labels()
        self._show_case()

    def _show_labels(self) -> None:
        """Offer the labels that are selected, until others are chosen by hand."""
        box, labels = self.add.label_box, self._label_layers
        current = labels[box.currentIndex()] if 0 <= box.currentIndex() < min(box.count(), len(labels)) else None
        box.clear()
        box.addItems([layer.name for layer in labels])
        preferred = (self._label_by_hand, self._viewer.layers.selection.active, current)
        box.setCurrentIndex(state.label_to_offer(labels, preferred))

    def _on_label_chosen(self, at: int) -> None:
        self._label_by_hand = self._label_layers[at]

    def _on_selection_changed(self, event: Any = None) -> None:
        active = self._viewer.layers.selection.active
        if active in self._label_layers and self._label_by_hand is None:
            self.add.label_box.setCurrentIndex(self._label_layers.index(active))

    def add_case(self) -> None:
        """Add the chosen layers as a case."""
        if self.dataset is None or self._busy():
            self._tell("Open or make a data set first.")
            return
        try:
            request = self._add_request()
        except BrainTumorError as error:
            self._on_failed(error)
            return
        folder = self.dataset.folder
        scans, label = self._chosen_scans(), self._label_layers[self.add.label_box.currentIndex()]
        self.code_box.show_action(lambda: add_lines_of(folder, scans, label, request.request, request.slices))
        self._run("Adding the case…", lambda: state.add_case(folder, request), self._on_added)

    def _add_request(self) -> state.AddRequest:
        page = self.add
        sequences = {role: layers.view(layer) for role, layer in self._chosen_scans().items()}
        if not sequences or page.label_box.currentIndex() < 0:
            msg = "A case needs a scan and a labels layer. Open a scan, then segment it or paint on a new labels layer."
            raise DatasetError(msg)
        label = layers.view(self._label_layers[page.label_box.currentIndex()])
        return state.AddRequest(
            sequences,
            replace(label, data=np.array(label.data)),
            page.patient_edit.text(),
            page.grade_box.currentText(),
            page.note_edit.text(),
            page.state_box.currentData(),
            state.numbers_in(page.slices_edit.text()),
            layers.readable_views(self._viewer.layers),
            tuple(page.others_edit.text().replace(",", " ").split()),
        )

    def _on_added(self, record: CaseRecord) -> None:
        self.add.note_edit.clear()
        self.add.slices_edit.clear()
        self.add.patient_edit.clear()
        self._label_by_hand = None
        self.add.others_edit.clear()
        self._refresh()
        alike = [
            f"{similar_case.case}: {similar_case.kind}, so both are on one side." for similar_case in record.similar
        ]
        self._tell("\n".join([f"Added {record.id}: patient {record.patient}, {record.split}.", *alike]))
        notify(f"Added {record.id}.")

    # What is shown --------------------------------------------------------------------------------------------------

    def _show_case(self) -> None:
        page, is_open = self.review, self.loaded is not None
        has_prediction = self._prediction is not None
        page.case_label.setText(self._case_text())
        for control in (*page.decide_buttons.values(), page.note_edit):
            control.setEnabled(is_open)
        page.save_button.setEnabled(self.edits.edited)
        page.use_button.setEnabled(has_prediction)
        page.side_box.setEnabled(has_prediction)
        page.prediction_button.setEnabled(has_prediction)
        page.prediction_button.setChecked(self._prediction is not None and self._prediction.visible)
        has_cases = bool(page.table.rows)
        for walk in (page.undecided_button, page.uncertain_button, page.previous_button, page.next_button):
            walk.setEnabled(has_cases)
        page.score_button.setEnabled(has_cases and self._model is not None)
        self.add.add_button.setEnabled(self.dataset is not None)
        self.imports.show_readiness()

    def _case_text(self) -> str:
        if self.loaded is None:
            return "Click a case to open it." if self.dataset is not None else "Open a data set, or make a new one."
        record = self.loaded.record
        by = record.label.made_by
        maker = f"{by.kind} ({by.model})" if by.model else by.kind
        edited = " · edited, not saved" if self.edits.edited else ""
        return f"<b>{record.id}</b> · {state.STATE_NAMES[record.state]} · label by {maker}{edited}"

    def _busy(self) -> bool:
        return self.runner.running

    def _run(self, message: str, work: Callable[[], Any], then: Callable[[Any], None]) -> None:
        self._tell(message)
        self._then = then
        self.runner.start(lambda _: as_job(work))

    def _on_finished(self, result: Any) -> None:
        self.runner.wait(1)  # its thread is about to end; what follows may start the next job
        self._then(result)

    def _on_failed(self, error: Exception) -> None:
        self._tell(str(error))
        notify_error(error)
        self.review.table.select(self.case_id)

    def _tell(self, text: str) -> None:
        self.status_label.setText(text)


class _CloseGuard(QObject):
    """Lets a window close only where nothing would be lost."""

    def __init__(self, may_close: Callable[[], bool], parent: QObject) -> None:
        super().__init__(parent)
        self._may_close = may_close

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:
        """Stop a close event that the user does not mean."""
        if event is not None and event.type() == QEvent.Type.Close and not self._may_close():
            event.ignore()
            return True
        return False


def _shown_scan(case_layers: Sequence[Layer]) -> Layer | None:
    """The uppermost scan that is visible."""
    scans = [layer for layer in case_layers if isinstance(layer, Image) and layer.visible]
    return scans[-1] if scans else None


def _grid(viewer: Any) -> Any:
    # `viewer.grid` is deprecated from napari 0.9 on, where the canvas has it.
    return viewer.canvas.grid if hasattr(viewer, "canvas") else viewer.grid


def _pressed(key_button: Any, action: Callable[[], None]) -> Callable[[Any], None]:
    """What a key does: what its button does, while that can be clicked."""

    def press(_: Any) -> None:
        with suppress(RuntimeError):  # the panel is gone
            if key_button.isEnabled() and not isinstance(key_button.window(), CurateWidget):  # else its dock was closed
                action()

    return press


def _list_events(viewer: Any) -> list[Any]:
    events = viewer.layers.events
    return [events.inserted, events.removed, events.reordered]


def _farewell(
    viewer: Any,
    runner: JobRunner,
    score_runner: JobRunner,
    on_list: Callable[..., None],
    on_selection: Callable[..., None],
) -> Callable[..., None]:
    """What stops the jobs and cuts the ties to the viewer when the panel is gone."""

    def leave(*_: Any) -> None:
        runner.cancel()
        score_runner.cancel()
        for event in _list_events(viewer):
            event.disconnect(on_list)
        viewer.layers.selection.events.active.disconnect(on_selection)
        for key in KEYS.values():
            viewer.bind_key(key, None, overwrite=True)

    return leave
