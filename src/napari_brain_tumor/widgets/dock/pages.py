"""The tabs of the dock: each is made when it is first opened, begins when it is entered and ends when it is left."""

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
"""Where training stands in the line of its tab, after the pages of the data set."""
_WATCH_MS: Final = 5000


class Page(QWidget):
    """A tab of one panel.

    Parameters
    ----------
    panel : QWidget
        With a `code_box`; it may have `enter` and `leave`.
    """

    def __init__(self, panel: Any) -> None:
        super().__init__()
        self.panel = panel
        panel.code_box.hide()  # the foot of the dock shows it
        self._column = column_of(self, spacing=0)
        self._fill()

    def _fill(self) -> None:
        self._column.addWidget(self.panel)

    @property
    def code_box(self) -> ActionLines:
        """What the panel in sight does, as code."""
        box: ActionLines = self.panel.code_box
        return box

    def enter(self) -> None:
        """The tab comes into sight."""
        if hasattr(self.panel, "enter"):
            self.panel.enter()

    def leave(self) -> None:
        """The tab goes out of sight."""
        if hasattr(self.panel, "leave"):
            self.panel.leave()


class _PagesOfOneTab(Page):
    """A tab of several panels with a line above to choose among them."""

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
        """What the panel in sight does, as code."""
        panel: Any = self.stack.currentWidget()
        box: ActionLines = panel.code_box
        return box


class MeasurePage(_PagesOfOneTab):
    """Measures the examination in view, or several over time.

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
        """The panel of the visits, which is made when it is first wanted."""
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
        """Measure what is in view, unless the visits are shown."""
        if self.bar.currentIndex() == 0:
            super().enter()


class DataPage(_PagesOfOneTab):
    """Review and add cases of a data set; train on it.

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
            bar.hide()  # its pages stand in the line above
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
        """The panel of training, which is made when it is first wanted; it offers the data set that is open."""
        if self.train is None:
            from napari_brain_tumor.widgets.train import TrainWidget  # loads matplotlib

            self.train = TrainWidget(self._viewer)
            self.train.setFont(self.font())  # it is made after the page took over napari's size
            self._add_panel(self.train)
            self._jobs.follow("Measuring a step of training", self.train.form.estimate_runner, "data")
            self._jobs.follow("Adding the model", self.train.runs.install_runner)
            self._watch_timer.start()
        if self.panel.dataset is not None and not self.train.form.choices.source:
            self.train.form.choose_source(str(self.panel.dataset.folder))
        return self.train

    def watch_training(self) -> None:
        """Show a training that runs, which has a process of its own, also from the other tabs."""
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
        """The layers of the case under review, whose unsaved work the panel asks about itself."""
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
