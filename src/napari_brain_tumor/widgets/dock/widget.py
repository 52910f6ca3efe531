"""The dock "Brain Tumor". Its content belongs to the viewer: closing the dock loses and stops nothing."""

from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, Final

import napari.viewer
from napari.layers import Labels, Layer
from napari.settings import get_settings
from qtpy.QtCore import QEvent, QSize
from qtpy.QtGui import QKeyEvent
from qtpy.QtWidgets import QStackedWidget, QVBoxLayout, QWidget

from napari_brain_tumor.plugin import layers
from napari_brain_tumor.widgets.action_lines import ActionLines
from napari_brain_tumor.widgets.activation import prepare
from napari_brain_tumor.widgets.batch_state import BatchSettings, request_for_many
from napari_brain_tumor.widgets.closing import when_gone
from napari_brain_tumor.widgets.dock.case_view import Cases, ShownCase, look_at
from napari_brain_tumor.widgets.dock.export_menu import ExportMenu
from napari_brain_tumor.widgets.dock.exports import report_steps
from napari_brain_tumor.widgets.dock.head import Foot, Head, TabRow
from napari_brain_tumor.widgets.dock.jobs import RunBar, RunningJobs
from napari_brain_tumor.widgets.dock.keys import FOOT_KEY, HEAD_KEY, TAB_KEYS, bind_dock_key, focus_first, on_dock_key
from napari_brain_tumor.widgets.dock.opening import Opening, PanelDialog
from napari_brain_tumor.widgets.dock.pages import PAGES, Page
from napari_brain_tumor.widgets.dock.recent_cases import case_folder_of, remember_case
from napari_brain_tumor.widgets.dock.state import CaseFacts, Choices, Facts, Tab, View, resolve
from napari_brain_tumor.widgets.dock.unsaved import UnsavedGuard, UnsavedLabels
from napari_brain_tumor.widgets.drop_target import DropTarget
from napari_brain_tumor.widgets.job_times import expectation_of, timed
from napari_brain_tumor.widgets.layer_list_watch import LayerListWatch
from napari_brain_tumor.widgets.layout import layouts, toggle_layout
from napari_brain_tumor.widgets.links import Links
from napari_brain_tumor.widgets.parts import add_to, column_of
from napari_brain_tumor.widgets.questions import ask_target
from napari_brain_tumor.widgets.reader_offer import offer_after_opening
from napari_brain_tumor.widgets.segment import SegmentWidget
from napari_brain_tumor.widgets.study_queue import OpenStudy
from napari_brain_tumor.widgets.view_actions import labels_in_view
from napari_brain_tumor.widgets.worker import JobRunner, notify, notify_error, shared_worker

_SEGMENTING: Final = "Segmenting"


class BrainTumorWidget(QWidget):
    """What napari docks: a frame around the viewer's `Dock`, which outlives the frame."""

    def __init__(self, napari_viewer: napari.viewer.Viewer) -> None:
        super().__init__()
        self._viewer: napari.viewer.Viewer = getattr(napari_viewer, "__wrapped__", napari_viewer)
        self.dock = dock_of(self._viewer)
        column = column_of(self)
        column.addWidget(self.dock)
        self.dock.show()
        self.dock.on_opened()

    def sizeHint(self) -> QSize:
        """Return a size narrow enough to leave room for the canvas on a small screen."""
        return QSize(400, 640)

    def changeEvent(self, event: QEvent | None) -> None:
        """Hand the dock back to the viewer's window when napari removes the frame."""
        super().changeEvent(event)
        is_taken_out = event is not None and event.type() == QEvent.Type.ParentChange and self.parent() is None
        if is_taken_out and self.dock.parent() is self:
            self.dock.on_closed()
            self.dock.setParent(self._viewer.window._qt_window)
            self.dock.hide()


def dock_of(viewer: napari.viewer.Viewer) -> "Dock":
    """Return the dock of a viewer, created on first use."""
    window = viewer.window._qt_window
    return window.findChild(Dock) or Dock(viewer, window)


