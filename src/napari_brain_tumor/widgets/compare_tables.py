"""The parts of the Compare panel that show and save numbers: scores, volumes, the consensus."""

from pathlib import Path

from qtpy.QtCore import Signal  # type: ignore[attr-defined,unused-ignore]
from qtpy.QtWidgets import QHBoxLayout, QVBoxLayout, QWidget

from napari_brain_tumor.compare import Consensus
from napari_brain_tumor.compare.consensus_methods import METHODS, ConsensusMethod
from napari_brain_tumor.io.table import Table
from napari_brain_tumor.labels import Region
from napari_brain_tumor.measure.volumes import REGION_NAMES
from napari_brain_tumor.plugin import layers
from napari_brain_tumor.plugin.layers import LayerData
from napari_brain_tumor.widgets import compare_state as state
from napari_brain_tumor.widgets.attention import Attention
from napari_brain_tumor.widgets.parts import Fold, add_to, button, column_of, combo, form, offer, row_of, wrapped
from napari_brain_tumor.widgets.questions import ask_target
from napari_brain_tumor.widgets.result_table import ResultTable
from napari_brain_tumor.widgets.worker import JobRunner


class ScoreTables(QWidget):
    """Scores of a comparison for one region, and saving to files.

    Attributes
    ----------
    more : QWidget
        Matrix of all pairs, volumes and files; meant to be folded away.
    """

    region_shown = Signal(str)
    """Another region, or the region of another comparison, is shown."""
    saved = Signal(object)
    """Path of the saved file."""
    failed = Signal(object)
    """Why the tables could not be saved."""

    def __init__(self) -> None:
        super().__init__()
        self._comparison: state.Comparison | None = None
        self.save_runner = JobRunner(self, must_finish=True, finished=self.saved, failed=self.failed)
        column = column_of(self)
        rows = form()
        self.region_box = combo("Region of the tables, slices and layers below.", "Region")
        rows.addRow("Re&gion", self.region_box)
        self.score_table = ResultTable(
            "Scores",
            "Dice; HD95 and mean surface distance (ASSD) in mm; surface Dice at 2 mm (NSD); lesion-wise Dice of BraTS\n"
            "2023; sensitivity and precision. For a pair without a reference, the first counts as the truth in these\n"
            "three. The CSV holds every score, for the classes too.",
        )
        self.summary_label = wrapped("", "All together")
        self.summary_label.setToolTip(
            "Fleiss' kappa measures agreement beyond chance, over the voxels of the box around all labels: 1 is full\n"
            "agreement, 0 is what chance alone would give."
        )
        add_to(column, rows, self.score_table, self.summary_label)
        self.more = QWidget()
        self._build_more(QVBoxLayout(self.more))
        self.region_box.currentIndexChanged.connect(self._show_region)
        self.metric_box.currentIndexChanged.connect(self._show_matrix)
        self.csv_button.clicked.connect(lambda: self._ask_and_save(".csv"))
        self.json_button.clicked.connect(lambda: self._ask_and_save(".json"))

    def _build_more(self, column: QVBoxLayout) -> None:
        column.setContentsMargins(0, 0, 0, 0)
        self.metric_box = combo("The score in the pairwise table.", "Pairwise score")
        offer(self.metric_box, [(f"{title}, all pairs", key) for key, (title, _) in state.MATRIX_METRICS.items()])
        self.matrix_table = ResultTable("Pairwise", "One score for each pair. Empty where it was not computed.")
        self.volume_table = ResultTable(
            "Volumes", "Size of the region, and its difference from the reference or the mean."
        )
        buttons = QHBoxLayout()
        self.csv_button = button("Sa&ve CSV…", "Save every score of each pair, region and class as a table.")
        self.json_button = button("&JSON…", "Save everything: scores, kappa, volumes, slices, inputs with hashes.")
        buttons.addWidget(self.csv_button, 1)
        buttons.addWidget(self.json_button, 1)
        self.save_runner.hold(self.csv_button, self.json_button)
        add_to(column, self.metric_box, self.matrix_table, self.volume_table, buttons)

    @property
    def region(self) -> Region:
        """The region that is shown."""
        region: Region = self.region_box.currentData()
        return region

    def show_comparison(self, comparison: state.Comparison) -> None:
        """Show the results of a comparison, for the region that was shown before."""
        self._comparison = comparison
        regions = [(f"{REGION_NAMES[region]} ({region})", region) for region in comparison.agreement.raters.regions]
        offer(self.region_box, regions, self.region_box.currentData())
        self._show_region()

    def _show_region(self) -> None:
        if self._comparison is None:
            return
        agreement = self._comparison.agreement
        self.score_table.show_table(state.score_cells(agreement, self.region))
        self.summary_label.setText(state.summary_text(agreement, self.region))
        self.volume_table.show_table(state.volume_cells(agreement, self.region))
        self._show_matrix()
        self.region_shown.emit(self.region)

    def _show_matrix(self) -> None:
        if self._comparison is not None:
            metric = self.metric_box.currentData()
            self.matrix_table.show_table(state.matrix_cells(self._comparison.agreement, self.region, metric))

    def _ask_and_save(self, suffix: str) -> None:
        if self._comparison is None:
            return
        name = f"{self._comparison.case}_comparison{suffix}"
        path = ask_target(self, "Save tables", name, f"*{suffix}", (suffix,))
        if path is not None:
            self.save(path)

    def save(self, path: str | Path) -> None:
        """Save the tables: scores as `.csv`, everything as `.json`."""
        if self._comparison is not None:
            agreement = self._comparison.agreement
            self.save_runner.call(state.save_tables, agreement, Path(path))


