"""Offer to register the series of an examination that was just opened, with one click."""

from collections.abc import Iterable
from pathlib import Path

from napari.layers import Layer
from qtpy.QtCore import Signal  # type: ignore[attr-defined,unused-ignore]

from napari_brain_tumor.plugin.layers import sequence_tag
from napari_brain_tumor.widgets.dock.raw_examination import OpenScan, RawExamination, raw_examination
from napari_brain_tumor.widgets.notice import Notice
from napari_brain_tumor.widgets.parts import button


class RawNotice(Notice):
    """A notice that is hidden unless the scans of an examination are on different grids."""

    register_requested = Signal(object, object)
    """The folder of the examination, and the layers of its series."""

    def __init__(self) -> None:
        register = button(
            "Register and open",
            "Register the series to one another, extract the brain, save the study next to the examination and open "
            "it. A table shows what was done.",
        )
        later_tip = "Leave them unregistered. Open… > Raw examination… does the same, with choices."
        super().__init__("Series on several grids", register, later_tip)
        self.register_button = register
        self.examination: RawExamination | None = None
        self._layers: list[Layer] = []
        self._declined: set[Path] = set()
        self.register_button.clicked.connect(self._on_register_requested)
        self.later_button.clicked.connect(self._decline)

    def look(self, all_layers: Iterable[Layer]) -> None:
        """Offer registration if the open layers need it."""
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
