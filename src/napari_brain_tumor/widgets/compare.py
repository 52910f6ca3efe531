"""The Compare panel: how far labels layers of one case agree, where they do not, and what they say together."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final
from weakref import WeakSet

import napari.viewer
from napari.layers import Labels, Layer
from qtpy.QtCore import QSize, Qt
from qtpy.QtWidgets import (
    QCheckBox,
    QFileDialog,
    QHBoxLayout,
    QLabel,
    QListWidget,
    QListWidgetItem,
    QScrollArea,
    QVBoxLayout,
    QWidget,
)

from napari_brain_tumor.compare import Consensus, SliceRow
from napari_brain_tumor.compare.consensus_methods import METHODS, ConsensusMethod
from napari_brain_tumor.io.table import Table
from napari_brain_tumor.labels import SCHEMAS, Region
from napari_brain_tumor.measure.volumes import REGION_NAMES
from napari_brain_tumor.plugin import layers
from napari_brain_tumor.plugin.layers import CODES_KEY, LayerData
from napari_brain_tumor.progress import Progress
from napari_brain_tumor.requests.lines import CommandLines
from napari_brain_tumor.widgets import compare_state as state
from napari_brain_tumor.widgets import compare_walk as walk
from napari_brain_tumor.widgets.action_lines import ActionLines
from napari_brain_tumor.widgets.attention import Attention
from napari_brain_tumor.widgets.closing import cancel_when_closed
from napari_brain_tumor.widgets.label_edits import LabelEdits
from napari_brain_tumor.widgets.layer_list_watch import single_shot
from napari_brain_tumor.widgets.links import Links
from napari_brain_tumor.widgets.parts import Fold, button, column_in, combo, flow, form, line, progress_bar, wrapped
from napari_brain_tumor.widgets.result_table import ResultTable
from napari_brain_tumor.widgets.view_actions import bind_keys, key_text, labels_in_view
from napari_brain_tumor.widgets.worker import JobRunner, as_job, notify, notify_error, time_left_text

__all__ = ["CompareWidget"]

_MOST_LISTED: Final = 6
_FROM_FILE: Final = "from the file"


class CompareWidget(QScrollArea):
    """Compares labels layers: scores, slices that differ, layers of agreement, and a consensus.

    The layers themselves are never altered. What is shown is what was compared; if a layer is painted on or removed
    afterwards, the panel says so.

    Parameters
    ----------
    napari_viewer : napari.viewer.Viewer
    """

    def __init__(self, napari_viewer: napari.viewer.Viewer) -> None:
        super().__init__()
        self._viewer = napari_viewer
        self.choices = state.CompareChoices()
        self.compared: state.Comparison | None = None
        self._compared_layers: dict[str, Labels] = {}
        self._listed: list[Labels] = []
        self._edits: list[LabelEdits] = []
        self._names = Links()
        self._joined: ConsensusMethod | None = None
        self._attention = Attention(napari_viewer, None)
        self._pending: dict[str, Labels] = {}
        self._to_tick: list[Layer] = []
        self._codes: dict[str, state.Codes] = {}
        self._shown_pair: tuple[str, str] | None = None
        self._covered: WeakSet[Layer] = WeakSet()
        self.runner = JobRunner(self)
        self.slices_runner = JobRunner(self)
        self.layer_runner = JobRunner(self)
        self.consensus_runner = JobRunner(self)
        self.file_runner = JobRunner(self)
        self.save_runner = JobRunner(self, must_finish=True)
        self._build()
        self._connect()
        self._on_layers_changed()
        self._show_result()

    # Building -------------------------------------------------------------------------------------------------------

    def _build(self) -> None:
        column = column_in(self)
        column.addWidget(self._build_choices())
        column.addLayout(self._build_run())
        column.addWidget(self.settings)
        self.result_part = QWidget()
        inner = QVBoxLayout(self.result_part)
        inner.setContentsMargins(0, 0, 0, 0)
        inner.addWidget(line())
        self.tables = Fold("More &tables and layers", "All with all, volumes, planes, layers, files.")
        inner.addLayout(self._build_scores())
        inner.addLayout(self._build_slices())
        inner.addWidget(self.tables)
        self.consensus = Fold("C&onsensus", "What the compared labels say together, as a new layer.")
        self.consensus.column.addLayout(self._build_consensus())
        inner.addWidget(self.consensus)
        column.addWidget(self.result_part)
        self.code_box = ActionLines(self._lines)
        column.addWidget(self.code_box)
        column.addStretch(1)

    def _build_choices(self) -> QListWidget:
        self.list = QListWidget()
        self.list.setToolTip("Tick two or more labels layers of one case. Space ticks the selected one.")
        self.list.setAccessibleName("Labels to compare")
        self.settings = Fold("S&ettings", "A reference, labels in files, other grids.", "Settings")
        rows = form()
        self.schema_box = combo("What the integers in a file to add mean, where it does not say.", "File labels")
        self.schema_box.addItem(_FROM_FILE, None)
        for name in SCHEMAS:
            self.schema_box.addItem(name, name)
        self.file_button = button("Add &file…", "Open segmentations from files as layers, and tick them.")
        row = QHBoxLayout()
        row.addWidget(self.schema_box, 1)
        row.addWidget(self.file_button)
        label = QLabel("N&umbers")
        label.setBuddy(self.schema_box)
        rows.addRow(label, row)
        self.reference_box = combo(
            "The labels that count as the truth: the others are scored against them, and they take no part in the\n"
            "consensus. None: each pair is scored.",
            "Reference",
        )
        rows.addRow("&Reference", self.reference_box)
        self.resample_box = QCheckBox("Resample other grids")
        self.resample_box.setToolTip(
            "Bring labels on other grids onto the reference's, or the first one's, each voxel to the nearest label.\n"
            "Otherwise they are refused. Nothing is registered."
        )
        rows.addRow("", self.resample_box)
        self.settings.column.addLayout(rows)
        return self.list

    def _build_run(self) -> QVBoxLayout:
        column = QVBoxLayout()
        buttons = QHBoxLayout()
        self.compare_button = button("&Compare", "Score the ticked labels. They are not changed.")
        self.cancel_button = button("Cance&l", "Stop comparing.")
        self.cancel_button.setEnabled(False)
        self.cancel_button.hide()
        buttons.addWidget(self.compare_button, 2)
        buttons.addWidget(self.cancel_button, 1)
        column.addLayout(buttons)
        self.progress_bar = progress_bar("Progress of the comparison.")
        self.progress_bar.hide()
        column.addWidget(self.progress_bar)
        self.status_label = wrapped("")
        self.status_label.setAccessibleName("Status")
        column.addWidget(self.status_label)
        self.stale_label = wrapped("")
        self.stale_label.setAccessibleName("Changed since")
        self.stale_label.hide()
        column.addWidget(self.stale_label)
        return column

    def _build_scores(self) -> QVBoxLayout:
        column = QVBoxLayout()
        rows = form()
        self.region_box = combo("Region of the tables, slices and layers below.", "Region")
        rows.addRow("Re&gion", self.region_box)
        column.addLayout(rows)
        self.score_table = ResultTable(
            "Scores",
            "Dice; HD95 and mean surface distance (ASSD) in mm; surface Dice at 2 mm (NSD); lesion-wise Dice of BraTS\n"
            "2023; sensitivity and precision. Of a pair without a reference, the first counts as the truth in these\n"
            "three. The CSV holds every score, for the classes too.",
        )
        column.addWidget(self.score_table)
        self.summary_label = wrapped("")
        self.summary_label.setAccessibleName("All together")
        self.summary_label.setToolTip(
            "Fleiss' kappa measures agreement beyond chance, over the voxels of the box around all marks: 1 is full\n"
            "agreement, 0 what chance gives."
        )
        column.addWidget(self.summary_label)
        self._fill_tables(self.tables.column)
        return column

    def _fill_tables(self, column: QVBoxLayout) -> None:
        self.metric_box = combo("The score in the pairwise table.", "Pairwise score")
        for key, (title, _) in state.MATRIX_METRICS.items():
            self.metric_box.addItem(f"{title}, all with all", key)
        column.addWidget(self.metric_box)
        self.matrix_table = ResultTable("Pairwise", "One score for each pair. Empty where it was not computed.")
        column.addWidget(self.matrix_table)
        self.volume_table = ResultTable(
            "Volumes", "Size of the region, and how far it is from the reference or the mean."
        )
        column.addWidget(self.volume_table)
        buttons = QHBoxLayout()
        self.csv_button = button("Sa&ve CSV…", "Save every score of each pair, region and class as a table.")
        self.json_button = button("&JSON…", "Save everything: scores, kappa, volumes, slices, inputs with hashes.")
        buttons.addWidget(self.csv_button, 1)
        buttons.addWidget(self.json_button, 1)
        column.addLayout(buttons)

    def _build_slices(self) -> QVBoxLayout:
        column = QVBoxLayout()
        rows = form()
        self.pair_box = combo("The pair whose differences the slices and the agreement layer show.", "Pair")
        rows.addRow("&Pair", self.pair_box)
        self.axis_box = combo("Plane of the slices.", "Slices")
        for name in state.axis_names():
            self.axis_box.addItem(name, name)
        rows.addRow("Sl&ices", self.axis_box)
        self.tables.column.addLayout(rows)
        self.slice_table = ResultTable(
            "Differing slices",
            "The worst first. Click a row, or press Enter on it, to go there in the viewer and see the difference.",
        )
        self.legend_label = wrapped("")
        self.legend_label.setTextFormat(Qt.TextFormat.RichText)
        self.legend_label.setAccessibleName("Colours")
        self.legend_label.hide()
        column.addWidget(self.legend_label)
        column.addWidget(self.slice_table)
        buttons = flow()
        self.step_buttons = []
        for step in reversed(walk.KEYS):
            step_button = button(
                f"{step.text} ({key_text(step.key)})", f"{step.tip}\nKey in the picture: {key_text(step.key)}"
            )
            step_button.clicked.connect(lambda _=False, act=step.act: act(self._viewer))
            self.step_buttons.append(step_button)
            buttons.addWidget(step_button)
        self.tables.column.addLayout(buttons)
        shows = flow()
        self.agreement_button = button(
            "Show &agreement",
            "Show agreed, missed and false voxels of the pair in a layer; names appear on hover.\n"
            "The compared layers are hidden meanwhile: their eyes in the layer list show them again.",
        )
        self.count_button = button("Show cou&nt", "Show how many segmentations assign each voxel to the region.")
        shows.addWidget(self.agreement_button)
        shows.addWidget(self.count_button)
        self.tables.column.addLayout(shows)
        return column

    def _build_consensus(self) -> QVBoxLayout:
        column = QVBoxLayout()
        self.method_box = combo("How the compared labels, except the reference, are combined.", "Consensus")
        for name, tip in METHODS.items():
            self.method_box.addItem("STAPLE" if name == "staple" else name, name)
            self.method_box.setItemData(self.method_box.count() - 1, tip, Qt.ItemDataRole.ToolTipRole)
        self.consensus_button = button("&Make consensus", "Add their consensus as a new labels layer.")
        row = QHBoxLayout()
        row.addWidget(self.method_box, 1)
        row.addWidget(self.consensus_button)
        column.addLayout(row)
        self.quality_table = ResultTable(
            "How well each finds the consensus", "Sensitivity and specificity, region by region, near the tumour."
        )
        column.addWidget(self.quality_table)
        return column

    def _connect(self) -> None:
        self._connect_choices()
        for runner, finished in (
            (self.runner, self._on_compared),
            (self.slices_runner, self._on_slices_found),
            (self.layer_runner, self._on_codes_made),
            (self.consensus_runner, self._on_consensus_made),
            (self.file_runner, self._on_file_opened),
            (self.save_runner, self._on_saved),
        ):
            runner.finished.connect(finished)
            runner.failed.connect(self._on_failed)
        self.runner.progressed.connect(self._on_progress)
        self.runner.cancelled.connect(self._on_cancelled)
        self.region_box.currentIndexChanged.connect(self._on_region_chosen)
        self.metric_box.currentIndexChanged.connect(self._show_matrix)
        self.pair_box.currentIndexChanged.connect(self._on_pair_chosen)
        self.axis_box.currentIndexChanged.connect(self._find_slices)
        self.slice_table.row_chosen.connect(self._on_slice_chosen)
        self.agreement_button.clicked.connect(self.show_agreement)
        self.count_button.clicked.connect(self.show_count)
        self.consensus_button.clicked.connect(self._on_consensus_requested)
        self.csv_button.clicked.connect(lambda: self._ask_and_save(".csv"))
        self.json_button.clicked.connect(lambda: self._ask_and_save(".json"))
        bind_keys(self._viewer, walk.KEYS)
        walk.slice_steps.gone.connect(self._on_slice_gone)
        self._list_timer = single_shot(self, self._on_layers_changed)
        self._ties = Links()
        events = self._viewer.layers.events
        for event in (events.inserted, events.removed, events.reordered):
            self._ties.connect(event, self._on_list_event)
        cancel_when_closed(self, self.runner, self.consensus_runner, self.slices_runner, self.layer_runner)
        self.destroyed.connect(_farewell((self.runner, self.consensus_runner), (self._ties, self._names), self._edits))

    def _connect_choices(self) -> None:
        self.list.itemChanged.connect(lambda _: self._on_ticked())
        self.file_button.clicked.connect(self._on_file_requested)
        self.reference_box.activated.connect(self._on_reference_chosen)
        self.resample_box.toggled.connect(lambda on: setattr(self.choices, "resample", on))
        self.choices.events.connect(self._on_choices_changed)
        self.compare_button.clicked.connect(self.compare)
        self.cancel_button.clicked.connect(self.runner.cancel)

    def sizeHint(self) -> QSize:
        """Narrow enough to leave room for the canvas on a small screen."""
        return QSize(340, 560)

    # Coming and going -----------------------------------------------------------------------------------------------

    def enter(self) -> None:
        """Offer the labels of the same case, and show again where those that were compared differ."""
        if not self.choices.layers:
            self.tick(self._of_one_case())
        if self.compared is not None and not self.stale_label.text():
            self.show_agreement()

    def _of_one_case(self) -> list[Labels]:
        """The labels on the grid of those in view, without what nobody has looked at: the sample's hidden truth."""
        in_view = labels_in_view(self._viewer)
        if in_view is None or in_view not in self._listed:
            return []
        grid = layers.view(in_view).grid
        return [layer for layer in self._listed if layers.view(layer).grid.same_place(grid)]

    def leave(self) -> None:
        """Take the layers of agreement out of sight, and show again what they had covered."""
        self.layer_runner.cancel()
        for layer in [layer for layer in self._viewer.layers if CODES_KEY in layer.metadata]:
            self._viewer.layers.remove(layer)
        self._codes.clear()
        self.legend_label.hide()
        for layer in self._covered:
            layer.visible = True
        self._covered.clear()

    # Choices --------------------------------------------------------------------------------------------------------

    def _on_list_event(self, event: Any = None) -> None:
        self._list_timer.start(0)  # once for several layers

    def _on_layers_changed(self) -> None:
        ticked = {*self.choices.layers, *self._to_tick}
        self._listed = state.candidates(self._viewer.layers)
        self._names.cut()
        for layer in self._listed:
            self._names.connect(layer.events.name, self._on_list_event)
        self._to_tick.clear()
        self.list.blockSignals(True)
        self.list.clear()
        for layer in self._listed:
            item = QListWidgetItem(layer.name)
            item.setFlags(item.flags() | Qt.ItemFlag.ItemIsUserCheckable)
            item.setCheckState(Qt.CheckState.Checked if layer in ticked else Qt.CheckState.Unchecked)
            self.list.addItem(item)
        self.list.blockSignals(False)
        rows = min(max(2, len(self._listed)), _MOST_LISTED)
        self.list.setFixedHeight(rows * max(18, self.list.sizeHintForRow(0)) + 2 * self.list.frameWidth() + 2)
        self._on_ticked()
        self._show_staleness()

    def tick(self, selected: list[Labels]) -> None:
        """Compare these layers, and no others."""
        self._on_layers_changed()
        for at, layer in enumerate(self._listed):
            item = self.list.item(at)
            if item is not None:
                item.setCheckState(Qt.CheckState.Checked if layer in selected else Qt.CheckState.Unchecked)

    def choose_reference(self, layer: Labels | None) -> None:
        """Let these labels count as the truth; None for no one's."""
        self.choices.reference = layer
        self._show_references()

    def _on_ticked(self) -> None:
        items = [self.list.item(at) for at in range(self.list.count())]
        ticked = [
            layer
            for layer, item in zip(self._listed, items, strict=True)
            if item is not None and item.checkState() == Qt.CheckState.Checked
        ]
        if self.choices.reference not in ticked:
            self.choices.reference = None
        self.choices.layers = tuple(ticked)
        self._show_references()
        self._on_choices_changed()

    def _show_references(self) -> None:
        self.reference_box.clear()
        self.reference_box.addItem("none: each pair", None)
        for layer in self.choices.layers:
            self.reference_box.addItem(layer.name, layer)
        reference = self.choices.reference
        at = (
            self.choices.layers.index(reference) + 1
            if reference in self.choices.layers and reference is not None
            else 0
        )
        self.reference_box.setCurrentIndex(at)

    def _on_reference_chosen(self, at: int) -> None:
        self.choices.reference = self.choices.layers[at - 1] if at > 0 else None

    def _on_choices_changed(self, *_: Any) -> None:
        obstacle = self.choices.obstacle
        running = self.runner.running
        self.compare_button.setEnabled(not obstacle and not running)
        if not running and self.compared is None:
            self.status_label.setText(obstacle)
        self.code_box.refresh()

    def _on_file_requested(self) -> None:
        paths, _ = QFileDialog.getOpenFileNames(
            self, "Segmentations", "", "Segmentations (*.nii *.nii.gz *.nrrd *.nhdr *.mha *.mhd *.hdr *.tif *.tiff)"
        )
        self.add_files([Path(path) for path in paths])

    def add_files(self, paths: list[Path]) -> None:
        """Open segmentations from files as layers, and tick them."""
        if paths:
            schema = self.schema_box.currentData()
            self.file_button.setEnabled(False)
            self.file_runner.start(lambda _: as_job(lambda: [state.open_file(path, schema) for path in paths]))

    def _on_file_opened(self, opened: list[LayerData]) -> None:
        self.file_button.setEnabled(True)
        self._to_tick += layers.add_layers(self._viewer, opened)

    # Comparing ------------------------------------------------------------------------------------------------------

    def compare(self) -> None:
        """Compare the ticked layers as they are now; `runner` tells how it goes."""
        obstacle = self.choices.obstacle
        if obstacle:
            self.status_label.setText(obstacle)
            return
        try:
            views = {layer.name: state.copied_view(layer) for layer in self.choices.layers}
            references = layers.readable_views(self._viewer.layers)
        except ValueError as error:  # a layer of colours or of time points
            self._on_failed(error)
            return
        self._pending = {layer.name: layer for layer in self.choices.layers}
        reference, resample = self.choices.reference_name, self.choices.resample
        self._show_running(True)
        self.runner.start(lambda _: state.compare_steps(views, references, reference, resample))

    def _show_running(self, running: bool) -> None:
        self.compare_button.setEnabled(not running and not self.choices.obstacle)
        self.cancel_button.setEnabled(running)
        self.cancel_button.setVisible(running)
        self.progress_bar.setVisible(running)
        if running:
            self.progress_bar.setRange(0, 0)
            self.status_label.setText("Comparing…")

    def _on_progress(self, progress: Progress, seconds_left: float | None) -> None:
        self.progress_bar.setRange(0, 1000)
        self.progress_bar.setValue(round(1000 * progress.fraction))
        left = time_left_text(seconds_left)
        self.status_label.setText(f"Comparing {progress.message}{', ' + left if left else '…'}")

    def _on_cancelled(self) -> None:
        self._show_running(False)
        self.status_label.setText("Cancelled.")

    def _on_failed(self, error: Exception) -> None:
        self._show_running(False)
        for control in (self.file_button, self.consensus_button, self.csv_button, self.json_button):
            control.setEnabled(True)
        self.status_label.setText(str(error))
        notify_error(error)

    def _on_compared(self, compared: state.Comparison) -> None:
        self._show_running(False)
        self.compared = compared
        self._compared_layers = self._pending
        self._joined = None
        self._watch_edits()
        agreement = compared.agreement
        against = "pairwise" if agreement.reference is None else f"with {agreement.reference}"
        self.status_label.setText(" ".join([f"Compared {len(agreement.names)} labels, {against}.", *agreement.notes]))
        self._show_result()
        self.code_box.refresh()

    # What was compared, and what became of it -----------------------------------------------------------------------

    def _watch_edits(self) -> None:
        for watch in self._edits:
            watch.watch(None)
            watch.deleteLater()
        self._edits.clear()
        if self.compared is None:
            return
        for name, layer in self._compared_layers.items():
            edits = LabelEdits(self)
            edits.changed.connect(self._show_staleness)
            compared_data = self.compared.views[name].data
            edits.watch(layer, compared_data[0] if layer.ndim == 2 else compared_data)
            self._edits.append(edits)
        self._show_staleness()

    def _show_staleness(self) -> None:
        if self.compared is None:
            return
        present = list(self._viewer.layers)
        removed = [name for name, layer in self._compared_layers.items() if layer not in present]
        altered = [watch.layer for watch in self._edits if watch.edited]
        edited = [name for name, layer in self._compared_layers.items() if layer in altered and name not in removed]
        text = state.stale_text(self.compared, edited, removed)
        self.stale_label.setText(text)
        self.stale_label.setVisible(bool(text))

    # Tables ---------------------------------------------------------------------------------------------------------

    def _show_result(self) -> None:
        self.result_part.setVisible(self.compared is not None)
        if self.compared is None:
            return
        agreement = self.compared.agreement
        current = self.region_box.currentData()
        self.region_box.blockSignals(True)
        self.region_box.clear()
        for region in agreement.raters.regions:
            self.region_box.addItem(f"{REGION_NAMES[region]} ({region})", region)
        self.region_box.setCurrentIndex(max(0, self.region_box.findData(current)))
        self.region_box.blockSignals(False)
        self._show_pairs()
        self._shown_pair = self._pair
        self.quality_table.show_table(Table((), ()))
        self.consensus_button.setEnabled(True)
        self._on_region_chosen()

    def _show_pairs(self) -> None:
        if self.compared is None:
            return
        raters = self.compared.agreement.raters
        current = self.pair_box.currentData()
        self.pair_box.blockSignals(True)
        self.pair_box.clear()
        if len(raters.names) > 2:
            self.pair_box.addItem(f"all {len(raters.names)}", None)
        titles = state.short_names(raters.names)
        for first, second in raters.pairs:
            self.pair_box.addItem(f"{titles[first]} – {titles[second]}", (first, second))
        at = next((k for k in range(self.pair_box.count()) if self.pair_box.itemData(k) == current), 0)
        self.pair_box.setCurrentIndex(at)
        self.pair_box.blockSignals(False)

    def _on_region_chosen(self) -> None:
        if self.compared is None:
            return
        agreement, region = self.compared.agreement, self._region
        self.score_table.show_table(state.score_cells(agreement, region))
        self.summary_label.setText(state.summary_text(agreement, region))
        self.volume_table.show_table(state.volume_cells(agreement, region))
        self._show_matrix()
        self._find_slices()

    def _show_matrix(self) -> None:
        if self.compared is not None:
            cells = state.matrix_cells(
                self.compared.agreement, self.region_box.currentData(), self.metric_box.currentData()
            )
            self.matrix_table.show_table(cells)

    def _on_pair_chosen(self) -> None:
        self._shown_pair = self._pair
        self._find_slices()

    def _find_slices(self) -> None:
        if self.compared is None:
            return
        agreement, region = self.compared.agreement, self._region
        axis, pair = self.axis_box.currentData(), self.pair_box.currentData()
        walk.start_walk(self._viewer, ())
        self.slices_runner.start(lambda _: as_job(agreement.slices, region, axis, pair))

    def _on_slices_found(self, rows: tuple[SliceRow, ...]) -> None:
        if self.compared is None:
            return
        self.slice_table.show_table(state.slice_cells(rows, self.compared))
        for step_button in self.step_buttons:
            step_button.setEnabled(bool(rows))
        walk.start_walk(self._viewer, rows, self.compared.agreement.raters.grid.viewer)
        if any(layer.visible and CODES_KEY in layer.metadata for layer in self._viewer.layers):
            self._show_overlay(self._shown_pair)

    def _on_slice_chosen(self, row: int) -> None:
        walk.go_to(self._viewer, row)

    def _on_slice_gone(self, viewer: Any, row: int) -> None:
        if viewer == self._viewer and self.compared is not None:
            self.slice_table.select(row)
            self._show_overlay(self._pair)

    # Layers ---------------------------------------------------------------------------------------------------------

    @property
    def _region(self) -> Region:
        region: Region = self.region_box.currentData()
        return region

    @property
    def _pair(self) -> tuple[str, str] | None:
        """The pair whose agreement is shown; None where all of several are meant."""
        pair: tuple[str, str] | None = self.pair_box.currentData()
        return pair

    def _show_overlay(self, pair: tuple[str, str] | None) -> None:
        """Let it be seen where a pair differs, or without one, how many of all say so; for the chosen region."""
        if self.compared is None:
            return
        self._shown_pair = pair
        kind = "count" if pair is None else "pair"
        overlay, codes = self._layer_of(kind), self._codes.get(kind)
        if overlay is not None and codes is not None and codes.shows(self.compared, self._region, pair):
            self._show_alone(overlay)
            return
        compared, region = self.compared, self._region
        self.layer_runner.start(lambda _: as_job(state.codes_of, compared, region, pair))

    def _layer_of(self, kind: str) -> Layer | None:
        return next((layer for layer in self._viewer.layers if layer.metadata.get(CODES_KEY) == kind), None)

    def show_agreement(self) -> None:
        """Show the layer of agreed, missed and false voxels of the chosen pair, or of the first."""
        if self.compared is not None:
            self._show_overlay(self._pair or self.compared.agreement.raters.pairs[0])

    def show_count(self) -> None:
        """Show the layer that tells how many say that a voxel is of the region."""
        self._show_overlay(None)

    def _on_codes_made(self, codes: state.Codes) -> None:
        kind = codes.layer[1]["metadata"][CODES_KEY]
        layer = self._layer_of(kind)
        if layer is None or not layers.put_codes(layer, codes.layer):
            active = self._viewer.layers.selection.active
            if layer is not None:
                self._viewer.layers.remove(layer)
            layer = self._viewer.add_layer(layers.layer_of(codes.layer))
            self._viewer.layers.selection.active = active if active in self._viewer.layers else None
        self._codes[kind] = codes
        self._show_alone(layer)

    def _show_alone(self, layer: Layer | None) -> None:
        """Show a layer of codes without what would mix with its colours: others of its kind, and what was compared."""
        for other in self._viewer.layers:
            if other is not layer and (CODES_KEY in other.metadata or other in self._compared_layers.values()):
                if other.visible and other in self._compared_layers.values():
                    self._covered.add(other)
                other.visible = False
        if layer is not None:
            layer.visible = True
            self.legend_label.setText(state.legend_html(layer))
        self.legend_label.setVisible(layer is not None)

    # Consensus ------------------------------------------------------------------------------------------------------

    def _on_consensus_requested(self) -> None:
        self.make_consensus(self.method_box.currentData())

    def make_consensus(self, method: ConsensusMethod) -> None:
        """Join what was compared, but the reference, into a labels layer."""
        if self.compared is None:
            return
        compared = self.compared
        self._attention = Attention.of(self._viewer)
        self.consensus_button.setEnabled(False)
        self.status_label.setText("Joining…")
        self.consensus_runner.start(lambda _: state.consensus_steps(compared, method))

    def _on_consensus_made(self, result: tuple[LayerData, Consensus]) -> None:
        data, joined = result
        self.consensus_button.setEnabled(True)
        layer = self._attention.add(layers.layer_of(data))
        self._show_alone(None)
        self._joined = joined.method
        self.quality_table.show_table(state.quality_cells(joined))
        self.status_label.setText(" ".join([f"Added the layer {layer.name}.", *joined.notes]))
        self.code_box.refresh()

    # Saving ---------------------------------------------------------------------------------------------------------

    def _ask_and_save(self, suffix: str) -> None:
        if self.compared is None:
            return
        start = str(Path.home() / f"{self.compared.case}_comparison{suffix}")
        path, _ = QFileDialog.getSaveFileName(self, "Save tables", start, f"*{suffix}")
        if path:
            self.save(path if path.lower().endswith(suffix) else f"{path}{suffix}")

    def save(self, path: str) -> None:
        """Save the tables: scores as `.csv`, everything as `.json`."""
        if self.compared is not None:
            agreement = self.compared.agreement
            for save_button in (self.csv_button, self.json_button):
                save_button.setEnabled(False)
            self.save_runner.start(lambda _: as_job(state.save_tables, agreement, Path(path)))

    def _on_saved(self, path: Path) -> None:
        for save_button in (self.csv_button, self.json_button):
            save_button.setEnabled(True)
        self.status_label.setText(f"Saved {path}.")
        notify(f"Saved {path}.")

    def _lines(self) -> CommandLines:
        return state.lines_of(self.choices, self._joined)


def _farewell(
    runners: Sequence[JobRunner], links: Sequence[Links], watched: Sequence[LabelEdits]
) -> Callable[..., None]:
    """What stops the jobs and cuts the ties to the viewer and its layers when the panel is gone."""

    def leave(*_: Any) -> None:
        for runner in runners:
            runner.cancel()
        for link in links:
            link.cut()
        for edits in watched:
            edits.let_go()

    return leave