class ConsensusPart(Fold):
    """Combines the compared labels, except the reference, into a labels layer."""

    joined = Signal(str)
    """A consensus has been added to the viewer; with a message about it."""
    failed = Signal(object)
    """Why there is no consensus."""

    def __init__(self) -> None:
        super().__init__("C&onsensus", "The consensus of the compared labels, as a new layer.")
        self._comparison: state.Comparison | None = None
        self._attention = Attention(None, None)
        self.method: ConsensusMethod | None = None
        """Method of the last consensus."""
        self.runner = JobRunner(self, finished=self._on_made, failed=self.failed)
        self.method_box = combo("How the compared labels, except the reference, are combined.", "Consensus")
        methods = [("STAPLE" if name == "staple" else name, name, tip) for name, tip in METHODS.items()]
        offer(self.method_box, methods)
        self.button = button("&Make consensus", "Add their consensus as a new labels layer.")
        self.runner.hold(self.button)
        row = row_of(self.method_box, self.button)
        self.quality_table = ResultTable(
            "How well each matches the consensus", "Sensitivity and specificity, region by region, near the tumour."
        )
        add_to(self.column, row, self.quality_table)

    def show_comparison(self, comparison: state.Comparison) -> None:
        """Use the labels of this comparison."""
        self._comparison, self.method = comparison, None
        self.quality_table.show_table(Table((), ()))
        self.button.setEnabled(True)

    def make(self, attention: Attention) -> bool:
        """Start to compute the chosen consensus, which is added as `attention` allows; return whether it started."""
        if self._comparison is None:
            return False
        comparison, method = self._comparison, self.method_box.currentData()
        self._attention = attention
        self.runner.start(lambda _: state.consensus_steps(comparison, method))
        return True

    def _on_made(self, result: tuple[LayerData, Consensus]) -> None:
        data, consensus = result
        layer = self._attention.add(layers.layer_of(data))
        self.method = consensus.method
        self.quality_table.show_table(state.quality_cells(consensus))
        self.joined.emit(" ".join([f"Added the layer {layer.name}.", *consensus.notes]))
