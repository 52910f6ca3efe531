"""The tabs of the dock: each is created when first opened, activated when entered and deactivated when left."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from napari.layers import Layer
from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QStackedWidget, QTabBar, QWidget

from napari_brain_tumor.widgets.action_lines import ActionLines
from napari_brain_tumor.widgets.compare import CompareWidget
from napari_brain_tumor.widgets.correct import CorrectWidget
from napari_brain_tumor.widgets.curate import CurateWidget
from napari_brain_tumor.widgets.dock.jobs import RunningJobs
from napari_brain_tumor.widgets.dock.state import JobFacts, Tab
from napari_brain_tumor.widgets.measure import MeasureWidget
from napari_brain_tumor.widgets.parts import column_of
from napari_brain_tumor.widgets.segment import SegmentWidget
from napari_brain_tumor.widgets.wheel_guard import WheelGuard
from napari_brain_tumor.widgets.worker import time_left_text

if TYPE_CHECKING:
    from napari_brain_tumor.widgets.train import TrainWidget
    from napari_brain_tumor.widgets.visits import VisitsWidget

_TRAINING: Final = "Training"
_TRAIN_AT: Final = 3
"""Position of training in the row of its tab, after the pages of the data set."""
_WATCH_MS: Final = 5000


class Page(QWidget):
    """A tab with one panel.

    Parameters
    ----------
    panel : QWidget
        Has a `code_box`, and optionally `enter` and `leave`.
    """

    def __init__(self, panel: Any) -> None:
        super().__init__()
        self.panel = panel
        panel.code_box.hide()  # shown below the tabs instead
        self._column = column_of(self, spacing=0)
        self._fill()

    def _fill(self) -> None:
        self._column.addWidget(self.panel)

    @property
    def code_box(self) -> ActionLines:
        """Return the code that repeats what the current panel does."""
        box: ActionLines = self.panel.code_box
        return box

    def enter(self) -> None:
        """Activate the panel when its tab is shown."""
        if hasattr(self.panel, "enter"):
            self.panel.enter()

    def leave(self) -> None:
        """Deactivate the panel when its tab is left."""
        if hasattr(self.panel, "leave"):
            self.panel.leave()


class _PagesOfOneTab(Page):
    """A tab of several panels with a row above to choose between them."""

    titles: tuple[tuple[str, str], ...] = ()

    def _fill(self) -> None:
        self.bar = QTabBar()
        self.bar.setUsesScrollButtons(False)
        self.bar.setExpanding(True)
        self.bar.setDrawBase(False)
        for at, (title, tip) in enumerate(self.titles):
            self.bar.addTab(title)
            self.bar.setTabToolTip(at, tip)
        self.stack = QStackedWidget()
        self._column.addWidget(self.bar)
        self._column.addWidget(self.stack, 1)
        self.stack.addWidget(self.panel)
        WheelGuard(self)
        self.bar.currentChanged.connect(self._on_chosen)

    def _on_chosen(self, at: int) -> None:
        raise NotImplementedError

    def _add_panel(self, panel: Any) -> None:
        panel.code_box.hide()
        self.stack.addWidget(panel)

    @property
    def code_box(self) -> ActionLines:
        """Return the code that repeats what the current panel does."""
        panel: Any = self.stack.currentWidget()
        box: ActionLines = panel.code_box
        return box


class MeasurePage(_PagesOfOneTab):
    """Measures the current examination, or several over time.

    Parameters
    ----------
    viewer : napari.Viewer
    """

    titles = (
        ("This examination", "Volumes, lesions and diameters of the labels in view."),
        ("Over time", "Several examinations of a patient: sizes, response, report."),
    )

    def __init__(self, viewer: Any, jobs: RunningJobs) -> None:
        self._viewer, self._jobs = viewer, jobs
        self.visits: VisitsWidget | None = None
        super().__init__(MeasureWidget(viewer))
        jobs.follow("Measuring", self.panel.runner)

    def _on_chosen(self, at: int) -> None:
        if at == 1:
            self.panel.leave()
            self.stack.setCurrentWidget(self.over_time())
        else:
            self.stack.setCurrentWidget(self.panel)
            self.panel.enter()

    def over_time(self) -> "VisitsWidget":
        """Return the panel for several visits, created on first use."""
        if self.visits is None:
            from napari_brain_tumor.widgets.visits import VisitsWidget  # loads matplotlib

            self.visits = VisitsWidget(self._viewer)
            self._add_panel(self.visits)
            for title, runner in (
                ("Comparing visits", self.visits.runner),
                ("Registering", self.visits.register_runner),
                ("Opening visits", self.visits.open_runner),
                ("Writing the report of the visits", self.visits.results.save_runner),
            ):
                self._jobs.follow(title, runner)
        return self.visits

    def enter(self) -> None:
        """Measure the current labels, unless the visits are shown."""
        if self.bar.currentIndex() == 0:
            super().enter()


class DataPage(_PagesOfOneTab):
    """Review and add cases of a data set, and train on it.

    Parameters
    ----------
    viewer : napari.Viewer
    """

    titles = (
        ("Review", "Go through the cases of a data set: correct and decide."),
        ("Add case", "Add layers of the viewer as a case."),
        ("Import", "Add all cases of a labelled folder."),
        ("Train", "Train a model on the accepted cases."),
    )

    def __init__(self, viewer: Any, jobs: RunningJobs) -> None:
        self._viewer, self._jobs = viewer, jobs
        self.train: TrainWidget | None = None
        super().__init__(CurateWidget(viewer))
        self._watch_timer = QTimer(self)
        self._watch_timer.setInterval(_WATCH_MS)
        self._watch_timer.timeout.connect(self.watch_training)
        jobs.follow("Scoring the cases", self.panel.scores.runner)
        jobs.follow("Importing the folder", self.panel.imports.runner)
        bar = self.panel.pages.tabBar()
        if bar is not None:
            bar.hide()  # its pages are in the row above
        self.panel.pages.currentChanged.connect(self._on_page_changed)

    def _on_page_changed(self, at: int) -> None:
        if self.bar.currentIndex() != _TRAIN_AT:
            self.bar.setCurrentIndex(at)

    def _on_chosen(self, at: int) -> None:
        if at == _TRAIN_AT:
            self.stack.setCurrentWidget(self.training())
        else:
            self.panel.pages.setCurrentIndex(at)
            self.stack.setCurrentWidget(self.panel)

    def training(self) -> "TrainWidget":
        """Return the training panel, created on first use; it suggests the open data set."""
        if self.train is None:
            from napari_brain_tumor.widgets.train import TrainWidget  # loads matplotlib

            self.train = TrainWidget(self._viewer)
            self.train.setFont(self.font())  # created after the page adopted napari's font size
            self._add_panel(self.train)
            self._jobs.follow("Measuring a step of training", self.train.form.estimate_runner, "data")
            self._jobs.follow("Adding the model", self.train.runs.install_runner)
            self._watch_timer.start()
        if self.panel.dataset is not None and not self.train.form.choices.source:
            self.train.form.choose_source(str(self.panel.dataset.folder))
        return self.train

    def watch_training(self) -> None:
        """Show a running training, which has its own process, in the other tabs too."""
        train = self.train
        if train is None or train.runs.run is None:
            return
        train.runs.watch()
        status = train.runs.run.status
        if not status.is_alive:
            self._jobs.end(_TRAINING)
            return
        left = time_left_text(train.runs.seconds_left)
        facts = JobFacts(_TRAINING, status.message, status.fraction, left)
        self._jobs.put(facts, "data", train.runs.stop_button.click)

    @property
    def case_layers(self) -> list[Layer]:
        """The layers of the case under review; the panel itself asks about its unsaved changes."""
        layers: list[Layer] = self.panel.cases.case.all_layers
        return layers


def _compare_page(viewer: Any, jobs: RunningJobs) -> Page:
    page = Page(CompareWidget(viewer))
    jobs.follow("Comparing", page.panel.runner, "compare")
    jobs.follow("Making the consensus", page.panel.consensus.runner)
    page.panel.runner.finished.connect(lambda _: page.panel.differences.show_agreement() if page.isVisible() else None)
    return page


def _correct_page(viewer: Any, jobs: RunningJobs) -> Page:
    page = Page(CorrectWidget(viewer))
    jobs.follow("Beginning the correction", page.panel.chooser.runner)
    return page


PAGES: Final[dict[Tab, Callable[[Any, RunningJobs], Page]]] = {
    "segment": lambda viewer, _: Page(SegmentWidget(viewer)),
    "correct": _correct_page,
    "measure": MeasurePage,
    "compare": _compare_page,
    "data": DataPage,
}
