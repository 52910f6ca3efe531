"""Parts of the dock above and below the tabs: case, checks and running jobs; saving, report and code."""

from collections.abc import Callable, Mapping
from typing import Any

from qtpy.QtCore import Signal  # type: ignore[attr-defined,unused-ignore]
from qtpy.QtWidgets import QButtonGroup, QHBoxLayout, QMenu, QPushButton, QVBoxLayout, QWidget

from napari_brain_tumor.widgets.dock.jobs import RunBar, RunningJobs
from napari_brain_tumor.widgets.dock.keys import TAB_KEYS
from napari_brain_tumor.widgets.dock.opening import Opening
from napari_brain_tumor.widgets.dock.raw_notice import RawNotice
from napari_brain_tumor.widgets.dock.state import TABS, Tab, View
from napari_brain_tumor.widgets.parts import add_to, button, combo, flow, show_text, wrapped
from napari_brain_tumor.widgets.restore import RestoreNotice
from napari_brain_tumor.widgets.segment import SegmentWidget
from napari_brain_tumor.widgets.wheel_guard import WheelGuard


class TabRow(QWidget):
    """A button for each tab, wrapped to as many lines as the width and font require."""

    tab_chosen = Signal(str)
    """The tab whose button was pressed."""

    def __init__(self) -> None:
        super().__init__()
        self.buttons: dict[Tab, QPushButton] = {}
        group = QButtonGroup(self)
        for tab, (title, tip) in TABS.items():
            tab_button = button(title, _with_key(tab, tip))
            tab_button.setAccessibleName(f"Tab {title.replace('&&', 'and')}")
            tab_button.setCheckable(True)
            tab_button.clicked.connect(lambda _=False, tab=tab: self.tab_chosen.emit(tab))
            group.addButton(tab_button)
            self.buttons[tab] = tab_button
        self.setLayout(flow(*self.buttons.values()))

    def show_tabs(self, current: Tab, closed: Mapping[Tab, str]) -> None:
        """Show which tab is current, and which cannot be opened now."""
        for tab, tab_button in self.buttons.items():
            tab_button.setChecked(tab == current)
            tab_button.setEnabled(tab not in closed)
            tab_button.setToolTip(_with_key(tab, closed.get(tab, TABS[tab][1])))


def _with_key(tab: Tab, tip: str) -> str:
    return f"{tip}\nKey: {TAB_KEYS[tab]}"


class Head(QWidget):
    """The current case with its sequences and checks, running jobs, and labels to restore.

    Parameters
    ----------
    viewer : napari.Viewer
    segment : SegmentWidget
        Panel whose sequences and checks are shown here.
    tab : callable
        Returns the current tab.
    """

    case_chosen = Signal(int)
    """The position of the case that the user chose."""
    layout_requested = Signal()

    def __init__(
        self, viewer: Any, segment: SegmentWidget, jobs: RunningJobs, opening: Opening, tab: Callable[[], str]
    ) -> None:
        super().__init__()
        column = QVBoxLayout(self)
        column.setContentsMargins(6, 6, 6, 0)
        column.setSpacing(4)
        column.addLayout(self._build_case(opening))
        self.raw_notice = RawNotice()
        add_to(column, segment.scan_row, segment.preflight, self.raw_notice)
        column.addWidget(RestoreNotice(viewer))
        self.raw_notice.register_requested.connect(opening.register)
        self.run_bar = RunBar(jobs, tab)
        column.addWidget(self.run_bar)
        WheelGuard(self)

    def _build_case(self, opening: Opening) -> QHBoxLayout:
        row = QHBoxLayout()
        self.case_box = combo("The case you are working on. The layers of the others are hidden.", "Case")
        self.case_box.activated.connect(self.case_chosen)
        self.open_button = button("Open…", "Open a case or labels; you can also drop a folder on the window.")
        self.menu = QMenu(self.open_button)
        self.menu.aboutToShow.connect(lambda: opening.fill(self.menu))
        self.open_button.setMenu(self.menu)
        self.layout_button = button(
            "Views", "Axial, coronal, sagittal and 3D in place of the canvas, and back. Key in the picture: Shift+F"
        )
        self.layout_button.setCheckable(True)
        self.layout_button.clicked.connect(lambda _: self.layout_requested.emit())
        row.addWidget(self.case_box, 1)
        add_to(row, self.open_button, self.layout_button)
        return row

    def show_view(self, view: View) -> None:
        box = self.case_box
        if tuple(box.itemText(at) for at in range(box.count())) != view.cases:
            box.clear()
            box.addItems(view.cases)
        box.setCurrentIndex(view.case)


class Foot(QWidget):
    """The part of the dock that is always visible below the tabs.

    Parameters
    ----------
    segment : SegmentWidget
        Panel whose save button is shown here.
    """

    report_requested = Signal()
    code_requested = Signal()

    def __init__(self, segment: SegmentWidget) -> None:
        super().__init__()
        column = QVBoxLayout(self)
        column.setContentsMargins(6, 0, 6, 6)
        column.setSpacing(4)
        self.save_button = segment.saving.button
        self.report_button = button("Report…", "Write a report with pictures and measurements of this examination.")
        self.report_button.clicked.connect(lambda _: self.report_requested.emit())
        self.code_button = button("As code", "What this tab does, as Python lines and as a shell command.")
        self.code_button.clicked.connect(lambda _: self.code_requested.emit())
        row = QWidget()
        self.export_button = button(
            "Export…", "Figure, film, surfaces and numbers of the labels in view, or the picture in sight."
        )
        self.export_menu = QMenu(self.export_button)
        self.export_button.setMenu(self.export_menu)
        row.setLayout(flow(self.save_button, self.report_button, self.export_button, self.code_button))
        self.state_label = wrapped("", "What is saved")
        notice = wrapped("For research only, not for clinical use.")
        add_to(column, row, self.state_label, segment.saving.label, notice)

    def show_view(self, view: View) -> None:
        """Show what has been saved, and whether a report can be written."""
        show_text(self.state_label, view.state_text)
        self.report_button.setEnabled(not view.report_obstacle)
        tip = "Write a report with pictures and measurements of this examination."
        self.report_button.setToolTip(view.report_obstacle or tip)
