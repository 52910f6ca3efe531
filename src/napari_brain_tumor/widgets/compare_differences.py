"""The parts of the Compare panel that lead to differing slices, and report later changes of the compared layers."""

from collections.abc import Mapping
from typing import Any

from napari.layers import Labels
from qtpy.QtCore import Qt, Signal  # type: ignore[attr-defined,unused-ignore]
from qtpy.QtWidgets import QLabel, QVBoxLayout, QWidget

from napari_brain_tumor.compare import SliceRow
from napari_brain_tumor.labels import Region
from napari_brain_tumor.widgets import compare_state as state
from napari_brain_tumor.widgets import compare_walk as walk
from napari_brain_tumor.widgets.compare_overlay import AgreementLayers
from napari_brain_tumor.widgets.key_buttons import key_button
from napari_brain_tumor.widgets.label_edits import LabelEdits
from napari_brain_tumor.widgets.parts import add_to, button, column_of, combo, flow, form, offer, show_text, wrapped
from napari_brain_tumor.widgets.result_table import ResultTable
from napari_brain_tumor.widgets.view_actions import bind_keys
from napari_brain_tumor.widgets.worker import JobRunner


class DifferingSlices(QWidget):
    """Slices where labels differ, the worst first, and an agreement layer.

    Parameters
    ----------
    viewer : napari.viewer.Viewer

    Attributes
    ----------
    more : QWidget
        Choice of pair and plane, buttons for stepping, layers; meant to be folded away.
    overlay : AgreementLayers
    """

    failed = Signal(object)
    """Why slices or layers could not be computed."""

    def __init__(self, viewer: Any) -> None:
        super().__init__()
        self._viewer = viewer
        self._comparison: state.Comparison | None = None
        self._region: Region = "WT"
        self.overlay = AgreementLayers(viewer, self)
        self.runner = JobRunner(self, finished=self._on_listed, failed=self.failed)
        column = column_of(self)
        self.legend_label = wrapped("")
        self.legend_label.setTextFormat(Qt.TextFormat.RichText)
        self.legend_label.setAccessibleName("Colours")
        self.legend_label.hide()
        self.table = ResultTable(
            "Differing slices",
            "The worst first. Click a row, or press Enter on it, to go there in the viewer and see the difference.",
        )
        add_to(column, self.legend_label, self.table)
        self.more = QWidget()
        self._build_more(QVBoxLayout(self.more))
        self.overlay.failed.connect(self.failed)
        self.overlay.legend_changed.connect(self._show_legend)
        self.pair_box.currentIndexChanged.connect(self._on_pair_chosen)
        self.axis_box.currentIndexChanged.connect(lambda _: self.list_slices(self._region))
        self.table.row_chosen.connect(lambda row: walk.go_to(self._viewer, row))
        self.agreement_button.clicked.connect(self.show_agreement)
        self.count_button.clicked.connect(self.show_count)
        bind_keys(viewer, walk.KEYS)
        walk.slice_steps.gone.connect(self._on_slice_gone)

    def _build_more(self, column: QVBoxLayout) -> None:
        column.setContentsMargins(0, 0, 0, 0)
        rows = form()
        self.pair_box = combo("The pair whose differences the slices and the agreement layer show.", "Pair")
        rows.addRow("&Pair", self.pair_box)
        self.axis_box = combo("Plane of the slices.", "Slices")
        offer(self.axis_box, [(name, name) for name in state.axis_names()])
        rows.addRow("Sl&ices", self.axis_box)
        column.addLayout(rows)
        previous_button, next_button = (
            key_button(self._viewer, action, text)
            for action, text in zip(reversed(walk.KEYS), ("Previous", "Next"), strict=True)
        )
        self.step_buttons = [previous_button, next_button]
        column.addLayout(flow(*self.step_buttons))
        self.agreement_button = button(
            "Show &agreement",
            "Show agreed, missed and false voxels of the pair in a layer; names appear on hover.\n"
            "The compared layers are hidden meanwhile; click their eye in the layer list to show them again.",
        )
        self.count_button = button("Show cou&nt", "Show how many segmentations assign each voxel to the region.")
        column.addLayout(flow(self.agreement_button, self.count_button))

    def show_comparison(self, comparison: state.Comparison, compared: Mapping[str, Labels]) -> None:
        """Offer the pairs of a comparison; `list_slices` lists the slices."""
        self._comparison = comparison
        self.overlay.compared = tuple(compared.values())
        raters = comparison.agreement.raters
        titles = state.short_names(raters.names)
        pairs = [(f"{titles[first]} – {titles[second]}", (first, second)) for first, second in raters.pairs]
        everyone = [(f"all {len(raters.names)}", None)] if len(raters.names) > 2 else []
        offer(self.pair_box, [*everyone, *pairs], self.pair_box.currentData())
        self.overlay.pair = self._pair

    @property
    def _pair(self) -> tuple[str, str] | None:
        """The pair whose agreement is shown; None if all of several are meant."""
        pair: tuple[str, str] | None = self.pair_box.currentData()
        return pair

    def _on_pair_chosen(self) -> None:
        self.overlay.pair = self._pair
        self.list_slices(self._region)

    def list_slices(self, region: Region) -> None:
        self._region = region
        if self._comparison is not None:
            agreement, axis, pair = self._comparison.agreement, self.axis_box.currentData(), self._pair
            walk.start_walk(self._viewer, ())
            self.runner.call(agreement.slices, region, axis, pair)

    def _on_listed(self, rows: tuple[SliceRow, ...]) -> None:
        if self._comparison is None:
            return
        self.table.show_table(state.slice_cells(rows, self._comparison))
        for step_button in self.step_buttons:
            step_button.setEnabled(bool(rows))
        walk.start_walk(self._viewer, rows, self._comparison.agreement.raters.grid.viewer)
        if self.overlay.in_sight:
            self.overlay.show(self._comparison, self._region, self.overlay.pair)

    def _on_slice_gone(self, viewer: Any, row: int) -> None:
        if viewer == self._viewer and self._comparison is not None:
            self.table.select(row)
            self.overlay.show(self._comparison, self._region, self._pair)

    def show_agreement(self) -> None:
        """Show the layer of agreed, missed and false voxels for the selected or first pair."""
        if self._comparison is not None:
            pair = self._pair or self._comparison.agreement.raters.pairs[0]
            self.overlay.show(self._comparison, self._region, pair)

    def show_count(self) -> None:
        """Show the layer that counts how many raters assign each voxel to the region."""
        if self._comparison is not None:
            self.overlay.show(self._comparison, self._region, None)

    def _show_legend(self, legend: str) -> None:
        show_text(self.legend_label, legend)


