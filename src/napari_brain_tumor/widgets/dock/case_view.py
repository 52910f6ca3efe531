"""Which layers belong to which open case, and showing those of one case alone."""

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
    """The cases among a viewer's layers, and the layers of each."""

    def __init__(self, all_layers: Iterable[Layer] = ()) -> None:
        present = list(all_layers)
        self.studies: list[OpenStudy] = open_studies(candidates(present))
        self._of_labels = {start.layer: start.study for start in starts(present) if start.layer is not None}

    def position_of(self, scans: Iterable[Layer]) -> int | None:
        """Which case has any of these scans."""
        ids = set(map(id, scans))
        for at, study in enumerate(self.studies):
            if ids & set(map(id, study.sequences.values())):
                return at
        return None

    def results_of(self, study: OpenStudy) -> list[Labels]:
        """The labels on the scans of a case, the uppermost first."""
        return [layer for layer, owner in self._of_labels.items() if _same(owner, study)]

    def owner_of(self, layer: Layer) -> OpenStudy | None:
        """The case that a layer belongs to; None of one that belongs to none."""
        if layer in self._of_labels:
            return self._of_labels[layer]
        return next((study for study in self.studies if layer in study.sequences.values()), None)


def _same(first: OpenStudy, second: OpenStudy) -> bool:
    return dict(first.sequences) == dict(second.sequences)


class ShownCase:
    """Hides the layers of all cases but one, and shows them again as they were."""

    def __init__(self) -> None:
        self._was_visible: WeakKeyDictionary[Layer, bool] = WeakKeyDictionary()

    def show(self, cases: Cases, study: OpenStudy, all_layers: Iterable[Layer]) -> None:
        """Show the layers of this case alone; what belongs to no case is left as it is."""
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
    """Bring the middle of a layer into sight."""
    show_point(viewer, np.asarray(layer.extent.world).mean(axis=0))
    viewer.reset_view()
