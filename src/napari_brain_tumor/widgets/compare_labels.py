"""The part of the Compare panel in which labels are ticked, opened from files, and one is made the reference."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from napari.layers import Labels, Layer
from qtpy.QtCore import Signal  # type: ignore[attr-defined,unused-ignore]
from qtpy.QtWidgets import QFileDialog, QLabel

from napari_brain_tumor.label_schemas import SCHEMAS
from napari_brain_tumor.plugin import layers, viewers
from napari_brain_tumor.plugin.layers import LayerData
from napari_brain_tumor.widgets import compare_state as state
from napari_brain_tumor.widgets.layer_list_watch import LayerListWatch
from napari_brain_tumor.widgets.links import Links
from napari_brain_tumor.widgets.parts import Fold, button, check, combo, form, offer, offer_layers, row_of
from napari_brain_tumor.widgets.tick_list import TickList, fit_lines
from napari_brain_tumor.widgets.view_actions import labels_in_view
from napari_brain_tumor.widgets.worker import JobRunner

_MOST_LISTED: Final = 6


class LabelList(TickList):
    """The labels layers of a viewer that can be compared; the ticked ones are in `choices`.

    Parameters
    ----------
    viewer : napari.viewer.Viewer

    Attributes
    ----------
    choices : CompareChoices
    settings : Fold
        Reference, additional files, and labels on other grids.
    """

    listed = Signal()
    """The layers of the viewer, or their names, have changed."""
    failed = Signal(object)
    """Why a file could not be opened."""

    def __init__(self, viewer: Any) -> None:
        super().__init__(
            "Tick two or more labels layers of one case. Space ticks the selected one.", "Labels to compare"
        )
        self._viewer = viewer
        self.choices = state.CompareChoices()
        self._listed: list[Labels] = []
        self._to_tick: list[Layer] = []
        self._names = Links()
        self.file_runner = JobRunner(self, finished=self._on_file_opened, failed=self.failed)
        self.settings = Fold("S&ettings", "A reference, labels in files, other grids.", "Settings")
        self._build_settings()
        self.ticks_changed.connect(self._on_ticked)
        self.file_button.clicked.connect(self._on_file_requested)
        self.file_runner.hold(self.file_button)
        self.reference_box.activated.connect(self._on_reference_chosen)
        self.resample_box.toggled.connect(lambda on: setattr(self.choices, "resample", on))
        self._list_watch = LayerListWatch(viewer, self, self.refresh)
        self.destroyed.connect(self._names.cut)

    def _build_settings(self) -> None:
        rows = form()
        self.schema_box = combo("What the integers in the file mean, if the file does not say.", "File labels")
        offer(self.schema_box, [("from the file", None), *((name, name) for name in SCHEMAS)])
        self.file_button = button("Add &file…", "Open segmentations from files as layers, and tick them.")
        row = row_of(self.schema_box, self.file_button)
        label = QLabel("N&umbers")
        label.setBuddy(self.schema_box)
        rows.addRow(label, row)
        self.reference_box = combo(
            "The labels to treat as the truth: the others are scored against them, and they are left out of the\n"
            "consensus. None: every pair is scored.",
            "Reference",
        )
        rows.addRow("&Reference", self.reference_box)
        self.resample_box = check(
            "Resample other grids",
            "Resample labels on other grids to the reference's grid, or the first one's, by nearest neighbour.\n"
            "Otherwise they are refused. Nothing is registered.",
        )
        rows.addRow("", self.resample_box)
        self.settings.column.addLayout(rows)

    def refresh(self) -> None:
        """List the current layers of the viewer; ticked ones stay ticked."""
        ticked = {*self.choices.layers, *self._to_tick}
        self._listed = state.candidates(self._viewer.layers)
        self._names.cut()
        self._to_tick.clear()
        for layer in self._listed:
            self._names.connect(layer.events.name, self._list_watch.act_soon)
        self.show_lines((layer.name, layer, layer in ticked) for layer in self._listed)
        fit_lines(self, 2, _MOST_LISTED)
        self._on_ticked()
        self.listed.emit()

    def tick(self, wanted: Iterable[Any]) -> None:
        """Tick these layers, and untick all others."""
        self.refresh()
        super().tick(wanted)

    def tick_case_in_view(self) -> None:
        """Tick all listed labels on the same grid as those in view."""
        in_view = labels_in_view(self._viewer)
        if in_view in self._listed:
            grid = layers.view(in_view).grid
            self.tick([layer for layer in self._listed if layers.view(layer).grid.same_place(grid)])

    def choose_reference(self, layer: Labels | None) -> None:
        """Use these labels as the reference; None for no reference."""
        self.choices.reference = layer
        self._show_references()

    def _on_ticked(self) -> None:
        ticked = self.ticked
        if self.choices.reference not in ticked:
            self.choices.reference = None
        self.choices.layers = tuple(ticked)
        self._show_references()

    def _show_references(self) -> None:
        offer_layers(self.reference_box, "none: each pair", self.choices.layers, self.choices.reference)

    def _on_reference_chosen(self) -> None:
        self.choices.reference = self.reference_box.currentData()

    def _on_file_requested(self) -> None:
        paths, _ = QFileDialog.getOpenFileNames(
            self, "Segmentations", "", "Segmentations (*.nii *.nii.gz *.nrrd *.nhdr *.mha *.mhd *.hdr *.tif *.tiff)"
        )
        self.add_files([Path(path) for path in paths])

    def add_files(self, paths: list[Path]) -> None:
        """Open segmentations from files as layers, and tick them."""
        if paths:
            schema = self.schema_box.currentData()
            self.file_runner.call(lambda: [state.open_file(path, schema) for path in paths])

    def _on_file_opened(self, opened: list[LayerData]) -> None:
        self._to_tick += viewers.add_layers(self._viewer, opened)
