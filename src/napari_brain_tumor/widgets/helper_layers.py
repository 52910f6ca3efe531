"""Layers that guide the segmentation: seed points, a box, a brain mask."""

from typing import Any

from napari.layers import Layer
from qtpy.QtCore import QObject, Signal  # type: ignore[attr-defined,unused-ignore]

from napari_brain_tumor.plugin import drawing
from napari_brain_tumor.widgets import segment_state as state
from napari_brain_tumor.widgets.more_settings import MoreSettings
from napari_brain_tumor.widgets.parts import button, combo, offer_layers
from napari_brain_tumor.widgets.worker import notify


class HelperLayers(QObject):
    """Offers these layers of a viewer, adds new ones, and puts the selected ones into the choices.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
    more : MoreSettings
        Contains the combo boxes for the box and the brain mask.
    """

    changed = Signal()
    """Another box is selected."""

    def __init__(self, viewer: Any, choices: state.Choices, more: MoreSettings) -> None:
        super().__init__(more)
        self._viewer, self._choices, self._more = viewer, choices, more
        self.seeds_box = combo(
            "Points in the tumour from which the method grows.\nAutomatic: the brightest asymmetric spot.",
            "Seed points",
        )
        self.new_seeds_button = button(
            "Add points b&y hand", "Add a Points layer over the scans; then click on the tumour, in any slice."
        )
        self.seeds_box.activated.connect(self._on_seeds_chosen)
        self.new_seeds_button.clicked.connect(self._add_seeds)
        more.brain_changed.connect(self._on_brain_chosen)
        more.box_changed.connect(self._on_box_chosen)
        more.box_drawing_requested.connect(self._add_box)

    def refresh(self) -> None:
        """Offer the current layers of the viewer."""
        offer_layers(self.seeds_box, "automatic", state.seed_layers(self._viewer.layers), self._choices.seeds)
        self._on_seeds_chosen()
        self._show_boxes()
        scan = next(iter(self._choices.sequences.values()), None)
        self._more.show_brain_layers(state.brain_layers(self._viewer.layers, scan), self._choices.brain)
        self._on_brain_chosen()

    def _volume(self, what_for: str) -> Layer | None:
        """Return a chosen scan that is a volume; if there is none, show a message and return None."""
        scan = next(iter(self._choices.sequences.values()), None)
        if scan is None or scan.ndim != 3:
            notify(f"Open a case first: {what_for}.")
            return None
        return scan

    def _add_seeds(self) -> None:
        scan = self._volume("seeds are points in a volume")
        if scan is not None:
            points = self._viewer.add_layer(drawing.points_over(scan, "seeds"))
            points.mode = "add"  # only now: napari's buttons do not show a mode that was set before they existed
            self._choices.seeds = points

    def _on_seeds_chosen(self) -> None:
        self._choices.seeds = self.seeds_box.currentData()

    def _on_brain_chosen(self) -> None:
        self._choices.brain = self._more.brain

    def _show_boxes(self) -> None:
        self._more.show_box_layers(state.box_layers(self._viewer.layers), self._choices.box)
        self._on_box_chosen()

    def _add_box(self) -> None:
        scan = self._volume("a box is drawn over a volume")
        if scan is not None:
            shapes = self._viewer.add_layer(drawing.rectangles_over(scan, "box"))
            shapes.mode = "add_rectangle"
            self._show_boxes()
            self._more.region_box.setCurrentIndex(self._more.region_box.findText(shapes.name))
            self._on_box_chosen()

    def _on_box_chosen(self) -> None:
        before, selected = self._choices.box, self._more.box_layer
        if selected is not before:
            if before is not None:
                before.events.data.disconnect(self._on_box_drawn)
            if selected is not None:
                selected.events.data.connect(self._on_box_drawn)
            self._choices.box = selected
        self._on_box_drawn()

    def _on_box_drawn(self, event: Any = None) -> None:
        self._more.show_box_size(state.box_text(self._choices))
        self.changed.emit()
