"""The part of the Visits panel in which visits are listed, ordered, dated and annotated with facts."""

from typing import Any

from qtpy.QtCore import QTimer, Signal  # type: ignore[attr-defined,unused-ignore]
from qtpy.QtWidgets import QWidget

from napari_brain_tumor.errors import BrainTumorError
from napari_brain_tumor.followup.visits import FoundDate
from napari_brain_tumor.widgets import visit_entries
from napari_brain_tumor.widgets.layer_list_watch import LayerListWatch
from napari_brain_tumor.widgets.parts import Fold, add_to, button, column_of, combo, flow, form, offer
from napari_brain_tumor.widgets.visits_facts import FactsForm
from napari_brain_tumor.widgets.visits_table import VisitList
from napari_brain_tumor.widgets.worker import JobRunner


class VisitsEditor(QWidget):
    """The visits of a patient: those whose labels are open as layers, and those from a document.

    Several labels on the same scans form one visit, which is measured with one of them.

    Parameters
    ----------
    viewer : napari.viewer.Viewer

    Attributes
    ----------
    entries : list of Entry
        The listed visits; `show_entries` updates the display after changes made elsewhere.
    """

    selected = Signal()
    """Another visit is selected, or something about the selected one has changed."""
    outdated = Signal()
    """The results of the last comparison are no longer valid."""
    reassessed = Signal()
    """Facts have changed, so that the response has to be assessed again."""
    message = Signal(str)
    """A message for the user."""

    def __init__(self, viewer: Any) -> None:
        super().__init__()
        self._viewer = viewer
        self.entries: list[visit_entries.Entry] = []
        self.date_runner = JobRunner(self, finished=self._on_dates_found)
        self._build()
        self.list.used_changed.connect(self._on_used_changed)
        self.list.renamed.connect(self._on_renamed)
        self.list.date_told.connect(self._on_date_told)
        self.list.baseline_chosen.connect(self._on_baseline_chosen)
        self.list.currentCellChanged.connect(lambda *_: self._show_selected())
        self.labels_box.activated.connect(lambda _: self._on_labels_chosen())
        self.up_button.clicked.connect(lambda: self._move(-1))
        self.down_button.clicked.connect(lambda: self._move(1))
        self.facts.facts_changed.connect(self._on_facts_changed)
        self.facts.refused.connect(self.message)
        self._list_watch = LayerListWatch(viewer, self, self.refresh)

    def _build(self) -> None:
        column = column_of(self)
        self.list = VisitList()
        self.details = Fold("Deta&ils", "Order and list of the visits; what is known of the selected one.", "Details")
        self.up_button = button("&Up", "Move the selected visit up. Known dates take precedence.")
        self.down_button = button("&Down", "Move the selected visit down. Known dates take precedence.")
        self.open_button = button("&Open…", "Add the visits listed in a JSON document, without opening layers.")
        self.keep_button = button("Sa&ve list…", "Write the ticked visits, dates and facts as a JSON document.")
        buttons = flow(self.up_button, self.down_button, self.open_button, self.keep_button)
        self.labels_part = QWidget()
        rows = form(self.labels_part)
        self.labels_box = combo(
            "Several layers hold labels of this examination: the visit is measured with this one.",
            "Labels of the visit",
        )
        rows.addRow("&Labels", self.labels_box)
        self.labels_part.hide()
        self.facts = FactsForm()
        add_to(self.details.column, buttons, self.labels_part, self.facts)
        add_to(column, self.list, self.details)

    @property
    def selected_entry(self) -> visit_entries.Entry | None:
        """The selected visit."""
        row = self.list.currentRow()
        return self.entries[row] if 0 <= row < len(self.entries) else None

    def refresh(self) -> None:
        """List the visits of the open layers, keeping what the user entered for them."""
        before = set(map(id, self.entries))
        self.entries = visit_entries.with_layers(self.entries, self._viewer.layers)
        fresh = [entry for entry in self.entries if id(entry) not in before and entry.layer is not None]
        if fresh:
            sources = {entry.name: visit_entries.sources_of(entry, self._viewer.layers) for entry in fresh}
            self.date_runner.call(visit_entries.dates_of, sources)
        self.show_entries()

    def add(self, opened: list[visit_entries.Entry]) -> None:
        """Add visits of a document, replacing those with the same names from other documents."""
        names = {entry.name for entry in opened}
        self.entries = [entry for entry in self.entries if entry.layer is not None or entry.name not in names] + opened
        self.show_entries()

    def _on_dates_found(self, dates: dict[str, FoundDate]) -> None:
        for entry in self.entries:
            if entry.date is None and entry.name in dates:
                entry.date = dates[entry.name]
        self.show_entries()

    def show_entries(self) -> None:
        """Update the displayed list."""
        self.list.show_entries(self.entries)
        self._show_selected()

    def _show_selected(self) -> None:
        entry = self.selected_entry
        results = entry.results if entry is not None else []
        offer(self.labels_box, [(layer.name, layer) for layer in results], entry.layer if entry is not None else None)
        self.labels_part.setVisible(len(results) > 1)
        self.facts.show_facts(entry.name if entry else "", entry.facts if entry else visit_entries.Entry("").facts)
        self.selected.emit()

    def _outdate(self) -> None:
        self.outdated.emit()
        self._show_selected()

    def _on_labels_chosen(self) -> None:
        entry, layer = self.selected_entry, self.labels_box.currentData()
        if entry is not None and layer is not None and layer is not entry.layer:
            entry.layer = layer
            self._outdate()

    def _on_used_changed(self, row: int, used: bool) -> None:
        if self.entries[row].used != used:
            self.entries[row].used = used
            self._outdate()

    def _on_renamed(self, row: int, name: str) -> None:
        if name and name != self.entries[row].name:
            self.entries[row].name = name
            self._outdate()

    def _on_date_told(self, row: int, text: str) -> None:
        try:
            self.entries[row].tell_date(text)
        except BrainTumorError as error:
            self.message.emit(str(error))
        else:
            self._outdate()
        QTimer.singleShot(0, self.show_entries)  # the cell is still being edited

    def _on_baseline_chosen(self, row: int, checked: bool) -> None:
        before = visit_entries.baseline_of(self.entries)
        for at, entry in enumerate(self.entries):
            entry.facts = entry.facts.model_copy(update={"baseline": checked and at == row})
        if visit_entries.baseline_of(self.entries) is not before:
            for entry in self.entries:
                entry.registration, entry.accepted = None, False
        self._outdate()
        QTimer.singleShot(0, self.show_entries)

    def _on_facts_changed(self, changes: dict[str, Any]) -> None:
        entry = self.selected_entry
        if entry is not None:
            entry.facts = entry.facts.model_copy(update=changes)
            self.reassessed.emit()

    def _move(self, step: int) -> None:
        row = self.list.currentRow()
        target = row + step
        if 0 <= row < len(self.entries) and 0 <= target < len(self.entries):
            self.entries[row], self.entries[target] = self.entries[target], self.entries[row]
            self.list.show_entries(self.entries)
            self.list.setCurrentCell(target, 0)
            self._outdate()
