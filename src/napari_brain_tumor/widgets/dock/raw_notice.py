"""Offers to register the series of an examination that was just opened, with one click."""

from collections.abc import Iterable
from pathlib import Path

from napari.layers import Layer
from qtpy.QtCore import Signal  # type: ignore[attr-defined,unused-ignore]
from qtpy.QtWidgets import QFrame, QVBoxLayout

from napari_brain_tumor.plugin.layers import sequence_tag
from napari_brain_tumor.widgets.dock.raw_examination import OpenScan, RawExamination, raw_examination
from napari_brain_tumor.widgets.parts import button, flow, wrapped


class RawNotice(QFrame):
    """Hidden unless the scans of an examination lie on several grids."""

    register_requested = Signal(object, object)
    """The folder of the examination, and the layers of its series."""

    def __init__(self) -> None:
        super().__init__()
        self.examination: RawExamination | None = None
        self._layers: list[Layer] = []
        self._declined: set[Path] = set()
        self.setObjectName("raw_notice")
        self.setStyleSheet("#raw_notice { border: 1px solid gray; }")  # napari's themes draw no frames
        column = QVBoxLayout(self)
        column.setContentsMargins(6, 6, 6, 6)
        self.text_label = wrapped("", "Series on several grids")
        column.addWidget(self.text_label)
        # No letters for Alt: the notice stands above the tabs, and these have theirs.
        self.register_button = button(
            "Register and open",
            "Register the series to one another, extract the brain, save the study next to the examination and open "
            "it. A table shows what was done.",
        )
        self.later_button = button(
            "Not now", "Leave them unregistered. Open… > Raw examination… does the same, with choices."
        )
        column.addLayout(flow(self.register_button, self.later_button))
        self.register_button.clicked.connect(self._on_register_requested)
        self.later_button.clicked.connect(self._decline)
        self.hide()

    def look(self, all_layers: Iterable[Layer]) -> None:
        """Offer what is open now."""
        scans = [(layer, scan) for layer in all_layers if (scan := _open_scan(layer)) is not None]
        self.examination = raw_examination([scan for _, scan in scans], self._declined)
        self.setVisible(self.examination is not None)
        if self.examination is not None:
            self._layers = [scans[at][0] for at in self.examination.scans]
            self.text_label.setText(self.examination.question)
        else:
            self._layers = []

    def _on_register_requested(self) -> None:
        if self.examination is not None:
            folder, raw = self.examination.folder, self._layers
            self._decline()
            self.register_requested.emit(folder, raw)

    def _decline(self) -> None:
        if self.examination is not None:
            self._declined.add(self.examination.folder)
        self.examination, self._layers = None, []
        self.hide()


def _open_scan(layer: Layer) -> OpenScan | None:
    tag = sequence_tag(layer)
    if tag is None or tag.role is None or tag.source is None or tag.resampled:
        return None
    return OpenScan(tag.case, tag.role, tag.grid, tag.source)