class StaleNotice(QLabel):
    """Says which compared layers have been painted on or removed since; hidden if none has.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
    """

    def __init__(self, viewer: Any) -> None:
        super().__init__()
        self._viewer = viewer
        self._comparison: state.Comparison | None = None
        self._layers: Mapping[str, Labels] = {}
        self.edits: list[LabelEdits] = []
        self.setWordWrap(True)
        self.setMinimumWidth(60)
        self.setAccessibleName("Changed since")
        self.hide()

    def show_comparison(self, comparison: state.Comparison, compared: Mapping[str, Labels]) -> None:
        """Watch the layers of a comparison, and no others."""
        for watch in self.edits:
            watch.watch(None)
            watch.deleteLater()
        self.edits.clear()
        self._comparison, self._layers = comparison, compared
        for name, layer in compared.items():
            edits = LabelEdits(self)
            edits.changed.connect(self.refresh)
            compared_data = comparison.views[name].data
            edits.watch(layer, compared_data[0] if layer.ndim == 2 else compared_data)
            self.edits.append(edits)
        self.refresh()

    def refresh(self) -> None:
        """Update the notice."""
        if self._comparison is None:
            return
        present = list(self._viewer.layers)
        removed = [name for name, layer in self._layers.items() if layer not in present]
        altered = [watch.layer for watch in self.edits if watch.edited]
        edited = [name for name, layer in self._layers.items() if layer in altered and name not in removed]
        text = state.stale_text(self._comparison, edited, removed)
        show_text(self, text)