class Dock(DropTarget, QWidget):
    """Content of the dock: the current case above, five tabs, and saving below.

    Parameters
    ----------
    window : QWidget
        Window of the viewer.
    """

    def __init__(self, viewer: napari.viewer.Viewer, window: QWidget) -> None:
        super().__init__(window)
        self._viewer = viewer
        self.choices = Choices()
        self._open: Tab = "segment"
        self.view = View((), 0, {}, "segment", "", "")
        self.jobs = RunningJobs(self)
        self.report_runner = JobRunner(
            self, finished=lambda path: notify(f"Saved the report {path}."), failed=notify_error
        )
        self.unsaved = UnsavedLabels(viewer, self._layers_under_review, self)
        self.guard = UnsavedGuard(window, self.unsaved, self.save, self)
        self.pages: dict[Tab, Page] = {}
        self._cases, self._shown_case = Cases(), ShownCase()
        self._shown_scans: frozenset[int] = frozenset()
        self._saved_at = ""
        self._code: PanelDialog | None = None
        self._run_bar_below: RunBar | None = None
        self._links = Links()
        self.opening = Opening(viewer, self.jobs, self._batch_settings, window)
        self.exports = ExportMenu(viewer, lambda: (self.study, self.result), self)
        self._build()
        self._connect()
        self.setAcceptDrops(True)
        prepare(viewer)
        offer_after_opening(viewer)
        self._on_layers_changed()  # the case that opened the dock is already there

    # Building -------------------------------------------------------------------------------------------------------

    def _build(self) -> None:
        self.stack = QStackedWidget()
        self.segment: SegmentWidget = self.page("segment").panel
        self.head = Head(self._viewer, self.segment, self.jobs, self.opening, self._tab_in_sight)
        self.tab_row = TabRow()
        self.foot = Foot(self.segment)
        column = column_of(self, spacing=4)
        add_to(column, self.head, self.tab_row)
        column.addWidget(self.stack, 1)
        column.addWidget(self.foot)
        self.tab_row.setContentsMargins(6, 0, 6, 0)

    def _connect(self) -> None:
        runs = self.segment.runs
        self.jobs.follow(_SEGMENTING, runs.runner, "segment", runs.cancel)
        self.jobs.follow("Saving", self.segment.saving.runner)
        self.jobs.follow("Writing the report", self.report_runner)
        self.jobs.follow("Exporting", self.exports.runner)
        self.foot.export_menu.aboutToShow.connect(lambda: self.exports.fill(self.foot.export_menu))
        runs.changed.connect(self._on_runs_changed)
        self.segment.saving.runner.finished.connect(self._on_saved)
        self.unsaved.changed.connect(self.refresh)
        self.head.case_chosen.connect(self.choose_case)
        self.opening.case_wanted.connect(self._on_case_wanted)
        self.head.layout_requested.connect(lambda: toggle_layout(self._viewer))
        layouts.toggled.connect(self._on_layout_toggled)
        self.tab_row.tab_chosen.connect(self.open_tab)
        self.foot.report_requested.connect(self._on_report_requested)
        self.foot.code_requested.connect(self.show_code)
        self._bind_keys()
        self._list_watch = LayerListWatch(self._viewer, self, self._on_layers_changed)
        self.segment.choices.events.connect(self._list_watch.act_soon)
        self._links.connect(self._viewer.layers.events.inserted, self._on_inserted)
        self._links.connect(get_settings().appearance.events.font_size, self._take_font_size)
        when_gone(self, self._links.cut, self.unsaved.links.cut)

    def _bind_keys(self) -> None:
        bind_dock_key(self, HEAD_KEY, partial(focus_first, self.head))
        bind_dock_key(self, FOOT_KEY, partial(focus_first, self.foot))
        for tab, key in TAB_KEYS.items():
            bind_dock_key(self, key, partial(self._go_to_tab, tab))

    def _go_to_tab(self, tab: Tab) -> None:
        self.open_tab(tab)
        focus_first(self.page(self.view.tab))

    def keyPressEvent(self, event: QKeyEvent | None) -> None:
        """Let Enter press the focused button, and Escape return the focus to the canvas."""
        if event is not None and not on_dock_key(event, self._viewer):
            super().keyPressEvent(event)

    def _take_font_size(self, event: Any = None) -> None:
        # napari's style sheet sets the font size of buttons and labels, but not of tables, lists and foldable lines.
        font = self.font()
        font.setPointSize(get_settings().appearance.font_size)
        for part in (self, *self.pages.values()):
            part.setFont(font)

    @property
    def _window(self) -> Any:
        # Not stored: a reference kept elsewhere would stop the window from being freed when napari closes it.
        return self._viewer.window._qt_window

    def page(self, tab: Tab) -> Page:
        """Return the page of a tab, created on first use."""
        if tab not in self.pages:
            self.pages[tab] = PAGES[tab](self._viewer, self.jobs)
            self.stack.addWidget(self.pages[tab])
            self._take_font_size()  # pages created later do not inherit the font size
        return self.pages[tab]

    def panel(self, tab: Tab) -> Any:
        """Open a tab and return its panel."""
        self.open_tab(tab)
        return self.page(tab).panel

    # Opening and closing --------------------------------------------------------------------------------------------

    def _tab_in_sight(self) -> str:
        return self.view.tab if self.isVisible() else ""

    def on_opened(self) -> None:
        """Activate the current tab when the dock opens."""
        if self._run_bar_below is not None:
            self._run_bar_below.setParent(None)
            self._run_bar_below.deleteLater()
            self._run_bar_below = None
        self.head.run_bar.refresh()

    def on_closed(self) -> None:
        """Deactivate the tab when the dock closes; running jobs are shown in the status bar until it opens again."""
        self.open_tab("segment")
        self._run_bar_below = RunBar(self.jobs, self._tab_in_sight, flat=True)
        self._window.statusBar().addPermanentWidget(self._run_bar_below)
        self._run_bar_below.refresh()

    def open_tab(self, tab: Tab) -> None:
        """Show a tab, and deactivate the previous one."""
        if tab in self.view.closed or tab == self._open:
            self.tab_row.show_tabs(self._open, self.view.closed)
            return
        self.page(self._open).leave()
        self._open = tab
        self.choices = Choices(self.choices.case, tab)
        page = self.page(tab)
        self.stack.setCurrentWidget(page)
        self.refresh()
        page.enter()
        self._show_code_of(page)

    # The case -------------------------------------------------------------------------------------------------------

    def _on_inserted(self, event: Any) -> None:
        place = case_folder_of(event.value)
        if place is not None:
            remember_case(place)

    def _on_layers_changed(self) -> None:
        self.head.raw_notice.look(self._viewer.layers)
        self.unsaved.follow()
        self.refresh()

    def refresh(self) -> None:
        """Show the current choices and state."""
        self._cases = Cases(self._viewer.layers)
        scans = self.segment.choices.sequences.values()
        self.choices = Choices(self._cases.position_of(scans), self.choices.tab)
        facts = Facts(
            tuple(CaseFacts(study.name, len(self._cases.results_of(study))) for study in self._cases.studies),
            tuple(layer.name for layer in self.unsaved.layers if layer in self._viewer.layers),
            self._saved_at,
        )
        self.view = resolve(self.choices, facts)
        self.head.show_view(self.view)
        self.tab_row.show_tabs(self.view.tab, self.view.closed)
        self.segment.preflight.setVisible(self.choices.case is not None)
        self.foot.show_view(self.view)
        self.head.run_bar.refresh()
        if self.view.tab != self._open:
            self.open_tab(self.view.tab)
        self._show_case_alone()

    def _show_case_alone(self) -> None:
        study = self.study
        if study is None:
            return
        scans = frozenset(map(id, study.sequences.values()))
        if scans != self._shown_scans and len(self._cases.studies) > 1:
            self._shown_case.show(self._cases, study, list(self._viewer.layers))
        self._shown_scans = scans

    def choose_case(self, at: int) -> None:
        """Switch to another open case."""
        if not 0 <= at < len(self._cases.studies) or at == self.choices.case:
            return
        page = self.page(self.view.tab)
        page.leave()
        scan = next(iter(self._cases.studies[at].sequences.values()))
        self.segment.choose_case_of(scan)
        self.refresh()
        results = self._cases.results_of(self._cases.studies[at])
        self._viewer.layers.selection = {next((layer for layer in results if layer.visible), scan)}
        look_at(self._viewer, scan)
        page.enter()

    def _on_case_wanted(self, scan: Layer) -> None:
        self.refresh()  # the case may have been opened just now
        position = self._cases.position_of([scan])
        if position is not None:
            self.choose_case(position)

    def _batch_settings(self) -> BatchSettings:
        choices = self.segment.choices
        request = request_for_many(choices.options, choices.model)
        brain = choices.brain if isinstance(choices.brain, str) else "auto"
        return BatchSettings(request.with_options(brain=brain), choices.model, self.segment.schema_box.currentText())

    @property
    def study(self) -> OpenStudy | None:
        """The current case."""
        return self._cases.studies[self.choices.case] if self.choices.case is not None else None

    @property
    def result(self) -> Labels | None:
        """The current labels of the case: those in view, or else the topmost."""
        if self.study is None:
            return None
        results = self._cases.results_of(self.study)
        in_view = labels_in_view(self._viewer)
        return in_view if in_view in results else next(iter(results), None)

    def _layers_under_review(self) -> list[Layer]:
        page: Any = self.pages.get("data")
        return page.case_layers if page is not None else []

    # Running, saving ------------------------------------------------------------------------------------------------

    def _on_runs_changed(self) -> None:
        runs = self.segment.runs
        if runs.running:
            self.jobs.begin(_SEGMENTING, "segment", runs.cancel)
        else:
            self.jobs.end(_SEGMENTING)

    def save(self, layer: Labels) -> None:
        """Let the user save a labels layer."""
        if layer in self._viewer.layers:
            self._viewer.layers.selection = {layer}
            self.segment.saving.button.click()

    def _on_saved(self, message: str) -> None:
        self._saved_at = f"{datetime.now():%H:%M}"
        self.unsaved.look()
        self.refresh()

    def _on_report_requested(self) -> None:
        if self.study is None or self.result is None:
            return
        name = f"{self.study.name}_report.html"
        path = ask_target(self, "Save report", name, "Report (*.html)", (".html", ".htm"))
        if path is not None:
            self.write_report(path)

    def write_report(self, path: Path) -> None:
        """Write a report of the case and its labels; `report_runner` reports progress and outcome."""
        study, result, worker = self.study, self.result, shared_worker()
        if study is None or result is None:
            return
        scans = study.views
        labels, references = layers.view(result), layers.readable_views(self._viewer.layers)
        kind, size = "report", float(labels.data.size)
        self.report_runner.start(
            lambda stop: timed(report_steps(stop, scans, labels, references, path, worker), kind, size),
            expectation_of(kind, size),
        )

    # Code, layout, dropped files ------------------------------------------------------------------------------------

    def show_code(self) -> None:
        """Show the code that repeats what the current tab does, in a separate window."""
        if self._code is None:
            holder = QWidget()
            QVBoxLayout(holder)
            self._code = PanelDialog(holder, "As code", self._window)
            self._code.resize(520, 420)
        self._code.bring_up()
        self._show_code_of(self.page(self.view.tab))

    def _show_code_of(self, page: Page) -> None:
        if self._code is None or self._code.isHidden():
            return
        column = self._code.panel.layout()
        assert column is not None
        for box in self._code.panel.findChildren(ActionLines):
            box.hide()
        box = page.code_box
        column.addWidget(box)
        box.toggle.hide()
        box.toggle.setChecked(True)
        box.show()

    def _on_layout_toggled(self, viewer: Any, is_there: bool) -> None:
        if viewer is self._viewer:
            self.head.layout_button.setChecked(is_there)

    def open_path(self, path: str) -> None:
        """Open a path that was dropped on the dock."""
        self.opening.open(Path(path))
