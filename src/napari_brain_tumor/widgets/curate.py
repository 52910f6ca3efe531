"""The data set panel: review its cases, add new ones, import folders."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, Final

import napari.viewer
from qtpy.QtGui import QHideEvent
from qtpy.QtWidgets import QAbstractButton, QTabWidget

from napari_brain_tumor.dataset import CaseRecord, CuratedDataset
from napari_brain_tumor.errors import BrainTumorError, DatasetError
from napari_brain_tumor.inference.worker_process import WorkerProcess
from napari_brain_tumor.models.cards import ModelInfo, list_models
from napari_brain_tumor.requests.dataset_actions import create_dataset_lines
from napari_brain_tumor.widgets import case_rows
from napari_brain_tumor.widgets import curate_state as state
from napari_brain_tumor.widgets.action_lines import ActionLines
from napari_brain_tumor.widgets.add_page import AddPage
from napari_brain_tumor.widgets.case_review import CaseReview
from napari_brain_tumor.widgets.case_scores import CaseScores
from napari_brain_tumor.widgets.closing import CloseGuard, cancel_when_closed, when_gone
from napari_brain_tumor.widgets.curate_pages import KEYS, ReviewPage
from napari_brain_tumor.widgets.dataset_chooser import DatasetChooser
from napari_brain_tumor.widgets.import_page import ImportPage
from napari_brain_tumor.widgets.label_journal import start_journal
from napari_brain_tumor.widgets.layer_list_watch import LayerListWatch
from napari_brain_tumor.widgets.panel_lines import add_lines_of
from napari_brain_tumor.widgets.parts import Panel, add_to, column_in, wrapped
from napari_brain_tumor.widgets.questions import Ask, ask
from napari_brain_tumor.widgets.worker import TaskRunner, notify, notify_error, shared_worker

_TABS: Final = (
    ("Review", "Go through the cases: compare, correct and decide."),
    ("Add case", "Add layers of the viewer as a case."),
    ("Import", "Add all cases of a labelled folder."),
)


class CurateWidget(Panel):
    """Reviews and corrects the cases of a curated data set, and adds new ones.

    Unsaved work is copied to the folder of the data set every few seconds, and offered when the case is opened again.

    Parameters
    ----------
    worker : WorkerProcess, optional
        By default, the one of this session.
    target : str
        The job that runs in the worker process, called like `case_scoring.score_dataset_job`.
    models : sequence of ModelInfo, optional
        By default, the installed ones.
    question : callable
        Asks the user; see `questions.Ask`.
    """

    SIZE = (370, 600)

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
        self.dataset: CuratedDataset | None = None
        self.runner = TaskRunner(self)
        self._build()
        offered = list_models() if models is None else models
        self.scores = CaseScores(self.review, worker or shared_worker(), target, offered, lambda: self.dataset)
        self.cases = CaseReview(napari_viewer, self.review, self.runner, lambda: self.dataset, question)
        self._connect()
        self._follow_viewer()
        self._on_layers_changed()
        self._refresh()

    def _build(self) -> None:
        column = column_in(self)
        self.chooser = DatasetChooser(self)
        column.addLayout(self.chooser.row)
        self.review = ReviewPage()
        self.add = AddPage(self._viewer)
        self.imports = ImportPage(lambda: self.dataset)
        self.pages = QTabWidget()
        for at, (page, (title, tip)) in enumerate(zip((self.review, self.add, self.imports), _TABS, strict=True)):
            self.pages.addTab(page, title)
            self.pages.setTabToolTip(at, tip)
        column.addWidget(self.pages, 1)
        self.status_label = wrapped("", "Status")
        self.code_box = ActionLines()
        add_to(column, self.status_label, self.code_box)

    def _connect(self) -> None:
        self.chooser.open_requested.connect(self.open_dataset)
        self.chooser.create_requested.connect(self.create_dataset)
        self.review.table.open_requested.connect(self.cases.open_case)
        self.review.score_button.clicked.connect(lambda: self.scores.start(self.cases.case_id))
        self.review.model_box.currentIndexChanged.connect(self._on_scores_changed)
        for source in (self.scores, self.cases):
            source.message.connect(self.status_label.setText)
            source.failed.connect(self._on_failed)
            source.acted.connect(self.code_box.show_action)
            source.changed.connect(self._refresh)
        self.scores.ended.connect(self._on_scores_changed)
        self.add.add_button.clicked.connect(self.add_case)
        self.imports.imported.connect(self._refresh)
        self.imports.changed.connect(lambda: self.imports.show_code_in(self.code_box))
        self.runner.failed.connect(self._on_failed)

    def _follow_viewer(self) -> None:
        for does, (key_button, action) in self._actions().items():
            key_button.clicked.connect(lambda _=False, action=action: action())
            self._viewer.bind_key(KEYS[does], _pressed(key_button, action, self), overwrite=True)
        self._list_watch = LayerListWatch(self._viewer, self, self._on_layers_changed)
        self._viewer.layers.selection.events.active.connect(self.add.on_selection_changed)
        self._guard = CloseGuard(self._viewer.window._qt_window, lambda _: self.cases.may_close(), self)
        cancel_when_closed(self, self.scores.runner, self.imports.look_runner)
        leave_viewer = partial(_leave, self._viewer, self.add.on_selection_changed)
        when_gone(self, self.runner.cancel, self.scores.runner.cancel, leave_viewer)

    def _actions(self) -> dict[str, tuple[QAbstractButton, Callable[[], None]]]:
        """Button and action of each key."""
        page, cases = self.review, self.cases
        return {
            "accepted": (page.decide_buttons["accepted"], lambda: cases.decide("accepted")),
            "rejected": (page.decide_buttons["rejected"], lambda: cases.decide("rejected")),
            "needs_second_look": (page.decide_buttons["needs_second_look"], lambda: cases.decide("needs_second_look")),
            "next_undecided": (page.undecided_button, cases.open_next_undecided),
            "next_uncertain": (page.uncertain_button, cases.open_next_uncertain),
            "previous": (page.previous_button, lambda: cases.open_neighbour(-1)),
            "next": (page.next_button, lambda: cases.open_neighbour(1)),
            "show_prediction": (page.prediction_button, cases.toggle_prediction),
            "save": (page.save_button, cases.save),
        }

    # The data set ---------------------------------------------------------------------------------------------------

    def open_dataset(self, folder: str | Path) -> None:
        """Open a data set; its cases are shown in the table."""
        self._take_dataset(lambda: CuratedDataset(folder))

    def create_dataset(self, folder: str | Path) -> None:
        """Create an empty data set and open it."""
        self._take_dataset(lambda: CuratedDataset.create(folder))
        self.code_box.show_action(lambda: create_dataset_lines(Path(folder)))
        if self.dataset is not None and not len(self.dataset):
            self.pages.setCurrentWidget(self.add)

    def _take_dataset(self, make: Callable[[], CuratedDataset]) -> None:
        if self.runner.running or not self.cases.leave(lambda: self._take_dataset(make)):
            return
        try:
            dataset = make()
        except BrainTumorError as error:
            self._on_failed(error)
            return
        self.scores.runner.cancel()
        self.cases.case.close()
        self.dataset = dataset
        state.remember_dataset(dataset.folder)
        self.chooser.show_folder(dataset.folder)
        self._refresh()
        todo = "Click one to open it." if len(dataset) else "Add the first one from the viewer's layers."
        self.status_label.setText(f"{dataset.name}: {len(dataset)} cases. {todo}")

    def _refresh(self) -> None:
        """Show the cases as they are on disk now."""
        rows: list[case_rows.CaseRow] = []
        model = self.review.model
        if self.dataset is not None:
            try:
                rows = case_rows.case_rows(self.dataset, model.card.weights_sha256 if model is not None else None)
            except DatasetError as error:
                self.status_label.setText(str(error))
        self.review.table.show_rows(rows, self.cases.case_id)
        self._show_case()

    def _show_case(self) -> None:
        self.cases.refresh()
        self.add.add_button.setEnabled(self.dataset is not None)
        self.imports.show_readiness()

    def _on_scores_changed(self) -> None:
        self._refresh()
        self.cases.reload_prediction()

    # The viewer -----------------------------------------------------------------------------------------------------

    def _on_layers_changed(self) -> None:
        case = self.cases.case
        truth = case.edits.layer
        if truth is not None and truth not in self._viewer.layers:
            if case.edited:
                case.keep_draft()
            case.close()
            self._refresh()
        self.add.offer_layers()
        self._show_case()

    def hideEvent(self, event: QHideEvent | None) -> None:
        """Keep a copy of unsaved work when the panel is closed."""
        if self.cases.case.edited:
            self.cases.case.keep_draft()
        super().hideEvent(event)

    # Adding ---------------------------------------------------------------------------------------------------------

    def add_case(self) -> None:
        """Add the chosen layers as a case."""
        if self.dataset is None or self.runner.running:
            self.status_label.setText("Open or create a data set first.")
            return
        try:
            form = self.add.request()
        except BrainTumorError as error:
            self._on_failed(error)
            return
        folder, scans, label = self.dataset.folder, self.add.scans, self.add.label
        assert label is not None
        self.code_box.show_action(lambda: add_lines_of(folder, scans, label, form.request, form.slices))
        self.status_label.setText("Adding the case…")
        self.runner.run(lambda: state.add_case(folder, form), self._on_added)

    def _on_added(self, record: CaseRecord) -> None:
        self.add.clear()
        self._refresh()
        alike = (f"{similar.case}: {similar.kind}, so both are on one side." for similar in record.similar)
        added = f"Added {record.id}: patient {record.patient}, {record.split}."
        self.status_label.setText("\n".join([added, *alike]))
        notify(f"Added {record.id}.")

    def _on_failed(self, error: Exception) -> None:
        self.status_label.setText(str(error))
        notify_error(error)
        self.review.table.select(self.cases.case_id)


def _pressed(key_button: QAbstractButton, action: Callable[[], None], panel: CurateWidget) -> Callable[[Any], None]:
    """Return what a key does: the action of its button, while that is enabled."""

    def press(_: Any) -> None:
        with suppress(RuntimeError):  # the panel has been destroyed
            if key_button.isEnabled() and key_button.window() is not panel:  # otherwise its dock was closed
                action()

    return press


def _leave(viewer: Any, on_selection: Callable[..., None]) -> None:
    viewer.layers.selection.events.active.disconnect(on_selection)
    for key in KEYS.values():
        viewer.bind_key(key, None, overwrite=True)
