"""Find out which layers belong to which open case, and show those of one case only."""

from collections.abc import Iterable
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
from napari.layers import Labels, Layer

from napari_brain_tumor.plugin.viewers import show_point
from napari_brain_tumor.widgets.correct_start import starts
from napari_brain_tumor.widgets.scan_layers import candidates, open_studies
from napari_brain_tumor.widgets.study_queue import OpenStudy


class Cases:
    """The cases among a viewer's layers, with the layers of each."""

    def __init__(self, all_layers: Iterable[Layer] = ()) -> None:
        present = list(all_layers)
        self.studies: list[OpenStudy] = open_studies(candidates(present))
        self._of_labels = {start.layer: start.study for start in starts(present) if start.layer is not None}

    def position_of(self, scans: Iterable[Layer]) -> int | None:
        """Return the position of the case that has any of these scans."""
        ids = set(map(id, scans))
        for at, study in enumerate(self.studies):
            if ids & set(map(id, study.sequences.values())):
                return at
        return None

    def results_of(self, study: OpenStudy) -> list[Labels]:
        """Return the labels layers on the scans of a case, topmost first."""
        return [layer for layer, owner in self._of_labels.items() if _same(owner, study)]

    def owner_of(self, layer: Layer) -> OpenStudy | None:
        """Return the case that a layer belongs to, or None."""
        if layer in self._of_labels:
            return self._of_labels[layer]
        return next((study for study in self.studies if layer in study.sequences.values()), None)


def _same(first: OpenStudy, second: OpenStudy) -> bool:
    return dict(first.sequences) == dict(second.sequences)


class ShownCase:
    """Hides the layers of all cases but one, and restores their visibility later."""

    def __init__(self) -> None:
        self._was_visible: WeakKeyDictionary[Layer, bool] = WeakKeyDictionary()

    def show(self, cases: Cases, study: OpenStudy, all_layers: Iterable[Layer]) -> None:
        """Show the layers of this case only; layers that belong to no case are not touched."""
        for layer in all_layers:
            owner = cases.owner_of(layer)
            if owner is None:
                continue
            if _same(owner, study):
                layer.visible = self._was_visible.pop(layer, layer.visible)
            elif layer not in self._was_visible:
                self._was_visible[layer] = layer.visible
                layer.visible = False


def look_at(viewer: Any, layer: Layer) -> None:
    """Centre the view on the middle of a layer."""
    show_point(viewer, np.asarray(layer.extent.world).mean(axis=0))
    viewer.reset_view()
