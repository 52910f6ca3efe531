"""Assignment of layers to sequences: combo boxes, filled from what is known of the layers until the user chooses."""

from collections.abc import Mapping, Sequence
from typing import Any

from napari.layers import Layer
from qtpy.QtCore import QObject, Signal  # type: ignore[attr-defined,unused-ignore]
from qtpy.QtWidgets import QComboBox

from napari_brain_tumor.study import Role
from napari_brain_tumor.widgets.parts import offer
from napari_brain_tumor.widgets.scan_layers import Candidate, candidates, match_roles, short_name


class RoleBoxes(QObject):
    """Offers the image layers of a viewer in a combo box for each sequence.

    Parameters
    ----------
    boxes : mapping of role to QComboBox
    keeps_case : bool
        Whether a complete case stays selected until another scan is opened; otherwise the newest case is selected.
    """

    changed = Signal()
    """`sequences` has changed, or the offered layers have."""

    def __init__(
        self, viewer: Any, boxes: Mapping[Role, QComboBox], parent: QObject, *, keeps_case: bool = False
    ) -> None:
        super().__init__(parent)
        self._viewer, self._boxes, self._keeps_case = viewer, boxes, keeps_case
        self._by_hand = False
        self._layers: list[Layer] = []
        for box in boxes.values():
            box.activated.connect(self._on_chosen)

    @property
    def sequences(self) -> dict[Role, Layer]:
        """The selected layers; roles without one are absent."""
        layers = {role: box.currentData() for role, box in self._boxes.items()}
        return {role: layer for role, layer in layers.items() if layer is not None}

    def offer(self, scans: Sequence[Candidate]) -> None:
        """Offer these scans; the user's own selection is kept while any of its layers exists."""
        before, self._layers = self._layers, [scan.layer for scan in scans]
        chosen = self.sequences
        still_open = {role: layer for role, layer in chosen.items() if layer in self._layers}
        self._by_hand = self._by_hand and bool(still_open)
        # A result or a removed unrelated layer is no reason to switch to another case.
        is_whole = self._keeps_case and bool(still_open) and len(still_open) == len(chosen)
        stays = self._by_hand or (is_whole and all(layer in before for layer in self._layers))
        self._show(still_open if stays else match_roles(scans))

    def match(self) -> None:
        """Select the scans of the selected layer's case, or of the newest case, by their roles."""
        self._by_hand = False
        self._show(match_roles(candidates(self._viewer.layers), self._viewer.layers.selection.active))

    def _show(self, matched: Mapping[Role, Layer]) -> None:
        scans = [(short_name(layer), layer, layer.name) for layer in self._layers]
        for role, box in self._boxes.items():
            offer(box, [("none", None), *scans], matched.get(role))
        self.changed.emit()

    def _on_chosen(self) -> None:
        self._by_hand = True
        self.changed.emit()
